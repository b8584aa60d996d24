"""EventBridge: what this system itself puts on the bus."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from enrollment.adapters.backoff import attempts
from enrollment.domain.enrollment.enrollments import Announcement
from enrollment.domain.enrollment.loop_detection import ENROLLED
from enrollment.domain.events.event import OWN_SOURCE
from enrollment.domain.records.change_events import OutboundEvent

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

# Entries and bytes in one PutEvents, EventBridge's limits; what an entry has beside its detail is below the margin.
BATCH_ENTRIES = 10
BATCH_BYTES = 256 * 1024
ENTRY_MARGIN = 1024

# An entry's id here, its type and its detail.
Entry = tuple[str, str, str]


class EventBridgeBus:
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
        yield from self._put([(one.enrollment.id, ENROLLED, self._write_announcement(one)) for one in announcements])

    def publish(self, events: Sequence[OutboundEvent]) -> frozenset[str]:
        entries = [(one.id, one.event_type, self._write_outbound_event(one)) for one in events]
        return frozenset(self._put(entries))

    def _put(self, entries: Sequence[Entry]) -> Iterator[str]:
        for batch in _batches(entries):
            yield from self._put_batch(batch)

    def _put_batch(self, waiting: Sequence[Entry]) -> Iterator[str]:
        for attempt in attempts():
            answer = self._client.put_events(
                Entries=[
                    {"EventBusName": self._name, "Source": OWN_SOURCE, "DetailType": kind, "Detail": detail}
                    for _, kind, detail in waiting
                ]
            )
            refused = []
            for one, entry in zip(waiting, answer["Entries"], strict=True):
                if entry.get("EventId"):
                    yield one[0]
                else:
                    refused.append(one)
            waiting = refused
            if not waiting:
                break
            attempt.wait()


def _batches(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    batch: list[Entry] = []
    size = 0
    for one in entries:
        bytes_of_it = len(one[2].encode()) + ENTRY_MARGIN
        if batch and (len(batch) == BATCH_ENTRIES or size + bytes_of_it > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(one)
        size += bytes_of_it
    if batch:
        yield batch
