"""Reading of filter-based flows (LIST_BASED): what is read, and what is refused, with its JSON path."""

from typing import Any

import pytest

from enrollment.domain.criteria.criteria import AllOf, AnyOf, AssociatedWith, Not
from enrollment.domain.flows.flow import Flow, FlowRevision
from enrollment.domain.flows.re_enrollment import ChangeTrigger, CriteriaTrigger
from enrollment.serialization.flows import InvalidFlow, read_flow, read_flow_to_store
from tests.support.scenario import property_filter

PATH = "$.enrollmentCriteria"
TREE = f"{PATH}.listFilterBranch"
CITY = property_filter(["city", "IS_EQUAL_TO", "Cork"])
IN_LIST = {"filterType": "IN_LIST", "operator": "IN_LIST", "listId": "42"}
ASSOCIATION: dict[str, Any] = {
    "filterBranchType": "ASSOCIATION",
    "objectTypeId": "0-2",
    "associationCategory": "HUBSPOT_DEFINED",
    "associationTypeId": 279,
    "operator": "IN_LIST",
}


def branch(kind: str, *filters: Any, branches: list[Any] | None = None) -> dict[str, Any]:
    return {"filterBranchType": kind, "filters": list(filters), "filterBranches": branches or []}


def flow(tree: Any, *, enabled: bool = True, beside: dict[str, Any] | None = None, **criteria: Any) -> dict[str, Any]:
    return {
        "name": "Flow",
        "type": "CONTACT_FLOW",
        "objectTypeId": "0-1",
        "isEnabled": enabled,
        "enrollmentCriteria": {"type": "LIST_BASED", "shouldReEnroll": False, "listFilterBranch": tree, **criteria},
        **(beside or {}),
    }


def read(document: dict[str, Any]) -> Flow:
    return read_flow(FlowRevision("p", "1", 1, document, document.get("isEnabled") is True, 0, 0, 0))


def stored(document: dict[str, Any]) -> Flow:
    """The flow as it is stored, turned off."""
    return read_flow_to_store(FlowRevision("p", "1", 1, document, False, 0, 0, 0))


def faults(document: dict[str, Any]) -> list[tuple[str, str]]:
    try:
        read(document)
    except InvalidFlow as invalid:
        return [(fault.path, fault.code) for fault in invalid.faults]
    return []


def message(document: dict[str, Any]) -> str:
    with pytest.raises(InvalidFlow) as caught:
        read(document)
    return caught.value.faults[0].message


def operation(**changes: Any) -> dict[str, Any]:
    return {"filterType": "PROPERTY", "property": "last_used", "operation": changes}


@pytest.mark.parametrize(
    "tree",
    [
        branch("AND", CITY),
        branch("OR", branches=[branch("AND", CITY), branch("AND", IN_LIST)]),
        {"filterBranchType": "AND", "filters": [CITY]},
        branch("AND", branches=[{**ASSOCIATION, "operator": "NOT_IN_LIST", "filters": [CITY]}]),
        branch("AND", branches=[ASSOCIATION]),
        branch("AND", CITY, branches=[branch("NOT_ANY", CITY, branches=[branch("AND", IN_LIST)])]),
        branch("OR", branches=[branch("NOT_ALL", CITY, IN_LIST)]),
    ],
)
def test_tree_is_read(tree: dict[str, Any]) -> None:
    read_flow_ = read(flow(tree))
    assert read_flow_.entry is not None
    assert read_flow_.groups == ()
    assert read_flow_.criteria is None


def test_branches_keep_their_meaning() -> None:
    association = {**ASSOCIATION, "operator": "NOT_IN_LIST"}
    tree = branch("AND", CITY, branches=[association, branch("NOT_ANY", CITY), branch("NOT_ALL", CITY)])

    entry = read(flow(tree)).entry

    assert entry is not None
    assert isinstance(entry.criteria, AllOf)
    _, none_associated, not_any, not_all = entry.criteria.parts
    assert isinstance(none_associated, AssociatedWith)
    assert none_associated.criteria.parts == ()
    assert not none_associated.is_in
    assert isinstance(not_any, Not)
    assert isinstance(not_any.part, AnyOf)
    assert isinstance(not_all, Not)
    assert isinstance(not_all.part, AllOf)


