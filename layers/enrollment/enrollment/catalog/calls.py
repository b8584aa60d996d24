"""Calls. Only calls that were placed through HubSpot or a connected calling app are eligible."""

from enrollment.domain.events.event_types import (
    CONTACTS,
    Category,
    EventType,
    EventTypeId,
    IsNotTrue,
    Property,
    PropertyType,
)

_CALL = (
    Property("hs_call_source", "Call source", PropertyType.ENUMERATION),
    Property("hs_call_direction", "Call direction", PropertyType.ENUMERATION, ("INBOUND", "OUTBOUND")),
    Property("hs_call_disposition", "Call outcome", PropertyType.ENUMERATION),
    Property("hs_call_status", "Call status", PropertyType.ENUMERATION),
    Property("hs_call_duration", "Call duration (ms)", PropertyType.NUMBER),
    Property("hs_call_from_number", "From number"),
    Property("hs_call_to_number", "To number"),
    Property("hs_call_title", "Call title"),
    Property("hs_activity_type", "Call and meeting type", PropertyType.ENUMERATION),
    Property("hs_logged_manually", "Logged by hand", PropertyType.BOOL),
)

_PLACED = (IsNotTrue("hs_logged_manually", "a call that was logged by hand never triggers"),)

CATEGORY = Category(
    "calls",
    "Calls",
    (
        EventType("calls.ended", "Call ended", CONTACTS, _CALL, ids=(EventTypeId("4-1741072"),), rules=_PLACED),
        EventType("calls.started", "Call started", CONTACTS, _CALL, ids=(EventTypeId("4-1733817"),), rules=_PLACED),
    ),
)
