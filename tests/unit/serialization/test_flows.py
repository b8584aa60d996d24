"""Every broken flow is refused, with all its faults by JSON path; every flow that is written right is read."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enrollment.domain.criteria.record_operators import RECORD_OPERATION_TYPES
from enrollment.domain.flows.flow import FlowRevision
from enrollment.serialization.flows import (
    InvalidFlow,
    read_flow,
    read_flow_or_retired,
    read_flow_to_store,
    read_new_flow,
    read_stored_flow,
)
from tests.support.scenario import flow, property_filter

DEMO = Path(__file__).parents[3] / "cli" / "enroll" / "demo" / "flows"
EVENTS = "$.enrollmentCriteria.eventFilterBranches[0]"
REFINEMENT = "$.enrollmentCriteria.refinementCriteria"


def faults(document: dict[str, Any]) -> list[tuple[str, str]]:
    revision = FlowRevision("p", "1", 1, document, document.get("isEnabled") is True, 0, 0, 0)
    try:
        read_flow(revision)
    except InvalidFlow as invalid:
        found = invalid.faults
    else:
        return []
    assert all(fault.message for fault in found)
    return [(fault.path, fault.code) for fault in found]


def with_event(event: str = "forms.submitted", *filters: Any, **changes: Any) -> dict[str, Any]:
    document = flow({"id": 1, "event": event})
    group = document["enrollmentCriteria"]["eventFilterBranches"][0]
    group["filters"] = list(filters)
    group.update(changes)
    return document


def refined(branch: Any) -> dict[str, Any]:
    document = with_event()
    document["enrollmentCriteria"]["refinementCriteria"] = branch
    return document


def changed(**changes: Any) -> dict[str, Any]:
    return {**with_event(), **changes}


def criteria(**changes: Any) -> dict[str, Any]:
    document = with_event()
    document["enrollmentCriteria"].update(changes)
    return document


ASSOCIATION = {
    "filterBranchType": "ASSOCIATION",
    "objectTypeId": "0-2",
    "associationCategory": "HUBSPOT_DEFINED",
    "associationTypeId": 279,
    "operator": "IN_LIST",
    "filterBranches": [],
    "filters": [{"filterType": "IN_LIST", "operator": "IN_LIST", "listId": "42"}],
}


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in ASSOCIATION.items() if name != key}


def on_record(*condition: Any) -> dict[str, Any]:
    return refined({"filterBranchType": "AND", "filterBranches": [], "filters": [property_filter(list(condition))]})


def group_with(filters: Any) -> list[dict[str, Any]]:
    return [{"filterBranchType": "AND", "filterBranches": [], "filters": filters}]


IN_LIST = {"filterType": "IN_LIST", "operator": "IN_LIST", "listId": "42"}
AND: dict[str, Any] = {"filterBranchType": "AND", "filterBranches": [], "filters": []}
OR: dict[str, Any] = {"filterBranchType": "OR", "filterBranches": [], "filters": []}
FORM = property_filter(["hs_form_id", "IS_ANY_OF", ["f-1"]])
CITY = property_filter(["city", "IS_EQUAL_TO", "Cork"])


def form(**operation: Any) -> dict[str, Any]:
    return with_event("forms.submitted", {"filterType": "PROPERTY", "property": "hs_form_id", "operation": operation})


LIST_BRANCH = "$.enrollmentCriteria.listFilterBranch"

BROKEN: list[tuple[str, dict[str, Any], str, str]] = [
    ("type", changed(type="FLOW"), "$.type", "UNKNOWN_TYPE"),
    ("contact flow of deals", changed(objectTypeId="0-3"), "$.objectTypeId", "WRONG_OBJECT_TYPE"),
    ("platform flow of contacts", changed(type="PLATFORM_FLOW"), "$.objectTypeId", "WRONG_OBJECT_TYPE"),
    ("object type", changed(objectTypeId="contacts"), "$.objectTypeId", "UNKNOWN_OBJECT_TYPE"),
    ("enabled as text", changed(isEnabled="yes"), "$.isEnabled", "WRONG_TYPE"),
    ("name", changed(name=7), "$.name", "WRONG_TYPE"),
    ("criteria as text", changed(enrollmentCriteria="x"), "$.enrollmentCriteria", "WRONG_TYPE"),
    ("criteria type", criteria(type="EVENTS"), "$.enrollmentCriteria.type", "UNKNOWN_TYPE"),
    ("triggers in a filter-based flow", criteria(type="LIST_BASED"), EVENTS.removesuffix("[0]"), "MIXED_TRIGGERS"),
    ("filter-based without filters", criteria(type="LIST_BASED"), LIST_BRANCH, "NO_CRITERIA"),
    (
        "manual and on, with a schedule",
        changed(enrollmentCriteria=None, enrollmentSchedule={"type": "DAILY"}),
        "$.enrollmentSchedule",
        "NOT_YET_SUPPORTED",
    ),
    ("no trigger", criteria(eventFilterBranches=[]), "$.enrollmentCriteria", "NO_TRIGGER"),
    (
        "criteria without a trigger",
        criteria(eventFilterBranches=[], refinementCriteria={**AND, "filters": [CITY]}),
        "$.enrollmentCriteria",
        "NO_TRIGGER",
    ),
    (
        "groups as object",
        criteria(eventFilterBranches={}),
        "$.enrollmentCriteria.eventFilterBranches",
        "WRONG_TYPE",
    ),
    ("re-enroll", criteria(shouldReEnroll="no"), "$.enrollmentCriteria.shouldReEnroll", "WRONG_TYPE"),
    ("schedule", changed(enrollmentSchedule={"x": 1}), "$.enrollmentSchedule", "SCHEDULE_WITH_EVENTS"),
    ("suppression lists", changed(suppressionListIds=[12, None]), "$.suppressionListIds[1]", "WRONG_TYPE"),
    ("suppression filter", changed(suppressionFilterBranch="x"), "$.suppressionFilterBranch", "WRONG_TYPE"),
    (
        "goal",
        changed(goalFilterBranch={**AND, "filters": [{"filterType": "SURVEY"}]}),
        "$.goalFilterBranch.filters[0].filterType",
        "UNKNOWN_FILTER",
    ),
    ("unenrollment", changed(unEnrollmentSetting={"type": "ALL"}), "$.unEnrollmentSetting", "NOT_YET_SUPPORTED"),
    (
        "operator of a branch",
        refined({**AND, "filterBranchOperator": "OR", "filters": [CITY]}),
        f"{REFINEMENT}.filterBranchOperator",
        "UNKNOWN_OPERATOR",
    ),
    (
        "goal with another key",
        changed(goalFilterBranch={**AND, "filter": [CITY]}),
        "$.goalFilterBranch.filters",
        "EMPTY_BRANCH",
    ),
    (
        "goal of no type",
        changed(goalFilterBranch={"filterBranchType": "XYZ"}),
        "$.goalFilterBranch.filterBranchType",
        "UNKNOWN_BRANCH",
    ),
    ("tolerance", changed(criteriaTolerance=31), "$.criteriaTolerance", "WRONG_TYPE"),
    ("tolerance below", changed(criteriaTolerance=-1), "$.criteriaTolerance", "WRONG_TYPE"),
    ("tolerance as text", changed(criteriaTolerance="5"), "$.criteriaTolerance", "WRONG_TYPE"),
    ("limit", changed(enrollmentRateLimit=5), "$.enrollmentRateLimit", "WRONG_TYPE"),
    ("limit of none", changed(enrollmentRateLimit={"count": 0}), "$.enrollmentRateLimit.count", "WRONG_TYPE"),
    (
        "limit of too many",
        changed(enrollmentRateLimit={"count": 1_001, "period": "SECOND"}),
        "$.enrollmentRateLimit.count",
        "WRONG_TYPE",
    ),
    (
        "limit in no period",
        changed(enrollmentRateLimit={"count": 5, "period": "MINUTES"}),
        "$.enrollmentRateLimit.period",
        "UNKNOWN_OPTION",
    ),
    ("branch type", with_event(filterBranchType="AND"), f"{EVENTS}.filterBranchType", "UNKNOWN_BRANCH"),
    ("branch operator", with_event(filterBranchOperator="OR"), f"{EVENTS}.filterBranchOperator", "UNKNOWN_OPERATOR"),
    ("has not", with_event(operator="HAS_NOT_COMPLETED"), f"{EVENTS}.operator", "HAS_NOT_COMPLETED"),
    ("operator", with_event(operator="HAS"), f"{EVENTS}.operator", "UNKNOWN_OPERATOR"),
    ("nested", with_event(filterBranches=[AND]), f"{EVENTS}.filterBranches", "NESTED_BRANCHES"),
    ("unknown event", with_event("forms.submited"), f"{EVENTS}.eventTypeId", "UNKNOWN_EVENT"),
    ("unknown event id", with_event("4-1"), f"{EVENTS}.eventTypeId", "UNKNOWN_EVENT"),
    ("lists as an event", with_event("lists.membership_changed"), f"{EVENTS}.eventTypeId", "WRONG_BRANCH"),
    (
        "contact event of a deal flow",
        {**with_event(), "type": "PLATFORM_FLOW", "objectTypeId": "0-3"},
        f"{EVENTS}.eventTypeId",
        "EVENT_NOT_ALLOWED",
    ),
    ("object created refined", with_event("crm.object_created", FORM), f"{EVENTS}.filters", "NOT_REFINABLE"),
    (
        "unknown property",
        with_event("forms.submitted", property_filter(["hs_fom_id", "IS_KNOWN"])),
        f"{EVENTS}.filters[0].property",
        "UNKNOWN_PROPERTY",
    ),
    (
        "property of another event",
        with_event("forms.submitted", property_filter(["hs_field_name", "IS_KNOWN"])),
        f"{EVENTS}.filters[0].property",
        "UNKNOWN_PROPERTY",
    ),
    (
        "number on a form",
        with_event("forms.submitted", property_filter(["hs_form_id", "IS_GREATER_THAN", 3])),
        f"{EVENTS}.filters[0].operation.operationType",
        "OPERATION_NOT_ALLOWED",
    ),
    (
        "record operation on an event",
        form(operationType="ROLLING_DATE_RANGE", operator="IS_LESS_THAN_X_DAYS_AGO", numberOfDays=3),
        f"{EVENTS}.filters[0].operation.operationType",
        "OPERATION_NOT_ALLOWED",
    ),
    (
        "history on an event",
        form(operationType="STRING", operator="HAS_EVER_BEEN_EQUAL_TO", value="x"),
        f"{EVENTS}.filters[0].operation.operator",
        "HISTORY_ON_EVENT",
    ),
    (
        "equal on options",
        form(operationType="ENUMERATION", operator="IS_EQUAL_TO", values=["x"]),
        f"{EVENTS}.filters[0].operation.operator",
        "UNKNOWN_OPERATOR",
    ),
    (
        "record's operator on an event",
        form(operationType="ENUMERATION", operator="CONTAINS_ALL", values=["x"]),
        f"{EVENTS}.filters[0].operation.operator",
        "UNKNOWN_OPERATOR",
    ),
    (
        "no values",
        form(operationType="ENUMERATION", operator="IS_ANY_OF"),
        f"{EVENTS}.filters[0].operation.values",
        "INVALID_OPERAND",
    ),
    ("no operation", form(), f"{EVENTS}.filters[0].operation.operationType", "WRONG_TYPE"),
    ("filter type", with_event("forms.submitted", IN_LIST), f"{EVENTS}.filters[0].filterType", "UNKNOWN_FILTER"),
    (
        "two list filters",
        criteria(listMembershipFilterBranches=group_with([IN_LIST, IN_LIST])),
        "$.enrollmentCriteria.listMembershipFilterBranches[0]",
        "WRONG_BRANCH",
    ),
    (
        "list operator",
        criteria(listMembershipFilterBranches=group_with([{**IN_LIST, "operator": "IN"}])),
        "$.enrollmentCriteria.listMembershipFilterBranches[0].filters[0].operator",
        "UNKNOWN_OPERATOR",
    ),
    (
        "list id",
        criteria(listMembershipFilterBranches=group_with([{**IN_LIST, "listId": None}])),
        "$.enrollmentCriteria.listMembershipFilterBranches[0].filters[0].listId",
        "WRONG_TYPE",
    ),
    (
        "list group with a blank listId",
        criteria(listMembershipFilterBranches=group_with([{**IN_LIST, "listId": " "}])),
        "$.enrollmentCriteria.listMembershipFilterBranches[0].filters[0].listId",
        "WRONG_TYPE",
    ),
    (
        "branches that are no list",
        changed(goalFilterBranch={**AND, "filterBranches": 5}),
        "$.goalFilterBranch.filterBranches",
        "WRONG_TYPE",
    ),
    ("empty AND", refined(AND), f"{REFINEMENT}.filters", "EMPTY_BRANCH"),
    ("empty OR", refined(OR), f"{REFINEMENT}.filterBranches", "EMPTY_BRANCH"),
    ("branch", refined({"filterBranchType": "XOR"}), f"{REFINEMENT}.filterBranchType", "UNKNOWN_BRANCH"),
    ("no branch", refined("x"), REFINEMENT, "WRONG_TYPE"),
    (
        "filters in OR",
        refined({**OR, "filters": [CITY], "filterBranches": [{**AND, "filters": [CITY]}]}),
        f"{REFINEMENT}.filters",
        "FILTERS_IN_OR",
    ),
    (
        "OR in OR",
        refined({**OR, "filterBranches": [OR]}),
        f"{REFINEMENT}.filterBranches[0].filterBranchType",
        "UNKNOWN_BRANCH",
    ),
    (
        "AND in AND",
        refined({**AND, "filterBranches": [{**AND, "filters": [CITY]}]}),
        f"{REFINEMENT}.filterBranches[0]",
        "UNKNOWN_BRANCH",
    ),
    *(
        (f"association without {key}", refined({**AND, "filterBranches": [without(key)]}), path, code)
        for key, path, code in (
            ("objectTypeId", f"{REFINEMENT}.filterBranches[0].objectTypeId", "UNKNOWN_OBJECT_TYPE"),
            ("associationCategory", f"{REFINEMENT}.filterBranches[0].associationCategory", "UNKNOWN_OPTION"),
            ("associationTypeId", f"{REFINEMENT}.filterBranches[0].associationTypeId", "WRONG_TYPE"),
        )
    ),
    (
        "association in association",
        refined({**AND, "filterBranches": [{**ASSOCIATION, "filterBranches": [ASSOCIATION]}]}),
        f"{REFINEMENT}.filterBranches[0].filterBranches",
        "NESTED_BRANCHES",
    ),
    (
        "list filter",
        refined({**AND, "filters": [{**IN_LIST, "listId": ""}]}),
        f"{REFINEMENT}.filters[0].listId",
        "WRONG_TYPE",
    ),
    (
        "constant",
        refined({**AND, "filters": [{"filterType": "CONSTANT"}]}),
        f"{REFINEMENT}.filters[0].shouldAccept",
        "WRONG_TYPE",
    ),
    (
        "other filter",
        refined({**AND, "filters": [{"filterType": "SURVEY"}]}),
        f"{REFINEMENT}.filters[0].filterType",
        "UNKNOWN_FILTER",
    ),
    (
        "unknown operation",
        on_record("city", "IS_EQUAL_TO", "x", "STRNG"),
        f"{REFINEMENT}.filters[0].operation.operationType",
        "UNKNOWN_OPERATION",
    ),
    (
        "date that is none",
        on_record("d", "EQUAL", [2025, "FEB", 29], "DATE"),
        f"{REFINEMENT}.filters[0].operation.day",
        "INVALID_OPERAND",
    ),
]


@pytest.mark.parametrize(("document", "path", "code"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN])
def test_broken(document: dict[str, Any], path: str, code: str) -> None:
    assert (path, code) in faults(document)


@pytest.mark.parametrize("kind", sorted(RECORD_OPERATION_TYPES))
def test_error_names_an_operator_that_records_do_not_have(kind: str) -> None:
    path = f"{REFINEMENT}.filters[0].operation.operator"
    given_filter = {"filterType": "PROPERTY", "property": "x", "operation": {"operationType": kind, "operator": "ANY"}}
    assert faults(refined({**AND, "filters": [given_filter]})) == [(path, "UNKNOWN_OPERATOR")]


def test_all_errors_are_reported_at_once_with_suggestions() -> None:
    document = with_event("forms.submitted", property_filter(["hs_fom_id", "IS_KNOWN"]), operator="HAS_NOT_COMPLETED")
    document["suppressionListIds"] = [None]
    document["enrollmentCriteria"]["refinementCriteria"] = {**AND, "filters": [{**IN_LIST, "listId": None}]}
    with pytest.raises(InvalidFlow) as raised:
        read_flow(FlowRevision("p", "1", 1, document, True, 0, 0, 0))
    assert len(raised.value.faults) == 4
    assert "did you mean hs_form_id?" in str(raised.value)


def test_branches_without_filters_are_not_a_goal() -> None:
    assert faults(changed(goalFilterBranch={**OR, "filterBranches": [AND]}, suppressionFilterBranch=AND)) == []


def test_more_than_250_filters() -> None:
    assert faults(with_event("forms.submitted", *[FORM] * 250)) == []
    assert faults(with_event("forms.submitted", *[FORM] * 251)) == [("$", "TOO_MANY_FILTERS")]


def test_deep_branches_are_rejected_without_exhausting_the_stack() -> None:
    branch: Any = {**AND, "filters": [CITY]}
    for _ in range(5_000):
        branch = {**OR, "filterBranches": [{**AND, "filterBranches": [branch]}]}
    assert faults(refined(branch))
    assert faults(changed(goalFilterBranch=branch))


@pytest.mark.parametrize(
    ("make", "path"),
    [
        (lambda deep: changed(name=deep), "$.name"),
        (lambda deep: changed(goalFilterBranch=AND | {"filterBranches": deep}), "$.goalFilterBranch.filterBranches[0]"),
        (
            lambda deep: with_event("forms.submitted", FORM | {"operation": FORM["operation"] | {"values": deep}}),
            f"{EVENTS}.filters[0].operation.values",
        ),
    ],
)
def test_branch_too_deep_to_print_is_rejected(make: Callable[[Any], Any], path: str) -> None:
    deep: Any = []
    for _ in range(5_000):
        deep = [deep]
    assert path in {at for at, _ in faults(make(deep))}


def test_a_filter_based_flow_that_is_off_is_stored() -> None:
    filters = {"type": "LIST_BASED", "shouldReEnroll": False, "listFilterBranch": {**OR, "filterBranches": []}}
    document = {"type": "CONTACT_FLOW", "isEnabled": False, "enrollmentCriteria": filters}
    assert faults(document) == [("$.enrollmentCriteria.listFilterBranch", "NO_CRITERIA")]
    assert read_flow_to_store(FlowRevision("p", "1", 1, document, False, 0, 0, 0)).entry is None
    assert faults({"type": "CONTACT_FLOW", "isEnabled": False}) == []


@pytest.mark.parametrize("path", sorted(DEMO.glob("*.json")), ids=lambda path: path.stem)
def test_demonstration_flows_are_valid(path: Path) -> None:
    assert faults(json.loads(path.read_text(encoding="utf-8"))) == []


WHOLE = with_event("forms.submitted", FORM)
WHOLE["enrollmentCriteria"]["refinementCriteria"] = {**OR, "filterBranches": [{**AND, "filters": [CITY]}]}
WHOLE["enrollmentCriteria"]["listMembershipFilterBranches"] = group_with([IN_LIST])


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] * bool(path) + [place for key, child in children for place in places(child, (*path, key))]


@given(
    st.sampled_from(places(WHOLE)),
    st.sampled_from([None, True, 0, -1, 1.5, float("nan"), "", "x", "\ud800", [], [None], {}, {"a": {}}, [[[]]]]),
)
def test_any_value_in_any_place_is_read_or_rejected(place: tuple[Any, ...], value: Any) -> None:
    document = copy.deepcopy(WHOLE)
    holder: Any = document
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = value
    for path, code in faults(document):
        assert path.startswith("$")
        assert code.isupper()


# Kinds of flow ------------------------------------------------------------------------------------------------------

KINDS: dict[str, dict[str, Any]] = {
    "EVENT_BASED": with_event(),
    "MANUAL": changed(enrollmentCriteria={"type": "MANUAL", "shouldReEnroll": True}),
    "LIST_BASED": changed(enrollmentCriteria={"type": "LIST_BASED", "listFilterBranch": {**AND, "filters": [CITY]}}),
}
CRITERIA = "$.enrollmentCriteria"
MEMBER_OF_FLOW = {**IN_LIST, "listId": "0", "metadata": {"id": "7", "inListType": "WORKFLOWS_ACTIVE"}}
DAILY = {"type": "DAILY", "timeOfDay": {"hour": 9, "minute": 0}}
RANGE = {"type": "RELATIVE_COMPARATIVE", "comparison": "AFTER"}
TIMES_TWO = {"type": "NUM_OCCURRENCES", "minOccurrences": 2}

# By key of HubSpot's format that changes who enrolls: its value, and by kind of flow its path and the code of the
# fault. A key of ``enrollmentCriteria`` starts with a dot.
NOT_EVALUATED: list[tuple[str, Any, dict[str, tuple[str, str]]]] = [
    ("unEnrollmentSetting", {"type": "ALL"}, dict.fromkeys(KINDS, ("$.unEnrollmentSetting", "NOT_YET_SUPPORTED"))),
    ("entryPolicy", {"maxEntryCount": 3}, dict.fromkeys(KINDS, ("$.entryPolicy", "NOT_YET_SUPPORTED"))),
    ("enrollMergedRecords", True, dict.fromkeys(KINDS, ("$.enrollMergedRecords", "NOT_YET_SUPPORTED"))),
    ("historyHorizon", "AS_KEPT", dict.fromkeys(KINDS, ("$.historyHorizon", "NOT_YET_SUPPORTED"))),
    (
        "enrollmentSchedule",
        DAILY,
        {
            "EVENT_BASED": ("$.enrollmentSchedule", "SCHEDULE_WITH_EVENTS"),
            "MANUAL": ("$.enrollmentSchedule", "NOT_YET_SUPPORTED"),
            "LIST_BASED": ("$.enrollmentSchedule", "NOT_YET_SUPPORTED"),
        },
    ),
    (
        ".unEnrollObjectsNotMeetingCriteria",
        True,
        dict.fromkeys(KINDS, (f"{CRITERIA}.unEnrollObjectsNotMeetingCriteria", "NOT_YET_SUPPORTED")),
    ),
    (
        ".listFilterBranch",
        {**AND, "filters": [CITY]},
        dict.fromkeys(("EVENT_BASED", "MANUAL"), (f"{CRITERIA}.listFilterBranch", "MIXED_TRIGGERS")),
    ),
    (
        ".reEnrollmentTriggersFilterBranches",
        [AND],
        dict.fromkeys(("EVENT_BASED", "MANUAL"), (f"{CRITERIA}.reEnrollmentTriggersFilterBranches", "MIXED_TRIGGERS")),
    ),
    (
        ".eventFilterBranches",
        with_event()["enrollmentCriteria"]["eventFilterBranches"],
        dict.fromkeys(("LIST_BASED", "MANUAL"), (f"{CRITERIA}.eventFilterBranches", "MIXED_TRIGGERS")),
    ),
    (
        ".listMembershipFilterBranches",
        group_with([IN_LIST]),
        dict.fromkeys(("LIST_BASED", "MANUAL"), (f"{CRITERIA}.listMembershipFilterBranches", "MIXED_TRIGGERS")),
    ),
    (
        ".refinementCriteria",
        {**AND, "filters": [CITY]},
        dict.fromkeys(("LIST_BASED", "MANUAL"), (f"{CRITERIA}.refinementCriteria", "CRITERIA_WITHOUT_TRIGGER")),
    ),
    (
        ".eventFilterBranches",
        [{**with_event()["enrollmentCriteria"]["eventFilterBranches"][0], "eventTypeId": "6-12"}],
        {"EVENT_BASED": (f"{EVENTS}.eventTypeId", "NOT_YET_SUPPORTED")},
    ),
    (
        ".eventFilterBranches",
        [{**with_event()["enrollmentCriteria"]["eventFilterBranches"][0], "coalescingRefineBy": TIMES_TWO}],
        {"EVENT_BASED": (f"{EVENTS}.coalescingRefineBy", "NOT_YET_SUPPORTED")},
    ),
    (
        ".eventFilterBranches",
        [{**with_event()["enrollmentCriteria"]["eventFilterBranches"][0], "pruningRefineBy": RANGE}],
        {"EVENT_BASED": (f"{EVENTS}.pruningRefineBy", "NOT_YET_SUPPORTED")},
    ),
    (
        ".listMembershipFilterBranches",
        group_with([MEMBER_OF_FLOW]),
        {"EVENT_BASED": (f"{CRITERIA}.listMembershipFilterBranches[0].filters[0].metadata", "NOT_YET_SUPPORTED")},
    ),
]


def with_key(kind: str, key: str, value: Any) -> dict[str, Any]:
    document = copy.deepcopy(KINDS[kind])
    part = document["enrollmentCriteria"] if key.startswith(".") else document
    part[key.removeprefix(".")] = value
    return document


@pytest.mark.parametrize(
    ("kind", "key", "value", "fault"),
    [(kind, key, value, fault) for key, value, kinds in NOT_EVALUATED for kind, fault in kinds.items()],
)
def test_key_that_changes_who_enrolls_is_refused_in_every_kind_of_flow(
    kind: str, key: str, value: Any, fault: tuple[str, str]
) -> None:
    assert fault in faults(with_key(kind, key, value))


EVENT_FILTERS = [
    *("UNIFIED_EVENTS", "EVENT", "FORM_SUBMISSION", "FORM_SUBMISSION_ON_PAGE", "PAGE_VIEW", "EMAIL_EVENT"),
    *("CTA", "EMAIL_SUBSCRIPTION", "COMMUNICATION_SUBSCRIPTION", "ASSOCIATION"),
]
BRANCH_ABOUT_EVENTS = {"filterBranchType": "UNIFIED_EVENTS", "operator": "HAS_COMPLETED", "eventTypeId": "4-1639801"}
NO_SOURCE = [
    *("INTEGRATION_EVENT", "SURVEY_MONKEY", "SURVEY_MONKEY_VALUE", "WEBINAR", "PRIVACY", "ADS_SEARCH", "ADS_TIME"),
    *("NUM_ASSOCIATIONS", "CAMPAIGN_INFLUENCED", "PROPERTY_ASSOCIATION"),
]


def in_criteria(place: str, branch: Any) -> tuple[dict[str, Any], str]:
    """A flow with a branch in one of its criteria, and the path of the branch."""
    if place == "refinementCriteria":
        return refined(branch), REFINEMENT
    return {**KINDS["MANUAL"], place: branch}, f"$.{place}"


@pytest.mark.parametrize("place", ["refinementCriteria", "suppressionFilterBranch", "goalFilterBranch"])
def test_criteria_that_are_not_evaluated_are_refused_by_name(place: str) -> None:
    for kinds, code in ((EVENT_FILTERS, "NOT_YET_SUPPORTED"), (NO_SOURCE, "UNKNOWN_FILTER")):
        document, path = in_criteria(place, {**AND, "filters": [{"filterType": kind} for kind in kinds]})
        assert faults(document) == [(f"{path}.filters[{n}].filterType", code) for n in range(len(kinds))]
    member, path = in_criteria(place, {**AND, "filters": [MEMBER_OF_FLOW]})
    assert faults(member) == [(f"{path}.filters[0].metadata", "NOT_YET_SUPPORTED")]
    for branch in ({**AND, "filterBranches": [BRANCH_ABOUT_EVENTS]}, {**OR, "filterBranches": [BRANCH_ABOUT_EVENTS]}):
        document, path = in_criteria(place, branch)
        assert faults(document) == [(f"{path}.filterBranches[0].filterBranchType", "NOT_YET_SUPPORTED")]
    document, path = in_criteria(place, BRANCH_ABOUT_EVENTS)
    assert faults(document) == [(f"{path}.filterBranchType", "NOT_YET_SUPPORTED")]


def test_all_keys_that_are_not_evaluated_are_reported_at_once() -> None:
    document = with_key("MANUAL", ".unEnrollObjectsNotMeetingCriteria", True)
    document |= {"enrollmentSchedule": DAILY, "unEnrollmentSetting": {"type": "SELECTIVE", "flowIds": ["9"]}}
    assert {path for path, _ in faults(document)} == {
        f"{CRITERIA}.unEnrollObjectsNotMeetingCriteria",
        "$.enrollmentSchedule",
        "$.unEnrollmentSetting",
    }


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("unEnrollmentSetting", {"type": "NONE", "flowIds": []}),
        (".unEnrollObjectsNotMeetingCriteria", False),
        ("enrollMergedRecords", False),
        ("enrollmentSchedule", None),
        (".eventFilterBranches", []),
        (".refinementCriteria", None),
        # They say when and how actions run.
        ("eventAnchor", {"type": "STATIC_DATE_ANCHOR", "month": "JUNE", "dayOfMonth": 1}),
        ("timeWindows", [{"day": "MONDAY"}]),
        ("canEnrollFromSalesforce", True),
    ],
)
def test_key_without_an_effect_on_enrollment_is_accepted(key: str, value: Any) -> None:
    assert faults(with_key("MANUAL", key, value)) == []


def test_manual_flow_has_suppression_goal_and_re_enrollment() -> None:
    document = {**KINDS["MANUAL"], "suppressionListIds": [7], "goalFilterBranch": {**AND, "filters": [CITY]}}
    read = read_flow(FlowRevision("p", "1", 1, document, True, 0, 0, 0))
    assert (read.groups, read.criteria, read.should_re_enroll) == ((), None, True)
    assert read.suppression is not None
    assert read.goal is not None


def test_flow_that_cannot_run_is_stored_only_if_it_is_off() -> None:
    document = {**KINDS["MANUAL"], "enrollmentSchedule": DAILY}
    off = FlowRevision("p", "1", 1, {**document, "isEnabled": False}, False, None, 0, 0)
    assert read_flow_to_store(off).groups == ()
    assert read_flow_or_retired(off).is_enabled is False
    for revision in (
        FlowRevision("p", "1", 1, document, True, 0, 0, 0),
        FlowRevision("p", "1", 1, {**document, "isEnabled": False, "recordTolerance": -1}, False, None, 0, 0),
    ):
        with pytest.raises(InvalidFlow):
            read_flow_to_store(revision)


# Keys that are not evaluated ----------------------------------------------------------------------------------------

TIMES_THREE = {"type": "NUM_OCCURRENCES", "minOccurrences": 3}
CITY = property_filter(["city", "IS_KNOWN"])
IN_LIST = {"filterType": "IN_LIST", "operator": "IN_LIST", "listId": "1"}
OF_FORM = property_filter(["hs_form_id", "IS_ANY_OF", ["f-1"]])
POINT = {"timeType": "INDEXED", "indexReference": {"referenceType": "NOW"}, "zoneId": "UTC", "offset": {"days": -1}}


def at_time(point: Any, **more: Any) -> dict[str, Any]:
    operation = {"operationType": "TIME_POINT", "operator": "IS_BEFORE", "timePoint": point, **more}
    return refined({"filterBranchType": "AND", "filters": [{**CITY, "operation": operation}]})


UNKNOWN_KEYS = [
    (with_event(coalescingRefineBy=TIMES_THREE), f"{EVENTS}.coalescingRefineBy", "NOT_YET_SUPPORTED"),
    (with_event(pruningRefineBy={"type": "RELATIVE_COMPARATIVE"}), f"{EVENTS}.pruningRefineBy", "NOT_YET_SUPPORTED"),
    (with_event(coalesingRefineBy=TIMES_THREE), f"{EVENTS}.coalesingRefineBy", "UNKNOWN_KEY"),
    (with_event("forms.submitted", {**OF_FORM, "coalescingRefineBy": TIMES_THREE}),
     f"{EVENTS}.filters[0].coalescingRefineBy", "NOT_YET_SUPPORTED"),
    (with_event("forms.submitted", {**OF_FORM, "operation": {**OF_FORM["operation"], "pruningRefineBy": [1]}}),
     f"{EVENTS}.filters[0].operation.pruningRefineBy", "NOT_YET_SUPPORTED"),
    (with_event("forms.submitted", {**OF_FORM, "operation": {**OF_FORM["operation"], "defaultValue": "f-1"}}),
     f"{EVENTS}.filters[0].operation.defaultValue", "UNKNOWN_KEY"),
    (with_event("forms.submitted", {**OF_FORM, "negate": True}), f"{EVENTS}.filters[0].negate", "UNKNOWN_KEY"),
    (criteria(unEnrollObjectsNotMeetingCriteria=True),
     "$.enrollmentCriteria.unEnrollObjectsNotMeetingCriteria", "NOT_YET_SUPPORTED"),
    (criteria(shouldReenroll=True), "$.enrollmentCriteria.shouldReenroll", "UNKNOWN_KEY"),
    (criteria(listMembershipFilterBranches=[{**group_with([IN_LIST])[0], "coalescingRefineBy": TIMES_THREE}]),
     "$.enrollmentCriteria.listMembershipFilterBranches[0].coalescingRefineBy", "NOT_YET_SUPPORTED"),
    (criteria(listMembershipFilterBranches=group_with([{**IN_LIST, "metadata": {"id": "7", "inListType": "IMPORT"}}])),
     "$.enrollmentCriteria.listMembershipFilterBranches[0].filters[0].metadata", "NOT_YET_SUPPORTED"),
    (refined({"filterBranchType": "AND", "filters": [CITY], "negate": True}), f"{REFINEMENT}.negate", "UNKNOWN_KEY"),
    (refined({"filterBranchType": "AND", "filters": [{**CITY, "coalescingRefineBy": TIMES_THREE}]}),
     f"{REFINEMENT}.filters[0].coalescingRefineBy", "NOT_YET_SUPPORTED"),
    (refined({"filterBranchType": "AND", "filters": [{**CITY, "operation": {**CITY["operation"], "operatr": "x"}}]}),
     f"{REFINEMENT}.filters[0].operation.operatr", "UNKNOWN_KEY"),
    (refined({"filterBranchType": "AND", "filters": [
        {"filterType": "IN_LIST", "operator": "IN_LIST", "listId": "0", "metadata": {"id": "7"}}]}),
     f"{REFINEMENT}.filters[0].metadata", "NOT_YET_SUPPORTED"),
    (refined({"filterBranchType": "AND", "filters": [{"filterType": "CONSTANT", "shouldAccept": True, "accept": 1}]}),
     f"{REFINEMENT}.filters[0].accept", "UNKNOWN_KEY"),
    (refined({"filterBranchType": "AND", "filters": [], "filterBranches": [{**ASSOCIATION, "minimum": 3}]}),
     f"{REFINEMENT}.filterBranches[0].minimum", "UNKNOWN_KEY"),
    (changed(goalFilterBranch={"filterBranchType": "AND", "filters": [CITY], "pruningRefineBy": {"type": "X"}}),
     "$.goalFilterBranch.pruningRefineBy", "NOT_YET_SUPPORTED"),
    (at_time(POINT, endpointBehaviour="INCLUSIVE"),
     f"{REFINEMENT}.filters[0].operation.endpointBehaviour", "UNKNOWN_KEY"),
    (at_time({**POINT, "ofset": {"days": 1}}), f"{REFINEMENT}.filters[0].operation.timePoint.ofset", "UNKNOWN_KEY"),
    (at_time({**POINT, "indexReference": {"referenceType": "TODAY", "weekday": "MONDAY"}}),
     f"{REFINEMENT}.filters[0].operation.timePoint.indexReference.weekday", "UNKNOWN_KEY"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("document", "path", "code"), UNKNOWN_KEYS, ids=[unknown_key[1] for unknown_key in UNKNOWN_KEYS]
)
def test_error_names_a_key_that_is_not_evaluated(document: dict[str, Any], path: str, code: str) -> None:
    assert faults(document) == [(path, code)]


def test_a_misspelled_key_suggests_the_right_one() -> None:
    document = with_event("forms.submitted", {**OF_FORM, "propery": "x"}, filterz=[])
    document["enrollmentCriteria"]["refinmentCriteria"] = {"filterBranchType": "AND", "filters": [CITY]}
    with pytest.raises(InvalidFlow) as refused:
        read_flow(FlowRevision("p", "1", 1, document, True, 0, 0, 0))
    assert [fault.meant for fault in refused.value.faults] == ["refinementCriteria", "property"]
    assert "did you mean refinementCriteria?" in str(refused.value)


def new_faults(document: dict[str, Any]) -> list[tuple[str, str | None]]:
    """The paths of the faults of a proposed flow, with the keys that were probably meant."""
    try:
        read_new_flow(FlowRevision("p", "1", 1, document, document.get("isEnabled") is True, 0, 0, 0))
    except InvalidFlow as invalid:
        return [(fault.path, fault.meant) for fault in invalid.faults]
    return []


def renamed(old: str, new: str) -> dict[str, Any]:
    document = {"suppressionListIds": [7], "goalFilterBranch": group_with([CITY])[0], **with_event()}
    return {new if key == old else key: value for key, value in document.items()}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (renamed("enrollmentCriteria", "enrolmentCriteria"), [("$.enrolmentCriteria", "enrollmentCriteria")]),
        (renamed("enrollmentCriteria", "EnrollmentCriteria"), [("$.EnrollmentCriteria", "enrollmentCriteria")]),
        (renamed("enrollmentCriteria", "enrollment_criteria"), [("$.enrollment_criteria", "enrollmentCriteria")]),
        (renamed("suppressionListIds", "supressionListIds"), [("$.supressionListIds", "suppressionListIds")]),
        (renamed("goalFilterBranch", "goalFilterBranches"), [("$.goalFilterBranches", "goalFilterBranch")]),
        (renamed("isEnabled", "enabled"), [("$.enabled", "isEnabled")]),
        (changed(criteriaTolerence=5), [("$.criteriaTolerence", "criteriaTolerance")]),
        (changed(shouldReEnroll=True), [("$.shouldReEnroll", "enrollmentCriteria.shouldReEnroll")]),
        (criteria(shouldReenroll=True), [("$.enrollmentCriteria.shouldReenroll", "shouldReEnroll")]),
        ({**changed(isEnabled=False), "enrollmentCriteria": {"type": "LIST_BASED", "shouldReenroll": True}},
         [("$.enrollmentCriteria.shouldReenroll", "shouldReEnroll"), ("$.enrollmentCriteria.listFilterBranch", None)]),
        ({**changed(isEnabled=False), "enrollmentCriteria": {"Type": "EVENT_BASED"}},
         [("$.enrollmentCriteria.Type", "type"), ("$.enrollmentCriteria.type", None)]),
        # Other keys of exports, and keys without a value, are stored and returned.
        (changed(flowType="WORKFLOW", types=["x"], names="x", description="x", unknown={"x": 1}, dataSources=[]), []),
        (changed(enrolmentCriteria=None, suppressionListId=[]), []),
    ],
)  # fmt: skip
def test_misspelled_key_of_a_proposed_flow_names_the_right_key(
    document: dict[str, Any], expected: list[tuple[str, str | None]]
) -> None:
    assert new_faults(document) == expected


def test_misspelled_keys_are_reported_with_all_other_faults() -> None:
    document = {**renamed("enrollmentCriteria", "enrolmentCriteria"), "recordTolerance": -1, "supressionListIds": [1]}
    assert [path for path, _ in new_faults(document)] == [
        "$.enrolmentCriteria", "$.supressionListIds", "$.recordTolerance",
    ]  # fmt: skip
    with pytest.raises(InvalidFlow) as refused:
        read_new_flow(FlowRevision("p", "1", 1, document, True, 0, 0, 0))
    message = refused.value.faults[0].message
    assert message == (
        "expected enrollmentCriteria, got 'enrolmentCriteria', which would be ignored - did you mean "
        "enrollmentCriteria?"
    )


def test_stored_flow_with_a_misspelled_key_continues_to_enroll() -> None:
    assert faults(changed(supressionListIds=[7])) == []


NULLS = {"coalescingRefineBy": None, "pruningRefineBy": None, "unknown": None}
EXPORTED = {"frameworkFilterId": 7, "filterInsightsId": None, "context": None, "source": None}
SHOWN = {"propertyType": "enumeration", "operatorName": "IS_ANY_OF", "defaultValue": None, "renderSpec": "x"}


def test_export_keys_without_meaning_are_accepted() -> None:
    every_history = {"coalescingRefineBy": {"type": "ALL_HISTORY"}, "pruningRefineBy": {"type": "ALL_HISTORY"}}
    spoken = {**OF_FORM, **NULLS, **EXPORTED, "operation": {**OF_FORM["operation"], **NULLS, **SHOWN}}
    document = with_event("forms.submitted", spoken, **every_history, **{"unknown": None})
    dated = {"operationType": "DATETIME", "operator": "IS_BEFORE", "timestamp": 1_764_000_000_000}
    timed = {"operationType": "TIME_POINT", "operator": "IS_BEFORE", "type": "TIME_POINT", "propertyParser": None}
    week = {"referenceType": "WEEK", "dayOfWeek": None, "hour": None, "day": None}
    document["enrollmentCriteria"] |= {
        **{"unEnrollObjectsNotMeetingCriteria": False, "reEnrollmentTriggersFilterBranches": []},
        "listFilterBranch": None,
        **{"listFilterBranches": [], "filters": None, "unEnrollmentType": "", "shouldReEnroll": None},
        "listMembershipFilterBranches": [
            {**NULLS, "filterBranchType": "AND", "filterBranchOperator": None, "filterBranches": [],
             "filters": [{**IN_LIST, "metadata": None, **EXPORTED}]},
        ],
        "refinementCriteria": {
            **{"filterBranchType": "AND", "filterBranchOperator": None, **NULLS},
            "filters": [
                {**CITY, **NULLS, **EXPORTED, "operation": {**CITY["operation"], **NULLS}},
                {**CITY, "operation": {**CITY["operation"], "includeObjectsWithNoValueSet": None}},
                {**CITY, "operation": {**dated, "requiresTimeZoneConversion": False, "value": None, "values": []}},
                {**CITY, "operation": {**timed, "timePoint": {**POINT, "indexReference": week, "zoneId": None}}},
                {"filterType": "CONSTANT", "shouldAccept": True, "source": "x", **NULLS},
                {"filterType": "IN_LIST", "operator": None, "listId": 7, "metadata": None},
            ],
            "filterBranches": [{**ASSOCIATION, **NULLS, "operator": None}],
        },
    }  # fmt: skip
    assert faults(document) == []


def test_stored_flow_that_became_invalid_is_reported_and_does_not_enroll() -> None:
    document = with_event(coalescingRefineBy=TIMES_THREE)
    reported: list[tuple[str, str]] = []
    revision = FlowRevision("p", "1", 4, document, True, 5, 0, 9)
    found = read_stored_flow(revision, lambda stored, invalid: reported.append((stored.id, invalid.faults[0].path)))
    assert (found.id, found.revision_id, found.is_enabled, found.groups) == ("1", "4", False, ())
    assert reported == [("1", f"{EVENTS}.coalescingRefineBy")]
    sound = FlowRevision("p", "1", 4, with_event(), True, 5, 0, 9)
    assert read_stored_flow(sound, lambda stored, invalid: pytest.fail("refused")) == read_flow(sound)
