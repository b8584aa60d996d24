"""Sequences of emails: enrollments, results and unenrollments."""

from enrollment.domain.events.event_types import (
    CONTACTS,
    AlsoSatisfies,
    Category,
    EventType,
    EventTypeId,
    IsOneOf,
    Property,
    PropertyType,
)
from enrollment.domain.operators.filters import any_of

_SEQUENCE = (
    Property("hs_sequence_id", "Sequence", PropertyType.ENUMERATION),
    Property("hs_sequence_name", "Sequence name"),
    Property("hs_user_id", "User", PropertyType.ENUMERATION),
)

# All unenrollments satisfy `sequences.unenrolled`. Two kinds also have their own event type. A source may send either.
_BY_WORKFLOW = "sequences.unenrolled_by_workflow"
_MANUALLY = "sequences.unenrolled_manually"


def _unenrolled_by(name: str, label: str, by: str) -> EventType:
    return EventType(
        name,
        label,
        CONTACTS,
        _SEQUENCE,
        rules=(IsOneOf("hs_unenrolled_by", (by,), "unenrolled in another way", or_missing=True),),
        also=(AlsoSatisfies("sequences.unenrolled", adds={"hs_unenrolled_by": by}),),
    )


CATEGORY = Category(
    "sequences",
    "Sequences",
    (
        EventType(
            "sequences.meeting_booked",
            "Meeting booked from a sequence",
            CONTACTS,
            _SEQUENCE,
            ids=(EventTypeId("4-675773"),),
        ),
        EventType("sequences.enrolled", "Enrolled in a sequence", CONTACTS, _SEQUENCE, ids=(EventTypeId("4-675777"),)),
        EventType("sequences.finished", "Finished a sequence", CONTACTS, _SEQUENCE, ids=(EventTypeId("4-675778"),)),
        EventType(
            "sequences.unenrolled",
            "Unenrolled from a sequence",
            CONTACTS,
            (
                *_SEQUENCE,
                Property(
                    "hs_unenrolled_by",
                    "Unenrolled by",
                    PropertyType.ENUMERATION,
                    ("WORKFLOW", "MANUAL", "REPLY", "BOUNCE", "OTHER"),
                ),
                Property("hs_flow_id", "Workflow", PropertyType.ENUMERATION),
            ),
            ids=(EventTypeId("4-675776"),),
            also=(
                AlsoSatisfies(_BY_WORKFLOW, when=any_of("hs_unenrolled_by", "WORKFLOW")),
                AlsoSatisfies(_MANUALLY, when=any_of("hs_unenrolled_by", "MANUAL")),
            ),
        ),
        _unenrolled_by(_BY_WORKFLOW, "Unenrolled from a sequence by a workflow", "WORKFLOW"),
        _unenrolled_by(_MANUALLY, "Unenrolled from a sequence by hand", "MANUAL"),
    ),
)
