"""Scan a queue without consuming it: every message that is not deleted returns to the queue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from enroll.dead_letters.message import UnprocessedEvent, read_unprocessed
from enrollment.domain.values import Instant

# SQS accepts this many messages in one call.
BATCH_MESSAGES = 10

# How long a received message is hidden from other consumers. If this process is killed, they wait as long.
VISIBILITY_TIMEOUT_SECONDS = 120
# With a wait time, SQS queries all of its servers. Two empty responses mean that no message is left.
WAIT_SECONDS = 1
MAX_EMPTY_RESPONSES = 2
MAX_MESSAGES = 100_000
SIMULTANEOUS_REQUESTS = 2

DELETE_ATTEMPTS = 3


class NotDeleted(Exception):
    """Messages are still in the queue. They may be redriven already; redriving them again is harmless."""


@dataclass(frozen=True)
class QueueMessage:
    """A received message. ``unprocessed`` is its content as an event, if the queue is the unprocessed-events queue.

    ``attributes`` are the message attributes as SQS returns and accepts them. ``group_id`` is empty for a message of a
    standard queue.
    """

    id: str
    sent_at: Instant
    body: str
    unprocessed: UnprocessedEvent
    group_id: str = ""
    receive_count: int = 0
    attributes: Mapping[str, Any] = field(default_factory=dict)


class QueueScan:
    """Iterate over the messages of a queue, each once. Use it in a ``with`` block.

    At the end of the block, messages that were not deleted become visible again. At most ``limit`` different messages
    are received, because each receive counts toward the limit after which SQS moves a message to a dead-letter queue.
    Without a limit, two requests at a time receive messages: the last two responses are empty, and each waits a second.

    From a FIFO queue, receive with one request at a time (``is_ordered``). SQS returns at most 10 messages of a group,
    in order, and no further message of the group before these are deleted or visible again.
    """

    def __init__(self, client: Any, url: str, limit: int = MAX_MESSAGES, *, is_ordered: bool = False) -> None:
        self._client = client
        self._url = url
        self._limit = limit
        self._is_ordered = is_ordered
        self._seen: set[str] = set()
        self._receipts: dict[str, str] = {}

    def __enter__(self) -> QueueScan:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        receipts = list(self._receipts.values())
        for start in range(0, len(receipts), BATCH_MESSAGES):
            # Failures are ignored: such a message is visible again already, or will be after its timeout.
            self._client.change_message_visibility_batch(
                QueueUrl=self._url,
                Entries=[
                    {"Id": str(number), "ReceiptHandle": receipt, "VisibilityTimeout": 0}
                    for number, receipt in enumerate(receipts[start : start + BATCH_MESSAGES])
                ],
            )

    def __iter__(self) -> Iterator[QueueMessage]:
        for messages in self.batches():
            yield from messages

    def batches(self) -> Iterator[list[QueueMessage]]:
        """Yield the new messages of each receive. Messages that are deleted before the next receive make room for
        later messages of their group."""
        repeated = 0
        empty_responses = 0
        # If the scan is slower than messages return to the queue, end it after a whole round of known messages.
        while (
            empty_responses < MAX_EMPTY_RESPONSES
            and repeated <= len(self._seen) + BATCH_MESSAGES
            and len(self._seen) < self._limit
        ):
            responses = self._receive()
            raw_messages = [raw for response in responses for raw in response]
            empty_responses = 0 if raw_messages else empty_responses + len(responses)
            self._receipts |= {raw["MessageId"]: raw["ReceiptHandle"] for raw in raw_messages}
            new_messages = []
            for raw in raw_messages:
                repeated = repeated + 1 if raw["MessageId"] in self._seen else 0
                if repeated == 0:
                    self._seen.add(raw["MessageId"])
                    new_messages.append(_read_message(raw))
            if new_messages:
                yield new_messages

    def _receive(self) -> list[list[dict[str, Any]]]:
        """Return the messages of one response, or of simultaneous responses."""
        if self._is_ordered or self._limit < MAX_MESSAGES:
            return [self._receive_batch()]
        with ThreadPoolExecutor(SIMULTANEOUS_REQUESTS) as executor:
            requests = [executor.submit(self._receive_batch) for _ in range(SIMULTANEOUS_REQUESTS)]
            return [request.result() for request in requests]

    def _receive_batch(self) -> list[dict[str, Any]]:
        response = self._client.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=min(BATCH_MESSAGES, self._limit - len(self._seen)),
            VisibilityTimeout=VISIBILITY_TIMEOUT_SECONDS,
            WaitTimeSeconds=WAIT_SECONDS,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["SentTimestamp", "MessageGroupId", "ApproximateReceiveCount"],
        )
        return list(response.get("Messages", []))

    def delete(self, messages: Sequence[QueueMessage]) -> None:
        """Delete messages that this scan returned. Raises NotDeleted if SQS does not delete all of them."""
        for start in range(0, len(messages), BATCH_MESSAGES):
            pending = [message.id for message in messages[start : start + BATCH_MESSAGES]]
            for _ in range(DELETE_ATTEMPTS):
                pending = self._delete_batch(pending)
                if not pending:
                    break
            else:
                raise NotDeleted(f"SQS did not delete {len(pending)} messages; they are still in the queue")

    def _delete_batch(self, message_ids: Sequence[str]) -> list[str]:
        """Delete messages in one call. Return the IDs of those that SQS did not delete."""
        response = self._client.delete_message_batch(
            QueueUrl=self._url,
            Entries=[
                {"Id": str(number), "ReceiptHandle": self._receipts[message_id]}
                for number, message_id in enumerate(message_ids)
            ],
        )
        failed_numbers = {int(failure["Id"]) for failure in response.get("Failed", [])}
        for number, message_id in enumerate(message_ids):
            if number not in failed_numbers:
                del self._receipts[message_id]
        return [message_ids[number] for number in sorted(failed_numbers)]


def _read_message(raw_message: dict[str, Any]) -> QueueMessage:
    attributes = raw_message.get("MessageAttributes", {})
    system_attributes = raw_message.get("Attributes", {})
    texts = {name: value.get("StringValue", "") for name, value in attributes.items()}
    return QueueMessage(
        id=raw_message["MessageId"],
        sent_at=int(system_attributes.get("SentTimestamp", 0)),
        body=raw_message["Body"],
        unprocessed=read_unprocessed(raw_message["Body"], texts),
        group_id=system_attributes.get("MessageGroupId", ""),
        receive_count=int(system_attributes.get("ApproximateReceiveCount", 0)),
        attributes=attributes,
    )
