"""Process an event: apply it to its record, store it in the history, select candidate flows, decide each flow, and
claim and publish the enrollments.

``serialization.envelopes`` reads the event before, and ``application.enrollment_publisher`` publishes afterwards. The
order of decisions is in ``domain.enrollment.decisions``. In docs/decisions, 0002-claim-publish-confirm.md explains why
an enrollment happens exactly once, 0009-tolerance.md how decisions are deferred, 0011-history.md what is stored of an
event, and 0018-time-and-order.md how times with whole seconds and the order of arrival are treated.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from msgspec import Struct
from msgspec.structs import replace

from enrollment.application.criteria_evaluator import CriteriaEvaluator
from enrollment.application.deferred_decisions import Deferrals, StaleRecord
from enrollment.application.enrollment_publisher import EnrollmentPublisher
from enrollment.application.event_history import EventHistory
from enrollment.application.ports import (
    Clock,
    ConcurrentModification,
    DecisionLog,
    Enrollments,
    Flows,
    NewId,
    RateLimits,
    Records,
)
from enrollment.domain.enrollment.decisions import (
    Code,
    Decision,
    Match,
    decide,
    judge,
    judge_event,
    judge_unsatisfied,
    may_become_known,
    waiting,
)
from enrollment.domain.enrollment.enrollments import ExistingEnrollments, StoredEnrollment, enroll, has_other_content
from enrollment.domain.enrollment.late_data_tolerance import ends_at
from enrollment.domain.enrollment.processing_scope import ALL_FLOWS, ProcessingScope
from enrollment.domain.events.event import Event, Occurrence, check_not_in_future
from enrollment.domain.events.event_types import EventType
from enrollment.domain.flows.candidate_selection import CandidateQuery
from enrollment.domain.flows.flow import Flow
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.record import (
    HISTORY_LENGTH,
    Record,
    absent,
    affects_record,
    apply_event,
    changes_record,
    occurrences_of,
)
from enrollment.domain.values import CLOCK_SKEW_MS, Instant, iso

# Attempts of a change that others are making at the same time; each lost one means that another made progress.
ATTEMPTS = 12

# Where an event triggers more flows than these, those that it does not satisfy are counted, and not logged each.
MAX_INDIVIDUAL_DECISIONS = 100

# Milliseconds for deciding waiting events again after a change of their record. Those that are left are decided when
# their tolerance ends, with the same result.
REEVALUATION_TIME_MS = 10_000

# Rejections at the end of a tolerance that a change can lift if it arrives a little later.
LATE_CHANGES_MAY_LIFT = frozenset({Code.FILTERED_OUT, Code.UNKNOWN_RECORD})

NOT_WAITING: Mapping[str, Instant] = MappingProxyType({})


class _Outcome(Struct, frozen=True):
    """``event``: with the time of its first evaluation. ``unpublished``: enrollments of the event that are stored and
    not confirmed."""

    event: Event
    record: Record | None
    decisions: Sequence[Decision] = ()
    others: Mapping[Code, int] = MappingProxyType({})
    unpublished: Sequence[StoredEnrollment] = ()


class EventProcessor(Struct, frozen=True):
    event_types: Mapping[str, EventType]
    flows: Flows
    records: Records
    evaluator: CriteriaEvaluator
    enrollments: Enrollments
    deferrals: Deferrals
    rate_limits: RateLimits
    history: EventHistory
    publisher: EnrollmentPublisher
    decision_log: DecisionLog
    clock: Clock
    new_id: NewId
    history_length: int = HISTORY_LENGTH
    one_by_one: int = MAX_INDIVIDUAL_DECISIONS

    def process(self, event: Event, reach: ProcessingScope = ALL_FLOWS) -> tuple[Decision, ...]:
        """One decision for each flow in reach that the event could have enrolled.

        Raises InvalidEvent for an event that occurs more than a day from now, NotDelivered, and the errors of AWS. The
        same event delivered again continues where this delivery stopped.
        """
        check_not_in_future(event, self.clock())
        outcome = self._decide(event, reach, is_new=True)
        if outcome.record is not None and outcome.record.exists and affects_record(event):
            self._reevaluate_deferred(outcome.record, event)
        return tuple(outcome.decisions)

    def resume(self, event: Event, flow_ids: frozenset[str], at: Instant) -> tuple[Decision, ...]:
        """What the event was scheduled for: the final decisions that are due, and the publications that were delayed.
        Before its time it is scheduled again."""
        key, now = event.record_key, self.clock()
        if key is None:
            return ()
        if at > now:
            self.deferrals.redeliveries.schedule(event, flow_ids, at)
            return ()
        due = self.deferrals.due(event, now) & flow_ids
        decisions: Sequence[Decision] = ()
        if due:
            outcome = self._decide(event, ProcessingScope(due, waits=False))
            decisions = outcome.decisions
            rejected = [one.flow_id for one in decisions if one.code in LATE_CHANGES_MAY_LIFT]
            self.deferrals.finish(event, outcome.record, due, rejected, self.clock())
        found = self.enrollments.find(key, event.id, sorted(flow_ids - due)) if flow_ids - due else {}
        own = [one.own for one in found.values() if one.own is not None and not one.own.is_confirmed]
        self.publisher(event, own)
        return tuple(decisions)

    def _decide(
        self, event: Event, reach: ProcessingScope, *, is_new: bool = False, kept: Mapping[str, Instant] = NOT_WAITING
    ) -> _Outcome:
        """``is_new``: a delivery of the event, as opposed to a decision of an event that waits. ``kept``: the flows for
        which it waits already, with the end of their tolerance."""
        for attempt in range(ATTEMPTS):
            try:
                outcome = self._decide_once(event, reach, is_new=is_new, kept=kept)
            except StaleRecord:
                continue
            if attempt:
                decided = frozenset(one.flow_id for one in outcome.decisions if one.code is not Code.WAITING)
                self.deferrals.forget(outcome.event, decided)
            news = [one for one in outcome.decisions if self._is_news(one, kept)]
            if news or not kept:
                self.decision_log.log_decisions(outcome.event, news, outcome.others)
            self.publisher(outcome.event, outcome.unpublished)
            return outcome
        raise ConcurrentModification(
            f"record {event.record_key} was changed by others {ATTEMPTS} times while {event.id} was decided"
        )

    def _is_news(self, decision: Decision, kept: Mapping[str, Instant]) -> bool:
        """Whether the decision says something that was not logged when the event began to wait, or was rejected."""
        ends = kept.get(decision.flow_id)
        if ends is None:
            return True
        if decision.code is Code.WAITING:
            return decision.due_at is not None and decision.due_at > ends
        return ends > self.clock() or decision.code not in LATE_CHANGES_MAY_LIFT

    def _decide_once(
        self, event: Event, reach: ProcessingScope, *, is_new: bool, kept: Mapping[str, Instant]
    ) -> _Outcome:
        record: Record | None = None
        given, changes = event, affects_record(event)
        # An explanation or a preview brings the time with the event.
        is_new = is_new and event.evaluated_at is None
        if event.evaluated_at is None:
            event = event.evaluated(self.clock())
        if changes:
            event, record = self._apply(given, is_new=is_new)
        now = self.clock()
        # What is stored before a creation is not all that the creation will tell. If the known creation is later than
        # the event, an earlier one can still arrive.
        existing = record if record is not None and record.exists and record.existed_at(event.latest) else None
        satisfied = occurrences_of(event, self.event_types, existing)
        concerned = self.flows.concerned(
            event.portal_id, event.object_type_id, self._question(event, satisfied, reach, now)
        )
        candidates = [
            flow
            for flow in concerned.flows
            # A flow that was off already when the event was sent cannot enroll by it.
            if reach.has(flow.id) and (flow.is_enabled or _may_have_changed(flow, event, now))
        ]
        if (candidates or concerned.others) and event.record_key is not None and not changes:
            record = self.records.get(event.record_key)
        if is_new and not changes:
            event = self._record_in_history(given, record)
        verdicts = [(flow, self._judge(flow, event, satisfied, record, reach, now)) for flow in candidates]
        if is_new and not changes_record(event) and any(_is_waiting(verdict) for _, verdict in verdicts):
            # An event that waits for its record is kept like those whose record is known.
            event = given.evaluated(self.history.keep(given, record, now, is_awaited=True))
            verdicts = [(flow, self._judge(flow, event, satisfied, record, reach, now)) for flow in candidates]
        others: dict[Code, int] = {}
        if reach.flow_ids is None and concerned.others:
            tolerance = self._creation_tolerance(event, record, None)
            for event_types, count in concerned.others.items():
                code = judge_unsatisfied(event_types, event, satisfied, record, tolerance)
                others[code] = others.get(code, 0) + count
        if not verdicts:
            return _Outcome(event, record, others=others)
        decisions, unpublished = self._enroll(event, record, verdicts, satisfied, reach, kept)
        return _Outcome(event, record, decisions, others, unpublished)

    def _question(
        self, event: Event, satisfied: Sequence[Occurrence], reach: ProcessingScope, now: Instant
    ) -> CandidateQuery:
        """All that an earlier delivery of the event may have decided otherwise than this one would is looked at."""
        if event.sent_at > now:
            return CandidateQuery(satisfied, changed_since=None)
        return CandidateQuery(
            satisfied,
            changed_since=min(event.sent_at - CLOCK_SKEW_MS, event.occurred_at),
            named=event.chain if reach.flow_ids is None else reach.flow_ids,
            one_by_one=self.one_by_one,
        )

    def _record_in_history(self, event: Event, record: Record | None) -> Event:
        """Keep the event in the history, before it can enroll: who consumes an enrollment finds its event there. Return
        the event with the time of its first evaluation."""
        now = self.clock()
        if record is None and event.record_key is not None and self.history.takes(event, now):
            record = self.records.get(event.record_key)
        return event.evaluated(self.history.keep(event, record, now))

    def _apply(self, event: Event, *, is_new: bool) -> tuple[Event, Record | None]:
        """Apply the change that the event brings to its record, before anything is evaluated. Retried while others
        change the record. Return the event with the time of its first evaluation, and the record."""
        key = event.record_key
        assert key is not None
        given, is_remembered = event, not is_new
        for _ in range(ATTEMPTS):
            stored, now = self.records.get(key), self.clock()
            if not is_remembered and given.depends_on_evaluation(now):
                event, is_remembered = given.evaluated(self.history.keep(given, stored, now)), True
            elif event.evaluated_at is None:
                event = given.evaluated(now)
            record = apply_event(stored, event, self.history_length)
            if record is not None and record is not stored:
                try:
                    record = self.records.save(record)
                except ConcurrentModification:
                    continue
                if not record.exists and changes_record(event):
                    self.decision_log.stored_before_creation(event, len(record.changes))
            if not is_remembered:
                event = given.evaluated(self.history.keep(given, record, now))
            return event, record
        raise ConcurrentModification(
            f"record {key} was changed by others {ATTEMPTS} times while event {event.id} changed it"
        )

    def _judge(
        self,
        flow: Flow,
        event: Event,
        satisfied: Sequence[Occurrence],
        record: Record | None,
        reach: ProcessingScope,
        now: Instant,
    ) -> Match | Decision:
        """Steps 2 to 6 of the order of decisions."""
        before_activation = reach.before_activation
        tolerance = self._creation_tolerance(event, record, flow)
        verdict = judge(flow, event, satisfied, record, before_activation=before_activation, record_tolerance=tolerance)
        if not (reach.waits and isinstance(verdict, Decision) and may_become_known(event, record)):
            return verdict
        assert event.record_key is not None
        unknown = absent(event.record_key)
        if_known = judge_event(flow, event, satisfied, unknown, before_activation=before_activation)
        if not isinstance(if_known, Match):
            return verdict
        tolerance = self.evaluator.record_tolerance(event.portal_id, flow)
        until = ends_at(event, tolerance, now)
        return waiting(verdict, until) if tolerance and until > now else verdict

    def _creation_tolerance(self, event: Event, record: Record | None, flow: Flow | None) -> int:
        """Milliseconds by which the record may be created after the event; read only where it was. ``flow`` None: that
        of the portal."""
        if record is None or not record.exists or record.existed_at(event.latest):
            return 0
        if not event.event_type.may_create_record:
            return 0
        return self.evaluator.record_tolerance(event.portal_id, flow)

    def _enroll(
        self,
        event: Event,
        record: Record | None,
        verdicts: Sequence[tuple[Flow, Match | Decision]],
        satisfied: Sequence[Occurrence],
        reach: ProcessingScope,
        kept: Mapping[str, Instant],
    ) -> tuple[list[Decision], list[StoredEnrollment]]:
        """Steps 1 and 7 to 11 of the order of decisions."""
        key = event.record_key
        now = self.clock()
        is_deleted = record is not None and record.deleted_at is not None and _may_follow(record.deleted_at, event, now)
        doubtful = [
            flow.id
            for flow, verdict in verdicts
            if isinstance(verdict, Match) or is_deleted or _may_have_changed(flow, event, now)
        ]
        found = self.enrollments.find(key, event.id, doubtful) if key and doubtful else {}

        matched = [
            flow
            for flow, verdict in verdicts
            if isinstance(verdict, Match)
            and flow.is_enabled
            and _is_open(flow, found.get(flow.id, ExistingEnrollments()))
        ]
        against: Mapping[str, Decision | None] = {}
        if record is not None and matched:
            results = self.evaluator.verdicts(event, record, matched, now, waits=reach.waits)
            against = {flow_id: one.objection for flow_id, one in results.items()}
        of_event = (verdict for flow, verdict in verdicts if isinstance(verdict, Decision) and flow.is_enabled)
        undecided = [*against.values(), *of_event]
        waits = {
            one.flow_id: one.due_at
            for one in undecided
            if one is not None and one.due_at is not None and one.due_at > kept.get(one.flow_id, 0)
        }
        if waits and key is not None:
            self.deferrals.keep(event, record or absent(key), waits, extends=bool(kept))

        decisions: list[Decision] = []
        unpublished: list[StoredEnrollment] = []
        for flow, verdict in verdicts:
            before = found.get(flow.id, ExistingEnrollments())
            if before.own is not None and has_other_content(before.own.enrollment.cause, event, satisfied):
                self.decision_log.id_used_before(event, before.own.enrollment)
            decision, stored = self._settle(flow, verdict, event, key, against, before)
            if decision is not None:
                decisions.append(decision)
            if stored is not None and not stored.is_confirmed:
                unpublished.append(stored)
        return decisions, unpublished

    def _reevaluate_deferred(self, record: Record, cause: Event) -> None:
        """Decide the events again that wait for a change of the record. Errors are collected and raised together at the
        end, so that the other events are still decided and the change is delivered again."""
        started, failures = self.clock(), list[Exception]()
        waiting_events = [one for one in self.deferrals.of(record, started) if one.event.id != cause.id]
        processor = replace(self, evaluator=self.evaluator.shared()) if len(waiting_events) > 1 else self
        for number, waiting_event in enumerate(waiting_events):
            if self.clock() - started > REEVALUATION_TIME_MS:
                self.decision_log.not_decided_again(cause, len(waiting_events) - number)
                break
            try:
                processor._decide_waiting(waiting_event.event, waiting_event.awaiting(self.clock()))
            except Exception as failure:
                failures.append(failure)
        if failures:
            raise ExceptionGroup(f"event {cause.id}: events that waited for its change could not be decided", failures)

    def _decide_waiting(self, event: Event, kept: Mapping[str, Instant]) -> None:
        if not kept:
            return
        decisions = self._decide(event, ProcessingScope(frozenset(kept)), kept=kept).decisions
        final = [one for one in decisions if one.code is not Code.WAITING and self._is_news(one, kept)]
        self.deferrals.forget(event, frozenset(one.flow_id for one in final))

    def _settle(
        self,
        flow: Flow,
        verdict: Match | Decision,
        event: Event,
        key: RecordKey | None,
        against: Mapping[str, Decision | None],
        found: ExistingEnrollments,
    ) -> tuple[Decision | None, StoredEnrollment | None]:
        """The decision for one flow, and the enrollment that this event made, now or at an earlier delivery."""
        claimed_id: str | None = None
        due_at: Instant | None = None
        for _ in range(ATTEMPTS):
            if found.own is not None:
                own_id = found.own.enrollment.id
                if own_id == claimed_id:  # the answer to our own write was lost, and the write repeated
                    return _enrolled(flow, found.own), found.own
                because = "an event with this ID has enrolled the record before"
                return decide(flow, Code.DUPLICATE_EVENT, because, own_id), found.own
            if not flow.is_enabled:
                return None, None
            if isinstance(verdict, Decision) or key is None:
                return verdict if isinstance(verdict, Decision) else None, None
            if found.first is not None and not flow.should_re_enroll:
                because = f"enrolled before, by event {found.first.enrollment.cause.event_id}"
                return decide(flow, Code.ALREADY_ENROLLED, because, found.first.enrollment.id), None
            objection = against[flow.id]
            if objection is not None:
                return objection, None

            now = self.clock()
            if claimed_id is None:
                claimed_id = self.new_id(now)
                due_at = self._due_at(flow, now)
            enrollment = enroll(
                flow,
                verdict,
                event,
                key,
                enrolled_before=found.first is not None,
                enrollment_id=claimed_id,
                now=now,
            )
            if self.enrollments.claim(enrollment, due_at, event.chain):
                stored = StoredEnrollment(enrollment, due_at=due_at)
                return _enrolled(flow, stored), stored
            # Another event, or another delivery of this one, was between our read and our write: look again.
            found = self.enrollments.find(key, event.id, [flow.id])[flow.id]
        raise ConcurrentModification(f"flow {flow.id}: the place of event {event.id} could be neither claimed nor read")

    def _due_at(self, flow: Flow, now: Instant) -> Instant | None:
        """When the flow's limit lets one more enter; None: at once."""
        if flow.rate_limit is None:
            return None
        enters_at = self.rate_limits.take(flow.portal_id, flow.id, flow.rate_limit, now)
        return enters_at if enters_at > now else None


def _enrolled(flow: Flow, stored: StoredEnrollment) -> Decision:
    because = "the record enters the flow"
    if stored.due_at is not None:
        because = f"{because}; the flow's limit delays it until {iso(stored.due_at)}"
    return replace(decide(flow, Code.ENROLLED, because, stored.enrollment.id), due_at=stored.due_at)


def _is_waiting(verdict: Match | Decision) -> bool:
    return isinstance(verdict, Decision) and verdict.code is Code.WAITING


def _may_have_changed(flow: Flow, event: Event, now: Instant) -> bool:
    """Whether an earlier delivery of the event may have met another revision of the flow."""
    return _may_follow(flow.changed_at, event, now)


def _may_follow(at: Instant, event: Event, now: Instant) -> bool:
    """Whether an earlier delivery of the event may have been before this instant, which was taken from another clock
    than the time of sending. A time of sending in the future is the source's mistake and says nothing."""
    return at >= event.sent_at - CLOCK_SKEW_MS or event.sent_at > now


def _is_open(flow: Flow, found: ExistingEnrollments) -> bool:
    """Whether its criteria will be asked."""
    return found.own is None and (found.first is None or flow.should_re_enroll)
