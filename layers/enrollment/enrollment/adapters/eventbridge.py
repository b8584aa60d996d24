"""Publish this system's own events on the EventBridge bus: announcements of enrollments, and changes of records."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from enrollment.adapters.backoff import attempts
from enrollment.domain.enrollment.enrollments import Announcement
from enrollment.domain.enrollment.loop_detection import ENROLLED
from enrollment.domain.events.event import OWN_SOURCE
from enrollment.domain.records.change_events import OutboundEvent

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

# EventBridge's limits for one PutEvents call. ENTRY_MARGIN exceeds the size of an entry without its detail.
BATCH_ENTRIES = 10
BATCH_BYTES = 256 * 1024
ENTRY_MARGIN = 1024

# The ID of an entry in this module, its type and its detail as JSON.
Entry = tuple[str, str, str]


class EventBridgeBus:
    """The ports Bus and EventPublisher (``application.ports``). Entries that EventBridge rejects are sent again with
    backoff. The methods return the IDs of the accepted ones, and raise botocore's ClientError.

    ``name``: the bus. ``write_announcement`` and ``write_outbound_event`` return the detail as JSON."""

    def __init__(
        self,
        client: "EventBridgeClient",
        name: str,
        write_announcement: Callable[[Announcement], str],
        write_outbound_event: Callable[[OutboundEvent], str],
    ) -> None:
        self._client = client
        self._name = name
        self._write_announcement = write_announcement
        self._write_outbound_event = write_outbound_event

    def announce(self, announcements: Sequence[Announcement]) -> Iterator[str]:
        """Yield the ID of each enrollment as soon as its announcement is accepted."""
        yield from self._put(
            [
                (announcement.enrollment.id, ENROLLED, self._write_announcement(announcement))
                for announcement in announcements
            ]
        )

    def publish(self, events: Sequence[OutboundEvent]) -> frozenset[str]:
        """Return the IDs of the events that were accepted."""
        entries = [(event.id, event.event_type, self._write_outbound_event(event)) for event in events]
        return frozenset(self._put(entries))

    def _put(self, entries: Sequence[Entry]) -> Iterator[str]:
        for batch in _batches(entries):
            yield from self._put_batch(batch)

    def _put_batch(self, entries: Sequence[Entry]) -> Iterator[str]:
        for attempt in attempts():
            response = self._client.put_events(
                Entries=[
                    {"EventBusName": self._name, "Source": OWN_SOURCE, "DetailType": event_type, "Detail": detail}
                    for _, event_type, detail in entries
                ]
            )
            rejected = []
            for entry, result in zip(entries, response["Entries"], strict=True):
                if result.get("EventId"):
                    yield entry[0]
                else:
                    rejected.append(entry)
            entries = rejected
            if not entries:
                break
            attempt.wait()


def _batches(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    batch: list[Entry] = []
    size = 0
    for entry in entries:
        entry_size = len(entry[2].encode()) + ENTRY_MARGIN
        if batch and (len(batch) == BATCH_ENTRIES or size + entry_size > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(entry)
        size += entry_size
    if batch:
        yield batch
