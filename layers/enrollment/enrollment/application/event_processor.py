"""Process an event: apply it to its record, store it in the history, select candidate flows, decide each flow, and
claim and publish the enrollments.

``serialization.envelopes`` reads the event before, and ``application.enrollment_publisher`` publishes afterwards. The
order of decisions is in ``domain.enrollment.decision_steps``. In docs/decisions, 0002-claim-publish-confirm.md
explains why an enrollment happens exactly once, 0009-tolerance.md how decisions are deferred, 0011-history.md what is
stored of an event, and 0018-time-and-order.md how times with whole seconds and the order of arrival are treated.
"""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from msgspec import Struct
from msgspec.structs import replace

from enrollment.application.criteria_evaluator import CriteriaEvaluator
from enrollment.application.deferred_decisions import Deferrals, StaleRecord
from enrollment.application.enrollment_claims import ATTEMPTS, EnrollmentClaims
from enrollment.application.enrollment_publisher import EnrollmentPublisher
from enrollment.application.event_facts import EventFacts, may_follow
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
from enrollment.domain.enrollment.associated_records import changes_for_associated
from enrollment.domain.enrollment.decision_steps import (
    DECISION_STEPS,
    STEPS_OF_LATER_ENTRY,
    FlowContext,
    duplicate_event,
)
from enrollment.domain.enrollment.decisions import Code, Decision, code_of_unsatisfied
from enrollment.domain.enrollment.enrollments import (
    StoredEnrollment,
    TriggerEvent,
    change_cause,
    has_other_content,
    trigger_event,
)
from enrollment.domain.enrollment.processing_scope import ALL_FLOWS, Delivery, ProcessingScope
from enrollment.domain.events.associated_change import AssociatedChange, changed_record
from enrollment.domain.events.causes import change_key
from enrollment.domain.events.event import Event, Occurrence, check_not_in_future
from enrollment.domain.events.event_types import EventType
from enrollment.domain.events.own_types import REQUESTED
from enrollment.domain.flows.candidate_selection import CandidateQuery, Candidates
from enrollment.domain.flows.flow import Flow
from enrollment.domain.flows.record_change import record_change
from enrollment.domain.records.record import (
    HISTORY_LENGTH,
    Record,
    absent,
    affects_record,
    apply_event,
    changes_record,
    occurrences_of,
    with_co_changed_properties,
)
from enrollment.domain.values import CLOCK_SKEW_MS, Instant

# If an event triggers more flows than this, those that it does not match are counted, without a log line each.
MAX_INDIVIDUAL_DECISIONS = 100

# Time for deciding deferred events again after a change of their record. The rest is decided when their tolerance
# ends, with the same result.
REEVALUATION_TIME_MS = 10_000

# Final rejections that a change can still lift if it arrives a little later.
LATE_CHANGES_MAY_LIFT = frozenset({Code.FILTERED_OUT, Code.UNKNOWN_RECORD})


class Attempt(Struct, frozen=True):
    """The result of one attempt to decide an event. ``event``: with the time of its first evaluation. ``counted``: the
    number of flows that were not decided one by one, by their code. ``unpublished``: enrollments by the event that are
    stored and not confirmed. ``for_associated``: the associated records that the change of the record concerns."""

    event: Event
    record: Record | None
    decisions: Sequence[Decision] = ()
    counted: Mapping[Code, int] = MappingProxyType({})
    unpublished: Sequence[StoredEnrollment] = ()
    for_associated: Sequence[AssociatedChange] = ()


