"""What the story needs of the world. Each port has an adapter in AWS and a fake in the tests, held to one contract."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Protocol

from enrollment.domain.enrollment.decisions import Code, Decision
from enrollment.domain.enrollment.enrollments import Announcement, Enrollment, ExistingEnrollments, StoredEnrollment
from enrollment.domain.enrollment.late_data_tolerance import DeferredEvent
from enrollment.domain.enrollment.portal_settings import PortalSettings
from enrollment.domain.enrollment.replays import DryRunResult, Replay
from enrollment.domain.events.event import Event, InvalidEvent
from enrollment.domain.flows.candidate_selection import CandidateQuery, Candidates
from enrollment.domain.flows.flow import Flow, FlowRevision
from enrollment.domain.flows.rate_limit import RateLimit
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.associations import Association
from enrollment.domain.records.change_events import OutboundEvent
from enrollment.domain.records.record import Record
from enrollment.domain.values import Instant

Clock = Callable[[], Instant]
NewId = Callable[[Instant], str]


class ConcurrentModification(Exception):
    """What was to be changed has changed since it was read."""


class Throttled(Exception):
    """AWS went on refusing a part of what it was asked. Nothing else stands in the way: it can be asked again."""


class Flows(Protocol):
    def candidates(self, portal_id: str, object_type_id: str, event_types: Sequence[str]) -> Sequence[Flow]:
        """The flows, each once, that one of the events could enroll as of now: those that are on, and those turned
        off or no longer triggered by it within the last weeks, which still owe the delivery of what they began."""
        ...

    def concerned(self, portal_id: str, object_type_id: str, question: CandidateQuery) -> Candidates:
        """Of these candidates, those that an event has to do with; the others are counted."""
        ...

    def of_batch(self) -> "Flows":
        """For events that were received together: what is read for one of them need not be read again for the others,
        as a flow that was turned off before one of them was sent is off in it."""
        ...


class FlowRepository(Protocol):
    """The flows as their authors see them."""

    def get(self, portal_id: str, flow_id: str) -> FlowRevision | None:
        """The current revision, that of a deleted flow included."""
        ...

    def get_many(self, portal_id: str, flow_ids: Sequence[str]) -> Mapping[str, FlowRevision]:
        """The current revisions of those that exist, by id; deleted ones included."""
        ...

    def as_of(self, portal_id: str, flow_id: str, instant: Instant) -> FlowRevision | None:
        """The revision that was in force, that of a deletion included; None: there was no such flow yet."""
        ...

    def list(self, portal_id: str, limit: int, after: str = "") -> Sequence[FlowRevision]:
        """The current revisions of the flows that are not deleted, ordered by id, of at most ``limit`` flows whose ids
        come after ``after``."""
        ...

    def save(self, revision: FlowRevision, was: FlowRevision | None) -> None:
        """All at once or not at all. Raises Conflict when ``was`` is no longer the current revision."""
        ...


class Portals(Protocol):
    def settings(self, portal_id: str) -> PortalSettings:
        """Those of a moment ago: a change holds within a minute."""
        ...

    def current(self, portal_id: str) -> PortalSettings:
        """As of now, for those who show or change them."""
        ...

    def save(self, portal_id: str, settings: PortalSettings) -> None: ...


class Records(Protocol):
    """Deleted records included: what is kept of them."""

    def get(self, key: RecordKey) -> Record | None: ...

    def get_many(self, keys: Sequence[RecordKey]) -> Mapping[RecordKey, Record]:
        """Those that are stored."""
        ...

    def save(self, record: Record) -> Record:
        """The record with its new version. Raises Conflict when the stored version is not ``record.version``."""
        ...


class DeferredEvents(Protocol):
    """Events whose decision is put off, beside the record that they wait for."""

    def get(self, record: RecordKey, event_id: str) -> DeferredEvent | None: ...

    def of(self, record: RecordKey, limit: int) -> Sequence[DeferredEvent]:
        """At most ``limit`` of those that wait for a record."""
        ...

    def save(self, waiting: DeferredEvent) -> None:
        """Forgets it when no flow waits any more. Raises Conflict when the stored version is not its own."""
        ...


class EventHistoryStore(Protocol):
    """The stored events of a record. ``first`` and ``last`` are sort keys (``domain.events.sort_key``); both ends are
    exclusive."""

    def keep(self, event: Event, until: Instant) -> Instant:
        """Store the event with its ``evaluated_at`` in its own place, unless it is there. Return the ``evaluated_at``
        that is stored. Of two copies of one event that was sent twice, the one sent earlier is kept."""
        ...

    def keep_evaluation(self, event: Event, until: Instant) -> Instant:
        """As ``keep``, of the event's ``evaluated_at`` alone."""
        ...

    def first_evaluation(self, event: Event) -> Instant | None:
        """The ``evaluated_at`` that is stored of the event. None: it was not evaluated yet, or this is not known."""
        ...

    def of_record(self, record: RecordKey, first: str, last: str, *, newest_first: bool) -> Iterable[Event]:
        """Those between two places, read as far as they are asked for."""
        ...

    def of_types(self, portal_id: str, event_types: Collection[str], first: str, last: str) -> Iterable[Event]:
        """Those of all records of the portal, newest first, read as far as they are asked for. They follow the writes
        within a second."""
        ...


class RedeliveryScheduler(Protocol):
    def schedule(self, event: Event, flow_ids: Iterable[str], at: Instant) -> None:
        """Has the event delivered again for these flows, at that time or soon after; at least once."""
        ...


