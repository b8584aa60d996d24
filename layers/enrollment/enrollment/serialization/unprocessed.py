"""Writing of the message of an event that could not be processed (docs/unprocessed.md). The command line reads it."""

import json
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from enrollment.domain.events.event import InvalidEvent
from enrollment.domain.json_text import byte_length, json_text

# SQS counts message attributes. The only one is the reason, with its name and type.
ATTRIBUTE_BYTES = 256
# Characters of the explanation and of the path in the message of a cut event.
MAX_EXPLANATION = 1000
# A cut event keeps the values that identify it, if each has at most this many bytes of JSON.
MAX_KEPT_BYTES = 512
ENVELOPE_KEYS = ("id", "detail-type", "source", "account", "region", "time")
DETAIL_KEYS = ("id", "portalId", "objectType", "objectId", "occurredAt")


def write_unprocessed(envelope: object, invalid: InvalidEvent, *, bus: str, max_bytes: int) -> str:
    """Return a message of at most ``max_bytes``, including its attributes. It lists all faults if there are several.

    An event that is too large is cut. The message then has the first fault, the event's identity, its size, its
    beginning, and its place in the event archive. ``bus``: the name of the bus whose archive has the event.
    """
    try:
        event = json_text(envelope)
        shown_event = envelope
    except RecursionError:
        # As a text, the event does not add to the nesting that the reader's JSON parser has to accept.
        shown_event = event = _written(envelope)
    text = json_text({**_fault(invalid), **_all_faults(invalid), "event": shown_event})
    available = max_bytes - ATTRIBUTE_BYTES
    return text if byte_length(text) <= available else _cut(envelope, event, invalid, bus, available)


def _cut(envelope: object, event: str, invalid: InvalidEvent, bus: str, available: int) -> str:
    kept = _kept(envelope, ENVELOPE_KEYS)
    detail = envelope.get("detail") if isinstance(envelope, dict) else None
    truncated: dict[str, Any] = {
        "bytes": byte_length(event),
        "archive": {"bus": bus, "eventId": kept.get("id"), "time": kept.get("time")},
        "beginning": "",
    }
    message = {
        "reason": invalid.reason,
        "message": invalid.message[:MAX_EXPLANATION],
        "field": None if invalid.field is None else invalid.field[:MAX_EXPLANATION],
        "event": {**kept, "detail": _kept(detail, DETAIL_KEYS)},
        "truncated": truncated,
    }
    free_bytes = available - byte_length(json_text(message))
    # Each character takes at least one byte.
    beginning = event[: max(free_bytes, 0)]
    lengths = range(1, len(beginning) + 1)
    # The two quotation marks are included in the length of the message already.
    fitting = bisect_right(lengths, free_bytes + 2, key=lambda length: byte_length(json_text(beginning[:length])))
    truncated["beginning"] = beginning[:fitting]
    return json_text(message)


def write_safely(value: Any) -> Any:
    """Return the value, or its JSON as a text if it is not valid JSON: it is nested too deeply, or has a number that is
    too large."""
    try:
        json.dumps(value, allow_nan=False)
    except (ValueError, RecursionError):
        return _written(value)
    return value


def _fault(invalid: InvalidEvent) -> dict[str, Any]:
    return {"reason": invalid.reason, "message": invalid.message, "field": invalid.field}


def _all_faults(invalid: InvalidEvent) -> dict[str, Any]:
    return {"faults": [_fault(fault) for fault in invalid.faults]} if invalid.further else {}


def _kept(holder: object, keys: Sequence[str]) -> dict[str, Any]:
    values = {key: holder[key] for key in keys if key in holder} if isinstance(holder, dict) else {}
    return {key: value for key, value in values.items() if _is_short(value)}


def _is_short(value: object) -> bool:
    return not isinstance(value, dict | list) and byte_length(json_text(value)) <= MAX_KEPT_BYTES


def _written(value: object) -> str:
    """Return the JSON of a value without recursion."""
    parts, pending = list[str](), [("", value)]
    while pending:
        prefix, item = pending.pop()
        parts.append(prefix)
        if isinstance(item, dict):
            parts.append("{")
            members = [(f"{json_text(name)}: ", member) for name, member in item.items()]
            pending += [("}", _NOTHING), *reversed(_separated(members))]
        elif isinstance(item, list):
            parts.append("[")
            pending += [("]", _NOTHING), *reversed(_separated([("", member) for member in item]))]
        elif item is not _NOTHING:
            parts.append(json_text(item))
    return "".join(parts)


def _separated(members: Sequence[tuple[str, object]]) -> list[tuple[str, object]]:
    return [(f"{', ' if number else ''}{prefix}", member) for number, (prefix, member) in enumerate(members)]


_NOTHING = object()