def indexed(point: dict[str, Any]) -> dict[str, Any]:
    return operation(operationType="TIME_POINT", operator="IS_BEFORE", timePoint=point)


INDEXED = {"timeType": "INDEXED", "indexReference": {"referenceType": "TODAY"}}
DATE = {"timeType": "DATE", "year": 2026, "month": 1, "day": 1}


@pytest.mark.parametrize(
    ("document", "path", "code"),
    [
        (flow(None), TREE, "NO_CRITERIA"),
        (flow(branch("OR")), TREE, "NO_CRITERIA"),
        (flow(branch("OR", branches=[branch("AND")])), TREE, "NO_CRITERIA"),
        (flow("x"), TREE, "WRONG_TYPE"),
        (flow(branch("XOR", CITY)), f"{TREE}.filterBranchType", "UNKNOWN_BRANCH"),
        (flow(branch("NOT_ALL", CITY)), f"{TREE}.filterBranchType", "UNKNOWN_BRANCH"),
        (flow(branch("RESTRICTED", CITY)), f"{TREE}.filterBranchType", "UNKNOWN_BRANCH"),
        (
            flow(branch("AND", branches=[branch("RESTRICTED")])),
            f"{TREE}.filterBranches[0].filterBranchType",
            "UNKNOWN_BRANCH",
        ),
        (
            flow(branch("OR", branches=[branch("UNIFIED_EVENTS")])),
            f"{TREE}.filterBranches[0].filterBranchType",
            "NOT_YET_SUPPORTED",
        ),
        (
            flow(branch("AND", branches=[branch("UNIFIED_EVENTS")])),
            f"{TREE}.filterBranches[0].filterBranchType",
            "NOT_YET_SUPPORTED",
        ),
        (
            flow(branch("AND", branches=[branch("NOT_ANY")])),
            f"{TREE}.filterBranches[0].filters",
            "EMPTY_BRANCH",
        ),
        (
            flow(branch("AND", {"filterType": "FORM_SUBMISSION", "operator": "FILLED_OUT"})),
            f"{TREE}.filters[0].filterType",
            "NOT_YET_SUPPORTED",
        ),
        (
            flow(branch("AND", {"filterType": "WEBINAR"})),
            f"{TREE}.filters[0].filterType",
            "UNKNOWN_FILTER",
        ),
        (
            flow(branch("AND", {**IN_LIST, "metadata": {"inListType": "WORKFLOWS_ACTIVE", "id": "7"}})),
            f"{TREE}.filters[0].metadata",
            "NOT_YET_SUPPORTED",
        ),
        (
            flow(branch("AND", {**CITY, "operation": {**CITY["operation"], "value": None}})),
            f"{TREE}.filters[0].operation.value",
            "INVALID_OPERAND",
        ),
        (
            flow(branch("AND", CITY), unEnrollObjectsNotMeetingCriteria=True),
            f"{PATH}.unEnrollObjectsNotMeetingCriteria",
            "NOT_YET_SUPPORTED",
        ),
        (flow(branch("AND", CITY), shouldReenroll=True), f"{PATH}.shouldReenroll", "UNKNOWN_KEY"),
        (flow(branch("AND", CITY), shouldReEnroll="yes"), f"{PATH}.shouldReEnroll", "WRONG_TYPE"),
        (flow(branch("AND", CITY), eventFilterBranches=[{}]), f"{PATH}.eventFilterBranches", "MIXED_TRIGGERS"),
        (
            flow(branch("AND", CITY), refinementCriteria=branch("AND", CITY)),
            f"{PATH}.refinementCriteria",
            "CRITERIA_WITHOUT_TRIGGER",
        ),
        (
            flow(branch("AND", CITY), beside={"enrollmentSchedule": {"type": "DAILY"}}),
            "$.enrollmentSchedule",
            "NOT_YET_SUPPORTED",
        ),
        (flow(branch("AND", CITY), beside={"criteriaTolerance": 5}), "$.criteriaTolerance", "NOT_ALLOWED"),
        (flow(branch("AND", *251 * [CITY])), "$", "TOO_MANY_FILTERS"),
        (
            flow(branch("AND", branches=[{**ASSOCIATION, "objectTypeId": f"2-{number}"} for number in range(6)])),
            TREE,
            "TOO_MANY_OBJECT_TYPES",
        ),
    ],
)
def test_tree_that_cannot_run_is_refused_at_its_path(document: dict[str, Any], path: str, code: str) -> None:
    assert (path, code) in faults(document)


