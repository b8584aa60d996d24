"""An enrollment: a record enters a flow, because of an event or because a caller enrolls it."""

import hashlib
from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from enrollment.domain.enrollment.decisions import Match
from enrollment.domain.events.causes import cause_key, change_key
from enrollment.domain.events.event import Event, Occurrence
from enrollment.domain.flows.flow import Flow
from enrollment.domain.identifiers import RecordKey, join
from enrollment.domain.values import Instant, Properties, is_missing, iso


class TriggerEvent(Struct, frozen=True):
    """The event that caused an enrollment, and the trigger group that it satisfied.

    ``group_index`` None: a manual enrollment or a backfill, which has no trigger group. ``event_type``: the row of the
    catalog by which it did, MANUAL_EVENT, or BACKFILL_EVENT. ``name``: for a filter-based flow, the name of the change
    at which the record came to meet the criteria (``entry.cause_name``); empty: the event is the cause.
    ``occurred_at``: when the event, or this change, happened.
    """

    group_index: int | None
    event_type: str
    event_type_id: str | None
    event_id: str
    occurred_at: Instant
    source: str
    properties: Properties
    name: str = ""

    @property
    def event_key(self) -> str:
        """The key of the event, or of the manual request."""
        return cause_key(self.event_type, self.event_id)

    @property
    def key(self) -> str:
        """The key of the cause: the named change, the event, or the manual request. No other cause has the same."""
        return change_key(self.name) if self.name else self.event_key

    def is_by(self, event_key: str, change: str | None) -> bool:
        """Whether the event with this key, or the change with this name, is the cause. None: no change."""
        return event_key == self.event_key or (change is not None and change == self.name)


class Enrollment(Struct, frozen=True):
    """A record entered a flow.

    ``id``: a ULID, the same on every copy of the message. ``idempotency_key``: see ``idempotency_key()``.
    ``is_re_enrollment``: the record was enrolled in the flow before.
    """

    id: str
    record_key: RecordKey
    flow_id: str
    flow_name: str
    flow_revision_id: str
    idempotency_key: str
    is_re_enrollment: bool
    cause: TriggerEvent
    enrolled_at: Instant

    @property
    def deduplication_id(self) -> str:
        """The deduplication ID of the SQS message: a hash, because SQS limits its length and characters."""
        return hashlib.sha256(self.idempotency_key.encode()).hexdigest()

    @property
    def position(self) -> str:
        """The sort key among enrollments: a text in the order of time."""
        return f"{iso(self.enrolled_at)}/{self.id}"


class StoredEnrollment(Struct, frozen=True):
    """An enrollment with the state of its delivery.

    ``is_published``: the message is in the enrollments queue. ``is_announced``: ``workflows.enrolled`` is on the bus.
    Until both are true, a redelivery of the event publishes what is missing. ``due_at``: when the message is published,
    if the flow's rate limit delays it. ``chain``: the event's chain, for an announcement after a delay, when the event
    is not available.
    """

    enrollment: Enrollment
    is_published: bool = False
    is_announced: bool = False
    due_at: Instant | None = None
    chain: tuple[str, ...] = ()

    @property
    def is_confirmed(self) -> bool:
        """Whether nothing is left to publish."""
        return self.is_published and self.is_announced

    @property
    def publish_at(self) -> Instant:
        """When the message is published: at once, or when the rate limit lets the record enter."""
        return self.enrollment.enrolled_at if self.due_at is None else self.due_at


class ExistingEnrollments(Struct, frozen=True):
    """The stored enrollments of a record in a flow: the ``first`` one, and the one by the current cause. Both may be
    the same."""

    first: StoredEnrollment | None = None
    for_event: StoredEnrollment | None = None


def has_other_content(cause: TriggerEvent, event: Event, occurrences: Sequence[Occurrence]) -> bool:
    """Whether the event that caused an enrollment differs from another event with the same ID.

    ``occurrences``: the catalog rows that the other event satisfies. The times are compared only if the other event
    has an exact one: the bus dates an event without a time of occurrence anew each time it is sent.
    """
    is_exact = not event.is_to_second and event.claimed_at is None and not cause.name
    if is_exact and event.occurred_at != cause.occurred_at:
        return True
    if all(occurrence.event_type.name != cause.event_type for occurrence in occurrences):
        return True
    # Properties can be missing from a message that was too large.
    sent = {name: value for name, value in event.properties.items() if not is_missing(value)}
    return any(cause.properties.get(name, value) != value for name, value in sent.items())


def idempotency_key(record_key: RecordKey, flow: Flow, cause: TriggerEvent) -> str:
    """Return the key by which duplicates of an enrollment are recognized.

    A flow that re-enrolls has one enrollment for each record and cause; another flow has one for each record.
    """
    of_record = join(record_key.portal_id, flow.id, record_key.object_type_id, record_key.object_id)
    return f"{of_record}/{cause.key}" if flow.should_re_enroll else of_record


def trigger_event(match: Match, event: Event) -> TriggerEvent:
    """Return the cause of an enrollment by an event that satisfies a trigger group."""
    return TriggerEvent(
        group_index=match.group.index,
        event_type=match.occurrence.event_type.name,
        event_type_id=match.group.event_type_id,
        event_id=event.id,
        occurred_at=event.occurred_at,
        source=event.source,
        properties=match.occurrence.properties,
    )


def change_cause(match: Match, event: Event, at: Instant, name: str) -> TriggerEvent:
    """Return the cause of an enrollment in a filter-based flow. ``at`` and ``name``: the change that enrolls; it is the
    event's own, or a later one."""
    event_type_id = match.occurrence.event_type.event_type_id
    return replace(trigger_event(match, event), event_type_id=event_type_id, occurred_at=at, name=name)


def direct_cause(event: Event) -> TriggerEvent:
    """Return the cause of an enrollment without a trigger group. ``event``: of ``manual_event`` or
    ``backfill_event``."""
    return TriggerEvent(None, event.event_type.name, None, event.id, event.occurred_at, event.source, event.properties)


def enroll(
    flow: Flow,
    cause: TriggerEvent,
    record_key: RecordKey,
    *,
    enrolled_before: bool,
    enrollment_id: str,
    now: Instant,
) -> Enrollment:
    """Return the enrollment of a record by a cause. ``enrolled_before``: the flow enrolled the record before."""
    return Enrollment(
        id=enrollment_id,
        record_key=record_key,
        flow_id=flow.id,
        flow_name=flow.name,
        flow_revision_id=flow.revision_id,
        idempotency_key=idempotency_key(record_key, flow, cause),
        is_re_enrollment=enrolled_before,
        cause=cause,
        enrolled_at=now,
    )


class Announcement(Struct, frozen=True):
    """The event ``workflows.enrolled`` for an enrollment. The last flow ID of ``chain`` is that of the flow itself."""

    enrollment: Enrollment
    chain: tuple[str, ...]
