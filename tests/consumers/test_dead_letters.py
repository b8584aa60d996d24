"""A poison message, from its first receive to the dead-letter queue and back, in the embedded AWS."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from aws_lambda_powertools.utilities.batch import SqsFifoPartialProcessor, process_partial_response

from enroll.commands import dead_enrollments as commands
from enroll.dead_letters import queue as dead_letter_queue
from enroll.stack import Stack
from tests.support.command_line import answer
from tests.support.consumption import create_queues, enrollment, poll, publish
from tests.support.emulated import emulated_aws

pytestmark = [pytest.mark.verify, pytest.mark.xdist_group("emulated")]

MAX_RECEIVES = 5


@dataclass
class Stage:
    """The queues with a consumer that processes a batch as docs/examples/consumer.py does. It fails for ``poison``."""

    sqs: Any
    url: str
    dead_url: str
    poison: set[str] = field(default_factory=set)
    attempts: Counter[str] = field(default_factory=Counter)
    processed: list[str] = field(default_factory=list)

    def _process(self, record: Any) -> None:
        enrollment_id = json.loads(record.body)["enrollmentId"]
        self.attempts[enrollment_id] += 1
        if enrollment_id in self.poison:
            raise ValueError(f"{enrollment_id} cannot be processed")
        self.processed.append(enrollment_id)

    def consume(self, batch_size: int) -> None:
        processor = SqsFifoPartialProcessor(skip_group_on_error=True)

        def handler(event: dict[str, Any], context: Any) -> Any:
            return process_partial_response(event, self._process, processor, context)

        while poll(self.sqs, self.url, handler, batch_size):
            pass

    def dead(self) -> list[str]:
        return [message["enrollmentId"] for message in answer("queue", "list")]


@pytest.fixture(scope="module")
def _emulator() -> Iterator[None]:
    with emulated_aws():
        yield


@pytest.fixture
def stage(_emulator: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    sqs = boto3.client("sqs")
    url, dead_url = create_queues(sqs)
    outputs = {"EnrollmentsQueueUrl": url, "EnrollmentsDeadLetterQueueUrl": dead_url}
    monkeypatch.setattr(commands, "open_stack", lambda _: Stack("enroll", outputs, lambda _: sqs))
    monkeypatch.setattr(dead_letter_queue, "WAIT_SECONDS", 0)
    yield Stage(sqs, url, dead_url)
    for queue_url in (url, dead_url):
        sqs.delete_queue(QueueUrl=queue_url)


def test_poison_message_ends_in_the_dead_letter_queue_and_redrive_brings_it_back(stage: Stage) -> None:
    publish(stage.sqs, stage.url, [enrollment("poison", "a"), enrollment("other", "b")])
    stage.poison = {"poison"}
    stage.consume(batch_size=10)
    assert (stage.processed, stage.attempts["poison"]) == (["other"], MAX_RECEIVES)
    assert stage.dead() == ["poison"]
    # The consumer is fixed. Less than 5 minutes have passed since the first delivery, so SQS would drop a message with
    # the deduplication ID of that delivery.
    stage.poison = set()
    assert answer("queue", "redrive")["redriven"] == 1
    assert stage.dead() == []
    stage.consume(batch_size=10)
    assert stage.processed == ["other", "poison"]


def test_message_that_fails_after_each_redrive_is_never_lost(stage: Stage) -> None:
    publish(stage.sqs, stage.url, [enrollment("poison", "a")])
    stage.poison = {"poison"}
    for _ in range(3):
        stage.consume(batch_size=10)
        assert stage.dead() == ["poison"]
        assert answer("queue", "redrive")["redriven"] == 1
    stage.poison = set()
    stage.consume(batch_size=10)
    assert stage.processed == ["poison"]


def test_messages_behind_a_poison_message_in_its_batch_follow_it_in_order(stage: Stage) -> None:
    """Each receive counts for all messages of a batch, also for those that the consumer did not process."""
    publish(stage.sqs, stage.url, [enrollment("poison", "a"), enrollment("next", "a"), enrollment("last", "a")])
    stage.poison = {"poison"}
    stage.consume(batch_size=10)
    assert (stage.processed, stage.attempts) == ([], {"poison": MAX_RECEIVES})
    assert stage.dead() == ["poison", "next", "last"]
    stage.poison = set()
    assert answer("queue", "redrive")["redriven"] == 3
    stage.consume(batch_size=10)
    assert stage.processed == ["poison", "next", "last"]


def test_messages_behind_a_poison_message_are_processed_with_batches_of_one(stage: Stage) -> None:
    publish(stage.sqs, stage.url, [enrollment("poison", "a"), enrollment("next", "a"), enrollment("last", "a")])
    stage.poison = {"poison"}
    stage.consume(batch_size=1)
    assert stage.processed == ["next", "last"]
    assert stage.dead() == ["poison"]


def test_discarding_the_poison_message_lets_the_others_return(stage: Stage) -> None:
    publish(stage.sqs, stage.url, [enrollment("poison", "a"), enrollment("next", "a")])
    stage.poison = {"poison"}
    stage.consume(batch_size=10)
    assert answer("queue", "discard", "--enrollment", "poison", "--yes")["discarded"] == 1
    assert answer("queue", "redrive")["redriven"] == 1
    stage.consume(batch_size=10)
    assert (stage.processed, stage.dead()) == (["next"], [])