class EventProcessor(Struct, frozen=True):
    """``history_length``: changes that are kept of each property. ``max_individual_decisions``: see the constant."""

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
    max_individual_decisions: int = MAX_INDIVIDUAL_DECISIONS

    def process(self, event: Event, scope: ProcessingScope = ALL_FLOWS) -> tuple[Decision, ...]:
        """Decide the event for each flow in scope that it can enroll in, and publish its enrollments. If the same event
        is delivered again, continue where this delivery stopped.

        Raises InvalidEvent for an event that occurs more than a day from now, NotDelivered if the queue or the bus did
        not accept an enrollment, and the errors of AWS.
        """
        check_not_in_future(event, self.clock())
        attempt = self._decide(event, scope)
        if attempt.for_associated:
            # At each delivery, because an earlier one may have stopped before.
            self.deferrals.redeliveries.send(attempt.for_associated)
        if attempt.record is not None and attempt.record.exists and affects_record(event):
            self._reevaluate_deferred(attempt.record, event)
        return tuple(attempt.decisions)

    def resume(self, event: Event, flow_ids: frozenset[str], at: Instant, change: str = "") -> tuple[Decision, ...]:
        """Take the final decisions that are due, and publish the enrollments that a rate limit has delayed. ``at``:
        when the event was to be resumed. Before that time it is scheduled again. ``change``: the name of the change
        that caused the delayed enrollments; empty: the event. Raises as ``process``."""
        key, now = event.record_key, self.clock()
        if key is None:
            return ()
        if at > now:
            self.deferrals.redeliveries.schedule(event, flow_ids, at, change)
            return ()
        # A manual enrollment and a backfill are never deferred, and an event that is deferred can have the same ID.
        is_deferrable = event.event_type.name not in REQUESTED
        due = self.deferrals.due(event, now) & flow_ids if is_deferrable else frozenset[str]()
        decisions: Sequence[Decision] = ()
        if due:
            attempt = self._decide(event, ProcessingScope(due, Delivery.DEFERRAL_DUE))
            decisions = attempt.decisions
            rejected = [decision.flow_id for decision in decisions if decision.code in LATE_CHANGES_MAY_LIFT]
            self.deferrals.finish(event, attempt.record, due, rejected, self.clock())
        delayed = sorted(flow_ids - due)
        # Of the changes of a filter-based flow, the event may have caused enrollments by several.
        cause_key, changes = (change_key(change), dict.fromkeys(delayed, change)) if change else (event.cause_key, {})
        existing = self.enrollments.find(key, cause_key, delayed, changes) if delayed else {}
        stored = [enrollments.for_event for enrollments in existing.values() if enrollments.for_event is not None]
        self.publisher.publish(event, [enrollment for enrollment in stored if not enrollment.is_confirmed])
        return tuple(decisions)

    def _decide(self, event: Event, scope: ProcessingScope) -> Attempt:
        """Attempt until the record does not change between its evaluation and the deferral of a decision. Then log the
        decisions and publish the enrollments."""
        deferred = frozenset[str]()
        for _ in range(ATTEMPTS):
            try:
                attempt = self._attempt(event, scope)
            except StaleRecord as error:
                deferred |= error.deferred
                continue
            # Flows that an earlier attempt deferred, and that this attempt decided, do not wait.
            if deferred:
                waiting = {decision.flow_id for decision in attempt.decisions if decision.code is Code.WAITING}
                self.deferrals.forget(attempt.event, deferred - waiting)
            news = [decision for decision in attempt.decisions if self._is_news(decision, scope)]
            if news or not scope.deferred_until:
                self.decision_log.log_decisions(attempt.event, news, attempt.counted)
            self.publisher.publish(attempt.event, attempt.unpublished)
            return attempt
        raise ConcurrentModification(
            f"record {event.record_key} changed {ATTEMPTS} times while event {event.id} was decided; retrying is safe"
        )

    def _is_news(self, decision: Decision, scope: ProcessingScope) -> bool:
        """Whether the decision was not logged when it was deferred, or when the record was rejected finally."""
        deferred_until = scope.deferred_until.get(decision.flow_id)
        if deferred_until is None:
            return True
        if decision.code is Code.WAITING:
            return decision.due_at is not None and decision.due_at > deferred_until
        return deferred_until > self.clock() or decision.code not in LATE_CHANGES_MAY_LIFT

    def _attempt(self, raw_event: Event, scope: ProcessingScope) -> Attempt:
        """Apply the event to its record, store it, select the candidate flows, decide each, and claim the enrollments.
        Raises StaleRecord if the record changed before a deferred decision was stored."""
        # An explanation or a preview brings the time of the first evaluation with the event.
        is_stored = scope.delivery.stores_event and raw_event.evaluated_at is None
        event, record = self._apply(raw_event, is_stored=is_stored)
        now = self.clock()
        occurrences = self._occurrences(event, record)
        change = record_change(event, None if record is None else with_co_changed_properties(record, event))
        # A flow is not triggered by a change of an associated record that its criteria do not mention.
        listed = () if changed_record(event) is not None else occurrences
        query = replace(self._candidate_query(event, listed, scope, now), change=change)
        selected = self.flows.relevant(event.portal_id, event.object_type_id, query)
        flows = [
            flow
            for flow in selected.flows
            # A flow that was off already when the event was sent cannot enroll by it.
            if scope.has(flow.id)
            and (flow.is_enabled or may_follow(flow.changed_at, event, now))
            and query.concerns(flow)
        ]
        if (flows or selected.counted) and event.record_key is not None and not affects_record(event):
            record = self.records.get(event.record_key)
        if is_stored and not affects_record(event):
            event = self._store_in_history(raw_event, record)
        for_associated = changes_for_associated(change, selected.associated, scope)
        if not flows and not selected.counted:
            return Attempt(event, record, for_associated=for_associated)

        if changed_record(event) is not None and scope.delivery.stores_event:
            self.history.keep(event, record, event.evaluated_at or now)
        facts = EventFacts(event, occurrences, record, flows, scope, now, self.evaluator, self.enrollments, change)
        if is_stored and not changes_record(event) and facts.awaits_record:
            # An event that waits for its record is stored like those whose record is known.
            event = raw_event.evaluated(self.history.keep(raw_event, record, now, is_awaited=True))
            facts = facts.with_event(event, record)
        counted = self._count_unsatisfied(facts, selected)
        self._store_deferrals(facts)
        decisions, unpublished = self._conclude(facts)
        return Attempt(event, record, decisions, counted, unpublished, for_associated)

    def _occurrences(self, event: Event, record: Record | None) -> Sequence[Occurrence]:
        """The catalog rows that the event satisfies."""
        # Before the creation arrives, the record is known in part only. If the known creation is later than the event,
        # an earlier one can still arrive.
        is_known = record is not None and record.exists and record.existed_at(event.latest)
        return occurrences_of(event, self.event_types, record if is_known else None)

    def _candidate_query(
        self, event: Event, occurrences: Sequence[Occurrence], scope: ProcessingScope, now: Instant
    ) -> CandidateQuery:
        """Ask for every flow that an earlier delivery of the event may have decided differently."""
        if event.sent_at > now:
            return CandidateQuery(occurrences, changed_since=None)
        return CandidateQuery(
            occurrences,
            changed_since=min(event.sent_at - CLOCK_SKEW_MS, event.occurred_at),
            named=event.chain if scope.flow_ids is None else scope.flow_ids,
            max_individual_decisions=self.max_individual_decisions,
        )

    def _store_in_history(self, raw_event: Event, record: Record | None) -> Event:
        """Store the event before it can enroll, so that the consumer of an enrollment finds its event. Return the event
        with the time of its first evaluation."""
        now = self.clock()
        if record is None and raw_event.record_key is not None and self.history.takes(raw_event, now):
            record = self.records.get(raw_event.record_key)
        return raw_event.evaluated(self.history.keep(raw_event, record, now))

    def _apply(self, raw_event: Event, *, is_stored: bool) -> tuple[Event, Record | None]:
        """Apply the event to its record, before anything is evaluated. Repeat this while others change the record.
        Return the event with the time of its first evaluation, and the record; None: the event does not affect it."""
        key = raw_event.record_key
        if key is None or not affects_record(raw_event):
            return raw_event.evaluated(self.clock()) if raw_event.evaluated_at is None else raw_event, None
        event, must_store = raw_event, is_stored
        for _ in range(ATTEMPTS):
            stored, now = self.records.get(key), self.clock()
            if must_store and raw_event.depends_on_evaluation(now):
                event, must_store = raw_event.evaluated(self.history.keep(raw_event, stored, now)), False
            elif event.evaluated_at is None:
                event = raw_event.evaluated(now)
            record = apply_event(stored, event, self.history_length)
            if record is not None and record is not stored:
                try:
                    record = self.records.save(record)
                except ConcurrentModification:
                    continue
                if not record.exists and changes_record(event):
                    self.decision_log.stored_before_creation(event, len(record.changes))
            if must_store:
                event = raw_event.evaluated(self.history.keep(raw_event, record, now))
            return event, record
        raise ConcurrentModification(
            f"record {key} changed {ATTEMPTS} times while event {event.id} was applied to it; retrying is safe"
        )

    def _count_unsatisfied(self, facts: EventFacts, selected: Candidates) -> Mapping[Code, int]:
        """Count the flows that the event cannot match, by their code."""
        counted: dict[Code, int] = {}
        if facts.scope.flow_ids is None and selected.counted:
            tolerance = facts.creation_tolerance(None)
            for event_types, count in selected.counted.items():
                code = code_of_unsatisfied(event_types, facts.event, facts.occurrences, facts.record, tolerance)
                counted[code] = counted.get(code, 0) + count
        return counted

    def _store_deferrals(self, facts: EventFacts) -> None:
        """Store which decisions wait for late data, before anything is claimed. Raises StaleRecord."""
        deferred_until = facts.scope.deferred_until
        deferrals: dict[str, Instant] = {}
        for context in facts.contexts:
            decision = context.rejection(DECISION_STEPS) if context.flow.is_enabled else None
            if decision is None or decision.code is not Code.WAITING or decision.due_at is None:
                continue
            if decision.due_at > deferred_until.get(context.flow.id, 0):
                deferrals[context.flow.id] = decision.due_at
        key = facts.event.record_key
        if deferrals and key is not None:
            self.deferrals.keep(facts.event, facts.record or absent(key), deferrals, extends=bool(deferred_until))

    def _conclude(self, facts: EventFacts) -> tuple[Sequence[Decision], Sequence[StoredEnrollment]]:
        """Claim the enrollments. Return the decisions, and the enrollments by this event that are not confirmed."""
        claimed: list[tuple[Flow, Decision, StoredEnrollment | None]] = []
        for context in facts.contexts:
            existing = context.existing.for_event
            if (
                existing is not None
                and existing.enrollment.cause.event_id == facts.event.id
                and has_other_content(existing.enrollment.cause, facts.event, facts.occurrences)
            ):
                self.decision_log.id_used_before(facts.event, existing.enrollment)
            if not context.flow.is_enabled and duplicate_event(context) is None:
                continue  # A flow that is off decides nothing.
            claimed.append((context.flow, *self._claim(context)))
        facts_after_claims = self._facts_after_claims(facts, claimed)
        decisions: list[Decision] = []
        unpublished: list[StoredEnrollment] = []
        for flow, decision, stored in claimed:
            decisions.append(decision)
            if stored is None:
                continue
            results = [(decision, stored), *self._later_entries(facts_after_claims, flow, stored)]
            decisions += [each for each, _ in results[1:] if each.code is not Code.DUPLICATE_EVENT]
            unpublished += [each for _, each in results if each is not None and not each.is_confirmed]
        return decisions, unpublished

    def _facts_after_claims(
        self, facts: EventFacts, claimed: Sequence[tuple[Flow, Decision, StoredEnrollment | None]]
    ) -> EventFacts:
        """Read the record again if a first enrollment in a filter-based flow can be followed by those of later changes.
        The event of a change that was stored meanwhile may have been decided before the first enrollment was
        claimed."""
        has_triggers = any(
            stored is not None and not stored.is_confirmed and _may_enter_again(facts, flow, stored)
            for flow, _, stored in claimed
        )
        key = facts.event.record_key
        record = self.records.get(key) if has_triggers and key is not None else None
        if record is None or not record.exists or record == facts.record:
            return facts
        return facts.with_event(facts.event, record)

    def _later_entries(
        self, facts: EventFacts, flow: Flow, first: StoredEnrollment
    ) -> Iterator[tuple[Decision, StoredEnrollment | None]]:
        """If the event, which arrived late, made the first enrollment in a filter-based flow, claim those by the later
        changes at which a re-enrollment trigger occurs. A redelivery repeats this until the first enrollment is
        confirmed, and after that for changes that mean the same as then: a change that arrived since can make
        another trigger occur."""
        if not _may_enter_again(facts, flow, first):
            return
        claims = EnrollmentClaims(self.enrollments, self.rate_limits, self.clock, self.new_id)
        for later in facts.later_entries(flow):
            is_left = not first.is_confirmed or later.are_as_of(first.enrollment.enrolled_at, flow)
            if is_left or later.existing(flow).for_event is not None:
                context = FlowContext(flow, later, matches=[later.match])
                yield claims.claim(context, STEPS_OF_LATER_ENTRY, _cause_of)

    def _claim(self, context: FlowContext) -> tuple[Decision, StoredEnrollment | None]:
        """Enroll the record in the flow unless a step rejects it. Return the decision, and the enrollment that this
        event made, now or at an earlier delivery."""
        claims = EnrollmentClaims(self.enrollments, self.rate_limits, self.clock, self.new_id)
        return claims.claim(context, DECISION_STEPS, _cause_of)

    def _reevaluate_deferred(self, record: Record, cause: Event) -> None:
        """Decide the events again that wait for a change of the record. Errors are collected and raised together at the
        end, so that the other events are still decided and the change is delivered again."""
        started, errors = self.clock(), list[Exception]()
        deferred_events = [other for other in self.deferrals.of(record, started) if other.event.id != cause.id]
        processor = replace(self, evaluator=self.evaluator.shared()) if len(deferred_events) > 1 else self
        for number, deferred in enumerate(deferred_events):
            if self.clock() - started > REEVALUATION_TIME_MS:
                self.decision_log.not_decided_again(cause, len(deferred_events) - number)
                break
            try:
                processor._decide_deferred(deferred.event, deferred.awaiting(self.clock()))
            except Exception as error:
                errors.append(error)
        if errors:
            raise ExceptionGroup(f"event {cause.id}: events that waited for its change could not be decided", errors)

    def _decide_deferred(self, event: Event, deferred_until: Mapping[str, Instant]) -> None:
        """Decide an event again for the flows that wait for late data. End the deferral of those that make a final
        decision. ``deferred_until``: the end of the tolerance, by flow ID."""
        if not deferred_until:
            return
        scope = ProcessingScope(frozenset(deferred_until), Delivery.RECORD_CHANGED, deferred_until)
        decisions = self._decide(event, scope).decisions
        final_flow_ids = frozenset(
            decision.flow_id
            for decision in decisions
            if decision.code is not Code.WAITING and self._is_news(decision, scope)
        )
        self.deferrals.forget(event, final_flow_ids)


def _may_enter_again(facts: EventFacts, flow: Flow, stored: StoredEnrollment) -> bool:
    """Whether the event has made the first enrollment in a filter-based flow with re-enrollment triggers."""
    enrollment = stored.enrollment
    is_first = not enrollment.is_re_enrollment and enrollment.cause.event_id == facts.event.id
    return is_first and flow.entry is not None and bool(flow.entry.re_enrollment)


def _cause_of(context: FlowContext) -> TriggerEvent:
    """Return the event as the cause of an enrollment, or in a filter-based flow the change that enrolls."""
    event, entry = context.facts.event, context.entry
    if entry is None:
        return trigger_event(context.match, event)
    is_first = context.existing.first is None
    return change_cause(context.match, event, entry.transition(is_first=is_first).at, entry.name(is_first=is_first))
