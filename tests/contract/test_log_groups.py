"""`enroll tail` reads log groups of CloudWatch Logs in the same way from the emulator as from the fake of its tests.

The emulator (MiniStack 1.5) accepts the pattern of JSON and applies none, and returns one page. Therefore the pattern
and the pages are tested with the fake only, in tests/cli/test_decision_stream.py.
"""

import json
import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from enroll import decision_stream
from enroll.decision_stream import LogGroups
from tests.support.emulated import emulated_aws

GROUP, STREAM = "/enroll/enroll/forms", "stream"


@pytest.fixture(scope="module")
def logs() -> Iterator[Any]:
    with emulated_aws():
        client = boto3.client("logs")
        client.create_log_group(logGroupName=GROUP)
        client.create_log_stream(logGroupName=GROUP, logStreamName=STREAM)
        yield client


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decision_stream, "CALL_SECONDS", 0)


def put(client: Any, *lines: tuple[int, dict[str, Any]]) -> None:
    events = [{"timestamp": at, "message": json.dumps(line)} for at, line in lines]
    client.put_log_events(logGroupName=GROUP, logStreamName=STREAM, logEvents=events)


def decision(name: str) -> dict[str, Any]:
    return {"message": "decision", "eventId": name}


def ids(lines: Any) -> list[str]:
    return [line["eventId"] for line in lines]


def test_lines_from_the_start_on_are_returned_once_also_late_ones(logs: Any) -> None:
    start = time.time_ns() // 1_000_000 - 60_000
    put(logs, (start - 1, decision("before")), (start, decision("first")), (start + 5_000, decision("second")))
    put(logs, (start + 5_001, {"message": "request", "eventId": "another message"}))
    source = LogGroups(logs, [GROUP], since_ms=start)
    assert ids(source.read()) == ["first", "second"]
    assert ids(source.read()) == []
    put(logs, (start + 1, decision("late")), (start + 50_000, decision("new")))
    assert ids(source.read()) == ["late", "new"]
    assert ids(source.read()) == []


def test_group_that_does_not_exist_is_an_error(logs: Any) -> None:
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        LogGroups(logs, ["/enroll/enroll/none"], since_ms=0).read()
