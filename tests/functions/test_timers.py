"""The function that a schedule invokes each minute: it sends the work that is due soon to the redeliveries queue."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import botocore.client
import pytest
from aws_lambda_powertools import Logger
from msgspec.structs import replace

from enrollment.adapters import backoff
from enrollment.adapters.dynamodb.due_items import DynamoDueItems
from enrollment.adapters.observability import Metrics
from enrollment.application.timer_sweep import BATCH_SIZE, TimerSweep
from enrollment.domain.enrollment.late_data_tolerance import MINUTE
from enrollment.domain.events.event import Event
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.record import Record, TimestampedValue
from enrollment.domain.timers.due_item import DUE_SHARDS, DueItem, DueKind, due_item
from enrollment.domain.values import iso
from enrollment.entrypoints import bootstrap, timer_bootstrap, timer_handler
from enrollment.entrypoints.timer_bootstrap import TimerApplication
from enrollment.serialization.envelopes import read_event
from enrollment.serialization.redeliveries import write_redelivery
from tests.support.fakes import FakeDueItems, FakeWorkQueue
from tests.support.functions import CONTEXT, Stack, batch, calls, counted, function, invoke, left, published, put
from tests.support.scenario import event
from tests.support.stores import open_tables

ADA = RecordKey("p1", "0-1", "101")
# What the rule of the schedule sends.
SCHEDULED = {"version": "0", "detail-type": "Scheduled Event", "source": "aws.events", "detail": {}}
RATE = {"count": 1, "period": "HOUR"}


class Clock:
    def __init__(self) -> None:
        self.now = bootstrap.now()

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    """The clock of the functions."""
    clock = Clock()
    monkeypatch.setattr(bootstrap, "now", clock)
    monkeypatch.setattr(backoff, "FIRST_WAIT_SECONDS", 0.0)
    timer_bootstrap.timer_application.cache_clear()
    yield clock
    timer_bootstrap.timer_application.cache_clear()


def sweep(context: Any = CONTEXT) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(json.dumps(function("timers").handler(SCHEDULED, context)))
    return answer


def stored(stack: Stack) -> list[DueItem]:
    due_items = DynamoDueItems(open_tables(stack.config))
    return [each for shard in range(DUE_SHARDS) for each in due_items.due_before(shard, 2**45)]


def save(stack: Stack, *items: DueItem) -> None:
    for each in items:
        DynamoDueItems(open_tables(stack.config)).save(each)


def received(stack: Stack) -> list[str]:
    """Receive the messages of the redeliveries queue whose delay is over."""
    bodies: list[str] = []
    url = stack.config.redeliveries_queue_url
    while messages := stack.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
        for message in messages:
            bodies.append(message["Body"])
            stack.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return bodies


def redeliver(*bodies: str) -> None:
    assert function("redeliveries").handler(batch(*bodies), CONTEXT) == {"batchItemFailures": []}


def submitted(clock: Clock, event_id: str) -> dict[str, Any]:
    at = iso(clock.now)
    return event({"forms.submitted": "101", "id": event_id, "at": at, "sent": at, "record": {}})


def put_record(stack: Stack) -> None:
    stack.stores.records.save(Record(ADA, 0, {"city": TimestampedValue("Dublin", 0)}))


def test_enrollment_that_a_rate_limit_delays_is_published_when_it_is_due(stack: Stack, clock: Clock) -> None:
    put(stack, id=1, re_enroll=True, limit=RATE)
    put_record(stack)
    for number in range(3):
        invoke(submitted(clock, f"e{number}"))
    assert published(stack) == {("101", "e0"): 1}
    assert received(stack) == []
    first, second = sorted(stored(stack), key=lambda each: each.due_at)
    assert second.due_at - first.due_at == 60 * MINUTE

    clock.now = first.due_at
    assert sweep() == {"sent": 1, "left": 0, "failed": 0, "oldestSeconds": 0}
    redeliver(*received(stack))

    assert published(stack) == {("101", "e1"): 1}
    assert stored(stack) == [second]


def test_decision_that_waits_for_late_data_is_final_when_it_is_due(stack: Stack, clock: Clock) -> None:
    put(stack, id=1, criteria=[["city", "IS_EQUAL_TO", "Cork"]], tolerance=5)
    put_record(stack)
    assert [each["code"] for each in invoke(submitted(clock, "e1"))["decisions"]] == ["WAITING"]
    clock.now += 5 * MINUTE
    assert sweep()["sent"] == 1
    redeliver(*received(stack))
    (waiting,) = stack.waiting()
    assert not waiting.flows, "the decision is final"
    assert stored(stack) == []


def test_event_that_waits_for_its_record_less_than_the_look_ahead_needs_no_sweep(stack: Stack, clock: Clock) -> None:
    put(stack, id=1, record_tolerance=60)
    waiting = {"forms.submitted": "999", "id": "e1", "at": iso(clock.now), "sent": iso(clock.now)}
    assert [each["code"] for each in invoke(event(waiting))["decisions"]] == ["WAITING"]
    assert stored(stack) == []


def test_item_that_is_sent_twice_is_published_once(stack: Stack, clock: Clock) -> None:
    put(stack, id=1, re_enroll=True, limit=RATE)
    put_record(stack)
    for number in range(2):
        invoke(submitted(clock, f"e{number}"))
    published(stack)
    (delayed,) = stored(stack)
    clock.now = delayed.due_at
    for _ in range(2):
        save(stack, delayed)
        sweep()
    bodies = received(stack)
    assert len(bodies) == 2
    redeliver(*bodies)
    redeliver(*bodies)
    assert published(stack) == {("101", "e1"): 1}


def test_message_of_an_earlier_version_that_arrives_early_becomes_a_due_item(stack: Stack, clock: Clock) -> None:
    """Earlier versions delayed a message by at most 15 minutes, and sent it again when it arrived before its time."""
    put(stack, id=1, re_enroll=True, limit=RATE)
    put_record(stack)
    envelopes = [submitted(clock, f"e{number}") for number in range(2)]
    for envelope in envelopes:
        invoke(envelope)
    published(stack)
    (delayed,) = stored(stack)
    DynamoDueItems(open_tables(stack.config)).delete([delayed])
    in_flight = write_redelivery(read(envelopes[1]), ["1"], delayed.due_at)

    redeliver(in_flight)
    (again,) = stored(stack)
    assert (again.id, again.due_at) == (delayed.id, delayed.due_at)
    assert received(stack) == []
    clock.now = delayed.due_at
    redeliver(in_flight)
    assert published(stack) == {("101", "e1"): 1}


def read(envelope: dict[str, Any]) -> Event:
    return read_event(envelope, "forms")


def items(clock: Clock, count: int) -> list[DueItem]:
    return [due_item(DueKind.EVENT, clock.now - 7_000, f'"{number}"', str(number)) for number in range(count)]


def test_sweep_logs_and_counts_what_it_sent(stack: Stack, clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    save(stack, *items(clock, 40))
    capsys.readouterr()
    assert sweep() == {"sent": 40, "left": 0, "failed": 0, "oldestSeconds": 7}
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (line,) = [each for each in lines if each.get("message") == "timers"]
    assert [line[name] for name in ("sent", "left", "oldestSeconds", "failedShards")] == [40, 0, 7, []]
    (metrics,) = [each for each in lines if "_aws" in each]
    names = ("DueItemsSent", "DueItemsLeft", "OldestDueItemSeconds")
    assert [metrics[name] for name in names] == [40, 0, 7]
    assert len(set(received(stack))) == 40


def test_sweep_without_due_items_makes_one_query_for_each_shard_and_logs_nothing(
    stack: Stack, clock: Clock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    timer_bootstrap.timer_application()
    capsys.readouterr()
    with counted(monkeypatch) as made:
        assert sweep() == {"sent": 0, "left": 0, "failed": 0, "oldestSeconds": 0}
    assert made == {"Query": DUE_SHARDS}
    (metrics,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert metrics["OldestDueItemSeconds"] == 0


def test_sweep_writes_due_items_only(stack: Stack, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The function's policy allows it the partition keys due/? and due/?? only."""
    save(stack, *items(clock, 40))
    keys: set[str] = set()
    make = botocore.client.BaseClient._make_api_call

    def noted(client: Any, operation: str, arguments: Any) -> Any:
        if operation == "Query":
            keys.add(arguments["ExpressionAttributeValues"][":shard"]["S"])
        for requests in arguments.get("RequestItems", {}).values():
            keys.update(request["DeleteRequest"]["Key"]["pk"]["S"] for request in requests)
        return make(client, operation, arguments)

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", noted)
    sweep()
    assert keys == {f"due/{shard}" for shard in range(DUE_SHARDS)}


