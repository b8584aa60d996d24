"""Deliveries of events against a specification of sets and dicts, which shares no code with the product.

A hypothesis state machine sends events and delivers them late, twice and in any order. Processes end at any call, or
are overtaken by other deliveries and changes between two calls. Failed deliveries are repeated, and everything that was
ever sent is replayed. Times are exact, or known to the second only. After each step the records, the enrollments and
the waiting events must be those of the specification. Where several orders of simultaneous steps are possible, they
must be those of one of these orders. At the end every enrollment has been published.

The specification keeps every fact of a record with its time, its arrival and its event, and computes what an event sees
from this list each time (docs/events.md, "Time and order"). What it means for a filter-based flow is computed by the
evaluator of ``filter_based``.
"""

import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, ClassVar

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from enrollment.application.backfills import BackfillRequest
from enrollment.application.enrollment_publisher import NotDelivered
from enrollment.application.manual_enrollment import ManualRequest
from enrollment.domain.enrollment.decisions import Code
from enrollment.domain.enrollment.runs import Run, RunStatus
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.record import Record, RecordUpdate, TimestampedValue
from enrollment.serialization.messages import write_announcement, write_outbound_event
from enrollment.serialization.redeliveries import read_redelivery
from tests.proofs import filter_based
from tests.proofs.filter_based import Change, Entries, Fact, History, entries, last_of_second, list_name, meaning
from tests.support.fakes import World, store
from tests.support.scenario import event, flow

pytestmark = pytest.mark.verify

Envelope = Mapping[str, Any]
Step = Callable[["Specification"], None]

PORTAL = "p1"
FLOWS = ("1", "2", "3")
FILTER_BASED = ("4", "5")
CITIES = ("Cork", "Bray")
LIST = list_name("42")
BY_HAND = "manual:k"
BY_BACKFILL = "backfill:"

MINUTE = 60_000
GRACE = 15 * MINUTE

# Bounds of what is kept before a creation. The product's constants are set to these, so that examples reach them.
MOST_EARLY_FACTS = 3
EARLY_FACTS_KEPT = 60 * MINUTE


# What is sent --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sent:
    """An envelope as the specification reads it. ``at``: when it occurred, in milliseconds. ``is_to_second``: that time
    is known to the second only. ``bus_time``: when the bus received it, in whole seconds as EventBridge does.
    ``snapshot``: the record's properties that travel with it; None: there is no snapshot."""

    envelope: Envelope
    id: str
    kind: str
    record: str
    at: int
    is_to_second: bool
    bus_time: int
    properties: Mapping[str, str]
    snapshot: Mapping[str, str] | None
    chain: tuple[str, ...]

    @property
    def latest(self) -> int:
        return last_of_second(self.at) if self.is_to_second else self.at

    @property
    def creates(self) -> bool:
        return self.kind == "crm.object_created" or self.snapshot is not None

    @property
    def changes(self) -> Mapping[str, str | bool]:
        told: dict[str, str | bool] = dict(self.snapshot or {})
        if self.kind == "crm.property_changed":
            told[self.properties["hs_name"]] = self.properties["hs_value"]
        if self.kind == "lists.membership_changed":
            told[LIST] = self.properties["hs_membership_change"] == "ADDED"
        return told

    @property
    def changes_record(self) -> bool:
        return self.creates or bool(self.changes)

    @property
    def previous(self) -> Mapping[str, str]:
        """The value before the change, by the name of the property, if the source sent it."""
        value = self.properties.get("hs_previous_value")
        return {self.properties["hs_name"]: value} if value else {}


def of_request(event_id: str) -> Sent:
    """The event of a delayed enrollment by a request or a backfill, which was never on the bus. No flow waits for
    it."""
    assert event_id.startswith((BY_HAND, BY_BACKFILL))
    return Sent({}, event_id, "requested", "", 0, False, 0, {}, None, ())


def read(envelope: Envelope) -> Sent:
    detail = envelope["detail"]
    at, is_to_second = read_time(detail.get("occurredAt", envelope["time"]))
    return Sent(
        envelope=envelope,
        id=detail["id"],
        kind=envelope["detail-type"],
        record=detail["objectId"],
        at=at,
        is_to_second=is_to_second,
        bus_time=read_time(envelope["time"])[0],
        properties=detail["properties"],
        snapshot=detail["record"]["properties"] if "record" in detail else None,
        chain=tuple(detail.get("chain", ())),
    )


def read_time(given: int | str) -> tuple[int, bool]:
    if isinstance(given, int):
        return given, False
    return round(datetime.fromisoformat(given).timestamp() * 1000), "." not in given


