"""Read the unprocessed-events queue without taking anything out of it.

SQS hides a received message from other readers for a while. The queue has no dead-letter queue, so a message can be
received any number of times. After a scan, every message that it received is visible again.
"""

import random
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from enrollment.domain.events.unprocessed_event import UnprocessedEvent, UnprocessedMessage

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

# SQS accepts this many messages in one call.
BATCH_MESSAGES = 10

# How long a message stays hidden if the function dies during a scan. It is longer than the time-out of the API's
# function, so that a scan receives no message twice.
VISIBILITY_TIMEOUT_SECONDS = 30

# With a wait time, SQS queries all of its servers. An empty response then means that no visible message is left.
WAIT_SECONDS = 1

# The limits of one scan. A message has up to 1 MB, and the function 512 MB of memory and 29 seconds.
MAX_MESSAGES = 1_000
MAX_SECONDS = 10.0

# How long a scan waits for messages that another reader holds. Another scan needs a second or two.
MAX_WAIT_FOR_READERS_SECONDS = 3.0

# Two scans at the same time each hold a part of the messages. A scan that finds no more makes its messages visible and
# pauses for a random time up to this, so that the other scan can receive them and end.
MAX_PAUSE_SECONDS = 0.5


class SqsUnprocessedReader:
    """The port UnprocessedEventQueue (``application.ports``). ``read`` returns the event of a message, given its body
    and its attributes by name. ``clock``: seconds, from any start. ``sleep`` takes seconds."""

    def __init__(
        self,
        client: "SQSClient",
        url: str,
        read: Callable[[str, Mapping[str, str]], UnprocessedEvent],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._client = client
        self._url = url
        self._read = read
        self._clock = clock
        self._sleep = sleep

    def visit_all(self, visit: Callable[[UnprocessedMessage], bool]) -> bool:
        """Return whether all messages were visited. False also if MAX_MESSAGES or MAX_SECONDS ended the scan. Raises
        botocore's ClientError."""
        held: dict[str, str] = {}
        try:
            return self._visit(visit, held)
        finally:
            self._release(held)

    def is_empty(self) -> bool:
        """Return whether SQS counts no message. The count is approximate for up to a minute after a change."""
        return sum(self._counts()) == 0

    def _visit(self, visit: Callable[[UnprocessedMessage], bool], held: dict[str, str]) -> bool:
        """Visit each message once. ``held`` has the receipts of the messages that this scan hides, by their IDs."""
        ends_at = self._clock() + MAX_SECONDS
        visited: set[str] = set()
        waits_until: float | None = None
        while len(visited) < MAX_MESSAGES and self._clock() < ends_at:
            batch = self._receive()
            new_messages = [raw for raw in batch if raw["MessageId"] not in visited]
            visited |= {raw["MessageId"] for raw in new_messages}
            held |= {raw["MessageId"]: raw["ReceiptHandle"] for raw in batch}
            if not all(visit(self._message(raw)) for raw in new_messages):
                return False
            if new_messages:
                waits_until = None
            if batch:
                continue
            visible, hidden = self._counts()
            if hidden <= len(held) or visible + hidden <= len(visited):
                return True
            if waits_until is None:
                waits_until = self._clock() + MAX_WAIT_FOR_READERS_SECONDS
            elif self._clock() >= waits_until:
                return False
            self._release(held)
            self._sleep(random.uniform(0, MAX_PAUSE_SECONDS))  # noqa: S311 - it is not used for security
        return False

    def _receive(self) -> "list[MessageTypeDef]":
        response = self._client.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=BATCH_MESSAGES,
            VisibilityTimeout=VISIBILITY_TIMEOUT_SECONDS,
            WaitTimeSeconds=WAIT_SECONDS,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["SentTimestamp"],
        )
        return response.get("Messages", [])

    def _message(self, raw_message: "MessageTypeDef") -> UnprocessedMessage:
        attributes = {
            name: value.get("StringValue", "") for name, value in raw_message.get("MessageAttributes", {}).items()
        }
        sent_at = int(raw_message.get("Attributes", {}).get("SentTimestamp", "0"))
        return UnprocessedMessage(raw_message["MessageId"], sent_at, self._read(raw_message["Body"], attributes))

    def _counts(self) -> tuple[int, int]:
        """Return the approximate number of messages that are visible, and of those that readers hold."""
        attributes = self._client.get_queue_attributes(
            QueueUrl=self._url,
            AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
        ).get("Attributes", {})
        return (
            int(attributes.get("ApproximateNumberOfMessages", "0")),
            int(attributes.get("ApproximateNumberOfMessagesNotVisible", "0")),
        )

    def _release(self, held: dict[str, str]) -> None:
        """Make the messages visible, and forget their receipts."""
        receipts = list(held.values())
        held.clear()
        for start in range(0, len(receipts), BATCH_MESSAGES):
            # Failures are ignored: such a message is visible again already, or will be after its timeout.
            with suppress(ClientError, BotoCoreError):
                self._client.change_message_visibility_batch(
                    QueueUrl=self._url,
                    Entries=[
                        {"Id": str(number), "ReceiptHandle": receipt, "VisibilityTimeout": 0}
                        for number, receipt in enumerate(receipts[start : start + BATCH_MESSAGES])
                    ],
                )
