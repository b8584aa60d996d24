"""`enroll unprocessed …`"""

from __future__ import annotations

import json
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer
from botocore.exceptions import ClientError
from rich.progress import Progress, TextColumn

from enroll.api import Api, ApiUrl, api_errors_reported, open_api
from enroll.bus import BATCH_ENTRIES, BusEntry, batches, put
from enroll.dead_letters.message import UnprocessedEvent
from enroll.dead_letters.queue import BATCH_MESSAGES, NotDeleted, QueueMessage, QueueScan
from enroll.output import (
    FAILED,
    INVALID,
    NOT_FOUND,
    AsJson,
    confirm,
    console,
    errors,
    fail,
    print_json,
    print_table,
    shown,
)
from enroll.stack import Stack, StackName, assume, aws_errors_reported, open_stack
from enrollment.domain.enrollment.decisions import Code
from enrollment.domain.events.event import OWN_SOURCE, InvalidEvent
from enrollment.domain.values import Instant, iso, read_given_time
from enrollment.serialization.envelopes import read_routed_event, replay_name

app = typer.Typer(help="List, show, redrive and discard events that could not be processed.", no_args_is_help=True)

# Events a second that redriving puts on the bus, when not told otherwise and at most.
DEFAULT_RATE = 50
MAX_RATE = 1000

# Said before events are discarded (docs/unprocessed.md).
DISCARD_WARNING = (
    "Discarding does not cancel enrollments that these events have already claimed. They are published within 10 "
    "minutes."
)

Reason = Annotated[str | None, typer.Option(help="Only events with this reason, for example RetriesExhausted.")]
PortalOf = Annotated[str | None, typer.Option("--portal", help="Only events of this portal.")]
EventType = Annotated[str | None, typer.Option("--event-type", help="Only events of this type.")]
Event = Annotated[str | None, typer.Option("--event", help="Only the event with this ID.")]
Since = Annotated[str | None, typer.Option(help="Only events that occurred at this time or later (ISO 8601).")]
Until = Annotated[str | None, typer.Option(help="Only events that occurred before this time (ISO 8601).")]
Limit = Annotated[int | None, typer.Option(min=1, help="Maximum number of events.")]


@dataclass(frozen=True)
class MessageFilter:
    """The options that choose messages. None accepts every value."""

    reason: str | None = None
    portal: str | None = None
    event_type: str | None = None
    event: str | None = None
    since: Instant | None = None
    until: Instant | None = None

    def matches(self, message: QueueMessage) -> bool:
        event = message.unprocessed
        # An event without a time of its own counts as old as its message.
        occurred_at = message.sent_at if event.occurred_at is None else event.occurred_at
        return (
            self.reason in (None, event.reason)
            and self.portal in (None, event.portal_id)
            and self.event_type in (None, event.event_type)
            and self.event in (None, event.event_id)
            and (self.since is None or occurred_at >= self.since)
            and (self.until is None or occurred_at < self.until)
        )


def _filter(
    reason: str | None,
    portal: str | None,
    event_type: str | None,
    event: str | None,
    since: str | None,
    until: str | None,
) -> MessageFilter:
    return MessageFilter(reason, portal, event_type, event, _moment("--since", since), _moment("--until", until))


def _moment(option: str, text: str | None) -> Instant | None:
    """Return the time in an option, or None without the option. End the command with INVALID if it is not a time."""
    if text is None:
        return None
    instant = read_given_time(text)
    if instant is None:
        fail(f"{option}: expected a time, for example 2026-11-23T10:00:00Z; got {text!r}", INVALID)
    return instant


@dataclass
class Selection:
    """The messages of a scan that match a filter. Counts the others as skipped."""

    messages: QueueScan
    filter: MessageFilter
    limit: int | None
    skipped: int = 0

    def __iter__(self) -> Iterator[QueueMessage]:
        taken = 0
        for one in self.messages:
            if not self.filter.matches(one):
                self.skipped += 1
                continue
            taken += 1
            yield one
            if taken == self.limit:
                return


