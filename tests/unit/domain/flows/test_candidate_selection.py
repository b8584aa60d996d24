"""Looking only at the flows that an event has to do with decides as looking at each of them does."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from enrollment.domain.enrollment.decisions import Code
from enrollment.domain.flows.candidate_selection import CandidateList, CandidateQuery, Candidates, candidates
from enrollment.domain.flows.flow import Flow
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.record import Record
from enrollment.domain.values import iso
from tests.support.fakes import World
from tests.support.scenario import event, flow

START = 1_764_000_000_000
RECORDS = ("known", "created later", "deleted", "unknown")

# Some events satisfy two of these; so there are flows of one, of the other and of both.
TYPES = ("sequences.unenrolled", "sequences.unenrolled_by_workflow", "sequences.enrolled")


class Listed:
    """The world's flows in listings, which are updated when the flows change."""

    def __init__(self, world: World) -> None:
        self._stored = world.flows
        self._listings: dict[tuple[str, str, str], CandidateList] = {}
        self.counted: list[Candidates] = []

    def candidates(self, portal_id: str, object_type_id: str, event_types: Sequence[str]) -> Sequence[Flow]:
        return self._stored.candidates(portal_id, object_type_id, event_types)

    def relevant(self, portal_id: str, object_type_id: str, question: CandidateQuery) -> Candidates:
        listings = [self._listing(portal_id, object_type_id, event_type) for event_type in question.event_types]
        self.counted.append(candidates(listings, question))
        return self.counted[-1]

    def _listing(self, portal_id: str, object_type_id: str, event_type: str) -> CandidateList:
        listing = self._listings.setdefault((portal_id, object_type_id, event_type), CandidateList(event_type))
        stored = {candidate.id: candidate for candidate in self.candidates(portal_id, object_type_id, [event_type])}
        for gone in [candidate.id for candidate in listing if candidate.id not in stored]:
            listing.remove(gone)
        for candidate in stored.values():
            if listing.get(candidate.id) != candidate:
                listing.put(candidate)
        assert {candidate.id: candidate for candidate in listing} == stored
        assert len(listing) == len(stored)
        return listing


WHERE = st.sampled_from([[], [["hs_sequence_id", "IS_ANY_OF", ["a"]]], [["hs_sequence_id", "IS_NONE_OF", ["a", "b"]]]])
GROUPS = st.lists(
    st.builds(lambda event_type, where: {"event": event_type, "where": where}, st.sampled_from(TYPES), WHERE),
    min_size=1,
    max_size=2,
)
FLOWS = st.builds(
    lambda number, groups, re_enroll, enabled: flow(
        {"id": number, "groups": groups, "re_enroll": re_enroll, "enabled": enabled}
    ),
    st.integers(1, 6),
    GROUPS,
    st.booleans(),
    st.sampled_from([True, True, True, False]),
)
CHAINS = st.sampled_from([[], [], [], ["1"], ["3", "9"], [f"x{n}" for n in range(12)]])
EVENTS = st.builds(
    lambda *drawn: drawn,
    st.sampled_from(TYPES),
    st.sampled_from(RECORDS),
    st.integers(1, 3),
    CHAINS,
    st.sampled_from(["a", "b", "c", None]),
    st.sampled_from(["WORKFLOW", "MANUAL", None]),
    st.sampled_from([0, 0, 0, 5, 50]),
)
STEPS = st.lists(st.one_of(FLOWS, EVENTS, EVENTS), min_size=2, max_size=14)


def world(max_individual_decisions: int, *, is_listed: bool) -> World:
    made = World()
    made.now = START
    for name, record in {
        "known": Record(RecordKey("p1", "0-1", "known"), 0),
        "created later": Record(RecordKey("p1", "0-1", "created later"), START + 20_000),
        "deleted": Record(RecordKey("p1", "0-1", "deleted"), 0, deleted_at=START + 20_000),
    }.items():
        made.put_record(RecordKey("p1", "0-1", name), record)
    flows = Listed(made) if is_listed else made.flows
    made.processor = replace(made.processor, flows=flows, max_individual_decisions=max_individual_decisions)
    return made


