"""`enroll replay`"""

import time
from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from enroll.api import Api, ApiUrl, Portal, api_errors_reported, open_api, path_segment
from enroll.completion import complete_event_types, complete_flows
from enroll.durations import read_timeout
from enroll.flow_names import find_earlier_flow_id
from enroll.output import FAILED, INVALID, AsJson, console, fail, print_json, print_table
from enroll.progress import progress_bar
from enroll.replay import ArchiveReplay, NotReplayable, ReplayRequest, start
from enroll.stack import StackName, aws_errors_reported, open_stack
from enroll.tables import Column
from enrollment.domain.enrollment.decisions import Code
from enrollment.domain.values import Instant, iso, read_given_time
from enrollment.entrypoints.bootstrap import now

POLL_SECONDS = 2.0
# The counts of a dry run are complete when they have not changed for this time.
QUIET_SECONDS = 10.0

Counts = Mapping[str, Counter[str]]


def replay(
    portal: Portal,
    since: Annotated[str, typer.Option("--from", help="Replay events sent at this time or later (ISO 8601).")],
    until: Annotated[
        str | None, typer.Option("--to", help="Replay events sent before this time (ISO 8601). Default: now.")
    ] = None,
    flow: Annotated[
        list[str] | None,
        typer.Option(
            "--flow",
            help="Only for this flow, by ID or name, regardless of when it was turned on. Repeatable.",
            autocompletion=complete_flows,
        ),
    ] = None,
    event_type: Annotated[
        list[str] | None,
        typer.Option("--event-type", help="Only events of this type. Repeatable.", autocompletion=complete_event_types),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Enroll no record. Count the records that would be enrolled.")
    ] = False,
    archive: Annotated[str | None, typer.Option(help="The archive. Required if the bus has several.")] = None,
    timeout: Annotated[
        str, typer.Option(help="The longest wait, for example 90s, 60m or 2h. The replay itself continues.")
    ] = "60m",
    api: ApiUrl = None,
    stack: StackName = "enroll",
    as_json: AsJson = False,
) -> None:
    """Deliver archived events again, for example to a new flow. An event never enrolls a record twice."""
    start_at, end_at = _moment("--from", since), _moment("--to", until)
    if start_at >= end_at:
        fail(f"--from: expected a time before --to {iso(end_at)}; got {iso(start_at)}", INVALID)
    opened, caller = open_stack(stack), open_api(api, portal, stack)
    # A number without a unit means minutes, as in earlier versions.
    deadline = time.monotonic() + read_timeout(timeout, default_unit="m")
    with aws_errors_reported(), api_errors_reported():
        flow_ids = [find_earlier_flow_id(caller, name) for name in flow or []]
        order = caller.call(
            "POST",
            "/enrollment/v1/replays",
            {"flowIds": flow_ids or None, "eventTypes": event_type or None, "isDryRun": dry_run},
        )
        try:
            request = ReplayRequest(order["name"], order["eventTypes"], start_at, end_at, archive)
            started = start(opened, request)
        except NotReplayable as error:
            fail(str(error), FAILED)
        if not as_json:
            console.print(f"Replay {order['name']} of {', '.join(order['eventTypes'])}.")
        _follow(started, start_at, end_at, deadline, quiet=as_json)
        counts = _settled(caller, order["name"], deadline, quiet=as_json) if dry_run else None
    _report(order, counts, as_json)


def _moment(option: str, text: str | None) -> Instant:
    """Return the time in an option, or the current time without the option."""
    instant = now() if text is None else read_given_time(text)
    if instant is None:
        fail(f"{option}: expected a time, for example 2026-11-23T10:00:00Z; got {text!r}", INVALID)
    return instant


def _follow(started: ArchiveReplay, start_at: Instant, end_at: Instant, deadline: float, *, quiet: bool) -> None:
    """Wait until EventBridge has delivered the last event. Ctrl-C cancels the replay."""
    with progress_bar("Replaying", (end_at - start_at) // 1000, quiet=quiet) as bar:
        try:
            while not (progress := started.progress()).is_over:
                if time.monotonic() > deadline:
                    fail(
                        f"the replay {started.name} has not ended within --timeout; it continues in the background",
                        FAILED,
                    )
                if progress.reached is not None:
                    bar.update((progress.reached - start_at) // 1000, iso(progress.reached))
                time.sleep(POLL_SECONDS)
        except KeyboardInterrupt:
            started.cancel()
            fail(f"the replay {started.name} was cancelled; events delivered before are processed", FAILED)
    if progress.state != "COMPLETED":
        fail(
            f"the replay {started.name} ended as {progress.state}: {progress.reason or 'EventBridge gave no reason'}",
            FAILED,
        )


def _settled(caller: Api, name: str, deadline: float, *, quiet: bool) -> Counts:
    """Return the counts when they no longer change: the functions have then processed the delivered events."""
    with progress_bar("Counting", unit="decisions", quiet=quiet) as bar:
        counts, changed_at = _counts(caller, name), time.monotonic()
        while time.monotonic() - changed_at < QUIET_SECONDS:
            if time.monotonic() > deadline:
                fail(
                    f"the events of the replay {name} are still being counted; GET {_path(name)} returns the counts",
                    FAILED,
                )
            bar.update(sum(codes.total() for codes in counts.values()))
            time.sleep(min(POLL_SECONDS, QUIET_SECONDS))
            latest = _counts(caller, name)
            if latest != counts:
                counts, changed_at = latest, time.monotonic()
    return counts


def _counts(caller: Api, name: str) -> Counts:
    """Return the decisions by flow and code. The pages contain partial counts, which are added up."""
    counts: dict[str, Counter[str]] = {}
    for partial in caller.pages(_path(name)):
        counts.setdefault(partial["flowId"], Counter()).update(partial["decisions"])
    return counts


def _path(name: str) -> str:
    return f"/enrollment/v1/replays/{path_segment(name)}/counts"


def _report(order: Mapping[str, Any], counts: Counts | None, as_json: bool) -> None:
    if as_json:
        flows = (
            None
            if counts is None
            else [
                {"flowId": flow_id, "wouldEnroll": codes[Code.ENROLLED], "decisions": dict(codes)}
                for flow_id, codes in counts.items()
            ]
        )
        print_json({**order, "flows": flows})
    elif counts is None:
        console.print("All events were delivered. The log has their decisions, with the name of the replay.")
    elif not counts:
        console.print("No record would be enrolled: no event of that time matches a flow.")
    else:
        print_table(
            ("flow", "would enroll", Column("decisions", is_message=True)),
            (
                (flow_id, codes[Code.ENROLLED], ", ".join(f"{code} {count}" for code, count in codes.most_common()))
                for flow_id, codes in sorted(counts.items())
            ),
        )
