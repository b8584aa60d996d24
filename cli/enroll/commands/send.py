"""`enroll send`"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from enroll.api import Api, ApiUrl, api_errors_reported, open_api
from enroll.bus import BusEntry, batches
from enroll.bus import put as put_batch
from enroll.durations import read_timeout
from enroll.event_outcomes import exit_code, print_outcomes, unprocessed_events, wait_for_outcomes
from enroll.output import FAILED, AsJson, Utc, console, fail, print_json, times
from enroll.producer_events import Changes, PreparedEvent, check_events, read_events
from enroll.progress import progress_bar
from enroll.stack import StackName, aws_errors_reported, open_stack
from enrollment.entrypoints.bootstrap import now

Wait = Annotated[bool, typer.Option("--wait", help="Wait, and print what became of the events.")]
Timeout = Annotated[str, typer.Option(help="With --wait, the longest wait, for example 30s or 5m.")]


def send(
    files: Annotated[
        list[Path], typer.Argument(help="Files with events as EventBridge delivers them, for example those in events/.")
    ],
    at_now: Annotated[bool, typer.Option("--now", help="Set occurredAt of every event to the current time.")] = False,
    new_id: Annotated[bool, typer.Option("--new-id", help="Give every event a new ID.")] = False,
    portal: Annotated[str | None, typer.Option(help="Replace the portal of every event.")] = None,
    unchecked: Annotated[
        bool, typer.Option("--unchecked", help="Send events that Enroll will refuse, for example to test an alarm.")
    ] = False,
    wait: Wait = False,
    timeout: Timeout = "30s",
    api: ApiUrl = None,
    stack: StackName = "enroll",
    utc: Utc = False,
    as_json: AsJson = False,
) -> None:
    """Put events on the bus.

    The events are checked first. If one is invalid, all faults are printed
    and nothing is sent.

    An event without occurredAt gets the current time, with milliseconds.
    A time without a fraction of a second, such as the time that the bus
    itself sets, is precise to the second only.

    With --wait, exit code 0 means that all decisions are final. 1: an event
    is unprocessed. 4: one is unknown. 6: a decision is not final yet.
    """
    timeout_seconds = read_timeout(timeout)
    changes = Changes(portal=portal, at_now=at_now, new_id=new_id, needs_id=wait)
    events = read_events(files, changes, now)
    if not unchecked:
        check_events(events, now())
    refused = send_events(events, stack, quiet=as_json)
    report(SentEvents(events, refused, wait, timeout_seconds, api, stack), utc=utc, as_json=as_json)


@dataclass(frozen=True)
class SentEvents:
    """Events that were put on the bus. ``refused``: the reasons of those that the bus did not accept."""

    events: Sequence[PreparedEvent]
    refused: Sequence[str]
    wait: bool
    timeout_seconds: float
    api: str | None
    stack: str

    @property
    def sent(self) -> int:
        return len(self.events) - len(self.refused)


def report(sent: SentEvents, *, utc: bool, as_json: bool) -> None:
    """Print how many events were sent, and what became of them if the command waits. Ends the command."""
    summary: dict[str, Any] = {"sent": sent.sent, "refused": list(sent.refused)}
    if not as_json:
        ids = f": {sent.events[0].event_id}" if len(sent.events) == 1 and sent.events[0].event_id else ""
        console.print(f"Sent {sent.sent} of {len(sent.events)} events{ids}.")
    code = 0
    if sent.wait and not sent.refused:
        with api_errors_reported():
            clients = {event.portal: _api_of(sent, event.portal) for event in sent.events}
            pairs = [(clients[event.portal], event.event_id) for event in sent.events]
            outcomes = wait_for_outcomes(pairs, sent.timeout_seconds, unprocessed_events(sent.stack))
        summary["outcomes"] = outcomes
        code = exit_code(outcomes)
        if not as_json:
            print_outcomes(outcomes, times(utc))
    if as_json:
        print_json(summary)
    if sent.refused:
        fail("the bus rejected events: " + "; ".join(sent.refused), FAILED)
    raise typer.Exit(code)


def _api_of(sent: SentEvents, portal: str) -> Api:
    """Return the client for the outcome of an event. Enroll refuses an event without a portal, so the history of no
    portal has it, and it is looked for in the unprocessed-events queue."""
    return open_api(sent.api, portal or "none", sent.stack)


def send_events(events: Sequence[PreparedEvent], stack: str, *, quiet: bool = True) -> list[str]:
    """Put events on the bus of a stack. Return the reasons of those that the bus rejected."""
    opened = open_stack(stack)
    entries = [event.entry(opened.outputs["EventBusName"]) for event in events]
    with aws_errors_reported():
        return put(opened.client("events"), entries, quiet=quiet or len(entries) < 100)


def put(client: Any, entries: list[BusEntry], *, quiet: bool = True) -> list[str]:
    """Put entries on the bus. Return the reasons of those that the bus rejected."""
    refused: list[str] = []
    with progress_bar("Sending", len(entries), quiet=quiet) as progress:
        for batch in batches(entries):
            refused += [f"{batch[place]['DetailType']}: {why}" for place, why in put_batch(client, batch).items()]
            progress.advance(len(batch))
    return refused
