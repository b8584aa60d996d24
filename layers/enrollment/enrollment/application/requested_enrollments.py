"""Explain the enrollments of a record that no event caused: manual ones, and those by backfills.

Only the enrollments are stored. A manual request that enrolls no record is logged, and a backfill keeps counts. So the
explanation names the stored enrollments, says which runs evaluated the record, and decides a backfill for the record as
it is now.
"""

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from enrollment.application.criteria_evaluator import CriteriaEvaluator
from enrollment.application.explanation import FlowOutcome
from enrollment.application.ports import Enrollments, FlowRepository, Runs
from enrollment.application.record_facts import RecordFacts
from enrollment.domain.criteria.transitions import Transition
from enrollment.domain.enrollment.backfill_steps import BACKFILL_STEPS
from enrollment.domain.enrollment.decision_steps import FlowContext, Step
from enrollment.domain.enrollment.decisions import Code, Decision, decide
from enrollment.domain.enrollment.enrollments import StoredEnrollment
from enrollment.domain.enrollment.explanations import Explanation, explain
from enrollment.domain.enrollment.runs import Run, RunStatus
from enrollment.domain.events.backfill import BACKFILL, backfill_event
from enrollment.domain.events.event import Event
from enrollment.domain.events.manual import MANUAL
from enrollment.domain.events.own_types import BACKFILL_EVENT, REQUESTED
from enrollment.domain.flows.flow import Flow, FlowRevision
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.record import Record
from enrollment.domain.values import Instant, iso

# Runs of a flow that are explained, newest first.
MAX_RUNS = 5
# The run of a decision that is not taken. No run has this ID.
SIMULATED = "simulated"


class RunOutcome(Struct, frozen=True):
    """What is known about a record and a run. ``is_enrolled``: whether the run enrolled it."""

    run: Run
    is_enrolled: bool
    because: str


class BackfillOutcome(Struct, frozen=True):
    """``now``: what a backfill would decide on the record as it is now; None: the flow takes no backfill."""

    runs: Sequence[RunOutcome]
    now: Explanation | None


class RequestedEnrollments(Struct, frozen=True):
    """``read_flow`` returns a retired flow for a revision that cannot run."""

    enrollments: Enrollments
    runs: Runs
    flow_repository: FlowRepository
    read_flow: Callable[[FlowRevision], Flow]
    evaluator: CriteriaEvaluator

    def of_record(
        self, key: RecordKey, limit: int, *, flow_id: str | None = None, event_id: str | None = None
    ) -> Sequence[tuple[Event, FlowOutcome]]:
        """Return the manual enrollments and those by backfills among the record's latest ``limit`` enrollments, newest
        first, each with its event. ``flow_id`` and ``event_id``: only these."""
        requested = [
            stored
            for stored in self.enrollments.of_record(key, limit)
            if stored.enrollment.cause.event_type in REQUESTED
            and flow_id in (None, stored.enrollment.flow_id)
            and event_id in (None, stored.enrollment.cause.event_id)
        ]
        flow_ids = list(dict.fromkeys(stored.enrollment.flow_id for stored in requested))
        current = self.flow_repository.get_many(key.portal_id, flow_ids) if flow_ids else {}
        return [(_event_of(stored), _outcome(stored, current)) for stored in requested]

    def by_backfills(self, record: Record, revision: FlowRevision, now: Instant) -> BackfillOutcome:
        """Return what is known about a record and the latest runs of a flow. ``revision``: the flow's last one."""
        runs = self.runs.of_flow(revision.portal_id, revision.id, MAX_RUNS)
        key = record.key
        # The first enrollment does not depend on a cause.
        first = self.enrollments.find(key, SIMULATED, [revision.id])[revision.id].first if runs else None
        outcomes = [_run_outcome(run, record, first) for run in runs if run.object_type_id == key.object_type_id]
        flow = self.read_flow(revision)
        if flow.entry is None or flow.object_type_id != key.object_type_id:
            return BackfillOutcome(outcomes, None)
        event = backfill_event(key, SIMULATED, caller="", now=now)
        facts = RecordFacts(event, record, self.evaluator, self.enrollments)
        return BackfillOutcome(outcomes, explain_request(flow, facts, BACKFILL_STEPS, self.evaluator))


def explain_request(flow: Flow, facts: RecordFacts, steps: Sequence[Step], evaluator: CriteriaEvaluator) -> Explanation:
    """Return the decision that a caller or a backfill would get now, with the result of every filter."""
    context = FlowContext(flow, facts)
    decision = context.rejection(steps) or decide(flow, Code.ENROLLED, "the record would enter the flow")
    record, at = facts.record, facts.event.occurred_at
    snapshot = evaluator.snapshot(record, at, [flow]) if record is not None and record.exists else None
    transition = None if snapshot is None else Transition(at, at, None, snapshot)
    # No event is decided, so the trigger groups have no result.
    return explain(replace(flow, groups=()), decision, (), snapshot, transition)


def _event_of(stored: StoredEnrollment) -> Event:
    """Return the event of a requested enrollment, which is not in the history."""
    enrollment, cause = stored.enrollment, stored.enrollment.cause
    return Event(
        id=cause.event_id,
        event_type=BACKFILL if cause.event_type == BACKFILL_EVENT else MANUAL,
        portal_id=enrollment.record_key.portal_id,
        object_type_id=enrollment.record_key.object_type_id,
        object_id=enrollment.record_key.object_id,
        occurred_at=cause.occurred_at,
        sent_at=cause.occurred_at,
        source=cause.source,
        properties={},
        chain=stored.chain,
        evaluated_at=cause.occurred_at,
    )


def _outcome(stored: StoredEnrollment, current: Mapping[str, FlowRevision]) -> FlowOutcome:
    enrollment = stored.enrollment
    flow_id, revision_id = enrollment.flow_id, enrollment.flow_revision_id
    is_backfill = enrollment.cause.event_type == BACKFILL_EVENT
    because = f"{'a backfill' if is_backfill else 'a caller'} enrolled the record"
    current_id = str(current[flow_id].revision) if flow_id in current else revision_id
    notes = (
        (f"the flow has changed since then; its current revision is {current_id}",) if current_id != revision_id else ()
    )
    decision = Decision(Code.ENROLLED, flow_id, revision_id, because, enrollment_id=enrollment.id, due_at=stored.due_at)
    return FlowOutcome(
        flow_id, enrollment.flow_name, revision_id, current_id, because, decision, enrollment=stored, notes=notes
    )


def _run_outcome(run: Run, record: Record, first: StoredEnrollment | None) -> RunOutcome:
    """Say what is known. A run keeps counts, and the enrollments are stored; other decisions are not."""
    if first is not None and first.enrollment.cause.event_id == f"backfill:{run.id}":
        return RunOutcome(run, True, f"the run enrolled the record at {iso(first.enrollment.enrolled_at)}")
    if run.is_dry_run:
        return RunOutcome(run, False, "a dry run enrolls no record; it keeps counts, and no decision on a record")
    if not run.is_finished:
        return RunOutcome(run, False, "the run is not finished; it may still evaluate the record")
    if first is not None and first.enrollment.enrolled_at <= run.started_at:
        because = f"the record was enrolled before, at {iso(first.enrollment.enrolled_at)}"
    elif record.created_at > run.started_at:
        because = "the record was created after the run had started, so the run may not have evaluated it"
    elif run.status is RunStatus.DONE:
        because = "the run evaluated the record and did not enroll it; it keeps counts, and no decision on a record"
    else:
        because = f"the run ended as {run.status} before all records were evaluated, and did not enroll the record"
    return RunOutcome(run, False, because)
