"""The function that a schedule invokes: it publishes enrollments that were claimed and not confirmed."""

import json
from typing import Any

import botocore.client
import pytest
from msgspec.structs import replace

from enroll.commands import unprocessed as commands
from enroll.stack import Stack as OpenedStack
from enrollment.application.unconfirmed_enrollments import UNCONFIRMED_AFTER_MS
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.values import iso
from enrollment.entrypoints import bootstrap
from enrollment.entrypoints.bootstrap import application
from tests.support.command_line import run
from tests.support.functions import (
    CONTEXT,
    Hanging,
    Stack,
    batch,
    calls,
    function,
    has,
    invoke,
    left,
    published,
    put,
    submitted,
)

ADA = RecordKey("p1", "0-1", "101")
# The event that the scheduled rule sends.
SCHEDULED = {
    "version": "0",
    "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
    "detail-type": "Scheduled Event",
    "source": "aws.events",
    "account": "123456789012",
    "time": "2026-11-27T10:00:00Z",
    "region": "eu-west-1",
    "resources": ["arn:aws:events:eu-west-1:123456789012:rule/enroll-UnconfirmedFunctionSchedule"],
    "detail": {},
}
ATTEMPTS = 3


class Clock:
    def __init__(self) -> None:
        self.now = bootstrap.now()

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Of the functions."""
    clock = Clock()
    monkeypatch.setattr(bootstrap, "now", clock)
    return clock


def finish(context: Any = CONTEXT) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(function("unconfirmed").handler(SCHEDULED, context)))
    return found


def give_up(monkeypatch: pytest.MonkeyPatch, envelope: dict[str, Any]) -> None:
    """The queue fails at each of Lambda's attempts."""
    with monkeypatch.context() as patch:
        calls(patch, lambda operation, _: operation == "SendMessageBatch")
        for _ in range(ATTEMPTS):
            with pytest.raises(ConnectionError):
                invoke(envelope)


