"""The order of the decisions of a backfill (docs/enrollments.md, "Enroll existing records").

The record is evaluated as it is now. It does not matter since when it meets the enrollment criteria, so a backfill
never decides MET_BEFORE. It never enrolls a record again, also in a flow that re-enrolls. Apart from that, the steps
are those of an event (``decision_steps``): DUPLICATE_EVENT, UNKNOWN_RECORD, LOOP_STOPPED, NOT_MATCHED,
ALREADY_ENROLLED, SUPPRESSED, GOAL_MET, ENROLLED. A page that is decided again finds its own enrollments as
DUPLICATE_EVENT, and they count as ENROLLED.
"""

from enrollment.domain.enrollment.decision_steps import (
    Step,
    already_enrolled,
    criteria_not_met,
    duplicate_event,
    loop_stopped,
    not_matched,
)
from enrollment.domain.enrollment.manual_steps import no_record

BACKFILL_STEPS: tuple[Step, ...] = (
    duplicate_event,
    no_record,
    loop_stopped,
    not_matched,
    already_enrolled,
    criteria_not_met,
)
