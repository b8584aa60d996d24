"""Flows in words."""

import json
from pathlib import Path
from typing import Any

import pytest

from enrollment.catalog import EVENT_TYPES
from enrollment.domain.criteria.record_operators import RECORD_OPERATION_TYPES
from enrollment.domain.describe import (
    WORDS,
    associated_conditions,
    associated_records,
    describe_flow,
    describe_operation,
    expected,
    is_negative,
)
from enrollment.domain.flows.flow import FlowRevision
from enrollment.domain.operators.filters import AssociatedFailure, Failure
from enrollment.domain.operators.property_operators import OPERATION_TYPES
from enrollment.serialization.flows import read_flow
from tests.support.criteria import with_company
from tests.support.scenario import flow, property_filter

DEMO = Path(__file__).parents[3] / "cli" / "enroll" / "demo" / "flows"


def sentences(document: dict[str, Any]) -> list[str]:
    revision = FlowRevision("p", "1", 1, document, document.get("isEnabled") is True, 0, 0, 0)
    return list(describe_flow(read_flow(revision), EVENT_TYPES))


def test_description_of_a_manual_flow() -> None:
    document = flow({"id": 1, "manual": True, "suppressed_by": [12]})
    assert sentences(document) == [
        "Enrolls no record by itself, because it has no event trigger. Takes manual enrollments; each record enters "
        "once.",
        "Not if it is in list 12.",
    ]
    document["enrollmentCriteria"]["shouldReEnroll"] = True
    assert sentences(document)[0].endswith("Takes manual enrollments; a record may enter again.")


def test_description_of_a_flow() -> None:
    document = flow({"id": 1, "event": "forms.submitted", "where": [["hs_form_id", "IS_ANY_OF", ["f-1"]]]})
    document["enrollmentCriteria"]["refinementCriteria"] = {
        "filterBranchType": "OR",
        "filterBranches": [
            {"filterBranchType": "AND", "filters": [property_filter(["city", "IS_EQUAL_TO", "Dublin"])]},
            {
                "filterBranchType": "AND",
                "filters": [
                    {"filterType": "IN_LIST", "operator": "IN_LIST", "listId": 42},
                    property_filter(["age", "IS_GREATER_THAN", 20]),
                ],
            },
        ],
    }
    document |= {
        "suppressionListIds": [12],
        "goalFilterBranch": {
            "filterBranchType": "AND",
            "filters": [property_filter(["stage", "IS_ANY_OF", ["won", "lost"]])],
        },
    }
    assert sentences(document) == [
        'Enrolls a contact the first time this happens: form submission (forms.submitted), where form is "f-1".',
        'Only if, as it was then, city is "Dublin" or (it is in list 42 and age is greater than 20).',
        "Not if it is in list 12.",
        'Not if it has met the goal already: stage is any of "won" or "lost".',
    ]


def test_description_of_several_triggers_lists_and_associated_records() -> None:
    document = flow(
        {"id": 1, "event": "calls.ended", "lists": [["NOT_IN_LIST", "7"]], "re_enroll": True, "enabled": False}
    )
    document["enrollmentCriteria"]["refinementCriteria"] = {
        "filterBranchType": "AND",
        "filters": [],
        "filterBranches": [
            {
                "filterBranchType": "ASSOCIATION",
                "objectTypeId": "0-2",
                "associationCategory": "HUBSPOT_DEFINED",
                "associationTypeId": 279,
                "filters": [property_filter(["size", "IS_KNOWN"])],
            }
        ],
    }
    first, criteria, off = sentences(document)
    assert first.startswith("Enrolls a contact every time one of these happens: ")
    assert first.endswith("; or it is removed from list 7.")
    assert criteria == (
        "Only if, as it was then, of at least one company that it is associated with (HUBSPOT_DEFINED 279): "
        "(size is known)."
    )
    assert "turned off" in off


@pytest.mark.parametrize("path", sorted(DEMO.glob("*.json")), ids=lambda path: path.stem)
def test_description_of_the_demonstration_flows(path: Path) -> None:
    found = sentences(json.loads(path.read_text(encoding="utf-8")))
    assert found[0].startswith(("Enrolls a", "Enrolls no record by itself"))
    assert not any(sign in line for line in found for sign in ("{", "[", "None", "_OF"))


def test_every_operator_has_a_description() -> None:
    calendar = set(RECORD_OPERATION_TYPES["CALENDAR_DATE"].operators)
    used = {one for row in RECORD_OPERATION_TYPES.values() for one in row.operators}
    used |= {one for row in OPERATION_TYPES.values() for one in row.tests}
    missing, unused = used - calendar - set(WORDS), set(WORDS) - used
    assert not missing, f"add these operators to WORDS in domain/describe.py: {sorted(missing)}"
    assert not unused, f"remove these operators from WORDS in domain/describe.py: {sorted(unused)}"


