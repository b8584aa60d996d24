"""The ports: what the use cases need from storage, messaging and logging.

Each port has an adapter for AWS in ``adapters`` and an in-memory fake in the tests. Contract tests hold both to the
behavior that is described here. Instants and durations are in milliseconds. Every method can also raise the errors of
its AWS client.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

from enrollment.domain.enrollment.decisions import Code, Decision
from enrollment.domain.enrollment.enrollment_counts import RecentEnrollments, ShardCount, Window
from enrollment.domain.enrollment.enrollments import Announcement, Enrollment, ExistingEnrollments, StoredEnrollment
from enrollment.domain.enrollment.late_data_tolerance import DeferredEvent
from enrollment.domain.enrollment.portal_settings import PortalSettings
from enrollment.domain.enrollment.replays import DryRunResult, Replay
from enrollment.domain.enrollment.runs import Run, RunShard
from enrollment.domain.events.associated_change import AssociatedChange
from enrollment.domain.events.event import Event, InvalidEvent
from enrollment.domain.events.sort_key import EventKey
from enrollment.domain.events.unprocessed_event import UnprocessedMessage
from enrollment.domain.flows.candidate_selection import CandidateQuery, Candidates
from enrollment.domain.flows.flow import Flow, FlowRevision
from enrollment.domain.flows.rate_limit import RateLimit
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.associations import Association
from enrollment.domain.records.change_events import OutboundEvent
from enrollment.domain.records.record import Record
from enrollment.domain.timers.due_item import DueItem
from enrollment.domain.values import Instant

Clock = Callable[[], Instant]
"""Returns the current time in milliseconds since 1970, UTC."""

NewId = Callable[[Instant], str]
"""Returns a new unique ID that sorts by the given time."""


class ConcurrentModification(Exception):
    """The stored item changed after it was read, so the write was rejected. Read it again before retrying."""


class Throttled(Exception):
    """AWS rejected a part of a request after all retries, or a write lost every attempt to others. Retrying is safe."""


class Flows(Protocol):
    """The flows that events can enroll in."""

    def candidates(self, portal_id: str, object_type_id: str, event_types: Sequence[str]) -> Sequence[Flow]:
        """Return every flow, once, that an event of one of these types can enroll in.

        Flows that were turned off, or that lost this trigger, within the last weeks are included as disabled flows:
        the enrollments that they claimed before may still have to be published.
        """
        ...

    def relevant(self, portal_id: str, object_type_id: str, question: CandidateQuery) -> Candidates:
        """Return the candidates that the query selects, and the number of the remaining ones."""
        ...

    def of_batch(self) -> "Flows":
        """Return a reader for events that were received in one batch. It reads each list of flows once.

        This is correct because every event of the batch was sent before the read. A flow that was turned off before an
        event was sent is off in the list.
        """
        ...


class FlowRepository(Protocol):
    """The stored flows and their revisions, for authors."""

    def get(self, portal_id: str, flow_id: str) -> FlowRevision | None:
        """Return the current revision, which may be a deletion. None: the flow never existed."""
        ...

    def get_many(self, portal_id: str, flow_ids: Sequence[str]) -> Mapping[str, FlowRevision]:
        """Return the current revisions by flow ID, deletions included. Unknown IDs are missing from the result."""
        ...

    def as_of(self, portal_id: str, flow_id: str, instant: Instant) -> FlowRevision | None:
        """Return the revision that was in force at an instant, which may be a deletion. None: the flow did not exist
        yet."""
        ...

    def revision(self, portal_id: str, flow_id: str, number: int) -> FlowRevision | None:
        """Return a revision, which may be a deletion. None: the flow has no revision of this number."""
        ...

    def revisions(self, portal_id: str, flow_id: str, limit: int, before: int | None = None) -> Sequence[FlowRevision]:
        """Return at most ``limit`` revisions, newest first, deletions included. ``before``: only those with lower
        numbers."""
        ...

    def list(self, portal_id: str, limit: int, after: str = "") -> Sequence[FlowRevision]:
        """Return the current revisions of at most ``limit`` flows that are not deleted, ordered by ID. ``after``: only
        flows whose ID follows this one."""
        ...

    def outdated(self, portal_id: str, limit: int, after: str = "") -> tuple[Sequence[FlowRevision], str | None]:
        """Check at most ``limit`` flows whose ID follows ``after``. Return those that are on and in other lists of
        candidates than this version needs, and the ID of the last flow that was checked; None: no flow follows."""
        ...

    def save(self, revision: FlowRevision, was: FlowRevision | None) -> None:
        """Store a revision and the lists of candidates in one transaction. If ``was`` is the same revision, only the
        lists change. Raises ConcurrentModification if ``was`` is not the current revision."""
        ...


class Portals(Protocol):
    """The settings of portals. A portal without stored settings has the default settings."""

    def settings(self, portal_id: str) -> PortalSettings:
        """Return the settings from a cache. They are at most one minute old."""
        ...

    def current(self, portal_id: str) -> PortalSettings:
        """Return the settings without a cache, to show or to change them."""
        ...

    def save(self, portal_id: str, settings: PortalSettings) -> None:
        """Replace the settings. Readers of the cache see them within a minute."""
        ...


class Records(Protocol):
    """The stored records. A deleted record is returned with the time of its deletion and without its data."""

    def get(self, key: RecordKey) -> Record | None:
        """Return the record with a strongly consistent read. None: nothing is stored of it."""
        ...

    def get_many(self, keys: Sequence[RecordKey]) -> Mapping[RecordKey, Record]:
        """Return the records by key. Keys of which nothing is stored are missing from the result."""
        ...

    def save(self, record: Record) -> Record:
        """Store the record and return it with its new version. Raises ConcurrentModification if the stored version is
        not ``record.version``."""
        ...


class RecordEmails(Protocol):
    """The contacts by their email. Reads are eventually consistent: a change is normally visible within a second."""

    def with_email(self, portal_id: str, email: str, limit: int) -> Sequence[RecordKey]:
        """Return at most ``limit`` contacts of a portal that had this email when they were last stored, in any order.
        ``email``: as of ``normalized_email``."""
        ...


# The records of an object type are listed in this number of parts, each in an order of its own.
RECORD_SHARDS = 16


class RecordListing(Protocol):
    """The records of an object type that exist. Reads are eventually consistent: a record is normally listed within a
    second of its creation."""

    def page(
        self, portal_id: str, object_type_id: str, shard: int, limit: int, after: str | None = None
    ) -> Sequence[RecordKey]:
        """Return the next ``limit`` records of a shard (0 to RECORD_SHARDS - 1), in an order that never changes. Fewer
        than ``limit``: the shard has no more. ``after``: the object ID of the last record on the previous page, which
        need not exist any more; None: start at the beginning."""
        ...

    def count(self, portal_id: str, object_type_id: str) -> int:
        """Return the number of records of the type. This reads all entries: about a second for 200,000 records."""
        ...


class DeferredEvents(Protocol):
    """The events whose decision is deferred, stored beside the record that they wait for."""

    def get(self, record: RecordKey, event_id: str) -> DeferredEvent | None:
        """Return the deferred event. None: it is not deferred."""
        ...

    def of(self, record: RecordKey, limit: int) -> Sequence[DeferredEvent]:
        """Return at most ``limit`` events that wait for a record."""
        ...

    def save(self, waiting: DeferredEvent) -> None:
        """Store the event, or delete it if no flow waits any more. Raises ConcurrentModification if the stored version
        is not ``waiting.version``."""
        ...


class EventHistoryStore(Protocol):
    """The stored events of a record. ``first`` and ``last`` are sort keys (``domain.events.sort_key``); both ends are
    exclusive. ``until`` is when an item expires."""

    def keep(self, event: Event, until: Instant) -> Instant:
        """Store the event with its ``evaluated_at`` under its sort key, unless it is stored. Return the
        ``evaluated_at`` that is stored. If two copies of the event were sent, the one that was sent earlier is kept."""
        ...

    def keep_evaluation(self, event: Event, until: Instant) -> Instant:
        """Store only the ``evaluated_at`` of the event, unless it is stored. Return the one that is stored."""
        ...

    def first_evaluation(self, event: Event) -> Instant | None:
        """Return the stored ``evaluated_at`` of the event. None: it was not evaluated yet, or its time is not
        stored."""
        ...

    def of_record(self, record: RecordKey, first: str, last: str, *, newest_first: bool) -> Iterable[Event]:
        """Return the events of a record between two sort keys. Pages are read as the result is consumed."""
        ...

    def with_id(self, portal_id: str, event_id: str) -> Iterable[Event]:
        """Return the portal's events with an ID, in any order. Usually there is one at most. Events about changes of
        associated records are left out. Pages are read as the result is consumed. The read is eventually consistent: a
        write is normally visible within a second."""
        ...

    def of_types(self, portal_id: str, event_types: Collection[str], first: str, last: str) -> Iterable[Event]:
        """Return the events of all records of a portal between two sort keys, newest first. Pages are read as the
        result is consumed. The read is eventually consistent: a write is normally visible within a second."""
        ...

    def keys_of_types(
        self, portal_id: str, event_types: Collection[str], first: str, last: str, page_size: int
    ) -> Iterable[EventKey]:
        """Return the keys of the events that ``of_types`` returns, in the same order, without reading the events.
        ``page_size``: the number of keys of a page. At least one page of each partition of a type is read."""
        ...

    def get_many(self, keys: Sequence[EventKey]) -> Sequence[Event]:
        """Return the events with these keys, in their order, with a strongly consistent read. Events that are not
        stored any more are left out."""
        ...


class DueItems(Protocol):
    """The work of all portals that is due later."""

    def save(self, item: DueItem) -> None:
        """Store the item. An item with the same kind, ID and time is replaced."""
        ...

    def due_before(self, shard: int, instant: Instant) -> Iterable[DueItem]:
        """Return the items of a shard (0 to DUE_SHARDS - 1) that are due before an instant, ordered by ``due_at``.

        Pages are read as the result is consumed. An item may be deleted meanwhile. The read is eventually consistent: a
        write is normally visible within a second.
        """
        ...

    def delete(self, items: Sequence[DueItem]) -> None:
        """Delete the items that still exist: they were sent, or they are cancelled. Raises Throttled if some were not
        deleted after retries."""
        ...


class WorkQueue(Protocol):
    """The queue of the work that is due."""

    def send(self, items: Sequence[DueItem]) -> Iterable[DueItem]:
        """Send the work of each item, to be received when it is due, with retries, as the result is consumed. Yield
        each item whose message the queue accepts."""
        ...


class RedeliveryScheduler(Protocol):
    """Delivers an event again at a later time, or for associated records."""

    def schedule(self, event: Event, flow_ids: Iterable[str], at: Instant, change: str = "") -> None:
        """Deliver the event again for these flows, at that time or soon after, and at least once. ``change``: the name
        of the change whose enrollments are to be published (``TriggerEvent.name``); empty: the event's own ones."""
        ...

    def send(self, changes: Sequence[AssociatedChange]) -> None:
        """Deliver changes for their associated records, soon and at least once. Raises Throttled if the queue did not
        accept all of them after retries; then some may be delivered."""
        ...

    def send_by_timer(self, change: AssociatedChange) -> None:
        """Deliver a change for its associated records within about a minute, and at least once. The delivery does not
        continue the chain of messages that led to it, so Lambda does not count it as part of a loop."""
        ...