def test_items_stay_and_are_counted_if_the_queue_fails(
    stack: Stack, clock: Clock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = items(clock, 40)
    save(stack, *saved)
    capsys.readouterr()
    with monkeypatch.context() as patch:
        calls(patch, lambda operation, _: operation == "SendMessageBatch")
        answer = sweep()
    assert (answer["sent"], answer["left"], answer["oldestSeconds"]) == (0, 40, 7)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    failed = {each["shard"] for each in lines if each.get("message") == "failed"}
    assert failed == {each.shard for each in saved}
    assert set(stored(stack)) == set(saved)
    clock.now += MINUTE
    assert sweep() == {"sent": 40, "left": 0, "failed": 0, "oldestSeconds": 67}


def test_items_are_sent_again_if_they_cannot_be_deleted(
    stack: Stack, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(stack, *items(clock, 3))
    with monkeypatch.context() as patch:
        calls(patch, lambda operation, _: operation == "BatchWriteItem")
        assert sweep()["sent"] == 3
    assert sweep()["sent"] == 3
    assert len(received(stack)) == 6
    assert sweep()["sent"] == 0


def test_sweep_fails_if_the_table_cannot_be_read(stack: Stack, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then Lambda counts an error, and the missing metric raises the alarm on the age of due items."""
    calls(monkeypatch, lambda operation, _: operation == "Query")
    with pytest.raises(ConnectionError):
        sweep()


def test_shard_that_cannot_be_read_is_logged_and_does_not_delay_the_others(
    stack: Stack, clock: Clock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = items(clock, 40)
    save(stack, *saved)
    unreadable = saved[0].shard
    capsys.readouterr()
    with monkeypatch.context() as patch:
        calls(
            patch,
            lambda operation, arguments: (
                operation == "Query" and arguments["ExpressionAttributeValues"][":shard"]["S"] == f"due/{unreadable}"
            ),
        )
        with pytest.raises(ConnectionError):
            sweep()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert unreadable in [each.get("shard") for each in lines if each.get("message") == "failed"]
    assert {each.shard for each in stored(stack)} == {unreadable}


def test_sweep_returns_before_its_deadline(stack: Stack, clock: Clock) -> None:
    saved = items(clock, 3)
    save(stack, *saved)
    assert sweep(left(1_000)) == {"sent": 0, "left": 0, "failed": 0, "oldestSeconds": 0}
    assert set(stored(stack)) == set(saved)


def test_message_is_delayed_until_its_item_is_due(stack: Stack, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    (base,) = items(clock, 1)
    save(stack, replace(base, due_at=clock.now + 40_500))
    delays: list[int] = []
    make = botocore.client.BaseClient._make_api_call

    def noted(client: Any, operation: str, arguments: Any) -> Any:
        if operation == "SendMessageBatch":
            delays.extend(entry["DelaySeconds"] for entry in arguments["Entries"])
        return make(client, operation, arguments)

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", noted)
    assert sweep()["sent"] == 1
    assert delays == [41]


def test_shard_with_a_large_backlog_does_not_delay_the_others() -> None:
    """The clock takes a second for each batch, so the sweep ends when a few batches of each shard are sent."""
    due_items, queue, now = FakeDueItems(), FakeWorkQueue(), bootstrap.now()
    overdue = [due_item(DueKind.EVENT, now - 600_000, "", str(number)) for number in range(DUE_SHARDS * 4 * BATCH_SIZE)]
    oldest = replace(next(each for each in overdue if each.shard == DUE_SHARDS - 1), due_at=now - 900_000)
    for each in (*overdue, oldest):
        due_items.save(each)
    sweep_of_queue = TimerSweep(due_items, queue, lambda: now + 1_000 * (len(queue.sent) // BATCH_SIZE))
    with ThreadPoolExecutor(1) as executor:
        app = TimerApplication(sweep_of_queue, Logger(), Metrics("Enroll", "test", bootstrap.now), executor)
        counts = timer_handler.sweep(app)
    assert {each.shard for each in queue.sent} == set(range(DUE_SHARDS))
    assert counts["oldestSeconds"] == 900
