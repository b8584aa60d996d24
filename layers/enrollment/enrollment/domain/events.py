"""An event as the story sees it: valid, with everything derived that the catalogue says."""

from collections.abc import Collection, Mapping

from msgspec import Struct, field

from enrollment.domain.event_types import EventType
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.values import Instant, Properties, with_defaults


class InvalidEvent(Exception):
    """The event breaks a rule of docs/events.md. It is never retried: it would be invalid again.

    ``reason`` is a stable code, ``field`` the path of what is wrong, ``message`` says what was found and is allowed.
    """

    def __init__(self, reason: str, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.reason = reason
        self.field = field
        self.message = f"{field}: {message}"


class Event(Struct, frozen=True):
    """``sent_at`` is when the bus received it, ``occurred_at`` when it happened. ``object_id`` None: a visitor.

    ``record_properties``: the snapshot that travels with the event; None: there is none. ``changed_with``: properties
    that changed together with what the event tells; each has an event of its own.
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

    @property
    def record_key(self) -> RecordKey | None:
        if self.object_id is None:
            return None
        return RecordKey(self.portal_id, self.object_type_id, self.object_id)


class Occurrence(Struct, frozen=True):
    """One row of the catalogue that an event satisfies, with the properties that it has there."""

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
