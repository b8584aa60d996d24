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

from enroll.api import Api, ApiUrl, api_errors_reported, open_api
from enroll.bus import BATCH_ENTRIES, BusEntry, batches, put
from enroll.command_group import CommandGroup
from enroll.completion import complete_event_types
from enroll.dead_letters.message import NOT_AN_EVENT, UnprocessedEvent
from enroll.dead_letters.queue import BATCH_MESSAGES, NotDeleted, QueueMessage, QueueScan
from enroll.decision_rendering import count_of
from enroll.output import (
    FAILED,
    INVALID,
    NOT_FOUND,
    AsJson,
    Utc,
    confirm,
    console,
    errors,
    fail,
    print_json,
    print_note,
    print_table,
    times,
)
from enroll.progress import progress_bar
from enroll.stack import Stack, StackName, assume, aws_errors_reported, open_stack
from enroll.tables import Column
from enrollment.domain.values import Instant, iso, read_given_time

app = CommandGroup("List, show, redrive and discard events that could not be processed.")

# The default and the largest number of events per second that redriving puts on the bus.
DEFAULT_RATE = 50
MAX_RATE = 1000

# Printed before events are discarded (docs/unprocessed.md).
CAME_BACK = "came back during the run"

DISCARD_WARNING = (
    "Discarding does not cancel enrollments that these events have already claimed. They are published within 10 "
    "minutes."
)

Reason = Annotated[str | None, typer.Option(help="Only events with this reason, for example RetriesExhausted.")]
PortalOf = Annotated[str | None, typer.Option("--portal", help="Only events of this portal.")]
EventType = Annotated[
    str | None, typer.Option("--event-type", help="Only events of this type.", autocompletion=complete_event_types)
]
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
        # If the event has no time, use the time of its message.
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
    """The messages of a scan that match a filter. Counts the others, and their reasons, as skipped."""

    messages: QueueScan
    filter: MessageFilter
    limit: int | None
    skipped: int = 0
    skipped_reasons: Counter[str] = field(default_factory=Counter)

    def __iter__(self) -> Iterator[QueueMessage]:
        taken = 0
        for message in self.messages:
            if not self.filter.matches(message):
                self.skipped += 1
                self.skipped_reasons[message.unprocessed.reason] += 1
                continue
            taken += 1
            yield message
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
    utc: Utc = False,
    as_json: AsJson = False,
) -> None:
    """List the unprocessed events and their reasons. The queue keeps them."""
    wanted = _filter(reason, portal, event_type, event, since, until)
    with aws_errors_reported(), _scan(open_stack(stack)) as messages:
        selection = Selection(messages, wanted, limit)
        matches = list(selection)
    matches.sort(key=lambda message: message.sent_at)
    if as_json:
        print_json([_written(message) for message in matches])
        return
    if not matches:
        is_empty = wanted == MessageFilter()
        console.print("There are no unprocessed events." if is_empty else "No unprocessed events match.")
        if selection.skipped:
            print_note(f"The filters skipped {_counted(selection.skipped_reasons)}.")
        return
    clock = times(utc)
    print_table(
        ("event", "reason", "occurred", "record", "kept since", "type", "portal", Column("message", is_message=True)),
        (
            (
                event.event_id or "?",
                event.reason,
                clock.text(event.occurred_at),
                event.record,
                clock.text(message.sent_at),
                event.event_type or "?",
                event.portal_id or "?",
                event.message if event.truncated is None else f"(truncated) {event.message}",
            )
            for message, event in ((message, message.unprocessed) for message in matches)
        ),
    )
    print_note(_counted(Counter(message.unprocessed.reason for message in matches)))


def _counted(reasons: Counter[str]) -> str:
    listed = ", ".join(f"{name} {count}" for name, count in reasons.most_common())
    return f"{count_of(reasons.total(), 'event')}: {listed}"


