"""The messages of the redeliveries queue, in both directions: an event that is to be delivered again, and a change that
concerns associated records."""

import json
from collections.abc import Iterable
from typing import Any

from enrollment.domain.events.associated_change import AssociatedChange, ChangedParts
from enrollment.domain.events.event import Event
from enrollment.domain.json_text import json_text
from enrollment.domain.values import Instant, iso
from enrollment.serialization.envelopes import read_stored_event, write_event
from enrollment.serialization.event_fields import checked_time

Redelivery = tuple[Event, frozenset[str], Instant, str]
"""An event, the IDs of its flows, the time of the redelivery, and the name of the change whose enrollments are to be
published. An empty name stands for the event's own enrollments."""


def write_redelivery(event: Event, flow_ids: Iterable[str], at: Instant, change: str = "") -> str:
    """Return the JSON of a message that has the event decided again for these flows, at this time. ``change``: see
    Redelivery."""
    message = {"at": iso(at), "flowIds": sorted(flow_ids), **({"change": change} if change else {})}
    return json_text({**message, "event": write_event(event)})


def write_associated_change(change: AssociatedChange) -> str:
    """Return the JSON of a message that has associated records decided."""
    associated = {
        "objectTypeId": change.object_type_id,
        "changedProperties": sorted(change.parts.properties),
        "changedLists": sorted(change.parts.lists),
        **({} if change.object_ids is None else {"objectIds": list(change.object_ids)}),
        **({"after": change.after} if change.after else {}),
        **({} if change.flow_ids is None else {"flowIds": sorted(change.flow_ids)}),
        **({"isReplay": True} if change.is_replay else {}),
        **({"messagesBefore": change.messages_before} if change.messages_before else {}),
    }
    return json_text({"associated": associated, "event": write_event(change.event)})


def read_redelivery(text: str) -> Redelivery | AssociatedChange:
    """Return what ``write_redelivery`` or ``write_associated_change`` wrote."""
    message: dict[str, Any] = json.loads(text)
    event = read_stored_event(message["event"])
    if "associated" in message:
        return _associated_change(event, message["associated"])
    at, _ = checked_time("at", message["at"])
    return event, frozenset(message["flowIds"]), at, message.get("change", "")


def _associated_change(event: Event, associated: dict[str, Any]) -> AssociatedChange:
    object_ids, flow_ids = associated.get("objectIds"), associated.get("flowIds")
    return AssociatedChange(
        event,
        ChangedParts(frozenset(associated["changedProperties"]), frozenset(associated["changedLists"])),
        associated["objectTypeId"],
        object_ids=None if object_ids is None else tuple(object_ids),
        after=associated.get("after", ""),
        flow_ids=None if flow_ids is None else frozenset(flow_ids),
        is_replay=associated.get("isReplay", False),
        messages_before=associated.get("messagesBefore", 0),
    )
