"""The story of an event against a specification of sets and dicts, which shares no code with the product.

A hypothesis state machine sends events and delivers them late, twice, in any order, to a process that dies at any call
or is overtaken by others between two of its calls, amid changes of flows and records; sends again what failed; and
replays all that was ever sent. After each step the records and the enrollments must be those of the specification.
Where several orders of what happened at once are possible, those of one of them; and at the end every enrollment has
been published.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from msgspec.structs import replace

from enrollment.delivery import NotDelivered
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records import Change
from enrollment.wire.messages import write_announcement, write_production
from tests.fakes import World, store
from tests.scenarios.scenario import event, flow

Envelope = Mapping[str, Any]
Step = Callable[["Specification"], None]

PORTAL = "p1"
FLOWS = ("1", "2", "3")

# What can trigger a flow, as scenarios write it, and what the specification understands by it.
TRIGGERS: dict[str, tuple[dict[str, Any], Callable[[str, Mapping[str, Any]], bool]]] = {
    "a form": (
        {"event": "forms.submitted"},
        lambda kind, properties: kind == "forms.submitted",
    ),
    "form f-1": (
        {"event": "forms.submitted", "where": [["hs_form_id", "IS_ANY_OF", ["f-1"]]]},
        lambda kind, properties: kind == "forms.submitted" and properties["hs_form_id"] == "f-1",
    ),
    "the city": (
        {"event": "crm.property_changed", "where": [["hs_name", "IS_ANY_OF", ["city"]]]},
        lambda kind, properties: kind == "crm.property_changed" and properties["hs_name"] == "city",
    ),
    "creation": (
        {"event": "crm.object_created"},
        lambda kind, properties: kind == "crm.object_created",
    ),
    "flow 1": (
        {"event": "workflows.enrolled", "where": [["hs_flow_id", "IS_ANY_OF", ["1"]]]},
        lambda kind, properties: kind == "workflows.enrolled" and properties["hs_flow_id"] == "1",
    ),
    "any flow": (
        {"event": "workflows.enrolled"},
        lambda kind, properties: kind == "workflows.enrolled",
    ),
}
CITIES = ("Cork", "Bray")


# The specification ---------------------------------------------------------------------------------------------------


@dataclass
class Story:
    """What is known of a record: since when it exists, when it was deleted, and each (property, time, value)."""

    created: int
    deleted: int | None = None
    changes: set[tuple[str, int, str]] = field(default_factory=set)

    def is_gone(self) -> bool:
        return self.deleted is not None and self.created <= self.deleted

    def value(self, name: str, at: int) -> str | None:
        known = [(when, value) for what, when, value in self.changes if what == name and when <= at]
        return max(known)[1] if known else None


@dataclass
class Specification:
    """``flows``: those that are not deleted, each with ``on_since``. ``enrolled``: (flow, record, event)."""

    flows: dict[str, dict[str, Any]] = field(default_factory=dict)
    stories: dict[str, Story] = field(default_factory=dict)
    enrolled: set[tuple[str, str, str]] = field(default_factory=set)

    def put_flow(self, given: Mapping[str, Any], now: int) -> None:
        before = self.flows.get(given["id"])
        stays_on = before is not None and before["enabled"]
        since = before["on_since"] if before is not None and stays_on else now
        self.flows[given["id"]] = {**given, "on_since": since}

    def delete_flow(self, flow_id: str) -> None:
        del self.flows[flow_id]

    def tell(self, record: str, at: int, properties: Mapping[str, str], *, creates: bool) -> None:
        story = self.stories.get(record)
        if story is not None and story.deleted is not None and at <= story.deleted:
            return
        if story is None or story.is_gone():
            if not creates:
                return
            story = self.stories[record] = Story(at, None if story is None else story.deleted)
        if creates:
            story.created = min(story.created, at)
        story.changes |= {(name, at, value) for name, value in properties.items()}

    def tell_of(self, envelope: Envelope) -> None:
        kind, detail = envelope["detail-type"], envelope["detail"]
        said = dict(detail.get("record", {}).get("properties", {}))
        creates = "record" in detail or kind == "crm.object_created"
        if kind == "crm.property_changed":
            said[detail["properties"]["hs_name"]] = detail["properties"]["hs_value"]
        if said or creates:
            self.tell(detail["objectId"], when(envelope), said, creates=creates)

    def delete_record(self, record: str, now: int) -> None:
        story = self.stories.get(record)
        if story is not None and not story.is_gone():
            self.stories[record] = Story(story.created, now)

    def decide(self, envelope: Envelope) -> None:
        for flow_id in self.flows:
            if self.enrolls(flow_id, envelope):
                self.enrolled.add((flow_id, envelope["detail"]["objectId"], envelope["detail"]["id"]))

    def enrolls(self, flow_id: str, envelope: Envelope) -> bool:
        given, detail, at = self.flows[flow_id], envelope["detail"], when(envelope)
        story = self.stories.get(detail["objectId"])
        events = {
            event_id for flow, record, event_id in self.enrolled if (flow, record) == (flow_id, detail["objectId"])
        }
        return (
            given["enabled"]
            and story is not None
            and not story.is_gone()
            and story.created <= at
            and flow_id not in detail.get("chain", [])
            and given["on_since"] <= at
            and any(TRIGGERS[one][1](envelope["detail-type"], detail["properties"]) for one in given["triggers"])
            and (detail["id"] not in events if given["re_enroll"] else not events)
            and given["city"] in (None, story.value("city", at))
        )


def when(envelope: Envelope) -> int:
    at: int = envelope["detail"]["occurredAt"]
    return at


def orders(outer: Sequence[Step], inner: Sequence[Step]) -> Iterator[list[Step]]:
    """What came between comes before, between or after the steps of what it came between."""
    for place in range(len(outer) + 1):
        yield [*outer[:place], *inner, *outer[place:]]


# The world -----------------------------------------------------------------------------------------------------------


class Crash(BaseException):
    """The process ends here: no code of the story may catch it."""


@dataclass(frozen=True)
class Moment:
    """Before or after one of a delivery's calls of a name, the ``number``th."""

    call: str
    number: int
    is_before: bool


