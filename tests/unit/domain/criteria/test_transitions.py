"""When a record starts to meet criteria, compared with a naive evaluation of all changes that have arrived."""

import itertools
import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from enrollment.domain.criteria.criteria import AllOf, AnyOf, AssociatedWith, Criteria, ListFilter, Not, RecordFilter
from enrollment.domain.criteria.record_operators import record_operation
from enrollment.domain.criteria.transitions import Transition, mentions, starts_to_meet
from enrollment.domain.events.event import Event
from enrollment.domain.events.moments import moment_of
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.associations import AssociationType
from enrollment.domain.records.change_moments import change_moments
from enrollment.domain.records.record import Record, apply_event
from enrollment.domain.records.record_snapshot import RecordSnapshot
from enrollment.domain.values import read_instant
from enrollment.serialization.envelopes import read_routed_event
from tests.support import scenario

START = read_instant(scenario.START) or 0
KEY = RecordKey(scenario.PORTAL, "0-1", "101")
CREATED = START - 1000

Change = tuple[int, str, str]
"""The milliseconds since START, the property, and its new value."""


def filter_on(name: str, operator: str, *operand: Any) -> RecordFilter:
    return RecordFilter(name, record_operation(scenario.property_filter([name, operator, *operand])["operation"]))


A = filter_on("a", "IS_EQUAL_TO", "1")
B = filter_on("b", "IS_EQUAL_TO", "1")
NOT_B = filter_on("b", "IS_NOT_EQUAL_TO", "1", "STRING", True)
A_EVER = filter_on("a", "HAS_EVER_BEEN_EQUAL_TO", "1")
TREES: dict[str, Criteria] = {
    "a and b": AllOf((A, B)),
    "a and not b": AllOf((A, NOT_B)),
    "a or b": AnyOf((A, B)),
    "not b": NOT_B,
    "has ever been a, and not b": AllOf((A_EVER, NOT_B)),
}


def change(number: int, at: int, name: str, value: str, now: int, *, is_to_second: bool = False) -> Event:
    instant = scenario.iso(START + at)
    fields = {
        "crm.property_changed": "101",
        "id": f"e{number}",
        "at": instant[:19] + "Z" if is_to_second else instant,
        "properties": {"hs_name": name, "hs_value": value},
    }
    read = read_routed_event(scenario.event(fields))
    return read.evaluated(START + now)


def transitions(record: Record, event: Event, criteria: Criteria) -> list[Transition]:
    mentioned = mentions(criteria)
    return [
        Transition(
            moment.at,
            moment.latest,
            None if moment.before is None else RecordSnapshot(record, moment.at, moment=moment.before),
            RecordSnapshot(record, moment.at, moment=moment.after),
        )
        for moment in change_moments(record, event, mentioned.properties, mentioned.lists)
    ]


def entries(criteria: Criteria, events: list[Event], since: int = 0) -> list[int]:
    """The first instant at which each event, in order of arrival, finds that the record starts to meet the criteria.
    Instants that an earlier event found are not repeated."""
    record: Record | None = Record(KEY, CREATED)
    found = []
    for event in events:
        record = apply_event(record, event)
        assert record is not None
        transition = starts_to_meet(criteria, transitions(record, event, criteria), START + since)
        if transition is not None:
            found.append(transition.at - START)
    return list(dict.fromkeys(found))


class Naive:
    """Decides from a list of the changes that have arrived, by sorting all of them."""

    def __init__(self, name: str, since: int = 0) -> None:
        self.name, self.since = name, since

    def holds(self, known: list[Change], at: float) -> bool:
        a = [value for when, name, value in sorted(known) if name == "a" and when <= at]
        b = [value for when, name, value in sorted(known) if name == "b" and when <= at]
        a_is, b_is = a[-1:] == ["1"], b[-1:] == ["1"]
        return {
            "a and b": a_is and b_is,
            "a and not b": a_is and not b_is,
            "a or b": a_is or b_is,
            "not b": not b_is,
            "has ever been a, and not b": "1" in a and not b_is,
        }[self.name]

    def entries(self, arrivals: list[Change]) -> list[int]:
        found: list[int] = []
        for number, arrived in enumerate(arrivals, 1):
            known = arrivals[:number]
            later = sorted({when for when, _, _ in known if when >= max(arrived[0], self.since)})
            first = next((at for at in later if self.holds(known, at) and not self.holds(known, at - 0.5)), None)
            found += [] if first is None else [first]
        return list(dict.fromkeys(found))


CHANGES = st.lists(
    st.tuples(st.integers(0, 12), st.sampled_from("ab"), st.sampled_from("012")),
    max_size=8,
    unique_by=lambda change: change[:2],
)


@given(st.sampled_from(list(TREES)), CHANGES, st.randoms(), st.integers(0, 12))
def test_entries_are_those_of_a_naive_evaluator_in_every_order_of_arrival(
    tree: str, changes: list[Change], chance: random.Random, since: int
) -> None:
    arrivals = chance.sample(changes, len(changes))
    events = [change(number, *arrival, now=100 + number) for number, arrival in enumerate(arrivals)]

    assert entries(TREES[tree], events, since) == Naive(tree, since).entries(arrivals)


@given(st.sampled_from(["a and b", "a and not b", "a or b"]), CHANGES, st.randoms())
def test_a_record_that_starts_to_meet_criteria_enters_in_every_order_of_arrival(
    tree: str, changes: list[Change], chance: random.Random
) -> None:
    arrivals = chance.sample(changes, len(changes))
    events = [change(number, *arrival, now=100 + number) for number, arrival in enumerate(arrivals)]
    naive = Naive(tree)

    if any(naive.holds(changes, at) and not naive.holds(changes, at - 0.5) for at, _, _ in changes):
        assert entries(TREES[tree], events)


