"""Decisions, their codes, and the rules that produce them. ``decision_steps`` has the order of the rules."""

from collections.abc import Collection, Sequence
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from enrollment.domain.criteria.criteria import FilterResult, Result, first_failure
from enrollment.domain.enrollment.late_data_tolerance import MINUTE
from enrollment.domain.events.event import Event, Occurrence
from enrollment.domain.flows.flow import Flow, TriggerGroup
from enrollment.domain.operators.filters import Failure
from enrollment.domain.records.record import Record, first_of, membership_rejection_reason
from enrollment.domain.records.record_snapshot import RecordSnapshot
from enrollment.domain.values import Instant, iso

# Flows that may lead to an event by enrolling one after the other. A longer chain is stopped as a loop.
MAX_CHAIN = 10


CREATED_LATER = "the record was created after the event occurred"
"""The reason of UNKNOWN_RECORD for an event that occurred before the creation of its record."""


class Code(StrEnum):
    """The stable codes of decisions (docs/enrollments.md). They are logged, counted and returned by the API."""

    ENROLLED = "ENROLLED"
    DUPLICATE_EVENT = "DUPLICATE_EVENT"
    ALREADY_ENROLLED = "ALREADY_ENROLLED"
    NOT_MATCHED = "NOT_MATCHED"
    FILTERED_OUT = "FILTERED_OUT"
    UNKNOWN_RECORD = "UNKNOWN_RECORD"
    NOT_ELIGIBLE = "NOT_ELIGIBLE"
    BEFORE_ACTIVATION = "BEFORE_ACTIVATION"
    SUPPRESSED = "SUPPRESSED"
    GOAL_MET = "GOAL_MET"
    LOOP_STOPPED = "LOOP_STOPPED"
    WAITING = "WAITING"
    MET_BEFORE = "MET_BEFORE"


class GroupFailure(Struct, frozen=True):
    """The first refinement of a trigger group that does not hold."""

    group_index: int
    failure: Failure


class Decision(Struct, frozen=True):
    """The decision on one event for one flow.

    ``because``: the reason, for people. ``groups``: for NOT_MATCHED, the first failing refinement of each trigger group
    of this event type. ``filter``: the failing filter, for FILTERED_OUT, WAITING, and NOT_MATCHED of a filter-based
    flow. ``enrollment_id``: the ID of the
    existing enrollment, if any. ``due_at``: for WAITING, when the final decision is due; for ENROLLED, when the message
    is published if the flow's rate limit delays it.
    """

    code: Code
    flow_id: str
    flow_revision_id: str
    because: str
    groups: tuple[GroupFailure, ...] = ()
    filter: Failure | None = None
    enrollment_id: str | None = None
    due_at: Instant | None = None


class Match(Struct, frozen=True):
    """The first trigger group that the event satisfies, and the catalog row by which it does."""

    group: TriggerGroup
    occurrence: Occurrence


def decide(flow: Flow, code: Code, reason: str, enrollment_id: str | None = None) -> Decision:
    """Return a decision for the current revision of a flow, without failing groups or filters."""
    return Decision(code, flow.id, flow.revision_id, reason, enrollment_id=enrollment_id)


def code_of_unsatisfied(
    event_types: Collection[str],
    event: Event,
    occurrences: Sequence[Occurrence],
    record: Record | None,
    record_tolerance: int = 0,
) -> Code:
    """Return the code of all flows that these event types trigger and whose trigger groups the event does not satisfy.

    Such flows are counted without a decision each. They must not be in the event's chain, and must have been on when
    the event occurred. ``record_tolerance``: as in ``unknown_record_reason``.
    """
    if record is None or unknown_record_reason(event, record, record_tolerance) is not None:
        return Code.UNKNOWN_RECORD
    if all(
        occurrence.event_type.name not in event_types or rejection_reason(occurrence, event, record)
        for occurrence in occurrences
    ):
        return Code.NOT_ELIGIBLE
    return Code.LOOP_STOPPED if len(event.chain) > MAX_CHAIN else Code.NOT_MATCHED


def unknown_record_reason(event: Event, record: Record | None, record_tolerance: int) -> str | None:
    """Return why the event has no record. None: the record is known. ``record_tolerance``: milliseconds by which the
    record may be created after an event with ``may_create_record``."""
    if event.object_id is None:
        return "the event names no record: an unknown visitor"
    if record is not None and (record.is_deleted or _is_before_deletion(event, record)):
        return "the record was deleted"
    if record is None or not record.exists:
        return f"no record {event.object_type_id}/{event.object_id} exists"
    latest = event.latest + (record_tolerance if event.event_type.may_create_record else 0)
    return None if record.existed_at(latest) else CREATED_LATER


