"""The story of an event without its consequences: every decision, by the production path, and no write and no message.

The ports that write are replaced by ones that remember; what they remember is seen by the reads that follow, so that a
simulated event finds the record that it would have changed. What the event would have others decide, as the events
that wait for its change, is left out.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from enrollment.delivery import Delivery
from enrollment.domain.decisions import Decision
from enrollment.domain.enrollments import Announcement, Enrolled, Enrollment, StoredEnrollment
from enrollment.domain.events import Event, InvalidEvent
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.rate_limits import RateLimit
from enrollment.domain.reach import EVERY_FLOW, Reach
from enrollment.domain.records import Record
from enrollment.domain.tolerance import WaitingEvent
from enrollment.domain.values import Instant
from enrollment.ports import Enrollments, Records
from enrollment.process import Process
from enrollment.waiting import Waiting


def simulated(process: Process, event: Event, reach: Reach = EVERY_FLOW) -> tuple[Decision, ...]:
    """The decisions that the process would take on the event now. An enrollment that it would make has an id that no
    enrollment will ever have. Raises as the process does."""
    records, enrollments = _Records(process.records), _Enrollments(process.enrollments)
    nowhere = _Nowhere()
    rehearsal = replace(
        process,
        records=records,
        evaluation=replace(process.evaluation, records=records),
        enrollments=enrollments,
        waiting=Waiting(_NoWaitingEvents(), records, nowhere),
        rate_limits=_NoLimits(),
        delivery=Delivery(enrollments, nowhere, nowhere, nowhere, process.clock),
        journal=_NoJournal(),
    )
    return rehearsal(event, reach)


@dataclass(frozen=True, slots=True)
class _Records:
    stored: Records
    changed: dict[RecordKey, Record] = field(default_factory=dict)

    def get(self, key: RecordKey) -> Record | None:
        return self.changed.get(key) or self.stored.get(key)

    def get_many(self, keys: Sequence[RecordKey]) -> Mapping[RecordKey, Record]:
        return {**self.stored.get_many(keys), **{key: self.changed[key] for key in keys if key in self.changed}}

    def save(self, record: Record) -> Record:
        self.changed[record.key] = record
        return record


@dataclass(frozen=True, slots=True)
class _Enrollments:
    stored: Enrollments

    def find(self, record_key: RecordKey, event_id: str, flow_ids: Sequence[str]) -> Mapping[str, Enrolled]:
        return self.stored.find(record_key, event_id, flow_ids)

    def claim(self, enrollment: Enrollment, due_at: Instant | None = None) -> bool:
        return True

    def confirm(self, enrollment: Enrollment, *, is_published: bool, is_announced: bool, now: Instant) -> None:
        pass

    def of_record(self, record_key: RecordKey, limit: int, before: str | None = None) -> Sequence[StoredEnrollment]:
        return self.stored.of_record(record_key, limit, before)

    def of_flow(
        self, portal_id: str, flow_id: str, limit: int, before: str | None = None
    ) -> Sequence[StoredEnrollment]:
        return self.stored.of_flow(portal_id, flow_id, limit, before)

    def get(self, portal_id: str, enrollment_id: str) -> StoredEnrollment | None:
        return self.stored.get(portal_id, enrollment_id)


class _Nowhere:
    """Takes everything."""

    def publish(self, enrollments: Sequence[Enrollment]) -> Iterable[str]:
        return [one.id for one in enrollments]

    def announce(self, announcements: Sequence[Announcement]) -> Iterable[str]:
        return [one.enrollment.id for one in announcements]

    def schedule(self, event: Event, flow_ids: Iterable[str], at: Instant) -> None:
        pass


class _NoWaitingEvents:
    def get(self, record: RecordKey, event_id: str) -> WaitingEvent | None:
        return None

    def of(self, record: RecordKey, limit: int) -> Sequence[WaitingEvent]:
        return ()

    def save(self, waiting: WaitingEvent) -> None:
        pass


class _NoLimits:
    def take(self, portal_id: str, flow_id: str, limit: RateLimit, now: Instant) -> Instant:
        return now


class _NoJournal:
    def decided(self, event: Event, decisions: Sequence[Decision]) -> None:
        pass

    def refused(self, event_id: str | None, invalid: InvalidEvent) -> None:
        pass

    def skipped(self, event: Event) -> None:
        pass

    def rehearsed(self, event: Event, decisions: Sequence[Decision]) -> None:
        pass