@given(st.sampled_from(["a and b", "a or b"]), CHANGES, st.randoms())
def test_one_of_the_events_of_a_second_finds_the_change_whatever_their_order(
    tree: str, changes: list[Change], chance: random.Random
) -> None:
    """Times that are known to the second do not determine the order, so the order of arrival does."""
    arrivals = chance.sample(changes, len(changes))
    events = [change(number, *arrival, now=2000 + number, is_to_second=True) for number, arrival in enumerate(arrivals)]
    known: dict[str, str] = {}
    held = [False]
    for _, name, value in arrivals:
        known[name] = value
        values = [known.get("a") == "1", known.get("b") == "1"]
        held.append(all(values) if tree == "a and b" else any(values))

    became_true = any(after and not before for before, after in itertools.pairwise(held))

    assert bool(entries(TREES[tree], events)) == became_true


@given(st.permutations(["x", "y", "z"]))
def test_events_that_arrive_in_the_same_millisecond_have_one_first(order: list[str]) -> None:
    """Each of them sees the changes of all, and one of them sees that the record did not meet the criteria before."""
    either = AnyOf((filter_on("x", "IS_KNOWN"), filter_on("y", "IS_KNOWN"), filter_on("z", "IS_KNOWN")))
    events = [change(number, 0, name, "1", now=2000, is_to_second=True) for number, name in enumerate(order)]
    record: Record | None = Record(KEY, CREATED)
    for event in events:
        record = apply_event(record, event)
    assert record is not None

    found = [starts_to_meet(either, transitions(record, event, either), START) for event in events]

    assert [transition is not None for transition in found] == [True, False, False]


def test_record_that_did_not_exist_did_not_meet_criteria() -> None:
    creation = {"crm.object_created": "101", "id": "c", "at": scenario.iso(START)}
    created = read_routed_event(scenario.event(creation)).evaluated(START + 5)
    record = apply_event(None, created)
    assert record is not None

    found = starts_to_meet(NOT_B, transitions(record, created, NOT_B), START)

    assert found is not None
    assert found.at == START


def test_changes_of_the_creations_millisecond_belong_to_the_creation() -> None:
    creation = {"crm.object_created": "101", "id": "c", "at": scenario.iso(START)}
    created = read_routed_event(scenario.event(creation)).evaluated(START + 5)
    changed = change(1, 0, "a", "1", now=6)
    record = apply_event(apply_event(None, created), changed)
    assert record is not None

    assert starts_to_meet(A, transitions(record, changed, A), START) is not None


def test_moment_just_before_a_change_sees_neither_the_change_nor_others_of_its_millisecond() -> None:
    moment = moment_of(START, is_to_second=False, known_until=START + 50, event_id="e").just_before()

    assert not moment.sees(START, START + 10, "e", is_to_second=False)
    assert not moment.sees(START, START + 10, "other", is_to_second=False)
    assert moment.sees(START - 1, START + 99, "other", is_to_second=False)


def test_moment_just_before_a_change_sees_what_arrived_before_in_the_same_second() -> None:
    moment = moment_of(START, is_to_second=True, known_until=START + 50, event_id="e").just_before()

    assert moment.sees(START + 700, START + 49, "other", is_to_second=False)
    assert moment.sees(START, START + 49, "other", is_to_second=True)
    assert not moment.sees(START, START + 51, "other", is_to_second=True)
    assert not moment.sees(START, START + 10, "e", is_to_second=True)


def test_mentions_include_compared_properties_and_lists() -> None:
    point = {"timeType": "PROPERTY_REFERENCED", "property": "Due", "referenceType": "VALUE"}
    compared = {"operationType": "COMPARATIVE_STRING", "operator": "IS_EQUAL_TO", "comparisonPropertyName": "Other"}
    timed = {"operationType": "TIME_POINT", "operator": "IS_BEFORE", "timePoint": point}
    tree = AllOf(
        (
            RecordFilter("city", record_operation(compared)),
            RecordFilter("start", record_operation(timed)),
            ListFilter(" 42", True),
        )
    )

    found = mentions(tree)

    assert found.properties == {"city", "other", "start", "due"}
    assert found.lists == {"42"}
    assert not found.any_change
    assert mentions(filter_on("lastmodifieddate", "IS_KNOWN")).any_change


def test_mentions_of_association_branches_are_those_of_the_associated_records() -> None:
    def branch(*filters: RecordFilter | ListFilter) -> AssociatedWith:
        return AssociatedWith("0-2", AssociationType("HUBSPOT_DEFINED", 279), AllOf(filters))

    name = filter_on("name", "IS_KNOWN")
    tree = AnyOf((branch(name), AllOf((filter_on("city", "IS_KNOWN"), Not(AnyOf((branch(ListFilter("42", True)),)))))))

    found = mentions(tree)

    assert (found.properties, found.lists) == ({"city"}, set())
    assert found.associations == {("0-2", AssociationType("HUBSPOT_DEFINED", 279))}
    of_company = found.of_associated("0-2")
    assert (of_company.properties, of_company.lists, of_company.any_change) == ({"name"}, {"42"}, False)
    assert found.of_associated("0-3") == mentions(AllOf(()))
    assert mentions(branch(filter_on("hs_lastmodifieddate", "IS_KNOWN"))).of_associated("0-2").any_change