def may_become_known(event: Event, record: Record | None) -> bool:
    """Whether the event can have a record later, because the creation of the record has not arrived yet."""
    if event.object_id is None or (record is not None and record.exists and record.existed_at(event.latest)):
        return False
    return record is None or not _is_before_deletion(event, record)


def _is_before_deletion(event: Event, record: Record) -> bool:
    """Whether the event occurred before the last deletion of the record, or arrived before it."""
    if record.deleted_at is None:
        return False
    evaluated_at = event.occurred_at if event.evaluated_at is None else event.evaluated_at
    return event.latest <= record.deleted_at or max(event.occurred_at, evaluated_at) <= record.deleted_at


def match(flow: Flow, occurrences: Sequence[Occurrence]) -> Match | Decision:
    """Return the first trigger group that the event satisfies, or a decision NOT_MATCHED. A group requires all of its
    refinements."""
    failures: list[GroupFailure] = []
    for group in flow.groups:
        for occurrence in occurrences:
            if occurrence.event_type.name not in group.event_types:
                continue
            failure = group.failure(occurrence.properties)
            if failure is None:
                return Match(group, occurrence)
            failures.append(GroupFailure(group.index, failure))
    return Decision(Code.NOT_MATCHED, flow.id, flow.revision_id, "no trigger group matched", groups=tuple(failures))


def criteria_decision(flow: Flow, snapshot: RecordSnapshot) -> Decision | None:
    """Return the decision of the first of CRITERIA_STEPS that rejects the record. None: the record may enter."""
    for step in CRITERIA_STEPS:
        decision = step(flow, snapshot)
        if decision is not None:
            return decision
    return None


def suppressed(flow: Flow, snapshot: RecordSnapshot) -> Decision | None:
    """Return SUPPRESSED if the record is in a suppression list or meets the suppression filter."""
    if flow.suppression is None or not flow.suppression.holds(snapshot):
        return None
    reason = f"the record is suppressed: {_satisfied_filters(flow.suppression.result(snapshot))}"
    return decide(flow, Code.SUPPRESSED, reason)


def goal_met(flow: Flow, snapshot: RecordSnapshot) -> Decision | None:
    """Return GOAL_MET if the record meets the flow's goal already."""
    if flow.goal is None or not flow.goal.holds(snapshot):
        return None
    return decide(flow, Code.GOAL_MET, f"the record meets the goal: {_satisfied_filters(flow.goal.result(snapshot))}")


def filtered_out(flow: Flow, snapshot: RecordSnapshot) -> Decision | None:
    """Return FILTERED_OUT with the first failing filter if the record does not meet the refinement criteria."""
    if flow.criteria is None or flow.criteria.holds(snapshot):
        return None
    failure = first_failure(flow.criteria.result(snapshot))
    assert failure is not None
    reason = f"the record does not meet the refinement criteria on {failure.property}"
    if failure.because is not None:
        reason = f"{reason}: {failure.because}"
    return Decision(Code.FILTERED_OUT, flow.id, flow.revision_id, reason, filter=failure)


CRITERIA_STEPS = (suppressed, goal_met, filtered_out)


def waiting(decision: Decision, until: Instant) -> Decision:
    """Return WAITING in place of a rejection that a later change of the record can lift."""
    reason = f"{decision.because}; decided again when the record changes, and finally at {iso(until)}"
    return replace(decision, code=Code.WAITING, because=reason, due_at=until)


def missed(decision: Decision, tolerance: int) -> Decision:
    """Return the final rejection after the flow's tolerance (milliseconds), with that added to its reason."""
    return replace(decision, because=f"{decision.because}; nor after any change within {tolerance / MINUTE:g} minutes")


def _satisfied_filters(result: Result) -> str:
    """Return the property and the operator of the filters by which the criteria hold."""
    if isinstance(result, FilterResult):
        operator = result.operation.get("operator", result.operation.get("filterBranchType", ""))
        return f"{result.property} {operator}".strip()
    if result.kind.startswith("NOT_"):
        return f"its {result.kind} branch"
    satisfied = [_satisfied_filters(part) for part in result.parts if part.holds]
    return " and ".join(satisfied) if result.kind == "AND" else satisfied[0]


def rejection_reason(occurrence: Occurrence, event: Event, record: Record) -> str | None:
    """Return why the event's own rule rejects an occurrence. None: it is eligible.

    Whether it changed a membership, and whether it was the first of its kind, is checked for the event's own row only.
    """
    for rule in occurrence.event_type.rules:
        reason = rule.rejection_reason(occurrence.properties)
        if reason is not None:
            return reason
    if occurrence.event_type is not event.event_type:
        return None
    unchanged = membership_rejection_reason(event, record)
    if unchanged is not None:
        return unchanged
    key = first_of(event)
    if key is not None and record.firsts.get(key, event.id) != event.id:
        return f"not the first: {event.event_type.first_of} was seen before in event {record.firsts[key]}"
    return None
