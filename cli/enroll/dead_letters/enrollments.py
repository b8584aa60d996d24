"""Read and redrive the dead-letter queue of the enrollments queue, which is a FIFO queue.

SQS's own redrive (StartMessageMoveTask) supports FIFO queues, but it moves all messages, and the local run has no such
task. Therefore each message is sent to the enrollments queue and then deleted:

- The message is sent before it is deleted. If the command ends in between, the message is in both queues: it is
  delivered twice, with the same enrollment ID, and never lost.
- Its deduplication ID is its message ID in the dead-letter queue. SQS drops a message if it accepted the deduplication
  ID within 5 minutes. With the deduplication ID of the first delivery, the deletion could therefore lose the message. A
  message ID belongs to one message, so SQS drops at most a repetition of a message that it has accepted.
- A call sends at most one message of a record. If SQS refuses it, later messages of the record stay, in their order.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from enroll.dead_letters.queue import BATCH_MESSAGES, QueueMessage, QueueScan

# SQS accepts this many bytes in one call. The margin covers the attributes of a message, which are IDs.
CALL_BYTES = 256 * 1024
ATTRIBUTE_BYTES = 2 * 1024

NOT_AN_ENROLLMENT = "not an enrollment"


@dataclass(frozen=True)
class DeadEnrollment:
    """A message that consumers did not delete. ``content`` is its parsed JSON, or its text if it is not JSON."""

    message: QueueMessage
    content: Any

    @property
    def enrollment_id(self) -> str | None:
        return self._text("enrollmentId")

    @property
    def portal_id(self) -> str | None:
        return self._text("portalId")

    @property
    def flow_id(self) -> str | None:
        return self._text("flowId")

    @property
    def flow_name(self) -> str | None:
        return self._text("flowName")

    @property
    def record(self) -> str | None:
        """The record as <object type ID>/<object ID>."""
        object_type_id, object_id = self._text("objectTypeId"), self._text("objectId")
        return None if object_type_id is None or object_id is None else f"{object_type_id}/{object_id}"

    @property
    def cause(self) -> str:
        """The flow's name and the triggering event."""
        trigger = self._fields.get("trigger")
        if self.enrollment_id is None or not isinstance(trigger, dict):
            return NOT_AN_ENROLLMENT
        return f"{self._text('flowName') or '?'} by {trigger.get('eventType', '?')} {trigger.get('eventId', '?')}"

    @property
    def identity(self) -> str:
        """What all copies of the message have in common."""
        return self.enrollment_id or self.message.body

    @property
    def _fields(self) -> Mapping[str, Any]:
        return self.content if isinstance(self.content, dict) else {}

    def _text(self, key: str) -> str | None:
        value = self._fields.get(key)
        return value if isinstance(value, str) else None


def read_dead_enrollment(message: QueueMessage) -> DeadEnrollment:
    """Read a message. Accepts any text."""
    try:
        content = json.loads(message.body)
    except (ValueError, RecursionError):
        content = message.body
    return DeadEnrollment(message, content)


@dataclass(frozen=True)
class EnrollmentFilter:
    """The options that choose messages. None accepts every value."""

    enrollment: str | None = None
    portal: str | None = None
    flow: str | None = None

    def matches(self, enrollment: DeadEnrollment) -> bool:
        return (
            self.enrollment in (None, enrollment.enrollment_id)
            and self.portal in (None, enrollment.portal_id)
            and self.flow in (None, enrollment.flow_id)
        )


@dataclass
class EnrollmentSelection:
    """The messages of a scan that match a filter, as many as each receive returns. Counts the others as skipped.

    ``flows`` and ``portals``: what all messages have, by ID, with the flow's name.
    """

    messages: QueueScan
    filter: EnrollmentFilter
    limit: int | None
    selected: int = 0
    skipped: int = 0
    flows: dict[str, str] = field(default_factory=dict)
    portals: dict[str, str] = field(default_factory=dict)

    def batches(self) -> Iterator[list[DeadEnrollment]]:
        for batch in self.messages.batches():
            enrollments = [read_dead_enrollment(message) for message in batch]
            for enrollment in enrollments:
                self._note(enrollment)
            matches = [enrollment for enrollment in enrollments if self.filter.matches(enrollment)]
            self.skipped += len(enrollments) - len(matches)
            matches = matches[: None if self.limit is None else self.limit - self.selected]
            self.selected += len(matches)
            if matches:
                yield matches
            if self.selected == self.limit:
                return

    def _note(self, enrollment: DeadEnrollment) -> None:
        if enrollment.flow_id is not None:
            name = enrollment.flow_name
            self.flows.setdefault(enrollment.flow_id, f"{enrollment.flow_id} ({name})" if name else enrollment.flow_id)
        if enrollment.portal_id is not None:
            self.portals.setdefault(enrollment.portal_id, enrollment.portal_id)


