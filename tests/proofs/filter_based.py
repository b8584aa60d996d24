"""A naive evaluator of filter-based flows, for the proofs that compare the product with it.

It shares no code with the product: it has every change of a record in a list, and sorts this list anew for each instant
(docs/events.md, "Time and order"; docs/flows.md, "Filter-based flows").
"""

import json
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.support import scenario

SECOND = 1000

Filter = tuple[Any, ...]
"""A filter as scenarios write it."""
Tree = tuple[tuple[Filter, ...], ...]
"""An OR of ANDs of filters."""


@dataclass(frozen=True)
class Flow:
    tree: Tree
    re_enroll: bool
    triggers: tuple[tuple[Filter, ...], ...]

    def document(self, flow_id: str, **keys: Any) -> dict[str, Any]:
        given = {"any_filters": self.tree, "re_enroll": self.re_enroll, "re_enroll_when": self.triggers}
        # As JSON has it: lists in place of tuples.
        return scenario.flow(json.loads(json.dumps({**given, "id": flow_id, **keys})))

    @property
    def mentions(self) -> frozenset[str]:
        """What the criteria and the re-enrollment triggers depend on: names of properties and of lists. The triggers of
        a flow that enrolls a record once have no effect, so a change that only they mention does not concern it."""
        names = set()
        triggers = self.triggers if self.re_enroll else ()
        for each in (each for branch in (*self.tree, *triggers) for each in branch):
            if each[0] == "hs_name":
                names.update(each[2])
            elif each[0] != "hs_value":
                names.add(list_name(each[1]) if each[0].endswith("IN_LIST") else each[0])
        return frozenset(names)


def list_name(list_id: str) -> str:
    """Return the name of a list among what a record has."""
    return f"list {list_id}"


@dataclass(frozen=True)
class Fact:
    """A value of a record since ``at``, in milliseconds. ``name``: of a property or of a list. ``arrived``: the time or
    the position in the order of arrival."""

    name: str
    value: str | bool | None
    at: int
    is_to_second: bool
    arrived: int
    event_id: str

    @property
    def latest(self) -> int:
        return last_of_second(self.at) if self.is_to_second else self.at

    def is_certainly_before(self, other: "Fact") -> bool:
        """Whether the times alone determine that this value was first."""
        return self.latest < other.at


def last_of_second(at: int) -> int:
    return at // SECOND * SECOND + SECOND - 1


def value(facts: Iterable[Fact], name: str) -> str | bool | None:
    """The last value: of those that are not certainly before another, the last to arrive."""
    mine = [fact for fact in facts if fact.name == name]
    last = [fact for fact in mine if not any(fact.is_certainly_before(other) for other in mine)]
    return max(last, key=lambda fact: fact.arrived).value if last else None


@dataclass(frozen=True)
class Change:
    """An event that changed a record. ``arrived``: when it was first evaluated. ``is_creation``: its type says that the
    record was created. ``has_snapshot``: it sets ``names`` by a snapshot of the record. ``previous``: by name, the
    value before the change that its source sent."""

    id: str
    at: int
    is_to_second: bool
    arrived: int
    names: frozenset[str]
    is_creation: bool = False
    has_snapshot: bool = False
    previous: Mapping[str, str] = field(default_factory=dict)

    @property
    def latest(self) -> int:
        return last_of_second(self.at) if self.is_to_second else self.at


@dataclass(frozen=True)
class History:
    """What is known of a record that exists. ``known``: when its first creation arrived. ``deleted``: when the record
    before it, with the same key, was deleted."""

    created: int
    known: int
    facts: Sequence[Fact]
    deleted: int | None = None

    def is_created_by(self, change: Change) -> bool:
        """Whether the change is at the time of the creation, which is after the deletion."""
        return self.created == (change.at if self.deleted is None else max(change.at, self.deleted + 1))

    def place(self, change: Change) -> tuple[int, bool]:
        """When the change counts: not before the record was created."""
        return (self.created, False) if self.created > change.latest else (change.at, change.is_to_second)

    def after(self, change: Change) -> list[Fact]:
        """What the record has with the change."""
        at, is_to_second = self.place(change)
        known = max(change.arrived, self.known)
        return [
            fact
            for fact in self.facts
            if (
                fact.arrived <= known or fact.event_id == change.id
                if is_open(fact, at, is_to_second)
                else fact.at <= at
            )
        ]

    def before(self, change: Change) -> list[Fact] | None:
        """What the record had just before the change; None: it did not exist. Changes of the same millisecond are one
        change."""
        existed = self.created < change.at or (
            change.is_to_second and self.created <= change.latest and self.known < change.arrived
        )
        if not existed:
            return None
        at, is_to_second = self.place(change)
        known = max(change.arrived, self.known)
        return [
            fact
            for fact in self.facts
            if fact.event_id != change.id
            and (fact.arrived < known if is_open(fact, at, is_to_second) else fact.at < at)
        ]

    def until(self, at: int, after: Sequence[Fact]) -> list[Fact]:
        return [fact for fact in self.facts if fact in after or fact.at <= at]


