"""Lists: changes of memberships."""

from enrollment.domain.events.event_types import (
    LISTED_OBJECTS,
    Category,
    EventType,
    Property,
    PropertyType,
    RecordEffect,
    Trigger,
)

CATEGORY = Category(
    "lists",
    "Lists",
    (
        EventType(
            "lists.membership_changed",
            "List membership changed",
            LISTED_OBJECTS,
            (
                Property("hs_list_id", "List", PropertyType.ENUMERATION),
                Property("hs_membership_change", "Change", PropertyType.ENUMERATION, ("ADDED", "REMOVED")),
            ),
            trigger=Trigger.LIST_MEMBERSHIP,
            required=("hs_list_id", "hs_membership_change"),
            effect=RecordEffect.CHANGES_MEMBERSHIP,
        ),
    ),
)
