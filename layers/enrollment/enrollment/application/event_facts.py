"""The facts that the decisions on one event depend on.

Each is loaded when the first flow needs it, for all flows of the event at once. So the calls to AWS do not grow with
the flows, and an event that matches no flow makes none of them.
"""

from collections.abc import Mapping, Sequence

from enrollment.application.criteria_evaluator import CriteriaEvaluator
from enrollment.application.ports import NO_CHANGES, Enrollments
from enrollment.domain.criteria.transitions import Transition
from enrollment.domain.enrollment.decision_steps import (
    STEPS_BEFORE_CRITERIA,
    STEPS_BEFORE_ENTRY,
    TRIGGER_STEPS,
    FlowContext,
    unknown_record,
)
from enrollment.domain.enrollment.decisions import Code, Decision, Match, may_become_known, rejection_reason
from enrollment.domain.enrollment.enrollments import ExistingEnrollments
from enrollment.domain.enrollment.entry import Entry, cause_name, entry_of
from enrollment.domain.enrollment.late_data_tolerance import ends_at
from enrollment.domain.enrollment.processing_scope import ProcessingScope
from enrollment.domain.events.causes import change_key
from enrollment.domain.events.event import Event, Occurrence
from enrollment.domain.flows.candidate_selection import entry_group
from enrollment.domain.flows.flow import Flow, TriggerGroup
from enrollment.domain.flows.record_change import RecordChange
from enrollment.domain.records.record import Record, absent, affects_record
from enrollment.domain.values import CLOCK_SKEW_MS, Instant


