"""`enroll send`"""

import uuid
from pathlib import Path
from typing import Annotated, Any

import typer

from enroll.bus import BusEntry, batches, detail_text
from enroll.bus import put as put_batch
from enroll.files import read_objects
from enroll.output import FAILED, INVALID, AsJson, console, fail, print_json
from enroll.progress import progress_bar
from enroll.stack import StackName, aws_errors_reported, open_stack
from enrollment.domain.values import iso
from enrollment.entrypoints.bootstrap import now


def send(
    files: Annotated[
        list[Path], typer.Argument(help="Files with events as EventBridge delivers them, for example those in events/.")
    ],
    at_now: Annotated[bool, typer.Option("--now", help="Set occurredAt of every event to the current time.")] = False,
    new_id: Annotated[bool, typer.Option("--new-id", help="Give every event a new ID.")] = False,
    portal: Annotated[str | None, typer.Option(help="Replace the portal of every event.")] = None,
    stack: StackName = "enroll",
    as_json: AsJson = False,
) -> None:
    """Put events on the bus.

    An event without occurredAt gets the current time, with milliseconds.
    A time without a fraction of a second, such as the time that the bus
    itself sets, is precise to the second only.
    """
    events = [(path, event) for path in files for event in read_objects(path)]
    opened = open_stack(stack)
    entries = [
        _entry(opened.outputs["EventBusName"], envelope, _detail(envelope["detail"], at_now, new_id, portal))
        for envelope in (_envelope(path, event) for path, event in events)
    ]
    with aws_errors_reported():
        refused = put(opened.client("events"), entries, quiet=as_json or len(entries) < 100)
    if as_json:
        print_json({"sent": len(entries) - len(refused), "refused": refused})
    else:
        console.print(f"Sent {len(entries) - len(refused)} of {len(entries)} events.")
    if refused:
        fail("the bus rejected events: " + "; ".join(refused), FAILED)


def put(client: Any, entries: list[BusEntry], *, quiet: bool = True) -> list[str]:
    """Put entries on the bus. Return the reasons of those that the bus rejected."""
    refused: list[str] = []
    with progress_bar("Sending", len(entries), quiet=quiet) as progress:
        for batch in batches(entries):
            refused += [f"{batch[place]['DetailType']}: {why}" for place, why in put_batch(client, batch).items()]
            progress.advance(len(batch))
    return refused


def _envelope(path: Path, event: dict[str, Any]) -> dict[str, Any]:
    """Return the envelope of an event. End the command with INVALID if the file has no complete event."""
    if "event" in event and "truncated" in event:  # as `enroll unprocessed show` prints it
        fail(
            f"{path}: expected a complete event; got one that was truncated. Restore it first (docs/unprocessed.md)",
            INVALID,
        )
    event = event.get("event", event)  # a sample of events/invalid
    missing = [key for key in ("detail-type", "source", "detail") if key not in event]
    if missing:
        fail(f"{path}: expected an event as EventBridge delivers it; {', '.join(missing)} is missing", INVALID)
    return event


def _detail(detail: Any, at_now: bool, new_id: bool, portal: str | None) -> Any:
    """Return the detail with the changes that the options of the command make."""
    if not isinstance(detail, dict):
        return detail
    detail = dict(detail)
    if at_now or detail.get("occurredAt") is None:
        detail["occurredAt"] = iso(now())
    if new_id:
        detail["id"] = str(uuid.uuid4())
    if portal is not None:
        detail["portalId"] = portal
    return detail


def _entry(bus: str, envelope: dict[str, Any], detail: Any) -> BusEntry:
    return {
        "EventBusName": bus,
        "Source": str(envelope["source"]),
        "DetailType": str(envelope["detail-type"]),
        "Detail": detail_text(detail),
    }
