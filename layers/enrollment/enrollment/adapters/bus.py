"""EventBridge: `workflows.enrolled`, back onto the bus."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from enrollment.adapters.backoff import attempts
from enrollment.domain.enrollments import Announcement

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

SOURCE = "enroll"
DETAIL_TYPE = "workflows.enrolled"

# Entries in one PutEvents, EventBridge's limit. Announcements are small, so that no ten of them reach its 256 KB.
BATCH_ENTRIES = 10


class EventBridgeBus:
    def __init__(self, client: "EventBridgeClient", name: str, write: Callable[[Announcement], str]) -> None:
        self._client = client
        self._name = name
        self._write = write

    def announce(self, announcements: Sequence[Announcement]) -> Iterator[str]:
        for start in range(0, len(announcements), BATCH_ENTRIES):
            yield from self._put(announcements[start : start + BATCH_ENTRIES])

    def _put(self, waiting: Sequence[Announcement]) -> Iterator[str]:
        for attempt in attempts():
            answer = self._client.put_events(
                Entries=[
                    {
                        "EventBusName": self._name,
                        "Source": SOURCE,
                        "DetailType": DETAIL_TYPE,
                        "Detail": self._write(one),
                    }
                    for one in waiting
                ]
            )
            refused = []
            for one, entry in zip(waiting, answer["Entries"], strict=True):
                if entry.get("EventId"):
                    yield one.enrollment.id
                else:
                    refused.append(one)
            waiting = refused
            if not waiting:
                break
            attempt.wait()