class EventFacts:
    """Implements ``decision_steps.Facts``. ``record``: with the change that the event brings; None: nothing is stored
    of it. ``now``: of this attempt."""

    def __init__(
        self,
        event: Event,
        occurrences: Sequence[Occurrence],
        record: Record | None,
        flows: Sequence[Flow],
        scope: ProcessingScope,
        now: Instant,
        evaluator: CriteriaEvaluator,
        enrollments: Enrollments,
        change: RecordChange | None = None,
    ) -> None:
        self.event = event
        self.occurrences = occurrences
        self.record = record
        self.scope = scope
        self.change = change
        self.contexts = tuple(FlowContext(flow, self) for flow in flows)
        self._now = now
        self._evaluator = evaluator
        self._enrollments = enrollments
        self._ineligibilities: dict[str, str | None] = {}
        # Loaded once. Not by functools.cached_property: until Python 3.12 it holds one lock for all events of a batch.
        self._existing: Mapping[str, ExistingEnrollments] | None = None
        self._criteria_rejections: Mapping[str, Decision | None] | None = None
        self._entry_groups: dict[str, TriggerGroup | None] = {}
        self._entries: Mapping[str, Entry] | None = None
        self._with_absent_record: EventFacts | None = None

    def with_event(self, event: Event, record: Record | None) -> "EventFacts":
        """The facts of the same flows for another version of the event or of the record."""
        flows = [context.flow for context in self.contexts]
        return EventFacts(
            event,
            self.occurrences,
            record,
            flows,
            self.scope,
            self._now,
            self._evaluator,
            self._enrollments,
            self.change,
        )

    @property
    def awaits_record(self) -> bool:
        """Whether a flow waits for the record of the event to arrive."""
        decisions = (context.rejection((unknown_record,)) for context in self.contexts)
        return any(decision is not None and decision.code is Code.WAITING for decision in decisions)

    def existing(self, flow: Flow) -> ExistingEnrollments:
        """Return the enrollments of the record in a flow. Empty if the flow did not have to be looked up."""
        if self._existing is None:
            self._existing = self._load_existing()
        return self._existing.get(flow.id, ExistingEnrollments())

    def _load_existing(self) -> Mapping[str, ExistingEnrollments]:
        """By flow ID: for the flows that the event can enroll in, and for those that an earlier delivery of it may have
        enrolled in."""
        key, record = self.event.record_key, self.record
        was_deleted = record is not None and record.deleted_at is not None and self._may_follow(record.deleted_at)
        passing = {
            context.flow.id for context in self.contexts if context.rejection((unknown_record, *TRIGGER_STEPS)) is None
        }
        flow_ids = [
            context.flow.id
            for context in self.contexts
            if was_deleted or self._may_follow(context.flow.changed_at) or context.flow.id in passing
        ]
        # Whether an event that changes the record is a change depends on the changes before it.
        if len(flow_ids) < len(self.contexts) and affects_record(self.event) and self._has_changed_since():
            flow_ids = [context.flow.id for context in self.contexts]
        if key is None or not flow_ids:
            return {}
        return self._enrollments.find(key, self.event.cause_key, flow_ids, self.change_names(flow_ids))

    def later_entries(self, flow: Flow) -> "Sequence[LaterEntryFacts]":
        """Return the facts for each later change that re-enrolls the record in a filter-based flow, after the event has
        enrolled it by an earlier change."""
        if flow.entry is None or not flow.entry.re_enrollment or self.entry_group(flow) is None:
            return ()
        if self._entries is None:
            self._entries = self._evaluate_entries()
        entry = self._entries.get(flow.id)
        return [] if entry is None else [LaterEntryFacts(self, entry, later) for later in entry.entered_again]

    def existing_by(self, flow: Flow, change_name: str) -> ExistingEnrollments:
        """Read the enrollments of the record in a filter-based flow: the first, and the one by a named change."""
        key = self.event.record_key
        assert key is not None
        # Not by the event, which has made the first enrollment.
        return self._enrollments.find(key, change_key(change_name), [flow.id], {flow.id: change_name})[flow.id]

    def _has_changed_since(self) -> bool:
        """Whether another change of the record arrived after the first evaluation of the event."""
        return self.record is not None and self.record.has_changed_since(self.event)

    def change_names(self, flow_ids: Sequence[str]) -> Mapping[str, str]:
        """Return by the ID of a filter-based flow the name of the change that can enroll the record."""
        names = {
            context.flow.id: cause_name(self.event.occurred_at)
            for context in self.contexts
            if context.flow.entry is not None
        }
        if not names:
            return NO_CHANGES
        # A flow without a result has been edited, or the change does not concern it any more. An earlier delivery may
        # have enrolled the record by the event's own change.
        names |= {
            flow_id: entry.name(is_first=not entry.re_enrolls) for flow_id, entry in (self._entries or {}).items()
        }
        return {flow_id: names[flow_id] for flow_id in flow_ids if flow_id in names}

    def entry_group(self, flow: Flow) -> TriggerGroup | None:
        """Return the compiled group of a filter-based flow that the change of the record satisfies."""
        if flow.entry is None or self.change is None:
            return None
        if flow.id not in self._entry_groups:
            self._entry_groups[flow.id] = entry_group(flow, self.change)
        return self._entry_groups[flow.id]

    def entry(self, flow: Flow) -> Entry:
        """Return whether the change enrolls the record in a filter-based flow that passes the steps before."""
        if self._entries is None:
            self._entries = self._evaluate_entries()
        return self._entries[flow.id]

    def _evaluate_entries(self) -> Mapping[str, Entry]:
        groups = {
            context.flow.id: (context.flow, group)
            for context in self.contexts
            if (group := self.entry_group(context.flow)) is not None and context.rejection(STEPS_BEFORE_ENTRY) is None
        }
        if self.record is None or self.change is None:
            return {}
        flows = [flow for flow, _ in groups.values()]
        transitions = self._evaluator.transitions(self.event, self.record, flows)
        return {
            flow_id: entry_of(flow, group, self.change, transitions[flow_id], self._since(flow))
            for flow_id, (flow, group) in groups.items()
        }

    def _since(self, flow: Flow) -> Instant | None:
        return None if self.scope.ignores_activation else flow.active_since

    def criteria_rejection(self, flow: Flow) -> Decision | None:
        """Return the result of steps 9 to 11 for an enabled flow that passes the steps before."""
        if self._criteria_rejections is None:
            self._criteria_rejections = self._evaluate_criteria()
        return self._criteria_rejections[flow.id]

    def _evaluate_criteria(self) -> Mapping[str, Decision | None]:
        flows = [
            context.flow
            for context in self.contexts
            if context.flow.is_enabled
            and context.flow.entry is None
            and context.rejection(STEPS_BEFORE_CRITERIA) is None
        ]
        if self.record is None or not flows:
            return {}
        may_defer = self.scope.delivery.may_defer
        results = self._evaluator.evaluate(self.event, self.record, flows, self._now, waits=may_defer)
        return {flow_id: result.rejection for flow_id, result in results.items()}

    def ineligibility(self, occurrence: Occurrence) -> str | None:
        """Return why the event's own rule rejects an occurrence. None: it is eligible."""
        name = occurrence.event_type.name
        if name not in self._ineligibilities:
            assert self.event.record_key is not None
            record = absent(self.event.record_key) if self.record is None else self.record
            self._ineligibilities[name] = rejection_reason(occurrence, self.event, record)
        return self._ineligibilities[name]

    def creation_tolerance(self, flow: Flow | None) -> int:
        """Return the milliseconds by which the record may be created after the event. The tolerance is read only if the
        record was created after the event; otherwise it is 0. ``flow`` None: the tolerance of the portal."""
        record, event = self.record, self.event
        if record is None or not record.exists or record.existed_at(event.latest):
            return 0
        if not event.event_type.may_create_record:
            return 0
        return self._evaluator.record_tolerance(event.portal_id, flow)

    def record_awaited_until(self, flow: Flow) -> Instant | None:
        """Return until when the flow waits for the record to arrive. None: it does not wait."""
        if not self.scope.delivery.may_defer or not may_become_known(self.event, self.record):
            return None
        if flow.entry is not None:
            return None  # When the creation arrives, the changes that arrived before it are considered.
        if self._with_absent_record is None:
            # The facts if nothing were known of the record.
            assert self.event.record_key is not None
            self._with_absent_record = self.with_event(self.event, absent(self.event.record_key))
        if FlowContext(flow, self._with_absent_record).rejection(TRIGGER_STEPS) is not None:
            return None
        tolerance = self._evaluator.record_tolerance(self.event.portal_id, flow)
        until = ends_at(self.event, tolerance, self._now)
        return until if tolerance and until > self._now else None

    def _may_follow(self, instant: Instant) -> bool:
        return may_follow(instant, self.event, self._now)


