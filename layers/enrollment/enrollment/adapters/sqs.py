"""Send messages to the SQS queues: enrollments, redeliveries of events at a given time, and unprocessed events."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import ClientError

from enrollment.adapters.backoff import attempts
from enrollment.application.ports import DueItems, Throttled
from enrollment.domain.enrollment.enrollments import Enrollment
from enrollment.domain.events.associated_change import AssociatedChange
from enrollment.domain.events.event import Event, InvalidEvent
from enrollment.domain.json_text import byte_length
from enrollment.domain.timers.due_item import LOOK_AHEAD_MS, DueItem, DueKind, due_item
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
        by_entry = {str(number): enrollment for number, (enrollment, _) in enumerate(batch)}
        entries = {entry_id: _entry(entry_id, *message) for entry_id, message in zip(by_entry, batch, strict=True)}
        for entry_id in _send_entries(self._client, self._url, entries):
            yield by_entry[entry_id].id


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
    """The port RedeliveryScheduler (``application.ports``). Work that is due within LOOK_AHEAD_MS is sent at once, with
    a delay. Later work becomes a due item, which a sweep sends.

    ``write`` returns the message for an event, the IDs of its flows, the time of the redelivery, and the name of a
    change. ``write_change`` returns the message for a change of an associated record."""

    def __init__(
        self,
        client: "SQSClient",
        url: str,
        write: Callable[[Event, Iterable[str], Instant, str], str],
        clock: Callable[[], Instant],
        write_change: Callable[[AssociatedChange], str],
        due_items: DueItems,
    ) -> None:
        self._client = client
        self._url = url
        self._write = write
        self._write_change = write_change
        self._clock = clock
        self._due_items = due_items

    def schedule(self, event: Event, flow_ids: Iterable[str], at: Instant, change: str = "") -> None:
        """Send the event with a delay, or store it until a sweep sends it. Raises botocore's ClientError."""
        flows = sorted(flow_ids)
        message, now = self._write(event, flows, at, change), self._clock()
        if at - now > LOOK_AHEAD_MS:
            # A manual enrollment can have the ID of another event of its record.
            subject = (str(event.record_key), event.event_type.name, event.id, change, *flows)
            self._due_items.save(due_item(DueKind.EVENT, at, message, *subject))
            return
        self._client.send_message(QueueUrl=self._url, MessageBody=message, DelaySeconds=_delay_seconds(at, now))

    def send(self, changes: Sequence[AssociatedChange]) -> None:
        """Send the changes without a delay. Rejected messages are sent again with backoff. Raises Throttled if some are
        rejected in every attempt, and botocore's ClientError."""
        messages = [self._write_change(change) for change in changes]
        if len(messages) == 1:
            self._client.send_message(QueueUrl=self._url, MessageBody=messages[0])
            return
        for batch in _batches([(message, message) for message in messages]):
            self._send_batch([message for message, _ in batch])

    def send_by_timer(self, change: AssociatedChange) -> None:
        """Store the change as a due item, which the next sweep sends. Raises botocore's ClientError."""
        event, now = change.event, self._clock()
        subject = (str(event.record_key), event.id, change.object_type_id, change.after, str(change.is_replay))
        flows = () if change.flow_ids is None else sorted(change.flow_ids)
        self._due_items.save(due_item(DueKind.ASSOCIATED, now, self._write_change(change), *subject, *flows))

    def _send_batch(self, messages: Sequence[str]) -> None:
        entries = {str(number): _message(str(number), message) for number, message in enumerate(messages)}
        accepted = sum(1 for _ in _send_entries(self._client, self._url, entries))
        if accepted < len(messages):
            raise Throttled(
                f"SQS did not accept {len(messages) - accepted} messages about associated records; retrying is safe"
            )


class SqsWorkQueue:
    """The port WorkQueue (``application.ports``): the redeliveries queue."""

    def __init__(self, client: "SQSClient", url: str, clock: Callable[[], Instant]) -> None:
        self._client = client
        self._url = url
        self._clock = clock

    def send(self, items: Sequence[DueItem]) -> Iterator[DueItem]:
        """Yield each item as soon as SQS has accepted its message. Rejected messages are sent again with backoff.

        A call that SQS refuses does not prevent the other calls, because a message can be the cause. Raises the first
        ClientError after the last call."""
        refusal: ClientError | None = None
        for batch in _batches([(item, item.message) for item in items]):
            try:
                yield from self._send(batch)
            except ClientError as error:
                refusal = refusal or error
        if refusal is not None:
            raise refusal

    def _send(self, batch: Sequence[tuple[DueItem, str]]) -> Iterator[DueItem]:
        now = self._clock()
        by_id = {str(number): item for number, (item, _) in enumerate(batch)}
        entries = {
            entry_id: _message(entry_id, item.message, _delay_seconds(item.due_at, now))
            for entry_id, item in by_id.items()
        }
        for entry_id in _send_entries(self._client, self._url, entries):
            yield by_id[entry_id]


def _delay_seconds(at: Instant, now: Instant) -> int:
    """Return the whole seconds until a time, rounded up, as far as SQS delays a message."""
    return min(max(-(-(at - now) // 1000), 0), MAX_DELAY_SECONDS)


def _message(entry_id: str, body: str, delay_seconds: int = 0) -> "SendMessageBatchRequestEntryTypeDef":
    return {"Id": entry_id, "MessageBody": body, "DelaySeconds": delay_seconds}


def _send_entries(
    client: "SQSClient", url: str, entries: "Mapping[str, SendMessageBatchRequestEntryTypeDef]"
) -> Iterator[str]:
    """Yield the ID of each entry that SQS accepts. Rejected entries are sent again with backoff."""
    unsent = dict(entries)
    for attempt in attempts():
        response = client.send_message_batch(QueueUrl=url, Entries=list(unsent.values()))
        for success in response.get("Successful", []):
            del unsent[success["Id"]]
            yield success["Id"]
        if not unsent:
            return
        attempt.wait()


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