class RateLimits(Protocol):
    def take(self, portal_id: str, flow_id: str, limit: RateLimit, now: Instant) -> Instant:
        """A place for one enrollment: when it enters. Each call takes another place; a changed limit begins anew."""
        ...


class Associations(Protocol):
    def get(self, record: RecordKey, other: RecordKey) -> Association:
        """One without types when nothing is stored."""
        ...

    def of(self, record: RecordKey, object_type_id: str, limit: int, after: str = "") -> Sequence[Association]:
        """With at most ``limit`` records of a type, ordered by their ids, whose ids come after ``after``; only those
        that hold."""
        ...

    def all_of(self, record: RecordKey, object_type_id: str, limit: int) -> Sequence[Association]:
        """With at most ``limit`` records of a type, those that hold no more included."""
        ...

    def save(self, associations: Sequence[Association]) -> None:
        """All at once or not at all. Raises Conflict when one has another version by now."""
        ...


class Enrollments(Protocol):
    def find(self, record_key: RecordKey, event_id: str, flow_ids: Sequence[str]) -> Mapping[str, ExistingEnrollments]:
        """By flow id, for every one of the flows, as of now (strongly consistent)."""
        ...

    def claim(self, enrollment: Enrollment, due_at: Instant | None = None, chain: tuple[str, ...] = ()) -> bool:
        """Writes the enrollment, unless its place is taken: then False. A record's first enrollment in a flow has one
        place, each re-enrollment the place of its event. ``due_at`` and ``chain``: as StoredEnrollment's."""
        ...

    def confirm(self, enrollment: Enrollment, *, is_published: bool, is_announced: bool, now: Instant) -> None:
        """Notes what has been delivered."""
        ...

    def of_record(self, record_key: RecordKey, limit: int, before: str | None = None) -> Sequence[StoredEnrollment]:
        """At most ``limit`` of a record's enrollments, newest first, those before a ``position``."""
        ...

    def of_flow(
        self, portal_id: str, flow_id: str, limit: int, before: str | None = None
    ) -> Sequence[StoredEnrollment]:
        """At most ``limit`` of a flow's enrollments, newest first, those before a ``position``."""
        ...

    def get(self, portal_id: str, enrollment_id: str) -> StoredEnrollment | None: ...


class UnconfirmedEnrollments(Protocol):
    def find(self, record_key: RecordKey, event_id: str, flow_ids: Sequence[str]) -> Mapping[str, ExistingEnrollments]:
        """As Enrollments'."""
        ...

    def unconfirmed(self, until: Instant) -> Iterable[StoredEnrollment]:
        """The enrollments of all portals that were to be published before an instant and are not confirmed. Those of
        one record are in the order of ``publish_at``. They are read page by page. A write is visible within a
        second."""
        ...


# Of what a dry run counts, so that no part is too much to read at once. All events of a record are in one.
REPLAY_PARTS = 16


class Replays(Protocol):
    """Replays that were ordered, and what those that are dry runs would have done."""

    def get(self, name: str) -> Replay | None: ...

    def save(self, replay: Replay) -> None:
        """It never changes again."""
        ...

    def count(self, replay: Replay, event: Event, decisions: Sequence[Decision]) -> None:
        """However often an event is counted, it counts once."""
        ...

    def counted(self, replay: Replay, part: int) -> Iterable[DryRunResult]:
        """Of one of REPLAY_PARTS parts, each record's one after the other."""
        ...


class Queue(Protocol):
    def publish(self, enrollments: Sequence[Enrollment]) -> Iterable[str]:
        """The ids of the enrollments that the queue accepts, after retries, as it accepts them: when a call fails for
        good, those of the calls before are known."""
        ...


class Bus(Protocol):
    def announce(self, announcements: Sequence[Announcement]) -> Iterable[str]:
        """The ids of the enrollments whose announcement the bus accepts, as ``publish``."""
        ...


class EventPublisher(Protocol):
    def publish(self, events: Sequence[OutboundEvent]) -> frozenset[str]:
        """Puts events on the bus; the ids of those that it accepts, after retries."""
        ...


class UnprocessedEvents(Protocol):
    def put(self, envelope: object, invalid: InvalidEvent) -> None:
        """Keeps the event, whole, with its reason and message."""
        ...


class DecisionLog(Protocol):
    """Every outcome is visible: a log line with stable fields, and a metric."""

    def stored_before_creation(self, event: Event, changes: int) -> None:
        """The event changed a record that does not exist yet, of which ``changes`` are stored now."""
        ...

    def id_used_before(self, event: Event, enrollment: Enrollment) -> None:
        """Another event, with other content and the same id, enrolled the record."""
        ...

    def not_decided_again(self, event: Event, left: int) -> None:
        """The time for deciding waiting events again after a change was over, with ``left`` events to go. They are
        decided when their tolerance ends."""
        ...

    def log_decisions(self, event: Event, decisions: Sequence[Decision], others: Mapping[Code, int]) -> None:
        """``others``: how many flows besides came to a decision of each code, and are not named."""
        ...

    def log_rejected(self, event_id: str | None, invalid: InvalidEvent) -> None: ...

    def log_skipped(self, event: Event) -> None:
        """It does not concern the replay that it is part of."""
        ...

    def log_dry_run(self, event: Event, decisions: Sequence[Decision]) -> None:
        """What would be decided, in a dry run."""
        ...
