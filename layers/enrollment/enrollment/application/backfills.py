"""Start, pause, resume and cancel backfills on behalf of their callers (docs/enrollments.md, "Enroll existing
records"). ``run_worker`` evaluates the records."""

import hashlib
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from enrollment.application.enrollment_claims import ATTEMPTS
from enrollment.application.flow_authoring import require_existing
from enrollment.application.manual_enrollment import FlowIsOff
from enrollment.application.ports import ConcurrentModification, FlowRepository, NewId, RecordListing, Runs
from enrollment.domain.enrollment.decisions import Code
from enrollment.domain.enrollment.runs import Run, RunStatus, total
from enrollment.domain.flows.flow import Flow, FlowRevision
from enrollment.domain.json_text import json_text
from enrollment.domain.values import Instant

# Runs of the flow that are checked for one that is not finished, and for one that the same request started.
RECENT_RUNS = 20


class NotFilterBased(Exception):
    """The flow has no enrollment criteria that a record can meet, or it enrolls by a schedule."""


class RunInProgress(Exception):
    """Another run of the flow is not finished."""


class KeyReused(Exception):
    """The idempotency key belongs to another request."""


class NotConfirmed(Exception):
    """The backfill is not confirmed: by a dry run of the same flow, or by the number of records."""


class UnknownRun(LookupError):
    """The flow has no such run, or the run expired."""


class BackfillRequest(Struct, frozen=True):
    """``dry_run_id`` or ``confirm`` confirms a run that enrolls. ``confirm``: the number of records of the flow's
    object type. ``caller``: who asks. ``records_per_second`` None: as fast as possible. ``idempotency_key``: by which a
    repeated request finds the run that it has started; None: each request is a new one."""

    portal_id: str
    flow_id: str
    is_dry_run: bool
    caller: str
    records_per_second: int | None = None
    dry_run_id: str | None = None
    confirm: int | None = None
    idempotency_key: str | None = None


class Progress(Struct, frozen=True):
    """``counts``: decisions by code. ``shards_done``: of RECORD_SHARDS."""

    counts: Mapping[Code, int]
    shards_done: int

    @property
    def records(self) -> int:
        """Records that were evaluated."""
        return sum(self.counts.values())


