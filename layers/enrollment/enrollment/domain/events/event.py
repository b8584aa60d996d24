"""An event as the story sees it: valid, with everything derived that the catalog says."""

from collections.abc import Collection, Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from enrollment.domain.events.event_types import EventType
from enrollment.domain.events.moments import Moment, last_instant, moment_of
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.values import LATEST, Instant, Properties, iso, with_defaults

OWN_SOURCE = "enroll"
"""The source of the events that this system itself puts on the bus. The bus' policy denies it to everyone else."""


class InvalidEvent(Exception):
    """The event breaks a rule of docs/events.md. It is never retried: it would be invalid again.

    ``reason`` is a stable code, ``field`` the path of what is wrong, ``message`` says what was found and is allowed.
    """

    def __init__(self, reason: str, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.reason = reason
        self.field = field
        self.message = f"{field}: {message}"


DAY = 24 * 3600 * 1000

# Milliseconds by which the clocks of two machines may differ.
CLOCK_DIFFERENCE_MS = 1_000


class Event(Struct, frozen=True):
    """``sent_at`` is when the bus received it, ``occurred_at`` when it happened. ``object_id`` None: a visitor.

    ``record_properties``: the snapshot that travels with the event; None: there is none. ``changed_with``: properties
    that changed together with what the event tells; each has an event of its own.
    ``is_to_second``: ``occurred_at`` is known to the second only. ``evaluated_at``: when the first delivery of the
    event was evaluated; None: not yet, or not known. ``claimed_at``: the time of occurrence that the source gave, where
    that was later than ``evaluated_at``; ``occurred_at`` is then ``evaluated_at``.
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

    @property
    def given_time(self) -> Instant:
        """The time of occurrence as the source gave it."""
        return self.occurred_at if self.claimed_at is None else self.claimed_at

    @property
    def latest(self) -> Instant:
        """The last instant at which it may have occurred."""
        return last_instant(self.occurred_at, is_to_second=self.is_to_second)

    @property
    def moment(self) -> Moment:
        """What it sees of the changes of a record."""
        known_until = LATEST if self.evaluated_at is None else self.evaluated_at
        return moment_of(self.occurred_at, is_to_second=self.is_to_second, known_until=known_until, event_id=self.id)

    def is_ahead(self, now: Instant) -> bool:
        """Whether its source's clock is ahead by more than clocks usually differ."""
        return self.given_time > now + CLOCK_DIFFERENCE_MS

    def depends_on_evaluation(self, now: Instant) -> bool:
        """Whether its place among the changes of a record depends on when it was first evaluated."""
        return self.is_to_second or self.is_ahead(min(self.sent_at, now))

    def evaluated(self, at: Instant) -> "Event":
        """The event with the time of its first evaluation. A time of occurrence ahead of it counts as that time."""
        if self.is_ahead(at):
            return replace(self, evaluated_at=at, occurred_at=at, claimed_at=self.given_time, is_to_second=False)
        return replace(self, evaluated_at=at, occurred_at=self.given_time, claimed_at=None)

    @property
    def record_key(self) -> RecordKey | None:
        if self.object_id is None:
            return None
        return RecordKey(self.portal_id, self.object_type_id, self.object_id)


def check_not_in_future(event: Event, now: Instant) -> None:
    """Raise InvalidEvent for an event that occurs more than a day from now. A time within that day is taken for a
    clock that is ahead."""
    if event.given_time > now + DAY:
        raise InvalidEvent(
            "OCCURRED_IN_FUTURE",
            "detail.occurredAt",
            f"expected a time that is at most 24 hours ahead of {iso(now)}, found {iso(event.given_time)}; "
            "send the time at which the event occurred",
        )


class Occurrence(Struct, frozen=True):
    """One row of the catalog that an event satisfies, with the properties that it has there."""

    event_type: EventType
    properties: Properties


def occurrences(event: Event, event_types: Mapping[str, EventType]) -> tuple[Occurrence, ...]:
    """The event's own row first, then the rows that it also satisfies. A value that the source sent wins over a
    derived one."""
    own = _occurrence(event.event_type, event.properties)
    return (
        own,
        *(
            _occurrence(event_types[also.event_type], with_defaults(event.properties, also.adds))
            for also in event.event_type.also
            if also.when is None or also.when.failure(own.properties) is None
        ),
    )


def satisfying(names: Collection[str], event_types: Mapping[str, EventType]) -> frozenset[str]:
    """The events that can satisfy one of these rows: themselves, and those that also satisfy one."""
    return frozenset(
        one.name
        for one in event_types.values()
        if one.name in names or any(also.event_type in names for also in one.also)
    )


def _occurrence(event_type: EventType, properties: Properties) -> Occurrence:
    for derive in event_type.derivations:
        properties = with_defaults(properties, derive(properties))
    return Occurrence(event_type, properties)
