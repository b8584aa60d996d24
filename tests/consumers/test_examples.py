"""The consumers that docs/consumers.md shows keep the order of a record, lose nothing and start each workflow once."""

import json
import threading
from collections.abc import Iterable
from typing import Any

import boto3
import pytest
from aws_lambda_powertools.utilities.batch.exceptions import BatchProcessingError
from botocore.exceptions import ClientError

from docs.examples.conditional_write import create_run
from docs.examples.polling_consumer import Heartbeat, consume
from enrollment.domain.enrollment.enrollments import Enrollment
from enrollment.serialization.messages import write_message
from tests.consumers.conftest import Consumer
from tests.support.consumption import LONGEST_RUN_MS, context, enrollment, poll, publish

BROKEN = ValueError("the workflow cannot start")


def test_each_enrollment_starts_its_workflow(sqs: Any, queue_url: str, consumer: Consumer) -> None:
    publish(sqs, queue_url, [enrollment(f"01K{number}", record=str(number)) for number in range(5)])
    assert poll(sqs, queue_url, consumer.module.handler) == 5
    assert consumer.started == [f"01K{number}" for number in range(5)]
    assert poll(sqs, queue_url, consumer.module.handler) == 0


def test_failed_message_leaves_the_rest_of_its_record_for_later(sqs: Any, queue_url: str, consumer: Consumer) -> None:
    records = [("a1", "a"), ("a2", "a"), ("b1", "b"), ("a3", "a"), ("b2", "b")]
    publish(sqs, queue_url, [enrollment(name, record=record) for name, record in records])
    consumer.failing["a2"] = BROKEN
    poll(sqs, queue_url, consumer.module.handler)
    assert consumer.started == ["a1", "b1", "b2"]
    consumer.failing.clear()
    assert poll(sqs, queue_url, consumer.module.handler) == 2
    assert consumer.started == ["a1", "b1", "b2", "a2", "a3"]


def test_failure_of_every_message_of_a_batch_deletes_none(sqs: Any, queue_url: str, consumer: Consumer) -> None:
    publish(sqs, queue_url, [enrollment("a1", "a"), enrollment("b1", "b")])
    consumer.failing = {"a1": BROKEN, "b1": BROKEN}
    poll(sqs, queue_url, consumer.module.handler)
    consumer.failing.clear()
    poll(sqs, queue_url, consumer.module.handler)
    assert consumer.started == ["a1", "b1"]


def test_failure_of_one_invocation_does_not_stop_the_next(sqs: Any, queue_url: str, consumer: Consumer) -> None:
    """The processor is made once, and used by all invocations of a warm function."""
    publish(sqs, queue_url, [enrollment("a1", "a")])
    consumer.failing["a1"] = BROKEN
    poll(sqs, queue_url, consumer.module.handler)
    publish(sqs, queue_url, [enrollment("b1", "b")])
    consumer.failing.clear()
    poll(sqs, queue_url, consumer.module.handler)
    assert consumer.started == ["a1", "b1"]


def deliver(consumer: Consumer, copies: Iterable[Enrollment], remaining_ms: int = LONGEST_RUN_MS) -> list[str]:
    """Invoke the handler with messages. Return the numbers of those that failed."""
    records = [
        {
            "messageId": str(number),
            "body": write_message(copy),
            "attributes": {"MessageGroupId": str(copy.record_key)},
            "eventSource": "aws:sqs",
        }
        for number, copy in enumerate(copies)
    ]
    try:
        answer = consumer.module.handler({"Records": records}, context(remaining_ms))
    except BatchProcessingError:
        return [record["messageId"] for record in records]
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def test_copy_of_a_message_does_not_start_the_workflow_again(consumer: Consumer) -> None:
    assert deliver(consumer, [enrollment("01K1"), enrollment("01K1")]) == []
    assert deliver(consumer, [enrollment("01K1")]) == []
    assert deliver(consumer, [enrollment("01K2")]) == []
    assert consumer.started == ["01K1", "01K2"]


