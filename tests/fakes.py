"""The ports in memory. tests/contract holds them to the same behaviour as the adapters.

`World` wires them to the production story, with a clock that stands still and ids that count.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from enrollment.authoring import Authoring
from enrollment.catalog import EVENT_TYPES
from enrollment.domain.decisions import Decision
from enrollment.domain.enrollments import Announcement, Enrolled, Enrollment, StoredEnrollment
from enrollment.domain.events import Event, InvalidEvent
from enrollment.domain.flows import Flow, FlowRevision
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records import Record
from enrollment.domain.values import Instant
from enrollment.ports import Conflict
from enrollment.process import Process
from enrollment.wire.envelopes import read_event
from enrollment.wire.flows import read_flow
from enrollment.wire.messages import read_message, write_announcement, write_message


class FakeFlows:
    """Both sides of the store: the book that authors write, the candidates that events find."""

    def __init__(self) -> None:
        self._current: dict[tuple[str, str], FlowRevision] = {}
        self._candidates: dict[tuple[str, str, str], dict[str, Flow]] = {}
        self._lock = threading.Lock()

    def candidates(self, portal_id: str, object_type_id: str, event_types: Sequence[str]) -> Sequence[Flow]:
        found: dict[str, Flow] = {}
        with self._lock:
            for event_type in event_types:
                for flow in self._candidates.get((portal_id, object_type_id, event_type), {}).values():
                    found.setdefault(flow.id, flow)
        return tuple(found.values())

    def get(self, portal_id: str, flow_id: str) -> FlowRevision | None:
        return self._current.get((portal_id, flow_id))

    def list(self, portal_id: str) -> Sequence[FlowRevision]:
        return [
            revision
            for (portal, _), revision in sorted(self._current.items())
            if portal == portal_id and not revision.is_deleted
        ]

    def save(self, revision: FlowRevision, was: FlowRevision | None) -> None:
        key = (revision.portal_id, revision.id)
        with self._lock:
            current = self._current.get(key)
            if (current and current.revision) != (was and was.revision):
                raise Conflict(f"flow {revision.id} has changed")
            retired = _retired(current, revision)
            live = {} if revision.is_deleted else _listed(read_flow(revision))
            self._current[key] = revision
            for place, flow in (retired | live).items():
                self._candidates.setdefault(place, {})[flow.id] = flow


def _listed(flow: Flow) -> dict[tuple[str, str, str], Flow]:
    return {(flow.portal_id, flow.object_type_id, one): flow for one in flow.event_types}


def _retired(current: FlowRevision | None, revision: FlowRevision) -> dict[tuple[str, str, str], Flow]:
    if current is None or current.is_deleted:
        return {}
    return {
        place: replace(flow, is_enabled=False, changed_at=revision.changed_at)
        for place, flow in _listed(read_flow(current)).items()
    }


class FakeRecords:
    def __init__(self) -> None:
        self.records: dict[RecordKey, Record] = {}
        self._lock = threading.Lock()

    def get(self, key: RecordKey) -> Record | None:
        return self.records.get(key)

    def save(self, record: Record) -> Record:
        with self._lock:
            stored = self.records.get(record.key)
            if (stored.version if stored else 0) != record.version:
                raise Conflict(f"record {record.key} has changed")
            self.records[record.key] = replace(record, version=record.version + 1)
            return self.records[record.key]


class FakeEnrollments:
    def __init__(self) -> None:
        self.items: dict[tuple[RecordKey, str, str | None], StoredEnrollment] = {}
        self._lock = threading.Lock()

    def find(self, record_key: RecordKey, event_id: str, flow_ids: Sequence[str]) -> Mapping[str, Enrolled]:
        found = {}
        for flow in flow_ids:
            first = self.items.get((record_key, flow, None))
            is_own = first is not None and first.enrollment.cause.event_id == event_id
            found[flow] = Enrolled(first, first if is_own else self.items.get((record_key, flow, event_id)))
        return found

    def claim(self, enrollment: Enrollment) -> bool:
        # Through the message, as the store keeps it.
        stored = StoredEnrollment(read_message(write_message(enrollment)))
        with self._lock:
            if _place(enrollment) in self.items:
                return False
            self.items[_place(enrollment)] = stored
            return True

    def confirm(self, enrollment: Enrollment, *, is_published: bool, is_announced: bool, now: Instant) -> None:
        with self._lock:
            stored = self.items[_place(enrollment)]
            self.items[_place(enrollment)] = replace(
                stored,
                is_published=stored.is_published or is_published,
                is_announced=stored.is_announced or is_announced,
            )

    def of_record(self, record_key: RecordKey, limit: int) -> Sequence[StoredEnrollment]:
        return [one for (key, _, _), one in sorted(self.items.items(), key=str) if key == record_key][:limit]

    def of_flow(self, portal_id: str, flow_id: str, limit: int) -> Sequence[StoredEnrollment]:
        mine = [one for (key, flow, _), one in self.items.items() if key.portal_id == portal_id and flow == flow_id]
        return sorted(mine, key=lambda one: (one.enrollment.enrolled_at, one.enrollment.id), reverse=True)[:limit]


def _place(enrollment: Enrollment) -> tuple[RecordKey, str, str | None]:
    event_id = enrollment.cause.event_id if enrollment.is_re_enrollment else None
    return enrollment.record_key, enrollment.flow_id, event_id


class FakeQueue:
    """`refuses`: how many of the next enrollments it does not take."""

    def __init__(self) -> None:
        self.messages: list[Enrollment] = []
        self.refuses = 0

    def publish(self, enrollments: Sequence[Enrollment]) -> frozenset[str]:
        refused, self.refuses = min(self.refuses, len(enrollments)), 0
        taken = enrollments[refused:]
        self.messages += taken
        return frozenset(one.id for one in taken)


class FakeBus:
    def __init__(self) -> None:
        self.announcements: list[Announcement] = []
        self.refuses = 0

    def announce(self, announcements: Sequence[Announcement]) -> frozenset[str]:
        refused, self.refuses = min(self.refuses, len(announcements)), 0
        taken = announcements[refused:]
        for one in taken:
            write_announcement(one)
        self.announcements += taken
        return frozenset(one.enrollment.id for one in taken)


class FakeUnprocessed:
    def __init__(self) -> None:
        self.events: list[tuple[object, InvalidEvent]] = []

    def put(self, envelope: object, invalid: InvalidEvent) -> None:
        self.events.append((envelope, invalid))


class FakeJournal:
    def __init__(self) -> None:
        self.decisions: list[tuple[Event, Decision]] = []
        self.refusals: list[InvalidEvent] = []

    def decided(self, event: Event, decisions: Sequence[Decision]) -> None:
        self.decisions += [(event, one) for one in decisions]

    def refused(self, event_id: str | None, invalid: InvalidEvent) -> None:
        self.refusals.append(invalid)


@dataclass
class World:
    """A portal's system in memory. `now` is moved by hand."""

    now: Instant = 1_764_000_000_000
    flows: FakeFlows = field(default_factory=FakeFlows)
    records: FakeRecords = field(default_factory=FakeRecords)
    enrollments: FakeEnrollments = field(default_factory=FakeEnrollments)
    queue: FakeQueue = field(default_factory=FakeQueue)
    bus: FakeBus = field(default_factory=FakeBus)
    journal: FakeJournal = field(default_factory=FakeJournal)
    ids: int = 0

    def __post_init__(self) -> None:
        self.process = Process(
            event_types=EVENT_TYPES,
            flows=self.flows,
            records=self.records,
            enrollments=self.enrollments,
            queue=self.queue,
            bus=self.bus,
            journal=self.journal,
            clock=lambda: self.now,
            new_id=self._new_id,
        )
        self.authoring = Authoring(self.flows, read_flow)

    def _new_id(self, at: Instant) -> str:
        self.ids += 1
        return f"01TEST{self.ids:020d}"

    def put_flow(self, document: Mapping[str, Any], *, portal: str = "p1", on_since: Instant | None = 0) -> None:
        self.authoring.put(portal, str(document["id"]), document, self.now, on_since=on_since)

    def put_record(self, key: RecordKey, record: Record) -> None:
        self.records.save(replace(record, key=key))

    def deliver(self, envelope: Mapping[str, Any]) -> tuple[Decision, ...]:
        category = str(envelope["detail-type"]).partition(".")[0]
        return self.process(read_event(envelope, category))
