"""The messages of the unprocessed-events queue: whatever wrote them, read as one thing.

what Enroll refused, what no rule takes   {"reason", "message", "field", "event"}; "truncated" of an event that is cut
what a function failed to process         Lambda's record: {"requestContext", "requestPayload", "responsePayload", …}
what EventBridge could not deliver        the event itself; ERROR_CODE and ERROR_MESSAGE are message attributes
what failed out of a category's buffer    the event itself, without attributes
a redelivery that failed                  {"at", "flowIds", "event"}
anything else                             kept, and shown as it is
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from enroll.bus import Entry, detail_text
from enrollment.domain.values import Instant, read_instant, read_time
from enrollment.serialization.envelopes import REPLAY_NAME

REDELIVERY_FAILED = "REDELIVERY_FAILED"
NOT_DELIVERED = "NOT_DELIVERED"
BATCH_FAILED = "BATCH_FAILED"
UNKNOWN_MESSAGE = "UNKNOWN_MESSAGE"


@dataclass(frozen=True)
class UnprocessedEvent:
    """``event`` is the whole event as EventBridge delivered it, or what came in its place. ``reason`` is a code of
    docs/events.md, or of the service that gave up. ``truncated``: the event was too large for the message, and
    ``event`` is only its identity; the size, the beginning and the place in the archive are here."""

    reason: str
    message: str
    event: Any
    field: str | None = None
    truncated: Mapping[str, Any] | None = None

    @property
    def event_id(self) -> str | None:
        return _text(self._detail.get("id")) or _text(self._envelope.get("id"))

    @property
    def event_type(self) -> str | None:
        return _text(self._envelope.get("detail-type"))

    @property
    def portal_id(self) -> str | None:
        return _text(self._detail.get("portalId"))

    @property
    def record(self) -> str | None:
        kind, object_id = self._detail.get("objectType"), self._detail.get("objectId")
        return None if kind is None or object_id is None else f"{kind}/{object_id}"

    @property
    def occurred_at(self) -> Instant | None:
        given = self._detail.get("occurredAt")
        time = read_time(self._envelope.get("time") if given is None else given)
        return None if time is None else time[0]

    @property
    def whole(self) -> dict[str, Any] | None:
        """The same event to whoever reads its detail alone: with the id and the time of occurrence that it had by its
        envelope, and the replay that it is part of, for the bus gives it a new envelope. None: it is no event, or not
        a whole one."""
        envelope = self._envelope if self.truncated is None else {}
        names = [envelope.get(key) for key in ("source", "detail-type")]
        if not isinstance(envelope.get("detail"), dict) or not all(isinstance(one, str) and one for one in names):
            return None
        detail = dict(self._detail)
        for key, value in (("id", envelope.get("id")), ("occurredAt", envelope.get("time"))):
            if detail.get(key) is None and value is not None:
                detail[key] = value
        if REPLAY_NAME in envelope:
            detail[REPLAY_NAME] = envelope[REPLAY_NAME]
        return {**envelope, "detail": detail}

    @property
    def obstacle(self) -> str | None:
        """Why the event can't be put on the bus again. None: it can."""
        if self.truncated is not None:
            archive = self.truncated.get("archive")
            place = archive if isinstance(archive, Mapping) else {}
            return (
                f"the event was cut, because its {self.truncated.get('bytes')} bytes exceed the size of a message. "
                f"The archive of the bus {place.get('bus')} has it whole: event {place.get('eventId')}, sent at "
                f"{place.get('time')}. Send it again from its source, smaller, or restore it from the archive "
                "(docs/unprocessed.md)"
            )
        return "no event" if self.whole is None else None

    def entry(self, bus: str) -> Entry | None:
        """That puts the same event on the bus again, as sent when it was sent. None: ``obstacle`` says why not."""
        event = self.whole
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
    """``attributes``: the message's own, by name."""
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        return UnprocessedEvent(UNKNOWN_MESSAGE, "the message is not JSON", body)
    match message:
        case {"reason": str(reason), "message": str(text), "event": event}:
            truncated = message.get("truncated")
            cut = truncated if isinstance(truncated, dict) else None
            return UnprocessedEvent(reason, text, event, _text(message.get("field")), cut)
        case {"requestContext": dict(context), "requestPayload": event}:
            reason = str(context.get("condition", NOT_DELIVERED))
            return UnprocessedEvent(reason, _failure(context, message.get("responsePayload")), event)
        case {"at": _, "flowIds": list(flow_ids), "event": event}:
            flows = ", ".join(map(str, flow_ids))
            return UnprocessedEvent(
                REDELIVERY_FAILED, f"failed again and again when it was due for flows {flows}", event
            )
        case {"detail-type": _, "detail": _} if not attributes:
            return UnprocessedEvent(BATCH_FAILED, "failed again and again in a batch of its category's buffer", message)
        case {"detail-type": _, "detail": _}:
            text = attributes.get("ERROR_MESSAGE") or "EventBridge could not deliver it"
            rule = attributes.get("RULE_ARN")
            return UnprocessedEvent(
                attributes.get("ERROR_CODE", NOT_DELIVERED), f"{text} ({rule})" if rule else text, message
            )
    return UnprocessedEvent(UNKNOWN_MESSAGE, "no message that Enroll, Lambda or EventBridge writes", message)


def _failure(context: Mapping[str, Any], response: Any) -> str:
    """What Lambda tells of the last attempt."""
    attempts = f"after {context.get('approximateInvokeCount', 'some')} attempts"
    if not isinstance(response, dict):
        return f"the function did not process it, {attempts}"
    told = [str(response[key]) for key in ("errorType", "errorMessage") if response.get(key)]
    return f"{': '.join(told) or 'the function failed'}, {attempts}"


def _text(found: Any) -> str | None:
    return found if isinstance(found, str) else None