def _scan(stack: Stack) -> QueueScan:
    return QueueScan(stack.client("sqs"), stack.outputs["UnprocessedEventsQueueUrl"])


@app.command("list")
def list_unprocessed(
    reason: Reason = None,
    portal: PortalOf = None,
    event_type: EventType = None,
    event: Event = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = None,
    stack: StackName = "enroll",
    as_json: AsJson = False,
) -> None:
    """List the unprocessed events and their reasons. The queue keeps them."""
    wanted = _filter(reason, portal, event_type, event, since, until)
    with aws_errors_reported(), _scan(open_stack(stack)) as messages:
        found = list(Selection(messages, wanted, limit))
    found.sort(key=lambda one: one.sent_at)
    if as_json:
        print_json([_written(one) for one in found])
        return
    if not found:
        console.print("Nothing is unprocessed." if wanted == MessageFilter() else "No unprocessed events match.")
        return
    print_table(
        ("event", "type", "portal", "record", "occurred", "kept since", "reason", "message"),
        (
            (
                shown(one.event_id or "?", 40),
                shown(one.event_type or "?"),
                shown(one.portal_id or "?", 30),
                shown(one.record or "", 30),
                "" if one.occurred_at is None else iso(one.occurred_at),
                iso(message.sent_at),
                one.reason,
                shown(one.message if one.truncated is None else f"(cut) {one.message}", 100),
            )
            for message, one in ((message, message.unprocessed) for message in found)
        ),
    )
    reasons = Counter(one.unprocessed.reason for one in found)
    console.print(f"{len(found)} events: " + ", ".join(f"{name} {count}" for name, count in reasons.most_common()))


def _written(message: QueueMessage) -> dict[str, Any]:
    one = message.unprocessed
    return {
        "eventId": one.event_id,
        "eventType": one.event_type,
        "portalId": one.portal_id,
        "reason": one.reason,
        "field": one.field,
        "message": one.message,
        "keptSince": iso(message.sent_at),
        "event": one.event,
        **({} if one.truncated is None else {"truncated": one.truncated}),
    }


@app.command()
def show(
    event: Annotated[str, typer.Argument(help="The event's id.")],
    stack: StackName = "enroll",
    as_json: AsJson = False,
) -> None:
    """Print an event so that you can fix it and resend it with `enroll send`. --json adds the reason."""
    with aws_errors_reported(), _scan(open_stack(stack)) as messages:
        found = next(iter(Selection(messages, MessageFilter(event=event), 1)), None)
    if found is None:
        fail(f"no event {event} is unprocessed", NOT_FOUND)
    if as_json:
        print_json(_written(found))
        return
    one = found.unprocessed
    errors.print(f"{one.reason}: {one.message}", soft_wrap=True)
    if one.truncated is not None:
        # Not printed as an event: sending what is left of it would lose the rest.
        errors.print(one.obstacle, soft_wrap=True)
        print_json({"truncated": one.truncated, "event": one.event})
        return
    print_json(one.event if one.complete_event is None else one.complete_event)


@app.command()
def redrive(
    reason: Reason = None,
    portal: PortalOf = None,
    event_type: EventType = None,
    event: Event = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = None,
    rate: Annotated[int, typer.Option(min=1, max=MAX_RATE, help="Maximum number of events per second.")] = DEFAULT_RATE,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what redriving would do, and change nothing.")
    ] = False,
    api: ApiUrl = None,
    stack: StackName = "enroll",
    as_json: AsJson = False,
) -> None:
    """Put events on the bus again. An event leaves the queue when the bus has accepted it. Resumable."""
    wanted = _filter(reason, portal, event_type, event, since, until)
    opened = open_stack(stack)
    with aws_errors_reported(), _scan(opened) as messages:
        selection = Selection(messages, wanted, limit)
        if dry_run:
            _rehearse(selection, lambda portal_id: open_api(api, portal_id, stack), as_json)
            return
        work = Redriving(opened.client("events"), opened.outputs["EventBusName"], messages, rate, _own_bus(opened))
        columns = (TextColumn("Redriving"), TextColumn("{task.completed} redriven"))
        with Progress(*columns, console=errors, disable=as_json, transient=True) as progress:
            task = progress.add_task("Redriving", total=None)
            try:
                work.run(selection, lambda: progress.update(task, completed=sum(work.redriven.values())))
            except NotDeleted as error:
                fail(str(error), FAILED)
    _report(work, selection.skipped, as_json)