def test_enrollment_of_an_abandoned_event_is_published(
    stack: Stack, clock: Clock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put(stack, id=1)
    give_up(monkeypatch, submitted("101", "e1", chain=["8"]))
    (stored,) = stack.stores.enrollments.of_record(ADA, 9)
    assert finish() == {"found": 0, "published": 0, "isComplete": True}
    clock.now += UNCONFIRMED_AFTER_MS + 1
    announced: list[Any] = []
    make = botocore.client.BaseClient._make_api_call

    def noted(client: Any, operation: str, arguments: Any) -> Any:
        if operation == "PutEvents":
            announced.extend(json.loads(entry["Detail"]) for entry in arguments["Entries"])
        return make(client, operation, arguments)

    capsys.readouterr()
    with monkeypatch.context() as patch:
        patch.setattr(botocore.client.BaseClient, "_make_api_call", noted)
        assert finish() == {"found": 1, "published": 1, "isComplete": True}
    assert [(announcement["id"], announcement["chain"]) for announcement in announced] == [
        (stored.enrollment.id, ["8", "1"])
    ]
    assert published(stack) == {("101", "e1"): 1}
    (confirmed,) = stack.stores.enrollments.of_record(ADA, 9)
    assert confirmed == replace(stored, is_published=True, is_announced=True)
    lines = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    (line,) = [entry for entry in lines if entry.get("message") == "published late"]
    expected = {
        "enrollmentId": stored.enrollment.id,
        "portalId": "p1",
        "objectTypeId": "0-1",
        "objectId": "101",
        "flowId": "1",
        "eventId": "e1",
        "publishAt": iso(stored.enrollment.enrolled_at),
    }
    assert {name: line.get(name) for name in expected} == expected
    (metrics,) = [entry for entry in lines if "_aws" in entry]
    assert [metrics[f"Unconfirmed{name}"] for name in ("Found", "Published", "Left")] == [1, 1, 0]
    assert finish() == {"found": 0, "published": 0, "isComplete": True}
    assert [decision["code"] for decision in invoke(submitted("101", "e1"))["decisions"]] == ["DUPLICATE_EVENT"]
    assert published(stack) == {}


def test_discarded_event_does_not_block_its_record(stack: Stack, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A once-only flow counts the record as enrolled from the claim on. So the claim is finished, whether its event is
    discarded, expires in the queue, or is redriven."""
    put(stack, id=1)
    envelope = submitted("101", "e1")
    give_up(monkeypatch, envelope)
    kept = {"requestContext": {"condition": "RetriesExhausted"}, "requestPayload": envelope}
    queue = stack.config.unprocessed_queue_url
    stack.sqs.send_message(QueueUrl=queue, MessageBody=json.dumps(kept))
    outputs = {"UnprocessedEventsQueueUrl": queue}
    monkeypatch.setattr(commands, "open_stack", lambda _: OpenedStack("enroll", outputs, lambda _: stack.sqs))

    result = run("unprocessed", "discard", "--reason", "RetriesExhausted", "--yes")

    assert "published within 10 minutes" in " ".join(result.output.split())
    assert stack.unprocessed() == []
    assert [decision["code"] for decision in invoke(submitted("101", "e2"))["decisions"]] == ["ALREADY_ENROLLED"]
    clock.now += UNCONFIRMED_AFTER_MS + 1
    assert finish()["published"] == 1
    assert published(stack) == {("101", "e1"): 1}


def test_run_responds_before_the_timeout_and_writes_nothing_afterwards(
    stack: Stack, clock: Clock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put(stack, id=1)
    for record in ("101", "102"):
        give_up(monkeypatch, submitted(record, f"e-{record}"))
    clock.now += UNCONFIRMED_AFTER_MS + 1
    capsys.readouterr()
    hanging = Hanging(monkeypatch, has("SendMessageBatch p1/0-1"))
    assert finish(left(3_000)) == {"found": 0, "published": 0, "isComplete": False}
    (metrics,) = [line for line in map(json.loads, capsys.readouterr().out.splitlines()) if "_aws" in line]
    assert [metrics[f"Unconfirmed{name}"] for name in ("Found", "Published", "Left")] == [0, 0, 1]
    hanging.thaw()
    assert hanging.writes == []
    application.cache_clear()
    assert finish() == {"found": 2, "published": 2, "isComplete": True}
    assert published(stack) == {("101", "e-101"): 1, ("102", "e-102"): 1}


def test_unpublishable_enrollment_is_counted_and_logged(
    stack: Stack, clock: Clock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put(stack, id=1)
    for record in ("101", "102"):
        give_up(monkeypatch, submitted(record, f"e-{record}"))
    clock.now += UNCONFIRMED_AFTER_MS + 1
    capsys.readouterr()
    with monkeypatch.context() as patch:
        calls(patch, lambda name, arguments: name == "SendMessageBatch" and "p1/0-1/102" in json.dumps(arguments))
        assert finish() == {"found": 2, "published": 1, "isComplete": True}
    lines = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    (line,) = [entry for entry in lines if entry.get("message") == "failed"]
    assert (line["objectId"], line["eventId"], line["exception_name"]) == ("102", "e-102", "ConnectionError")
    (metrics,) = [entry for entry in lines if "_aws" in entry]
    assert [metrics[f"Unconfirmed{name}"] for name in ("Found", "Published", "Left")] == [2, 1, 1]
    assert published(stack) == {("101", "e-101"): 1}
    assert finish() == {"found": 1, "published": 1, "isComplete": True}
    assert published(stack) == {("102", "e-102"): 1}


def test_run_fails_if_it_cannot_read_the_enrollments(
    stack: Stack, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        calls(patch, lambda operation, _: operation == "Query")
        with pytest.raises(ConnectionError):
            finish()


def test_abandoned_batch_is_completed(stack: Stack, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    put(stack, id=1)
    invocation = batch(submitted("1", "e1"), submitted("2", "e2"))
    with monkeypatch.context() as patch:
        calls(patch, lambda operation, _: operation == "PutEvents")
        for _ in range(5):
            assert len(invoke(invocation)["batchItemFailures"]) == 2
    assert published(stack) == {("1", "e1"): 1, ("2", "e2"): 1}
    clock.now += UNCONFIRMED_AFTER_MS + 1
    assert finish() == {"found": 2, "published": 2, "isComplete": True}
    # They had been published: the announcements were missing.
    assert published(stack) == {}
