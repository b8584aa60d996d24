"""`enroll queue receive`: what happens to the messages is exactly what the confirmation announces."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from moto import mock_aws
from typer.testing import CliRunner

from enroll.commands import queue as commands
from enroll.dead_letters import queue as dead_letter_queue
from enroll.main import app
from enroll.stack import Stack
from tests.support.aws import REGION
from tests.support.command_line import MESSAGE, run


@dataclass
class Queue:
    sqs: Any
    url: str
    dead_letter_url: str

    def send(self, *bodies: str) -> None:
        for number, body in enumerate(bodies):
            self.sqs.send_message(
                QueueUrl=self.url,
                MessageBody=body,
                MessageGroupId=f"p1/0-1/{number}",
                MessageDeduplicationId=f"{number}",
            )

    @staticmethod
    def enrollments(count: int) -> list[str]:
        return [json.dumps({**MESSAGE, "enrollmentId": f"01K{number:02}"}) for number in range(count)]

    def received(self) -> dict[str, int]:
        """Receive as a consumer does. Return the enrollments with the number of their receives."""
        found: dict[str, int] = {}
        while messages := self.sqs.receive_message(
            QueueUrl=self.url, MaxNumberOfMessages=10, AttributeNames=["ApproximateReceiveCount"]
        ).get("Messages"):
            for message in messages:
                found[json.loads(message["Body"])["enrollmentId"]] = int(
                    message["Attributes"]["ApproximateReceiveCount"]
                )
        return found


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue]:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setattr(dead_letter_queue, "WAIT_SECONDS", 0)
    with mock_aws():
        sqs = boto3.client("sqs", region_name=REGION)
        dead = sqs.create_queue(QueueName="enroll-enrollments-dead.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        policy = {"deadLetterTargetArn": arn, "maxReceiveCount": 5}
        attributes = {"FifoQueue": "true", "VisibilityTimeout": "60", "RedrivePolicy": json.dumps(policy)}
        url = sqs.create_queue(QueueName="enroll-enrollments.fifo", Attributes=attributes)["QueueUrl"]
        outputs = {"EnrollmentsQueueUrl": url}
        monkeypatch.setattr(commands, "open_stack", lambda _: Stack("enroll", outputs, lambda _: sqs))
        yield Queue(sqs, url, dead)


def shown(*options: str) -> list[str]:
    lines = run("queue", "receive", "--yes", "--json", *options).stdout.splitlines()
    return [json.loads(line)["enrollmentId"] for line in lines]


def test_received_messages_are_deleted_and_others_are_not_received(queue: Queue) -> None:
    queue.send(*queue.enrollments(25))
    assert shown() == [f"01K{number:02}" for number in range(10)]
    assert shown("--count", "12") == [f"01K{number:02}" for number in range(10, 22)]
    assert queue.received() == {"01K22": 1, "01K23": 1, "01K24": 1}


def test_kept_messages_are_returned_at_once_and_received_once(queue: Queue) -> None:
    queue.send(*queue.enrollments(25))
    assert shown("--no-delete", "--count", "12") == [f"01K{number:02}" for number in range(12)]
    assert queue.received() == {f"01K{number:02}": 2 if number < 12 else 1 for number in range(25)}


def test_it_ends_when_the_queue_is_empty(queue: Queue) -> None:
    queue.send(*queue.enrollments(3))
    result = run("queue", "receive", "--yes")
    assert result.stdout.count("0-1/101 enters Welcome (1) by forms.submitted e1") == 3
    assert "Messages received and deleted: 3." in result.stdout
    assert "Messages received and deleted: 0." in run("queue", "receive", "--yes").stdout


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], ["enroll-enrollments.fifo", "up to 10 messages", "They are deleted. No consumer gets them"]),
        (["--no-delete", "-n", "7"], ["up to 7 messages", "one of the 5 receives", "enroll-enrollments-dead.fifo"]),
    ],
)
@pytest.mark.parametrize("answer", ["n\n", ""])
def test_without_a_confirmation_no_message_is_received(
    queue: Queue, options: list[str], expected: list[str], answer: str
) -> None:
    queue.send(*queue.enrollments(3))
    result = CliRunner().invoke(app, ["queue", "receive", *options], input=answer)
    assert result.exit_code == 1
    for text in expected:
        assert text in result.stderr
    assert " enters " not in result.stdout
    assert queue.received() == {"01K00": 1, "01K01": 1, "01K02": 1}


@pytest.mark.parametrize("options", [[], ["--no-delete"]])
def test_confirmed_messages_are_received(queue: Queue, options: list[str]) -> None:
    queue.send(*queue.enrollments(1))
    result = CliRunner().invoke(app, ["queue", "receive", *options], input="y\n")
    assert result.exit_code == 0
    assert "0-1/101 enters Welcome" in result.stdout
    assert queue.received() == ({"01K00": 2} if options else {})


def test_a_message_that_is_not_an_enrollment_is_shown(queue: Queue) -> None:
    bodies = ["text", "[1]", '{"enrollmentId": 7}', "[" * 100_000]
    queue.send(*bodies)
    found = [json.loads(line) for line in run("queue", "receive", "--yes", "--json", "--no-delete").stdout.splitlines()]
    assert found == ["text", [1], {"enrollmentId": 7}, "[" * 100_000]
    assert run("queue", "receive", "--yes").stdout.count("Not an enrollment: ") == 4


def test_a_message_is_not_deleted_before_it_is_shown(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader of the output has closed it."""
    queue.send(*queue.enrollments(3))

    def broken(body: str, utc: bool, as_json: bool) -> None:
        if "01K01" in body:
            raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(commands, "_show", broken)
    assert CliRunner().invoke(app, ["queue", "receive", "--yes"]).exit_code == 1
    assert queue.received() == {"01K01": 2, "01K02": 2}
