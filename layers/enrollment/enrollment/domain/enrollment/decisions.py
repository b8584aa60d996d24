"""Decisions, their codes, and the rules that they are made of. Their order is in ``decision_steps``."""

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

MAX_CHAIN = 10


class Code(StrEnum):
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


class GroupFailure(Struct, frozen=True):
    group_index: int
    failure: Failure


class Decision(Struct, frozen=True):
    """``because`` is a sentence. ``groups``: for NOT_MATCHED, each group of this event with the first refinement that
    failed. ``filter``: for FILTERED_OUT and WAITING, the failing filter. ``enrollment_id``: of the enrollment that
    exists. ``due_at``: for WAITING, of the final decision; for ENROLLED, of the publication that the flow's limit
    delays."""

    code: Code
    flow_id: str
    flow_revision_id: str
    because: str
    groups: tuple[GroupFailure, ...] = ()
    filter: Failure | None = None
    enrollment_id: str | None = None
    due_at: Instant | None = None


class Match(Struct, frozen=True):
    """The first trigger group that the event satisfies, and as what."""

    group: TriggerGroup
    occurrence: Occurrence


def decide(flow: Flow, code: Code, because: str, enrollment_id: str | None = None) -> Decision:
    return Decision(code, flow.id, flow.revision_id, because, enrollment_id=enrollment_id)


def code_of_unsatisfied(
    event_types: Collection[str],
    event: Event,
    occurrences: Sequence[Occurrence],
    record: Record | None,
    record_tolerance: int = 0,
) -> Code:
    """The code of all flows that these event types trigger and that the event does not match. Such a flow is not in the
    event's chain, and was on when the event occurred. ``record_tolerance``: as in ``unknown_record_reason``."""
    if record is None or unknown_record_reason(event, record, record_tolerance) is not None:
        return Code.UNKNOWN_RECORD
    if all(one.event_type.name not in event_types or rejection_reason(one, event, record) for one in occurrences):
        return Code.NOT_ELIGIBLE
    return Code.LOOP_STOPPED if len(event.chain) > MAX_CHAIN else Code.NOT_MATCHED


def unknown_record_reason(event: Event, record: Record | None, record_tolerance: int) -> str | None:
    """Why the event has no record. None: the record is known. ``record_tolerance``: milliseconds by which the record
    may be created after an event that can create it."""
    if event.object_id is None:
        return "the event names no record: an unknown visitor"
    if record is not None and (record.is_deleted or _is_before_deletion(event, record)):
        return "the record was deleted"
    if record is None or not record.exists:
        return f"no record {event.object_type_id}/{event.object_id} exists"
    latest = event.latest + (record_tolerance if event.event_type.may_create_record else 0)
    return None if record.existed_at(latest) else "the record was created after the event occurred"


def may_become_known(event: Event, record: Record | None) -> bool:
    """Whether a creation of the record that has not arrived yet can make it known to the event."""
    if event.object_id is None or (record is not None and record.exists and record.existed_at(event.latest)):
        return False
    return record is None or not _is_before_deletion(event, record)


def _is_before_deletion(event: Event, record: Record) -> bool:
    """Whether the event is about what the record was before its last deletion."""
    if record.deleted_at is None:
        return False
    evaluated_at = event.occurred_at if event.evaluated_at is None else event.evaluated_at
    return event.latest <= record.deleted_at or max(event.occurred_at, evaluated_at) <= record.deleted_at


def match(flow: Flow, occurrences: Sequence[Occurrence]) -> Match | Decision:
    """OR of the groups, AND of each group's refinements."""
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
    """The first of the three criteria that rejects the record. None: the record may enter."""
    for step in CRITERIA_STEPS:
        decision = step(flow, snapshot)
        if decision is not None:
            return decision
    return None


def suppressed(flow: Flow, snapshot: RecordSnapshot) -> Decision | None:
    if flow.suppression is None or not flow.suppression.holds(snapshot):
        return None
    return decide(flow, Code.SUPPRESSED, f"the record is suppressed: {_held(flow.suppression.result(snapshot))}")


def goal_met(flow: Flow, snapshot: RecordSnapshot) -> Decision | None:
    if flow.goal is None or not flow.goal.holds(snapshot):
        return None
    return decide(flow, Code.GOAL_MET, f"the record meets the goal: {_held(flow.goal.result(snapshot))}")


def filtered_out(flow: Flow, snapshot: RecordSnapshot) -> Decision | None:
    if flow.criteria is None or flow.criteria.holds(snapshot):
        return None
    failure = first_failure(flow.criteria.result(snapshot))
    assert failure is not None
    because = f"the record does not meet the refinement criteria on {failure.property}"
    if failure.because is not None:
        because = f"{because}: {failure.because}"
    return Decision(Code.FILTERED_OUT, flow.id, flow.revision_id, because, filter=failure)


CRITERIA_STEPS = (suppressed, goal_met, filtered_out)


def waiting(verdict: Decision, until: Instant) -> Decision:
    """Instead of a rejection that a later change of the record can lift."""
    because = f"{verdict.because}; decided again when the record changes, and finally at {iso(until)}"
    return replace(verdict, code=Code.WAITING, because=because, due_at=until)


def missed(verdict: Decision, tolerance: int) -> Decision:
    """What still stands against the record when the time is over that the flow tolerates (milliseconds)."""
    return replace(verdict, because=f"{verdict.because}; nor after any change within {tolerance / MINUTE:g} minutes")


def _held(result: Result) -> str:
    """The first filters that hold, in words."""
    if isinstance(result, FilterResult):
        operator = result.operation.get("operator", result.operation.get("filterBranchType", ""))
        return f"{result.property} {operator}".strip()
    held = [_held(part) for part in result.parts if part.holds]
    return " and ".join(held) if result.kind == "AND" else held[0]


def rejection_reason(occurrence: Occurrence, event: Event, record: Record) -> str | None:
    """What the event's own rule has against it; None: it is eligible."""
    for rule in occurrence.event_type.rules:
        text = rule.rejection_reason(occurrence.properties)
        if text is not None:
            return text
    if occurrence.event_type is not event.event_type:
        return None
    unchanged = membership_rejection_reason(event, record)
    if unchanged is not None:
        return unchanged
    key = first_of(event)
    if key is not None and record.firsts.get(key, event.id) != event.id:
        return f"not the first: {event.event_type.first_of} was seen before in event {record.firsts[key]}"
    return None