def play(made: World, steps: Sequence[Any]) -> list[Mapping[str, int]]:
    """Return the number of decisions of each code for each event, both individual and counted ones."""
    found: list[Mapping[str, int]] = []
    for number, step in enumerate(steps):
        made.now = START + 1_000 * (number + 1)
        if isinstance(step, dict):
            made.put_flow(step, at=made.now)
            continue
        name, record, event_id, chain, sequence, by, before = step
        properties = {"hs_sequence_id": sequence, "hs_unenrolled_by": by}
        envelope = event(
            {
                name: record,
                "id": f"{name}-{record}-{event_id}",
                "at": iso(made.now - 1_000 * before),
                "properties": properties,
                "chain": chain,
            }
        )
        made.decision_log.others.clear()
        counts = Counter(str(decision.code) for decision in made.deliver(envelope))
        for _, others in made.decision_log.others:
            counts.update({str(code): count for code, count in others.items()})
        found.append(counts)
    return found


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_counting_flows_gives_the_same_decisions_as_evaluating_each(steps: Sequence[Any]) -> None:
    individual, counted, fake = world(1_000, is_listed=False), world(0, is_listed=True), world(0, is_listed=False)
    expected = play(individual, steps)
    for other in (counted, fake):
        assert play(other, steps) == expected
        assert other.enrollments.items.keys() == individual.enrollments.items.keys()


def world_of_flows(count: int) -> World:
    made = world(100, is_listed=True)
    for number in range(count):
        where = [["hs_form_id", "IS_ANY_OF", [f"f-{number}"]]]
        made.put_flow(flow({"id": number, "event": "forms.submitted", "where": where}))
    made.now = START + 1_000_000_000
    return made


def submitted(**fields: Any) -> dict[str, Any]:
    properties = {"hs_form_id": "f-7"}
    return event(
        {"forms.submitted": "known", "id": "e1", "at": iso(START + 10_000), "properties": properties, **fields}
    )


@pytest.mark.parametrize(("count", "named"), [(100, 100), (101, 1), (300, 1)])
def test_unmatched_flows_beyond_the_limit_are_counted(count: int, named: int) -> None:
    made = world_of_flows(count)
    decisions = made.deliver(submitted())
    assert len(decisions) == named
    assert [decision.flow_id for decision in decisions if decision.code is Code.ENROLLED] == ["7"]
    counts = {Code.NOT_MATCHED: count - 1} if named == 1 else {}
    assert [found for _, found in made.decision_log.others] == ([counts] if counts else [])


@pytest.mark.parametrize(
    ("given_event", "code"),
    [
        ({"forms.submitted": "unknown"}, Code.UNKNOWN_RECORD),
        ({"forms.submitted": None}, Code.UNKNOWN_RECORD),
        ({"chain": [f"x{n}" for n in range(12)]}, Code.LOOP_STOPPED),
    ],
)
def test_counted_flows_have_the_code_of_their_kind(given_event: Mapping[str, Any], code: Code) -> None:
    made = world_of_flows(200)
    assert made.deliver(event({"forms.submitted": "known", "id": "e1", "at": iso(START + 10_000), **given_event})) == ()
    assert [found for _, found in made.decision_log.others] == [{code: 200}]


def test_flow_in_the_chain_or_changed_recently_has_its_own_decision() -> None:
    made = world_of_flows(200)
    made.put_flow(flow({"id": 20, "event": "forms.submitted", "where": [["hs_form_id", "IS_ANY_OF", ["x"]]]}))
    sent = {"at": iso(made.now - 1), "chain": ["30"]}
    made.now += 1
    decisions = {decision.flow_id: str(decision.code) for decision in made.deliver(submitted(**sent))}
    assert decisions == {"7": "ENROLLED", "20": "NOT_MATCHED", "30": "LOOP_STOPPED"}
    assert [found for _, found in made.decision_log.others] == [{Code.NOT_MATCHED: 197}]