def to_second(at: int) -> str:
    return datetime.fromtimestamp(at // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# The specification ---------------------------------------------------------------------------------------------------

# What can trigger a flow, as scenarios write it, and what the specification understands by it.
TRIGGERS: dict[str, tuple[dict[str, Any], Callable[[Sent], bool]]] = {
    "a form": (
        {"event": "forms.submitted"},
        lambda sent: sent.kind == "forms.submitted",
    ),
    "form f-1": (
        {"event": "forms.submitted", "where": [["hs_form_id", "IS_ANY_OF", ["f-1"]]]},
        lambda sent: sent.kind == "forms.submitted" and sent.properties["hs_form_id"] == "f-1",
    ),
    "a page": (
        {"event": "website.page_visited"},
        lambda sent: sent.kind == "website.page_visited",
    ),
    "the city": (
        {"event": "crm.property_changed", "where": [["hs_name", "IS_ANY_OF", ["city"]]]},
        lambda sent: sent.kind == "crm.property_changed" and sent.properties["hs_name"] == "city",
    ),
    "creation": (
        {"event": "crm.object_created"},
        lambda sent: sent.kind == "crm.object_created",
    ),
    "flow 1": (
        {"event": "workflows.enrolled", "where": [["hs_flow_id", "IS_ANY_OF", ["1"]]]},
        lambda sent: sent.kind == "workflows.enrolled" and sent.properties["hs_flow_id"] == "1",
    ),
    "any flow": (
        {"event": "workflows.enrolled"},
        lambda sent: sent.kind == "workflows.enrolled",
    ),
}
MAY_CREATE = ("forms.submitted",)


def is_before(fact: Fact, other: Fact) -> bool:
    """Where the times do not tell, the order of arrival does."""
    if fact.is_certainly_before(other) or other.is_certainly_before(fact):
        return fact.is_certainly_before(other)
    return fact.arrived < other.arrived


def is_copy(fact: Fact, other: Fact) -> bool:
    is_one_event = fact.event_id == other.event_id or "" in (fact.event_id, other.event_id)
    return is_one_event and replace(fact, arrived=0, event_id="") == replace(other, arrived=0, event_id="")


def latest(facts: Iterable[Fact], name: str) -> str | bool | None:
    """The value of the last of these facts."""
    return filter_based.value(facts, name)


@dataclass(frozen=True)
class Story:
    """What is known of a record. ``created`` None: it does not exist. ``known``: when its creation arrived."""

    created: int | None = None
    known: int | None = None
    deleted: int | None = None
    facts: frozenset[Fact] = frozenset()

    def view(self, sent: Sent, evaluated: int, until: int | None = None) -> list[Fact]:
        """The facts that an event sees. ``until``: with all that changed until then."""
        # An event that arrives before its record sees what was known when the record became known.
        known_until = evaluated if self.known is None else max(evaluated, self.known)
        at, is_to_second = sent.at, sent.is_to_second
        if self.created is not None and self.created > sent.latest:
            at, is_to_second = self.created, False

        def is_seen(fact: Fact) -> bool:
            if until is not None and fact.at <= until:
                return True
            if at // 1000 != fact.at // 1000 or not (is_to_second or fact.is_to_second):
                return fact.at <= at
            return fact.arrived <= known_until or fact.event_id == sent.id

        return [fact for fact in self.facts if is_seen(fact)]

    def value_before(self, sent: Sent, evaluated: int) -> str | bool | None:
        """The value before the event's own place, without what the event itself stored."""
        name = sent.properties["hs_name"]
        facts = [fact for fact in self.view(sent, evaluated) if fact.name == name]
        own = [fact for fact in facts if fact.event_id == sent.id]
        before = (fact for fact in facts if fact not in own and all(is_before(fact, one) for one in own))
        return latest(before, name)


NOTHING = Story()


@dataclass(frozen=True)
class Wait:
    """An event waits for a flow's final decision at ``end``, or was rejected then (``is_rejected``): for 15 minutes a
    change that arrives late can still enroll the record."""

    end: int
    is_rejected: bool = False

    def is_open(self, now: int) -> bool:
        return not self.is_rejected or now < self.end + GRACE


# REJECTED: by the criteria, or because the record is unknown. UNDECIDED: the flow is off, or not about such events.
ENROLLED, REJECTED, OTHER, UNDECIDED = "enrolled", "rejected", "other", "undecided"
# A number: the event waits until then.
Verdict = str | int

Place = tuple[str, str, str]
"""Flow, record, event; in a filter-based flow with the time of the change that enrolls (``cause``)."""


def cause(event_id: str, at: int) -> str:
    return f"{event_id} at {at}"


@dataclass(frozen=True)
class First:
    """The first enrollment of a record in a filter-based flow. ``is_confirmed``: before the current delivery."""

    event_id: str
    enrolled_at: int
    is_confirmed: bool


@dataclass
class Specification:
    """``flows``: those that are not deleted, each with ``on_since``. ``first_evaluated``: of the waiting events, by
    record and event. ``found``: by change, which events waited for its record when it was applied; none where the
    record did not exist. ``applied``: by change, the record after it was applied. ``firsts``: by flow and record."""

    flows: dict[str, dict[str, Any]] = field(default_factory=dict)
    stories: dict[str, Story] = field(default_factory=dict)
    enrolled: set[Place] = field(default_factory=set)
    waits: dict[Place, Wait] = field(default_factory=dict)
    first_evaluated: dict[tuple[str, str], int] = field(default_factory=dict)
    found: dict[str, frozenset[str]] = field(default_factory=dict)
    applied: dict[str, Story] = field(default_factory=dict)
    firsts: dict[tuple[str, str], First] = field(default_factory=dict)

    def copy(self) -> "Specification":
        return Specification(
            dict(self.flows),
            dict(self.stories),
            set(self.enrolled),
            dict(self.waits),
            dict(self.first_evaluated),
            dict(self.found),
            dict(self.applied),
            dict(self.firsts),
        )

    def put_flow(self, given: Mapping[str, Any], now: int) -> None:
        before = self.flows.get(given["id"])
        stays_on = before is not None and before["enabled"]
        since = before["on_since"] if before is not None and stays_on else now
        is_same = before is not None and meaning(before.get("tree", ())) == meaning(given.get("tree", ()))
        criteria_since = before["criteria_since"] if before is not None and is_same else now
        self.flows[given["id"]] = {**given, "on_since": since, "criteria_since": criteria_since}

    def delete_flow(self, flow_id: str) -> None:
        del self.flows[flow_id]

    def store(self, record: str, facts: Sequence[Fact], *, created: int | None, arrived: int) -> None:
        """``created``: the record exists from then at the latest; None: the facts do not create it."""
        story = self.stories.get(record, NOTHING)
        if created is not None:
            if story.created is None:
                recent = frozenset(fact for fact in story.facts if fact.arrived >= arrived - EARLY_FACTS_KEPT)
                story = replace(story, created=after_deletion(created, story), known=arrived, facts=recent)
            else:
                story = replace(story, created=min(story.created, after_deletion(created, story)))
        for fact in facts:
            if not any(is_copy(fact, other) for other in story.facts):
                story = replace(story, facts=story.facts | {fact})
        if story.created is None:
            last = sorted(story.facts, key=lambda fact: fact.arrived)[-MOST_EARLY_FACTS:]
            story = replace(story, facts=frozenset(last))
        if story != NOTHING:
            self.stories[record] = story

    def apply(self, sent: Sent, arrived: int) -> None:
        self._change(sent, arrived)
        self.found[sent.id] = self._waiting_for(sent.record)
        self.applied[sent.id] = self.stories.get(sent.record, NOTHING)

    def _waiting_for(self, record: str) -> frozenset[str]:
        if self.stories.get(record, NOTHING).created is None:
            return frozenset()
        return frozenset(event_id for _, awaited, event_id in self.waits if awaited == record)

    def _change(self, sent: Sent, arrived: int) -> None:
        deleted = self.stories.get(sent.record, NOTHING).deleted
        if not sent.changes_record or (deleted is not None and not is_after(sent, arrived, deleted)):
            return
        facts = [
            Fact(name, value, sent.at, sent.is_to_second, arrived, sent.id) for name, value in sent.changes.items()
        ]
        self.store(sent.record, facts, created=sent.at if sent.creates else None, arrived=arrived)

    def delete_record(self, record: str, now: int, *, is_stored: bool) -> None:
        """``is_stored``: something is stored of the record, if only that events wait for it."""
        story = self.stories.get(record, NOTHING)
        if not is_stored or (story.deleted is not None and story.created is None and not story.facts):
            return
        times = [fact.at for fact in story.facts] + ([] if story.created is None else [story.created])
        self.stories[record] = Story(deleted=max([now, *times]))

    def decide(self, sent: Sent, evaluated: int, now: int) -> None:
        """A delivery of an event."""
        for flow_id in FLOWS:
            self._follow(flow_id, sent, evaluated, self.verdict(flow_id, sent, evaluated, now, waits=True))

    def enter(self, sent: Sent, evaluated: int, now: int, *, as_applied: bool) -> None:
        """The decision of an event for the filter-based flows. ``as_applied``: on the record as it was after the event
        was applied to it; others may have changed it since."""
        for flow_id in FILTER_BASED:
            found = self._entries(flow_id, sent, evaluated, as_applied=as_applied)
            if found is None or not self.flows[flow_id]["enabled"]:
                continue
            times, first = self._times(flow_id, sent.record), self.firsts.get((flow_id, sent.record))
            if first is None:
                if found.entered is not None:
                    self.enrolled.add((flow_id, sent.record, cause(sent.id, found.entered)))
                    self.firsts[flow_id, sent.record] = First(sent.id, now, is_confirmed=False)
            elif found.re_enrolls and first.event_id != sent.id and found.own not in times:
                self.enrolled.add((flow_id, sent.record, cause(sent.id, found.own)))

    def to_backfill(self, flow_id: str) -> set[str]:
        """The records that a backfill enrolls now: those that meet the criteria and were never enrolled in the flow."""
        tree = self.flows[flow_id]["tree"]
        enrolled = {record for flow, record, _ in self.enrolled if flow == flow_id}
        return {
            record
            for record, story in self.stories.items()
            if story.created is not None and record not in enrolled and filter_based.holds(tree, tuple(story.facts))
        }

    def backfill(self, flow_id: str, run_id: str, now: int) -> None:
        for record in self.to_backfill(flow_id):
            self.enrolled.add((flow_id, record, f"{BY_BACKFILL}{run_id}"))
            self.firsts[flow_id, record] = First(f"{BY_BACKFILL}{run_id}", now, is_confirmed=True)

    def enter_again(
        self, sent: Sent, evaluated: int, count: int, *, as_applied: bool, may_be_confirmed: bool = False
    ) -> None:
        """The enrollments by changes after the first one, which the event has made, if the record was enrolled late: so
        many at most in each flow. After the first is confirmed, those by what was known when it was made."""
        for flow_id in FILTER_BASED:
            found, first = (
                self._entries(flow_id, sent, evaluated, as_applied=as_applied),
                self.firsts.get((flow_id, sent.record)),
            )
            if found is None or first is None or first.event_id != sent.id:
                continue
            facts = (self.applied[sent.id] if as_applied else self.stories[sent.record]).facts
            is_confirmed = first.is_confirmed or may_be_confirmed
            left = [
                at
                for at in found.again
                if not is_confirmed or all(fact.arrived <= first.enrolled_at for fact in facts if fact.at <= at)
                if at not in self._times(flow_id, sent.record)
            ]
            self.enrolled |= {(flow_id, sent.record, cause(sent.id, at)) for at in left[:count]}

    def _times(self, flow_id: str, record: str) -> set[int]:
        causes = (place[2] for place in self.enrolled if place[:2] == (flow_id, record))
        return {int(each.rpartition(" at ")[2]) for each in causes if " at " in each}

    def _entries(self, flow_id: str, sent: Sent, evaluated: int, *, as_applied: bool) -> Entries | None:
        given = self.flows.get(flow_id)
        story = self.applied[sent.id] if as_applied else self.stories.get(sent.record, NOTHING)
        is_of_deleted = story.deleted is not None and not is_after(sent, evaluated, story.deleted)
        if given is None or story.created is None or story.known is None or is_of_deleted or flow_id in sent.chain:
            return None
        change = Change(
            sent.id,
            sent.at,
            sent.is_to_second,
            evaluated,
            frozenset(sent.changes),
            is_creation=sent.kind == "crm.object_created",
            has_snapshot=sent.snapshot is not None,
            previous=sent.previous,
        )
        history = History(story.created, story.known, tuple(story.facts), story.deleted)
        return entries(filter_based_flow(given), history, change, max(given["on_since"], given["criteria_since"]))

    def look_again(self, sent: Sent, now: int, change: Sent, *, reads_again: bool) -> None:
        """A change of the record can decide an event that waits for a record that exists. The delivery of the change
        looks at the record as it was after the change, or (``reads_again``) as it is now, because others have changed
        or deleted it meanwhile. An event that began to wait after the change has seen it, and may be left waiting."""
        if sent.id not in (self._waiting_for(sent.record) if reads_again else self.found[change.id]):
            return
        for flow_id in FLOWS:
            place = (flow_id, sent.record, sent.id)
            wait = self.waits.get(place)
            if wait is None or not wait.is_open(now):
                continue
            evaluated = self.first_evaluated[sent.record, sent.id]
            # An early change that was dropped, because too many arrived, is stored again by its waiting event.
            self._change(sent, evaluated)
            verdict = self.verdict(flow_id, sent, evaluated, now, waits=True)
            if isinstance(verdict, int):
                if verdict > wait.end:
                    self.waits[place] = Wait(verdict)
            elif verdict != UNDECIDED and not (verdict == REJECTED and wait.end <= now):
                del self.waits[place]
                self._follow(flow_id, sent, evaluated, verdict)

    def finish(self, sent: Sent, evaluated: int, flow_ids: Iterable[str], now: int) -> None:
        """The final decision of an event that waited."""
        for flow_id in flow_ids:
            place = (flow_id, sent.record, sent.id)
            wait = self.waits.get(place)
            if wait is None or wait.is_rejected or wait.end > now:
                continue
            self._change(sent, evaluated)
            verdict = self.verdict(flow_id, sent, evaluated, now, waits=False)
            del self.waits[place]
            if verdict == REJECTED:
                self.waits[place] = Wait(now, is_rejected=True)
            self._follow(flow_id, sent, evaluated, verdict)

    def _follow(self, flow_id: str, sent: Sent, evaluated: int, verdict: Verdict) -> None:
        place = (flow_id, sent.record, sent.id)
        if isinstance(verdict, int):
            if not any(one[1:] == place[1:] for one in self.waits):
                self.first_evaluated[sent.record, sent.id] = evaluated
            self.waits[place] = Wait(verdict)
        elif verdict == ENROLLED:
            self.enrolled.add(place)

    def verdict(self, flow_id: str, sent: Sent, evaluated: int, now: int, *, waits: bool) -> Verdict:
        given = self.flows.get(flow_id)
        if given is None or not given["enabled"]:
            return UNDECIDED
        if all(TRIGGERS[one][0]["event"] != sent.kind for one in given["triggers"]):
            return UNDECIDED
        story = self.stories.get(sent.record, NOTHING)
        tolerance = 1000 * given["record_tolerance"]
        allowed = sent.latest + (tolerance if sent.kind in MAY_CREATE else 0)
        is_of_deleted = story.deleted is not None and not is_after(sent, evaluated, story.deleted)
        if is_of_deleted or story.created is None or story.created > allowed:
            may_become_known = not is_of_deleted and (story.created is None or story.created > sent.latest)
            end = ends_at(sent, evaluated, tolerance)
            if waits and may_become_known and tolerance and end > now and self._is_satisfied(given, sent, None):
                return end
            return REJECTED
        previous = story.value_before(sent, evaluated) if sent.kind == "crm.property_changed" else None
        if not self._is_satisfied(given, sent, previous):
            return OTHER
        events = {event for flow, record, event in self.enrolled if (flow, record) == (flow_id, sent.record)}
        if sent.id in events if given["re_enroll"] else events:
            return OTHER
        return self._criteria_verdict(given, story, sent, evaluated, now, waits=waits)

    def _is_satisfied(self, given: Mapping[str, Any], sent: Sent, previous: str | bool | None) -> bool:
        """``previous``: the value before the event, where the source does not send it."""
        value = sent.properties.get("hs_value")
        is_change = sent.kind != "crm.property_changed" or value != (
            sent.properties.get("hs_previous_value") or previous
        )
        return (
            is_change
            and given["id"] not in sent.chain
            and given["on_since"] <= sent.latest
            and any(TRIGGERS[one][1](sent) for one in given["triggers"])
        )

    def _criteria_verdict(
        self, given: Mapping[str, Any], story: Story, sent: Sent, evaluated: int, now: int, *, waits: bool
    ) -> Verdict:
        if given["city"] is None:
            return ENROLLED
        tolerance = given["tolerance"] * MINUTE
        seen = story.view(sent, evaluated)
        later = {fact.at for fact in story.facts if fact not in seen and fact.at <= sent.latest + tolerance}
        views = [seen, *(story.view(sent, evaluated, until) for until in later if tolerance)]
        if any(latest(view, "city") == given["city"] for view in views):
            return ENROLLED
        end = ends_at(sent, evaluated, tolerance)
        return end if waits and tolerance and end > now else REJECTED


def filter_based_flow(given: Mapping[str, Any]) -> filter_based.Flow:
    return filter_based.Flow(given["tree"], given["re_enroll"], given["triggers"])


def ends_at(sent: Sent, evaluated: int, tolerance: int) -> int:
    end = min(sent.bus_time, evaluated) + tolerance
    return end if evaluated <= end else evaluated + GRACE


def is_after(sent: Sent, arrived: int, deleted: int) -> bool:
    """Whether a change comes after the deletion of its record: by its time, or where that does not tell, by arrival."""
    if sent.is_to_second and sent.at <= deleted < sent.latest:
        return arrived > deleted
    return sent.at > deleted


def after_deletion(created: int, story: Story) -> int:
    return created if story.deleted is None else max(created, story.deleted + 1)


def orders(outer: Sequence[Step], inner: Sequence[Step]) -> Iterator[list[Step]]:
    """The inner steps come before, between or after the outer ones."""
    for place in range(len(outer) + 1):
        yield [*outer[:place], *inner, *outer[place:]]


# The world -----------------------------------------------------------------------------------------------------------


class Crash(BaseException):
    """The process ends here: no code of the product may catch it."""


@dataclass(frozen=True)
class Moment:
    """Before or after a delivery's ``number``th call of a name."""

    call: str
    number: int
    is_before: bool


class Calls:
    """The product's calls to its ports, before or after which something can be made to happen."""

    PORTS: Mapping[str, Sequence[str]] = {
        "flows": ("relevant",),
        "records": ("get", "save"),
        "enrollments": ("find", "claim", "confirm"),
        "queue": ("publish",),
        "bus": ("announce",),
        "deferred_events": ("get", "of", "save"),
        "redeliveries": ("schedule",),
        "kept_events": ("keep",),
        "runs": ("save_shard",),
    }
    NAMES = tuple(f"{port}.{name}" for port, names in PORTS.items() for name in names if port != "runs")
    OF_WORKERS = ("enrollments.claim", "enrollments.confirm", "queue.publish", "bus.announce", "runs.save_shard")

    def __init__(self, world: World) -> None:
        self._counts: Counter[str] = Counter()
        self._plan: dict[Moment, Callable[[], None]] = {}
        self._has_ended = False
        self.happened: set[Moment] = set()
        for port, names in self.PORTS.items():
            fake = getattr(world, port)
            for name in names:
                setattr(fake, name, self._watched(f"{port}.{name}", getattr(fake, name)))

    @contextmanager
    def planned(self, plan: Mapping[Moment, Callable[[], None]]) -> Iterator[None]:
        self._counts, self._plan, self.happened = Counter(), dict(plan), set()
        try:
            yield
        finally:
            self._plan, self._has_ended = {}, False

    def end(self) -> None:
        """A process that has ended makes no further call, whatever it would do on its way out."""
        self._has_ended = True
        raise Crash

    def _watched(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            self._counts[name] += 1
            number = self._counts[name]
            self._pass(Moment(name, number, is_before=True))
            answer = method(*arguments, **named)
            self._pass(Moment(name, number, is_before=False))
            return answer

        return call

    def _pass(self, moment: Moment) -> None:
        if self._has_ended:
            raise Crash
        if moment in self._plan:
            self.happened.add(moment)
            # What comes between makes calls of its own.
            counts, plan = self._counts, self._plan
            self._counts, self._plan = Counter(), {}
            plan[moment]()
            self._counts, self._plan = counts, plan


# What can be drawn ---------------------------------------------------------------------------------------------------

flow_ids = st.sampled_from(("1", "1", "1", "2", "3"))
records = st.sampled_from(("101", "101", "101", "102"))
forms = st.sampled_from(("f-1", "f-2"))
cities = st.sampled_from(CITIES)
snapshots = st.none() | cities
# The last ones are in the same second or in the one before.
ages = st.sampled_from((0, 0, 1, 40, 400, 1_000, 1_500))
# Exact, in whole seconds, or absent: then the bus time counts, which has whole seconds.
precisions = st.sampled_from(("exact", "exact", "second", "absent"))
moments = st.builds(Moment, st.sampled_from(Calls.NAMES), st.sampled_from((1, 1, 2)), st.booleans())
moments_of_workers = st.builds(Moment, st.sampled_from(Calls.OF_WORKERS), st.sampled_from((1, 2, 10)), st.booleans())
limits = st.sampled_from((None, None, None, (1, "SECOND"), (2, "MINUTE")))
flows = st.fixed_dictionaries(
    {
        "triggers": st.just(["a form"])
        | st.lists(st.sampled_from(list(TRIGGERS)), min_size=1, max_size=2, unique=True),
        "re_enroll": st.booleans(),
        "enabled": st.sampled_from((True, True, True, False)),
        "city": st.sampled_from((None, None, None, *CITIES)),
        "record_tolerance": st.sampled_from((60, 60, 60, 300, 0)),
        "tolerance": st.sampled_from((0, 0, 5)),
        "limit": limits,
    }
)
FILTERS: Sequence[filter_based.Filter] = (
    ("city", "IS_EQUAL_TO", "Cork"),
    ("city", "IS_EQUAL_TO", "Cork"),
    ("city", "IS_NOT_EQUAL_TO", "Cork", "STRING", True),
    ("city", "IS_KNOWN"),
    ("age", "IS_KNOWN"),
    ("age", "IS_NOT_EQUAL_TO", "1", "STRING", True),
    ("IN_LIST", "42"),
    ("NOT_IN_LIST", "42"),
)
RE_ENROLLMENT: Sequence[tuple[filter_based.Filter, ...]] = (
    (("hs_name", "IS_ANY_OF", ("age",)), ("hs_value", "IS_KNOWN")),
    (("hs_name", "IS_ANY_OF", ("city",)),),
    (("hs_name", "IS_ANY_OF", ("age",)), ("hs_value", "IS_EQUAL_TO", "1")),
    (("age", "IS_EQUAL_TO", "2"),),
    (("IN_LIST", "42"),),
)
filter_based_flows = st.fixed_dictionaries(
    {
        "tree": st.lists(
            st.lists(st.sampled_from(FILTERS), min_size=1, max_size=2, unique=True).map(tuple), min_size=1, max_size=2
        ).map(tuple),
        "triggers": st.lists(st.sampled_from(RE_ENROLLMENT), max_size=2, unique=True).map(tuple),
        "re_enroll": st.sampled_from((True, True, False)),
        "enabled": st.sampled_from((True, True, True, False)),
        "limit": limits,
    }
)
filter_based_ids = st.sampled_from(FILTER_BASED)
changes = st.one_of(
    st.tuples(st.just("write flow"), flow_ids, flows),
    st.tuples(st.just("write flow"), filter_based_ids, filter_based_flows),
    st.tuples(st.just("switch enabled"), filter_based_ids, st.none()),
    st.tuples(st.just("backfill"), filter_based_ids, st.none()),
    st.tuples(st.just("backfill"), filter_based_ids, st.none()),
    st.tuples(st.sampled_from(("switch re_enroll", "delete flow")), filter_based_ids, st.none()),
    st.tuples(st.just("switch re_enroll"), flow_ids, st.none()),
    st.tuples(st.just("switch enabled"), flow_ids, st.none()),
    st.tuples(st.just("delete flow"), flow_ids, st.none()),
    st.tuples(st.just("keep record"), records, cities),
    st.tuples(st.just("delete record"), records, st.none()),
)


@dataclass(frozen=True)
class Meeting:
    """What happens in the middle of a delivery, and the possible steps of the specification that belong to it.
    ``others``: the events that it delivers."""

    at: Moment
    meet: Callable[[], None]
    steps: Callable[[], Sequence[Sequence[Step]]] = lambda: [()]
    others: Sequence[Sent] = ()


Entering = tuple[bool, bool, bool]
"""Whether the filter-based flows are decided, and whether later changes are, on the record as the event left it; and
whether the first enrollment may have been confirmed meanwhile."""
ENTERINGS: Sequence[Entering] = [
    (True, False, False),
    (True, True, False),
    (False, False, False),
    (True, False, True),
    (True, True, True),
    (False, False, True),
]


class Enrolling(RuleBasedStateMachine):
    """``unfinished``: what was sent and not yet delivered to its end. ``repeatable``: by enrollment ID, how many
    further messages are allowed. ``sent_meanwhile``: by the ID of an enrollment that was not confirmed when one
    delivery met another, the number of messages that the other one sent. ``delivered``: when its first delivery
    began. ``evaluations``: the stored time of its first evaluation. ``unsure``: events whose process ended, so that
    they may wait without a note on their record. ``interrupted``: events of which a delivery failed or met another one.
    ``is_behind``: the specification has not followed the last delivery: it is going on, or could not be followed.
    ``seen``: of all examples."""

    seen: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.seen["examples"] += 1
        self.world = World()
        self.world.processor = msgspec.structs.replace(self.world.processor, history_length=1_000)
        self.world.record_service = msgspec.structs.replace(self.world.record_service, history_length=1_000)
        self.calls = Calls(self.world)
        self.specification = Specification()
        self.sent: list[Sent] = []
        self.unfinished: list[Sent] = []
        self.repeatable: Counter[str] = Counter()
        self.sent_meanwhile: Counter[str] = Counter()
        self.evaluations: dict[str, int] = {}
        self.delivered: dict[str, int] = {}
        self.unsure: set[str] = set()
        self.interrupted: set[str] = set()
        self.is_behind = False
        self.heard = 0
        self.messages = 0
        self.requests = 0
        self.entered: set[str] = set()
        self.entries: dict[tuple[str, tuple[int, str]], list[int]] = {}

    # What is sent

    @rule(record=records, form=forms, city=snapshots, age=ages, precision=precisions)
    def submit_a_form(self, record: str, form: str, city: str | None, age: int, precision: str) -> None:
        given = {"forms.submitted": record, "properties": {"hs_form_id": form}}
        self._send(given if city is None else {**given, "record": {"city": city}}, age, precision)

    @rule(record=records, age=ages, precision=precisions)
    def visit_a_page(self, record: str, age: int, precision: str) -> None:
        self._send({"website.page_visited": record}, age, precision)

    @rule(record=records, city=cities, age=ages, precision=precisions)
    def change_the_city(self, record: str, city: str, age: int, precision: str) -> None:
        properties = {"hs_name": "city", "hs_value": city}
        self._send({"crm.property_changed": record, "properties": properties}, age, precision)

    @rule(record=records, value=st.sampled_from("12"), age=ages, precision=precisions)
    def change_the_age(self, record: str, value: str, age: int, precision: str) -> None:
        properties = {"hs_name": "age", "hs_value": value}
        self._send({"crm.property_changed": record, "properties": properties}, age, precision)

    @rule(record=records, change=st.sampled_from(("ADDED", "ADDED", "REMOVED")), age=ages, precision=precisions)
    def change_a_list(self, record: str, change: str, age: int, precision: str) -> None:
        properties = {"hs_list_id": "42", "hs_membership_change": change}
        self._send({"lists.membership_changed": record, "properties": properties}, age, precision)

    @rule(record=records, age=ages, precision=precisions)
    def create_a_record(self, record: str, age: int, precision: str) -> None:
        self._send({"crm.object_created": record}, age, precision)

    @rule(milliseconds=st.sampled_from((1, 1, 30, 300, 1_000)))
    def wait(self, milliseconds: int) -> None:
        self.world.now += milliseconds

    # What is delivered: late, again, in any order

    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        if self.sent:
            self._deliver(self._one(data))

    @rule(data=st.data(), end=moments)
    def deliver_to_a_process_that_ends(self, data: st.DataObject, end: Moment) -> None:
        if self.sent:
            self._deliver(self._late(data), Meeting(end, self.calls.end))

    @rule(data=st.data(), of_queue=st.integers(0, 2), of_bus=st.integers(0, 2))
    def deliver_while_the_queue_or_the_bus_refuses(self, data: st.DataObject, of_queue: int, of_bus: int) -> None:
        if self.sent:
            self.world.queue.refuses, self.world.bus.refuses = of_queue, of_bus
            self._deliver(self._late(data))
            self.world.queue.refuses = self.world.bus.refuses = 0

    @rule(data=st.data(), at=moments, ends=st.booleans())
    def deliver_two_at_once(self, data: st.DataObject, at: Moment, ends: bool) -> None:
        if self.sent:
            self._deliver_at_once(self._late(data), self._one(data), at, ends)

    @rule(record=records, told=st.tuples(snapshots, snapshots), at=moments, ends=st.booleans(), precision=precisions)
    def submit_two_forms_at_once(
        self, record: str, told: tuple[str | None, str | None], at: Moment, ends: bool, precision: str
    ) -> None:
        for city in told:
            self.submit_a_form(record, "f-1", city, 0, precision)
        self._deliver_at_once(self.sent[-1], self.sent[-2], at, ends)

    def _deliver_at_once(self, sent: Sent, other: Sent, at: Moment, ends: bool) -> None:
        began: list[int] = []

        def meet() -> None:
            self.seen["met another delivery"] += 1
            self.interrupted |= {sent.id} & {other.id} | self._waiting_ids(sent.record)
            unpublished, messages = self._unpublished(), len(self.world.queue.messages)
            with self._at_a_time_of_its_own():
                began.append(self.world.now)
                self.world.deliver(other.envelope)
                sent_now = self._sent_since(messages)
                self.sent_meanwhile = Counter({one: sent_now[one] for one in unpublished & sent_now.keys()})
                self._finish(other)
            if ends:
                self.calls.end()

        def steps() -> Sequence[Sequence[Step]]:
            evaluations = self._evaluations(other, *began, *began)
            # A process that ends may have stored that its event waits, and not yet noted it on the record.
            return [
                [
                    *self._steps(other, arrived, evaluated, looked_at),
                    *(
                        self._steps_to_enter(other, arrived, evaluated, *ENTERINGS[0])[1:]
                        if other.changes_record
                        else ()
                    ),
                ]
                for evaluated in evaluations
                # A change that was dropped before the creation is stored again as one that arrives now.
                for arrived in {evaluated, *began}
                for known in ([[sent], []] if ends else [[sent]])
                for looked_at in self._ways_to_look(self._looked_at(other, known))
            ]

        self._deliver(sent, Meeting(at, meet, steps, [other]))

    @contextmanager
    def _at_a_time_of_its_own(self) -> Iterator[None]:
        """No two arrivals are in one millisecond, because then only the clocks' difference would order them."""
        self.world.now += 1
        yield
        self.world.now += 1

    @rule(data=st.data(), change=changes, at=moments, ends=st.booleans())
    def deliver_amid_a_change(self, data: st.DataObject, change: Any, at: Moment, ends: bool) -> None:
        if not self.sent:
            return
        told: list[Step] = []

        def meet() -> None:
            self.seen["met a change"] += 1
            with self._at_a_time_of_its_own():
                told.append(self._make(*change))
            if ends:
                self.calls.end()

        self._deliver(self._late(data), Meeting(at, meet, lambda: [told]))

    @rule(record=records, flow_id=st.sampled_from((*FLOWS, *FILTER_BASED)), is_repeated=st.booleans())
    def enroll_by_hand(self, record: str, flow_id: str, is_repeated: bool) -> None:
        """A request to enroll a record, which may be repeated with its key."""
        given = self.specification.flows.get(flow_id)
        if given is None or not given["enabled"]:
            return
        self.world.now += 1
        self.requests += 1
        request = ManualRequest(PORTAL, flow_id, [record], f"k{self.requests}", "ada")
        for _ in range(1 + is_repeated):
            self.world.manual_enrollment.enroll(request, self.world.now)
        is_enrolled = any(place[:2] == (flow_id, record) for place in self.specification.enrolled)
        exists = self.specification.stories.get(record, NOTHING).created is not None
        if exists and (given["re_enroll"] or not is_enrolled):
            self.seen["enrolled by hand"] += 1
            self.specification.enrolled.add((flow_id, record, f"{BY_HAND}{self.requests}"))
        self._check_limits({flow_id: given["limit"] for flow_id, given in self.specification.flows.items()})
        self._put_on_the_bus()

    @rule(flow_id=filter_based_ids)
    def backfill(self, flow_id: str) -> None:
        self.change(("backfill", flow_id, None))

    @rule(flow_id=filter_based_ids, end=moments_of_workers)
    def backfill_by_a_worker_that_ends(self, flow_id: str, end: Moment) -> None:
        """Another worker continues the run when the lease of its shard has ended."""
        self.world.now += 1
        run = self._start_backfill(flow_id)
        if run is not None:
            self._work(run, end)

    @rule()
    def continue_a_backfill(self) -> None:
        for run in self.world.runs.active(with_paused=True):
            self.pass_minutes(6, is_sent_twice=False)
            given = self.specification.flows.get(run.flow_id)
            if run.status is RunStatus.PAUSED and given is not None and given["enabled"]:
                run = self.world.backfills.resume(PORTAL, run.flow_id, run.id, self.world.now)
            elif run.status is RunStatus.PAUSED:
                run = self.world.backfills.cancel(PORTAL, run.flow_id, run.id, self.world.now)
            self._work(run)

    def _start_backfill(self, flow_id: str) -> Run | None:
        """Start a backfill of a flow that is on, if no other one is to be continued."""
        given = self.specification.flows.get(flow_id)
        if given is None or not given["enabled"] or self.world.runs.active(with_paused=True):
            return None
        self.seen["backfills"] += 1
        records = self.world.listing.count(PORTAL, "0-1")
        request = BackfillRequest(PORTAL, flow_id, False, "ada", confirm=records)
        return self.world.backfills.start(request, self.world.now)

    def _work(self, run: Run, end: Moment | None = None) -> None:
        """Let a worker evaluate the rest of a run. It enrolls what the specification says, or a part of it if it
        ends."""
        self.world.now += 1
        expected = self._places_to_backfill(run)
        before, messages = stored_enrollments(self.world), len(self.world.queue.messages)
        has_ended = False
        try:
            with self.calls.planned({} if end is None else {end: self.calls.end}):
                results = list(self.world.run_worker.work(self.world.now + MINUTE))
            assert [result.error for result in results if result.error is not None] == []
        except Crash:
            has_ended = True
            self.seen["workers ended"] += 1
            self._allow_repetition(self._sent_since(messages).keys() & self._unpublished())
        new = stored_enrollments(self.world) - before
        assert new <= expected if has_ended else new == expected
        self.seen["enrolled by backfills"] += len(new)
        self.specification.enrolled |= new
        self._check_backfill(run)
        self._check_limits({flow_id: given["limit"] for flow_id, given in self.specification.flows.items()})
        self._put_on_the_bus()

    def _places_to_backfill(self, run: Run) -> set[Place]:
        """What the rest of a run has to enroll: a part is done by a worker that ended."""
        given = self.specification.flows.get(run.flow_id)
        if given is None or not given["enabled"] or given["criteria_since"] != run.criteria_since or run.is_finished:
            return set()
        left = {shard.number for shard in self.world.runs.shards(run) if not shard.is_done}
        keys = [key for number in left for key in self.world.listing.page(PORTAL, "0-1", number, 100)]
        records = {key.object_id for key in keys} & self.specification.to_backfill(run.flow_id)
        return {(run.flow_id, record, f"{BY_BACKFILL}{run.id}") for record in records}

    def _check_backfill(self, run: Run) -> None:
        """A run that is done has counted each record once, and each of its enrollments."""
        run = self.world.runs.runs[run.id]
        if run.status is not RunStatus.DONE:
            return
        counts = self.world.backfills.progress(run).counts
        causes = [one.enrollment.cause.event_id for one in self.world.enrollments.items.values()]
        assert counts.get(Code.ENROLLED, 0) == causes.count(f"{BY_BACKFILL}{run.id}")
        assert not set(counts) & {Code.DUPLICATE_EVENT, Code.MET_BEFORE, Code.BEFORE_ACTIVATION}

    @rule(data=st.data())
    def redrive(self, data: st.DataObject) -> None:
        if self.sent:
            for sent in data.draw(st.lists(st.sampled_from(self.unfinished or self.sent), max_size=3)):
                self._deliver(sent)

    @rule(data=st.data())
    def replay_the_archive(self, data: st.DataObject) -> None:
        for sent in data.draw(st.permutations(self.sent)):
            self._deliver(sent)

    @rule(minutes=st.sampled_from((1, 1, 2, 6, 20)), is_sent_twice=st.booleans())
    def pass_minutes(self, minutes: int, is_sent_twice: bool) -> None:
        """What is scheduled until then is delivered at its time, perhaps twice."""
        until = self.world.now + minutes * MINUTE
        while due := self._due(until):
            self._redeliver(due[0], None)
            if is_sent_twice:
                self._redeliver(due[0], None)
            self.world.redeliveries.scheduled.remove(due[0])
        self.world.now = max(self.world.now, until)
        # The schedule publishes what no delivery has published within some minutes.
        assert not [failure for _, failure in self.world.unconfirmed_publisher.publish_all() if failure is not None]
        overdue = self.world.now - 5 * MINUTE
        assert all(one.is_confirmed or one.publish_at >= overdue for one in self.world.enrollments.items.values())
        self._check_messages()
        self._put_on_the_bus()

    @rule(end=moments)
    def redeliver_to_a_process_that_ends(self, end: Moment) -> None:
        for scheduled in self._due(self.world.now + MINUTE)[:1]:
            if not self._redeliver(scheduled, Meeting(end, self.calls.end)):
                self.world.redeliveries.scheduled.remove(scheduled)

    def _due(self, until: int) -> list[tuple[int, str]]:
        return sorted(one for one in self.world.redeliveries.scheduled if one[0] <= until)

    def _one(self, data: st.DataObject) -> Sent:
        return data.draw(st.sampled_from(self.sent), label="event")

    def _late(self, data: st.DataObject) -> Sent:
        """One that has not been delivered to its end, if there is any: of others less is to be seen."""
        return data.draw(st.sampled_from(self.unfinished or self.sent), label="late event")

    # What is changed

    @initialize(first=flows, second=flows, third=filter_based_flows, city=st.sampled_from(CITIES))
    def begin(self, first: Mapping[str, Any], second: Mapping[str, Any], third: Mapping[str, Any], city: str) -> None:
        # A record that exists before all flows, for backfills.
        self.change(("keep record", "102", city))
        for number, given in (("1", first), ("2", second), ("4", third)):
            self.change(("write flow", number, given))
        self.change(("keep record", "101", city))

    @rule(change=changes)
    def change(self, change: Any) -> None:
        self.world.now += 1
        self._make(*change)(self.specification)
        self._put_on_the_bus()

    def _make(self, what: str, which: str, value: Any) -> Step:
        """Make a change in the world, and return the step of the specification that belongs to it."""
        self.seen["changes"] += 1
        now, authoring, key = self.world.now, self.world.authoring, RecordKey(PORTAL, "0-1", which)
        keeping, given = self.world.record_service, self.specification.flows.get(which)
        match what:
            case "keep record":
                before = set(self.world.bus.produced)
                keeping.change(key, RecordUpdate(now, {"city": value}, creates=True))
                # What the bus got tells under which id the change is announced.
                event_id = next((one for one in self.world.bus.produced if one not in before), "")
                fact = Fact("city", value, now, False, now, event_id)
                return lambda one: one.store(which, [fact], created=now, arrived=now)
            case "delete record":
                is_stored = key in self.world.records.records
                keeping.delete(key, now)
                return lambda one: one.delete_record(which, now, is_stored=is_stored)
            case "write flow":
                given = {**value, "id": which}
            case _ if given is None:
                return lambda one: None
            case "backfill":
                run = self._start_backfill(which)
                if run is None:
                    return lambda one: None
                # Every record is in a page of its own, and all pages are evaluated.
                before = len(self.world.enrollments.items)
                list(self.world.run_worker.work(now + MINUTE))
                self.seen["enrolled by backfills"] += len(self.world.enrollments.items) - before
                self._check_backfill(run)
                return lambda one: one.backfill(which, run.id, now)
            case "delete flow":
                authoring.delete(PORTAL, which, now)
                return lambda one: one.delete_flow(which)
            case _:
                name = what.removeprefix("switch ")
                given = {**given, name: not given[name]}
        store(authoring, PORTAL, document(given), now)
        return lambda one: one.put_flow(given, now)

    # What must hold

    def _deliver(self, sent: Sent, meeting: Meeting | None = None) -> None:
        self.seen["deliveries"] += 1
        self.world.now += 1
        began = self.world.now
        self.specification.firsts = stored_firsts(self.world)
        candidates = self._looked_at(sent, meeting.others if meeting is not None else [])

        def deliver() -> None:
            self.world.deliver(sent.envelope)
            self._finish(sent)

        is_partial = self._run(deliver, sent, meeting)
        evaluations = self._evaluations(sent, began)
        arrivals = {began, self.world.now, *evaluations} if sent.changes_record else evaluations
        ways_to_look = self._ways_to_look(candidates)
        if is_partial and meeting is None:
            ways_to_look = [one for looked_at in ways_to_look for one in without_refused(looked_at)]
        times = list(itertools.product(arrivals, evaluations))
        self._follow(
            [
                self._steps(sent, arrived, evaluated, looked_at, reads_again=reads_again)
                for arrived, evaluated in times
                for looked_at in ways_to_look
                for reads_again in ([False] if meeting is None or not looked_at else [False, True])
            ],
            meeting,
            is_partial=is_partial,
            ways_to_enter=[
                self._steps_to_enter(sent, arrived, evaluated, *entering)
                for arrived, evaluated in times
                for entering in (ENTERINGS[:1] if meeting is None else ENTERINGS)
            ]
            if sent.changes_record
            else None,
        )
        self._put_on_the_bus()

    def _redeliver(self, scheduled: tuple[int, str], meeting: Meeting | None) -> bool:
        """Return whether it stopped before its end."""
        self.seen["redeliveries"] += 1
        at, text = scheduled
        now = self.world.now = max(self.world.now + 1, at)
        message = json.loads(text)
        event_id = message["event"]["id"]
        sent = next((one for one in self.sent if one.id == event_id), None) or of_request(event_id)
        evaluated = message["event"]["evaluatedAt"]
        unfinished = list(self.unfinished)
        is_partial = self._run(lambda: self.world.processor.resume(*read_redelivery(text)), sent, meeting)
        # Its own delivery may still be unfinished. What is scheduled is delivered again by the queue.
        self.unfinished = unfinished
        step = lambda one: one.finish(sent, evaluated, message["flowIds"], now)  # noqa: E731
        self._follow([[step]], meeting, is_partial=is_partial)
        self._put_on_the_bus()
        return is_partial

    def _steps(
        self, sent: Sent, arrived: int, evaluated: int, looked_at: Sequence[Sent], *, reads_again: bool = False
    ) -> list[Step]:
        now = self.world.now
        return [
            lambda one: one.apply(sent, arrived),
            lambda one: one.decide(sent, evaluated, now),
            *(
                lambda one, waiting=waiting: one.look_again(waiting, now, sent, reads_again=reads_again)
                for waiting in looked_at
            ),
        ]

    def _steps_to_enter(
        self,
        sent: Sent,
        arrived: int,
        evaluated: int,
        enters_as_applied: bool,
        again_as_applied: bool,
        may_be_confirmed: bool,
    ) -> list[Step]:
        """Those that concern filter-based flows. The later entries are made one by one: a process can end between."""
        now = self.world.now
        return [
            lambda one: one.apply(sent, arrived),
            lambda one: one.enter(sent, evaluated, now, as_applied=enters_as_applied),
            *(
                lambda one, count=count: one.enter_again(
                    sent, evaluated, count, as_applied=again_as_applied, may_be_confirmed=may_be_confirmed
                )
                for count in (1, 1, 1_000)
            ),
        ]

    def _run(self, deliver: Callable[[], object], sent: Sent, meeting: Meeting | None) -> bool:
        """Return whether the delivery stopped before its end."""
        is_partial, self.is_behind = False, True
        self.sent_meanwhile, messages = Counter(), len(self.world.queue.messages)
        with self.calls.planned({} if meeting is None else {meeting.at: meeting.meet}):
            try:
                deliver()
            except* Crash:
                self.seen["processes ended"] += 1
                self._allow_repetition(self._sent_since(messages).keys() & self._unpublished())
                self.unsure.add(sent.id)
                self.interrupted |= {sent.id} | self._waiting_ids(sent.record)
                self.unfinished.append(sent)
                is_partial = True
            except* NotDelivered:
                self.seen["not taken"] += 1
                self.interrupted.add(sent.id)
                self.unfinished.append(sent)
                is_partial = True
        # One message by each of two deliveries, of which none had confirmed its own when they met.
        by_both, met = self._sent_since(messages), self.sent_meanwhile
        self._allow_repetition({one for one, count in met.items() if by_both[one] > count})
        return is_partial

    def _allow_repetition(self, enrollment_ids: set[str]) -> None:
        """Allow one further message of each. A message may be sent again only if the first one was not confirmed: the
        process ended before, or another delivery sends it at the same time (docs/enrollments.md, "Guarantees"). This
        depends on the enrollment and not on the event that caused it. In a filter-based flow, each event of one change
        publishes what another one has left, because they are one cause."""
        self.repeatable.update(enrollment_ids)

    def _unpublished(self) -> set[str]:
        """The IDs of the enrollments whose message is not confirmed."""
        return {one.enrollment.id for one in self.world.enrollments.items.values() if not one.is_published}

    def _sent_since(self, messages: int) -> Counter[str]:
        """The number of messages after the first ``messages`` ones, by enrollment ID."""
        return Counter(one.id for one in self.world.queue.messages[messages:])

    def _finish(self, sent: Sent) -> None:
        """Each enrollment by the event that is due is confirmed. After a delivery that failed, a filter-based flow may
        not be concerned by the event any more. Then the schedule confirms its enrollment (``pass_minutes``)."""
        self.unfinished = [one for one in self.unfinished if one is not sent]
        for one in self.world.enrollments.items.values():
            is_due = one.due_at is None or one.due_at <= self.world.now
            is_left = sent.id in self.interrupted and one.enrollment.flow_id in FILTER_BASED
            assert one.enrollment.cause.event_id != sent.id or one.is_confirmed or not is_due or is_left

    def _waiting_ids(self, record: str) -> set[str]:
        return {event_id for key, event_id in self.world.deferred_events.items if key.object_id == record}

    def _looked_at(self, sent: Sent, others: Sequence[Sent]) -> list[Sent]:
        """The events that wait for a change of the record, or may begin to wait meanwhile, as they occurred."""
        if not sent.changes_record:
            return []
        ids = {one[2] for one in self.specification.waits if one[1] == sent.record}
        ids |= {one.id for one in others if one.record == sent.record}
        found = {one.id: one for one in self.sent if one.id in ids and one.id != sent.id}
        return sorted(found.values(), key=lambda one: (one.at, one.id))

    def _ways_to_look(self, candidates: list[Sent]) -> list[list[Sent]]:
        """With and without the events that perhaps are not noted on their record."""
        sure = [one for one in candidates if one.id not in self.unsure]
        return [candidates] if sure == candidates else [candidates, sure]

    def _evaluations(self, sent: Sent, began: int, ended: int | None = None) -> set[int]:
        """When the event was first evaluated: as it is stored, or else at any moment of this delivery. A stored time
        never changes. It is not read for an event about a record that does not exist and that the event does not
        change."""
        ended = self.world.now if ended is None else ended
        self.delivered.setdefault(sent.id, began)
        stored = stored_evaluation(self.world, sent)
        before = self.evaluations.get(sent.id)
        if stored is None:
            assert before is None
            return {began, ended}
        assert stored == before if before is not None else self.delivered[sent.id] <= stored <= ended, sent
        self.evaluations[sent.id] = stored
        stories = self.specification.stories
        if not sent.changes_record and stories.get(sent.record, NOTHING).created is None:
            return {stored, began, ended}
        return {stored}

    def _follow(
        self,
        ways: Iterable[Sequence[Step]],
        meeting: Meeting | None,
        *,
        is_partial: bool,
        ways_to_enter: Iterable[Sequence[Step]] | None = None,
    ) -> None:
        """The specification goes the way that the world went, if it was one of those; each flow by itself, because each
        is decided by itself. ``is_partial``: the delivery failed, and what it left undone is undone here too.
        ``ways_to_enter``: those for the filter-based flows; None: the same."""
        possible = self._possible(ways, meeting, is_partial=is_partial)
        entering = possible if ways_to_enter is None else self._possible(ways_to_enter, meeting, is_partial=is_partial)
        enrolled, waits, now = stored_enrollments(self.world), stored_waits(self.world), self.world.now
        for flow_id in FILTER_BASED:
            assert of_flow(flow_id, enrolled) in [of_flow(flow_id, one.enrolled) for one in entering], flow_id
        for flow_id in FLOWS:
            assert of_flow(flow_id, enrolled) in [of_flow(flow_id, one.enrolled) for one in possible], flow_id
            stored = open_waits(flow_id, waits, enrolled, now)
            assert stored in [open_waits(flow_id, one.waits, enrolled, now) for one in possible], (flow_id, stored)
        if all(one.flows == self.specification.flows for one in possible):
            self._check_limits({flow_id: given["limit"] for flow_id, given in self.specification.flows.items()})
        self.entered = {one.enrollment.id for one in self.world.enrollments.items.values()}
        self.specification = possible[0]
        self.specification.enrolled = enrolled
        self.specification.waits = waits
        self.specification.first_evaluated = {
            (key.object_id, event_id): one.event.evaluated_at or 0
            for (key, event_id), one in self.world.deferred_events.items.items()
        }
        self.is_behind = False
        self._check_messages()

    def _possible(
        self, ways: Iterable[Sequence[Step]], meeting: Meeting | None, *, is_partial: bool
    ) -> list[Specification]:
        between = meeting.steps() if meeting is not None and meeting.at in self.calls.happened else [()]
        possible = []
        for way in ways:
            for steps in [way[:number] for number in (range(len(way) + 1) if is_partial else [len(way)])]:
                for order in (one for inner in between for one in orders(steps, inner)):
                    specification = self.specification.copy()
                    for step in order:
                        step(specification)
                    possible.append(specification)
        stories = stored_stories(self.world)
        possible = [one for one in possible if one.stories == stories]
        assert possible, stories
        return possible

    def _check_messages(self) -> None:
        """Nothing is published before its time."""
        due = {one.enrollment.id: one.due_at or 0 for one in self.world.enrollments.items.values()}
        new, self.messages = self.world.queue.messages[self.messages :], len(self.world.queue.messages)
        assert all(due[one.id] <= self.world.now for one in new)

    def _check_limits(self, flow_limits: Mapping[str, tuple[int, str] | None]) -> None:
        """Records enter in the order of their enrollments, and in a period of the limit at most twice its count."""
        new = [one for one in self.world.enrollments.items.values() if one.enrollment.id not in self.entered]
        for one in sorted(new, key=lambda one: one.publish_at):
            self.entered.add(one.enrollment.id)
            flow_id = one.enrollment.flow_id
            limit = flow_limits.get(flow_id)
            if limit is None:
                assert one.due_at is None
                continue
            count, period = limit[0], {"SECOND": 1_000, "MINUTE": MINUTE}[limit[1]]
            self.seen["delayed enrollments"] += one.due_at is not None
            times = self.entries.setdefault((flow_id, limit), [])
            assert not times or times[-1] <= one.publish_at
            times.append(one.publish_at)
            assert sum(time > one.publish_at - period for time in times) <= 2 * count

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        self.seen["steps"] += 1
        assert stored_stories(self.world) == self.specification.stories
        for key, record in self.world.records.records.items():
            facts = self.specification.stories.get(key.object_id, NOTHING).facts
            stored = {name: one.value for name, one in record.properties.items()}
            stored |= {list_name(list_id): one.value for list_id, one in record.memberships.items()}
            assert stored == {name: latest(facts, name) for name in {fact.name for fact in facts}}
        items = self.world.enrollments.items
        assert len(stored_enrollments(self.world)) == len(items)
        assert stored_enrollments(self.world) == self.specification.enrolled

        # Who consumes an enrollment finds its event in the history.
        kept = {(key, one.id) for (key, _), (one, _) in self.world.kept_events.kept.items()}
        assert {
            (one.enrollment.record_key, one.enrollment.cause.event_id)
            for one in items.values()
            if not one.enrollment.cause.event_id.startswith((BY_HAND, BY_BACKFILL))
        } <= kept

        firsts = Counter(
            (one.enrollment.flow_id, one.enrollment.record_key)
            for one in items.values()
            if not one.enrollment.is_re_enrollment
        )
        assert firsts == Counter({(one.enrollment.flow_id, one.enrollment.record_key) for one in items.values()})
        messages = Counter(one.id for one in self.world.queue.messages)
        assert messages.keys() <= {one.enrollment.id for one in items.values()}
        for enrollment_id, count in messages.items():
            assert count <= 1 + self.repeatable[enrollment_id]

        assert {one.enrollment.id for one in self.world.bus.announcements} <= {
            one.id for one in self.world.queue.messages
        }

    def teardown(self) -> None:
        """Once all is delivered, all is published, and announced. After a failure, when the specification is behind,
        there is nothing to compare with, and a second failure would hide the first."""
        if self.is_behind:
            return
        while self.unfinished or self.world.redeliveries.scheduled:
            while self.unfinished:
                self._deliver(self.unfinished[-1])
            self.pass_minutes(20, is_sent_twice=False)
        codes = {(one.flow_id, event.object_id, event.id): one.code for event, one in self.world.decision_log.decisions}
        for place, wait in self.specification.waits.items():
            # A process that ended before it scheduled the final decision leaves an event waiting. Nothing is lost: the
            # next delivery of the event has decided it finally, or the flow was turned off or changed. A change of the
            # record can decide it again, by the flow as it is then, as one more delivery of the event would.
            assert wait.is_rejected or codes.get(place) is not Code.WAITING or self._has_flow_changed_for(place)
        self.pass_minutes(20, is_sent_twice=False)
        enrolled = {one.enrollment.id for one in self.world.enrollments.items.values()}
        assert {one.id for one in self.world.queue.messages} == enrolled
        assert {one.enrollment.id for one in self.world.bus.announcements} == enrolled

    def _has_flow_changed_for(self, place: Place) -> bool:
        """Whether the flow is off now, was off since the event occurred, or is about other events now."""
        given = self.specification.flows.get(place[0])
        sent = next(one for one in self.sent if one.id == place[2])
        return (
            given is None
            or not given["enabled"]
            or given["on_since"] > sent.latest
            or all(TRIGGERS[one][0]["event"] != sent.kind for one in given["triggers"])
        )

    # The bus

    def _send(self, given: Mapping[str, Any], age: int, precision: str) -> None:
        now = self.world.now
        at = {"exact": now - age, "second": to_second(now - age), "absent": None}[precision]
        self._sent(event({**given, "id": f"e{len(self.sent)}", "at": at, "sent": to_second(now)}))

    def _put_on_the_bus(self) -> None:
        """What the system itself has put there meanwhile."""
        produced, self.world.bus.produced = self.world.bus.produced, {}
        announced, self.heard = self.world.bus.announcements[self.heard :], len(self.world.bus.announcements)
        details = [(one.event_type, write_outbound_event(one)) for one in produced.values()]
        details += [("workflows.enrolled", write_announcement(one)) for one in announced]
        for kind, written in details:
            detail = json.loads(written)
            time = to_second(self.world.now)
            self._sent({"id": detail["id"], "detail-type": kind, "source": "enroll", "time": time, "detail": detail})

    def _sent(self, envelope: Envelope) -> None:
        self.seen["events"] += 1
        sent = read(envelope)
        same = [one for one in self.sent if one.id == sent.id]
        assert all(one.envelope["detail"] == envelope["detail"] for one in same), "an id names one event"
        self.sent.append(sent)
        self.unfinished.append(sent)


def without_refused(looked_at: Sequence[Sent]) -> list[list[Sent]]:
    """The queue and the bus refuse the enrollments of one event each. Such an event goes on waiting; the events after
    it are decided all the same."""
    return [
        [one for one in looked_at if one not in refused]
        for count in range(3)
        for refused in itertools.combinations(looked_at, count)
    ]


def document(given: Mapping[str, Any]) -> dict[str, Any]:
    if "tree" in given:
        return filter_based_flow(given).document(given["id"], enabled=given["enabled"], **limit_of(given))
    criteria = {} if given["city"] is None else {"criteria": [["city", "IS_EQUAL_TO", given["city"]]]}
    known = {name: value for name, value in given.items() if name != "limit"}
    return flow({**known, "groups": [TRIGGERS[one][0] for one in given["triggers"]], **criteria, **limit_of(given)})


def limit_of(given: Mapping[str, Any]) -> dict[str, Any]:
    return {} if given["limit"] is None else {"limit": dict(zip(("count", "period"), given["limit"], strict=True))}


def stored_stories(world: World) -> dict[str, Story]:
    stories = {}
    for key, record in world.records.records.items():
        facts = frozenset(
            Fact(name, one.value, one.changed_at, one.is_to_second, one.arrival, one.event_id)
            for name, changes in changes_of(record)
            for one in changes
        )
        story = Story(deleted=record.deleted_at, facts=facts)
        if record.exists:
            story = replace(story, created=record.created_at, known=record.known_at)
        stories[key.object_id] = story
    # Of some, only that events wait for them is stored.
    return {record: story for record, story in stories.items() if story != NOTHING}


def changes_of(record: Record) -> Iterator[tuple[str, Sequence[TimestampedValue]]]:
    for name, last in record.properties.items():
        yield name, (*record.earlier_properties.get(name, ()), last)
    for list_id, last in record.memberships.items():
        yield list_name(list_id), (*record.earlier_memberships.get(list_id, ()), last)


def stored_firsts(world: World) -> dict[tuple[str, str], First]:
    return {
        (one.enrollment.flow_id, one.enrollment.record_key.object_id): First(
            one.enrollment.cause.event_id, one.enrollment.enrolled_at, one.is_confirmed
        )
        for one in world.enrollments.items.values()
        if not one.enrollment.is_re_enrollment
    }


def stored_evaluation(world: World, sent: Sent) -> int | None:
    found = [
        at
        for (key, place), at in world.kept_events.evaluations.items()
        if key.object_id == sent.record and place.partition("/")[2] == sent.id
    ]
    assert len(found) <= 1
    return found[0] if found else None


def stored_enrollments(world: World) -> set[Place]:
    found = (one.enrollment for one in world.enrollments.items.values())
    return {
        (
            one.flow_id,
            one.record_key.object_id,
            cause(one.cause.event_id, one.cause.occurred_at) if one.cause.name else one.cause.event_id,
        )
        for one in found
    }


def stored_waits(world: World) -> dict[Place, Wait]:
    waits = {}
    for (key, event_id), one in world.deferred_events.items.items():
        for flow_id, end in one.flows.items():
            waits[flow_id, key.object_id, event_id] = Wait(end)
        for flow_id, until in one.rejected.items():
            waits[flow_id, key.object_id, event_id] = Wait(until - GRACE, is_rejected=True)
    return waits


def open_waits(flow_id: str, waits: Mapping[Place, Wait], enrolled: set[Place], now: int) -> dict[Place, Wait]:
    """Those that can still lead to an enrollment."""
    return {
        place: wait
        for place, wait in waits.items()
        if place[0] == flow_id and place not in enrolled and (wait.is_open(now) or not wait.is_rejected)
    }


def of_flow(flow_id: str, enrolled: set[Place]) -> set[Place]:
    return {one for one in enrolled if one[0] == flow_id}


def test_the_deliveries_are_those_of_the_specification(prove: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("enrollment.domain.records.record.MAX_EARLY_CHANGES", MOST_EARLY_FACTS)
    monkeypatch.setattr("enrollment.domain.records.record.EARLY_CHANGES_KEPT_MS", EARLY_FACTS_KEPT)
    profile = settings(
        max_examples=5_000 if prove else 250,
        stateful_step_count=60 if prove else 40,
        derandomize=not prove,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    Enrolling.seen.clear()
    run_state_machine_as_test(Enrolling, settings=profile)
    print(", ".join(f"{count:,} {what}" for what, count in sorted(Enrolling.seen.items())))
