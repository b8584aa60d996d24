"""Start, follow and cancel a replay in EventBridge."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from enroll.stack import Stack
from enrollment.catalog import EVENT_TYPES
from enrollment.domain.values import Instant

RUNNING = ("STARTING", "RUNNING", "CANCELLING")


class NotReplayable(Exception):
    """The stack lacks something that a replay needs. The message says what."""


@dataclass(frozen=True)
class ReplayProgress:
    """The state of a replay.

    ``reached`` is the time at which the last replayed event was originally sent, or None if it is not known.
    """

    state: str
    reason: str
    reached: Instant | None

    @property
    def is_over(self) -> bool:
        return self.state not in RUNNING


@dataclass(frozen=True)
class ArchiveReplay:
    """A replay that was started. ``events`` is a boto3 client of EventBridge."""

    name: str
    events: Any

    def progress(self) -> ReplayProgress:
        description = self.events.describe_replay(ReplayName=self.name)
        reached = description.get("EventLastReplayedTime")
        return ReplayProgress(
            description["State"],
            description.get("StateReason", ""),
            None if reached is None else int(reached.timestamp() * 1000),
        )

    def cancel(self) -> None:
        self.events.cancel_replay(ReplayName=self.name)


@dataclass(frozen=True)
class ReplayRequest:
    """What to replay: the events that were sent from ``since`` until ``until``.

    ``archive`` is a name, and may be None if the bus has one archive. Rules deliver whole categories, so events of
    other types of the same category are delivered too; the functions skip them.
    """

    name: str
    event_types: Collection[str]
    since: Instant
    until: Instant
    archive: str | None


def start(stack: Stack, request: ReplayRequest) -> ArchiveReplay:
    """Start a replay to the rules of the stack's own functions, and to no other rule of the bus.

    Raises NotReplayable if the archive or a rule does not exist.
    """
    events, bus_arn = stack.client("events"), stack.outputs["EventBusArn"]
    events.start_replay(
        ReplayName=request.name,
        EventSourceArn=_archive_arn(events, bus_arn, request.archive),
        EventStartTime=datetime.fromtimestamp(request.since / 1000, UTC),
        EventEndTime=datetime.fromtimestamp(request.until / 1000, UTC),
        Destination={"Arn": bus_arn, "FilterArns": _rule_arns(stack, request.event_types)},
    )
    return ArchiveReplay(request.name, events)


def _archive_arn(events: Any, bus_arn: str, name: str | None) -> str:
    names = [archive["ArchiveName"] for archive in events.list_archives(EventSourceArn=bus_arn)["Archives"]]
    listed = ", ".join(names) or "none"
    if name is None and len(names) != 1:
        raise NotReplayable(
            f"expected one archive of the bus; got {len(names)} archives: {listed}. Choose with --archive"
        )
    if name is not None and name not in names:
        raise NotReplayable(f"--archive: the bus has no archive {name}. Its archives: {listed}")
    arn: str = events.describe_archive(ArchiveName=name or names[0])["ArchiveArn"]
    return arn


def _rule_arns(stack: Stack, event_types: Collection[str]) -> list[str]:
    """Return the ARNs of the rules that deliver these events to the stack's functions."""
    names = {rule_name(stack.name, EVENT_TYPES[event_type].category) for event_type in event_types}
    paginator = stack.client("events").get_paginator("list_rules")
    pages = paginator.paginate(EventBusName=stack.outputs["EventBusName"], NamePrefix=f"{stack.name}-")
    arns = {rule["Name"]: rule["Arn"] for page in pages for rule in page["Rules"] if rule["Name"] in names}
    if missing := sorted(names - set(arns)):
        raise NotReplayable(f"the bus of {stack.name} has no rule {', '.join(missing)}. Deploy the template again")
    return [arns[name] for name in sorted(names)]


def rule_name(stack_name: str, category: str) -> str:
    """Return the name that the template gives the rule of a category."""
    return f"{stack_name}-{category}"