class Calls:
    """The story's calls to its ports, before or after which something can be made to happen."""

    PORTS: Mapping[str, Sequence[str]] = {
        "flows": ("concerned",),
        "records": ("get", "save"),
        "enrollments": ("find", "claim", "confirm"),
        "queue": ("publish",),
        "bus": ("announce",),
    }
    NAMES = tuple(name for names in PORTS.values() for name in names)

    def __init__(self, world: World) -> None:
        self._counts: Counter[str] = Counter()
        self._plan: dict[Moment, Callable[[], None]] = {}
        self._has_ended = False
        self.happened: set[Moment] = set()
        for port, names in self.PORTS.items():
            fake = getattr(world, port)
            for name in names:
                setattr(fake, name, self._watched(name, getattr(fake, name)))

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
ages = st.sampled_from((0, 0, 1, 40))
moments = st.builds(Moment, st.sampled_from(Calls.NAMES), st.sampled_from((1, 1, 2)), st.booleans())
flows = st.fixed_dictionaries(
    {
        "triggers": st.just(["a form"])
        | st.lists(st.sampled_from(list(TRIGGERS)), min_size=1, max_size=2, unique=True),
        "re_enroll": st.booleans(),
        "enabled": st.sampled_from((True, True, True, False)),
        "city": st.sampled_from((None, None, None, *CITIES)),
    }
)
changes = st.one_of(
    st.tuples(st.just("write flow"), flow_ids, flows),
    st.tuples(st.just("switch re_enroll"), flow_ids, st.none()),
    st.tuples(st.just("switch enabled"), flow_ids, st.none()),
    st.tuples(st.just("delete flow"), flow_ids, st.none()),
    st.tuples(st.just("keep record"), records, cities),
    st.tuples(st.just("delete record"), records, st.none()),
)


@dataclass(frozen=True)
class Meeting:
    """What a delivery meets, be it its end, and what the specification is told of it."""

    at: Moment
    meet: Callable[[], None]
    steps: Sequence[Step] = ()


