"""CRM: creations of records and changes of their properties."""

from enrollment.domain.events.event_types import (
    ALL_OBJECTS,
    Category,
    Differs,
    EventType,
    EventTypeId,
    Property,
    PropertyType,
    RecordEffect,
)

CATEGORY = Category(
    "crm",
    "CRM",
    (
        # The event has no properties. Flows filter the record in their refinement criteria.
        EventType(
            "crm.object_created",
            "Record created",
            ALL_OBJECTS,
            (),
            ids=(EventTypeId("4-1463224"),),
            effect=RecordEffect.CREATES,
        ),
        EventType(
            "crm.property_changed",
            "Property value changed",
            ALL_OBJECTS,
            (
                Property("hs_name", "Property name", PropertyType.ENUMERATION),
                Property("hs_value", "New value", holds_any_type=True),
                Property("hs_previous_value", "Previous value", holds_any_type=True),
            ),
            ids=(EventTypeId("4-655002"),),
            required=("hs_name",),
            rules=(Differs("hs_previous_value", "hs_value", "the value did not change"),),
            effect=RecordEffect.CHANGES_PROPERTY,
        ),
    ),
)