class Backfills(Struct, frozen=True):
    """The use cases of backfills. ``read_flow`` raises InvalidFlow for a flow that cannot run."""

    runs: Runs
    flow_repository: FlowRepository
    read_flow: Callable[[FlowRevision], Flow]
    listing: RecordListing
    new_id: NewId

    def start(self, request: BackfillRequest, now: Instant) -> Run:
        """Start a backfill, or a dry run of it, which counts the decisions and enrolls no record. Return the run that
        an earlier request with the same idempotency key has started, if it is one of the flow's RECENT_RUNS.

        Raises UnknownFlow, InvalidFlow, NotFilterBased, FlowIsOff, RunInProgress, NotConfirmed and KeyReused.
        """
        revision = require_existing(self.flow_repository.get(request.portal_id, request.flow_id), request.flow_id)
        runs = self.runs.of_flow(request.portal_id, request.flow_id, RECENT_RUNS)
        started = _started_by(request, runs)
        if started is not None:
            return started
        flow = self._flow_for(revision)
        if not request.is_dry_run and not flow.is_enabled:
            raise FlowIsOff(f"flow {flow.id} is off. Turn it on to enroll existing records, or start a dry run")
        _require_finished(runs)
        records = self.listing.count(flow.portal_id, flow.object_type_id)
        current_fingerprint = fingerprint(revision)
        if not request.is_dry_run:
            self._require_confirmation(request, current_fingerprint, records, now)
        run = Run(
            id=self.new_id(now),
            portal_id=flow.portal_id,
            flow_id=flow.id,
            object_type_id=flow.object_type_id,
            revision=revision.revision,
            fingerprint=current_fingerprint,
            criteria_since=revision.criteria_since,
            is_dry_run=request.is_dry_run,
            records=records,
            caller=request.caller,
            started_at=now,
            records_per_second=request.records_per_second,
            idempotency_key=request.idempotency_key,
        )
        try:
            return self.runs.create(run, [finished.id for finished in runs])
        except ConcurrentModification as error:
            # The run is stored if only the response to the write was lost. A copy of the request may have started it.
            stored = self.runs.get(run.portal_id, run.flow_id, run.id)
            stored = stored or _started_by(request, self.runs.of_flow(run.portal_id, run.flow_id, RECENT_RUNS))
            if stored is not None:
                return stored
            raise RunInProgress(
                f"another run of flow {flow.id} was started at the same time. Wait until it is done, or cancel it"
            ) from error

    def require_startable(self, flow: Flow, confirm: int | None) -> None:
        """Raise NotFilterBased, RunInProgress or NotConfirmed if a backfill of the flow could not be started with this
        number of records. Call this before the flow is stored."""
        self._require_filter_based(flow)
        _require_finished(self.runs.of_flow(flow.portal_id, flow.id, RECENT_RUNS))
        _require_number(confirm, self.listing.count(flow.portal_id, flow.object_type_id))

    def get(self, portal_id: str, flow_id: str, run_id: str) -> Run:
        """Return a run. Raises UnknownRun."""
        run = self.runs.get(portal_id, flow_id, run_id)
        if run is None:
            raise UnknownRun(f"no run {run_id} of flow {flow_id} in the last 90 days")
        return run

    def of_flow(self, portal_id: str, flow_id: str, limit: int, before: str | None = None) -> Sequence[Run]:
        """Return the runs of a flow, newest first. Raises UnknownFlow."""
        require_existing(self.flow_repository.get(portal_id, flow_id), flow_id)
        return self.runs.of_flow(portal_id, flow_id, limit, before)

    def progress(self, run: Run) -> Progress:
        """Return how far a run is."""
        shards = self.runs.shards(run)
        return Progress(total(shard.counts for shard in shards), sum(shard.is_done for shard in shards))

    def pause(self, portal_id: str, flow_id: str, run_id: str, now: Instant) -> Run:
        """Stop a run after the pages that are being evaluated. Raises UnknownRun and RunFinished."""
        return self._move(portal_id, flow_id, run_id, RunStatus.PAUSED, now)

    def resume(self, portal_id: str, flow_id: str, run_id: str, now: Instant) -> Run:
        """Continue a paused run where it stopped. Raises UnknownRun, UnknownFlow, RunFinished and FlowIsOff."""
        run = self.get(portal_id, flow_id, run_id)
        revision = require_existing(self.flow_repository.get(portal_id, flow_id), flow_id)
        if not run.is_dry_run and not revision.is_enabled:
            raise FlowIsOff(f"flow {flow_id} is off. Turn it on to continue the backfill")
        return self._move(portal_id, flow_id, run_id, RunStatus.RUNNING, now)

    def cancel(self, portal_id: str, flow_id: str, run_id: str, now: Instant) -> Run:
        """End a run for good after the pages that are being evaluated. Its enrollments stay. Raises UnknownRun and
        RunFinished."""
        return self._move(portal_id, flow_id, run_id, RunStatus.CANCELLED, now)

    def _move(self, portal_id: str, flow_id: str, run_id: str, status: RunStatus, now: Instant) -> Run:
        for _ in range(ATTEMPTS):
            run = self.get(portal_id, flow_id, run_id)
            moved = run.moved(status, now)
            if moved is run:
                return run
            try:
                return self.runs.save(moved)
            except ConcurrentModification:
                continue
        raise ConcurrentModification(f"run {run_id} changed {ATTEMPTS} times meanwhile; retrying is safe")

    def _flow_for(self, revision: FlowRevision) -> Flow:
        flow = self.read_flow(revision)
        self._require_filter_based(flow)
        return flow

    def _require_filter_based(self, flow: Flow) -> None:
        if flow.entry is None:
            raise NotFilterBased(
                f"flow {flow.id}: expected a filter-based flow (enrollmentCriteria.type LIST_BASED), because only its "
                "criteria say which existing records to enroll. Enroll records of other flows with "
                f"POST /enrollment/v1/flows/{flow.id}/enrollments"
            )

    def _require_confirmation(
        self, request: BackfillRequest, current_fingerprint: str, records: int, now: Instant
    ) -> None:
        if request.dry_run_id is None:
            _require_number(request.confirm, records)
            return
        dry_run = self.runs.get(request.portal_id, request.flow_id, request.dry_run_id)
        if dry_run is None or not dry_run.confirms(current_fingerprint, now):
            raise NotConfirmed(
                f"dryRunId: expected a dry run of flow {request.flow_id} that is done, not older than a day, and of "
                f"the flow as it is now; got {request.dry_run_id[:40]}. Start a dry run, and send its id once "
                "it is done"
            )


def _started_by(request: BackfillRequest, runs: Sequence[Run]) -> Run | None:
    """Return the run that a request with the same idempotency key has started. Raises KeyReused if that request asked
    for another run."""
    if request.idempotency_key is None:
        return None
    run = next((run for run in runs if run.idempotency_key == request.idempotency_key), None)
    if run is None:
        return None
    if (run.is_dry_run, run.records_per_second) != (request.is_dry_run, request.records_per_second):
        raise KeyReused(
            f"the key has started run {run.id} of flow {run.flow_id}: expected the same dryRun and recordsPerSecond as "
            "in that request. Send another key for another run"
        )
    return run


def _require_finished(runs: Sequence[Run]) -> None:
    """Raise RunInProgress if one of the runs is not finished."""
    for run in runs:
        if not run.is_finished:
            raise RunInProgress(
                f"run {run.id} of flow {run.flow_id} is {run.status}. Wait until it is done, or cancel it"
            )


def _require_number(confirm: int | None, records: int) -> None:
    """Records are created and deleted meanwhile, so a hundredth of the number may be missing or added."""
    if confirm is None or abs(confirm - records) > records // 100:
        found = "no number" if confirm is None else f"{confirm:,}"
        raise NotConfirmed(
            f"confirm: expected the number of records that are evaluated, {records:,}; got {found}. Send that number, "
            "or start a dry run first and send its id as dryRunId"
        )


# What decides, of a flow's JSON. Names, actions and whether the flow is on do not.
_DECIDING_KEYS = (
    "type",
    "objectTypeId",
    "enrollmentCriteria",
    "goalFilterBranch",
    "suppressionFilterBranch",
    "suppressionListIds",
)


def fingerprint(revision: FlowRevision) -> str:
    """Return a digest of the keys of the flow's JSON that decide. It is the same whether the flow is on or off."""
    deciding = {key: revision.document[key] for key in _DECIDING_KEYS if revision.document.get(key)}
    return hashlib.sha256(json_text(deciding).encode()).hexdigest()
