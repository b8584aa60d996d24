"""Decide an event by the production code, without consequences: nothing is stored, sent or logged.

The ports that write are replaced. Records and enrollments that would be written are kept in memory, and later reads
return them. So a simulated event sees the record as it would have changed it, and the next event of the same
simulation sees the enrollments that would exist. Deferred events that wait for a change by the event are not decided.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from enrollment.application.criteria_evaluator import CriteriaEvaluator, CriteriaResult
from enrollment.application.deferred_decisions import Deferrals
from enrollment.application.enrollment_publisher import EnrollmentPublisher
from enrollment.application.event_history import EventHistory
from enrollment.application.event_processor import EventProcessor
from enrollment.application.ports import NO_CHANGES, Clock, Enrollments, EventHistoryStore, Flows, NewId, Records
from enrollment.domain.criteria.transitions import Transition
from enrollment.domain.enrollment.decisions import Code, Decision
from enrollment.domain.enrollment.enrollments import Announcement, Enrollment, ExistingEnrollments, StoredEnrollment
from enrollment.domain.enrollment.explanations import Explanation, explain
from enrollment.domain.enrollment.late_data_tolerance import DeferredEvent
from enrollment.domain.enrollment.processing_scope import ALL_FLOWS, ProcessingScope
from enrollment.domain.events.associated_change import AssociatedChange
from enrollment.domain.events.event import Event, InvalidEvent
from enrollment.domain.events.event_types import EventType
from enrollment.domain.events.sort_key import EventKey
from enrollment.domain.flows.candidate_selection import CandidateQuery, Candidates
from enrollment.domain.flows.flow import Flow
from enrollment.domain.flows.rate_limit import RateLimit
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.record import Record, occurrences_of
from enrollment.domain.values import Instant


def simulated(processor: EventProcessor, event: Event, scope: ProcessingScope = ALL_FLOWS) -> tuple[Decision, ...]:
    """Return the decisions that ``EventProcessor.process`` would make on the event now. Enrollments that it would make
    have no ID. Raises the errors of ``process``."""
    return Simulation(processor).decide(event, scope)


def without_consequences(
    event_types: Mapping[str, EventType],
    flows: Flows,
    records: Records,
    evaluator: CriteriaEvaluator,
    enrollments: Enrollments,
    clock: Clock,
    new_id: NewId,
    history_length: int,
    history: EventHistory,
) -> EventProcessor:
    """Return a processor that stores nothing except through ``records`` and ``enrollments``, and sends nothing."""
    publisher = NullPublisher()
    return EventProcessor(
        event_types=event_types,
        flows=flows,
        records=records,
        evaluator=evaluator,
        enrollments=enrollments,
        deferrals=Deferrals(NullDeferredEvents(), records, publisher),
        rate_limits=NullRateLimits(),
        history=EventHistory(_FirstEvaluations(history.events), history.days),
        publisher=EnrollmentPublisher(enrollments, publisher, publisher, publisher, clock),
        decision_log=NullDecisionLog(),
        clock=clock,
        new_id=new_id,
        history_length=history_length,
    )


class Simulation:
    """Simulates a sequence of events. ``records``: replace the stored records with the same keys. ``sees``: whether a
    stored enrollment is visible to the simulation; default: all are."""

    def __init__(
        self,
        processor: EventProcessor,
        records: Iterable[Record] = (),
        *,
        sees: Callable[[StoredEnrollment], bool] = lambda stored: True,
    ) -> None:
        self._flows = _Flows(processor.flows)
        self._records = _Records(processor.records, {record.key: record for record in records})
        self._enrollments = _Enrollments(processor.enrollments, sees)
        self._processor = without_consequences(
            event_types=processor.event_types,
            flows=self._flows,
            records=self._records,
            evaluator=replace(processor.evaluator, records=self._records),
            enrollments=self._enrollments,
            clock=processor.clock,
            new_id=processor.new_id,
            history_length=processor.history_length,
            history=processor.history,
        )

    def decide(self, event: Event, scope: ProcessingScope = ALL_FLOWS) -> tuple[Decision, ...]:
        """Return the decisions on the next event. Enrollments that it would make have no ID. Raises the errors of
        ``EventProcessor.process``."""
        decisions = self._processor.process(event, scope)
        simulated_ids = self._enrollments.ids
        return tuple(
            replace(decision, enrollment_id=None) if decision.enrollment_id in simulated_ids else decision
            for decision in decisions
        )

    def explain(self, event: Event, scope: ProcessingScope = ALL_FLOWS) -> tuple[Explanation, ...]:
        """Return the decisions on the next event, each with the result of every trigger group and filter. Raises the
        errors of ``EventProcessor.process``."""
        decisions = self.decide(event, scope)
        flows = [self._flows.seen[decision.flow_id] for decision in decisions]
        record = None if event.record_key is None else self._records.get(event.record_key)
        results: Mapping[str, CriteriaResult] = {}
        transitions: Mapping[str, Sequence[Transition]] = {}
        if flows and record is not None and record.exists and record.existed_at(record.moment(event).latest):
            now = self._processor.clock()
            results = self._processor.evaluator.evaluate(event, record, flows, now, waits=scope.delivery.may_defer)
            filter_based = [flow for flow in flows if flow.entry is not None]
            if filter_based:
                transitions = self._processor.evaluator.transitions(event, record, filter_based)
        satisfied = occurrences_of(event, self._processor.event_types, record)
        return tuple(
            explain(
                flow,
                decision,
                satisfied,
                results[flow.id].snapshot if flow.id in results else None,
                transitions[flow.id][0] if flow.id in transitions else None,
            )
            for flow, decision in zip(flows, decisions, strict=True)
        )


class Drafts(Struct, frozen=True):
    """Implements ``Flows`` with given flows instead of the stored ones, for example drafts of an author."""

    flows: Sequence[Flow]

    def candidates(self, portal_id: str, object_type_id: str, event_types: Sequence[str]) -> Sequence[Flow]:
        """Return the flows of the portal and object type that one of the event types triggers."""
        return [
            flow
            for flow in self.flows
            if (flow.portal_id, flow.object_type_id) == (portal_id, object_type_id)
            and flow.event_types.intersection(event_types)
        ]

    def relevant(self, portal_id: str, object_type_id: str, question: CandidateQuery) -> Candidates:
        """Return all candidates, because each decision is shown with its reasons."""
        return Candidates(self.candidates(portal_id, object_type_id, question.event_types))

    def of_batch(self) -> "Drafts":
        """Return the same object: nothing is read."""
        return self


class _Flows(Struct, frozen=True):
    """Implements ``Flows`` with the stored flows, and keeps those that it has returned, by ID (``seen``)."""

    stored: Flows
    seen: dict[str, Flow] = field(default_factory=dict)

    def candidates(self, portal_id: str, object_type_id: str, event_types: Sequence[str]) -> Sequence[Flow]:
        flows = self.stored.candidates(portal_id, object_type_id, event_types)
        self.seen.update({flow.id: flow for flow in flows})
        return flows

    def relevant(self, portal_id: str, object_type_id: str, question: CandidateQuery) -> Candidates:
        """Return all candidates, because each decision is shown with its reasons."""
        return Candidates(self.candidates(portal_id, object_type_id, question.event_types))

    def of_batch(self) -> "_Flows":
        return replace(self, stored=self.stored.of_batch())


class _Records(Struct, frozen=True):
    """Implements ``Records``. Writes are kept in memory and hide the stored records."""

    stored: Records
    changed: dict[RecordKey, Record] = field(default_factory=dict)

    def get(self, key: RecordKey) -> Record | None:
        return self.changed.get(key) or self.stored.get(key)

    def get_many(self, keys: Sequence[RecordKey]) -> Mapping[RecordKey, Record]:
        return {**self.stored.get_many(keys), **{key: self.changed[key] for key in keys if key in self.changed}}

    def save(self, record: Record) -> Record:
        self.changed[record.key] = record
        return record


class NoEnrollments:
    """Implements ``Enrollments`` without reading: no record was enrolled before. For simulations, which keep their own
    claims."""

    def find(
        self,
        record_key: RecordKey,
        cause_key: str,
        flow_ids: Sequence[str],
        changes: Mapping[str, str] = NO_CHANGES,
    ) -> Mapping[str, ExistingEnrollments]:
        """Return an empty entry for every flow."""
        return dict.fromkeys(flow_ids, ExistingEnrollments())

    def claim(self, enrollment: Enrollment, due_at: Instant | None = None, chain: tuple[str, ...] = ()) -> bool:
        """Accept the enrollment without storing it."""
        return True

    def confirm(self, enrollment: Enrollment, *, is_published: bool, is_announced: bool, now: Instant) -> None:
        """Do nothing."""

    def of_record(self, record_key: RecordKey, limit: int, before: str | None = None) -> Sequence[StoredEnrollment]:
        """Return no enrollments."""
        return ()

    def of_flow(
        self, portal_id: str, flow_id: str, limit: int, before: str | None = None
    ) -> Sequence[StoredEnrollment]:
        """Return no enrollments."""
        return ()

    def get(self, portal_id: str, enrollment_id: str) -> StoredEnrollment | None:
        """Return None."""
        return None


class _Enrollments(Struct, frozen=True):
    """Implements ``Enrollments``. Claims are kept in memory, by record and flow, beside the stored enrollments that
    ``sees`` lets through. ``ids``: of the claimed enrollments."""

    stored: Enrollments
    sees: Callable[[StoredEnrollment], bool]
    claimed: dict[tuple[RecordKey, str], list[StoredEnrollment]] = field(default_factory=dict)
    ids: set[str] = field(default_factory=set)

    def find(
        self,
        record_key: RecordKey,
        cause_key: str,
        flow_ids: Sequence[str],
        changes: Mapping[str, str] = NO_CHANGES,
    ) -> Mapping[str, ExistingEnrollments]:
        stored = self.stored.find(record_key, cause_key, flow_ids, changes)
        return {
            flow_id: self._with_claimed(existing, record_key, flow_id, cause_key, changes.get(flow_id))
            for flow_id, existing in stored.items()
        }

    def _with_claimed(
        self, existing: ExistingEnrollments, record_key: RecordKey, flow_id: str, cause_key: str, change: str | None
    ) -> ExistingEnrollments:
        """The visible stored enrollments, supplemented by the claimed ones."""
        claimed = self.claimed.get((record_key, flow_id), [])
        first, own = existing.first, existing.for_event
        if first is None or not self.sees(first):
            first = next(iter(claimed), None)
        if own is None or not self.sees(own):
            own = next((stored for stored in claimed if stored.enrollment.cause.is_by(cause_key, change)), None)
        return ExistingEnrollments(first, own)

    def claim(self, enrollment: Enrollment, due_at: Instant | None = None, chain: tuple[str, ...] = ()) -> bool:
        key = (enrollment.record_key, enrollment.flow_id)
        self.claimed.setdefault(key, []).append(StoredEnrollment(enrollment, due_at=due_at))
        self.ids.add(enrollment.id)
        return True

    def confirm(self, enrollment: Enrollment, *, is_published: bool, is_announced: bool, now: Instant) -> None:
        pass

    def of_record(self, record_key: RecordKey, limit: int, before: str | None = None) -> Sequence[StoredEnrollment]:
        return self.stored.of_record(record_key, limit, before)

    def of_flow(
        self, portal_id: str, flow_id: str, limit: int, before: str | None = None
    ) -> Sequence[StoredEnrollment]:
        return self.stored.of_flow(portal_id, flow_id, limit, before)

    def get(self, portal_id: str, enrollment_id: str) -> StoredEnrollment | None:
        return self.stored.get(portal_id, enrollment_id)


class NullPublisher:
    """Implements ``Queue``, ``Bus`` and ``RedeliveryScheduler``: accepts everything and sends nothing."""

    def publish(self, enrollments: Sequence[Enrollment]) -> Iterable[str]:
        """Return the IDs of all enrollments, as accepted."""
        return [enrollment.id for enrollment in enrollments]

    def announce(self, announcements: Sequence[Announcement]) -> Iterable[str]:
        """Return the enrollment IDs of all announcements, as accepted."""
        return [announcement.enrollment.id for announcement in announcements]

    def schedule(self, event: Event, flow_ids: Iterable[str], at: Instant, change: str = "") -> None:
        """Do nothing."""

    def send(self, changes: Sequence[AssociatedChange]) -> None:
        """Do nothing: the associated records are not decided."""

    def send_by_timer(self, change: AssociatedChange) -> None:
        """Do nothing: the associated records are not decided."""


class NullDeferredEvents:
    """Implements ``DeferredEvents``: no event is ever deferred."""

    def get(self, record: RecordKey, event_id: str) -> DeferredEvent | None:
        """Return None."""
        return None

    def of(self, record: RecordKey, limit: int) -> Sequence[DeferredEvent]:
        """Return no events."""
        return ()

    def save(self, waiting: DeferredEvent) -> None:
        """Do nothing."""


class _FirstEvaluations(Struct, frozen=True):
    """Implements ``EventHistoryStore``: nothing is stored, but an event that was evaluated before keeps the time of its
    first evaluation, so that it is decided as it was then."""

    events: EventHistoryStore

    def keep(self, event: Event, until: Instant) -> Instant:
        first = self.first_evaluation(event)
        return (event.evaluated_at or event.occurred_at) if first is None else first

    keep_evaluation = keep

    def first_evaluation(self, event: Event) -> Instant | None:
        return self.events.first_evaluation(event)

    def of_record(self, record: RecordKey, first: str, last: str, *, newest_first: bool) -> Iterable[Event]:
        return ()

    def with_id(self, portal_id: str, event_id: str) -> Iterable[Event]:
        return ()

    def of_types(self, portal_id: str, event_types: Collection[str], first: str, last: str) -> Iterable[Event]:
        return ()

    def keys_of_types(
        self, portal_id: str, event_types: Collection[str], first: str, last: str, page_size: int
    ) -> Iterable[EventKey]:
        return ()

    def get_many(self, keys: Sequence[EventKey]) -> Sequence[Event]:
        return ()


class NullRateLimits:
    """Implements ``RateLimits``: every enrollment enters at once."""

    def take(self, portal_id: str, flow_id: str, limit: RateLimit, now: Instant) -> Instant:
        """Return ``now``."""
        return now


class NullDecisionLog:
    """Implements ``DecisionLog``: nothing is logged."""

    def log_decisions(self, event: Event, decisions: Sequence[Decision], others: Mapping[Code, int]) -> None:
        """Do nothing."""

    def log_rejected(self, event_id: str | None, invalid: InvalidEvent) -> None:
        """Do nothing."""

    def log_skipped(self, event: Event) -> None:
        """Do nothing."""

    def unknown_names(self, event: Event) -> None:
        """Do nothing."""

    def stored_before_creation(self, event: Event, changes: int) -> None:
        """Do nothing."""

    def id_used_before(self, event: Event, enrollment: Enrollment) -> None:
        """Do nothing."""

    def not_decided_again(self, event: Event, left: int) -> None:
        """Do nothing."""

    def log_dry_run(self, event: Event, decisions: Sequence[Decision]) -> None:
        """Do nothing."""
