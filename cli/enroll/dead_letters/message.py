"""Read a message of the unprocessed-events queue. Each source writes another format:

Enroll rejected the event, or no rule matches it   {"reason", "message", "field", "event"}, and "truncated" if shortened
a function failed                                  Lambda's record: {"requestContext", "requestPayload", ...}
EventBridge could not deliver the event            the event; ERROR_CODE and ERROR_MESSAGE are message attributes
a batch of a category's buffer failed              the event, without attributes
a redelivery failed                                {"at", "flowIds", "event"}
decisions on associated records failed             {"associated", "event"}

Any other message is kept, and shown as it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from enroll.bus import BusEntry, detail_text
from enrollment.domain.events.causes import ASSOCIATED_RECORD_EVENT, REQUESTED
from enrollment.domain.values import Instant, read_instant, read_time

REDELIVERY_FAILED = "REDELIVERY_FAILED"
NOT_DELIVERED = "NOT_DELIVERED"
BATCH_FAILED = "BATCH_FAILED"
UNKNOWN_MESSAGE = "UNKNOWN_MESSAGE"

NOT_AN_EVENT = "no event"

NEVER_ON_BUS = REQUESTED | {ASSOCIATED_RECORD_EVENT}
"""Types of events that no source can send. The bus would deliver such an event, and the functions refuse it."""


@dataclass(frozen=True)
class UnprocessedEvent:
    """An event that was not processed, and why.

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
        return _text_or_none(self._detail.get("id")) or _text_or_none(self._envelope.get("id"))

    @property
    def event_type(self) -> str | None:
        return _text_or_none(self._envelope.get("detail-type"))

    @property
    def portal_id(self) -> str | None:
        return _text_or_none(self._detail.get("portalId"))

    @property
    def record(self) -> str | None:
        """The record as <type>/<id>, as the event names them."""
        object_type, object_id = self._detail.get("objectType"), self._detail.get("objectId")
        is_named = isinstance(object_type, str | int) and isinstance(object_id, str | int)
        return f"{object_type}/{object_id}" if is_named else None

    @property
    def occurred_at(self) -> Instant | None:
        """The event's own time, otherwise the time at which EventBridge received it. None if it cannot be read."""
        raw_time = self._detail.get("occurredAt")
        time = read_time(self._envelope.get("time") if raw_time is None else raw_time)
        return None if time is None else time[0]

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

    @property
    def _envelope(self) -> Mapping[str, Any]:
        return self.event if isinstance(self.event, dict) else {}

    @property
    def _detail(self) -> dict[str, Any]:
        detail = self._envelope.get("detail")
        return detail if isinstance(detail, dict) else {}


def read_unprocessed(body: str, attributes: Mapping[str, str]) -> UnprocessedEvent:
    """Read a message from its body and its message attributes by name. Accepts any text."""
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        return UnprocessedEvent(UNKNOWN_MESSAGE, "the message is not JSON", body)
    match message:
        case {"reason": str(reason), "message": str(text), "event": event}:
            truncated = message.get("truncated")
            details = truncated if isinstance(truncated, dict) else None
            text = _all_faults(message.get("faults")) or text
            return UnprocessedEvent(reason, text, event, _text_or_none(message.get("field")), details)
        case {"requestContext": dict(context), "requestPayload": event}:
            reason = str(context.get("condition", NOT_DELIVERED))
            return UnprocessedEvent(reason, _describe_failure(context, message.get("responsePayload")), event)
        case {"at": _, "flowIds": list(flow_ids), "event": event}:
            flows = ", ".join(map(str, flow_ids))
            text = f"the deferred decision of flows {flows} failed at every attempt"
            redelivery = body if isinstance(event, dict) and event.get("detail-type") in NEVER_ON_BUS else None
            return UnprocessedEvent(REDELIVERY_FAILED, text, event, redelivery=redelivery)
        case {"associated": {"objectTypeId": object_type_id}, "event": event}:
            text = f"the decisions on associated records of type {object_type_id} failed at every attempt"
            return UnprocessedEvent(REDELIVERY_FAILED, text, event, redelivery=body)
        case {"detail-type": _, "detail": _} if not attributes:
            text = "the event failed at every attempt in a batch of its category's buffer"
            return UnprocessedEvent(BATCH_FAILED, text, message)
        case {"detail-type": _, "detail": _}:
            text = attributes.get("ERROR_MESSAGE") or "EventBridge could not deliver the event"
            rule = attributes.get("RULE_ARN")
            return UnprocessedEvent(
                attributes.get("ERROR_CODE", NOT_DELIVERED), f"{text} ({rule})" if rule else text, message
            )
    return UnprocessedEvent(
        UNKNOWN_MESSAGE, "expected a message of Enroll, Lambda or EventBridge; got another format", message
    )


def _all_faults(faults: Any) -> str:
    """Return the messages of several faults. Empty if the message lists none."""
    listed = faults if isinstance(faults, list) else []
    return "; ".join(str(fault["message"]) for fault in listed if isinstance(fault, dict) and "message" in fault)


def _describe_failure(context: Mapping[str, Any], response: Any) -> str:
    """Describe the last attempt from Lambda's record of a failed asynchronous invocation."""
    attempts = f"after {context.get('approximateInvokeCount', 'some')} attempts"
    if not isinstance(response, dict):
        return f"the function did not process the event, {attempts}"
    error = ": ".join(str(response[key]) for key in ("errorType", "errorMessage") if response.get(key))
    return f"{error or 'the function failed'}, {attempts}"


def _text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) else None