class RateLimits(Protocol):
    """The rate limits of flows."""

    def take(self, portal_id: str, flow_id: str, limit: RateLimit, now: Instant) -> Instant:
        """Reserve a slot for one enrollment, and return when it enters the flow: ``now`` or later. Every call reserves
        another slot. A changed limit does not continue the slots of the earlier one. Raises Throttled."""
        ...


class Associations(Protocol):
    """The stored associations. Each is stored twice, once from the view of each record."""

    def get(self, record: RecordKey, other: RecordKey) -> Association:
        """Return the association. It has no types if nothing is stored."""
        ...

    def of(self, record: RecordKey, object_type_id: str, limit: int, after: str = "") -> Sequence[Association]:
        """Return at most ``limit`` associations with records of an object type, ordered by the ID of the other record.
        Associations without a current type are left out. ``after``: only IDs that follow this one."""
        ...

    def all_of(self, record: RecordKey, object_type_id: str, limit: int, after: str = "") -> Sequence[Association]:
        """Return what ``of`` returns, removed associations included."""
        ...

    def save(self, associations: Sequence[Association]) -> None:
        """Store the associations in one transaction. Raises ConcurrentModification if the stored version of an
        association is not its ``version``."""
        ...


NO_CHANGES: Mapping[str, str] = MappingProxyType({})


