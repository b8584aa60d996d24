"""The message of an event that is to be delivered again, both ways."""

import json
from collections.abc import Iterable
from typing import Any

from enrollment.domain.events import Event
from enrollment.domain.values import Instant, iso
from enrollment.wire.envelopes import checked_time, read_stored_event, write_event

# The characters of an event that no queue takes as they are.
_ESCAPES = {0xFFFE: "\\ufffe", 0xFFFF: "\\uffff"}


def write_redelivery(event: Event, flow_ids: Iterable[str], at: Instant) -> str:
    """For some flows, at a time. Not as ASCII, in which an escape is up to six times the bytes of its character: so the
    largest event fits into a message."""
    message = {"at": iso(at), "flowIds": sorted(flow_ids), "event": write_event(event)}
    return json.dumps(message, ensure_ascii=False).translate(_ESCAPES)


def read_redelivery(text: str) -> tuple[Event, frozenset[str], Instant]:
    """What write_redelivery wrote."""
    message: dict[str, Any] = json.loads(text)
    event = read_stored_event(message["event"])
    return event, frozenset(message["flowIds"]), checked_time("at", message["at"])[0]
