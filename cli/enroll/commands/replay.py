"""`enroll replay`"""

import time
from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TextColumn

from enroll.api import Api, ApiUrl, Portal, api_errors_reported, open_api, path_segment
from enroll.output import FAILED, INVALID, AsJson, console, errors, fail, print_json, print_table
from enroll.replay import ArchiveReplay, NotReplayable, ReplayRequest, start
from enroll.stack import StackName, aws_errors_reported, open_stack
from enrollment.domain.enrollment.decisions import Code
from enrollment.domain.values import Instant, iso, read_given_time
from enrollment.entrypoints.bootstrap import now

POLL_SECONDS = 2.0
# For which the counts of a dry run must not change before they are taken for all.
QUIET_SECONDS = 10.0

Counts = Mapping[str, Counter[str]]


def replay(
    portal: Portal,
    since: Annotated[str, typer.Option("--from", help="Events sent then or later: ISO-8601.")],
    until: Annotated[
        str | None, typer.Option("--to", help="Events sent until then; until now, when not given.")
    ] = None,
    flow: Annotated[
        list[str] | None,
        typer.Option("--flow", help="For this flow alone, whenever it was turned on; several times for several."),
    ] = None,
    event_type: Annotated[
        list[str] | None, typer.Option("--event-type", help="Only events of this type; several times for several.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Enroll no record, and count the records that would be enrolled.")
    ] = False,
    archive: Annotated[str | None, typer.Option(help="The archive, where the bus has several.")] = None,
    timeout: Annotated[float, typer.Option(help="Minutes to wait for the end; the replay itself goes on.")] = 60,
    api: ApiUrl = None,
    stack: StackName = "enroll",
    as_json: AsJson = False,
) -> None:
    """Deliver archived events again: none enrolls twice, and a new flow can be applied to what happened before it."""
    start_at, end_at = _moment("--from", since), _moment("--to", until)
    if start_at >= end_at:
        fail(f"--from {iso(start_at)} must be before --to {iso(end_at)}", INVALID)
    opened, caller = open_stack(stack), open_api(api, portal, stack)
    deadline = time.monotonic() + timeout * 60
    with aws_errors_reported(), api_errors_reported():
        order = caller.call(
            "POST",
            "/enrollment/v1/replays",
            {"flowIds": flow or None, "eventTypes": event_type or None, "isDryRun": dry_run},
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


def _moment(option: str, given: str | None) -> Instant:
    found = now() if given is None else read_given_time(given)
    if found is None:
        fail(f"{option}: expected a time, for example 2026-11-23T10:00:00Z; got {given!r}", INVALID)
    return found


def _follow(started: ArchiveReplay, start_at: Instant, end_at: Instant, deadline: float, *, quiet: bool) -> None:
    """Until EventBridge has delivered the last event. Interrupted, it is cancelled."""
    columns = (TextColumn("Replaying"), BarColumn(), TextColumn("{task.fields[reached]}"))
    with Progress(*columns, console=errors, disable=quiet, transient=True) as shown:
        task = shown.add_task("Replaying", total=end_at - start_at, reached="")
        try:
            while not (progress := started.progress()).is_over:
                if time.monotonic() > deadline:
                    fail(f"the replay {started.name} has not ended; it goes on, and nobody waits for it", FAILED)
                if progress.reached is not None:
                    shown.update(task, completed=progress.reached - start_at, reached=iso(progress.reached))
                time.sleep(POLL_SECONDS)
        except KeyboardInterrupt:
            started.cancel()
            fail(f"the replay {started.name} is cancelled; what it delivered before is processed", FAILED)
    if progress.state != "COMPLETED":
        fail(f"the replay {started.name} ended as {progress.state}: {progress.reason or 'no reason given'}", FAILED)


def _settled(caller: Api, name: str, deadline: float, *, quiet: bool) -> Counts:
    """The counts, once the functions are done with what was delivered: when they change no more."""
    columns = (TextColumn("Counting"), TextColumn("{task.completed} decisions"))
    with Progress(*columns, console=errors, disable=quiet, transient=True) as shown:
        task = shown.add_task("Counting", total=None)
        counts, changed_at = _counts(caller, name), time.monotonic()
        while time.monotonic() - changed_at < QUIET_SECONDS:
            if time.monotonic() > deadline:
                fail(f"the events of the replay {name} are still being counted; ask {_path(name)}", FAILED)
            shown.update(task, completed=sum(codes.total() for codes in counts.values()))
            time.sleep(min(POLL_SECONDS, QUIET_SECONDS))
            latest = _counts(caller, name)
            if latest != counts:
                counts, changed_at = latest, time.monotonic()
    return counts


def _counts(caller: Api, name: str) -> Counts:
    """The pages are parts that add up."""
    counts: dict[str, Counter[str]] = {}
    for one in caller.pages(_path(name)):
        counts.setdefault(one["flowId"], Counter()).update(one["decisions"])
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
        console.print("All events are delivered. Their decisions are in the log, with the name of the replay.")
    elif not counts:
        console.print("Nobody would be enrolled: no event of that time is one that a flow takes.")
    else:
        print_table(
            ("flow", "would enroll", "decisions"),
            (
                (flow_id, codes[Code.ENROLLED], ", ".join(f"{code} {count}" for code, count in codes.most_common()))
                for flow_id, codes in sorted(counts.items())
            ),
        )