class Enrollments(Protocol):
    """The stored enrollments, and which of them are published."""

    def find(
        self,
        record_key: RecordKey,
        cause_key: str,
        flow_ids: Sequence[str],
        changes: Mapping[str, str] = NO_CHANGES,
    ) -> Mapping[str, ExistingEnrollments]:
        """Return the enrollments of a record by flow ID, with an entry for every flow. The read is strongly consistent.

        ``cause_key``: of the event, or of the manual enrollment (``Event.cause_key``). ``changes``: by the ID of a
        filter-based flow, the name of the change (``TriggerEvent.name``) by which an enrollment counts as one by the
        event.
        """
        ...

    def claim(self, enrollment: Enrollment, due_at: Instant | None = None, chain: tuple[str, ...] = ()) -> bool:
        """Store the enrollment unless one with its key exists. Return whether it was stored.

        The first enrollment of a record in a flow has one key, and each re-enrollment has the key of its cause.
        ``due_at`` and ``chain`` are those of StoredEnrollment.
        """
        ...

    def confirm(self, enrollment: Enrollment, *, is_published: bool, is_announced: bool, now: Instant) -> None:
        """Store that the enrollment was published to the queue, or announced on the bus. False changes nothing. Raises
        ConcurrentModification if another enrollment has its key."""
        ...

    def of_record(self, record_key: RecordKey, limit: int, before: str | None = None) -> Sequence[StoredEnrollment]:
        """Return at most ``limit`` enrollments of a record, newest first. ``before``: only those that precede this
        ``Enrollment.position``."""
        ...

    def of_flow(
        self, portal_id: str, flow_id: str, limit: int, before: str | None = None
    ) -> Sequence[StoredEnrollment]:
        """Return at most ``limit`` enrollments in a flow, newest first. ``before``: only those that precede this
        ``Enrollment.position``. The read is eventually consistent: a write is normally visible within a second."""
        ...

    def get(self, portal_id: str, enrollment_id: str) -> StoredEnrollment | None:
        """Return the enrollment, with an eventually consistent read. None: it does not exist."""
        ...


