"""The trigger groups of filter-based flows against the evaluation of every flow, which they stand for."""

import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from enrollment.catalog import EVENT_TYPES
from enrollment.domain.criteria.transitions import Transition
from enrollment.domain.enrollment.entry import entry_of
from enrollment.domain.events.event import Event
from enrollment.domain.flows.candidate_selection import CandidateList, CandidateQuery, candidates, entry_group
from enrollment.domain.flows.flow import Flow, FlowRevision
from enrollment.domain.flows.record_change import RECORD_CHANGED, RecordChange, record_change
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.change_moments import change_moments
from enrollment.domain.records.record import Record, apply_event, occurrences_of
from enrollment.domain.records.record_snapshot import RecordSnapshot
from enrollment.domain.values import iso, read_instant
from enrollment.serialization.envelopes import read_routed_event
from enrollment.serialization.flows import read_flow
from tests.support import scenario

START = read_instant(scenario.START) or 0
KEY = RecordKey(scenario.PORTAL, "0-1", "101")

FILTERS: list[list[Any]] = [
    ["city", "IS_EQUAL_TO", "Dublin"],
    ["city", "IS_EQUAL_TO", "Cork"],
    ["city", "IS_NOT_EQUAL_TO", "Cork"],
    ["city", "IS_ANY_OF", ["Cork", "Oslo"]],
    ["city", "IS_EQUAL_TO", "Cork", "STRING", True],
    ["age", "IS_EQUAL_TO", 3, "NUMBER"],
    ["age", "IS_GREATER_THAN", 2],
    ["age", "IS_UNKNOWN"],
    ["city", "HAS_EVER_BEEN_EQUAL_TO", "Dublin", "STRING"],
    ["lastmodifieddate", "IS_KNOWN"],
    ["IN_LIST", "42"],
    ["NOT_IN_LIST", "42"],
]
BRANCHES = st.lists(st.lists(st.sampled_from(FILTERS), min_size=1, max_size=3), min_size=1, max_size=2)
TRIGGERS = st.lists(
    st.sampled_from(
        [
            [["hs_name", "IS_ANY_OF", ["age"]], ["hs_value", "IS_KNOWN"]],
            [["hs_name", "IS_ANY_OF", ["city"]], ["hs_value", "IS_EQUAL_TO", "Cork"]],
            [["IN_LIST", "42"]],
            [["age", "IS_KNOWN"]],
        ]
    ),
    max_size=1,
)


@st.composite
def flows(draw: st.DrawFn) -> list[Flow]:
    return [
        flow(number, any_filters=draw(BRANCHES), re_enroll=True, re_enroll_when=draw(TRIGGERS))
        for number in range(draw(st.integers(1, 6)))
    ]


def flow(flow_id: int, **fields: Any) -> Flow:
    document = scenario.flow({"id": flow_id, **fields})
    return read_flow(FlowRevision(scenario.PORTAL, str(flow_id), 1, document, True, 0, 0, 0))


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("city"), st.sampled_from(["Dublin", "dublin ", "Cork", "Oslo", ""])),
        st.tuples(st.just("age"), st.sampled_from([3, "3.0", 4, None])),
        st.tuples(st.just("list"), st.sampled_from(["ADDED", "REMOVED"])),
        st.tuples(st.just("snapshot"), st.sampled_from([{"city": "Dublin"}, {"city": "Cork", "age": 3}])),
        st.tuples(st.just("created"), st.sampled_from([None, {"city": "Cork"}])),
    ),
    min_size=1,
    max_size=6,
)


def event(number: int, at: int, kind: str, value: Any) -> Event:
    fields: dict[str, Any] = {"id": f"e{number}", "at": iso(START + at)}
    match kind:
        case "list":
            fields |= {
                "lists.membership_changed": "101",
                "properties": {"hs_list_id": "42", "hs_membership_change": value},
            }
        case "snapshot":
            fields |= {"calls.ended": "101", "record": value}
        case "created":
            fields |= {"crm.object_created": "101", **({} if value is None else {"record": value})}
        case _:
            fields |= {"crm.property_changed": "101", "properties": {"hs_name": kind, "hs_value": value}}
    return read_routed_event(scenario.event(fields)).evaluated(START + 1000 + number)


