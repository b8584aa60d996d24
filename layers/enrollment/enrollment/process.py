"""The story of an event, from top to bottom.

parse ▸ derive ▸ apply to the record ▸ candidate flows ▸ the event's own rule ▸ match groups ▸ once ▸ criteria ▸ claim ▸
publish ▸ announce ▸ confirm. Parsing comes before (``wire.envelopes``); the order of decisions is in
``domain.decisions``; what makes it exactly once is written in docs/decisions/0002-claim-publish-confirm.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from enrollment.domain.decisions import Code, Decision, Match, criteria_verdict, decide, judge
from enrollment.domain.enrollments import Announcement, Enrolled, StoredEnrollment, enroll
from enrollment.domain.event_types import EventType
from enrollment.domain.events import Event, occurrences
from enrollment.domain.flows import Flow
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records import HISTORY_LENGTH, Record, applied, says_something, with_companions
from enrollment.domain.subjects import Subject
from enrollment.domain.values import Instant
from enrollment.evaluation import Evaluation
from enrollment.ports import (
    Bus,
    Clock,
    Conflict,
    Enrollments,
    Flows,
    Journal,
    NewId,
    Queue,
    Records,
)

# Attempts of a change that others are making at the same time; each lost one means that another made progress.
ATTEMPTS = 12


class NotDelivered(Exception):
    """Enrollments are written, but the queue or the bus did not take them: the event must be delivered again."""


@dataclass(frozen=True, slots=True)
class Process:
    event_types: Mapping[str, EventType]
    flows: Flows
    records: Records
    evaluation: Evaluation
    enrollments: Enrollments
    queue: Queue
    bus: Bus
    journal: Journal
    clock: Clock
    new_id: NewId
    history_length: int = HISTORY_LENGTH

    def __call__(self, event: Event) -> tuple[Decision, ...]:
        """One decision for each flow that the event could have enrolled. Raises when a call to AWS failed for good, or
        NotDelivered; the same event delivered again then goes on from where this one stopped."""
        satisfied = occurrences(event, self.event_types)
        record = self._apply(event)
        now = self.clock()
        candidates = [
            flow
            for flow in self.flows.candidates(
                event.portal_id, event.object_type_id, [one.event_type.name for one in satisfied]
            )
            # A flow that was off already when the event was sent can owe it nothing.
            if flow.is_enabled or _may_have_changed(flow, event, now)
        ]
        if candidates and record is None and event.record_key is not None and not says_something(event):
            record = self.records.get(event.record_key)
        if record is not None and event.changed_with:
            record = with_companions(record, event, self.history_length)
        verdicts = [(flow, judge(flow, event, satisfied, record)) for flow in candidates]

        decisions, undelivered = self._enroll(event, record, verdicts)
        self.journal.decided(event, decisions)
        self._deliver(event, undelivered)
        return tuple(decisions)

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
        self, event: Event, record: Record | None, verdicts: Sequence[tuple[Flow, Match | Decision]]
    ) -> tuple[list[Decision], list[StoredEnrollment]]:
        """Steps 1 and 7 to 10 of the order of decisions."""
        key = event.record_key
        now = self.clock()
        doubtful = [
            flow.id for flow, verdict in verdicts if isinstance(verdict, Match) or _may_have_changed(flow, event, now)
        ]
        found = self.enrollments.find(key, event.id, doubtful) if key and doubtful else {}

        matched = [
            flow
            for flow, verdict in verdicts
            if isinstance(verdict, Match) and flow.is_enabled and _is_open(flow, found.get(flow.id, Enrolled()))
        ]
        subject = self.evaluation.subject(record, event.occurred_at, matched) if record is not None else None

        decisions: list[Decision] = []
        undelivered: list[StoredEnrollment] = []
        for flow, verdict in verdicts:
            decision, stored = self._settle(flow, verdict, event, key, subject, found.get(flow.id, Enrolled()))
            if decision is not None:
                decisions.append(decision)
            if stored is not None and not stored.is_confirmed:
                undelivered.append(stored)
        return decisions, undelivered

    def _settle(
        self,
        flow: Flow,
        verdict: Match | Decision,
        event: Event,
        key: RecordKey | None,
        subject: Subject | None,
        found: Enrolled,
    ) -> tuple[Decision | None, StoredEnrollment | None]:
        """The decision for one flow, and the enrollment that this event made, now or at an earlier delivery."""
        claimed_id: str | None = None
        for _ in range(ATTEMPTS):
            if found.own is not None:
                own_id = found.own.enrollment.id
                if own_id == claimed_id:  # the answer to our own write was lost, and the write repeated
                    return decide(flow, Code.ENROLLED, "the record enters the flow", own_id), found.own
                because = "this event has enrolled the record before"
                return decide(flow, Code.DUPLICATE_EVENT, because, own_id), found.own
            if not flow.is_enabled:
                return None, None
            if isinstance(verdict, Decision) or key is None or subject is None:
                return verdict if isinstance(verdict, Decision) else None, None
            if found.first is not None and not flow.should_re_enroll:
                because = f"enrolled before, by event {found.first.enrollment.cause.event_id}"
                return decide(flow, Code.ALREADY_ENROLLED, because, found.first.enrollment.id), None
            against = criteria_verdict(flow, subject)
            if against is not None:
                return against, None

            now = self.clock()
            claimed_id = claimed_id or self.new_id(now)
            enrollment = enroll(
                flow,
                verdict,
                event,
                key,
                enrolled_before=found.first is not None,
                enrollment_id=claimed_id,
                now=now,
            )
            if self.enrollments.claim(enrollment):
                decision = decide(flow, Code.ENROLLED, "the record enters the flow", enrollment.id)
                return decision, StoredEnrollment(enrollment)
            # Another event, or another delivery of this one, was between our read and our write: look again.
            found = self.enrollments.find(key, event.id, [flow.id])[flow.id]
        raise Conflict(f"flow {flow.id}: the place of event {event.id} could be neither claimed nor read")

    def _deliver(self, event: Event, undelivered: Sequence[StoredEnrollment]) -> None:
        """Queue, then bus, then the note of what they took. The queue comes first so that a consumer gets a flow's
        enrollment before those of the flows that it triggers."""
        if not undelivered:
            return
        published = {one.enrollment.id for one in undelivered if one.is_published}
        announced = {one.enrollment.id for one in undelivered if one.is_announced}
        try:
            # Added one by one, so that what was taken is noted even when a later call fails.
            for taken in self.queue.publish([one.enrollment for one in undelivered if not one.is_published]):
                published.add(taken)
            for taken in self.bus.announce(
                [
                    Announcement(one.enrollment, (*event.chain, one.enrollment.flow_id))
                    for one in undelivered
                    if one.enrollment.id in published and not one.is_announced
                ]
            ):
                announced.add(taken)
        finally:
            now = self.clock()
            for one in undelivered:
                enrollment = one.enrollment
                if enrollment.id in published or enrollment.id in announced:
                    self.enrollments.confirm(
                        enrollment,
                        is_published=enrollment.id in published,
                        is_announced=enrollment.id in announced,
                        now=now,
                    )
        missing = [one.enrollment.id for one in undelivered if one.enrollment.id not in published & announced]
        if missing:
            raise NotDelivered(f"event {event.id}: not taken by the queue or the bus: {', '.join(missing)}")


def _may_have_changed(flow: Flow, event: Event, now: Instant) -> bool:
    """Whether an earlier delivery of the event may have met another revision of the flow. A time of sending in the
    future is the source's mistake and says nothing."""
    return flow.changed_at >= event.sent_at or event.sent_at > now


def _is_open(flow: Flow, found: Enrolled) -> bool:
    """Whether its criteria will be asked."""
    return found.own is None and (found.first is None or flow.should_re_enroll)
