"""A batch of events: several at a time, those of one record one after the other, which would else stand in each
other's way (docs/decisions/0014-buffer.md)."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, wait
from threading import Event
from typing import TypeVar

from enrollment.domain.enrollments import Announcement, Enrollment
from enrollment.ports import Bus, Queue
from enrollment.together import Meeting

T = TypeVar("T")


def in_groups(
    groups: Iterable[Sequence[T]],
    work: Callable[[T], None],
    executor: Executor,
    meeting: Meeting,
    seconds: float | None = None,
) -> None:
    """Groups at the same time, each in order, until all is done; or until so many seconds are over: then no more is
    begun, and nobody waits for what is under way. ``work`` deals with its own failures."""
    is_over = Event()

    def one_by_one(group: Sequence[T]) -> None:
        try:
            for item in group:
                if is_over.is_set():
                    return
                work(item)
        finally:
            meeting.ends()

    done = wait([executor.submit(one_by_one, one) for one in groups], timeout=seconds).done
    is_over.set()
    for one in done:
        one.result()  # raises what work did not deal with


class QueueOfBatch:
    def __init__(self, queue: Queue, meeting: Meeting) -> None:
        self._queue = queue
        self._together = meeting.together

    def publish(self, enrollments: Sequence[Enrollment]) -> Iterator[str]:
        published = frozenset(self._together(self._queue.publish, enrollments)) if enrollments else frozenset[str]()
        yield from (one.id for one in enrollments if one.id in published)
        if missing := [one for one in enrollments if one.id not in published]:
            yield from self._queue.publish(missing)


class BusOfBatch:
    def __init__(self, bus: Bus, meeting: Meeting) -> None:
        self._bus = bus
        self._together = meeting.together

    def announce(self, announcements: Sequence[Announcement]) -> Iterator[str]:
        announced = frozenset(self._together(self._bus.announce, announcements)) if announcements else frozenset[str]()
        yield from (one.enrollment.id for one in announcements if one.enrollment.id in announced)
        if missing := [one for one in announcements if one.enrollment.id not in announced]:
            yield from self._bus.announce(missing)
