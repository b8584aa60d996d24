"""Filter-based flows in random orders of arrival, against a second, naive evaluator.

The naive evaluator (``filter_based``) has all changes that have arrived, in the order of arrival. A story has changes
of one record that are late, known to the second only, or delivered twice, while the flow is edited and turned off and
on. After each step both must have enrolled the record by the same changes.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.record import Record
from enrollment.domain.values import iso, read_instant
from tests.proofs import filter_based
from tests.proofs.filter_based import SECOND, Entries, Fact, Filter, Flow, History, entries, list_name, meaning
from tests.support import scenario
from tests.support.fakes import World, store, switch

START = read_instant(scenario.START) or 0
KEY = RecordKey(scenario.PORTAL, "0-1", "101")
FLOW = "1"
FILTERS: Sequence[Filter] = (
    ("a", "IS_EQUAL_TO", "1"),
    ("a", "IS_KNOWN"),
    ("b", "IS_EQUAL_TO", "1"),
    ("b", "IS_NOT_EQUAL_TO", "1", "STRING", True),
    ("b", "IS_UNKNOWN"),
    ("IN_LIST", "7"),
    ("NOT_IN_LIST", "7"),
)
RE_ENROLLMENT: Sequence[tuple[Filter, ...]] = (
    (("hs_name", "IS_ANY_OF", ("b",)),),
    (("hs_name", "IS_ANY_OF", ("a",)), ("hs_value", "IS_KNOWN")),
    (("hs_name", "IS_ANY_OF", ("b",)), ("hs_value", "IS_EQUAL_TO", "1")),
    (("a", "IS_EQUAL_TO", "2"),),
    (("IN_LIST", "7"),),
)
LIST = list_name("7")


# Stories -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Change:
    """An event about the record. ``kind``: its type. ``at``: when it happened, in milliseconds since START, or the
    start of its second. ``values``: what the record has afterwards, by the name of the property, or LIST."""

    id: str
    kind: str
    at: int
    is_to_second: bool
    values: Mapping[str, str | bool | None]

    @property
    def latest(self) -> int:
        return self.at + SECOND - 1 if self.is_to_second else self.at

    def evaluated(self, arrived: int) -> filter_based.Change:
        """The change as the evaluator has it. ``arrived``: the position of its first evaluation."""
        return filter_based.Change(
            self.id,
            self.at,
            self.is_to_second,
            arrived,
            frozenset(self.values),
            is_creation=self.kind == "crm.object_created",
            has_snapshot=self.kind == "forms.submitted",
        )

    def envelope(self) -> dict[str, Any]:
        instant = iso(START + self.at)
        document: dict[str, Any] = {
            self.kind: "101",
            "id": self.id,
            "at": instant[:19] + "Z" if self.is_to_second else instant,
        }
        if self.kind == "crm.property_changed":
            ((name, value),) = self.values.items()
            document["properties"] = {"hs_name": name, "hs_value": value or ""}
        elif self.kind == "lists.membership_changed":
            change = "ADDED" if self.values[LIST] else "REMOVED"
            document["properties"] = {"hs_list_id": "7", "hs_membership_change": change}
        elif self.kind == "forms.submitted":
            document |= {"properties": {"hs_form_id": "f"}, "record": dict(self.values)}
        else:
            document |= {"record": dict(self.values)}
        return scenario.event(document)


VALUES = st.sampled_from(["1", "2", None])
CHANGES = st.one_of(
    st.tuples(st.just("crm.property_changed"), st.dictionaries(st.sampled_from("abc"), VALUES, min_size=1, max_size=1)),
    st.tuples(st.just("lists.membership_changed"), st.dictionaries(st.just(LIST), st.booleans(), min_size=1)),
    st.tuples(st.just("forms.submitted"), st.dictionaries(st.sampled_from("ab"), VALUES, min_size=1)),
)
TREES = st.lists(
    st.lists(st.sampled_from(FILTERS), min_size=1, max_size=3, unique=True).map(tuple), min_size=1, max_size=2
).map(tuple)
FLOWS = st.builds(
    Flow, TREES, st.booleans(), st.lists(st.sampled_from(RE_ENROLLMENT), max_size=2, unique=True).map(tuple)
)
LATENESS = st.sampled_from([0, 0, 1, 2, 5, 700, 1500])
# Many late changes of one property, so that values are removed from its history.
OF_ONE_PROPERTY = st.builds(
    Flow,
    st.sampled_from([((("a", "IS_EQUAL_TO", "1"),),), ((("a", "IS_EQUAL_TO", "1"), ("b", "IS_UNKNOWN")),)]),
    st.booleans(),
    st.sampled_from([(), RE_ENROLLMENT[1:2]]),
)
CHANGES_OF_ONE_PROPERTY = st.tuples(
    st.just("crm.property_changed"), st.fixed_dictionaries({"a": st.sampled_from(["1", "2", "3"])})
)
# At least two, so that a creation fits between two steps: no two changes arrive in the same millisecond.
ADVANCE = st.sampled_from([2, 2, 3, 400, 1000])


@st.composite
def steps(draw: st.DrawFn, *, of_one_property: bool) -> list[tuple[int, str, Any]]:
    """Steps in the order of arrival: the milliseconds since START, the kind of step, and its change or flow.
    ``of_one_property``: changes of one property, at exact times."""
    now, made = 2000, list[tuple[int, str, Any]]()
    changes = list[Change]()
    for number in range(draw(st.integers(4, 10))):
        now += draw(ADVANCE)
        others = ["repeat"] if of_one_property else ["repeat", "edit", "off", "on"]
        step = draw(st.sampled_from(["change"] * 6 + others))
        if step == "repeat" and changes:
            made.append((now, "change", draw(st.sampled_from(changes))))
        elif step == "edit":
            made.append((now, step, draw(FLOWS)))
        elif step in ("off", "on"):
            made.append((now, step, None))
        else:
            kind, values = draw(CHANGES_OF_ONE_PROPERTY if of_one_property else CHANGES)
            is_to_second = not of_one_property and draw(st.booleans())
            at = now - draw(LATENESS)
            at -= at % SECOND if is_to_second else 0
            changes.append(Change(f"e{number}", kind, at, is_to_second, values))
            made.append((now, "change", changes[-1]))
    if draw(st.booleans()):
        place = draw(st.integers(0, len(made)))
        before = made[place - 1][0] if place else 2000
        values = draw(st.dictionaries(st.sampled_from("ab"), VALUES, max_size=2))
        creation = Change("creation", "crm.object_created", before + 1 - draw(LATENESS), False, values)
        made.insert(place, (before + 1, "change", creation))
    return made


# The naive evaluator -------------------------------------------------------------------------------------------------


@dataclass
class Naive:
    """``known``: the position of the creation in the order of arrival. ``history``: previous values that are kept of
    each name. ``enrolled``: the events that enrolled the record, by the times of the decisive changes."""

    flow: Flow
    since: int
    enabled_at: int
    is_on: bool = True
    history: int | None = None
    created: int | None = None
    known: int = -1
    facts: list[Fact] = field(default_factory=list)
    arrivals: dict[str, int] = field(default_factory=dict)
    count: int = 0
    enrolled: dict[int, str] = field(default_factory=dict)

    def edit(self, flow: Flow, now: int) -> None:
        if meaning(flow.tree) != meaning(self.flow.tree):
            self.since = now
        self.flow = flow
        if not self.is_on:
            self.is_on, self.enabled_at = True, now

    def arrive(self, change: Change) -> None:
        self.count += 1
        # Before the record is created, the first evaluation of an event with an exact time is not stored.
        is_before_creation = self.created is None or self.arrivals.get(change.id, -1) < self.known
        if is_before_creation and not change.is_to_second:
            self.arrivals[change.id] = self.count
        arrived = self.arrivals.setdefault(change.id, self.count)
        self._store(change, arrived)
        if self.is_on and self.created is not None:
            history = History(self.created, self.known, self.facts)
            self._enroll(
                change.id, entries(self.flow, history, change.evaluated(arrived), max(self.since, self.enabled_at))
            )

    def _store(self, change: Change, arrived: int) -> None:
        if change.kind in ("crm.object_created", "forms.submitted"):
            if self.created is None:
                self.created, self.known = change.at, arrived
            self.created = min(self.created, change.at)
        for name, value in change.values.items():
            if all((fact.event_id, fact.name) != (change.id, name) for fact in self.facts):
                self.facts.append(Fact(name, value, change.at, change.is_to_second, arrived, change.id))
                self._forget(name)

    def _forget(self, name: str) -> None:
        """Only some previous values are kept: those between two equal ones are removed first, then the oldest. Those of
        the latest millisecond are removed last."""
        mine = [fact for fact in self.facts if fact.name == name]
        mine.sort(key=lambda fact: (fact.at, fact.arrived))
        while self.history is not None and len(mine) > self.history + 1:
            earlier = [number for number, fact in enumerate(mine) if fact.is_certainly_before(mine[-1])]
            if not earlier:
                return
            values = [fact.value for fact in mine]
            repeated = (n for n in earlier if n and values[n - 1] == values[n] == values[n + 1])
            removed = mine.pop(next(repeated, earlier[0]))
            self.facts = [fact for fact in self.facts if fact is not removed]

    def _enroll(self, event_id: str, found: Entries | None) -> None:
        """By the change, or by a later one that it makes decisive."""
        if found is None:
            return
        if not self.enrolled:
            if found.entered is not None:
                self.enrolled[found.entered] = event_id
                # The events of later changes were decided when the record was not enrolled yet.
                for at in found.again:
                    self.enrolled.setdefault(at, event_id)
        elif found.re_enrolls and next(iter(self.enrolled.values())) != event_id:
            self.enrolled.setdefault(found.own, event_id)


# Both ----------------------------------------------------------------------------------------------------------------


def play(flow: Flow, story: Sequence[tuple[int, str, Any]], *, record_exists: bool, history: int | None = None) -> int:
    """Play a story on both, and compare after each step. Return the number of enrollments."""
    world = World()
    if history is not None:
        world.processor = replace(world.processor, history_length=history)
    world.put_flow(flow.document(FLOW), at=START - 5000)
    naive = Naive(flow, -5000, -5000, history=history)
    if record_exists:
        world.put_record(KEY, Record(KEY, START - 4000))
        naive.created = -4000
    for now, step, subject in story:
        world.now = START + now
        if step == "change":
            world.deliver(subject.envelope())
            naive.arrive(subject)
        elif step == "edit":
            store(world.authoring, scenario.PORTAL, subject.document(FLOW), world.now)
            naive.edit(subject, now)
        else:
            switch(world.authoring, scenario.PORTAL, FLOW, world.now, on=step == "on")
            if step == "on" and not naive.is_on:
                naive.enabled_at = now
            naive.is_on = step == "on"
        assert enrolled(world) == naive.enrolled, told(flow, story, record_exists=record_exists)
    return len(naive.enrolled)


def told(flow: Flow, story: Sequence[tuple[int, str, Any]], *, record_exists: bool) -> str:
    """The story for a person, if it fails."""
    lines = [f"{flow}, the record {'exists' if record_exists else 'does not exist'}"]
    return "\n".join([*lines, *(f"{now} {step} {subject or ''}" for now, step, subject in story)])


def enrolled(world: World) -> dict[int, str]:
    """The events that enrolled the record, by the times of the decisive changes."""
    causes = (stored.enrollment.cause for stored in world.enrollments.items.values())
    return {cause.occurred_at - START: cause.event_id for cause in causes}


@pytest.mark.verify
def test_records_enroll_as_a_naive_evaluator_decides_in_every_order(prove: bool) -> None:
    compare(FLOWS, steps(of_one_property=False), 10_000 if prove else 300)


@pytest.mark.verify
def test_records_enroll_as_the_history_that_is_kept_says(prove: bool) -> None:
    compare(OF_ONE_PROPERTY, steps(of_one_property=True), 10_000 if prove else 300, history=1)


def compare(
    flows: st.SearchStrategy[Flow],
    stories: st.SearchStrategy[list[tuple[int, str, Any]]],
    examples: int,
    history: int | None = None,
) -> None:
    """``history``: previous values that are kept of each property; None: as many as the product keeps."""
    counts = Counter[str]()

    # The same stories each time, unless it runs at full length.
    @settings(max_examples=examples, derandomize=examples < 10_000, suppress_health_check=list(HealthCheck))
    @given(flows, stories, st.booleans())
    def run(flow: Flow, story: list[tuple[int, str, Any]], record_exists: bool) -> None:
        counts["stories"] += 1
        counts["enrollments"] += play(flow, story, record_exists=record_exists, history=history)

    run()
    print(f"\n{dict(counts)}")
    assert counts["enrollments"] > counts["stories"] // 10