def test_negative_operators_are_those_that_sound_as_if_a_missing_value_satisfied_them() -> None:
    negative_words = {"not", "none", "never"}
    expected = {operator for operator, words in WORDS.items() if negative_words & set(words.split())}
    assert {operator for operator in WORDS if is_negative(operator)} == expected - {"IS_NOT_BLANK"}


def test_unknown_operators_and_operation_types_are_described_by_their_names() -> None:
    new_operator = {"operationType": "STRING", "operator": "SOUNDS_LIKE", "value": "Ada"}
    assert describe_operation(new_operator) == 'sounds like "Ada"'
    new_type = {"operationType": "GEO", "operator": "IS_NEAR", "place": "Cork", "includeObjectsWithNoValueSet": True}
    assert describe_operation(new_type) == "is near (or has no value)"
    new_unit = {"operationType": "CALENDAR_DATE", "operator": "IN_EVERY_TIME_UNIT", "timeUnit": "DAY"}
    assert describe_operation(new_unit) == "is in every time unit day"


NOW = {"timeType": "INDEXED", "indexReference": {"referenceType": "NOW"}, "offset": {"days": -7}}
MONDAY = {"timeType": "INDEXED", "indexReference": {"referenceType": "WEEK", "dayOfWeek": "MONDAY", "hour": 9}}


@pytest.mark.parametrize(
    ("kind", "operator", "operands", "words"),
    [
        ("ROLLING_DATE_RANGE", "IS_LESS_THAN_X_DAYS_AGO", {"numberOfDays": 3}, "is less than 3 days ago"),
        ("CALENDAR_DATE", "IN_LAST_TIME_UNIT", {"timeUnit": "MONTH", "timeUnitCount": 2}, "is in the last 2 months"),
        ("CALENDAR_DATE", "IN_THIS_TIME_UNIT_SO_FAR", {"timeUnit": "YEAR"}, "is in this year so far"),
        ("COMPARATIVE_DATE", "IS_BEFORE", {"comparisonPropertyName": "y"}, "is before the property y"),
        (
            "COMPARATIVE_PROPERTY_UPDATED",
            "IS_AFTER",
            {"comparisonPropertyName": "y"},
            "was updated after the property y was",
        ),
        ("DATE", "EQUAL", {"year": 2026, "month": "NOV", "day": 3}, "is on 3 Nov 2026"),
        ("NUMBER_RANGED", "IS_BETWEEN", {"lowerBound": 1, "upperBound": 2}, "is between 1 and 2"),
        ("ENUMERATION", "IS_NONE_OF", {"values": ["a"]}, 'is not "a" (fails without a value)'),
        ("ENUMERATION", "IS_NONE_OF", {"values": ["a"], "includeObjectsWithNoValueSet": True},
         'is not "a" (or has no value)'),
        ("STRING", "IS_NOT_EQUAL_TO", {"value": "a"}, 'is not "a" (fails without a value)'),
        ("ENUMERATION", "IS_NONE_OF", {"values": list("abc")}, 'is none of "a", "b" or "c" (fails without a value)'),
        ("STRING", "CONTAINS", {"value": "x", "includeObjectsWithNoValueSet": True}, 'contains "x" (or has no value)'),
        ("STRING", "IS_EQUAL_TO", {"value": 'Van "the Man" '}, 'is "Van \\"the Man\\" "'),
        ("MULTISTRING", "STARTS_WITH", {"values": ["Van "]}, 'begins with "Van "'),
        ("TIME_POINT", "IS_AFTER", {"timePoint": NOW}, "is after the event minus 7 days"),
        ("TIME_RANGED", "IS_BETWEEN",
         {"lowerBoundTimePoint": MONDAY, "upperBoundTimePoint": NOW, "propertyParser": "UPDATED_AT"},
         "was updated at a time that is between Monday of the week, 09:00 and the event minus 7 days"),
    ],
)  # fmt: skip
def test_description_of_operations(kind: str, operator: str, operands: dict[str, Any], words: str) -> None:
    assert describe_operation({"operationType": kind, "operator": operator, **operands}) == words


@pytest.mark.parametrize("stray", [{"lowerBound": 1}, {"values": []}, {"values": ["y"]}, {"numberOfDays": 3}])
def test_description_omits_keys_that_the_operation_does_not_have(stray: dict[str, Any]) -> None:
    assert (
        describe_operation({"operationType": "STRING", "operator": "CONTAINS", "value": "x", **stray}) == 'contains "x"'
    )


