"""`enroll simulate`"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from enroll.api import ApiUrl, JsonObject, Portal, api_errors_reported, open_api
from enroll.decision_rendering import DecidedEvent, print_decisions
from enroll.files import read_json, read_objects
from enroll.output import INVALID, AsJson, Utc, errors, fail, print_json, print_note, times
from enroll.producer_events import Changes, read_events
from enroll.stack import StackName
from enrollment.entrypoints.bootstrap import now


def simulate(
    event: Annotated[
        Path, typer.Argument(help="A file with an event as EventBridge delivers it, for example one in events/.")
    ],
    portal: Portal,
    flow: Annotated[
        list[Path] | None, typer.Option(help="Draft flows to use instead of the stored flows. They count as turned on.")
    ] = None,
    record: Annotated[
        Path | None, typer.Option(help='A record to use instead of the stored one: {"properties": {…}, "lists": […]}.')
    ] = None,
    at_now: Annotated[bool, typer.Option("--now", help="Set occurredAt of the event to the current time.")] = False,
    details: Annotated[bool, typer.Option("--details", help="Show every filter with the value of the record.")] = False,
    api: ApiUrl = None,
    stack: StackName = "enroll",
    utc: Utc = False,
    as_json: AsJson = False,
) -> None:
    """Show the decisions that an event would cause. Nothing is written, and no message is sent."""
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