@pytest.mark.parametrize(
    "raw_filter",
    [
        operation(operationType="ROLLING_DATE_RANGE", operator="IS_LESS_THAN_X_DAYS_AGO", numberOfDays=3),
        operation(operationType="ROLLING_PROPERTY_UPDATED", operator="UPDATED_IN_LAST_X_DAYS", numberOfDays=3),
        operation(operationType="CALENDAR_DATE", operator="IN_THIS_TIME_UNIT", timeUnit="DAY"),
        indexed(INDEXED),
        {**indexed(DATE), "operation": {**indexed(DATE)["operation"], "propertyParser": "ANNIVERSARY"}},
    ],
)
def test_filter_that_becomes_true_as_time_passes_is_not_supported_yet(raw_filter: dict[str, Any]) -> None:
    assert faults(flow(branch("AND", raw_filter))) == [
        (f"{TREE}.filters[0].operation.operationType", "NOT_YET_SUPPORTED")
    ]
    assert stored(flow(branch("AND", raw_filter), enabled=False)).entry is None


def test_comparison_with_a_fixed_date_is_read() -> None:
    assert faults(flow(branch("AND", indexed(DATE)))) == []


def test_tree_of_more_than_12_levels_is_refused() -> None:
    tree = branch("AND", CITY)
    for _ in range(12):
        tree = branch("OR", branches=[branch("NOT_ANY", branches=[tree])])
    assert "TOO_DEEP" in {code for _, code in faults(flow(tree))}


def test_all_faults_are_reported_together() -> None:
    tree = branch("AND", {"filterType": "WEBINAR"}, {**IN_LIST, "listId": ""}, CITY)
    found = faults(flow(tree, reEnrollmentTriggersFilterBranches=["x"]))
    assert [path for path, _ in found] == [
        f"{TREE}.filters[0].filterType",
        f"{TREE}.filters[1].listId",
        f"{PATH}.reEnrollmentTriggersFilterBranches[0]",
    ]


def test_flow_that_is_off_may_have_criteria_that_do_not_run_yet() -> None:
    tree = branch("AND", {"filterType": "FORM_SUBMISSION", "operator": "FILLED_OUT"})
    assert stored(flow(tree, enabled=False)).entry is None
    assert stored(flow(branch("OR"), enabled=False)).entry is None


def test_malformed_criteria_are_refused_in_a_flow_that_is_off_too() -> None:
    assert faults(flow(branch("AND", {**IN_LIST, "listId": ""}), enabled=False)) == [
        (f"{TREE}.filters[0].listId", "WRONG_TYPE")
    ]


@pytest.mark.parametrize(
    ("written", "means"),
    [
        (("ALL_PROPERTY", "IS_NOT_KNOWN"), ("ALL_PROPERTY", "IS_UNKNOWN")),
        (("STRING", "IS_KNOWN"), ("ALL_PROPERTY", "IS_KNOWN")),
        (("STRING", "IS_UNKNOWN"), ("ALL_PROPERTY", "IS_UNKNOWN")),
    ],
)
def test_spellings_of_exports_have_the_documented_meaning(written: tuple[str, str], means: tuple[str, str]) -> None:
    trees = [branch("AND", operation(operationType=kind, operator=operator)) for kind, operator in (written, means)]
    entries = [read(flow(tree)).entry for tree in trees]
    assert entries[0] == entries[1]


