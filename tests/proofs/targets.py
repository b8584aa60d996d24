"""What must hold of every input, whatever it is: a target takes one, says what became of it, and raises when it does
not hold."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from enrollment.catalog import EVENT_TYPES
from enrollment.domain.criteria.transitions import Transition
from enrollment.domain.describe import describe_flow
from enrollment.domain.enrollment.decisions import criteria_decision
from enrollment.domain.flows.flow import FlowRevision
from enrollment.domain.flows.re_enrollment import ChangeTrigger, PropertyChange, ReEnrollmentTrigger
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.associations import AssociationType, associated
from enrollment.domain.records.record import Record, TimestampedValue
from enrollment.domain.records.record_snapshot import RecordSnapshot
from enrollment.domain.values import LATEST, iso
from enrollment.entrypoints.bootstrap import Application
from enrollment.entrypoints.event_handlers import handle
from enrollment.serialization.envelopes import read_event, replay_name
from enrollment.serialization.flow_documents import read_flow_ids, write_flow, write_result
from enrollment.serialization.flow_warnings import warnings
from enrollment.serialization.flows import InvalidFlow, read_flow
from enrollment.serialization.records import (
    read_association_types,
    read_creation,
    read_members,
    read_membership_changes,
    read_records_query,
    read_update,
    read_upserts,
)
from enrollment.serialization.redeliveries import read_redelivery
from enrollment.serialization.requests import InvalidRequest
from enrollment.serialization.validation_errors import ValidationError
from tests.proofs.filter_trees import Faulty
from tests.support.counting import Counted
from tests.support.fakes import FakeUnprocessed, World
from tests.support.samples import REASONS
from tests.support.scenario import event, flow

NOW = 1_795_428_000_000

# CPU seconds that one input may take, and characters of one message.
LONGEST = 1.0
LONGEST_MESSAGE = 2_000


@dataclass
class Tried:
    """Inputs, by what became of them; `slowest`: CPU seconds of one; `longest`: that it may take."""

    longest: float = LONGEST
    outcomes: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0

    @property
    def count(self) -> int:
        return self.outcomes.total()

    def run(self, target: Callable[[Any], str], one: Any) -> None:
        outcome, taken = _timed(target, one)
        if taken > self.slowest:  # an input that is slow is slow again; the collector, which may have been, is not
            taken = min(taken, _timed(target, one)[1])
        assert taken < self.longest, f"one input took {taken:.2f} s of CPU time"
        self.slowest = max(self.slowest, taken)
        self.outcomes[outcome] += 1

    def __str__(self) -> str:
        outcomes = ", ".join(f"{count:,} {name}" for name, count in self.outcomes.most_common())
        return f"{self.count:,} inputs, the slowest {self.slowest * 1000:.0f} ms; {outcomes}"


def _timed(target: Callable[[Any], str], one: Any) -> tuple[str, float]:
    began = time.process_time()
    return target(one), time.process_time() - began


class Events:
    """The whole handler, over a portal in memory that has a flow for every event, and criteria of every kind."""

    def __init__(self) -> None:
        self.world = World(now=NOW)
        self.unprocessed = FakeUnprocessed()
        self.codes: set[str] = set()
        for name, event_type in EVENT_TYPES.items():
            trigger = {"lists": [["IN_LIST", "42"]]} if name == "lists.membership_changed" else {"event": name}
            self.world.put_flow(flow({"id": name, "re_enroll": True, **trigger}))
            for known in event_type.properties[:3]:
                flow_id = f"{name} {known.name}"[:64]
                self.world.put_flow(flow({"id": flow_id, **trigger, "criteria": [[known.name, "IS_UNKNOWN"]]}))
        for object_id in ("101", "a/b"):
            key = RecordKey("p1", "0-1", object_id)
            self.world.put_record(key, Record(key, 0, {"city": TimestampedValue("Dublin", 0)}))
        self.app = Application(
            read_event=read_event,
            read_redelivery=read_redelivery,
            replay_name=replay_name,
            processor=self.world.processor,
            replay_processor=self.world.replay_processor,
            unconfirmed_publisher=self.world.unconfirmed_publisher,
            unprocessed=self.unprocessed,
            decision_log=self.world.decision_log,
            logger=None,  # type: ignore[arg-type]
            metrics=None,  # type: ignore[arg-type]
            trace=lambda function: function,
            processor_of_batch=lambda _: self.world.processor,
        )

    def __call__(self, envelope: Any, category: str) -> str:
        """Every event ends as decisions or in the unprocessed queue with its reason, and a second delivery enrolls
        nobody again."""
        answer = handle(self.app, category, envelope)
        json.dumps(answer, ensure_ascii=False).encode()
        if "unprocessed" in answer:
            kept, invalid = self.unprocessed.events.pop()
            assert kept is envelope
            # Those beyond the samples depend on the clock, and on what is stored.
            assert invalid.reason in REASONS | {"UNKNOWN_REPLAY", "OCCURRED_IN_FUTURE"}
            assert answer["unprocessed"]["reason"] == invalid.reason
            assert len(invalid.message) < LONGEST_MESSAGE
            return invalid.reason
        assert not self.unprocessed.events
        enrolled = [one["enrollmentId"] for one in answer["decisions"] if one["code"] == "ENROLLED"]
        assert [one.id for one in self.world.queue.messages] == enrolled
        assert [one.enrollment.id for one in self.world.bus.announcements] == enrolled
        again = handle(self.app, category, envelope)
        assert not [one for one in again["decisions"] if one["code"] == "ENROLLED"]
        assert [one.id for one in self.world.queue.messages] == enrolled
        self.world.queue.messages.clear()
        self.world.bus.announcements.clear()
        self.codes |= {one["code"] for one in answer["decisions"]}
        self.world.decision_log.decisions.clear()
        return "decided"


# A record of which every property that flows ask for holds something else than they expect.
VALUES: tuple[Any, ...] = (
    "Dublin",
    "1e9999",
    1e308,
    5e-324,
    True,
    ["a", ";", ""],
    "a" + "\u0316\u0300" * 1_500,
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59.999999-12:00",
    253_402_300_799_999,
    -253_402_300_799_999,
    "2024-02-29",
    "",
)
NAMES = ("city", "born", "score", "hs_form_id", "a;b")
ZONES = ("UTC", "Pacific/Kiritimati", "America/Adak")


def snapshots() -> Iterator[RecordSnapshot]:
    """Records at both edges of the calendar, and now, whose values were hostile before too."""
    for number, value in enumerate(VALUES):
        dated = TimestampedValue(value, (0, NOW, LATEST)[number % 3])
        earlier = tuple(TimestampedValue(one, at) for at, one in enumerate(VALUES))
        record = Record(
            RecordKey("p1", "0-1", "101"),
            0,
            dict.fromkeys(NAMES, dated),
            earlier_properties=dict.fromkeys(NAMES, earlier),
        )
        yield RecordSnapshot(record, (LATEST, 0, NOW)[number % 3], ZoneInfo(ZONES[number % 3]))


def read_any_flow(document: Any, flow_id: str = "1") -> str:
    """A flow is refused with its faults, or else it can be said in words, asked of any record, and kept."""
    if not isinstance(document, dict):
        return "no object"
    revision = FlowRevision("p1", flow_id, 1, document, True, 0, 0, 0)
    try:
        flow = read_flow(revision)
    except InvalidFlow as invalid:
        return _refused(invalid.faults)
    json.dumps([*describe_flow(flow, EVENT_TYPES), *warnings(flow), write_flow(revision)])
    for snapshot in snapshots():
        for one in (flow.criteria, flow.suppression, flow.goal):
            if one is not None:
                result = one.result(snapshot)
                assert result.holds == one.holds(snapshot)
                json.dumps(write_result(result))
        criteria_decision(flow, snapshot)
        if flow.entry is not None:
            assert flow.entry.criteria.result(snapshot).holds == flow.entry.criteria.holds(snapshot)
            for trigger in flow.entry.re_enrollment:
                _occurs(trigger, snapshot)
    return "flow"


def _occurs(trigger: ReEnrollmentTrigger, snapshot: RecordSnapshot) -> bool:
    if isinstance(trigger, ChangeTrigger):
        return any(trigger.occurs(PropertyChange("city", value, snapshot.value("city"))) for value in VALUES)
    return trigger.occurs(Transition(snapshot.at, snapshot.at, replace(snapshot, at=snapshot.at - 1), snapshot))


def read_faulty_flow(faulty: Faulty) -> str:
    """A flow is refused with all the faults that were put into it, at their paths, and with no other fault."""
    found = _faults_of(faulty.document)
    assert {(fault.path, fault.code) for fault in found} == faulty.faults, found
    assert len(found) == len(faulty.faults), found
    return f"{len(found)} faults"


def _faults_of(document: Any) -> Sequence[ValidationError]:
    try:
        read_flow(FlowRevision("p1", "1", 1, document, True, 0, 0, 0))
    except InvalidFlow as invalid:
        return invalid.faults
    return ()


class Crowded:
    """A contact with ASSOCIATED companies. All have hostile values in all properties that flows ask for, and each
    company has changed after the events of the contact."""

    ASSOCIATED = 1_000
    # Reads and writes of records for one event, however many filters, levels and associated records there are.
    MOST_CALLS = 6
    # CPU seconds for one event.
    LONGEST = 15.0

    def __call__(self, document: Any) -> str:
        if faults := _faults_of(document):
            assert {fault.code for fault in faults} <= {"TOO_DEEP", "TOO_MANY_FILTERS"}
            return _refused(faults)
        world = self._world()
        world.put_flow({**document, "id": "1"})
        calls = Counted(world.records)
        evaluator = replace(world.evaluator, records=calls)
        world.processor = replace(world.processor, records=calls, evaluator=evaluator)
        for number, given in enumerate(
            (
                {"crm.object_created": "101", "record": dict.fromkeys(NAMES, "Dublin")},
                {"crm.property_changed": "101", "properties": {"hs_name": "city", "hs_value": "Cork"}},
                {"calls.ended": "101", "record": dict.fromkeys(NAMES, "1")},
            )
        ):
            calls.calls.clear()
            began = time.process_time()
            world.deliver(event({**given, "id": f"e{number}", "at": iso(NOW - 10_000 + number)}))
            assert time.process_time() - began < self.LONGEST
            assert len(calls.calls) <= self.MOST_CALLS, calls.calls
        return "enrolls" if world.queue.messages else "does not enroll"

    def _world(self) -> World:
        world = World(now=NOW)
        contact = RecordKey("p1", "0-1", "101")
        for number in range(self.ASSOCIATED):
            company = RecordKey("p1", ("0-2", "2-77")[number % 2], str(number))
            value = TimestampedValue(VALUES[number % len(VALUES)], NOW - 2_000 + number)
            earlier = tuple(TimestampedValue(each, NOW - 4_000 + at) for at, each in enumerate(VALUES))
            properties = dict.fromkeys(NAMES, value)
            record = Record(company, 0, properties, earlier_properties=dict.fromkeys(NAMES, earlier))
            world.put_record(company, record)
            kinds = [AssociationType("HUBSPOT_DEFINED", number) for number in (1, 279)]
            association = world.associations.get(contact, company)
            world.associations.save([associated(association, kinds, NOW - 3_000 + number, holds=True)])
        return world


def read_any_body(body: Any) -> str:
    """Every reader of a body answers, or says all that is wrong."""
    readers: tuple[Callable[[Any], object], ...] = (
        lambda one: read_creation(one, NOW),
        lambda one: read_update(one, NOW),
        lambda one: read_upserts(one, NOW),
        lambda body: read_records_query(body, "0-1"),
        read_members,
        read_membership_changes,
        read_association_types,
        read_flow_ids,
    )
    outcomes = []
    for reader in readers:
        try:
            reader(body)
            outcomes.append("read")
        except InvalidRequest as invalid:
            outcomes.append(_refused(invalid.faults))
    return "read" if "read" in outcomes else outcomes[0]


def _refused(faults: Sequence[ValidationError]) -> str:
    assert faults
    assert all(one.path and one.code and len(one.message) < LONGEST_MESSAGE for one in faults)
    return faults[0].code
