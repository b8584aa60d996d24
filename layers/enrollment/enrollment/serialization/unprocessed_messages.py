"""Read a message of the unprocessed-events queue. Each source writes another format:

Enroll rejected the event, or no rule matches it   {"reason", "message", "field", "event"}, and "truncated" if shortened
a function failed                                  Lambda's record: {"requestContext", "requestPayload", ...}
EventBridge could not deliver the event            the event; ERROR_CODE and ERROR_MESSAGE are message attributes
a batch of a category's buffer failed              the event, without attributes
a redelivery failed                                {"at", "flowIds", "event"}
decisions on associated records failed             {"associated", "event"}

Any other message is kept, and shown as it is.
"""

import json
from collections.abc import Mapping
from typing import Any

from enrollment.domain.events.unprocessed_event import UnprocessedEvent

REDELIVERY_FAILED = "REDELIVERY_FAILED"
NOT_DELIVERED = "NOT_DELIVERED"
BATCH_FAILED = "BATCH_FAILED"
UNKNOWN_MESSAGE = "UNKNOWN_MESSAGE"


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
            return UnprocessedEvent(
                REDELIVERY_FAILED, f"the deferred decision of flows {flows} failed at every attempt", event
            )
        case {"associated": {"objectTypeId": object_type_id}, "event": event}:
            text = f"the decisions on associated records of type {object_type_id} failed at every attempt"
            return UnprocessedEvent(REDELIVERY_FAILED, text, event)
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
