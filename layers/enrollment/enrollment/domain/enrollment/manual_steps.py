"""The order of the decisions on a manual enrollment (docs/enrollments.md, "Manual enrollment").

The record need not satisfy a trigger or the refinement criteria. Apart from that, the steps are those of an event
(``decision_steps``): DUPLICATE_EVENT, UNKNOWN_RECORD, LOOP_STOPPED, ALREADY_ENROLLED, SUPPRESSED, GOAL_MET, ENROLLED.
"""

from enrollment.domain.enrollment.decision_steps import (
    FlowContext,
    Step,
    already_enrolled,
    criteria_not_met,
    duplicate_event,
    loop_stopped,
)
from enrollment.domain.enrollment.decisions import Code, Decision, decide


def no_record(context: FlowContext) -> Decision | None:
    """UNKNOWN_RECORD unless the record exists now."""
    event, record = context.facts.event, context.facts.record
    if record is not None and record.exists:
        return None
    was_deleted = record is not None and record.is_deleted
    reason = "the record was deleted" if was_deleted else f"no record {event.object_type_id}/{event.object_id} exists"
    return decide(context.flow, Code.UNKNOWN_RECORD, reason)


MANUAL_STEPS: tuple[Step, ...] = (duplicate_event, no_record, loop_stopped, already_enrolled, criteria_not_met)
