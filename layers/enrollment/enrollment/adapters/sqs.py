"""Send messages to the SQS queues: enrollments, redeliveries of events at a given time, and unprocessed events."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypeVar

from enrollment.adapters.backoff import attempts
from enrollment.application.ports import Throttled
from enrollment.domain.enrollment.enrollments import Enrollment
from enrollment.domain.events.associated_change import AssociatedChange
from enrollment.domain.events.event import Event, InvalidEvent
from enrollment.domain.json_text import byte_length
from enrollment.domain.values import Instant

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef

T = TypeVar("T")

# The limits of one SendMessageBatch call: entries, and the bytes of all entries together.
BATCH_ENTRIES = 10
BATCH_BYTES = 256 * 1024

# SQS's own limit.
MAX_DELAY_SECONDS = 900

# A valid message group ID: at most 128 ASCII letters, digits and punctuation characters.
_GROUP = re.compile(r"[!-~]{1,128}", re.ASCII)


class SqsQueue:
    """The port Queue (``application.ports``): the enrollments queue. ``write`` returns the text of a message."""

    def __init__(self, client: "SQSClient", url: str, write: Callable[[Enrollment], str]) -> None:
        self._client = client
        self._url = url
        self._write = write

    def publish(self, enrollments: Sequence[Enrollment]) -> Iterator[str]:
        """Yield the ID of each enrollment as soon as SQS has accepted its message. Rejected messages are sent again
        with backoff. Raises botocore's ClientError."""
        for batch in _batches([(enrollment, self._write(enrollment)) for enrollment in enrollments]):
            yield from self._send(batch)

    def _send(self, batch: Sequence[tuple[Enrollment, str]]) -> Iterator[str]:
        unsent = {str(number): message for number, message in enumerate(batch)}
        for attempt in attempts():
            response = self._client.send_message_batch(
                QueueUrl=self._url,
                Entries=[_entry(entry_id, enrollment, text) for entry_id, (enrollment, text) in unsent.items()],
            )
            for success in response.get("Successful", []):
                enrollment, _ = unsent.pop(success["Id"])
                yield enrollment.id
            if not unsent:
                break
            attempt.wait()


def _entry(entry_id: str, enrollment: Enrollment, message: str) -> "SendMessageBatchRequestEntryTypeDef":
    key = enrollment.record_key
    attributes = {
        "portalId": key.portal_id,
        "flowId": enrollment.flow_id,
        "objectTypeId": key.object_type_id,
        "eventType": enrollment.cause.event_type,
    }
    return {
        "Id": entry_id,
        "MessageBody": message,
        "MessageGroupId": group_id(str(key)),
        "MessageDeduplicationId": enrollment.deduplication_id,
        "MessageAttributes": {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()},
    }


def group_id(key: str) -> str:
    """Return the message group of a record: its key, or the key's SHA-256 if SQS does not accept its characters or
    length."""
    return key if _GROUP.fullmatch(key) else sha256(key.encode()).hexdigest()


def _batches(messages: Sequence[tuple[T, str]]) -> list[list[tuple[T, str]]]:
    batches: list[list[tuple[T, str]]] = []
    size = BATCH_BYTES
    for item, message in messages:
        # The attributes count too. They contain IDs only, which take less than 1 KiB.
        message_size = byte_length(message) + 1_024
        if size + message_size > BATCH_BYTES or len(batches[-1]) == BATCH_ENTRIES:
            batches.append([])
            size = 0
        batches[-1].append((item, message))
        size += message_size
    return batches


class SqsRedeliveryScheduler:
    """The port RedeliveryScheduler (``application.ports``). ``write`` returns the message for an event, the IDs of its
    flows, the time of the redelivery, and the name of a change. ``write_change`` returns the message for a change of an
    associated record."""

    def __init__(
        self,
        client: "SQSClient",
        url: str,
        write: Callable[[Event, Iterable[str], Instant, str], str],
        clock: Callable[[], Instant],
        write_change: Callable[[AssociatedChange], str],
    ) -> None:
        self._client = client
        self._url = url
        self._write = write
        self._write_change = write_change
        self._clock = clock

    def schedule(self, event: Event, flow_ids: Iterable[str], at: Instant, change: str = "") -> None:
        """Send the event with a delay. SQS delays a message by at most MAX_DELAY_SECONDS, so it can arrive before its
        time. The receiver then schedules it again. Raises botocore's ClientError."""
        seconds = -(-(at - self._clock()) // 1000)
        self._client.send_message(
            QueueUrl=self._url,
            MessageBody=self._write(event, flow_ids, at, change),
            DelaySeconds=min(max(seconds, 0), MAX_DELAY_SECONDS),
        )

    def send(self, changes: Sequence[AssociatedChange]) -> None:
        """Send the changes without a delay. Rejected messages are sent again with backoff. Raises Throttled if some are
        rejected in every attempt, and botocore's ClientError."""
        messages = [self._write_change(change) for change in changes]
        if len(messages) == 1:
            self._client.send_message(QueueUrl=self._url, MessageBody=messages[0])
            return
        for batch in _batches([(message, message) for message in messages]):
            self._send_batch([message for message, _ in batch])

    def _send_batch(self, messages: Sequence[str]) -> None:
        unsent = {str(number): message for number, message in enumerate(messages)}
        for attempt in attempts():
            response = self._client.send_message_batch(
                QueueUrl=self._url,
                Entries=[{"Id": entry_id, "MessageBody": message} for entry_id, message in unsent.items()],
            )
            for success in response.get("Successful", []):
                del unsent[success["Id"]]
            if not unsent:
                return
            attempt.wait()
        raise Throttled(f"SQS did not accept {len(unsent)} messages about associated records; retrying is safe")


class SqsUnprocessed:
    """The port UnprocessedEvents (``application.ports``). ``write`` returns the message for an envelope and the reason
    why it is invalid."""

    def __init__(self, client: "SQSClient", url: str, write: Callable[[object, InvalidEvent], str]) -> None:
        self._client = client
        self._url = url
        self._write = write

    def put(self, envelope: object, invalid: InvalidEvent) -> None:
        """Send the envelope to the unprocessed-events queue. Raises botocore's ClientError."""
        attributes: Mapping[str, Any] = {"reason": {"DataType": "String", "StringValue": invalid.reason}}
        self._client.send_message(
            QueueUrl=self._url, MessageBody=self._write(envelope, invalid), MessageAttributes=attributes
        )
