"""The message of an event that could not be processed (docs/unprocessed.md). The command line reads it."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from enrollment.domain.events.event import InvalidEvent
from enrollment.domain.json_text import byte_length, json_text

# SQS counts the message attributes too: the reason, with its name and type.
ATTRIBUTE_BYTES = 256
# Bounds the explanation in the message of a cut event.
MAX_EXPLANATION = 1000
# What is kept of a cut event as it was: values by which it is found and recognized, each up to this many bytes of JSON.
MAX_KEPT_BYTES = 512
ENVELOPE_KEYS = ("id", "detail-type", "source", "account", "region", "time")
DETAIL_KEYS = ("id", "portalId", "objectType", "objectId", "occurredAt")


def write_unprocessed(envelope: object, invalid: InvalidEvent, *, bus: str, max_bytes: int) -> str:
    """A message of at most ``max_bytes`` with its attributes. An event that is too large for it is cut: the message
    then has the event's identity, its size, its beginning, and where the event archive has it whole."""
    try:
        event = json_text(envelope)
        told = envelope
    except RecursionError:
        # A text can be read again whatever nesting the reader's JSON parser accepts.
        told = event = _written(envelope)
    text = json_text({"reason": invalid.reason, "message": invalid.message, "field": invalid.field, "event": told})
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
    room = available - byte_length(json_text(message))
    # No character takes less than a byte.
    beginning = event[: max(room, 0)]
    lengths = range(1, len(beginning) + 1)
    # The two quotes are counted already.
    fitting = bisect_right(lengths, room + 2, key=lambda length: byte_length(json_text(beginning[:length])))
    truncated["beginning"] = beginning[:fitting]
    return json_text(message)


def _kept(holder: object, keys: Sequence[str]) -> dict[str, Any]:
    values = {key: holder[key] for key in keys if key in holder} if isinstance(holder, dict) else {}
    return {key: value for key, value in values.items() if _is_short(value)}


def _is_short(value: object) -> bool:
    return not isinstance(value, dict | list) and byte_length(json_text(value)) <= MAX_KEPT_BYTES


def _written(value: object) -> str:
    """JSON, without recursion."""
    written, rest = list[str](), [("", value)]
    while rest:
        before, one = rest.pop()
        written.append(before)
        if isinstance(one, dict):
            written.append("{")
            members = [(f"{json_text(name)}: ", member) for name, member in one.items()]
            rest += [("}", _NOTHING), *reversed(_separated(members))]
        elif isinstance(one, list):
            written.append("[")
            rest += [("]", _NOTHING), *reversed(_separated([("", member) for member in one]))]
        elif one is not _NOTHING:
            written.append(json_text(one))
    return "".join(written)


def _separated(members: Sequence[tuple[str, object]]) -> list[tuple[str, object]]:
    return [(f"{', ' if number else ''}{before}", member) for number, (before, member) in enumerate(members)]


_NOTHING = object()
