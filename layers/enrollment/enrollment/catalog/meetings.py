"""Meetings. Only bookings through the meetings tool are eligible."""

from enrollment.domain.events.event_types import (
    CONTACTS,
    Category,
    EventType,
    EventTypeId,
    IsOneOf,
    Property,
    PropertyType,
)

_MEETING = (
    Property("hs_meeting_id", "Meeting", PropertyType.ENUMERATION),
    Property("hs_meeting_title", "Meeting title"),
    Property("hs_activity_type", "Call and meeting type", PropertyType.ENUMERATION),
    Property(
        "hs_meeting_outcome",
        "Meeting outcome",
        PropertyType.ENUMERATION,
        ("SCHEDULED", "COMPLETED", "RESCHEDULED", "NO_SHOW", "CANCELED"),
    ),
    Property("hs_meeting_location", "Meeting location"),
    Property("hs_meeting_start_time", "Meeting start time", PropertyType.DATETIME),
    Property(
        "hs_meeting_source", "Booked through", PropertyType.ENUMERATION, ("MEETINGS_TOOL", "INTEGRATION", "MANUAL")
    ),
)

CATEGORY = Category(
    "meetings",
    "Meetings",
    (
        EventType(
            "meetings.booked",
            "Meeting booked",
            CONTACTS,
            _MEETING,
            ids=(EventTypeId("4-1720599"),),
            rules=(
                IsOneOf(
                    "hs_meeting_source",
                    ("MEETINGS_TOOL",),
                    "a meeting that was not booked through the meetings tool never triggers",
                ),
            ),
            may_create_record=True,
        ),
        EventType(
            "meetings.outcome_changed",
            "Meeting outcome changed",
            CONTACTS,
            _MEETING,
            ids=(EventTypeId("4-1724222"),),
        ),
    ),
)
