"""One pass through the unprocessed-events queue, which takes nothing from it but what is deleted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from enroll.dead_letters.message import UnprocessedEvent, read_unprocessed
from enrollment.domain.values import Instant

# Calls of SQS take this many messages.
BATCH = 10

# For which a message that was read is not shown to others: as long as they must wait should this process die.
HELD_SECONDS = 120
# SQS asks all of its servers when it may wait. Two answers of nothing: nothing is left.
WAIT_SECONDS = 1
EMPTY_ANSWERS = 2
MOST = 100_000

DELETE_ATTEMPTS = 3


class NotDeleted(Exception):
    """Messages are still in the queue. Their events may be on the bus: redriving them again is harmless."""


@dataclass(frozen=True)
class Message:
    id: str
    sent_at: Instant
    body: str
    unprocessed: UnprocessedEvent


class QueueScan:
    """Yields each message once. At its end what was not deleted is given back to the queue at once.

    Receives at most ``limit`` different messages, because each receive counts toward the dead-letter limit."""

    def __init__(self, client: Any, url: str, limit: int = MOST) -> None:
        self._client = client
        self._url = url
        self._limit = limit
        self._seen: set[str] = set()
        self._receipts: dict[str, str] = {}

    def __enter__(self) -> QueueScan:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        held = list(self._receipts.values())
        for start in range(0, len(held), BATCH):
            # One that can't be given back any more is back already, or will be soon.
            self._client.change_message_visibility_batch(
                QueueUrl=self._url,
                Entries=[
                    {"Id": str(number), "ReceiptHandle": one, "VisibilityTimeout": 0}
                    for number, one in enumerate(held[start : start + BATCH])
                ],
            )

    def __iter__(self) -> Iterator[Message]:
        empty, repeated = 0, 0
        # A pass that is slower than messages come back ends when it has met only known ones for a whole round.
        while empty < EMPTY_ANSWERS and repeated <= len(self._seen) + BATCH and len(self._seen) < self._limit:
            found = self._receive()
            empty = 0 if found else empty + 1
            self._receipts |= {one["MessageId"]: one["ReceiptHandle"] for one in found}
            for one in found:
                repeated = repeated + 1 if one["MessageId"] in self._seen else 0
                if repeated == 0:
                    self._seen.add(one["MessageId"])
                    yield _message(one)

    def _receive(self) -> list[dict[str, Any]]:
        answer = self._client.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=min(BATCH, self._limit - len(self._seen)),
            VisibilityTimeout=HELD_SECONDS,
            WaitTimeSeconds=WAIT_SECONDS,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["SentTimestamp"],
        )
        return list(answer.get("Messages", []))

    def delete(self, messages: Sequence[Message]) -> None:
        """Raises NotDeleted."""
        for start in range(0, len(messages), BATCH):
            waiting = [one.id for one in messages[start : start + BATCH]]
            for _ in range(DELETE_ATTEMPTS):
                answer = self._client.delete_message_batch(
                    QueueUrl=self._url,
                    Entries=[
                        {"Id": str(number), "ReceiptHandle": self._receipts[one]} for number, one in enumerate(waiting)
                    ],
                )
                failed = {int(one["Id"]) for one in answer.get("Failed", [])}
                for number, one in enumerate(waiting):
                    if number not in failed:
                        del self._receipts[one]
                waiting = [one for number, one in enumerate(waiting) if number in failed]
                if not waiting:
                    break
            else:
                raise NotDeleted(f"{len(waiting)} messages are still in the queue: SQS did not delete them")


def _message(found: dict[str, Any]) -> Message:
    attributes = {name: one.get("StringValue", "") for name, one in found.get("MessageAttributes", {}).items()}
    return Message(
        id=found["MessageId"],
        sent_at=int(found.get("Attributes", {}).get("SentTimestamp", 0)),
        body=found["Body"],
        unprocessed=read_unprocessed(found["Body"], attributes),
    )
