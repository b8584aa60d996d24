"""SQS: the enrollments queue, the events to be delivered again at a time, and those that could not be processed."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from enrollment.adapters.backoff import attempts
from enrollment.domain.enrollment.enrollments import Enrollment
from enrollment.domain.events.event import Event, InvalidEvent
from enrollment.domain.json_text import byte_length
from enrollment.domain.values import Instant

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef

# One SendMessageBatch: entries, and bytes of all together.
BATCH_ENTRIES = 10
BATCH_BYTES = 256 * 1024

# Seconds, SQS' own limit.
LONGEST_DELAY = 900

# What SQS allows in a message group id: at most 128 letters, digits and punctuation of ASCII.
_GROUP = re.compile(r"[!-~]{1,128}", re.ASCII)


class SqsQueue:
    def __init__(self, client: "SQSClient", url: str, write: Callable[[Enrollment], str]) -> None:
        self._client = client
        self._url = url
        self._write = write

    def publish(self, enrollments: Sequence[Enrollment]) -> Iterator[str]:
        for batch in _batches([(one, self._write(one)) for one in enrollments]):
            yield from self._send(batch)

    def _send(self, batch: Sequence[tuple[Enrollment, str]]) -> Iterator[str]:
        waiting = {str(number): one for number, one in enumerate(batch)}
        for attempt in attempts():
            answer = self._client.send_message_batch(
                QueueUrl=self._url, Entries=[_entry(number, *one) for number, one in waiting.items()]
            )
            for success in answer.get("Successful", []):
                yield waiting.pop(success["Id"])[0].id
            if not waiting:
                break
            attempt.wait()


def _entry(number: str, enrollment: Enrollment, message: str) -> "SendMessageBatchRequestEntryTypeDef":
    key = enrollment.record_key
    attributes = {
        "portalId": key.portal_id,
        "flowId": enrollment.flow_id,
        "objectTypeId": key.object_type_id,
        "eventType": enrollment.cause.event_type,
    }
    return {
        "Id": number,
        "MessageBody": message,
        "MessageGroupId": group_id(str(key)),
        "MessageDeduplicationId": enrollment.deduplication_id,
        "MessageAttributes": {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()},
    }


def group_id(key: str) -> str:
    """The record's key; its SHA-256 where SQS does not allow its characters or its length."""
    return key if _GROUP.fullmatch(key) else sha256(key.encode()).hexdigest()


def _batches(messages: Sequence[tuple[Enrollment, str]]) -> list[list[tuple[Enrollment, str]]]:
    batches: list[list[tuple[Enrollment, str]]] = []
    size = BATCH_BYTES
    for enrollment, message in messages:
        # Attributes count too; ids are short.
        own = byte_length(message) + 1_024
        if size + own > BATCH_BYTES or len(batches[-1]) == BATCH_ENTRIES:
            batches.append([])
            size = 0
        batches[-1].append((enrollment, message))
        size += own
    return batches


class SqsRedeliveryScheduler:
    """``write``: the message of an event that is to be delivered again for some flows at a time."""

    def __init__(
        self,
        client: "SQSClient",
        url: str,
        write: Callable[[Event, Iterable[str], Instant], str],
        clock: Callable[[], Instant],
    ) -> None:
        self._client = client
        self._url = url
        self._write = write
        self._clock = clock

    def schedule(self, event: Event, flow_ids: Iterable[str], at: Instant) -> None:
        """SQS delays a message for a quarter of an hour at most: one that comes before its time is sent again."""
        seconds = -(-(at - self._clock()) // 1000)
        self._client.send_message(
            QueueUrl=self._url,
            MessageBody=self._write(event, flow_ids, at),
            DelaySeconds=min(max(seconds, 0), LONGEST_DELAY),
        )


class SqsUnprocessed:
    """``write``: the message of an event and why it is invalid."""

    def __init__(self, client: "SQSClient", url: str, write: Callable[[object, InvalidEvent], str]) -> None:
        self._client = client
        self._url = url
        self._write = write

    def put(self, envelope: object, invalid: InvalidEvent) -> None:
        attributes: Mapping[str, Any] = {"reason": {"DataType": "String", "StringValue": invalid.reason}}
        self._client.send_message(
            QueueUrl=self._url, MessageBody=self._write(envelope, invalid), MessageAttributes=attributes
        )
