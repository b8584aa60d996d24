"""Explanations have the results of all trigger groups and filters, not only of those that decided."""

from typing import Any

from enrollment.catalog import EVENT_TYPES
from enrollment.domain.criteria.criteria import FilterResult
from enrollment.domain.criteria.transitions import Transition
from enrollment.domain.enrollment.decisions import Code, decide
from enrollment.domain.enrollment.explanations import Explanation, explain
from enrollment.domain.events.event import occurrences
from enrollment.domain.flows.flow import Flow, revised
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.record import Record, TimestampedValue
from enrollment.domain.records.record_snapshot import RecordSnapshot
from enrollment.serialization.envelopes import read_routed_event
from enrollment.serialization.flows import read_flow
from tests.support.scenario import event, flow

EVENT = read_routed_event(
    event({"forms.submitted": "101", "id": "e1", "properties": {"hs_form_id": "f-1", "hs_page_id": "p-1"}})
)
RECORD = Record(RecordKey("p1", "0-1", "101"), 0, {"city": TimestampedValue("Galway", 5)})
SNAPSHOT = RecordSnapshot(RECORD, 10)
GROUPS = [
    {"event": "website.page_visited"},
    {"event": "forms.submitted", "where": [["hs_form_id", "IS_EQUAL_TO", "f-2"], ["hs_page_id", "IS_EQUAL_TO", "p-1"]]},
    {"event": "forms.submitted", "where": [["hs_form_id", "IS_KNOWN"]]},
]


def read(document: dict[str, Any]) -> Flow:
    return read_flow(revised(None, "p1", "1", document, 0))


def explained(
    explained_flow: Flow, snapshot: RecordSnapshot | None, transition: Transition | None = None
) -> Explanation:
    decision = decide(explained_flow, Code.NOT_MATCHED, "a reason")
    explanation = explain(explained_flow, decision, occurrences(EVENT, EVENT_TYPES), snapshot, transition)
    assert (explanation.flow, explanation.decision) == (explained_flow, decision)
    return explanation


def test_every_filter_of_every_trigger_group_has_a_result() -> None:
    event_based = read(flow({"id": 1, "groups": GROUPS}))
    other, failed, matched = explained(event_based, SNAPSHOT).groups
    assert [group.group for group in (other, failed, matched)] == list(event_based.groups)
    assert (other.is_concerned, other.filters, other.holds) == (False, (), False)
    filters = event_based.groups[1].filters
    assert (failed.is_concerned, failed.holds) == (True, False)
    assert failed.filters == (
        FilterResult("hs_form_id", filters[0].operation.given, "f-1", False),
        FilterResult("hs_page_id", filters[1].operation.given, "p-1", True),
    )
    assert (matched.is_concerned, matched.holds) == (True, True)


def test_criteria_suppression_and_goal_are_evaluated_on_the_record() -> None:
    document = flow({"id": 1, "event": "forms.submitted", "criteria": [["city", "IS_EQUAL_TO", "Cork"]]})
    for key, city in (("suppressionFilterBranch", "Galway"), ("goalFilterBranch", "Dublin")):
        document[key] = flow({"id": 1, "filters": [["city", "IS_EQUAL_TO", city]]})["enrollmentCriteria"][
            "listFilterBranch"
        ]
    event_based = read(document)
    assert event_based.criteria is not None
    assert event_based.suppression is not None
    assert event_based.goal is not None
    explanation = explained(event_based, SNAPSHOT)
    assert explanation.as_of == 10
    assert explanation.criteria == event_based.criteria.result(SNAPSHOT)
    assert explanation.suppression == event_based.suppression.result(SNAPSHOT)
    assert explanation.goal == event_based.goal.result(SNAPSHOT)
    assert (explanation.entry, explanation.entry_before) == (None, None)
    unknown = explained(event_based, None)
    assert (unknown.as_of, unknown.criteria, unknown.suppression, unknown.goal) == (None, None, None, None)
    without = explained(read(flow({"id": 1, "event": "forms.submitted"})), SNAPSHOT, Transition(5, 5, None, SNAPSHOT))
    assert (without.criteria, without.suppression, without.goal) == (None, None, None)
    assert (without.entry, without.entry_before) == (None, None)


def test_entry_criteria_are_evaluated_before_and_after_the_change() -> None:
    filter_based = read(flow({"id": 1, "filters": [["city", "IS_EQUAL_TO", "Galway"]]}))
    assert filter_based.entry is not None
    criteria, before = filter_based.entry.criteria, RecordSnapshot(RECORD, 4)
    explanation = explained(filter_based, SNAPSHOT, Transition(5, 5, before, SNAPSHOT))
    assert explanation.entry == criteria.result(SNAPSHOT)
    assert explanation.entry_before == criteria.result(before)
    created = explained(filter_based, SNAPSHOT, Transition(5, 5, None, SNAPSHOT))
    assert (created.entry, created.entry_before) == (criteria.result(SNAPSHOT), None)
    unchanged = explained(filter_based, SNAPSHOT)
    assert (unchanged.entry, unchanged.entry_before) == (None, None)
