"""Writing of past events in the format of HubSpot's Events API."""

from typing import Any

from enrollment.domain.events.event import Event
from enrollment.domain.identifiers import OBJECT_TYPE_IDS
from enrollment.domain.values import as_text, iso

_NAMES = {number: name.upper() for name, number in OBJECT_TYPE_IDS.items()}


def write_occurrence(event: Event) -> dict[str, Any]:
    """Return one result of HubSpot's ``GET /events/v3/events``. All property values are texts, as HubSpot's are;
    properties without a value are left out. HubSpot does not have ``eventTypeId``, ``source`` and ``sentAt``."""
    return {
        "objectType": _NAMES.get(event.object_type_id, event.object_type_id),
        "objectId": event.object_id,
        "eventType": event.event_type.name,
        "eventTypeId": event.event_type.event_type_id,
        "occurredAt": iso(event.occurred_at),
        "sentAt": iso(event.sent_at),
        "source": event.source,
        "id": event.id,
        "properties": {name: as_text(value) for name, value in event.properties.items() if value is not None},
    }
