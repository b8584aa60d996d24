"""Find out what became of events: by the HTTP API, and then in the unprocessed-events queue."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from enroll.api import Api
from enroll.decision_rendering import DecidedEvent, print_decisions
from enroll.output import FAILED, NOT_FOUND, UNDECIDED, console, errors, print_note
from enroll.stack import client_of
from enroll.times import Times
from enrollment.domain.values import iso, read_instant

PATH = "/enrollment/v1/outcome"
POLL_SECONDS = 0.5

UNPROCESSED = "UNPROCESSED"

Outcome = dict[str, Any]
"""A response of the API. An event of the unprocessed-events queue has the status UNPROCESSED, and ``unprocessed``."""

FindUnprocessed = Callable[[Sequence[str]], Mapping[str, Mapping[str, Any]] | None]
"""Returns the unprocessed events by their IDs, or None if the queue could not be read."""


def read_outcome(api: Api, event_id: str) -> Outcome:
    """Return what the API knows of an event. Raises ApiError."""
    return api.call("GET", PATH, query={"eventId": event_id})


def wait_for_outcomes(
    events: Sequence[tuple[Api, str]], seconds: float, find_unprocessed: FindUnprocessed
) -> list[Outcome]:
    """Return the outcome of each event, given by the client for its portal and its ID, in their order.

    Waits until all decisions are final, or will not become final within ``seconds``. Events that the API does not know
    then are looked for in the unprocessed-events queue. Raises ApiError.
    """
    ends_at = time.monotonic() + seconds
    outcomes: dict[int, Outcome] = {}
    pending = list(range(len(events)))
    while pending:
        for number in pending:
            api, event_id = events[number]
            outcomes[number] = read_outcome(api, event_id)
        left = ends_at - time.monotonic()
        pending = [number for number in pending if not _is_settled(outcomes[number], left)]
        if left <= 0:
            break
        if pending:
            time.sleep(min(POLL_SECONDS, left))
    return with_unprocessed([outcomes[number] for number in range(len(events))], find_unprocessed)


def with_unprocessed(outcomes: Sequence[Outcome], find_unprocessed: FindUnprocessed) -> list[Outcome]:
    """Return the outcomes. Those that are unknown are looked for in the unprocessed-events queue."""
    unknown = [outcome["eventId"] for outcome in outcomes if outcome["status"] == "UNKNOWN"]
    found = find_unprocessed(unknown) if unknown else {}
    if found is None:
        errors.print("Warning: the unprocessed-events queue was not searched, because the stack cannot be read.")
        found = {}
    return [
        {**outcome, "status": UNPROCESSED, "unprocessed": found[outcome["eventId"]]}
        if outcome["eventId"] in found
        else outcome
        for outcome in outcomes
    ]


def unprocessed_events(stack: str) -> FindUnprocessed:
    """Return a search in the unprocessed-events queue of a stack. All messages stay in the queue."""

    def find(event_ids: Sequence[str]) -> Mapping[str, Mapping[str, Any]] | None:
        from enroll.dead_letters.queue import QueueScan

        found: dict[str, Mapping[str, Any]] = {}
        try:
            description = client_of("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
            outputs = {output["OutputKey"]: output["OutputValue"] for output in description.get("Outputs", [])}
            with QueueScan(client_of("sqs"), outputs["UnprocessedEventsQueueUrl"]) as scan:
                for message in scan:
                    event = message.unprocessed
                    if event.event_id in event_ids:
                        found[str(event.event_id)] = {
                            "reason": event.reason,
                            "field": event.field,
                            "message": event.message,
                            "keptSince": iso(message.sent_at),
                        }
        except (ClientError, BotoCoreError, KeyError):
            return None
        return found

    return find


def print_outcomes(outcomes: Sequence[Outcome], clock: Times, *, details: bool = False) -> None:
    """Print each event with its decisions, or where else it is."""
    decided = [decided_event(result) for outcome in outcomes for result in outcome["results"]]
    if decided:
        is_single = len(decided) == 1 and len(decided[0].decisions) == 1
        print_decisions(decided, clock, details=details or is_single)
    for outcome in outcomes:
        for result in outcome["results"]:
            for warning in result.get("warnings", []):
                errors.print(f"Warning: {warning}", style="yellow")
        _print_state(outcome, clock)


def decided_event(result: Mapping[str, Any]) -> DecidedEvent:
    """Return an event of an explanation or an outcome with its decisions."""
    event = result["event"]
    record = f"{event['objectType']}/{event['objectId']}".lower()
    return DecidedEvent(event["id"], event["eventType"], result["decisions"], event["occurredAt"], record)


def exit_code(outcomes: Sequence[Outcome]) -> int:
    """Return the exit code of the least successful outcome. 0: all decisions are final, with or without an
    enrollment."""
    codes = {UNPROCESSED: FAILED, "UNKNOWN": NOT_FOUND, "IN_PROGRESS": UNDECIDED, "WAITING": UNDECIDED, "DECIDED": 0}
    found = {codes.get(outcome["status"], UNDECIDED) for outcome in outcomes}
    return next((code for code in (FAILED, NOT_FOUND, UNDECIDED) if code in found), 0)


def _print_state(outcome: Outcome, clock: Times) -> None:
    event_id, status = outcome["eventId"], outcome["status"]
    if status == UNPROCESSED:
        unprocessed = outcome["unprocessed"]
        console.print(f"{event_id} is in the unprocessed-events queue: {unprocessed['reason']}", style="red")
        console.print(f"  {unprocessed['message']}")
        print_note(f"`enroll unprocessed show {event_id}` prints the event.")
    elif status == "UNKNOWN":
        since = clock.text(outcome["since"])
        console.print(f"{event_id} is not known. The history begins at {since} and has events of known records only.")
    elif status == "WAITING":
        until = max(result.get("waitingUntil", "") for result in outcome["results"])
        print_note(f"{event_id} waits for late data until {clock.text(until)}.")
    elif status == "IN_PROGRESS":
        print_note(f"{event_id} is being processed, or failed: a flow should have enrolled the record.")


def _is_being_published(decision: Mapping[str, Any]) -> bool:
    """Whether the message of an enrollment is about to be sent. The message of a rate limit is due later."""
    enrollment = decision.get("enrollment")
    return enrollment is not None and not enrollment["isPublished"] and "dueAt" not in enrollment


def _is_settled(outcome: Outcome, seconds_left: float) -> bool:
    """Whether the wait can end: the decisions are final, or are deferred beyond the end of the wait."""
    if outcome["status"] == "DECIDED":
        decisions = [decision for result in outcome["results"] for decision in result["decisions"]]
        return not any(_is_being_published(decision) for decision in decisions)
    if outcome["status"] != "WAITING":
        return False
    ends = [read_instant(result["waitingUntil"]) for result in outcome["results"] if "waitingUntil" in result]
    return max((end for end in ends if end is not None), default=0) > time.time() * 1000 + seconds_left * 1000
