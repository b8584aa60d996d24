"""Why an event that has passed enrolled its record in a flow, or did not.

It is decided again, by the code that decided it then, from what is kept of the event, of its record, and of the flows
as they were. What was recorded, the enrollments, wins over what is decided again.
"""

from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from enrollment.application.event_processor import EventProcessor
from enrollment.application.ports import FlowRepository
from enrollment.application.simulation import Drafts, Simulation
from enrollment.domain.criteria.criteria import FilterResult, Result
from enrollment.domain.enrollment.decisions import Code, Decision, decide
from enrollment.domain.enrollment.enrollments import ExistingEnrollments, StoredEnrollment, has_other_content
from enrollment.domain.enrollment.explanations import Explanation
from enrollment.domain.events.event import Event, Occurrence, occurrences
from enrollment.domain.events.moments import as_of, last_instant
from enrollment.domain.flows.flow import Flow, FlowRevision, retired
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.record import Record, occurrences_of, with_co_changed_properties
from enrollment.domain.values import CLOCK_SKEW_MS, iso

UNEXPLAINED = (
    "The record meets all conditions now, but no enrollment exists: the event is still being processed, or is in the "
    "unprocessed-events queue, or was decided before this data of its record arrived"
)

CHANGED_NEAR = (
    "another revision may have decided: the clocks of the event and of the flow may differ by up to 5 minutes, and the "
    "flow changed at"
)


class FlowOutcome(Struct, frozen=True):
    """What became of an event in a flow. ``decision`` None: none was taken, and ``because`` says why. ``explanation``
    None: there was no flow to decide. ``revision_id``: in force when the event was sent; None: none was.
    ``enrollment``: that the event made. ``notes``: what the answer can't know, or is to be known beside it."""

    flow_id: str
    flow_name: str
    revision_id: str | None
    current_revision_id: str
    because: str
    decision: Decision | None = None
    explanation: Explanation | None = None
    enrollment: StoredEnrollment | None = None
    notes: tuple[str, ...] = ()


