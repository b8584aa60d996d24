"""A batch of events: several at a time, those of one record one after the other, which would else stand in each
other's way (docs/decisions/0014-buffer.md)."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, wait
from typing import TypeVar

from enrollment.deadline import Deadline
from enrollment.domain.enrollments import Announcement, Enrollment
from enrollment.ports import Bus, Queue
from enrollment.together import Meeting

T = TypeVar("T")


def in_groups(
    groups: Iterable[Sequence[T]],
    work: Callable[[T], None],
    executor: Executor,
    meeting: Meeting | None = None,
    seconds: float | None = None,
) -> None:
    """Groups at the same time, each in order, until all is done; or until so many seconds are over: then no more is
    begun, what is under way makes no further call to AWS, and the caller does not wait for it. ``work`` handles
    its own failures."""
    deadline = Deadline()

    def one_by_one(group: Sequence[T]) -> None:
        try:
            with deadline.applies():
                for item in group:
                    if deadline.is_reached:
                        return
                    work(item)
        finally:
            if meeting is not None:
                meeting.ends()

    done = wait([executor.submit(one_by_one, one) for one in groups], timeout=seconds).done
    deadline.is_reached = True
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
