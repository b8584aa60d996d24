"""The story of an event without its consequences: every decision, by the production path, and no write and no message.

The ports that write are replaced by ones that remember; what they remember is seen by the reads that follow, so that a
simulated event finds the record that it would have changed, and the next one the enrollments that it would have made.
What the event would have others decide, as the events that wait for its change, is left out.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from enrollment.application.criteria_evaluator import CriteriaEvaluator, CriteriaResult
from enrollment.application.deferred_decisions import Deferrals
from enrollment.application.enrollment_publisher import EnrollmentPublisher
from enrollment.application.event_history import EventHistory
from enrollment.application.event_processor import EventProcessor
from enrollment.application.ports import Clock, Enrollments, EventHistoryStore, Flows, NewId, Records
from enrollment.domain.enrollment.decisions import Code, Decision
from enrollment.domain.enrollment.enrollments import Announcement, Enrollment, ExistingEnrollments, StoredEnrollment
from enrollment.domain.enrollment.explanations import Explanation, explain
from enrollment.domain.enrollment.late_data_tolerance import DeferredEvent
from enrollment.domain.enrollment.processing_scope import ALL_FLOWS, ProcessingScope
from enrollment.domain.events.event import Event, InvalidEvent
from enrollment.domain.events.event_types import EventType
from enrollment.domain.flows.candidate_selection import CandidateQuery, Candidates
from enrollment.domain.flows.flow import Flow
from enrollment.domain.flows.rate_limit import RateLimit
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.record import Record, occurrences_of
from enrollment.domain.values import Instant


def simulated(processor: EventProcessor, event: Event, scope: ProcessingScope = ALL_FLOWS) -> tuple[Decision, ...]:
    """The decisions that the process would take on the event now. An enrollment that it would make has no id. Raises as
    the process does."""
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
    """The process to be simulated where there is nothing that writes."""
    nowhere = NullPublisher()
    return EventProcessor(
        event_types=event_types,
        flows=flows,
        records=records,
        evaluator=evaluator,
        enrollments=enrollments,
        deferrals=Deferrals(NullDeferredEvents(), records, nowhere),
        rate_limits=NullRateLimits(),
        history=EventHistory(_FirstEvaluations(history.events), history.days),
        publisher=EnrollmentPublisher(enrollments, nowhere, nowhere, nowhere, clock),
        decision_log=NullDecisionLog(),
        clock=clock,
        new_id=new_id,
        history_length=history_length,
    )


class Simulation:
    """Events in a row. ``records``: stand in the place of the stored ones. ``sees``: which of the stored enrollments
    are there."""

    def __init__(
        self,
        processor: EventProcessor,
        records: Iterable[Record] = (),
        *,
        sees: Callable[[StoredEnrollment], bool] = lambda stored: True,
    ) -> None:
        self._flows = _Flows(processor.flows)
        self._records = _Records(processor.records, {one.key: one for one in records})
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
        """Raises as the process does."""
        decisions = self._processor.process(event, scope)
        made = self._enrollments.ids
        return tuple(replace(one, enrollment_id=None) if one.enrollment_id in made else one for one in decisions)

    def explain(self, event: Event, scope: ProcessingScope = ALL_FLOWS) -> tuple[Explanation, ...]:
        """The decisions, each with all that it rests on. Raises as the process does."""
        decisions = self.decide(event, scope)
        flows = [self._flows.seen[one.flow_id] for one in decisions]
        record = None if event.record_key is None else self._records.get(event.record_key)
        verdicts: Mapping[str, CriteriaResult] = {}
        if flows and record is not None and record.exists and record.existed_at(record.moment(event).latest):
            now = self._processor.clock()
            verdicts = self._processor.evaluator.verdicts(event, record, flows, now, waits=scope.delivery.may_defer)
        satisfied = occurrences_of(event, self._processor.event_types, record)
        return tuple(
            explain(flow, decision, satisfied, verdicts[flow.id].subject if flow.id in verdicts else None)
            for flow, decision in zip(flows, decisions, strict=True)
        )


class Drafts(Struct, frozen=True):
    """Flows in the place of those that are stored."""

    flows: Sequence[Flow]

    def candidates(self, portal_id: str, object_type_id: str, event_types: Sequence[str]) -> Sequence[Flow]:
        return [
            one
            for one in self.flows
            if (one.portal_id, one.object_type_id) == (portal_id, object_type_id)
            and one.event_types.intersection(event_types)
        ]

    def concerned(self, portal_id: str, object_type_id: str, question: CandidateQuery) -> Candidates:
        return Candidates(self.candidates(portal_id, object_type_id, question.event_types))

    def of_batch(self) -> "Drafts":
        return self


class _Flows(Struct, frozen=True):
    """Remembers which flows were looked at."""

    stored: Flows
    seen: dict[str, Flow] = field(default_factory=dict)

    def candidates(self, portal_id: str, object_type_id: str, event_types: Sequence[str]) -> Sequence[Flow]:
        found = self.stored.candidates(portal_id, object_type_id, event_types)
        self.seen.update({one.id: one for one in found})
        return found

    def concerned(self, portal_id: str, object_type_id: str, question: CandidateQuery) -> Candidates:
        """All of them: each is to be shown with its reasons."""
        return Candidates(self.candidates(portal_id, object_type_id, question.event_types))

    def of_batch(self) -> "_Flows":
        return replace(self, stored=self.stored.of_batch())


class _Records(Struct, frozen=True):
    stored: Records
    changed: dict[RecordKey, Record] = field(default_factory=dict)

    def get(self, key: RecordKey) -> Record | None:
        return self.changed.get(key) or self.stored.get(key)

    def get_many(self, keys: Sequence[RecordKey]) -> Mapping[RecordKey, Record]:
        return {**self.stored.get_many(keys), **{key: self.changed[key] for key in keys if key in self.changed}}

    def save(self, record: Record) -> Record:
        self.changed[record.key] = record
        return record


def no_enrollments(stored: StoredEnrollment) -> bool:
    """Nobody has been enrolled before."""
    return False


class _Enrollments(Struct, frozen=True):
    stored: Enrollments
    sees: Callable[[StoredEnrollment], bool]
    claimed: dict[tuple[RecordKey, str], list[StoredEnrollment]] = field(default_factory=dict)
    ids: set[str] = field(default_factory=set)

    def find(self, record_key: RecordKey, event_id: str, flow_ids: Sequence[str]) -> Mapping[str, ExistingEnrollments]:
        found = self.stored.find(record_key, event_id, flow_ids)
        return {flow_id: self._seen(record_key, flow_id, event_id, one) for flow_id, one in found.items()}

    def _seen(
        self, record_key: RecordKey, flow_id: str, event_id: str, found: ExistingEnrollments
    ) -> ExistingEnrollments:
        claimed = self.claimed.get((record_key, flow_id), [])
        mine = next((one for one in claimed if one.enrollment.cause.event_id == event_id), None)
        first = found.first if found.first is not None and self.sees(found.first) else next(iter(claimed), None)
        return ExistingEnrollments(first, found.own if found.own is not None and self.sees(found.own) else mine)

    def claim(self, enrollment: Enrollment, due_at: Instant | None = None, chain: tuple[str, ...] = ()) -> bool:
        place = (enrollment.record_key, enrollment.flow_id)
        self.claimed.setdefault(place, []).append(StoredEnrollment(enrollment, due_at=due_at))
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
    """Takes everything."""

    def publish(self, enrollments: Sequence[Enrollment]) -> Iterable[str]:
        return [one.id for one in enrollments]

    def announce(self, announcements: Sequence[Announcement]) -> Iterable[str]:
        return [one.enrollment.id for one in announcements]

    def schedule(self, event: Event, flow_ids: Iterable[str], at: Instant) -> None:
        pass


class NullDeferredEvents:
    def get(self, record: RecordKey, event_id: str) -> DeferredEvent | None:
        return None

    def of(self, record: RecordKey, limit: int) -> Sequence[DeferredEvent]:
        return ()

    def save(self, waiting: DeferredEvent) -> None:
        pass


class _FirstEvaluations(Struct, frozen=True):
    """An event that was evaluated before is simulated as it was then."""

    events: EventHistoryStore

    def keep(self, event: Event, until: Instant) -> Instant:
        first = self.first_evaluation(event)
        return (event.evaluated_at or event.occurred_at) if first is None else first

    keep_evaluation = keep

    def first_evaluation(self, event: Event) -> Instant | None:
        return self.events.first_evaluation(event)

    def of_record(self, record: RecordKey, first: str, last: str, *, newest_first: bool) -> Iterable[Event]:
        return ()

    def of_types(self, portal_id: str, event_types: Collection[str], first: str, last: str) -> Iterable[Event]:
        return ()


class NullRateLimits:
    def take(self, portal_id: str, flow_id: str, limit: RateLimit, now: Instant) -> Instant:
        return now


class NullDecisionLog:
    def log_decisions(self, event: Event, decisions: Sequence[Decision], others: Mapping[Code, int]) -> None:
        pass

    def log_rejected(self, event_id: str | None, invalid: InvalidEvent) -> None:
        pass

    def log_skipped(self, event: Event) -> None:
        pass

    def stored_before_creation(self, event: Event, changes: int) -> None:
        pass

    def id_used_before(self, event: Event, enrollment: Enrollment) -> None:
        pass

    def not_decided_again(self, event: Event, left: int) -> None:
        pass

    def log_dry_run(self, event: Event, decisions: Sequence[Decision]) -> None:
        pass
