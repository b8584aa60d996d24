"""`enroll flows backfills`, and the backfill of `enroll flows on --enroll-existing`"""

import time
import uuid
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from enroll.api import Api, ApiError, ApiUrl, Portal, api_errors_reported, open_api, path_segment
from enroll.completion import complete_flows
from enroll.flow_names import find_flow
from enroll.output import (
    CONFLICT,
    FAILED,
    INVALID,
    NOT_FOUND,
    AsJson,
    Utc,
    console,
    fail,
    print_json,
    print_note,
    print_table,
    times,
)
from enroll.progress import progress_bar
from enroll.stack import StackName

RecordsPerSecond = Annotated[
    int | None,
    typer.Option(min=1, help="With --enroll-existing: evaluate at most this number of records a second."),
]

POLLED_SECONDS = 1.0
ACTIONS = ("pause", "resume", "cancel")
ENDED = ("DONE", "CANCELLED", "FAILED")
# A table has room for the latest runs. `--json` has all.
MAX_SHOWN = 20


def list_backfills(
    flow: Annotated[
        str,
        typer.Argument(help="The flow's ID, or its name if no other flow has it.", autocompletion=complete_flows),
    ],
    portal: Portal,
    action: Annotated[
        str | None, typer.Argument(help="What to do with a backfill: pause, resume or cancel. Default: list them.")
    ] = None,
    run: Annotated[str | None, typer.Argument(help="The backfill's ID. Default: the one that is not finished.")] = None,
    api: ApiUrl = None,
    stack: StackName = "enroll",
    utc: Utc = False,
    as_json: AsJson = False,
) -> None:
    """List the backfills of a flow, or pause, resume or cancel one."""
    if action is not None and action not in ACTIONS:
        fail(f"ACTION: expected pause, resume or cancel; got {action!r}", INVALID)
    opened = open_api(api, portal, stack)
    with api_errors_reported():
        stored = find_flow(opened, flow)
        runs = list(opened.pages(_path(stored)))
        if action is not None:
            runs = [opened.call("POST", f"{_path(stored)}/{path_segment(run or _unfinished(runs))}/{action}")]
    if as_json:
        print_json(runs)
    elif not runs:
        print_note(f"There are no backfills of flow {stored['id']} in the last 90 days.")
    else:
        _print_runs(runs[:MAX_SHOWN], utc=utc)


def _unfinished(runs: list[dict[str, Any]]) -> str:
    unfinished = [str(run["id"]) for run in runs if run["status"] not in ENDED]
    if not unfinished:
        fail("expected a backfill that is RUNNING or PAUSED; the flow has none", NOT_FOUND)
    return unfinished[0]


def _print_runs(runs: list[dict[str, Any]], *, utc: bool) -> None:
    clock = times(utc)
    print_table(
        ["id", "status", "dry run", "evaluated", "enrolled", "started", "because"],
        (
            (
                run["id"],
                run["status"],
                "yes" if run["isDryRun"] else "",
                f"{run['evaluated']}/{run['records']}",
                str(enrolled_number(run)),
                clock.text(run["startedAt"]),
                run["because"],
            )
            for run in runs
        ),
    )


def dry_run_backfill(
    opened: Api, flow: Mapping[str, Any], records_per_second: int | None, *, quiet: bool
) -> dict[str, Any]:
    """Count the decisions of a backfill, print them unless ``quiet``, and return the finished dry run."""
    return _finish(opened, flow, {"dryRun": True, "recordsPerSecond": records_per_second}, "Counting", quiet=quiet)


def run_backfill(
    opened: Api, flow: Mapping[str, Any], dry_run: Mapping[str, Any], records_per_second: int | None, *, quiet: bool
) -> dict[str, Any]:
    """Run the backfill that a dry run confirms, print its counts unless ``quiet``, and return it."""
    body = {"dryRun": False, "dryRunId": dry_run["id"], "recordsPerSecond": records_per_second}
    return _finish(opened, flow, body, "Enrolling", quiet=quiet)


def enrolled_number(run: Mapping[str, Any]) -> int:
    """Return the number of records that a run enrolled, or would enroll."""
    return int(run["decisions"].get("ENROLLED", 0))


def _start(opened: Api, flow: Mapping[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    """Start a run. Ends the command with CONFLICT if the flow has no criteria that say which records to enroll."""
    try:
        # The call is retried, and must start one run.
        run: dict[str, Any] = opened.call("POST", _path(flow), body, headers={"Idempotency-Key": f"cli-{uuid.uuid4()}"})
    except ApiError as error:
        if any(fault.get("code") == "NOT_FILTER_BASED" for fault in error.errors):
            fail(
                "--enroll-existing: expected a filter-based flow (enrollmentCriteria.type LIST_BASED), because only "
                f"its criteria say which existing records to enroll; got flow {flow['id']}. Enroll records in it with "
                f"`enroll flows enroll {flow['id']} contact/101`, or with `--file contacts.csv` for many",
                CONFLICT,
            )
        raise
    return run


def _finish(opened: Api, flow: Mapping[str, Any], body: dict[str, Any], label: str, *, quiet: bool) -> dict[str, Any]:
    """Start a run, and wait until it is finished. If the command is interrupted, the run continues."""
    with api_errors_reported():
        run = _start(opened, flow, body)
        with progress_bar(label, run["records"], quiet=quiet) as progress:
            while run["status"] not in ENDED:
                if run["status"] == "PAUSED":
                    fail(
                        f"backfill {run['id']} was paused ({run['because'] or 'on request'}); continue it with "
                        f"enroll flows backfills {flow['id']} resume",
                        FAILED,
                    )
                time.sleep(POLLED_SECONDS)
                run = opened.call("GET", f"{_path(flow)}/{path_segment(run['id'])}")
                progress.update(run["evaluated"])
    if not quiet:
        counts = ", ".join(f"{number:,} {code}" for code, number in run["decisions"].items()) or "none"
        console.print(f"{'Dry run' if run['isDryRun'] else 'Backfill'} {run['id']}: {counts}.")
    if run["status"] != "DONE":
        fail(f"backfill {run['id']} is {run['status']}: {run['because'] or 'on request'}", FAILED)
    return run


def _path(flow: Mapping[str, Any]) -> str:
    return f"/enrollment/v1/flows/{path_segment(flow['id'])}/backfills"