class DecisionExplainer(Struct, frozen=True):
    """``process``: to be simulated."""

    processor: EventProcessor
    flow_repository: FlowRepository
    read_flow: Callable[[FlowRevision], Flow]

    def __call__(self, event: Event, key: RecordKey, only: FlowRevision | None = None) -> Sequence[FlowOutcome]:
        """For every flow that the event may have concerned; or for one, given as it is by now."""
        names = [one.event_type.name for one in occurrences(event, self.processor.event_types)]
        candidates = self.processor.flows.candidates(event.portal_id, event.object_type_id, names)
        flows = {one.id: one for one in candidates}
        if only is not None:
            flows = {only.id: flows.get(only.id, retired(only))}
        found = self.processor.enrollments.find(key, event.id, list(flows)) if flows else {}
        were = [self._as_it_was(one, event, names, found[one.id].own) for one in flows.values()]
        as_it_was = replace(self.processor, flows=Drafts([flow for _, flow in were if flow is not None]))
        simulation = Simulation(as_it_was, sees=_before(event))
        # Events that an earlier version stored have no time of evaluation: they were decided soon after they were sent.
        evaluated = event if event.evaluated_at is not None else event.evaluated(event.sent_at)
        explanations = {one.flow.id: one for one in simulation.explain(evaluated)}
        stored = self.processor.records.get(key)
        record = None if stored is None else with_co_changed_properties(stored, event)
        satisfied = occurrences_of(event, self.processor.event_types, record)
        return [
            self._settled(event, one, explanations.get(one.flow_id), found[one.flow_id], record, satisfied)
            for one, _ in were
        ]

    def _as_it_was(
        self, flow: Flow, event: Event, names: Sequence[str], own: StoredEnrollment | None
    ) -> tuple[FlowOutcome, Flow | None]:
        """By the revision that was in force when the event was sent; None: it decided nothing. The enrollment that the
        event made has its time from the same clock as the flow's changes; the event's own time has not."""
        account = FlowOutcome(
            flow.id, flow.name, None, flow.revision_id, "the flow did not exist when the event was sent"
        )
        sent_by = event.evaluated_at
        if own is not None:
            sent_by = own.enrollment.enrolled_at
        elif sent_by is None:
            sent_by = min(last_instant(event.sent_at, is_to_second=True), self.processor.clock())
            if abs(flow.changed_at - event.sent_at) <= CLOCK_SKEW_MS:
                account = replace(account, notes=(f"{CHANGED_NEAR} {iso(flow.changed_at)}",))
        if flow.is_enabled and flow.changed_at <= sent_by:
            was = flow
        else:
            revision = self.flow_repository.as_of(event.portal_id, flow.id, sent_by)
            if revision is None:
                return account, None
            name, number = str(revision.document.get("name") or ""), str(revision.revision)
            account = replace(account, flow_name=name, revision_id=number)
            if not revision.is_enabled:
                what = "had been deleted" if revision.is_deleted else "was off"
                return replace(account, because=f"the flow {what} when the event was sent"), None
            was = self.read_flow(revision)
        account = replace(account, flow_name=was.name, revision_id=was.revision_id)
        if was.object_type_id != event.object_type_id or not was.event_types.intersection(names):
            what = f"{event.event_type.name} of records of type {event.object_type_id}"
            return replace(account, because=f"the flow has no trigger on {what}"), None
        return account, was

    def _settled(
        self,
        event: Event,
        account: FlowOutcome,
        explanation: Explanation | None,
        found: ExistingEnrollments,
        record: Record | None,
        satisfied: Sequence[Occurrence],
    ) -> FlowOutcome:
        notes = [*account.notes, *self._notes(explanation, record)]
        decision = None if explanation is None else explanation.decision
        because = account.because if decision is None else decision.because
        if account.current_revision_id != account.revision_id and account.revision_id is not None:
            notes.append(f"the flow is at revision {account.current_revision_id} by now")
        own = found.own
        if own is not None and explanation is not None and has_other_content(own.enrollment.cause, event, satisfied):
            cause = own.enrollment.cause
            because = f"an event with the same ID, {cause.event_type} at {iso(cause.occurred_at)}, enrolled the record"
            decision = decide(explanation.flow, Code.DUPLICATE_EVENT, because, own.enrollment.id)
            notes.append(f"event IDs must be unique in a portal: {cause.event_id} was sent with different content")
            found = replace(found, own=None)
        elif found.own is not None:
            if decision is None or decision.code is not Code.ENROLLED:
                notes.append(f"decided again by what is known now, it would not have been enrolled: {because}")
            mine, because = found.own.enrollment, "the record entered the flow"
            decision = Decision(
                Code.ENROLLED,
                mine.flow_id,
                mine.flow_revision_id,
                because,
                enrollment_id=mine.id,
                due_at=found.own.due_at,
            )
        elif decision is not None and decision.code is Code.ENROLLED and explanation is not None:
            decision, because = None, UNEXPLAINED
            if found.first is not None and not explanation.flow.should_re_enroll:
                first = found.first.enrollment
                because = f"enrolled by event {first.cause.event_id} at {iso(first.enrolled_at)}"
                decision = decide(explanation.flow, Code.ALREADY_ENROLLED, because, first.id)
        return replace(
            account,
            because=because,
            decision=decision,
            explanation=explanation,
            enrollment=found.own,
            notes=tuple(notes),
        )

    def _notes(self, explanation: Explanation | None, record: Record | None) -> Iterator[str]:
        """Of values that the record had then and keeps no more."""
        if explanation is None or explanation.as_of is None or record is None:
            return
        asked = {
            one.property: None
            for result in (explanation.suppression, explanation.goal, explanation.criteria)
            for one in _filters(result)
        }
        for name in asked:
            if record.has_lost(name, as_of(explanation.as_of), self.processor.history_length):
                yield f"what {name} was at {iso(explanation.as_of)} is not kept any more"


def _filters(result: Result | None) -> Iterator[FilterResult]:
    if isinstance(result, FilterResult):
        yield result
    elif result is not None:
        for part in result.parts:
            yield from _filters(part)


def _before(event: Event) -> Callable[[StoredEnrollment], bool]:
    """The enrollments that were there before the event was decided: not its own, and none made after it was sent."""

    decided_at = event.sent_at if event.evaluated_at is None else event.evaluated_at

    def is_earlier(stored: StoredEnrollment) -> bool:
        enrollment = stored.enrollment
        return enrollment.cause.event_id != event.id and enrollment.enrolled_at <= decided_at

    return is_earlier
