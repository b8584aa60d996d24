"""The story of an event, from top to bottom.

parse ▸ derive ▸ apply to the record ▸ candidate flows ▸ keep in the history ▸ the event's own rule ▸ match groups ▸
once ▸ criteria ▸ wait ▸ claim ▸ publish ▸ announce ▸ confirm. Parsing comes before (``wire.envelopes``), publishing
after (``delivery``); the order of decisions is in ``domain.decisions``; what makes it exactly once is written in
docs/decisions/0002-claim-publish-confirm.md, how events wait in 0009-tolerance.md, and what is kept of them in
0011-history.md.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from enrollment.delivery import Delivery
from enrollment.domain.candidates import Question
from enrollment.domain.decisions import Code, Decision, Match, decide, judge, judge_unsatisfied
from enrollment.domain.enrollments import Enrolled, StoredEnrollment, enroll
from enrollment.domain.event_types import EventType
from enrollment.domain.events import Event, Occurrence, occurrences
from enrollment.domain.flows import Flow
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.reach import EVERY_FLOW, Reach
from enrollment.domain.records import HISTORY_LENGTH, Record, applied, says_something
from enrollment.domain.values import CLOCK_SKEW_MS, Instant, iso
from enrollment.evaluation import Evaluation
from enrollment.history import EventHistory
from enrollment.ports import Clock, Conflict, Enrollments, Flows, Journal, NewId, RateLimits, Records
from enrollment.waiting import Outdated, Waiting

# Attempts of a change that others are making at the same time; each lost one means that another made progress.
ATTEMPTS = 12

# Where an event triggers more flows than these, those that it does not satisfy are counted, and not named one by one.
ONE_BY_ONE = 100


class Process(Struct, frozen=True):
    event_types: Mapping[str, EventType]
    flows: Flows
    records: Records
    evaluation: Evaluation
    enrollments: Enrollments
    waiting: Waiting
    rate_limits: RateLimits
    history: EventHistory
    delivery: Delivery
    journal: Journal
    clock: Clock
    new_id: NewId
    history_length: int = HISTORY_LENGTH
    one_by_one: int = ONE_BY_ONE

    def __call__(self, event: Event, reach: Reach = EVERY_FLOW) -> tuple[Decision, ...]:
        """One decision for each flow in reach that the event could have enrolled. Raises when a call to AWS failed for
        good, or NotDelivered; the same event delivered again then goes on from where this one stopped."""
        record, decisions = self._decide(event, reach, is_new=True)
        if record is not None and says_something(event):
            self._look_again(record, event)
        return tuple(decisions)

    def again(self, event: Event, flow_ids: frozenset[str], at: Instant) -> tuple[Decision, ...]:
        """What the event was scheduled for: the final decisions that are due, and the publications that were delayed.
        Before its time it is scheduled anew."""
        key, now = event.record_key, self.clock()
        if key is None:
            return ()
        if at > now:
            self.waiting.redeliveries.schedule(event, flow_ids, at)
            return ()
        due = self.waiting.due(event, now) & flow_ids
        decisions: list[Decision] = []
        if due:
            _, decisions = self._decide(event, Reach(due, waits=False))
            self.waiting.forget(event, due)
        found = self.enrollments.find(key, event.id, sorted(flow_ids - due)) if flow_ids - due else {}
        own = [one.own for one in found.values() if one.own is not None and not one.own.is_confirmed]
        self.delivery(event, own)
        return tuple(decisions)

    def _decide(
        self, event: Event, reach: Reach, *, is_new: bool = False, is_kept: bool = False
    ) -> tuple[Record | None, list[Decision]]:
        """``is_new``: it is not decided again. ``is_kept``: that it waits is written, and said, already."""
        for attempt in range(ATTEMPTS):
            try:
                record, decisions, others, undelivered = self._decide_once(
                    event, reach, is_new=is_new and attempt == 0, is_kept=is_kept
                )
            except Outdated:
                continue
            if attempt:
                self.waiting.forget(event, frozenset(one.flow_id for one in decisions if one.code is not Code.WAITING))
            if is_kept:
                decisions = [one for one in decisions if one.code is not Code.WAITING]
            if decisions or not is_kept:
                self.journal.decided(event, decisions, others)
            self.delivery(event, undelivered)
            return record, decisions
        raise Conflict(
            f"record {event.record_key} was changed by others {ATTEMPTS} times while {event.id} looked at it"
        )

    def _decide_once(
        self, event: Event, reach: Reach, *, is_new: bool, is_kept: bool
    ) -> tuple[Record | None, list[Decision], Mapping[Code, int], list[StoredEnrollment]]:
        satisfied = occurrences(event, self.event_types)
        record = self._apply(event)
        now = self.clock()
        concerned = self.flows.concerned(
            event.portal_id, event.object_type_id, self._question(event, satisfied, reach, now)
        )
        candidates = [
            flow
            for flow in concerned.flows
            # A flow that was off already when the event was sent can owe it nothing.
            if reach.has(flow.id) and (flow.is_enabled or _may_have_changed(flow, event, now))
        ]
        if (
            (candidates or concerned.others)
            and record is None
            and event.record_key is not None
            and not says_something(event)
        ):
            record = self.records.get(event.record_key)
        if is_new:
            self._remember(event, record)
        verdicts = [
            (flow, judge(flow, event, satisfied, record, before_activation=reach.before_activation))
            for flow in candidates
        ]
        others: dict[Code, int] = {}
        if reach.flow_ids is None:
            for event_types, count in concerned.others.items():
                code = judge_unsatisfied(event_types, event, satisfied, record)
                others[code] = others.get(code, 0) + count
        if not verdicts:
            return record, [], others, []
        decisions, undelivered = self._enroll(event, record, verdicts, reach, is_kept=is_kept)
        return record, decisions, others, undelivered

    def _question(self, event: Event, satisfied: Sequence[Occurrence], reach: Reach, now: Instant) -> Question:
        """All that an earlier delivery of the event may have decided otherwise than this one would is looked at."""
        if event.sent_at > now:
            return Question(satisfied, changed_since=None)
        return Question(
            satisfied,
            changed_since=min(event.sent_at - CLOCK_SKEW_MS, event.occurred_at),
            named=event.chain if reach.flow_ids is None else reach.flow_ids,
            one_by_one=self.one_by_one,
        )

    def _remember(self, event: Event, record: Record | None) -> None:
        """Before the event can enroll, be it by a change that it waits for: who consumes an enrollment finds its event
        in the history."""
        now = self.clock()
        if event.record_key is not None and self.history.takes(event, now):
            self.history.keep(event, record or self.records.get(event.record_key), now)

    def _apply(self, event: Event) -> Record | None:
        """What the event says about its record, before anything is evaluated. Retried while others change it."""
        key = event.record_key
        if key is None or not says_something(event):
            return None
        for _ in range(ATTEMPTS):
            stored = self.records.get(key)
            record = applied(stored, event, self.history_length)
            if record is None or record is stored:
                return record
            try:
                return self.records.save(record)
            except Conflict:
                continue
        raise Conflict(f"record {key} was changed by others {ATTEMPTS} times while event {event.id} changed it")

    def _enroll(
        self,
        event: Event,
        record: Record | None,
        verdicts: Sequence[tuple[Flow, Match | Decision]],
        reach: Reach,
        *,
        is_kept: bool,
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
            if isinstance(verdict, Match) and flow.is_enabled and _is_open(flow, found.get(flow.id, Enrolled()))
        ]
        against: Mapping[str, Decision | None] = {}
        if record is not None and matched:
            asked = self.evaluation.verdicts(event, record, matched, now, waits=reach.waits)
            against = {flow_id: one.objection for flow_id, one in asked.items()}
        waits = {one.flow_id: one.due_at for one in against.values() if one is not None and one.due_at is not None}
        if waits and record is not None and not is_kept:
            self.waiting.keep(event, record, waits)

        decisions: list[Decision] = []
        undelivered: list[StoredEnrollment] = []
        for flow, verdict in verdicts:
            decision, stored = self._settle(flow, verdict, event, key, against, found.get(flow.id, Enrolled()))
            if decision is not None:
                decisions.append(decision)
            if stored is not None and not stored.is_confirmed:
                undelivered.append(stored)
        return decisions, undelivered

    def _look_again(self, record: Record, cause: Event) -> None:
        """Decides the events again that wait for a change of the record. One that fails keeps none of the others from
        being decided, and has the change delivered again."""
        failures: list[Exception] = []
        for one in self.waiting.of(record, self.clock()):
            if one.event.id == cause.id:
                continue
            try:
                _, decisions = self._decide(one.event, Reach(frozenset(one.flows)), is_kept=True)
                self.waiting.forget(one.event, frozenset(decision.flow_id for decision in decisions))
            except Exception as failure:
                failures.append(failure)
        if failures:
            raise ExceptionGroup(f"event {cause.id}: events that waited for its change could not be decided", failures)

    def _settle(
        self,
        flow: Flow,
        verdict: Match | Decision,
        event: Event,
        key: RecordKey | None,
        against: Mapping[str, Decision | None],
        found: Enrolled,
    ) -> tuple[Decision | None, StoredEnrollment | None]:
        """The decision for one flow, and the enrollment that this event made, now or at an earlier delivery."""
        claimed_id: str | None = None
        due_at: Instant | None = None
        for _ in range(ATTEMPTS):
            if found.own is not None:
                own_id = found.own.enrollment.id
                if own_id == claimed_id:  # the answer to our own write was lost, and the write repeated
                    return _enrolled(flow, found.own), found.own
                because = "this event has enrolled the record before"
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
        raise Conflict(f"flow {flow.id}: the place of event {event.id} could be neither claimed nor read")

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


def _may_have_changed(flow: Flow, event: Event, now: Instant) -> bool:
    """Whether an earlier delivery of the event may have met another revision of the flow."""
    return _may_follow(flow.changed_at, event, now)


def _may_follow(at: Instant, event: Event, now: Instant) -> bool:
    """Whether an earlier delivery of the event may have been before this instant, which was taken from another clock
    than the time of sending. A time of sending in the future is the source's mistake and says nothing."""
    return at >= event.sent_at - CLOCK_SKEW_MS or event.sent_at > now


def _is_open(flow: Flow, found: Enrolled) -> bool:
    """Whether its criteria will be asked."""
    return found.own is None and (found.first is None or flow.should_re_enroll)
