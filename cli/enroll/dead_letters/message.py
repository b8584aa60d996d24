"""An event of the unprocessed-events queue that can be put on the bus again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from enroll.bus import BusEntry, detail_text
from enrollment.domain.events import unprocessed_event
from enrollment.domain.values import read_instant
from enrollment.serialization.unprocessed_messages import read_unprocessed as read_message

NOT_AN_EVENT = "no event"


@dataclass(frozen=True)
class UnprocessedEvent(unprocessed_event.UnprocessedEvent):
    """An event that was not processed, and what putting it on the bus again takes."""

    @property
    def complete_event(self) -> dict[str, Any] | None:
        """The event with everything in its detail that EventBridge would otherwise assign anew.

        The bus gives a redriven event a new envelope. Therefore the ID, the time and the replay of the old envelope
        are copied into the detail. None if the message has no event, or only a part of it.
        """
        envelope = self._envelope if self.truncated is None else {}
        names = [envelope.get(key) for key in ("source", "detail-type")]
        if not isinstance(envelope.get("detail"), dict) or not all(isinstance(name, str) and name for name in names):
            return None
        # Importing it takes longer than listing a queue.
        from enrollment.serialization.event_fields import REPLAY_NAME

        detail = dict(self._detail)
        for key, value in (("id", envelope.get("id")), ("occurredAt", envelope.get("time"))):
            if detail.get(key) is None and value is not None:
                detail[key] = value
        if REPLAY_NAME in envelope:
            detail[REPLAY_NAME] = envelope[REPLAY_NAME]
        return {**envelope, "detail": detail}

    @property
    def obstacle(self) -> str | None:
        """Why the event cannot be put on the bus again. None if it can."""
        if self.truncated is not None:
            archive = self.truncated.get("archive")
            place = archive if isinstance(archive, Mapping) else {}
            bus, event_id, time = (place.get(key, "(unknown)") for key in ("bus", "eventId", "time"))
            return (
                f"the event was cut, because its {self.truncated.get('bytes', '(unknown)')} bytes exceed the size of a "
                f"message. The archive of the bus {bus} has the whole event: event {event_id}, sent at {time}. Send a "
                "smaller event from its source, or restore it from the archive (docs/unprocessed.md)"
            )
        return NOT_AN_EVENT if self.complete_event is None else None

    def entry(self, bus: str) -> BusEntry | None:
        """Return an entry that puts the same event on the bus, with the time at which it was sent before.

        Returns None if there is an ``obstacle``.
        """
        event = self.complete_event
        if event is None:
            return None
        sent_at = read_instant(event["time"]) if isinstance(event.get("time"), str) else None
        return {
            "EventBusName": bus,
            "Source": event["source"],
            "DetailType": event["detail-type"],
            "Detail": detail_text(event["detail"]),
            **({} if sent_at is None else {"Time": sent_at / 1000}),
            **({"Resources": event["resources"]} if event.get("resources") else {}),
        }


def read_unprocessed(body: str, attributes: Mapping[str, str]) -> UnprocessedEvent:
    """Read a message from its body and its message attributes by name. Accepts any text."""
    message = read_message(body, attributes)
    return UnprocessedEvent(message.reason, message.message, message.event, message.field, message.truncated)
