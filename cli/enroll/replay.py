"""A replay in EventBridge: started, followed to its end, cancelled."""

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
    """The stack lacks what a replay needs; the message says what."""


@dataclass(frozen=True)
class Progress:
    """``reached``: when the last event that was replayed had been sent; None: not known."""

    state: str
    reason: str
    reached: Instant | None

    @property
    def is_over(self) -> bool:
        return self.state not in RUNNING


@dataclass(frozen=True)
class ArchiveReplay:
    """Of a stack's archive, to the rules of its own functions and no other rule of the bus."""

    name: str
    events: Any

    def progress(self) -> Progress:
        found = self.events.describe_replay(ReplayName=self.name)
        reached = found.get("EventLastReplayedTime")
        return Progress(
            found["State"], found.get("StateReason", ""), None if reached is None else int(reached.timestamp() * 1000)
        )

    def cancel(self) -> None:
        self.events.cancel_replay(ReplayName=self.name)


def start(
    stack: Stack, name: str, event_types: Collection[str], since: Instant, until: Instant, archive: str | None
) -> ArchiveReplay:
    """Raises NotReplayable."""
    events, bus = stack.client("events"), stack.outputs["EventBusArn"]
    events.start_replay(
        ReplayName=name,
        EventSourceArn=_archive(events, bus, archive),
        EventStartTime=datetime.fromtimestamp(since / 1000, UTC),
        EventEndTime=datetime.fromtimestamp(until / 1000, UTC),
        Destination={"Arn": bus, "FilterArns": _rules(stack, event_types)},
    )
    return ArchiveReplay(name, events)


def _archive(events: Any, bus: str, name: str | None) -> str:
    """The ARN of the bus' archive."""
    found = [one["ArchiveName"] for one in events.list_archives(EventSourceArn=bus)["Archives"]]
    if name is None and len(found) != 1:
        raise NotReplayable(f"the bus has {len(found)} archives: {', '.join(found)}. Name one with --archive")
    if name is not None and name not in found:
        raise NotReplayable(f"the bus has no archive {name}, but {', '.join(found) or 'none'}")
    arn: str = events.describe_archive(ArchiveName=name or found[0])["ArchiveArn"]
    return arn


def _rules(stack: Stack, event_types: Collection[str]) -> list[str]:
    """The ARNs of the rules through which the stack's functions get these events."""
    wanted = {rule_of(stack.name, EVENT_TYPES[one].category) for one in event_types}
    asked = {"EventBusName": stack.outputs["EventBusName"], "NamePrefix": f"{stack.name}-"}
    pages = stack.client("events").get_paginator("list_rules").paginate(**asked)
    arns = {one["Name"]: one["Arn"] for page in pages for one in page["Rules"] if one["Name"] in wanted}
    if missing := sorted(wanted - set(arns)):
        raise NotReplayable(f"the bus of {stack.name} has no rule {', '.join(missing)}")
    return [arns[one] for one in sorted(wanted)]


def rule_of(stack_name: str, category: str) -> str:
    """The rule that brings a category's events to its function, by the template's name of it."""
    return f"{stack_name}-{category}"
