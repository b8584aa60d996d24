"""The facts that a decision on one record depends on, without an event of the bus: a caller enrolls the record, or a
backfill evaluates it. Each fact is loaded when the first step needs it."""

from collections.abc import Sequence

from enrollment.application.criteria_evaluator import CriteriaEvaluator
from enrollment.application.ports import Enrollments
from enrollment.domain.criteria.transitions import Transition
from enrollment.domain.enrollment.decisions import Decision, criteria_decision
from enrollment.domain.enrollment.enrollments import ExistingEnrollments, StoredEnrollment
from enrollment.domain.enrollment.entry import Entry
from enrollment.domain.enrollment.processing_scope import ALL_FLOWS, ProcessingScope
from enrollment.domain.events.event import Event, Occurrence
from enrollment.domain.flows.flow import Flow, TriggerGroup
from enrollment.domain.records.record import Record
from enrollment.domain.values import Instant


class RecordFacts:
    """Implements ``decision_steps.Facts`` for one record and one flow. ``record`` None: nothing is stored of it.
    ``existing`` None: the enrollments are read when a step needs them."""

    def __init__(
        self,
        event: Event,
        record: Record | None,
        evaluator: CriteriaEvaluator,
        enrollments: Enrollments,
        existing: ExistingEnrollments | None = None,
    ) -> None:
        self.event = event
        self.record = record
        self.occurrences: Sequence[Occurrence] = (Occurrence(event.event_type, event.properties),)
        self.scope: ProcessingScope = ALL_FLOWS
        self._evaluator = evaluator
        self._enrollments = enrollments
        self._existing = existing
        self._entry: Entry | None = None

    def existing(self, flow: Flow) -> ExistingEnrollments:
        """Return the enrollments of the record in the flow."""
        if self._existing is None:
            key = self.event.record_key
            assert key is not None
            self._existing = self._enrollments.find(key, self.event.cause_key, [flow.id])[flow.id]
        return self._existing

    def criteria_rejection(self, flow: Flow) -> Decision | None:
        """Return SUPPRESSED or GOAL_MET for the record as it is now. None: neither."""
        if self.record is None or (flow.suppression is None and flow.goal is None):
            return None
        return criteria_decision(flow, self._evaluator.snapshot(self.record, self.event.occurred_at, [flow]))

    def entry_group(self, flow: Flow) -> TriggerGroup | None:
        """Return a compiled group of a filter-based flow, because any change could have made the record meet the
        criteria. None for other flows."""
        return flow.entry_groups[0] if flow.entry_groups else None

    def entry(self, flow: Flow) -> Entry:
        """Return that the record enters the filter-based flow if it meets the criteria now, since whenever. It does not
        enter again."""
        if self._entry is None:
            group, entry = self.entry_group(flow), flow.entry
            assert group is not None
            assert entry is not None
            assert self.record is not None
            at = self.event.occurred_at
            now = Transition(at, at, None, self._evaluator.snapshot(self.record, at, [flow]))
            entered = now if entry.criteria.holds(now.after) else None
            self._entry = Entry(group, now, entered, re_enrolls=False)
        return self._entry

    def creation_tolerance(self, flow: Flow) -> int:
        """Return 0: a record that does not exist yet cannot be enrolled."""
        return 0

    def record_awaited_until(self, flow: Flow) -> Instant | None:
        """Return None: the decision is final."""
        return None

    def ineligibility(self, occurrence: Occurrence) -> str | None:
        """Return None: no rule of an event applies."""
        return None


def existing_of(first: StoredEnrollment | None, event: Event) -> ExistingEnrollments:
    """Return the enrollments of a record of which only the ``first`` one in the flow is known. For an event that never
    enrolls a record again."""
    is_own = first is not None and first.enrollment.cause.is_by(event.cause_key, None)
    return ExistingEnrollments(first, first if is_own else None)
