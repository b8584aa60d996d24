"""A fake of EventBridge's replays, archives and rules."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from enroll.replay import rule_name
from enrollment.catalog import CATEGORIES

BUS = "arn:aws:events:eu-west-1:123456789012:event-bus/enroll-events"


ARCHIVE = "arn:aws:events:eu-west-1:123456789012:archive/enroll-events"


class Aws:
    """EventBridge's replays and rules. `states`: the successive responses of DescribeReplay. `delivers`: called when a
    replay starts."""

    def __init__(self) -> None:
        self.states: list[str | BaseException] = ["STARTING", "RUNNING", "COMPLETED"]
        self.archives = ["enroll-events"]
        self.delivers: Any = lambda name: None
        self.started: list[dict[str, Any]] = []
        self.cancelled: list[str] = []
        self.rules = [rule_name("enroll", category) for category in CATEGORIES]

    def list_archives(self, EventSourceArn: str) -> dict[str, Any]:
        assert EventSourceArn == BUS
        return {"Archives": [{"ArchiveName": archive} for archive in self.archives]}

    def describe_archive(self, ArchiveName: str) -> dict[str, Any]:
        return {"ArchiveArn": f"{ARCHIVE.rpartition('/')[0]}/{ArchiveName}"}

    def start_replay(self, **arguments: Any) -> None:
        self.started.append(arguments)
        self.delivers(arguments["ReplayName"])

    def describe_replay(self, ReplayName: str) -> dict[str, Any]:
        assert ReplayName == self.started[-1]["ReplayName"]
        state = self.states.pop(0)
        if isinstance(state, BaseException):
            raise state
        reached = {"EventLastReplayedTime": datetime(2026, 11, 1, 12, tzinfo=UTC)} if state == "RUNNING" else {}
        return {"State": state, "StateReason": "the archive is gone", **reached}

    def cancel_replay(self, ReplayName: str) -> None:
        self.cancelled.append(ReplayName)

    def get_paginator(self, name: str) -> "Aws":
        assert name == "list_rules"
        return self

    def paginate(self, EventBusName: str, NamePrefix: str) -> Iterator[dict[str, Any]]:
        assert (EventBusName, NamePrefix) == ("enroll-events", "enroll-")
        for rule in self.rules:
            yield {"Rules": [{"Name": rule, "Arn": f"{BUS.replace(':event-bus/', ':rule/')}/{rule}"}]}
