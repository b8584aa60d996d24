"""The message of an event that is to be delivered again, in both directions."""

import json
from collections.abc import Iterable
from typing import Any

from enrollment.domain.events.event import Event
from enrollment.domain.json_text import json_text
from enrollment.domain.values import Instant, iso
from enrollment.serialization.envelopes import read_stored_event, write_event
from enrollment.serialization.event_fields import checked_time


def write_redelivery(event: Event, flow_ids: Iterable[str], at: Instant) -> str:
    """Return the JSON of a message that has the event decided again for these flows, at this time."""
    return json_text({"at": iso(at), "flowIds": sorted(flow_ids), "event": write_event(event)})


def read_redelivery(text: str) -> tuple[Event, frozenset[str], Instant]:
    """Return the event, the flow IDs and the time that ``write_redelivery`` wrote."""
    message: dict[str, Any] = json.loads(text)
    event = read_stored_event(message["event"])
    return event, frozenset(message["flowIds"]), checked_time("at", message["at"])[0]
