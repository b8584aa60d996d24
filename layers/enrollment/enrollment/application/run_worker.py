"""Evaluate the records of active runs, page by page (docs/decisions/0024-backfill.md).

A schedule starts a worker each minute. Several workers can run at the same time: each takes shards that no other has.
A page that is interrupted is decided again. Its claims find the enrollments that were made before, and its counts are
stored together with its end, so each record is enrolled once and counted once.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from enrollment.application.criteria_evaluator import CriteriaEvaluator
from enrollment.application.enrollment_claims import EnrollmentClaims, enrolled
from enrollment.application.enrollment_publisher import EnrollmentPublisher
from enrollment.application.ports import (
    RECORD_SHARDS,
    Clock,
    ConcurrentModification,
    DecisionLog,
    FirstEnrollments,
    FlowRepository,
    RecordListing,
    Records,
    Runs,
)
from enrollment.application.record_facts import RecordFacts, existing_of
from enrollment.domain.enrollment.backfill_steps import BACKFILL_STEPS
from enrollment.domain.enrollment.decision_steps import FlowContext
from enrollment.domain.enrollment.decisions import Code, Decision, decide
from enrollment.domain.enrollment.enrollments import StoredEnrollment, TriggerEvent, direct_cause
from enrollment.domain.enrollment.runs import (
    MAX_ATTEMPTS,
    MINUTE,
    Page,
    Run,
    RunFinished,
    RunShard,
    RunStatus,
    next_page_at,
    page_size,
)
from enrollment.domain.events.backfill import backfill_event
from enrollment.domain.events.event import Event
from enrollment.domain.flows.flow import Flow, FlowRevision
from enrollment.domain.values import Instant

# If a rate limit delays an enrollment by more than this, the shard waits, instead of a message for each record.
LONGEST_DELAY_MS = 10 * MINUTE
# The longest pause before a worker checks for a free shard again.
CHECK_AFTER_MS = 2_000
# A run that is paused is checked once in this time, so that it costs next to nothing however long it is paused.
PAUSED_RUNS_CHECKED_MINUTES = 60
# Enrollments that are published together: the maximum of one SendMessageBatch and of one PutEvents.
BATCH_SIZE = 10


class PageResult(Struct, frozen=True):
    """A page that was evaluated. ``error``: why it was not; then another worker repeats it."""

    run: Run
    shard: RunShard
    page: Page | None = None
    error: Exception | None = None


class RunWorker(Struct, frozen=True):
    """Evaluates the records of runs. ``read_flow`` returns a retired flow for a revision that cannot run. ``sleep``:
    waits for a number of seconds."""

    runs: Runs
    flow_repository: FlowRepository
    read_flow: Callable[[FlowRevision], Flow]
    listing: RecordListing
    records: Records
    first_enrollments: FirstEnrollments
    evaluator: CriteriaEvaluator
    claims: EnrollmentClaims
    publisher: EnrollmentPublisher
    decision_log: DecisionLog
    clock: Clock
    sleep: Callable[[float], None]

    def work(self, until: Instant) -> Iterator[PageResult]:
        """Evaluate pages of the active runs until none is due before ``until``. Return the pages as they are done.

        The last page can end some seconds after ``until``. It is safe to stop at any point. Errors of a page are
        returned; errors of the search for a page are raised.
        """
        if self.clock() // MINUTE % PAUSED_RUNS_CHECKED_MINUTES == 0:
            self._check_paused()
        while self.clock() < until:
            free_at: list[Instant] = []
            taken = self._take(free_at)
            if taken is not None:
                yield from self._evaluate_shard(*taken, until)
                continue
            now = self.clock()
            if not free_at or min(free_at) >= until:
                return
            self.sleep(min(max(min(free_at) - now, 10), CHECK_AFTER_MS) / 1000)

    def _check_paused(self) -> None:
        """Cancel paused runs whose flow was edited or deleted."""
        for run in self.runs.active(with_paused=True):
            if run.status is RunStatus.PAUSED:
                self._checked(run)

    def _take(self, free_at: list[Instant]) -> tuple[Run, Flow, RunShard] | None:
        """Take a free shard of an active run. None: there is none; then ``free_at`` has the times at which the others
        become free."""
        now = self.clock()
        runs = self.runs.active()
        # Each worker and each minute begin with another run, so that a large one does not delay the others.
        start = now // CHECK_AFTER_MS % len(runs) if runs else 0
        for run in (*runs[start:], *runs[:start]):
            run, flow = self._checked(run)
            if run.is_finished:
                self.runs.deactivate(run)
            if run.status is not RunStatus.RUNNING or flow is None:
                continue
            shards = self.runs.shards(run)
            self._finish(run, shards)
            # Workers begin with different shards, so that they rarely try to take the same one.
            first = self._first_shard(run)
            for shard in (*shards[first:], *shards[:first]):
                if not shard.is_free(now):
                    free_at += [] if shard.is_done else [shard.free_at]
                    continue
                if shard.attempts >= MAX_ATTEMPTS:
                    reason = f"shard {shard.number} made no progress in {MAX_ATTEMPTS} attempts; the log has the errors"
                    self._moved(run, RunStatus.FAILED, reason)
                    break
                try:
                    return run, flow, self._save_shard(run, shard.taken(now, self.claims.new_id(now)))
                except ConcurrentModification:
                    continue
        return None

    def _first_shard(self, run: Run) -> int:
        return int(self.clock() // 7) % RECORD_SHARDS

    def _checked(self, run: Run) -> tuple[Run, Flow | None]:
        """Return the run, paused or cancelled if its flow was turned off or edited, and the flow as it is now."""
        if run.is_finished:
            return run, None
        revision = self.flow_repository.get(run.portal_id, run.flow_id)
        if revision is None or revision.is_deleted:
            return self._moved(run, RunStatus.CANCELLED, "the flow was deleted"), None
        if revision.criteria_since != run.criteria_since:
            return self._moved(run, RunStatus.CANCELLED, "the enrollment criteria were changed"), None
        flow = self.read_flow(revision)
        if flow.entry is None:
            return self._moved(run, RunStatus.CANCELLED, "the flow is not a filter-based flow that can run"), None
        if flow.object_type_id != run.object_type_id:
            return self._moved(run, RunStatus.CANCELLED, "the flow's object type was changed"), None
        if run.status is RunStatus.PAUSED:
            return run, None
        if not flow.is_enabled and not run.is_dry_run:
            return self._moved(run, RunStatus.PAUSED, "the flow was turned off"), None
        return run, flow

    def _moved(self, run: Run, status: RunStatus, because: str) -> Run:
        """Store another status. If another worker or a caller changed the run meanwhile, return it as it is now."""
        try:
            return self.runs.save(run.moved(status, self.clock(), because))
        except (ConcurrentModification, RunFinished):
            return self.runs.get(run.portal_id, run.flow_id, run.id) or run

    def _finish(self, run: Run, shards: Sequence[RunShard]) -> None:
        # Shards are missing if the run has expired.
        if len(shards) == RECORD_SHARDS and all(shard.is_done for shard in shards):
            done = self._moved(run, RunStatus.DONE, "")
            if done.is_finished:
                self.runs.deactivate(done)

    def _evaluate_shard(self, run: Run, flow: Flow | None, shard: RunShard, until: Instant) -> Iterator[PageResult]:
        """Evaluate pages of a shard that this worker has, until it is done, until the next page is due later, or until
        another worker has it."""
        while flow is not None:
            try:
                page = self._evaluate_page(run, flow, shard)
                now = self.clock()
                if now >= until and page.continue_at is None:
                    page = replace(page, continue_at=now)
                saved = self._save_page(run, shard, page, now)
            except Exception as error:
                yield PageResult(run, shard, error=error)
                # The pauses grow to nine minutes, so that a run survives 45 minutes without AWS.
                yield from self._release(run, shard, self.clock() + MINUTE * max(shard.attempts, 1))
                return
            if saved is None:
                return  # The lease has ended, and another worker repeats the page.
            shard = saved
            yield PageResult(run, shard, page)
            if shard.is_done:
                self._finish(run, self.runs.shards(run))
                return
            if page.continue_at is not None:
                return
            current = self.runs.get(run.portal_id, run.flow_id, run.id)
            if current is None:
                return
            run, flow = self._checked(current)
        yield from self._release(run, shard, self.clock())

    def _save_page(self, run: Run, shard: RunShard, page: Page, now: Instant) -> RunShard | None:
        """Store the position and the counts after a page. None: another worker has taken the shard meanwhile."""
        try:
            return self._save_shard(run, shard.evaluated(page, now))
        except ConcurrentModification:
            return None

    def _save_shard(self, run: Run, shard: RunShard) -> RunShard:
        """Store a shard that this worker has or takes. If the response to the write is lost, the client repeats it, and
        the repetition finds the worker's own change. Raises ConcurrentModification if another worker has the shard."""
        try:
            return self.runs.save_shard(run, shard)
        except ConcurrentModification:
            stored = self._stored(run, shard)
            if stored is None or not stored.is_held_as(shard) or stored.version != shard.version + 1:
                raise
            return stored

    def _stored(self, run: Run, shard: RunShard) -> RunShard | None:
        """Return the shard as it is stored now. None: the run has expired."""
        return next((each for each in self.runs.shards(run) if each.number == shard.number), None)

    def _release(self, run: Run, shard: RunShard, free_at: Instant) -> Iterator[PageResult]:
        """Let another worker take the shard. If this fails, it can take the shard when the lease ends."""
        try:
            try:
                self.runs.save_shard(run, replace(shard, free_at=free_at))
            except ConcurrentModification:
                # A write of this worker failed, and was stored nevertheless: the page is counted.
                stored = self._stored(run, shard)
                if stored is not None and stored.is_held_as(shard) and not stored.is_done:
                    self.runs.save_shard(run, replace(stored, free_at=free_at))
        except ConcurrentModification:
            return
        except Exception as error:
            yield PageResult(run, shard, error=error)

    def _evaluate_page(self, run: Run, flow: Flow, shard: RunShard) -> Page:
        """Decide the next records of a shard, and publish their enrollments. Raises the errors of AWS and
        NotDelivered."""
        started_at, size = self.clock(), page_size(run.records_per_second)
        keys = self.listing.page(run.portal_id, run.object_type_id, shard.number, size, shard.after)
        records = self.records.get_many(keys)
        firsts = self.first_enrollments.first_of(keys, flow.id)
        evaluator, enrollments = self.evaluator.shared(), self.claims.enrollments
        counts: Counter[Code] = Counter()
        unpublished: list[tuple[Event, StoredEnrollment]] = []
        last: str | None = None
        continue_at: Instant | None = None
        try:
            for key in keys:
                event = backfill_event(key, run.id, caller=run.caller, now=self.clock())
                facts = RecordFacts(
                    event, records.get(key), evaluator, enrollments, existing_of(firsts.get(key), event)
                )
                decision, stored = self._decide(run, FlowContext(flow, facts))
                counts[decision.code] += 1
                last = key.object_id
                if stored is not None and not stored.is_confirmed:
                    unpublished.append((event, stored))
                if decision.due_at is not None and decision.due_at > self.clock() + LONGEST_DELAY_MS:
                    continue_at = decision.due_at - LONGEST_DELAY_MS
                    break
        finally:
            # Also if a later record fails: what is claimed is published.
            self._publish(unpublished)
        is_last = continue_at is None and len(keys) < size
        pace = next_page_at(started_at, sum(counts.values()), run.records_per_second, RECORD_SHARDS)
        times = [at for at in (continue_at, pace) if at is not None]
        return Page(counts, last, is_last, max(times) if times and not is_last else None)

    def _decide(self, run: Run, context: FlowContext) -> tuple[Decision, StoredEnrollment | None]:
        """Return the decision, and the enrollment that this run made, now or before an interruption."""
        if run.is_dry_run:
            rejection = context.rejection(BACKFILL_STEPS)
            return rejection or decide(context.flow, Code.ENROLLED, "the record would enter the flow"), None
        decision, stored = self.claims.claim(context, BACKFILL_STEPS, _cause_of)
        if decision.code is Code.DUPLICATE_EVENT and stored is not None:
            return enrolled(context.flow, stored), stored
        if decision.code is Code.ENROLLED:
            self.decision_log.log_decisions(context.facts.event, [decision], {})
        return decision, stored

    def _publish(self, unpublished: Sequence[tuple[Event, StoredEnrollment]]) -> None:
        """Publish the enrollments that are due, and schedule those that the flow's rate limit delays."""
        now = self.clock()
        for event, stored in unpublished:
            if stored.publish_at > now:
                self.publisher.publish(event, [stored])
        remaining = iter([stored for _, stored in unpublished])
        while batch := list(itertools.islice(remaining, BATCH_SIZE)):
            self.publisher.publish_unconfirmed(batch)


def _cause_of(context: FlowContext) -> TriggerEvent:
    return direct_cause(context.facts.event)
