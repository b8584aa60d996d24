"""EventBridge: `workflows.enrolled`, back onto the bus."""

from collections.abc import Callable, Sequence
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

    def announce(self, announcements: Sequence[Announcement]) -> frozenset[str]:
        accepted: set[str] = set()
        for start in range(0, len(announcements), BATCH_ENTRIES):
            accepted |= self._put(announcements[start : start + BATCH_ENTRIES])
        return frozenset(accepted)

    def _put(self, waiting: Sequence[Announcement]) -> set[str]:
        accepted: set[str] = set()
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
            results = list(zip(waiting, answer["Entries"], strict=True))
            accepted |= {one.enrollment.id for one, entry in results if entry.get("EventId")}
            waiting = [one for one, entry in results if not entry.get("EventId")]
            if not waiting:
                break
            attempt.wait()
        return accepted
