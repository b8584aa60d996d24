"""Workflows: enrollments, unenrollments and goals in other flows."""

from enrollment.domain.events.event_types import (
    ALL_OBJECTS,
    CONTACTS,
    Category,
    EventType,
    EventTypeId,
    Property,
    PropertyType,
)

_FLOW = (Property("hs_flow_id", "Workflow", PropertyType.ENUMERATION), Property("hs_flow_name", "Workflow name"))

CATEGORY = Category(
    "workflows",
    "Workflows",
    (
        EventType("workflows.goal_achieved", "Goal achieved", CONTACTS, _FLOW, ids=(EventTypeId("4-1753168"),)),
        EventType("workflows.enrolled", "Enrolled in a workflow", ALL_OBJECTS, _FLOW, ids=(EventTypeId("4-1466013"),)),
        EventType(
            "workflows.unenrolled",
            "Unenrolled from a workflow",
            ALL_OBJECTS,
            (*_FLOW, Property("hs_unenrollment_reason", "Unenrollment reason", PropertyType.ENUMERATION)),
            ids=(EventTypeId("4-1466014"),),
        ),
    ),
)