def _own_bus(opened: Stack) -> Callable[[], Any]:
    """Return a factory of the client for the stack's own events. Older stacks have no role, and no bus policy."""
    role_arn = opened.outputs.get("RedriveRoleArn")

    @cache
    def client() -> Any:
        of_role = opened.client if role_arn is None else assume(role_arn, "enroll-redrive", opened.client)
        return of_role("events")

    return client


@dataclass
class Redriving:
    """``own_bus`` makes a client that may put the stack's own events on the bus, as the bus' policy denies it to
    everyone else. ``redriven``: how many, by reason. ``refused``: by the bus, with why. ``kept``: what is no event, or
    came back while this ran."""

    bus: Any
    bus_name: str
    messages: QueueScan
    rate: int
    own_bus: Callable[[], Any]
    redriven: Counter[str] = field(default_factory=Counter)
    refused: list[tuple[QueueMessage, str]] = field(default_factory=list)
    kept: list[tuple[QueueMessage, str]] = field(default_factory=list)
    _waiting: deque[QueueMessage] = field(default_factory=deque)

    def run(self, selection: Selection, advance: Callable[[], None]) -> None:
        """Raises NotDeleted."""
        for batch in batches(self._entries(selection), min(BATCH_ENTRIES, self.rate)):
            started = time.monotonic()
            self._put([self._waiting.popleft() for _ in batch], batch)
            advance()
            time.sleep(max(0.0, len(batch) / self.rate - (time.monotonic() - started)))

    def _entries(self, selection: Selection) -> Iterator[BusEntry]:
        met: set[str | None] = set()
        for message in selection:
            one = message.unprocessed
            entry = one.entry(self.bus_name)
            if entry is None:
                self.kept.append((message, one.obstacle or "no event"))
            elif one.event_id in met:
                # Refused again, or kept twice: the next run takes it. This one would not end.
                self.kept.append((message, "came back while this ran"))
            else:
                met.add(one.event_id)
                self._waiting.append(message)
                yield entry

    def _put(self, messages: Sequence[QueueMessage], entries: Sequence[BusEntry]) -> None:
        refused: dict[int, str] = {}
        own = [place for place, one in enumerate(entries) if one["Source"] == OWN_SOURCE]
        others = [place for place in range(len(entries)) if place not in own]
        if others:
            answer = put(self.bus, [entries[place] for place in others])
            refused |= {others[number]: why for number, why in answer.items()}
        if own:
            try:
                answer = put(self.own_bus(), [entries[place] for place in own])
            except ClientError as error:
                answer = dict.fromkeys(
                    range(len(own)), f"the stack's own events need its output RedriveRoleArn: {error}"
                )
            refused |= {own[number]: why for number, why in answer.items()}
        taken = [one for place, one in enumerate(messages) if place not in refused]
        self.refused += [(messages[place], why) for place, why in refused.items()]
        self.redriven.update(one.unprocessed.reason for one in taken)
        self.messages.delete(taken)


def _report(work: Redriving, skipped: int, as_json: bool) -> None:
    left = [
        {"eventId": message.unprocessed.event_id, "messageId": message.id, "why": why}
        for message, why in (*work.refused, *work.kept)
    ]
    count = sum(work.redriven.values())
    if as_json:
        print_json({"redriven": count, "byReason": dict(work.redriven), "skipped": skipped, "left": left})
    else:
        reasons = ", ".join(f"{name} {number}" for name, number in work.redriven.most_common())
        console.print(
            f"Redriven {count}" + (f": {reasons}." if reasons else ".") + f" Skipped by the filters: {skipped}."
        )
        for one in left:
            console.print(f"Left in the queue: {one['eventId'] or one['messageId']}: {one['why']}")
    if work.refused:
        fail(f"the bus refused {len(work.refused)} events; they are still in the queue", FAILED)


