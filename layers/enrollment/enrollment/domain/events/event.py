"""A valid event, and the catalog rows that it satisfies."""

from collections.abc import Collection, Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from enrollment.domain.events.causes import cause_key
from enrollment.domain.events.event_types import EventType
from enrollment.domain.events.moments import Moment, last_instant, moment_of
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.values import LATEST, Instant, Properties, iso, with_defaults

OWN_SOURCE = "enroll"
"""The source of the events that this system publishes. The policy of the bus denies it to other producers."""


class InvalidEvent(Exception):
    """The event breaks a rule of docs/events.md. It is not retried, because it would be invalid again.

    ``reason``: a stable code. ``field``: the path of the wrong value. ``message``: the path, what was expected, what
    was found, and what to do. ``further``: the other faults of the event; they have none themselves.
    """

    further: tuple["InvalidEvent", ...] = ()

    def __init__(self, reason: str, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.reason = reason
        self.field = field
        self.message = f"{field}: {message}"

    @property
    def faults(self) -> tuple["InvalidEvent", ...]:
        """This fault and the other faults of the event."""
        return (self, *self.further)


DAY = 24 * 3600 * 1000

# A time of occurrence that is ahead by more than this is not explained by clocks that usually differ.
CLOCK_DIFFERENCE_MS = 1_000


class Event(Struct, frozen=True):
    """A valid event. All times are milliseconds since 1970 in UTC.

    ``object_id``: the record; None: an unknown visitor. ``sent_at``: when the bus received the event. ``occurred_at``:
    when it happened. ``is_to_second``: ``occurred_at`` is known to the second only.
    ``evaluated_at``: when the first delivery of the event was evaluated; None: not yet, or not known. ``claimed_at``:
    the time of occurrence that the source gave, if it is ahead of ``evaluated_at``. Then ``occurred_at`` is
    ``evaluated_at``.
    ``record_properties``: a snapshot of the record; None: the event has none. ``changed_with``: properties that changed
    together with the event's own; each has its own event. ``chain``: the IDs of the flows that led to this event.
    ``unknown_names``: paths of keys and properties that the source sent and this version ignores.
    """

    id: str
    event_type: EventType
    portal_id: str
    object_type_id: str
    object_id: str | None
    occurred_at: Instant
    sent_at: Instant
    source: str
    properties: Properties
    record_properties: Properties | None = None
    changed_with: Properties = field(default_factory=dict)
    chain: tuple[str, ...] = ()
    is_to_second: bool = False
    evaluated_at: Instant | None = None
    claimed_at: Instant | None = None
    unknown_names: tuple[str, ...] = ()

    @property
    def given_time(self) -> Instant:
        """The time of occurrence that the source gave."""
        return self.occurred_at if self.claimed_at is None else self.claimed_at

    @property
    def latest(self) -> Instant:
        """The last millisecond at which the event can have occurred."""
        return last_instant(self.occurred_at, is_to_second=self.is_to_second)

    @property
    def moment(self) -> Moment:
        """The moment in the history of a record at which the event sees it."""
        known_until = LATEST if self.evaluated_at is None else self.evaluated_at
        return moment_of(self.occurred_at, is_to_second=self.is_to_second, known_until=known_until, event_id=self.id)

    def is_ahead(self, now: Instant) -> bool:
        """Whether the given time of occurrence is ahead of ``now`` by more than CLOCK_DIFFERENCE_MS."""
        return self.given_time > now + CLOCK_DIFFERENCE_MS

    def depends_on_evaluation(self, now: Instant) -> bool:
        """Whether the order of the event among the changes of a record depends on the time of its first evaluation."""
        return self.is_to_second or self.is_ahead(min(self.sent_at, now))

    def evaluated(self, at: Instant) -> "Event":
        """Return the event with the time of its first evaluation, which replaces a given time that is ahead of it."""
        if self.is_ahead(at):
            return replace(self, evaluated_at=at, occurred_at=at, claimed_at=self.given_time, is_to_second=False)
        return replace(self, evaluated_at=at, occurred_at=self.given_time, claimed_at=None)

    @property
    def cause_key(self) -> str:
        """The key of the event as the cause of an enrollment. Another kind of cause never has
        the same."""
        return cause_key(self.event_type.name, self.id)

    @property
    def record_key(self) -> RecordKey | None:
        """The key of the event's record. None: an unknown visitor."""
        if self.object_id is None:
            return None
        return RecordKey(self.portal_id, self.object_type_id, self.object_id)


def check_not_in_future(event: Event, now: Instant) -> None:
    """Raise InvalidEvent if the given time is more than 24 hours ahead. A smaller lead is attributed to the source's
    clock and accepted."""
    if event.given_time > now + DAY:
        raise InvalidEvent(
            "OCCURRED_IN_FUTURE",
            "detail.occurredAt",
            f"expected a time that is at most 24 hours ahead of {iso(now)}; got {iso(event.given_time)}. "
            "Send the time at which the event occurred",
        )


class Occurrence(Struct, frozen=True):
    """A row of the catalog that an event satisfies, with the event's properties as that row defines them."""

    event_type: EventType
    properties: Properties


def occurrences(event: Event, event_types: Mapping[str, EventType]) -> tuple[Occurrence, ...]:
    """Return the event's own row, then the rows that it also satisfies. A value that the source sent takes precedence
    over a derived one."""
    own = own_occurrence(event)
    return (
        own,
        *(
            _occurrence(event_types[also.event_type], with_defaults(event.properties, also.adds))
            for also in event.event_type.also
            if also.when is None or also.when.failure(own.properties) is None
        ),
    )


def own_occurrence(event: Event) -> Occurrence:
    """Return the event's own row, with the properties that are derived from others."""
    return _occurrence(event.event_type, event.properties)


def satisfying(names: Collection[str], event_types: Mapping[str, EventType]) -> frozenset[str]:
    """Return the names of the event types whose events can satisfy one of the rows ``names``."""
    return frozenset(
        event_type.name
        for event_type in event_types.values()
        if event_type.name in names or any(also.event_type in names for also in event_type.also)
    )


def _occurrence(event_type: EventType, properties: Properties) -> Occurrence:
    for derive in event_type.derivations:
        properties = with_defaults(properties, derive(properties))
    return Occurrence(event_type, properties)