def test_failed_start_is_tried_again(consumer: Consumer) -> None:
    consumer.failing["01K1"] = BROKEN
    assert deliver(consumer, [enrollment("01K1")]) == ["0"]
    consumer.failing.clear()
    assert deliver(consumer, [enrollment("01K1")]) == []
    assert consumer.started == ["01K1"]


def test_start_that_an_invocation_did_not_finish_is_tried_again_after_its_timeout(consumer: Consumer) -> None:
    consumer.failing["01K1"] = SystemExit()
    with pytest.raises(SystemExit):
        deliver(consumer, [enrollment("01K1")], remaining_ms=60_000)
    consumer.failing.clear()
    # The first invocation may still be running.
    assert deliver(consumer, [enrollment("01K1")]) == ["0"]
    consumer.failing["01K2"] = SystemExit()
    with pytest.raises(SystemExit):
        deliver(consumer, [enrollment("01K2")], remaining_ms=-1)
    consumer.failing.clear()
    assert deliver(consumer, [enrollment("01K2")]) == []
    assert consumer.started == ["01K2"]


def test_enrollment_of_enroll_doctor_starts_no_workflow(consumer: Consumer) -> None:
    assert deliver(consumer, [enrollment("01K1", portal="enroll-doctor")]) == []
    assert consumer.started == []


# The conditional write


def test_conditional_write_creates_one_run_for_all_copies(sqs: Any) -> None:
    table = boto3.resource("dynamodb").create_table(
        TableName="runs",
        KeySchema=[{"AttributeName": "enrollmentId", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "enrollmentId", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    message = json.loads(write_message(enrollment("01K1", flow="7")))
    assert [create_run(table, message) for _ in range(3)] == [True, False, False]
    (run,) = table.scan()["Items"]
    assert run == {"enrollmentId": "01K1", "flowId": "7", "record": "0-1/101", "state": "WAITING"}
    with pytest.raises(ClientError):
        create_run(boto3.resource("dynamodb").Table("missing"), message)


# The polling consumer


class Beats:
    """SQS as the heartbeat sees it. Each call returns or raises the next answer."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.calls: list[list[str]] = []
        self.called = threading.Event()

    def change_message_visibility_batch(self, QueueUrl: str, Entries: list[dict[str, Any]]) -> Any:
        self.calls.append([entry["ReceiptHandle"] for entry in Entries])
        answer = self.answers.pop(0) if self.answers else {}
        if not self.answers:
            self.called.set()
        if isinstance(answer, Exception):
            raise answer
        return answer


MESSAGES = [{"MessageId": name, "ReceiptHandle": f"receipt {name}"} for name in ("m1", "m2")]


def test_heartbeat_extends_the_messages_that_are_not_released() -> None:
    beats = Beats(ClientError({"Error": {"Code": "Throttled"}}, "ChangeMessageVisibilityBatch"), {})
    with Heartbeat(beats, "url", MESSAGES, visibility_seconds=0) as heartbeat:
        assert beats.called.wait(5)
        heartbeat.release(MESSAGES[0])
    assert beats.calls[0] == ["receipt m1", "receipt m2"]
    assert not heartbeat.is_lost


def test_heartbeat_reports_a_message_that_others_may_receive() -> None:
    beats = Beats({"Failed": [{"Id": "1"}]})
    with Heartbeat(beats, "url", MESSAGES, visibility_seconds=0) as heartbeat:
        assert beats.called.wait(5)
    assert heartbeat.is_lost


def test_polling_consumer_keeps_the_order_of_a_record(
    sqs: Any, queue_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    records = [("a1", "a"), ("a2", "a"), ("b1", "b"), ("a3", "a")]
    publish(sqs, queue_url, [enrollment(name, record=record) for name, record in records])
    processed = []

    def process(message: Any) -> None:
        if message["enrollmentId"] == "a2" and len(processed) < 2:
            raise BROKEN
        processed.append(message["enrollmentId"])

    consume(sqs, queue_url, process, visibility_seconds=0)
    assert processed == ["a1", "b1"]
    consume(sqs, queue_url, process, visibility_seconds=5)
    assert processed == ["a1", "b1", "a2", "a3"]
