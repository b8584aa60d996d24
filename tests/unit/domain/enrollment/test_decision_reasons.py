"""The reasons of decisions, with the filters and enrollments that they name."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from enrollment.domain.enrollment.decisions import Code, Decision
from tests.support.fakes import World
from tests.support.scenario import at, flow, play

FORM = {"id": 1, "event": "forms.submitted"}
RECORD = {"contact": "101", "properties": {"city": "Galway", "country": "Ireland"}, "lists": ["7"]}
CITY = [["city", "IS_EQUAL_TO", "Galway"]]


def decisions(flow_of: Mapping[str, Any], *events: Mapping[str, Any], **scenario_keys: Any) -> list[Decision]:
    """The decisions on the events. Without events: on one submission of a form."""
    world = World()
    happened = events or ({"forms.submitted": "101", "id": "e1", "properties": {"hs_form_id": "f-1"}},)
    play({"flows": [flow_of], "records": [RECORD], "events": list(happened), "decisions": [], **scenario_keys}, world)
    return [decision for _, decision in world.decision_log.decisions]


def branch(*branches: Sequence[list[Any]]) -> dict[str, Any]:
    criteria: dict[str, Any] = flow({"id": 1, "any_filters": list(branches)})["enrollmentCriteria"]["listFilterBranch"]
    return criteria


def suppressed_by(criteria: dict[str, Any]) -> Decision:
    world = World()
    world.put_flow({**flow(FORM), "suppressionFilterBranch": criteria})
    play(
        {"flows": [], "records": [RECORD], "events": [{"forms.submitted": "101", "id": "e1"}], "decisions": []},
        world,
    )
    ((_, decision),) = world.decision_log.decisions
    return decision


def test_each_failing_trigger_group_of_the_event_type_is_named() -> None:
    groups = [
        {"event": "website.page_visited"},
        {"event": "forms.submitted", "where": [["hs_form_id", "IS_EQUAL_TO", "f-2"]]},
        {"event": "forms.submitted", "where": [["hs_page_id", "IS_KNOWN"]]},
    ]
    (decision,) = decisions({"id": 1, "groups": groups})
    assert (decision.code, decision.because) == (Code.NOT_MATCHED, "no trigger group matched")
    assert decision.flow_revision_id == "1"
    assert [(group.group_index, group.failure.property) for group in decision.groups] == [
        (1, "hs_form_id"),
        (2, "hs_page_id"),
    ]


def test_the_failing_refinement_criterion_is_named() -> None:
    (decision,) = decisions({**FORM, "criteria": [["city", "IS_EQUAL_TO", "Cork"]]})
    assert (decision.code, decision.flow_revision_id) == (Code.FILTERED_OUT, "1")
    assert decision.because == "the record does not meet the refinement criteria on city"
    assert decision.filter is not None
    assert (decision.filter.property, decision.filter.found) == ("city", "Galway")


IRELAND = ["country", "IS_EQUAL_TO", "Ireland"]


@pytest.mark.parametrize(
    ("criteria", "reason"),
    [
        (branch(CITY), "city IS_EQUAL_TO"),
        (branch([CITY[0], IRELAND]), "city IS_EQUAL_TO and country IS_EQUAL_TO"),
        (branch([["city", "IS_EQUAL_TO", "Cork"]], [IRELAND]), "country IS_EQUAL_TO"),
        (branch([["IN_LIST", "7"]]), "list 7 IN_LIST"),
        (
            {
                "filterBranchType": "AND",
                "filters": [],
                "filterBranches": [
                    {**branch([["city", "IS_EQUAL_TO", "Cork"]])["filterBranches"][0], "filterBranchType": "NOT_ALL"}
                ],
            },
            "its NOT_ALL branch",
        ),
    ],
)
def test_the_filters_that_suppress_the_record_are_named(criteria: dict[str, Any], reason: str) -> None:
    decision = suppressed_by(criteria)
    assert (decision.code, decision.because) == (Code.SUPPRESSED, f"the record is suppressed: {reason}")


def test_an_event_at_the_moment_of_activation_counts() -> None:
    (decision,) = decisions({**FORM, "on_since": at(0)})
    assert decision.code is Code.ENROLLED
    (decision,) = decisions({**FORM, "on_since": at(1)})
    assert (decision.code, decision.because) == (
        Code.BEFORE_ACTIVATION,
        "it occurred before the flow was turned on",
    )


def test_the_earlier_enrollment_is_named() -> None:
    first, second = decisions(
        FORM, {"forms.submitted": "101", "id": "e1"}, {"forms.submitted": "101", "id": "e2", "at": at(1)}
    )
    assert first.code is Code.ENROLLED
    assert (second.code, second.because) == (Code.ALREADY_ENROLLED, "enrolled before, by event e1")
    assert second.enrollment_id == first.enrollment_id
    assert second.enrollment_id is not None


def change(number: int, name: str, value: str, **more: Any) -> dict[str, Any]:
    properties = {"hs_name": name, "hs_value": value, **more}
    return {"crm.property_changed": "101", "id": f"e{number}", "at": at(number), "properties": properties}


def test_the_failing_enrollment_criterion_is_named() -> None:
    (decision,) = decisions({"id": 1, "filters": [["city", "STARTS_WITH", "Gal"]]}, change(1, "city", "Cork"))
    assert (decision.code, decision.flow_revision_id) == (Code.NOT_MATCHED, "1")
    assert decision.because == "the record does not meet the enrollment criteria on city"
    assert decision.filter is not None
    assert (decision.filter.property, decision.filter.found) == ("city", "Cork")


def test_the_reason_says_since_when_the_record_meets_the_enrollment_criteria() -> None:
    reason = "the record met the enrollment criteria before this change"
    either = {"id": 1, "any_filters": [[["country", "IS_KNOWN"]], [["score", "IS_KNOWN"]]]}
    (since_creation,) = decisions(either, change(1, "score", "5"))
    assert (since_creation.code, since_creation.because) == (
        Code.MET_BEFORE,
        f"{reason}, since 2026-01-01T00:00:00.000Z",
    )
    known = {"id": 1, "filters": [["city", "IS_KNOWN"]]}
    (of_unknown_history,) = decisions(known, change(1, "city", "Cork"))
    assert (of_unknown_history.code, of_unknown_history.because) == (Code.MET_BEFORE, reason)
    changed = [change(1, "city", ""), change(2, "city", "Cork"), change(3, "city", "Dublin"), change(4, "city", "Bray")]
    *_, since_change = decisions(known, *changed)
    assert (since_change.code, since_change.because) == (Code.MET_BEFORE, f"{reason}, since {at(2)}")


def test_a_record_that_meets_the_criteria_again_does_not_enter_without_a_re_enrollment_trigger() -> None:
    again = {"id": 1, "filters": [["city", "IS_KNOWN"]], "re_enroll": True}
    changes = [change(number, "city", value) for number, value in enumerate(("", "Cork", "", "Bray"), 1)]
    *_, decision = decisions(again, *changes)
    assert decision.code is Code.ALREADY_ENROLLED
    assert decision.because == "enrolled before, by event e2; no re-enrollment trigger occurred"


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ({}, Code.ENROLLED),
        ({"hs_previous_value": "Galway"}, Code.ENROLLED),
        ({"hs_previous_value": "Cork"}, Code.MET_BEFORE),
    ],
)
def test_a_previous_value_that_the_source_sent_takes_precedence(sent: dict[str, str], code: Code) -> None:
    """The record had another value, and the source says that the value did not change."""
    document = flow({"id": 1, "filters": [["city", "IS_KNOWN"]], "re_enroll": True})
    trigger = flow({"id": 1, "event": "4-655002", "where": [["hs_name", "IS_EQUAL_TO", "city"]]})["enrollmentCriteria"]
    document["enrollmentCriteria"]["reEnrollmentTriggersFilterBranches"] = trigger["eventFilterBranches"]
    world = World()
    world.put_flow(document)
    events = [change(1, "city", ""), change(2, "city", "Galway"), change(3, "city", "Cork", **sent)]
    play({"flows": [], "records": [RECORD], "events": events, "decisions": []}, world)
    *_, (_, decision) = world.decision_log.decisions
    assert decision.code is code


def test_the_reason_says_that_the_record_was_deleted() -> None:
    manual = {"manual": "101", "flow": 1, "key": "k1"}
    gone, unknown = (
        decisions({"id": 1, "manual": True}, {"delete_record": "101"}, manual),
        decisions({"id": 1, "manual": True}, {**manual, "manual": "102"}),
    )
    assert [decision.because for decision in gone] == ["the record was deleted"]
    assert [decision.because for decision in unknown] == ["no record 0-1/102 exists"]
