"""CRM: creations of records, and changes of their properties and associations."""

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

# As in ``domain.records.associations``, which the catalog does not import.
CATEGORIES = ("HUBSPOT_DEFINED", "USER_DEFINED", "INTEGRATOR_DEFINED")

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
        EventType(
            "crm.association_changed",
            "Association changed",
            ALL_OBJECTS,
            (
                Property("hs_association_change", "Change", PropertyType.ENUMERATION, ("ADDED", "REMOVED")),
                Property("hs_association_category", "Category", PropertyType.ENUMERATION, CATEGORIES),
                Property("hs_association_type_id", "Association type", PropertyType.ENUMERATION),
                Property("hs_to_object_type_id", "Object type of the other record", PropertyType.ENUMERATION),
                Property("hs_to_object_id", "Other record", PropertyType.ENUMERATION),
            ),
            required=("hs_association_change", "hs_to_object_type_id", "hs_to_object_id"),
            effect=RecordEffect.CHANGES_ASSOCIATION,
        ),
    ),
)
