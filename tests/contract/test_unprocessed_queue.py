"""Reading the unprocessed-events queue changes nothing in it."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from enrollment.adapters import unprocessed_queue
from enrollment.adapters.unprocessed_queue import SqsUnprocessedReader
from enrollment.application.ports import UnprocessedEventQueue
from enrollment.domain.events.unprocessed_event import UnprocessedMessage
from enrollment.serialization.unprocessed_messages import read_unprocessed
from tests.support.aws import REGION, aws
from tests.support.fakes import FakeUnprocessedQueue

NOW = 1_764_000_000_000


class Queue:
    """A queue of SQS. A clock that is moved by each empty response replaces the wait of a long poll."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.client: Any = boto3.client("sqs", region_name=REGION)
        self.seconds = 0.0
        self.reader = SqsUnprocessedReader(self.client, url, read_unprocessed, lambda: self.seconds, self.sleep)

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    def put(self, count: int) -> None:
        for number in range(count):
            body = f'{{"reason": "R{number}", "message": "m", "event": {{}}}}'
            self.client.send_message(QueueUrl=self.url, MessageBody=body)

    def scan(self) -> tuple[list[str], bool]:
        reasons: list[str] = []

        def visit(message: UnprocessedMessage) -> bool:
            reasons.append(message.unprocessed.reason)
            return True

        is_complete = self.reader.visit_all(visit)
        return reasons, is_complete

    def visible(self) -> int:
        attributes = self.client.get_queue_attributes(QueueUrl=self.url, AttributeNames=["All"])["Attributes"]
        return int(attributes["ApproximateNumberOfMessages"])


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue]:
    monkeypatch.setattr(unprocessed_queue, "WAIT_SECONDS", 0)
    with aws(monkeypatch) as config:
        queue = Queue(config.unprocessed_queue_url)
        receive = queue.client.receive_message

        def timed(**request: Any) -> Any:
            response = receive(**request)
            queue.seconds += 0.01 if response.get("Messages") else 1
            return response

        monkeypatch.setattr(queue.client, "receive_message", timed)
        yield queue


def test_each_message_is_visited_once_and_all_are_visible_afterwards(queue: Queue) -> None:
    queue.put(35)
    for _ in range(3):
        reasons, is_complete = queue.scan()
        assert sorted(reasons) == sorted(f"R{number}" for number in range(35))
        assert is_complete
        assert queue.visible() == 35


def test_empty_queue_is_scanned_with_one_response(queue: Queue) -> None:
    assert queue.reader.is_empty()
    assert queue.scan() == ([], True)
    assert queue.seconds == 1


def test_messages_are_visible_after_a_visit_ends_the_scan_or_fails(queue: Queue) -> None:
    queue.put(12)
    assert not queue.reader.visit_all(lambda message: False)
    assert queue.visible() == 12

    def fail(message: UnprocessedMessage) -> bool:
        raise KeyError(message.id)

    with pytest.raises(KeyError):
        queue.reader.visit_all(fail)
    assert queue.visible() == 12


def test_failed_release_keeps_the_result_and_releases_the_other_messages(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue.put(25)
    release, calls = queue.client.change_message_visibility_batch, []

    def throttled(**request: Any) -> Any:
        calls.append(request)
        if len(calls) == 1:
            raise ClientError({"Error": {"Code": "RequestThrottled"}}, "ChangeMessageVisibilityBatch")
        return release(**request)

    monkeypatch.setattr(queue.client, "change_message_visibility_batch", throttled)
    reasons, is_complete = queue.scan()
    assert (len(reasons), is_complete, len(calls)) == (25, True, 3)
    assert queue.visible() == 15


def test_scan_waits_for_messages_that_another_reader_holds(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    queue.put(2)
    (held,) = queue.client.receive_message(QueueUrl=queue.url, VisibilityTimeout=120)["Messages"]
    queue.seconds = 0.0
    assert not queue.reader.is_empty()
    reasons, is_complete = queue.scan()
    assert (len(reasons), is_complete) == (1, False)
    assert 3 < queue.seconds < 6

    counts, calls = queue.client.get_queue_attributes, []

    def released(**request: Any) -> Any:
        calls.append(1)
        answer = counts(**request)
        if len(calls) == 2:
            queue.client.change_message_visibility(
                QueueUrl=queue.url, ReceiptHandle=held["ReceiptHandle"], VisibilityTimeout=0
            )
        return answer

    monkeypatch.setattr(queue.client, "get_queue_attributes", released)
    reasons, is_complete = queue.scan()
    assert (sorted(reasons), is_complete) == (["R0", "R1"], True)


def test_two_scans_at_the_same_time_both_find_all_messages(queue: Queue) -> None:
    queue.put(35)
    both_hold_messages = threading.Barrier(2)

    def scan() -> tuple[list[str], bool]:
        reasons: list[str] = []

        def visit(message: UnprocessedMessage) -> bool:
            if not reasons:
                both_hold_messages.wait(timeout=30)
            reasons.append(message.unprocessed.reason)
            return True

        reader = SqsUnprocessedReader(queue.client, queue.url, read_unprocessed)
        is_complete = reader.visit_all(visit)
        return sorted(reasons), is_complete

    with ThreadPoolExecutor(2) as pool:
        answers = [future.result() for future in [pool.submit(scan), pool.submit(scan)]]
    assert answers == [(sorted(f"R{number}" for number in range(35)), True)] * 2
    assert queue.visible() == 35


def test_scan_is_bounded_by_messages_and_by_time(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    queue.put(25)
    monkeypatch.setattr(unprocessed_queue, "MAX_MESSAGES", 20)
    reasons, is_complete = queue.scan()
    assert (len(reasons), is_complete) == (20, False)
    monkeypatch.setattr(unprocessed_queue, "MAX_MESSAGES", 100)
    monkeypatch.setattr(unprocessed_queue, "MAX_SECONDS", 0.015)
    reasons, is_complete = queue.scan()
    assert (len(reasons), is_complete) == (20, False)
    assert queue.visible() == 25


@pytest.mark.parametrize("is_fake", [True, False], ids=["fake", "sqs"])
def test_fake_visits_as_the_queue_does(queue: Queue, is_fake: bool) -> None:
    fake = FakeUnprocessedQueue()
    reader: UnprocessedEventQueue = fake if is_fake else queue.reader
    assert reader.is_empty()
    assert reader.visit_all(lambda message: False)
    for number in range(3):
        fake.put(f"m{number}", NOW, {}, f"R{number}")
    queue.put(3)
    assert not reader.is_empty()
    visited: list[str] = []

    def visit(message: UnprocessedMessage) -> bool:
        visited.append(message.unprocessed.reason)
        return len(visited) != 5

    assert reader.visit_all(visit)
    assert sorted(visited) == ["R0", "R1", "R2"]
    assert not reader.visit_all(visit)
    assert len(visited) == 5
    (held,) = queue.client.receive_message(QueueUrl=queue.url, VisibilityTimeout=120)["Messages"]
    fake.held = {"m0"}
    assert not reader.visit_all(visit)
    assert len(visited) == 7
    assert not reader.is_empty()
    queue.client.delete_message(QueueUrl=queue.url, ReceiptHandle=held["ReceiptHandle"])