def test_messages_name_what_the_author_meant() -> None:
    relative = indexed({"timeType": "RELATIVE", "offset": {"timeDirection": "PAST"}})
    assert "INDEXED with indexReference TODAY" in message(flow(branch("AND", relative)))
    scheduled = {"name": "x", "type": "CONTACT_FLOW", "enrollmentCriteria": {"type": "PROPERTY_BASED"}}
    assert "enrollmentSchedule.type" in message(scheduled)
    events = {"type": "EVENT_BASED", "listFilterBranch": branch("AND", CITY), "eventFilterBranches": []}
    assert "did you mean refinementCriteria?" in message({**scheduled, "enrollmentCriteria": events})


STAGE = property_filter(["hs_name", "IS_ANY_OF", ["lifecyclestage"]])
KNOWN = property_filter(["hs_value", "IS_KNOWN"])


def with_triggers(*triggers: Any, re_enroll: bool = True) -> dict[str, Any]:
    tree = branch("AND", CITY)
    return flow(tree, shouldReEnroll=re_enroll, reEnrollmentTriggersFilterBranches=list(triggers))


def test_re_enrollment_triggers_are_read_in_both_forms() -> None:
    entry = read(with_triggers(branch("AND", STAGE, KNOWN), branch("AND", IN_LIST))).entry

    assert entry is not None
    assert [type(trigger) for trigger in entry.re_enrollment] == [ChangeTrigger, CriteriaTrigger]
    assert entry.mentions.properties == {"city", "lifecyclestage"}
    assert entry.mentions.lists == {"42"}


def test_re_enrollment_triggers_have_no_effect_in_a_flow_that_enrolls_once() -> None:
    entry = read(with_triggers(branch("AND", STAGE, KNOWN), re_enroll=False)).entry
    assert entry is not None
    assert entry.re_enrollment == ()


@pytest.mark.parametrize(
    ("trigger", "path", "code"),
    [
        (branch("AND", branches=[{**ASSOCIATION, "filters": [CITY]}]), "", "NOT_ALLOWED"),
        (branch("OR", STAGE), ".filterBranchType", "UNKNOWN_BRANCH"),
        (branch("AND", STAGE, branches=[branch("AND", CITY)]), ".filterBranches", "NESTED_BRANCHES"),
        ({**branch("UNIFIED_EVENTS", STAGE), "eventTypeId": "4-1"}, ".eventTypeId", "UNKNOWN_EVENT"),
        (branch("AND", STAGE, CITY), ".filters[1].property", "UNKNOWN_PROPERTY"),
        (branch("UNIFIED_EVENTS"), ".filterBranchType", "NOT_YET_SUPPORTED"),
    ],
)
def test_re_enrollment_trigger_that_is_not_allowed_is_refused(trigger: Any, path: str, code: str) -> None:
    assert (f"{PATH}.reEnrollmentTriggersFilterBranches[0]{path}", code) in faults(with_triggers(trigger))


def test_faults_of_all_branches_of_an_or_branch_are_reported() -> None:
    misspelled = branch("AND", {**CITY, "property": " "})
    tree = branch("OR", branches=[misspelled, branch("XOR", CITY), misspelled])

    assert sorted(faults(flow(tree))) == [
        (f"{TREE}.filterBranches[0].filters[0].property", "WRONG_TYPE"),
        (f"{TREE}.filterBranches[1].filterBranchType", "UNKNOWN_BRANCH"),
        (f"{TREE}.filterBranches[2].filters[0].property", "WRONG_TYPE"),
    ]