def enrolls_at(flow: Flow, change: RecordChange, *, is_first: bool) -> set[int]:
    """The instant at which the change enrolls its record, by the evaluation of the criteria. ``is_first``: no earlier
    change has enrolled it. After that, only re-enrollment triggers enroll it, also if it starts to meet the criteria
    again."""
    assert flow.entry is not None
    record, mentioned = change.record, flow.entry.mentions
    transitions = [
        Transition(
            moment.at,
            moment.latest,
            None if moment.before is None else RecordSnapshot(record, moment.at, moment=moment.before),
            RecordSnapshot(record, moment.at, moment=moment.after),
        )
        for moment in change_moments(
            record, change.event, mentioned.properties, mentioned.lists, any_change=mentioned.any_change
        )
    ]
    entry = entry_of(flow, flow.entry.groups[0], change, transitions, 0)
    enrolls = entry.re_enrolls or (is_first and entry.entered is not None)
    return {entry.transition(is_first=not entry.re_enrolls).at} if enrolls else set()


@given(flows(), EVENTS, st.randoms())
def test_every_flow_in_which_a_change_enrolls_is_selected(
    made: list[Flow], happened: list[tuple[str, Any]], chance: random.Random
) -> None:
    lists = {
        name: CandidateList(name, [flow for flow in made if name in flow.event_types])
        for name in (*EVENT_TYPES, RECORD_CHANGED)
    }
    times = chance.sample(range(20), len(happened))
    record: Record | None = Record(KEY, START - 1)
    enrolled: dict[str, set[int]] = {flow.id: set() for flow in made}
    for number, ((kind, value), at) in enumerate(zip(happened, times, strict=True)):
        arrived = event(number, at, kind, value)
        record = apply_event(record, arrived)
        change = record_change(arrived, record)
        if change is None:
            continue
        query = CandidateQuery(occurrences_of(arrived, EVENT_TYPES, record), START + 10**6, change=change)

        selected = candidates([lists[name] for name in query.event_types], query).flows

        # A later change that enrolls was found by its own event, or by the one that made it enroll.
        new = {flow.id: enrolls_at(flow, change, is_first=not enrolled[flow.id]) - enrolled[flow.id] for flow in made}
        assert {flow_id for flow_id, instants in new.items() if instants} <= {flow.id for flow in selected}
        for flow_id, instants in new.items():
            enrolled[flow_id] |= instants
        assert {flow.id for flow in selected} <= {flow.id for flow in made if entry_group(flow, change) is not None}


def test_flows_that_need_other_values_are_not_selected() -> None:
    made = [flow(number, filters=[["city", "IS_EQUAL_TO", f"city {number}"]]) for number in range(1_000)]
    for name, arrived in (
        ("crm.property_changed", event(1, 0, "city", "City 7")),
        ("crm.object_created", event(1, 0, "created", {"city": "city 7"})),
        (RECORD_CHANGED, event(1, 0, "snapshot", {"city": "city 7"})),
    ):
        is_creation = name == "crm.object_created"
        change = record_change(arrived, apply_event(None if is_creation else Record(KEY, START - 1), arrived))
        query = CandidateQuery((), START + 10**6, change=change)

        found = list(CandidateList(name, made).relevant(None, query))

        assert [flow.id for flow in found] == ["7"], name


def test_one_group_stands_for_each_branch() -> None:
    entry = flow(1, any_filters=[[["city", "IS_EQUAL_TO", "Cork"]], [["IN_LIST", "42"]]]).entry

    assert entry is not None
    assert [group.index for group in entry.groups] == [0, 1]
    assert {name for group in entry.groups for name in group.event_types} == {
        "crm.object_created",
        "crm.property_changed",
        "lists.membership_changed",
        RECORD_CHANGED,
    }
