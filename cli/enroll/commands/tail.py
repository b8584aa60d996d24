"""`enroll tail`"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from enroll.api import Api, ApiUrl, api_errors_reported, is_loopback, open_api
from enroll.completion import complete_event_types, complete_flows, complete_records
from enroll.decision_stream import REFUSAL_REASONS, LogFiles, LogGroups, LogSource, StreamFilter, follow, rendered
from enroll.durations import read_timeout
from enroll.flow_names import find_flow_id
from enroll.output import INVALID, NOT_REACHED, AsJson, Utc, console, errors, fail, print_json_line, times
from enroll.records import read_record
from enroll.stack import StackName, aws_errors_reported, client_of
from enroll.tail import MAX_NEW, Tail, enrollment_line
from enrollment.catalog import CATEGORIES, EVENT_TYPES
from enrollment.domain.enrollment.decisions import Code
from enrollment.domain.events.own_types import ASSOCIATED_RECORD_EVENT, REQUESTED
from enrollment.serialization.validation_errors import suggestion

# The event types of decisions that no event of the catalog caused.
OWN_EVENT_TYPES = REQUESTED | {ASSOCIATED_RECORD_EVENT}
KNOWN_CODES = [*Code, *REFUSAL_REASONS]

# The time before the command starts from which it shows the latest lines.
LATEST_MS = 10 * 60 * 1000


def tail(
    portal: Annotated[
        str | None,
        typer.Option(
            "--portal", envvar="ENROLL_PORTAL", help="Only this portal. Default: all. --enrollments needs one."
        ),
    ] = None,
    flow: Annotated[
        list[str] | None,
        typer.Option(
            help="Only this flow, by its ID, or by its name if the portal is named. Repeatable.",
            autocompletion=complete_flows,
        ),
    ] = None,
    record: Annotated[
        str | None,
        typer.Option(help="Only this record, for example contact/101 or 0-1/101.", autocompletion=complete_records),
    ] = None,
    event_type: Annotated[
        list[str] | None,
        typer.Option(
            "--event-type",
            help="Only this event type, for example forms.submitted. Repeatable.",
            autocompletion=complete_event_types,
        ),
    ] = None,
    code: Annotated[
        list[str] | None,
        typer.Option(help="Only this decision code, or reason of a refusal, for example NOT_MATCHED. Repeatable."),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=0, max=100, help="Number of the latest lines that are shown first.")
    ] = 10,
    timeout: Annotated[
        str | None,
        typer.Option(help="End after this time without a new line, for example 30s. 0 shows the latest and ends."),
    ] = None,
    enrollments: Annotated[
        bool, typer.Option("--enrollments", help="Show enrollments only, from the table instead of the logs.")
    ] = False,
    logs: Annotated[
        Path | None,
        typer.Option(help="Folder with the logs of a local run. Default: that of the run at AWS_ENDPOINT_URL."),
    ] = None,
    api: ApiUrl = None,
    stack: StackName = "enroll",
    utc: Utc = False,
    as_json: AsJson = False,
) -> None:
    """Show events and decisions as they are made, with the reasons.

    The command reads the logs of the functions, so it changes nothing, and
    consumers get every message. Ctrl-C ends it. With --json, each line is a
    line of the logs.

    It shows each decision, each refused event, and names in events that are
    ignored. Decisions are logged at LogLevel INFO.

    Latency: up to 15 seconds, and less than one second in the local run. It
    makes at most 4 calls a second of CloudWatch Logs.

    --enrollments reads the enrollments table through the HTTP API instead.
    Each line is an enrollment. Latency: about 3 seconds, and 2 more seconds
    for every 10 flows after the first 10. Cost: each flow needs 1,800 API
    requests and about 35,000 DynamoDB read units an hour, about 1 US cent.
    Bounds: 5 API requests a second while nothing is new, and at most 910
    new enrollments of a flow in a poll. A warning says if more were skipped.
    """
    key = None if record is None else read_record(record)
    timeout_seconds = None if timeout is None else read_timeout(timeout)
    _fail_if_unknown(event_type or [], code or [])
    if not enrollments:
        flow_ids = flow if portal is None or not flow else _flow_ids(open_api(api, portal, stack), flow)
        wanted = StreamFilter(portal, key, flow_ids or (), event_type or (), code or ())
        with aws_errors_reported():
            source = _source(logs, stack, limit)
            _follow(
                follow(source, wanted.accepts), limit, timeout_seconds, lambda lines: _show_lines(lines, utc, as_json)
            )
        return
    if portal is None:
        fail("--enrollments: expected --portal or ENROLL_PORTAL, for example --portal demo; got neither", INVALID)
    if event_type or code:
        fail(
            "--event-type and --code filter the lines of the logs. Leave them out, or leave out --enrollments", INVALID
        )
    client = open_api(api, portal, stack)
    opened = Tail(client, _flow_ids(client, flow) if flow else None, key, _report_gap, _report_skipped)
    with api_errors_reported():
        _follow(_enrollments(opened, limit), limit, timeout_seconds, lambda items: _show(items, utc, as_json))


def _fail_if_unknown(event_types: Sequence[str], codes: Sequence[str]) -> None:
    """End the command if no line can have one of these types or codes. Without this, it would wait in silence."""
    for event_type in event_types:
        if event_type not in EVENT_TYPES and event_type not in OWN_EVENT_TYPES:
            hint = suggestion(event_type, EVENT_TYPES)
            fail(
                f"--event-type: expected an event type of the catalog, for example forms.submitted; got "
                f"{event_type!r}{hint}",
                INVALID,
            )
    for code in codes:
        if code not in KNOWN_CODES:
            fail(
                [
                    f"--code: expected a decision code or a reason of a refusal; got {code!r}"
                    f"{suggestion(code, KNOWN_CODES)}",
                    f"Decision codes: {', '.join(Code)}.",
                    f"Reasons of refusals: {', '.join(REFUSAL_REASONS)}.",
                ],
                INVALID,
            )


def _flow_ids(opened: Api, flows: Sequence[str]) -> list[str]:
    """Return the IDs of flows that are named by ID or by name. Deleted flows have decisions and enrollments, too."""
    flow_ids = []
    with api_errors_reported():
        for text in flows:
            flow_id = find_flow_id(opened, text)
            if flow_id is None:
                errors.print(
                    f"Warning: no flow has the ID or the name {text!r} in portal {opened.portal}. It is used as the ID "
                    "of a deleted flow.",
                    style="yellow",
                )
            flow_ids.append(flow_id or text)
    return flow_ids


def _follow(
    batches: Iterator[Sequence[Mapping[str, Any]]],
    last: int,
    timeout_seconds: float | None,
    show: Callable[[Sequence[Mapping[str, Any]]], None],
) -> None:
    """Show the latest items of the first batch, then every batch, until the timeout or Ctrl-C."""
    try:
        first = next(batches)
        show(first[max(0, len(first) - last) :])
        shown_at = time.monotonic()
        if timeout_seconds == 0:
            return
        for items in batches:
            show(items)
            if items:
                shown_at = time.monotonic()
            if timeout_seconds is not None and time.monotonic() - shown_at >= timeout_seconds:
                return
    except KeyboardInterrupt:
        return


def _enrollments(opened: Tail, last: int) -> Iterator[Sequence[Mapping[str, Any]]]:
    yield opened.latest(last)
    yield from opened.follow()


def _source(logs: Path | None, stack: str, last: int) -> LogSource:
    """Return the log files of the local run, or the log groups of the stack. Ends the command if there are none."""
    folder = logs or _local_logs()
    if folder is None:
        groups = [f"/enroll/{stack}/{name}" for name in (*CATEGORIES, "redeliveries")]
        since_ms = round(time.time() * 1000) - (LATEST_MS if last else 0)
        return LogGroups(client_of("logs"), groups, since_ms)
    if not folder.is_dir():
        fail(
            f"expected the folder of a local run's logs; {folder} is not a folder. Name it with --logs",
            NOT_REACHED,
        )
    return LogFiles(folder)


def _local_logs() -> Path | None:
    """Return the log folder of the local run that the AWS configuration names. None: it names AWS."""
    endpoint = urlsplit(os.environ.get("AWS_ENDPOINT_URL", ""))
    if not endpoint.hostname or not is_loopback(endpoint.hostname):
        return None
    from enroll.local.settings import Settings

    return Settings(port=endpoint.port or 80).run_folder


def _show_lines(lines: Sequence[Mapping[str, Any]], utc: bool, as_json: bool) -> None:
    clock = times(utc)
    for line in lines:
        if as_json:
            print_json_line(line)
        else:
            for text in rendered(line, clock):
                console.print(text)


def _report_gap(path: str) -> None:
    errors.print(
        f"Warning: more than {MAX_NEW} new enrollments in one poll. Older ones are not shown. GET {path} lists them.",
        style="yellow",
    )


def _report_skipped(flow_id: str) -> None:
    errors.print(
        f"Warning: flow {flow_id} is not shown: its ID does not fit into a path of the API. Use --record instead.",
        style="yellow",
    )


def _show(enrollments: Sequence[Mapping[str, Any]], utc: bool, as_json: bool) -> None:
    for enrollment in enrollments:
        if as_json:
            print_json_line(enrollment)
        else:
            console.print(enrollment_line(enrollment, times(utc)))