class LaterEntryFacts:
    """The facts for one filter-based flow and a later change that re-enrolls the record. Implements
    ``decision_steps.Facts``. ``entry``: of the event's own change."""

    def __init__(self, facts: EventFacts, entry: Entry, later: Transition) -> None:
        self.event = facts.event
        self.occurrences = facts.occurrences
        self.record = facts.record
        self.scope = facts.scope
        self._facts = facts
        self.match = Match(entry.group, facts.occurrences[0])
        self._entry = Entry(entry.group, later, None, re_enrolls=True, is_of_later_change=True)
        self._existing: ExistingEnrollments | None = None

    def are_as_of(self, instant: Instant, flow: Flow) -> bool:
        """Whether the later change means the same as at an instant: neither it nor an earlier change of the record
        arrived since. False if the flow depends on associated records, whose changes are not compared."""
        changes = () if self.record is None else self.record.changes
        until = self._entry.own.at
        return not flow.needs and all(each.arrival <= instant for each in changes if each.changed_at <= until)

    def existing(self, flow: Flow) -> ExistingEnrollments:
        """Return the enrollments of the record in the flow: the first, and the one by the later change."""
        if self._existing is None:
            self._existing = self._facts.existing_by(flow, self._entry.name(is_first=False))
        return self._existing

    def entry(self, flow: Flow) -> Entry:
        """Return the later change as the one that enrolls."""
        return self._entry

    def entry_group(self, flow: Flow) -> TriggerGroup | None:
        """Return the compiled group that the event's own change satisfies."""
        return self._entry.group

    def creation_tolerance(self, flow: Flow) -> int:
        """Return 0: the record exists."""
        return 0

    def record_awaited_until(self, flow: Flow) -> Instant | None:
        """Return None: the record exists."""
        return None

    def ineligibility(self, occurrence: Occurrence) -> str | None:
        """Return None: the later change is not an event."""
        return None

    def criteria_rejection(self, flow: Flow) -> Decision | None:
        """Return None: the criteria of the later change are those of its entry."""
        return None


def may_follow(instant: Instant, event: Event, now: Instant) -> bool:
    """Whether an earlier delivery of the event may have been before this instant. The instant is of another clock than
    the time of sending, so a skew is allowed. A time of sending in the future is an error of the source, and says
    nothing."""
    return instant >= event.sent_at - CLOCK_SKEW_MS or event.sent_at > now
