"""The catalog as JSON: what a flow editor needs to offer only valid triggers and refinements."""

from typing import Any

from enrollment.domain.events.event_types import EventType, Property, Trigger
from enrollment.domain.operators.property_operators import OPERATION_TYPES


def write_event_type(event_type: EventType) -> dict[str, Any]:
    """Return an event type of the catalog.

    ``flowTypes``: the types of the flows that it can trigger. ``writtenIn``: the key of ``enrollmentCriteria`` under
    which a flow names it.
    """
    types = event_type.object_types
    flow_types = [
        *(["CONTACT_FLOW"] if types.allow("0-1") else []),
        *(["PLATFORM_FLOW"] if types.ids is None or types.custom else []),
    ]
    is_list = event_type.trigger is Trigger.LIST_MEMBERSHIP
    return {
        "eventType": event_type.name,
        "category": event_type.category,
        "label": event_type.label,
        "eventTypeIds": [alias.id for alias in event_type.ids],
        "flowTypes": flow_types,
        "objectTypes": types.label,
        "writtenIn": "listMembershipFilterBranches" if is_list else "eventFilterBranches",
        "properties": [_property(known) for known in event_type.properties],
    }


def _property(known: Property) -> dict[str, Any]:
    rows = [OPERATION_TYPES[operation_type] for operation_type in sorted(known.operations)]
    return {
        "name": known.name,
        "label": known.label,
        "type": "ANY" if known.holds_any_type else str(known.type),
        "options": list(known.options),
        "operations": [
            {"operationType": row.name, "operators": sorted(row.on_events), "operands": list(row.keys)} for row in rows
        ],
    }