def is_open(fact: Fact, at: int, is_to_second: bool) -> bool:
    """Whether the times do not determine if a value was before this time."""
    return fact.at // SECOND == at // SECOND and (is_to_second or fact.is_to_second)


@dataclass(frozen=True)
class Entries:
    """At which changes a record may enter. ``own``: the time of the event's own change. ``entered``: of the first
    change at which it starts to meet the criteria. ``re_enrolls``: by the event's own change, if it was enrolled
    before. ``again``: the changes after ``entered`` at which it would re-enroll."""

    own: int
    entered: int | None
    re_enrolls: bool
    again: tuple[int, ...]


def entries(flow: Flow, history: History, change: Change, since: int) -> Entries | None:
    """Return what an event means for a flow whose criteria are in force and turned on since ``since``. None: the event
    does not concern the flow."""
    if not _concerns(flow, history, change):
        return None
    own, _ = history.place(change)
    before, after = history.before(change), history.after(change)
    changes = [(own, max(change.latest, own), before, after)]
    for at in sorted({fact.at for fact in history.facts if fact.name in flow.mentions and fact not in after}):
        changes.append((at, at, history.until(at - 1, after), history.until(at, after)))
    entered = next(
        (
            at
            for at, latest, was, now in changes
            if latest >= since and holds(flow.tree, now) and not (was is not None and holds(flow.tree, was))
        ),
        None,
    )
    triggers = flow.triggers if flow.re_enroll else ()
    re_enrolls = (
        changes[0][1] >= since
        and holds(flow.tree, after)
        and any(occurs(trigger, change.names, before, after, change.previous) for trigger in triggers)
    )
    again = [
        at
        for at, _, was, now in changes
        if entered is not None and at > entered and holds(flow.tree, now)
        for changed in [{fact.name for fact in history.facts if fact.at == at}]
        if any(occurs(trigger, changed, was, now) for trigger in triggers)
    ]
    return Entries(own, entered, re_enrolls, tuple(again))


def _concerns(flow: Flow, history: History, change: Change) -> bool:
    if change.is_creation or (change.has_snapshot and history.is_created_by(change)):
        return True
    if not change.has_snapshot:
        return bool(change.names & flow.mentions)
    before, after = history.before(change) or [], history.after(change)
    changed = {name for name in change.names if value(before, name) != value(after, name)}
    return bool(changed & flow.mentions)


def holds(tree: Tree, facts: Sequence[Fact]) -> bool:
    return any(all(satisfied(each, facts) for each in branch) for branch in tree)


def satisfied(condition: Filter, facts: Sequence[Fact]) -> bool:
    if condition[0].endswith("IN_LIST"):
        return (value(facts, list_name(condition[1])) is True) == (condition[0] == "IN_LIST")
    found = value(facts, condition[0])
    match condition[1]:
        case "IS_KNOWN":
            return found is not None
        case "IS_UNKNOWN":
            return found is None
        case "IS_EQUAL_TO":
            return found == condition[2]
        case "IS_NOT_EQUAL_TO":
            return found != condition[2]
    raise AssertionError(condition)


def occurs(
    trigger: Sequence[Filter],
    changed: Container[str],
    before: Sequence[Fact] | None,
    after: Sequence[Fact],
    sent: Mapping[str, str] | None = None,
) -> bool:
    """Return whether a re-enrollment trigger occurs. ``sent``: previous values that the source of the change sent. They
    take precedence over the history (docs/events.md, "Time and order"), also over a change that arrives after them."""
    if trigger[0][0] != "hs_name":
        was = before is not None and all(satisfied(each, before) for each in trigger)
        return all(satisfied(each, after) for each in trigger) and not was
    (name,) = trigger[0][2]
    if name not in changed:
        return False
    previous, new = None if before is None else value(before, name), value(after, name)
    if sent is not None and name in sent:
        previous = sent[name]
    refinement = trigger[1] if len(trigger) > 1 else None
    if refinement is None:
        return previous != new
    if refinement[1] == "IS_KNOWN":
        return previous != new and new is not None
    return new == refinement[2] and previous != new


def meaning(tree: Tree) -> Any:
    return frozenset(frozenset(branch) for branch in tree)