@dataclass
class EnrollmentRedrive:
    """Moves messages to the enrollments queue at ``rate`` messages per second.

    ``redriven`` counts messages by flow. ``refused`` are messages that SQS did not accept, with its reason. ``kept``
    are messages behind a refused message of their record, and messages that came back during the run.
    """

    client: Any
    url: str
    messages: QueueScan
    rate: int
    redriven: Counter[str] = field(default_factory=Counter)
    refused: list[tuple[DeadEnrollment, str]] = field(default_factory=list)
    kept: list[tuple[DeadEnrollment, str]] = field(default_factory=list)
    _identities: set[str] = field(default_factory=set)
    _blocked_groups: set[str] = field(default_factory=set)

    def run(self, selection: EnrollmentSelection, advance: Callable[[], None]) -> None:
        """Redrive the selected messages. Raises NotDeleted, and botocore's ClientError."""
        for batch in selection.batches():
            for call in calls(batch, min(BATCH_MESSAGES, self.rate)):
                started = time.monotonic()
                self._move([enrollment for enrollment in call if self._is_movable(enrollment)])
                advance()
                time.sleep(max(0.0, len(call) / self.rate - (time.monotonic() - started)))

    def _is_movable(self, enrollment: DeadEnrollment) -> bool:
        if enrollment.message.group_id in self._blocked_groups:
            self.kept.append((enrollment, "an earlier message of its record is left"))
        elif enrollment.identity in self._identities:
            # A consumer failed again, or the queue has it twice. Redriving it again could go on without end.
            self.kept.append((enrollment, "came back during the run"))
            self._blocked_groups.add(enrollment.message.group_id)
        else:
            self._identities.add(enrollment.identity)
            return True
        return False

    def _move(self, enrollments: Sequence[DeadEnrollment]) -> None:
        if not enrollments:
            return
        response = self.client.send_message_batch(
            QueueUrl=self.url,
            Entries=[_entry(str(number), enrollment.message) for number, enrollment in enumerate(enrollments)],
        )
        accepted_numbers = {int(success["Id"]) for success in response.get("Successful", [])}
        reasons = {
            int(failure["Id"]): f"{failure.get('Code', 'no code')} {failure.get('Message', '')}".strip()
            for failure in response.get("Failed", [])
        }
        for number, enrollment in enumerate(enrollments):
            if number not in accepted_numbers:
                self.refused.append((enrollment, reasons.get(number, "SQS did not accept it")))
                self._blocked_groups.add(enrollment.message.group_id)
        accepted = [enrollments[number] for number in sorted(accepted_numbers)]
        self.messages.delete([enrollment.message for enrollment in accepted])
        self.redriven.update(enrollment.flow_id or "?" for enrollment in accepted)


def calls(enrollments: Iterable[DeadEnrollment], max_messages: int) -> Iterator[list[DeadEnrollment]]:
    """Split messages into calls that SQS accepts, each with at most one message of a record."""
    call: list[DeadEnrollment] = []
    call_bytes = 0
    for enrollment in enrollments:
        message_bytes = len(enrollment.message.body.encode("utf-8", "surrogatepass")) + ATTRIBUTE_BYTES
        is_full = len(call) == max_messages or call_bytes + message_bytes > CALL_BYTES
        if call and (is_full or any(enrollment.message.group_id == other.message.group_id for other in call)):
            yield call
            call, call_bytes = [], 0
        call.append(enrollment)
        call_bytes += message_bytes
    if call:
        yield call


def _entry(entry_id: str, message: QueueMessage) -> dict[str, Any]:
    return {
        "Id": entry_id,
        "MessageBody": message.body,
        "MessageGroupId": message.group_id,
        "MessageDeduplicationId": message.id,
        **({"MessageAttributes": message.attributes} if message.attributes else {}),
    }


def message_count(client: Any, url: str) -> int:
    """Return the approximate number of messages of a queue, visible or not."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    attributes = client.get_queue_attributes(QueueUrl=url, AttributeNames=names).get("Attributes", {})
    return sum(int(attributes.get(name, 0)) for name in names)
