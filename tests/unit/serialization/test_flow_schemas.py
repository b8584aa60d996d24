"""The schemas of flows in the OpenAPI document agree with the reader of flows."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from enrollment.domain.criteria.record_operators import RECORD_OPERATION_TYPES, record_operation
from enrollment.domain.flows.flow import FlowRevision
from enrollment.domain.operators.property_operators import OPERATION_TYPES, InvalidOperand
from enrollment.serialization.flow_schemas import FLOW_SCHEMAS
from enrollment.serialization.flows import InvalidFlow, read_new_flow
from enrollment.serialization.unsupported_filters import OTHER_SPELLINGS
from tests.proofs.documents import FLOWS, mutated
from tests.support.api_document import DOCUMENT
from tests.support.scenario import flow, property_filter

DEMO = Path(__file__).parents[3] / "cli" / "enroll" / "demo" / "flows"
REGISTRY: Registry[Any] = Registry().with_resource("urn:api", Resource(DOCUMENT, DRAFT202012))


def validator(name: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator({"$ref": f"urn:api#/components/schemas/{name}"}, registry=REGISTRY)


VALIDATORS = {name: validator(name) for name in ("FlowInput", "RecordOperation", "EventOperation")}


def is_valid(document: Any, name: str = "FlowInput") -> bool:
    return VALIDATORS[name].is_valid(document)


def is_read(document: Mapping[str, Any]) -> bool:
    """Whether the reader accepts the flow, turned on."""
    try:
        read_new_flow(FlowRevision("p", "1", 1, document, True, 0, 0, 0))
    except InvalidFlow:
        return False
    return True


# Operands of each operation type. A reader of an operation requires the keys of its table.
POINT = {
    "timeType": "INDEXED",
    "indexReference": {"referenceType": "WEEK", "dayOfWeek": "MONDAY"},
    "offset": {"days": -1},
}
OPERANDS: Mapping[str, Mapping[str, Any]] = {
    "ALL_PROPERTY": {},
    "STRING": {"value": "Cork"},
    "MULTISTRING": {"values": ["Cork", 7]},
    "NUMBER": {"value": 5},
    "NUMBER_RANGED": {"lowerBound": 5, "upperBound": "7.5"},
    "BOOL": {"value": True},
    "ENUMERATION": {"values": ["Cork"]},
    "DATETIME": {"timestamp": 1_764_000_000_000},
    "DATE": {"year": 2026, "month": "NOV", "day": 28},
    "RANGED_DATE": {"lowerBound": "2026-11-27T00:00:00Z", "upperBound": 1_796_000_000_000},
    "ROLLING_DATE_RANGE": {"numberOfDays": 30},
    "ROLLING_PROPERTY_UPDATED": {"numberOfDays": 30},
    "COMPARATIVE_DATE": {"comparisonPropertyName": "closedate", "defaultComparisonValue": None},
    "COMPARATIVE_STRING": {"comparisonPropertyName": "city", "defaultComparisonValue": "Cork"},
    "COMPARATIVE_PROPERTY_UPDATED": {"comparisonPropertyName": "city"},
    "CALENDAR_DATE": {"timeUnit": "MONTH", "timeUnitCount": 2, "useFiscalYear": False},
    "TIME_POINT": {"timePoint": POINT, "endpointBehavior": "INCLUSIVE", "propertyParser": "UPDATED_AT"},
    "TIME_RANGED": {
        "lowerBoundTimePoint": {"timeType": "DATE", "year": 2026, "month": "JAN", "day": 1, "zoneId": "Europe/Dublin"},
        "upperBoundTimePoint": {"timeType": "PROPERTY_REFERENCED", "property": "closedate"},
        "lowerBoundEndpointBehavior": "INCLUSIVE",
    },
}
WRONG: tuple[Any, ...] = (None, "", [], {}, "nonsense", -1, 1.5, True, False, ["x"], {"timeType": "NEVER"}, "x" * 9_000)


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for operation_type, row in RECORD_OPERATION_TYPES.items():
        for operator in row.operators:
            yield operation_type, {"operationType": operation_type, "operator": operator, **OPERANDS[operation_type]}


def reads(operation: Mapping[str, Any]) -> bool:
    try:
        record_operation(operation)
    except InvalidOperand:
        return False
    return True


def test_every_operation_is_read_and_valid() -> None:
    assert set(OPERANDS) == set(RECORD_OPERATION_TYPES)
    for operation_type, operation in operations():
        assert reads(operation), operation
        assert is_valid(operation, "RecordOperation"), operation
        on_events = (
            operation_type in OPERATION_TYPES and operation["operator"] in OPERATION_TYPES[operation_type].on_events
        )
        assert is_valid(operation, "EventOperation") == on_events, operation


def test_schemas_require_the_operands_that_the_reader_requires() -> None:
    for operation_type, operation in operations():
        for key in operation.keys() - {"operationType", "operator"}:
            without = {name: value for name, value in operation.items() if name != key}
            assert is_valid(without, "RecordOperation") == reads(without), (operation_type, key)


def test_an_operand_that_the_reader_accepts_is_valid() -> None:
    for operation_type, operation in operations():
        row = RECORD_OPERATION_TYPES[operation_type]
        changes = [{**operation, key: wrong} for key in row.keys for wrong in WRONG]
        # The reader ignores an empty optional operand of any type.
        changes += [{**operation, key: wrong} for key in row.optional_keys for wrong in WRONG if wrong or wrong is None]
        for changed in filter(reads, changes):
            assert is_valid(changed, "RecordOperation"), changed


@pytest.mark.parametrize(
    "operation",
    [
        {"operationType": "STRNG", "operator": "IS_EQUAL_TO", "value": "Cork"},
        {"operationType": "ENUMERATION", "operator": "IS_EQUAL_TO", "values": ["Cork"]},
        {"operationType": "STRING", "operator": "IS_EQUAL_TO", "value": ["Cork"]},
        {"operationType": "STRING", "operator": "IS_EQUAL_TO"},
        {"operationType": "DATE", "operator": "EQUAL", "year": 2026, "month": 11, "day": 28},
        {"operationType": "TIME_POINT", "operator": "IS_BEFORE", "timePoint": {"timeType": "NEVER"}},
        {"operationType": "CALENDAR_DATE", "operator": "IN_THIS_TIME_UNIT", "timeUnit": "CENTURY"},
    ],
    ids=["type", "operator", "value", "no value", "month", "time point", "time unit"],
)
def test_a_wrong_operation_is_invalid(operation: dict[str, Any]) -> None:
    assert not is_valid(operation, "RecordOperation")


def test_spellings_of_exports_are_valid() -> None:
    for operation_type, operator in OTHER_SPELLINGS:
        operation = {"operationType": operation_type, "operator": operator}
        assert is_valid(operation, "RecordOperation")
        assert is_valid(operation, "EventOperation")
        assert is_read(flow({"id": 1, "event": "forms.submitted"}) | {"goalFilterBranch": branch(operation)})


def branch(operation: dict[str, Any]) -> dict[str, Any]:
    return {"filterBranchType": "AND", "filters": [{"filterType": "PROPERTY", "property": "x", "operation": operation}]}


@pytest.mark.parametrize("path", sorted(DEMO.glob("*.json")), ids=lambda path: path.stem)
def test_a_flow_of_the_demonstration_is_valid(path: Path) -> None:
    VALIDATORS["FlowInput"].validate(json.loads(path.read_text(encoding="utf-8")))


CITY = property_filter(["city", "IS_EQUAL_TO", "Cork"])
AND = {"filterBranchType": "AND", "filters": [CITY], "filterBranches": []}
LIST = {"filterType": "IN_LIST", "operator": "IN_LIST", "listId": "42"}
EVENT = {"filterBranchType": "UNIFIED_EVENTS", "operator": "HAS_COMPLETED", "eventTypeId": "forms.submitted"}
ASSOCIATION = {
    "filterBranchType": "ASSOCIATION",
    "objectTypeId": "0-2",
    "associationCategory": "HUBSPOT_DEFINED",
    "associationTypeId": 279,
    "filters": [CITY],
}
CHANGE = {"filterBranchType": "AND", "filters": [property_filter(["hs_name", "IS_EQUAL_TO", "city"])]}


def with_criteria(**criteria: Any) -> dict[str, Any]:
    return {"type": "CONTACT_FLOW", "isEnabled": True, "enrollmentCriteria": criteria}


def refined(refinement: Any) -> dict[str, Any]:
    return with_criteria(type="EVENT_BASED", eventFilterBranches=[EVENT], refinementCriteria=refinement)


RIGHT: Mapping[str, dict[str, Any]] = {
    "events": refined(None),
    "list trigger": with_criteria(type="EVENT_BASED", listMembershipFilterBranches=[{**AND, "filters": [LIST]}]),
    "all branches": refined(
        {
            "filterBranchType": "OR",
            "filterBranches": [
                {**AND, "filters": [CITY, LIST, {"filterType": "CONSTANT", "shouldAccept": True}]},
                {"filterBranchType": "NOT_ANY", "filters": [LIST], "filterBranches": [AND, ASSOCIATION]},
                {**AND, "filterBranches": [{**ASSOCIATION, "operator": "NOT_IN_LIST"}]},
            ],
        }
    ),
    "filters": with_criteria(
        type="LIST_BASED",
        shouldReEnroll=True,
        listFilterBranch={"filterBranchType": "OR", "filters": None, "filterBranches": [AND]},
        reEnrollmentTriggersFilterBranches=[CHANGE, AND],
    ),
    "manual": with_criteria(type="MANUAL"),
    "no criteria": {"type": "CONTACT_FLOW", "isEnabled": True, "enrollmentCriteria": None},
    "suppression and goal": refined(AND)
    | {"suppressionListIds": [12, "vip"], "suppressionFilterBranch": AND, "goalFilterBranch": ASSOCIATION},
}

WRONG_FLOWS: Mapping[str, dict[str, Any]] = {
    "criteria type": with_criteria(type="EVENTS"),
    "criteria as a text": {"type": "CONTACT_FLOW", "enrollmentCriteria": "x"},
    "groups as an object": with_criteria(type="EVENT_BASED", eventFilterBranches={}),
    "trigger type": with_criteria(type="EVENT_BASED", eventFilterBranches=[{**EVENT, "filterBranchType": "AND"}]),
    "trigger operator": with_criteria(type="EVENT_BASED", eventFilterBranches=[{**EVENT, "operator": "HAS"}]),
    "list filter as a refinement": with_criteria(
        type="EVENT_BASED", eventFilterBranches=[{**EVENT, "filters": [LIST]}]
    ),
    "two list filters": with_criteria(
        type="EVENT_BASED", listMembershipFilterBranches=[{**AND, "filters": [LIST, LIST]}]
    ),
    "branch type": refined({**AND, "filterBranchType": "XOR"}),
    "filters in OR": refined({"filterBranchType": "OR", "filters": [CITY], "filterBranches": [AND]}),
    "OR in OR": refined({"filterBranchType": "OR", "filterBranches": [{"filterBranchType": "OR"}]}),
    "AND in AND": refined({**AND, "filterBranches": [AND]}),
    "negation at the root": refined({"filterBranchType": "NOT_ANY", "filters": [CITY]}),
    "filter type": refined({**AND, "filters": [{"filterType": "SURVEY"}]}),
    "operation as a text": refined({**AND, "filters": [{**CITY, "operation": "IS_KNOWN"}]}),
    "operator": refined({**AND, "filters": [property_filter(["city", "IS_ABOVE", "Cork", "STRING"])]}),
    "constant": refined({**AND, "filters": [{"filterType": "CONSTANT"}]}),
    "association without a type": refined({**ASSOCIATION, "associationTypeId": None}),
    "suppression lists": refined(None) | {"suppressionListIds": [None]},
    "goal": refined(None) | {"goalFilterBranch": {**AND, "filters": [{"filterType": "SURVEY"}]}},
}


@pytest.mark.parametrize("document", RIGHT.values(), ids=RIGHT)
def test_a_flow_that_can_run_is_valid(document: dict[str, Any]) -> None:
    assert is_read(document)
    VALIDATORS["FlowInput"].validate(document)


@pytest.mark.parametrize("document", WRONG_FLOWS.values(), ids=WRONG_FLOWS)
def test_a_wrong_flow_is_invalid(document: dict[str, Any]) -> None:
    assert not is_read(document)
    assert not is_valid(document)


@given(mutated(FLOWS))
@settings(max_examples=150)
def test_a_generated_flow_that_the_reader_accepts_is_valid(document: Any) -> None:
    if isinstance(document, dict) and is_read(document):
        VALIDATORS["FlowInput"].validate({**document, "isEnabled": True})


@given(FLOWS)
@settings(max_examples=50)
def test_a_generated_flow_is_valid_if_the_reader_accepts_it(document: Any) -> None:
    if is_read(document):
        VALIDATORS["FlowInput"].validate(document)


def test_each_schema_of_a_flow_is_reachable() -> None:
    text = json.dumps(DOCUMENT)
    assert [name for name in FLOW_SCHEMAS if f'"#/components/schemas/{name}"' not in text] == []
