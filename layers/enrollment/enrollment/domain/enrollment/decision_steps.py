"""The steps that decide whether an event enrolls its record in a flow, in their order. The first rejection is the
decision. If no step rejects, the record is enrolled.

 1. DUPLICATE_EVENT    this event has enrolled the record in the flow before. Looked up for flows that pass steps 2 to
                       6, for flows that changed after the event was sent, and for all flows if the record was deleted
                       since, or if the event changes the record and another change arrived since, because their
                       result may be another now
 2. UNKNOWN_RECORD     a visitor, or no such record before the event
    or WAITING         for now, if the flow's record tolerance allows the record to arrive after the event, and the
                       event passes steps 3 to 6. A final decision follows
 3. NOT_ELIGIBLE       the event's own rule
 4. LOOP_STOPPED       the flow is in the event's chain, or the chain is too long
 5. BEFORE_ACTIVATION  the event occurred before the flow was turned on
 6. NOT_MATCHED        no trigger group matches. For a filter-based flow: the event changed nothing that the criteria
                       mention, or the record does not meet them
 7. MET_BEFORE         for a filter-based flow: the record met the criteria before this change
 8. ALREADY_ENROLLED   the flow enrolls once only, and the record was enrolled before
 9. SUPPRESSED         the record is in a suppression list or meets the suppression filter
10. GOAL_MET           the record meets the flow's goal
11. FILTERED_OUT       the record does not meet the refinement criteria
    or WAITING         for now, if the flow's criteria tolerance allows data to arrive after the event. A final decision
                       follows
12. ENROLLED

Steps 9 to 11 see the record as it was when the event occurred. If only step 11 rejects and the flow tolerates late
data, they see it as it was after each change within the tolerance too (``late_data_tolerance``).

For a filter-based flow, steps 5 to 7 consider the event's own change and each later change that is stored
(``entry``). They reject only if no change enrolls. Steps 9 and 10 see the record as it was after the change that does.

A flow that is off when the event is processed decides nothing, except DUPLICATE_EVENT for what it enrolled before. If
an event triggers very many flows, those that it cannot match are counted by code (``candidate_selection``).
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct, field

from enrollment.domain.enrollment.decisions import (
    CREATED_LATER,
    MAX_CHAIN,
    Code,
    Decision,
    Match,
    criteria_decision,
    decide,
    match,
    unknown_record_reason,
    waiting,
)
from enrollment.domain.enrollment.enrollments import ExistingEnrollments
from enrollment.domain.enrollment.entry import Entry, entry_rejection, met_before
from enrollment.domain.enrollment.processing_scope import ProcessingScope
from enrollment.domain.events.event import Event, Occurrence
from enrollment.domain.flows.flow import Flow, TriggerGroup
from enrollment.domain.records.record import Record
from enrollment.domain.values import Instant


class Facts(Protocol):
    """What the decisions on one event depend on. ``occurrences``: the catalog rows that the event satisfies."""

    @property
    def event(self) -> Event: ...
    @property
    def occurrences(self) -> Sequence[Occurrence]: ...
    @property
    def record(self) -> Record | None: ...
    @property
    def scope(self) -> ProcessingScope: ...

    def existing(self, flow: Flow) -> ExistingEnrollments:
        """The enrollments of the record in the flow. Empty if the flow did not have to be looked up."""
        ...

    def creation_tolerance(self, flow: Flow) -> int:
        """Milliseconds by which the record may be created after an event that can create it."""
        ...

    def record_awaited_until(self, flow: Flow) -> Instant | None:
        """Until when the flow waits for the record to arrive. None: it does not wait."""
        ...

    def ineligibility(self, occurrence: Occurrence) -> str | None:
        """Why the event's own rule rejects an occurrence. None: it is eligible."""
        ...

    def entry_group(self, flow: Flow) -> TriggerGroup | None:
        """For a filter-based flow, the compiled group that the change of the record satisfies. None: none of them."""
        ...

    def entry(self, flow: Flow) -> Entry:
        """For a filter-based flow of which a compiled group is satisfied, whether the change enrolls the record."""
        ...

    def criteria_rejection(self, flow: Flow) -> Decision | None:
        """The result of steps 9 to 11."""
        ...


class FlowContext(Struct, frozen=True, eq=False):
    """One flow and the facts of the event. The result of each step is computed once."""

    flow: Flow
    facts: Facts
    existing_now: ExistingEnrollments | None = None
    results: dict["Step", Decision | None] = field(default_factory=dict)
    matches: list[Match] = field(default_factory=list)

    @property
    def existing(self) -> ExistingEnrollments:
        return self.facts.existing(self.flow) if self.existing_now is None else self.existing_now

    @property
    def entry(self) -> Entry | None:
        """Whether the change enrolls the record in a filter-based flow. None for other flows. Only after
        ``not_matched`` has passed."""
        return None if self.flow.entry is None else self.facts.entry(self.flow)

    @property
    def match(self) -> Match:
        """The trigger group that the event satisfies. Only after ``not_matched`` has passed."""
        return self.matches[0]

    def rejection(self, steps: Sequence["Step"]) -> Decision | None:
        """The decision of the first step that rejects. None: all steps pass."""
        for step in steps:
            if step not in self.results:
                self.results[step] = step(self)
            decision = self.results[step]
            if decision is not None:
                return decision
        return None

    def with_existing(self, existing: ExistingEnrollments) -> "FlowContext":
        """The same flow after another delivery or event has enrolled the record. Steps that depend on the enrollments
        are evaluated again."""
        kept = {step: decision for step, decision in self.results.items() if step not in ENROLLMENT_STEPS}
        return FlowContext(self.flow, self.facts, existing, kept, self.matches)