class FirstEnrollments(Protocol):
    """The first enrollments of records in a flow."""

    def first_of(self, record_keys: Sequence[RecordKey], flow_id: str) -> Mapping[RecordKey, StoredEnrollment]:
        """Return the first enrollment of each record that was enrolled in the flow, with a strongly consistent read."""
        ...


class EnrollmentIndex(Protocol):
    """The times of the enrollments in a flow. Its reads are eventually consistent: a write is normally visible within a
    second."""

    def recent_of_flow(self, portal_id: str, flow_id: str, limit: int) -> RecentEnrollments:
        """Return the times of at most ``limit`` of the newest enrollments of each shard, and the newest enrollment."""
        ...

    def count_in_shard(self, portal_id: str, flow_id: str, shard: int, window: Window, limit: int) -> ShardCount:
        """Count the enrollments of a shard in a window of time, from the newest on: at most ``limit`` of them."""
        ...


class UnconfirmedEnrollments(Protocol):
    """The enrollments whose publication is not confirmed."""

    def find(
        self,
        record_key: RecordKey,
        cause_key: str,
        flow_ids: Sequence[str],
        changes: Mapping[str, str] = NO_CHANGES,
    ) -> Mapping[str, ExistingEnrollments]:
        """Return what ``Enrollments.find`` returns."""
        ...

    def unconfirmed(self, until: Instant) -> Iterable[StoredEnrollment]:
        """Return the enrollments of all portals that were due before an instant and are not confirmed.

        Those of one record are ordered by ``publish_at``. Pages are read as the result is consumed. The read is
        eventually consistent: a write is normally visible within a second.
        """
        ...


# The results of a dry run are read in this number of parts, which bounds the size of each read. All events of one
# record are in the same part.
REPLAY_PARTS = 16


class Replays(Protocol):
    """The requested replays, and the results of those that are dry runs."""

    def get(self, name: str) -> Replay | None:
        """Return the replay, which may have expired. None: it is not stored."""
        ...

    def save(self, replay: Replay) -> None:
        """Store a new replay. A stored replay never changes."""
        ...

    def count(self, replay: Replay, event: Event, decisions: Sequence[Decision]) -> None:
        """Store the decisions of a dry run on an event. A repeated call for the same event is counted once."""
        ...

    def counted(self, replay: Replay, part: int) -> Iterable[DryRunResult]:
        """Return the results in one part (0 to REPLAY_PARTS - 1), grouped by record."""
        ...