def test_description_of_tolerance_and_rate_limit() -> None:
    document = flow(
        {
            "id": 1,
            "event": "forms.submitted",
            "criteria": [["city", "IS_KNOWN"]],
            "tolerance": 2.5,
            "limit": {"count": 1_000, "period": "HOUR"},
        }
    )
    sentences = describe_flow(read_flow(FlowRevision("p", "1", 1, document, True, 0, 0, 0)), EVENT_TYPES)
    assert sentences[-2:] == [
        "Waits up to 2.5 minutes after the event for late changes to the record.",
        "At most 1,000 enter per hour; those beyond enter later.",
    ]


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ({"referenceType": "TODAY", "day": 5}, "the beginning of the day"),
        ({"referenceType": "NOW", "hour": 9}, "the event"),
        ({"referenceType": "WEEK", "month": 2}, "the beginning of the week"),
        ({"referenceType": "MONTH", "month": 2, "day": 5}, "day 5 of the month"),
        ({"referenceType": "YEAR", "month": 2, "day": 5}, "month 2, day 5 of the year"),
    ],
)
def test_description_of_a_time_has_only_the_parts_that_are_evaluated(reference: dict[str, Any], words: str) -> None:
    point = {"timeType": "INDEXED", "indexReference": reference}
    assert (
        describe_operation({"operationType": "TIME_POINT", "operator": "IS_AFTER", "timePoint": point})
        == f"is after {words}"
    )


def test_filter_based_flow_is_described_with_its_re_enrollment_triggers() -> None:
    document = flow(
        {
            "id": 1,
            "any_filters": [[["city", "IS_EQUAL_TO", "Cork"], ["NOT_IN_LIST", "42"]], [["age", "IS_GREATER_THAN", 20]]],
            "re_enroll": True,
            "re_enroll_when": [[["hs_name", "IS_ANY_OF", ["stage"]], ["hs_value", "IS_KNOWN"]], [["IN_LIST", "7"]]],
        }
    )
    assert sentences(document) == [
        'Enrolls a contact when it starts to meet these criteria: (city is "Cork" and it is not in list 42) or age is '
        "greater than 20.",
        "A contact that met them before the flow was turned on does not enter.",
        'Enters again, while it meets them, when a property changes, where property name is "stage" and new value is '
        "known; or when it starts to meet this: it is in list 7.",
    ]


def test_filter_based_flow_without_trigger_enrolls_each_record_once() -> None:
    assert sentences(flow({"id": 1, "filters": [["city", "IS_KNOWN"]]}))[-1] == "Each contact enters once."


@pytest.mark.parametrize(
    ("operator", "number", "words"),
    [
        ("IN_LIST", 1, "has at least one record that meets the filters, found 1 associated record"),
        ("NOT_IN_LIST", 2, "has no record that meets the filters, found 2 associated records"),
    ],
)
def test_failed_association_says_what_was_counted(operator: str, number: int, words: str) -> None:
    operation = {"filterBranchType": "ASSOCIATION", "operator": operator}
    assert f"{expected(operation)}, found {associated_records(number)}" == words


def test_failed_association_names_the_records_and_counts_the_rest() -> None:
    operation = property_filter(["city", "IS_EQUAL_TO", "Cork"])["operation"]
    failures = [
        AssociatedFailure("0-2/1", Failure("city", operation, "Galway")),
        AssociatedFailure("0-2/2", Failure("city", operation, None)),
    ]
    assert associated_conditions(5, failures) == [
        '0-2/1: city is "Cork", found "Galway"',
        '0-2/2: city is "Cork", found no value',
        "and 3 more",
    ]
    assert associated_conditions(5, [AssociatedFailure("0-2/1", None)]) == ["0-2/1 meets the filters"]
    assert associated_conditions(0, []) == []


def test_negated_branches_and_absent_associations_are_described() -> None:
    association = {**with_company(), "operator": "NOT_IN_LIST"}
    branches = [
        {"filterBranchType": "NOT_ANY", "filters": [property_filter(["city", "IS_KNOWN"])]},
        {"filterBranchType": "NOT_ALL", "filters": [property_filter(["city", "IS_KNOWN"])]},
        association,
    ]
    document = flow({"id": 1, "filters": [["age", "IS_KNOWN"]]})
    document["enrollmentCriteria"]["listFilterBranch"]["filterBranches"][0]["filterBranches"] = branches

    assert sentences(document)[0] == (
        "Enrolls a contact when it starts to meet these criteria: (age is known and none of these holds: "
        "(city is known) and not all of these hold: (city is known) "
        "and it is associated with no company (HUBSPOT_DEFINED 279))."
    )
