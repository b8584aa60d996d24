"""Explain why a past event enrolled its record in a flow, or did not.

The event is decided again by the production code, from what is stored of the event, of its record and of the flow's
revisions. Where the result differs from a stored enrollment, the stored enrollment counts.
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
from enrollment.domain.enrollment.entry import cause_name
from enrollment.domain.enrollment.explanations import Explanation
from enrollment.domain.events.event import Event, Occurrence, occurrences, satisfying
from enrollment.domain.events.moments import as_of, last_instant
from enrollment.domain.events.own_types import ASSOCIATED_RECORD_EVENT
from enrollment.domain.flows.flow import Flow, FlowRevision, retired
from enrollment.domain.flows.record_change import RECORD_CHANGED
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.record import Record, occurrences_of, with_co_changed_properties
from enrollment.domain.values import CLOCK_SKEW_MS, iso

UNEXPLAINED = (
    "The record meets all conditions now, but no enrollment exists: the event is still being processed, or is in the "
    "unprocessed-events queue, or was decided before this data of its record arrived"
)

INCOMPLETE = (
    "The record meets all conditions by the data that is stored, and no enrollment exists. The decision is not known, "
    "because data that decided it is no longer stored"
)

CHANGED_NEAR = (
    "another revision may have decided: the clocks of the event and of the flow may differ by up to 5 minutes, and the "
    "flow changed at"
)


class FlowOutcome(Struct, frozen=True):
    """The result of an event in a flow.

    ``decision`` None: the flow made none, and ``because`` is the reason. ``explanation`` None: there was no flow to
    decide. ``revision_id``: the revision that was in force when the event was sent; None: there was none.
    ``enrollment``: the enrollment by the event. ``notes``: sentences about what is uncertain, or has changed since.
    ``is_complete``: False if data that the explanation needs is no longer stored; a note says which.
    """

    flow_id: str
    flow_name: str
    revision_id: str | None
    current_revision_id: str
    because: str
    decision: Decision | None = None
    explanation: Explanation | None = None
    enrollment: StoredEnrollment | None = None
    notes: tuple[str, ...] = ()
    is_complete: bool = True

    @property
    def is_unexplained(self) -> bool:
        """Whether the flow should have enrolled the record by what is known now, and no enrollment exists."""
        return self.decision is None and self.because in (UNEXPLAINED, INCOMPLETE)


class DecisionExplainer(Struct, frozen=True):
    """Explains events of the history. ``processor``: it is only simulated. ``read_flow``: reads a stored revision."""

    processor: EventProcessor
    flow_repository: FlowRepository
    read_flow: Callable[[FlowRevision], Flow]

    def event_types_of(self, flow: FlowRevision) -> frozenset[str] | None:
        """Return the names of the event types that can trigger a flow. RECORD_CHANGED is among them if snapshots of the
        record can. None if its triggers cannot be read: the flow is deleted, or this version refuses it."""
        if flow.is_deleted:
            return None
        try:
            triggers = self.read_flow(flow).event_types
        except ValueError:  # InvalidFlow, which the application layer does not know
            return None
        of_changes = triggers & {ASSOCIATED_RECORD_EVENT, RECORD_CHANGED}
        return satisfying(triggers, self.processor.event_types) | of_changes

    def history_types_of(self, flow: FlowRevision) -> frozenset[str]:
        """Return the names of the event types that can trigger a flow, as the index of the history has them. Empty if
        its triggers cannot be read."""
        return (self.event_types_of(flow) or frozenset()) - {RECORD_CHANGED}

    def object_type_of(self, flow: FlowRevision) -> str | None:
        """Return the object type of the records that the flow enrolls. None: the flow is deleted, or this version
        refuses it."""
        if flow.is_deleted:
            return None
        try:
            return self.read_flow(flow).object_type_id
        except ValueError:  # InvalidFlow
            return None

    def explain(self, event: Event, key: RecordKey, only: FlowRevision | None = None) -> Sequence[FlowOutcome]:
        """Return the outcome of an event for every flow that it may have concerned. ``key``: its record. ``only``: the
        current revision of the single flow to explain, which may be a deletion."""
        event_types = [occurrence.event_type.name for occurrence in occurrences(event, self.processor.event_types)]
        if event.record_properties is not None:
            event_types.append(RECORD_CHANGED)
        candidates = self.processor.flows.candidates(event.portal_id, event.object_type_id, event_types)
        flows = {flow.id: flow for flow in candidates}
        if only is not None:
            flows = {only.id: flows.get(only.id, retired(only))}
        changes = {flow.id: cause_name(event.occurred_at) for flow in flows.values() if flow.entry is not None}
        existing = self.processor.enrollments.find(key, event.cause_key, list(flows), changes) if flows else {}
        in_force = [
            self._find_flow_in_force(flow, event, event_types, existing[flow.id].for_event) for flow in flows.values()
        ]
        drafts = Drafts([flow for _, flow in in_force if flow is not None])
        evaluator = replace(self.processor.evaluator, sees_later_arrivals=False)
        processor = replace(self.processor, flows=drafts, evaluator=evaluator)
        simulation = Simulation(processor, sees=_existed_before(event))
        # Events that an earlier version stored have no time of evaluation: they were decided soon after they were sent.
        evaluated = event if event.evaluated_at is not None else event.evaluated(event.sent_at)
        explanations = {explanation.flow.id: explanation for explanation in simulation.explain(evaluated)}
        stored = self.processor.records.get(key)
        record = None if stored is None else with_co_changed_properties(stored, event)
        satisfied = occurrences_of(event, self.processor.event_types, record)
        return [
            self._complete(
                outcome, event, explanations.get(outcome.flow_id), existing[outcome.flow_id], record, satisfied
            )
            for outcome, flow in in_force
            if flow is None or only is not None or _is_concerned(flow, event_types, outcome.flow_id in explanations)
        ]

    def _find_flow_in_force(
        self, flow: Flow, event: Event, event_types: Sequence[str], own: StoredEnrollment | None
    ) -> tuple[FlowOutcome, Flow | None]:
        """Return the outcome so far, and the flow as it was when the event was sent (None: it decided nothing).
        ``own``: the enrollment by the event."""
        outcome = FlowOutcome(
            flow.id, flow.name, None, flow.revision_id, "the flow did not exist when the event was sent"
        )
        sent_by = event.evaluated_at
        if own is not None:
            # The clock of an enrollment is the clock of the flow's changes. The clock of the event can be another.
            sent_by = own.enrollment.enrolled_at
        elif sent_by is None:
            sent_by = min(last_instant(event.sent_at, is_to_second=True), self.processor.clock())
            if abs(flow.changed_at - event.sent_at) <= CLOCK_SKEW_MS:
                outcome = replace(outcome, notes=(f"{CHANGED_NEAR} {iso(flow.changed_at)}",))
        if flow.is_enabled and flow.changed_at <= sent_by:
            in_force = flow
        else:
            revision = self.flow_repository.as_of(event.portal_id, flow.id, sent_by)
            if revision is None:
                return outcome, None
            name, number = str(revision.document.get("name") or ""), str(revision.revision)
            outcome = replace(outcome, flow_name=name, revision_id=number)
            if not revision.is_enabled:
                state = "had been deleted" if revision.is_deleted else "was off"
                return replace(outcome, because=f"the flow {state} when the event was sent"), None
            in_force = self.read_flow(revision)
        if in_force.entry is not None:
            outcome = replace(outcome, because="the event changed nothing that the enrollment criteria mention")
        outcome = replace(outcome, flow_name=in_force.name, revision_id=in_force.revision_id)
        if in_force.object_type_id != event.object_type_id or not in_force.event_types.intersection(event_types):
            trigger = f"{event.event_type.name} of records of type {event.object_type_id}"
            return replace(outcome, because=f"the flow has no trigger on {trigger}"), None
        return outcome, in_force

    def _complete(
        self,
        outcome: FlowOutcome,
        event: Event,
        explanation: Explanation | None,
        existing: ExistingEnrollments,
        record: Record | None,
        satisfied: Sequence[Occurrence],
    ) -> FlowOutcome:
        """Add the simulated decision, and reconcile it with the stored enrollments. ``satisfied``: the catalog rows
        that the event satisfies."""
        decision = None if explanation is None else explanation.decision
        lost = tuple(dict.fromkeys(self._lost_data(explanation, record)))
        outcome = replace(
            outcome,
            because=outcome.because if decision is None else decision.because,
            decision=decision,
            explanation=explanation,
            notes=(*outcome.notes, *lost, *_notes_on_revision(outcome)),
            is_complete=not lost,
        )
        own = existing.for_event
        is_own = own is not None and own.enrollment.cause.event_id == event.id
        if own is not None and not is_own:
            return _enrolled_by_same_change(outcome, own)
        if own is not None and explanation is not None and has_other_content(own.enrollment.cause, event, satisfied):
            return _enrolled_by_other_event(outcome, explanation, own)
        if own is not None:
            return _enrolled(outcome, own)
        if explanation is not None and explanation.decision.code is Code.ENROLLED:
            return _not_enrolled(outcome, explanation, existing.first)
        return outcome

    def _lost_data(self, explanation: Explanation | None, record: Record | None) -> Iterator[str]:
        """Yield a sentence for each property in the criteria whose value at that time is no longer stored, and for
        associated records that cannot be evaluated."""
        if explanation is None or explanation.as_of is None or record is None:
            return
        results = [
            filter_result
            for result in (
                *(explanation.suppression, explanation.goal, explanation.criteria),
                *(explanation.entry, explanation.entry_before),
            )
            for filter_result in _filters(result)
        ]
        for result in results:
            if not result.is_complete and result.because is not None:
                yield result.because
        for name in dict.fromkeys(result.property for result in results):
            if record.has_lost(name, as_of(explanation.as_of), self.processor.history_length):
                yield f"the value of {name} at {iso(explanation.as_of)} is no longer stored"


def _is_concerned(flow: Flow, event_types: Sequence[str], is_decided: bool) -> bool:
    """Whether a flow is explained: it decided the event, or the event's own type triggers it. A snapshot, or a change
    of an associated record, concerns only the filter-based flows whose criteria mention what it changed."""
    return is_decided or not flow.event_types.isdisjoint(set(event_types) - {RECORD_CHANGED, ASSOCIATED_RECORD_EVENT})


def _notes_on_revision(outcome: FlowOutcome) -> Iterator[str]:
    if outcome.revision_id is not None and outcome.current_revision_id != outcome.revision_id:
        yield f"the flow has changed since then; its current revision is {outcome.current_revision_id}"


def _enrolled_by_other_event(outcome: FlowOutcome, explanation: Explanation, own: StoredEnrollment) -> FlowOutcome:
    """The outcome if the stored enrollment was made by an event with the same ID and different content."""
    cause = own.enrollment.cause
    because = f"an event with the same ID, {cause.event_type} at {iso(cause.occurred_at)}, enrolled the record"
    note = f"event IDs must be unique in a portal: {cause.event_id} was sent with different content"
    decision = decide(explanation.flow, Code.DUPLICATE_EVENT, because, own.enrollment.id)
    return replace(outcome, because=because, decision=decision, notes=(*outcome.notes, note))


def _enrolled_by_same_change(outcome: FlowOutcome, own: StoredEnrollment) -> FlowOutcome:
    """The outcome if another event of the same change enrolled the record in a filter-based flow."""
    enrollment = own.enrollment
    because = f"this change enrolled the record by event {enrollment.cause.event_id}"
    flow_id, revision_id = enrollment.flow_id, enrollment.flow_revision_id
    decision = Decision(Code.DUPLICATE_EVENT, flow_id, revision_id, because, enrollment_id=enrollment.id)
    return replace(outcome, because=because, decision=decision)


def _enrolled(outcome: FlowOutcome, own: StoredEnrollment) -> FlowOutcome:
    """The outcome if the event enrolled the record, whatever the simulated decision is."""
    notes = outcome.notes
    if outcome.decision is None or outcome.decision.code is not Code.ENROLLED:
        notes = (*notes, f"with the data that is known now, the record would not be enrolled: {outcome.because}")
    enrollment, because = own.enrollment, "the record entered the flow"
    decision = Decision(
        Code.ENROLLED,
        enrollment.flow_id,
        enrollment.flow_revision_id,
        because,
        enrollment_id=enrollment.id,
        due_at=own.due_at,
    )
    return replace(outcome, because=because, decision=decision, enrollment=own, notes=notes)


def _not_enrolled(outcome: FlowOutcome, explanation: Explanation, first: StoredEnrollment | None) -> FlowOutcome:
    """The outcome if the simulation enrolls the record, but the event made no enrollment. ``first``: the first
    enrollment of the record in the flow."""
    if first is None or explanation.flow.should_re_enroll:
        return replace(outcome, because=UNEXPLAINED if outcome.is_complete else INCOMPLETE, decision=None)
    enrollment = first.enrollment
    because = f"enrolled by event {enrollment.cause.event_id} at {iso(enrollment.enrolled_at)}"
    decision = decide(explanation.flow, Code.ALREADY_ENROLLED, because, enrollment.id)
    return replace(outcome, because=because, decision=decision)


def _filters(result: Result | None) -> Iterator[FilterResult]:
    """The results of the single filters, in their order."""
    if isinstance(result, FilterResult):
        yield result
    elif result is not None:
        for part in result.parts:
            yield from _filters(part)


def _existed_before(event: Event) -> Callable[[StoredEnrollment], bool]:
    """Whether an enrollment existed before the event was decided. Enrollments by the event itself did not."""

    decided_at = event.sent_at if event.evaluated_at is None else event.evaluated_at

    def existed(stored: StoredEnrollment) -> bool:
        enrollment = stored.enrollment
        return enrollment.cause.event_id != event.id and enrollment.enrolled_at <= decided_at

    return existed