Step = Callable[[FlowContext], Decision | None]


def duplicate_event(context: FlowContext) -> Decision | None:
    existing = context.existing.for_event
    if existing is None:
        return None
    reason = "an event with this ID has enrolled the record before"
    if existing.enrollment.cause.event_id != context.facts.event.id:
        reason = f"this change has enrolled the record before, by event {existing.enrollment.cause.event_id}"
    return decide(context.flow, Code.DUPLICATE_EVENT, reason, existing.enrollment.id)


def unknown_record(context: FlowContext) -> Decision | None:
    facts, flow = context.facts, context.flow
    reason = unknown_record_reason(facts.event, facts.record, facts.creation_tolerance(flow))
    if reason is None or (reason is CREATED_LATER and facts.entry_group(flow) is not None):
        # A change from before the creation can make the record meet a filter-based flow's criteria at its creation.
        return None
    rejection, until = decide(flow, Code.UNKNOWN_RECORD, reason), facts.record_awaited_until(flow)
    return rejection if until is None else waiting(rejection, until)


def not_eligible(context: FlowContext) -> Decision | None:
    if context.facts.entry_group(context.flow) is not None:
        return None  # The rules are about triggers. The snapshot of an event that is not eligible changes the record.
    reasons = []
    for occurrence in context.facts.occurrences:
        if occurrence.event_type.name in context.flow.event_types:
            reason = context.facts.ineligibility(occurrence)
            if reason is None:
                return None
            reasons.append(reason)
    return decide(context.flow, Code.NOT_ELIGIBLE, "; ".join(reasons))


def loop_stopped(context: FlowContext) -> Decision | None:
    chain = context.facts.event.chain
    if context.flow.id in chain:
        return decide(context.flow, Code.LOOP_STOPPED, f"the flow led to this event itself, by {' > '.join(chain)}")
    if len(chain) > MAX_CHAIN:
        reason = f"expected at most {MAX_CHAIN} flows that led to the event, found {len(chain)}"
        return decide(context.flow, Code.LOOP_STOPPED, reason)
    return None


def before_activation(context: FlowContext) -> Decision | None:
    flow, facts = context.flow, context.facts
    if facts.scope.ignores_activation:
        return None
    since = flow.active_since
    if since is not None and facts.event.latest >= since:
        return None
    if facts.entry_group(flow) is not None and facts.entry(flow).entered is not None:
        return None  # The record starts to meet the criteria at a later change.
    if flow.enabled_at is None or facts.event.latest < flow.enabled_at:
        return decide(flow, Code.BEFORE_ACTIVATION, "it occurred before the flow was turned on")
    return decide(flow, Code.BEFORE_ACTIVATION, "it occurred before the flow's current criteria came into force")


def not_matched(context: FlowContext) -> Decision | None:
    """NOT_MATCHED, or MET_BEFORE for a filter-based flow."""
    facts = context.facts
    if context.flow.entry is not None:
        group = facts.entry_group(context.flow)
        if group is None:
            reason = "the event changed nothing that the enrollment criteria mention"
            return decide(context.flow, Code.NOT_MATCHED, reason)
        context.matches.append(Match(group, facts.occurrences[0]))
        return entry_rejection(context.flow, facts.entry(context.flow))
    eligible = [occurrence for occurrence in facts.occurrences if facts.ineligibility(occurrence) is None]
    result = match(context.flow, eligible)
    if isinstance(result, Decision):
        return result
    context.matches.append(result)
    return None


def already_enrolled(context: FlowContext) -> Decision | None:
    first, entry = context.existing.first, context.entry
    if first is None:
        is_re_enrollment_only = entry is not None and entry.entered is None
        return met_before(context.flow, entry) if entry is not None and is_re_enrollment_only else None
    reason = f"enrolled before, by event {first.enrollment.cause.event_id}"
    if context.flow.should_re_enroll:
        if entry is None or entry.re_enrolls:
            return None
        reason = f"{reason}; no re-enrollment trigger occurred"
    return decide(context.flow, Code.ALREADY_ENROLLED, reason, first.enrollment.id)


def criteria_not_met(context: FlowContext) -> Decision | None:
    """SUPPRESSED, GOAL_MET, FILTERED_OUT or WAITING: one step, because late data can change the result of all three."""
    if context.entry is not None:
        return criteria_decision(context.flow, context.entry.transition(is_first=context.existing.first is None).after)
    return context.facts.criteria_rejection(context.flow)


STEPS_BEFORE_ENTRY: tuple[Step, ...] = (unknown_record, not_eligible, loop_stopped)
TRIGGER_STEPS: tuple[Step, ...] = (not_eligible, loop_stopped, before_activation, not_matched)
# In a filter-based flow, the criteria are about another change if the record was enrolled before.
ENROLLMENT_STEPS: tuple[Step, ...] = (duplicate_event, already_enrolled, criteria_not_met)
STEPS_BEFORE_CRITERIA: tuple[Step, ...] = (duplicate_event, unknown_record, *TRIGGER_STEPS, already_enrolled)
DECISION_STEPS: tuple[Step, ...] = (*STEPS_BEFORE_CRITERIA, criteria_not_met)
# For a change at which a re-enrollment trigger occurs, after the first enrollment by an earlier change.
STEPS_OF_LATER_ENTRY: tuple[Step, ...] = (duplicate_event, criteria_not_met)