class Runs(Protocol):
    """The runs over all records of a type, and their shards. Reads are strongly consistent."""

    def create(self, run: Run, finished: Sequence[str] = ()) -> Run:
        """Store a new run with RECORD_SHARDS shards, and list it as active. Return it with its version. Raises
        ConcurrentModification if another run of the flow is active that is not one of ``finished``."""
        ...

    def get(self, portal_id: str, flow_id: str, run_id: str) -> Run | None:
        """Return the run. None: it does not exist, or it expired."""
        ...

    def of_flow(self, portal_id: str, flow_id: str, limit: int, before: str | None = None) -> Sequence[Run]:
        """Return at most ``limit`` runs of a flow, newest first. ``before``: only those that precede this run ID."""
        ...

    def save(self, run: Run) -> Run:
        """Store a changed run and return it with its new version. Raises ConcurrentModification if the stored version
        is not ``run.version``."""
        ...

    def shards(self, run: Run) -> Sequence[RunShard]:
        """Return the shards of a run, by number."""
        ...

    def save_shard(self, run: Run, shard: RunShard) -> RunShard:
        """Store a changed shard and return it with its new version. Raises ConcurrentModification if the stored version
        is not ``shard.version``."""
        ...

    def active(self, *, with_paused: bool = False) -> Sequence[Run]:
        """Return the active runs of all portals. They may be finished already. ``with_paused``: also those that are
        paused."""
        ...

    def deactivate(self, run: Run) -> None:
        """Remove a finished run from the active ones."""
        ...


class Queue(Protocol):
    """The queue from which consumers receive enrollments."""

    def publish(self, enrollments: Sequence[Enrollment]) -> Iterable[str]:
        """Send the enrollments, with retries, as the result is consumed. Yield the ID of each enrollment that the queue
        accepts. If a batch raises an error, the IDs of the batches before it have been yielded."""
        ...


class Bus(Protocol):
    """The event bus, as the receiver of announcements."""

    def announce(self, announcements: Sequence[Announcement]) -> Iterable[str]:
        """Send the announcements as ``Queue.publish`` sends enrollments. Yield the IDs of the enrollments whose
        announcement the bus accepts."""
        ...


class EventPublisher(Protocol):
    """The event bus, as the receiver of changes to records."""

    def publish(self, events: Sequence[OutboundEvent]) -> frozenset[str]:
        """Send the events, with retries. Return the IDs of those that the bus accepts."""
        ...


class UnprocessedEvents(Protocol):
    """The queue of events that cannot be processed."""

    def put(self, envelope: object, invalid: InvalidEvent) -> None:
        """Store the whole event with its reason and message."""
        ...


class UnprocessedEventQueue(Protocol):
    """The queue of events that cannot be processed, for readers. Reading takes nothing out of it."""

    def visit_all(self, visit: Callable[[UnprocessedMessage], bool]) -> bool:
        """Call ``visit`` with each message, once and in any order, until it returns False or a limit of the adapter is
        reached. Return whether all messages were visited.

        A message that another reader holds is not visited; then the result is False. A message that is visited is
        hidden from other readers until the scan ends."""
        ...

    def is_empty(self) -> bool:
        """Return whether the queue has no message, held by a reader or not. The answer can be a minute old."""
        ...


class DecisionLog(Protocol):
    """Writes a log line with stable fields, and counts a metric, for every outcome of an event."""

    def stored_before_creation(self, event: Event, changes: int) -> None:
        """Log that the event changed a record that does not exist yet. ``changes``: the number of changes that are now
        stored for it."""
        ...

    def id_used_before(self, event: Event, enrollment: Enrollment) -> None:
        """Log that another event with the same ID and different content made the enrollment."""
        ...

    def not_decided_again(self, event: Event, left: int) -> None:
        """Log that the time for deciding deferred events again after a change ran out. The remaining ``left`` events
        are decided when their tolerance ends."""
        ...

    def log_decisions(self, event: Event, decisions: Sequence[Decision], others: Mapping[Code, int]) -> None:
        """Log the decisions on an event. ``others``: the number of flows, by code, that are counted without a line of
        their own."""
        ...

    def log_rejected(self, event_id: str | None, invalid: InvalidEvent) -> None:
        """Log that an event is invalid. ``event_id`` None: it has no readable ID."""
        ...

    def unknown_names(self, event: Event) -> None:
        """Log that an event has keys or properties that this version ignores, ``event.unknown_names``."""
        ...

    def log_skipped(self, event: Event) -> None:
        """Log that a replayed event is not in the scope of its replay."""
        ...

    def log_dry_run(self, event: Event, decisions: Sequence[Decision]) -> None:
        """Log the decisions of a dry run."""
        ...