def _written(message: QueueMessage) -> dict[str, Any]:
    event = message.unprocessed
    return {
        "eventId": event.event_id,
        "eventType": event.event_type,
        "portalId": event.portal_id,
        "reason": event.reason,
        "field": event.field,
        "message": event.message,
        "keptSince": iso(message.sent_at),
        "event": event.event,
        **({} if event.truncated is None else {"truncated": event.truncated}),
    }


@app.command()
def show(
    event: Annotated[str, typer.Argument(help="The event's ID.")],
    stack: StackName = "enroll",
    as_json: AsJson = False,
) -> None:
    """Print an event so that you can fix it and resend it with `enroll send`. --json adds the reason."""
    with aws_errors_reported(), _scan(open_stack(stack)) as messages:
        message = next(iter(Selection(messages, MessageFilter(event=event), 1)), None)
    if message is None:
        fail(f"there is no unprocessed event {event}", NOT_FOUND)
    if as_json:
        print_json(_written(message))
        return
    unprocessed = message.unprocessed
    errors.print(f"{unprocessed.reason}: {unprocessed.message}")
    if unprocessed.truncated is not None:
        # Not printed as an event: resending the truncated event would lose the rest.
        errors.print(unprocessed.obstacle or NOT_AN_EVENT)
        print_json({"truncated": unprocessed.truncated, "event": unprocessed.event})
        return
    print_json(unprocessed.event if unprocessed.complete_event is None else unprocessed.complete_event)


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
    """Put events on the bus again. An event leaves the queue when the bus has accepted it.

    If a run is interrupted, run the command again: it continues with the events that are left.
    """
    wanted = _filter(reason, portal, event_type, event, since, until)
    opened = open_stack(stack)
    with aws_errors_reported(), _scan(opened) as messages:
        selection = Selection(messages, wanted, limit)
        if dry_run:
            _print_dry_run(selection, lambda portal_id: open_api(api, portal_id, stack), as_json)
            return
        redeliveries = Redeliveries(opened.client("sqs"), opened.outputs.get("RedeliveriesQueueUrl"))
        bus = opened.client("events")
        work = Redriving(bus, opened.outputs["EventBusName"], messages, rate, _own_bus(opened), redeliveries)
        with progress_bar("Redriving", unit="redriven", quiet=as_json) as progress:
            try:
                work.run(selection, lambda: progress.update(sum(work.redriven.values())))
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


@dataclass(frozen=True)
class Redeliveries:
    """The redeliveries queue. ``url`` None: an older stack does not name it."""

    client: Any
    url: str | None

    def refusal(self, body: str) -> str | None:
        """Send a message. Return why it was not accepted, or None."""
        if self.url is None:
            return "only the function redeliveries can process it; the stack needs the output RedeliveriesQueueUrl"
        try:
            self.client.send_message(QueueUrl=self.url, MessageBody=body)
        except ClientError as error:
            return f"it needs sqs:SendMessage on the queue of the output RedeliveriesQueueUrl: {error}"
        return None


