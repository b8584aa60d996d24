"""`enroll tail`"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from enroll.api import ApiUrl, Portal, api_errors_reported, open_api
from enroll.completion import complete_flows, complete_records
from enroll.output import AsJson, Utc, console, errors, print_json_line, times
from enroll.records import read_record
from enroll.stack import StackName
from enroll.tail import MAX_NEW, Tail
from enroll.times import Times


def tail(
    portal: Portal,
    flow: Annotated[
        list[str] | None,
        typer.Option(help="Only this flow. Repeatable. Default: all flows that are on.", autocompletion=complete_flows),
    ] = None,
    record: Annotated[
        str | None,
        typer.Option(help="Only this record, for example contact/101 or 0-1/101.", autocompletion=complete_records),
    ] = None,
    last: Annotated[int, typer.Option("--last", "-n", min=0, max=100, help="Show the latest enrollments first.")] = 10,
    timeout: Annotated[
        float | None,
        typer.Option(min=0, help="End after this many seconds without a new enrollment. 0 shows the latest and ends."),
    ] = None,
    api: ApiUrl = None,
    stack: StackName = "enroll",
    utc: Utc = False,
    as_json: AsJson = False,
) -> None:
    """Show enrollments as they are made. Does not use the queue.

    The command reads the enrollments table through the HTTP API, so
    consumers get every message. Ctrl-C ends it. With --json, each line is
    an enrollment.

    Latency: about 3 seconds, and 2 more seconds for every 10 flows after
    the first 10.

    Cost: each flow needs 1,800 API requests and about 35,000 DynamoDB read
    units an hour, about 1 US cent.

    Bounds: 5 API requests a second while nothing is new, and at most 910
    new enrollments of a flow in a poll. A warning says if more were skipped.
    """
    key = None if record is None else read_record(record)
    opened = Tail(open_api(api, portal, stack), flow or None, key, _report_gap, _report_skipped)
    try:
        with api_errors_reported():
            _show(opened.latest(last), utc, as_json)
            shown_at = time.monotonic()
            if timeout == 0:
                return
            for enrollments in opened.follow():
                _show(enrollments, utc, as_json)
                if enrollments:
                    shown_at = time.monotonic()
                if timeout is not None and time.monotonic() - shown_at >= timeout:
                    return
    except KeyboardInterrupt:
        return


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


def enrollment_line(enrollment: Mapping[str, Any], clock: Times) -> str:
    """Return an enrollment, or a message of the enrollments queue, as one line of text."""
    trigger = enrollment["trigger"]
    record = f"{enrollment['objectTypeId']}/{enrollment['objectId']}"
    flow = f"{enrollment['flowName']} ({enrollment['flowId']})"
    again = " again" if enrollment["isReEnrollment"] else ""
    cause = f"{trigger['eventType']} {trigger['eventId']}"
    due = f", message due at {clock.text(enrollment['dueAt'])}" if "dueAt" in enrollment else ""
    enrolled_at = clock.text(enrollment["enrolledAt"])
    return f"{enrolled_at}  {enrollment['portalId']}  {record} enters {flow}{again} by {cause}{due}"