def _rehearse(selection: Selection, api_of: Callable[[str], Api], as_json: bool) -> None:
    """What redriving would do, by simulation, in the order in which the queue has the events."""
    apis: dict[str, Api] = {}
    found = []
    with api_errors_reported():
        for message in selection:
            one = message.unprocessed
            found.append({"eventId": one.event_id, "reason": one.reason, **_simulated(one, apis, api_of)})
    would = Counter(
        decision["flowId"]
        for one in found
        for decision in one.get("decisions", [])
        if decision["code"] == Code.ENROLLED
    )
    if as_json:
        print_json({"wouldEnroll": dict(would), "skipped": selection.skipped, "events": found})
        return
    print_table(
        ("event", "kept for", "would be"), ((one["eventId"] or "?", one["reason"], _fate(one)) for one in found)
    )
    flows = ", ".join(f"{flow_id} {count}" for flow_id, count in would.most_common()) or "none"
    console.print(f"{len(found)} events. Enrollments by flow, each event for itself: {flows}.")


def _simulated(one: UnprocessedEvent, apis: dict[str, Api], api_of: Callable[[str], Api]) -> dict[str, Any]:
    whole = one.complete_event
    if whole is None:
        return {"left": one.obstacle or "no event"}
    try:
        event = read_routed_event(whole)
    except InvalidEvent as invalid:
        refusal = {"reason": invalid.reason, "field": invalid.field, "message": invalid.message}
        return {"unprocessed": refusal}
    if (name := replay_name(whole)) is not None:
        return {"replay": name}
    if event.portal_id not in apis:
        apis[event.portal_id] = api_of(event.portal_id)
    answer = apis[event.portal_id].call("POST", "/enrollment/v1/simulate", {"event": whole})
    return {key: answer[key] for key in ("decisions", "unprocessed") if key in answer}


def _fate(one: Mapping[str, Any]) -> str:
    if "left" in one:
        return f"left in the queue: {one['left']}"
    if "unprocessed" in one:
        return f"refused again: {one['unprocessed']['reason']}: {one['unprocessed']['message']}"
    if "replay" in one:
        return f"decided as part of the replay {one['replay']}"
    codes = ", ".join(f"{decision['flowId']} {decision['code']}" for decision in one["decisions"])
    return codes or "no matching flow"


@app.command()
def discard(
    reason: Reason = None,
    portal: PortalOf = None,
    event_type: EventType = None,
    event: Event = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = None,
    keep: Annotated[
        Path | None, typer.Option(help="Writes what is discarded to this file, an event a line; it is not overwritten.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    stack: StackName = "enroll",
    as_json: AsJson = False,
) -> None:
    """Delete events from the queue. Enrollments that they have already claimed are still published."""
    wanted = _filter(reason, portal, event_type, event, since, until)
    with aws_errors_reported(), _scan(open_stack(stack)) as messages:
        found = list(Selection(messages, wanted, limit))
        if found:
            errors.print(DISCARD_WARNING)
        if found and not yes:
            reasons = Counter(one.unprocessed.reason for one in found)
            named = ", ".join(f"{name} {count}" for name, count in reasons.most_common())
            confirm(f"Discard {len(found)} events ({named})?")
        try:
            for start in range(0, len(found), BATCH_MESSAGES):
                batch = found[start : start + BATCH_MESSAGES]
                if keep is not None:
                    _keep(keep, batch)
                messages.delete(batch)
        except NotDeleted as error:
            fail(str(error), FAILED)
    if as_json:
        print_json({"discarded": len(found), "kept": None if keep is None else str(keep)})
    else:
        console.print(f"Discarded {len(found)} events.")


def _keep(file: Path, messages: Sequence[QueueMessage]) -> None:
    """Before they are deleted: a line may come twice, and none is lost."""
    try:
        with file.open("a", encoding="utf-8") as kept:
            for one in messages:
                kept.write(json.dumps(_written(one)) + "\n")
            kept.flush()
            os.fsync(kept.fileno())
    except OSError as error:
        fail(f"{file}: {error.strerror}", INVALID)