@dataclass
class Redriving:
    """Puts unprocessed events on the bus and deletes their messages. Messages that only the function ``redeliveries``
    can process go to its queue.

    ``own_bus`` returns a client that may put the stack's own events on the bus. The bus policy denies that to all other
    clients. ``redriven`` counts events by reason. ``refused`` are events that the bus rejected, with its reason.
    ``kept`` are messages without an event, and events that came back during the run.
    """

    bus: Any
    bus_name: str
    messages: QueueScan
    rate: int
    own_bus: Callable[[], Any]
    redeliveries: Redeliveries
    redriven: Counter[str] = field(default_factory=Counter)
    refused: list[tuple[QueueMessage, str]] = field(default_factory=list)
    kept: list[tuple[QueueMessage, str]] = field(default_factory=list)
    _waiting: deque[QueueMessage] = field(default_factory=deque)

    def run(self, selection: Selection, advance: Callable[[], None]) -> None:
        """Redrive the selected events at `rate` events per second. Raises NotDeleted."""
        for batch in batches(self._entries(selection), min(BATCH_ENTRIES, self.rate)):
            started = time.monotonic()
            self._put([self._waiting.popleft() for _ in batch], batch)
            advance()
            time.sleep(max(0.0, len(batch) / self.rate - (time.monotonic() - started)))

    def _entries(self, selection: Selection) -> Iterator[BusEntry]:
        redriven_ids: set[str | None] = set()
        redelivered: set[str] = set()
        for message in selection:
            event = message.unprocessed
            entry = event.entry(self.bus_name)
            if event.redelivery is not None:
                # Several messages can be about one event.
                if event.redelivery in redelivered:
                    self.kept.append((message, CAME_BACK))
                    continue
                redelivered.add(event.redelivery)
                self._redeliver(message, event.redelivery)
            elif entry is None:
                self.kept.append((message, event.obstacle or NOT_AN_EVENT))
            elif event.event_id in redriven_ids:
                # The event failed again, or the queue has it twice. Redriving it again could go on without end.
                self.kept.append((message, CAME_BACK))
            else:
                redriven_ids.add(event.event_id)
                self._waiting.append(message)
                yield entry

    def _redeliver(self, message: QueueMessage, body: str) -> None:
        started = time.monotonic()
        refusal = self.redeliveries.refusal(body)
        if refusal is not None:
            self.refused.append((message, refusal))
            return
        self.redriven[message.unprocessed.reason] += 1
        self.messages.delete([message])
        time.sleep(max(0.0, 1 / self.rate - (time.monotonic() - started)))

    def _put(self, messages: Sequence[QueueMessage], entries: Sequence[BusEntry]) -> None:
        from enrollment.domain.events.event import OWN_SOURCE

        refused: dict[int, str] = {}
        own_places = [place for place, entry in enumerate(entries) if entry["Source"] == OWN_SOURCE]
        other_places = [place for place in range(len(entries)) if place not in own_places]
        if other_places:
            answer = put(self.bus, [entries[place] for place in other_places])
            refused |= {other_places[number]: why for number, why in answer.items()}
        if own_places:
            try:
                answer = put(self.own_bus(), [entries[place] for place in own_places])
            except ClientError as error:
                answer = dict.fromkeys(
                    range(len(own_places)), f"the stack's own events need its output RedriveRoleArn: {error}"
                )
            refused |= {own_places[number]: why for number, why in answer.items()}
        accepted = [message for place, message in enumerate(messages) if place not in refused]
        self.refused += [(messages[place], why) for place, why in refused.items()]
        self.redriven.update(message.unprocessed.reason for message in accepted)
        self.messages.delete(accepted)


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
        for message in left:
            console.print(f"Left in the queue: {message['eventId'] or message['messageId']}: {message['why']}")
    if work.refused:
        fail(f"the bus or a queue rejected {len(work.refused)} events; they are still in the queue", FAILED)


def _print_dry_run(selection: Selection, api_of: Callable[[str], Api], as_json: bool) -> None:
    """Print what redriving would do. Simulates the events in the order of the queue."""
    from enrollment.domain.enrollment.decisions import Code

    apis: dict[str, Api] = {}
    outcomes = []
    with api_errors_reported():
        for message in selection:
            event = message.unprocessed
            outcomes.append({"eventId": event.event_id, "reason": event.reason, **_simulated(event, apis, api_of)})
    would_enroll = Counter(
        decision["flowId"]
        for outcome in outcomes
        for decision in outcome.get("decisions", [])
        if decision["code"] == Code.ENROLLED
    )
    if as_json:
        print_json({"wouldEnroll": dict(would_enroll), "skipped": selection.skipped, "events": outcomes})
        return
    print_table(
        ("event", "reason", Column("outcome", is_message=True)),
        ((outcome["eventId"] or "?", outcome["reason"], _outcome_text(outcome)) for outcome in outcomes),
    )
    flows = ", ".join(f"{flow_id} {count}" for flow_id, count in would_enroll.most_common()) or "none"
    print_note(f"{len(outcomes)} events. Enrollments by flow, each event simulated alone: {flows}.")