class Enrolling(RuleBasedStateMachine):
    """``unfinished``: what was sent and not yet delivered to its end. ``repeatable``: by event, how often another
    message of its enrollments was allowed. ``seen``: of all examples."""

    seen: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.seen["examples"] += 1
        self.world = World()
        self.world.process = replace(self.world.process, history_length=1_000)
        self.calls = Calls(self.world)
        self.specification = Specification()
        self.sent: list[Envelope] = []
        self.unfinished: list[Envelope] = []
        self.repeatable: Counter[str] = Counter()
        self.heard = 0

    # What is sent

    @rule(record=records, form=forms, city=snapshots, age=ages)
    def submit_a_form(self, record: str, form: str, city: str | None, age: int) -> None:
        given = {"forms.submitted": record, "properties": {"hs_form_id": form}}
        self._send(given if city is None else {**given, "record": {"city": city}}, age)

    @rule(record=records, city=cities, age=ages)
    def change_the_city(self, record: str, city: str, age: int) -> None:
        self._send({"crm.property_changed": record, "properties": {"hs_name": "city", "hs_value": city}}, age)

    @rule(record=records, age=ages)
    def create_a_record(self, record: str, age: int) -> None:
        self._send({"crm.object_created": record}, age)

    @rule(milliseconds=st.sampled_from((1, 1, 30)))
    def wait(self, milliseconds: int) -> None:
        self.world.now += milliseconds

    # What is delivered: late, again, in any order

    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        self._deliver(self._one(data))
        self._put_on_the_bus()

    @rule(data=st.data(), end=moments)
    def deliver_to_a_process_that_ends(self, data: st.DataObject, end: Moment) -> None:
        self._deliver(self._late(data), Meeting(end, self.calls.end))
        self._put_on_the_bus()

    @rule(data=st.data(), of_queue=st.integers(0, 2), of_bus=st.integers(0, 2))
    def deliver_while_the_queue_or_the_bus_refuses(self, data: st.DataObject, of_queue: int, of_bus: int) -> None:
        self.world.queue.refuses, self.world.bus.refuses = of_queue, of_bus
        self._deliver(self._late(data))
        self.world.queue.refuses = self.world.bus.refuses = 0
        self._put_on_the_bus()

    @rule(data=st.data(), at=moments, ends=st.booleans())
    def deliver_two_at_once(self, data: st.DataObject, at: Moment, ends: bool) -> None:
        self._deliver_at_once(self._late(data), self._one(data), at, ends)

    @rule(record=records, said=st.tuples(snapshots, snapshots), at=moments, ends=st.booleans())
    def submit_two_forms_at_once(
        self, record: str, said: tuple[str | None, str | None], at: Moment, ends: bool
    ) -> None:
        for city in said:
            self.submit_a_form(record, "f-1", city, 0)
        self._deliver_at_once(self.sent[-1], self.sent[-2], at, ends)

    def _deliver_at_once(self, envelope: Envelope, other: Envelope, at: Moment, ends: bool) -> None:
        def meet() -> None:
            self.seen["met another delivery"] += 1
            if envelope["detail"]["id"] == other["detail"]["id"]:
                self.repeatable[envelope["detail"]["id"]] += 1
            self.world.deliver(other)
            self._finish(other)
            if ends:
                self.calls.end()

        self._deliver(envelope, Meeting(at, meet, told_by(other)))
        self._put_on_the_bus()

    @rule(data=st.data(), change=changes, at=moments, ends=st.booleans())
    def deliver_amid_a_change(self, data: st.DataObject, change: Any, at: Moment, ends: bool) -> None:
        self.world.now += 1
        make, say = self._change(*change)

        def meet() -> None:
            self.seen["met a change"] += 1
            make()
            if ends:
                self.calls.end()

        self._deliver(self._late(data), Meeting(at, meet, [say]))
        self._put_on_the_bus()

    @rule(data=st.data())
    def redrive(self, data: st.DataObject) -> None:
        for envelope in data.draw(st.lists(st.sampled_from(self.unfinished or self.sent), max_size=3)):
            self._deliver(envelope)
        self._put_on_the_bus()

    @rule(data=st.data())
    def replay_the_archive(self, data: st.DataObject) -> None:
        for envelope in data.draw(st.permutations(self.sent)):
            self._deliver(envelope)
        self._put_on_the_bus()

    def _one(self, data: st.DataObject) -> Envelope:
        return data.draw(st.sampled_from(self.sent), label="event")

    def _late(self, data: st.DataObject) -> Envelope:
        """One that has not been delivered to its end, if there is any: of others less is to be seen."""
        return data.draw(st.sampled_from(self.unfinished or self.sent), label="late event")

    # What is changed

    @initialize(first=flows, second=flows)
    def begin(self, first: Mapping[str, Any], second: Mapping[str, Any]) -> None:
        for change in (("write flow", "1", first), ("write flow", "2", second), ("keep record", "101", "Cork")):
            self.change(change)

    @rule(change=changes)
    def change(self, change: Any) -> None:
        self.world.now += 1
        make, say = self._change(*change)
        make()
        say(self.specification)
        self._put_on_the_bus()

    def _change(self, what: str, which: str, value: Any) -> tuple[Callable[[], None], Step]:
        """How it is made in the world, and what the specification is told of it."""
        self.seen["changes"] += 1
        now, authoring, key = self.world.now, self.world.authoring, RecordKey(PORTAL, "0-1", which)
        keeping, given = self.world.recordkeeping, self.specification.flows.get(which)
        match what:
            case "keep record":
                said = {"city": value}
                return (
                    lambda: keeping.change(key, Change(now, said, creates=True)),
                    lambda one: one.tell(which, now, said, creates=True),
                )
            case "delete record":
                return lambda: keeping.delete(key, now), lambda one: one.delete_record(which, now)
            case "write flow":
                given = {**value, "id": which}
            case _ if given is None:
                return lambda: None, lambda one: None
            case "delete flow":
                return lambda: authoring.delete(PORTAL, which, now), lambda one: one.delete_flow(which)
            case _:
                name = what.removeprefix("switch ")
                given = {**given, name: not given[name]}
        return lambda: store(authoring, PORTAL, document(given), now), lambda one: one.put_flow(given, now)

    # What must hold

    def _deliver(self, envelope: Envelope, meeting: Meeting | None = None) -> None:
        self.seen["deliveries"] += 1
        plan = {} if meeting is None else {meeting.at: meeting.meet}
        steps = told_by(envelope)
        ways = [steps]
        with self.calls.planned(plan):
            try:
                self.world.deliver(envelope)
                self._finish(envelope)
            except Crash:
                self.seen["processes ended"] += 1
                self.repeatable[envelope["detail"]["id"]] += 1
                self.unfinished.append(envelope)
                ways = [steps[:number] for number in range(len(steps) + 1)]
            except NotDelivered:
                self.seen["not taken"] += 1
                self.unfinished.append(envelope)
        between = meeting.steps if meeting is not None and meeting.at in self.calls.happened else ()
        self._follow([order for way in ways for order in orders(way, between)])

    def _finish(self, envelope: Envelope) -> None:
        self.unfinished = [one for one in self.unfinished if one is not envelope]
        for one in self.world.enrollments.items.values():
            assert one.enrollment.cause.event_id != envelope["detail"]["id"] or one.is_confirmed

    def _follow(self, ways: Sequence[Sequence[Step]]) -> None:
        """The specification goes the way that the world went, if it was one of those; each flow by itself, for each
        decides for itself."""
        possible = [deepcopy(self.specification) for _ in ways]
        for specification, steps in zip(possible, ways, strict=True):
            for step in steps:
                step(specification)
        stories = stored_stories(self.world)
        possible = [one for one in possible if one.stories == stories]
        assert possible, stories
        enrolled = stored_enrollments(self.world)
        for flow_id in FLOWS:
            assert of_flow(flow_id, enrolled) in [of_flow(flow_id, one.enrolled) for one in possible], flow_id
        self.specification = possible[0]
        self.specification.enrolled = enrolled

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        self.seen["steps"] += 1
        assert stored_stories(self.world) == self.specification.stories
        items = self.world.enrollments.items
        assert Counter(stored_enrollments(self.world)) == Counter(
            (one.enrollment.flow_id, one.enrollment.record_key.object_id, one.enrollment.cause.event_id)
            for one in items.values()
        )
        assert stored_enrollments(self.world) == self.specification.enrolled

        firsts = Counter(
            (one.enrollment.flow_id, one.enrollment.record_key)
            for one in items.values()
            if not one.enrollment.is_re_enrollment
        )
        assert firsts == Counter({(one.enrollment.flow_id, one.enrollment.record_key) for one in items.values()})
        events = {one.enrollment.id: one.enrollment.cause.event_id for one in items.values()}
        messages = Counter(one.id for one in self.world.queue.messages)
        assert messages.keys() <= events.keys()
        for enrollment_id, count in messages.items():
            assert count <= 1 + self.repeatable[events[enrollment_id]]

        assert {one.enrollment.id for one in self.world.bus.announcements} <= {
            one.id for one in self.world.queue.messages
        }

    def teardown(self) -> None:
        """Once all is delivered, all is published, and announced."""
        while self.unfinished:
            self._deliver(self.unfinished[-1])
            self._put_on_the_bus()
        enrolled = {one.enrollment.id for one in self.world.enrollments.items.values()}
        assert {one.id for one in self.world.queue.messages} == enrolled
        assert {one.enrollment.id for one in self.world.bus.announcements} == enrolled

    # The bus

    def _send(self, given: Mapping[str, Any], age: int) -> None:
        now = self.world.now
        self._sent(event({**given, "id": f"e{len(self.sent)}", "at": now - age, "sent": now}))

    def _put_on_the_bus(self) -> None:
        """What the system itself has put there meanwhile."""
        produced, self.world.bus.produced = self.world.bus.produced, {}
        announced, self.heard = self.world.bus.announcements[self.heard :], len(self.world.bus.announcements)
        details = [(one.event_type, write_production(one)) for one in produced.values()]
        details += [("workflows.enrolled", write_announcement(one)) for one in announced]
        for kind, written in details:
            detail = json.loads(written)
            detail["occurredAt"] = read_time(detail["occurredAt"])
            self._sent(
                {"id": detail["id"], "detail-type": kind, "source": "enroll", "time": self.world.now, "detail": detail}
            )

    def _sent(self, envelope: Envelope) -> None:
        self.seen["events"] += 1
        same = [one["detail"] for one in self.sent if one["detail"]["id"] == envelope["detail"]["id"]]
        assert all(one == envelope["detail"] for one in same), "an id names one event"
        self.sent.append(envelope)
        self.unfinished.append(envelope)


