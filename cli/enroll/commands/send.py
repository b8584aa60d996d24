"""`enroll send`"""

import json
import time
import uuid
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress

from enroll.files import read_objects
from enroll.output import FAILED, INVALID, AsJson, console, errors, fail, print_json
from enroll.stack import StackName, explained, open_stack
from enrollment.bootstrap import now
from enrollment.domain.values import iso

# PutEvents takes this many entries.
BATCH = 10
ATTEMPTS = 5


def send(
    files: Annotated[list[Path], typer.Argument(help="Events as EventBridge delivers them, as those in events/.")],
    at_now: Annotated[bool, typer.Option("--now", help="They occur now.")] = False,
    new_id: Annotated[bool, typer.Option("--new-id", help="Each is a new event: a fresh id.")] = False,
    portal: Annotated[str | None, typer.Option(help="To this portal instead.")] = None,
    stack: StackName = "enroll",
    as_json: AsJson = False,
) -> None:
    """Put events on the bus."""
    events = [(path, one) for path in files for one in read_objects(path)]
    opened = open_stack(stack)
    entries = [
        _entry(path, one, opened.outputs["EventBusName"], at_now=at_now, new_id=new_id, portal=portal)
        for path, one in events
    ]
    with explained():
        refused = put(opened.client("events"), entries, quiet=as_json or len(entries) < 100)
    if as_json:
        print_json({"sent": len(entries) - len(refused), "refused": refused})
    else:
        console.print(f"Sent {len(entries) - len(refused)} of {len(entries)} events.")
    if refused:
        fail("the bus refused: " + "; ".join(refused), FAILED)


def put(client: Any, entries: list[dict[str, str]], *, quiet: bool = True) -> list[str]:
    """Puts entries, those that fail again with backoff; answers why the rest was refused."""
    refused: list[str] = []
    with Progress(console=errors, disable=quiet, transient=True) as progress:
        task = progress.add_task("Sending", total=len(entries))
        for start in range(0, len(entries), BATCH):
            waiting = entries[start : start + BATCH]
            for attempt in range(ATTEMPTS):
                results = client.put_events(Entries=waiting)["Entries"]
                failed = [
                    (one, result) for one, result in zip(waiting, results, strict=True) if not result.get("EventId")
                ]
                waiting = [one for one, _ in failed]
                if not waiting or attempt == ATTEMPTS - 1:
                    refused += [
                        f"{one['DetailType']}: {result.get('ErrorCode')} {result.get('ErrorMessage', '')}".strip()
                        for one, result in failed
                    ]
                    break
                time.sleep(0.1 * 2**attempt)
            progress.advance(task, BATCH)
    return refused


def _entry(
    path: Path, event: dict[str, Any], bus: str, *, at_now: bool, new_id: bool, portal: str | None
) -> dict[str, str]:
    event = event.get("event", event)  # a sample of events/invalid
    missing = [key for key in ("detail-type", "source", "detail") if key not in event]
    if missing:
        fail(f"{path}: no event as EventBridge delivers it: {', '.join(missing)} absent", INVALID)
    detail = event["detail"]
    if isinstance(detail, dict):
        detail = dict(detail)
        if at_now:
            detail["occurredAt"] = iso(now())
        if new_id:
            detail["id"] = str(uuid.uuid4())
        if portal is not None:
            detail["portalId"] = portal
    return {
        "EventBusName": bus,
        "Source": str(event["source"]),
        "DetailType": str(event["detail-type"]),
        "Detail": json.dumps(detail),
    }