def _simulated(unprocessed: UnprocessedEvent, apis: dict[str, Api], api_of: Callable[[str], Api]) -> dict[str, Any]:
    from enrollment.domain.events.event import InvalidEvent
    from enrollment.serialization.envelopes import read_routed_event, replay_name

    if unprocessed.redelivery is not None:
        return {"isRedelivered": True}
    envelope = unprocessed.complete_event
    if envelope is None:
        return {"left": unprocessed.obstacle or NOT_AN_EVENT}
    try:
        event = read_routed_event(envelope)
    except InvalidEvent as invalid:
        refusal = {"reason": invalid.reason, "field": invalid.field, "message": invalid.message}
        return {"unprocessed": refusal}
    if (name := replay_name(envelope)) is not None:
        return {"replay": name}
    if event.portal_id not in apis:
        apis[event.portal_id] = api_of(event.portal_id)
    answer = apis[event.portal_id].call("POST", "/enrollment/v1/simulate", {"event": envelope})
    return {key: answer[key] for key in ("decisions", "unprocessed") if key in answer}


def _outcome_text(outcome: Mapping[str, Any]) -> str:
    if "left" in outcome:
        return f"left in the queue: {outcome['left']}"
    if "unprocessed" in outcome:
        return f"rejected again: {outcome['unprocessed']['reason']}: {outcome['unprocessed']['message']}"
    if "isRedelivered" in outcome:
        return "decided again by the function redeliveries"
    if "replay" in outcome:
        return f"decided as part of the replay {outcome['replay']}"
    codes = ", ".join(f"{decision['flowId']} {decision['code']}" for decision in outcome["decisions"])
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
    keep: Annotated[Path | None, typer.Option(help="Append the discarded events to this file, as JSON Lines.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    stack: StackName = "enroll",
    as_json: AsJson = False,
) -> None:
    """Delete events from the queue. Enrollments that they have already claimed are still published."""
    wanted = _filter(reason, portal, event_type, event, since, until)
    with aws_errors_reported(), _scan(open_stack(stack)) as messages:
        selected = list(Selection(messages, wanted, limit))
        if selected and not yes:
            for line in _consequences(selected, stack, keep):
                errors.print(line)
        if selected:
            errors.print(DISCARD_WARNING)
        if selected and not yes:
            confirm(f"Discard {count_of(len(selected), 'event')}?")
        try:
            for start in range(0, len(selected), BATCH_MESSAGES):
                batch = selected[start : start + BATCH_MESSAGES]
                if keep is not None:
                    _keep(keep, batch)
                messages.delete(batch)
        except NotDeleted as error:
            fail(str(error), FAILED)
    if as_json:
        print_json({"discarded": len(selected), "kept": None if keep is None else str(keep)})
    else:
        console.print(f"Discarded {len(selected)} events.")


def _consequences(selected: Sequence[QueueMessage], stack: str, keep: Path | None) -> list[str]:
    """Return lines that say how many events are deleted, of which reasons, where, and whether they are saved."""
    reasons = Counter(message.unprocessed.reason for message in selected)
    counts = ", ".join(f"{name} {count}" for name, count in reasons.most_common())
    return [
        f"This deletes {count_of(len(selected), 'event')} from the unprocessed-events queue of the stack {stack}: "
        f"{counts}.",
        "They can then not be redriven. "
        + ("To save them first, use --keep FILE." if keep is None else f"They are appended to {keep} first."),
    ]


def _keep(file: Path, messages: Sequence[QueueMessage]) -> None:
    """Write messages to a file before they are deleted: a line may be written twice, but no event is lost."""
    try:
        with file.open("a", encoding="utf-8") as kept:
            for message in messages:
                kept.write(json.dumps(_written(message)) + "\n")
            kept.flush()
            os.fsync(kept.fileno())
    except OSError as error:
        fail(f"{file}: {error.strerror}", INVALID)
