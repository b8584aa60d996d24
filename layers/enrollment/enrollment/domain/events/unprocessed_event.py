"""An event that was not processed, as a message of the unprocessed-events queue has it.

These are dataclasses, because the command line lists the queue without the time that importing msgspec takes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from enrollment.domain.values import Instant, read_time


@dataclass(frozen=True)
class UnprocessedEvent:
    """An event that was not processed, and why. Nothing of it is checked: every value can have any type.

    ``event`` is the whole event as EventBridge delivered it, or the content of the message if it is not an event.
    ``reason`` is a code of docs/events.md, or of the AWS service that gave up. ``truncated`` is set if the event was
    too large for a message: it has the size, the beginning and the place in the archive, and ``event`` has only what
    identifies the event. ``redelivery`` is the message itself if only the function ``redeliveries`` can process it,
    because there is no such event on the bus, or because the event alone would not make the same decisions.
    """

    reason: str
    message: str
    event: Any
    field: str | None = None
    truncated: Mapping[str, Any] | None = None
    redelivery: str | None = None

    @property
    def event_id(self) -> str | None:
        """The event's own ID, otherwise the ID that EventBridge gave it."""
        return _id_or_none(self._detail.get("id")) or _id_or_none(self._envelope.get("id"))

    @property
    def event_type(self) -> str | None:
        """The event type as the source named it, which can be unknown."""
        event_type = self._envelope.get("detail-type")
        return event_type if isinstance(event_type, str) else None

    @property
    def portal_id(self) -> str | None:
        """The portal that the event names. None: only operators may see the event."""
        return _id_or_none(self._detail.get("portalId"))

    @property
    def record(self) -> str | None:
        """The record as <type>/<id>, as the event names them."""
        object_type, object_id = self._detail.get("objectType"), self._detail.get("objectId")
        is_named = isinstance(object_type, str | int) and isinstance(object_id, str | int)
        return f"{object_type}/{object_id}" if is_named else None

    @property
    def object_type_id(self) -> str | None:
        """The ID of the object type of the record. None: the event names none, or one that does not exist."""
        # Imported here because it needs msgspec.
        from enrollment.domain.identifiers import any_object_type_id

        object_type = _id_or_none(self._detail.get("objectType"))
        return None if object_type is None else any_object_type_id(object_type)

    @property
    def object_id(self) -> str | None:
        """The ID of the record. None: the event names none."""
        return _id_or_none(self._detail.get("objectId"))

    @property
    def occurred_at(self) -> Instant | None:
        """The event's own time, otherwise the time at which EventBridge received it. None if it cannot be read."""
        raw_time = self._detail.get("occurredAt")
        time = read_time(self._envelope.get("time") if raw_time is None else raw_time)
        return None if time is None else time[0]

    @property
    def _envelope(self) -> Mapping[str, Any]:
        return self.event if isinstance(self.event, dict) else {}

    @property
    def _detail(self) -> dict[str, Any]:
        detail = self._envelope.get("detail")
        return detail if isinstance(detail, dict) else {}


@dataclass(frozen=True)
class UnprocessedMessage:
    """A message of the unprocessed-events queue. ``id``: stays the same until the message is deleted. ``sent_at``: when
    the queue received it."""

    id: str
    sent_at: Instant
    unprocessed: UnprocessedEvent


def _id_or_none(value: Any) -> str | None:
    """Return an ID as text. Sources may send integers (docs/events.md)."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else None
