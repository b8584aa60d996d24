"""Serve `/enrollment/v1/flows/{flowId}/backfills`: enroll the existing records that meet the criteria of a filter-based
flow."""

from enrollment.application.backfills import BackfillRequest
from enrollment.domain.enrollment.runs import Run
from enrollment.entrypoints.http_api.endpoint import (
    AFTER,
    FEWER,
    Endpoint,
    Example,
    Query,
    Reply,
    Request,
    Scope,
    Services,
    page,
)
from enrollment.serialization.backfills import read_backfill, write_run
from enrollment.serialization.manual_enrollments import IDEMPOTENCY_KEY, read_idempotency_key
from enrollment.serialization.requests import read_cursor, read_limit, write_cursor

DEFAULT_PAGE = 20


def start_backfill(services: Services, request: Request) -> Reply:
    """Start a run, or return the run that the same request has started. Raises as ``Backfills.start``."""
    body = read_backfill(request.body)
    key = read_idempotency_key(request.headers)
    run = services.backfills.start(
        BackfillRequest(
            portal_id=request.portal_id,
            flow_id=request.path["flowId"],
            is_dry_run=body.is_dry_run,
            caller=request.caller.name,
            records_per_second=body.records_per_second,
            dry_run_id=body.dry_run_id,
            confirm=body.confirm,
            idempotency_key=None if key is None else f"key:{key}",
        ),
        request.now,
    )
    return Reply(201, _write(services, run))


def list_backfills(services: Services, request: Request) -> Reply:
    """List the runs of a flow, newest first. Raises UnknownFlow."""
    limit = read_limit(request.query.get("limit"), DEFAULT_PAGE)
    before = read_cursor(request.query.get("after"))
    runs = services.backfills.of_flow(request.portal_id, request.path["flowId"], limit + 1, before)
    next_position = write_cursor(runs[limit - 1].id) if len(runs) > limit else None
    return Reply(200, page([_write(services, run) for run in runs[:limit]], next_position))


def get_backfill(services: Services, request: Request) -> Reply:
    """Return a run with its counts. Raises UnknownRun."""
    return Reply(200, _write(services, services.backfills.get(*_place(request))))


def pause_backfill(services: Services, request: Request) -> Reply:
    """Pause a run. Raises UnknownRun and RunFinished."""
    return Reply(200, _write(services, services.backfills.pause(*_place(request), request.now)))


def resume_backfill(services: Services, request: Request) -> Reply:
    """Continue a paused run. Raises UnknownRun, UnknownFlow, RunFinished and FlowIsOff."""
    return Reply(200, _write(services, services.backfills.resume(*_place(request), request.now)))


def cancel_backfill(services: Services, request: Request) -> Reply:
    """End a run for good. Raises UnknownRun and RunFinished."""
    return Reply(200, _write(services, services.backfills.cancel(*_place(request), request.now)))


def _place(request: Request) -> tuple[str, str, str]:
    return request.portal_id, request.path["flowId"], request.path["runId"]


def _write(services: Services, run: Run) -> dict[str, object]:
    return write_run(run, services.backfills.progress(run).counts)


_PATH = "/enrollment/v1/flows/{flowId}/backfills"
_KEY_HEADER = Query(
    IDEMPOTENCY_KEY,
    "Names the request. A request that is repeated with the same key returns the run that the first one has started, "
    "if it is one of the flow's latest 20 runs. Without it, each request is a new one.",
    {"type": "string", "minLength": 1, "maxLength": 100},
)
_RUN = Example(path={"flowId": "1004", "runId": "01EXAMPLE"})

ENDPOINTS = (
    Endpoint(
        "startBackfill",
        "POST",
        _PATH,
        "Start a backfill: enroll the existing records that meet a flow's criteria",
        start_backfill,
        {201: "Backfill"},
        scope=Scope.WRITE_ENROLLMENTS,
        description="The flow must be filter-based and on. A dry run counts the decisions, enrolls no record, and also "
        "works for a flow that is off. A run that enrolls needs the dryRunId of a dry run of the same flow that is not "
        "older than a day, or confirm: the number of records of the flow's object type. The status is 409 if the flow "
        "is off or of another type, if another run of the flow is not finished, if the confirmation is wrong, or if "
        "the Idempotency-Key has started another kind of run (KEY_REUSED). The run begins within a minute.",
        headers=(_KEY_HEADER,),
        body="BackfillInput",
        example=Example(path={"flowId": "1003"}, body={"dryRun": True}),
    ),
    Endpoint(
        "listBackfills",
        "GET",
        _PATH,
        "List the backfills of a flow in the last 90 days, newest first",
        list_backfills,
        {200: "BackfillPage"},
        query=(FEWER, AFTER),
        example=Example(path={"flowId": "1004"}),
    ),
    Endpoint(
        "readBackfill",
        "GET",
        f"{_PATH}/{{runId}}",
        "Get a backfill with its progress and its decisions by code",
        get_backfill,
        {200: "Backfill"},
        example=_RUN,
    ),
    Endpoint(
        "pauseBackfill",
        "POST",
        f"{_PATH}/{{runId}}/pause",
        "Pause a backfill",
        pause_backfill,
        {200: "Backfill"},
        scope=Scope.WRITE_ENROLLMENTS,
        description="The pages that are being evaluated are finished: at most 100 records for each of 16 shards.",
        example=_RUN,
    ),
    Endpoint(
        "resumeBackfill",
        "POST",
        f"{_PATH}/{{runId}}/resume",
        "Continue a paused backfill where it stopped",
        resume_backfill,
        {200: "Backfill"},
        scope=Scope.WRITE_ENROLLMENTS,
        description="The flow must be on, unless it is a dry run. If the flow is off, the status is 409 (FLOW_IS_OFF).",
        example=_RUN,
    ),
    Endpoint(
        "cancelBackfill",
        "POST",
        f"{_PATH}/{{runId}}/cancel",
        "End a backfill for good",
        cancel_backfill,
        {200: "Backfill"},
        scope=Scope.WRITE_ENROLLMENTS,
        description="Its enrollments stay.",
        example=_RUN,
    ),
)
