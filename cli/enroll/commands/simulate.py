"""`enroll simulate`"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from enroll.api import Api, ApiUrl, JsonObject, Portal, api_errors_reported, open_api, path_segment
from enroll.completion import complete_flows, complete_records
from enroll.decision_rendering import DecidedEvent, print_decisions
from enroll.files import read_json, read_objects
from enroll.flow_names import find_flow
from enroll.output import INVALID, AsJson, Utc, errors, fail, print_json, print_note, times
from enroll.producer_events import Changes, read_events
from enroll.records import record_id_of
from enroll.stack import StackName
from enroll.times import Times
from enrollment.entrypoints.bootstrap import now

# The largest batch of the API.
MAX_RECORDS = 100


def simulate(
    portal: Portal,
    event: Annotated[
        Path | None,
        typer.Argument(help="A file with an event as EventBridge delivers it, for example one in events/."),
    ] = None,
    flow: Annotated[
        list[Path] | None, typer.Option(help="Draft flows to use instead of the stored flows. They count as turned on.")
    ] = None,
    record: Annotated[
        Path | None, typer.Option(help='A record to use instead of the stored one: {"properties": {…}, "lists": […]}.')
    ] = None,
    manual: Annotated[
        list[str] | None,
        typer.Option(
            help="Instead of an event: a record that a caller would enroll in --in-flow, for example contact/101.",
            autocompletion=complete_records,
        ),
    ] = None,
    in_flow: Annotated[
        str | None,
        typer.Option(help="The flow of a manual enrollment, by its ID or name.", autocompletion=complete_flows),
    ] = None,
    at_now: Annotated[bool, typer.Option("--now", help="Set occurredAt of the event to the current time.")] = False,
    details: Annotated[bool, typer.Option("--details", help="Show every filter with the value of the record.")] = False,
    api: ApiUrl = None,
    stack: StackName = "enroll",
    utc: Utc = False,
    as_json: AsJson = False,
) -> None:
    """Show the decisions that an event or a manual enrollment would cause. Nothing is written or sent."""
    if manual or in_flow is not None:
        _check_manual(event, manual, in_flow, flow, record, at_now=at_now)
        assert manual is not None
        assert in_flow is not None
        _simulate_manual(open_api(api, portal, stack), manual, in_flow, times(utc), details=details, as_json=as_json)
        return
    if event is None:
        fail("expected a file with an event, or --manual RECORD --in-flow FLOW; got neither", INVALID)
    body: dict[str, Any] = {"event": _envelope(event, portal, at_now=at_now)}
    if flow:
        body["flows"] = [document for path in flow for document in read_objects(path)]
    if record is not None:
        body["record"] = read_json(record)
    with api_errors_reported():
        answer = open_api(api, portal, stack).call("POST", "/enrollment/v1/simulate", body)
    if as_json:
        print_json(answer)
        return
    if refused := answer.get("unprocessed"):
        faults = [fault["message"] for fault in refused.get("faults", [refused])]
        fail([f"the event would become an unprocessed event: {refused['reason']}", *faults], INVALID)
    for warning in answer.get("warnings", []):
        errors.print(f"Warning: {warning}", style="yellow")
    print_decisions([_decided(body["event"], answer)], times(utc), details=details)
    print_note("Nothing was written, and no message was sent.")


def _check_manual(
    event: Path | None,
    manual: list[str] | None,
    in_flow: str | None,
    drafts: list[Path] | None,
    record: Path | None,
    *,
    at_now: bool,
) -> None:
    """End the command if the options of a manual enrollment are incomplete, or beside those of an event."""
    if not manual or in_flow is None:
        found = "--in-flow only" if in_flow is not None else "--manual only"
        fail(
            f"expected both --manual and --in-flow, for example --manual contact/101 --in-flow 1001; got {found}",
            INVALID,
        )
    options = {"EVENT": event, "--flow": drafts, "--record": record, "--now": at_now or None}
    if unused := [name for name, value in options.items() if value]:
        fail(f"expected --manual without {', '.join(unused)}, which belong to an event; got both", INVALID)
    if len(manual) > MAX_RECORDS:
        fail(f"--manual: expected at most {MAX_RECORDS} records; got {len(manual)}", INVALID)


def _simulate_manual(
    opened: Api, records: list[str], flow_name: str, clock: Times, *, details: bool, as_json: bool
) -> None:
    with api_errors_reported():
        flow = find_flow(opened, flow_name)
        by_id = {record_id_of(record, flow): record for record in records}
        path = f"/enrollment/v1/flows/{path_segment(flow['id'])}/enrollments/simulate"
        answer = opened.call("POST", path, {"inputs": [{"objectId": object_id} for object_id in by_id]})
    if as_json:
        print_json(answer)
        return
    decided = [
        DecidedEvent("", decision["eventType"], [decision], None, by_id.get(decision["objectId"]))
        for decision in answer["results"]
    ]
    print_decisions(decided, clock, details=details)
    print_note("Nothing was written, and no message was sent.")


def _decided(envelope: Any, answer: Mapping[str, Any]) -> DecidedEvent:
    # The API has accepted the event, so these keys exist, unless the URL is that of another server.
    envelope = JsonObject(envelope if isinstance(envelope, dict) else {})
    detail = JsonObject(envelope["detail"] if isinstance(envelope["detail"], dict) else {})
    record = f"{detail['objectType']}/{detail['objectId']}" if detail.get("objectId") else "an unknown visitor"
    return DecidedEvent(
        answer["eventId"], envelope["detail-type"], answer["decisions"], detail.get("occurredAt"), record
    )


def _envelope(path: Path, portal: str, *, at_now: bool) -> dict[str, Any]:
    """Return the event in the file as an event of this portal, as the bus would deliver it."""
    events = read_events([path], Changes(portal=portal, at_now=at_now), now)
    if len(events) != 1:
        fail(f"{path}: expected one event, got {len(events)}", INVALID)
    return events[0].delivered(now())