def told_by(envelope: Envelope) -> list[Step]:
    return [lambda one: one.tell_of(envelope), lambda one: one.decide(envelope)]


def document(given: Mapping[str, Any]) -> dict[str, Any]:
    criteria = {} if given["city"] is None else {"criteria": [["city", "IS_EQUAL_TO", given["city"]]]}
    return flow({**given, "groups": [TRIGGERS[one][0] for one in given["triggers"]], **criteria})


def read_time(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def stored_stories(world: World) -> dict[str, Story]:
    return {
        key.object_id: Story(
            record.created_at,
            record.deleted_at,
            {
                (name, one.changed_at, one.value)
                for name, last in record.properties.items()
                for one in (*record.earlier_properties.get(name, ()), last)
            },
        )
        for key, record in world.records.records.items()
    }


def stored_enrollments(world: World) -> set[tuple[str, str, str]]:
    found = (one.enrollment for one in world.enrollments.items.values())
    return {(one.flow_id, one.record_key.object_id, one.cause.event_id) for one in found}


def of_flow(flow_id: str, enrolled: set[tuple[str, str, str]]) -> set[tuple[str, str, str]]:
    return {one for one in enrolled if one[0] == flow_id}


def test_the_story_is_that_of_the_specification(prove: bool) -> None:
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
