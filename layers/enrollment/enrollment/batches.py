"""A batch of events: several at a time, those of one record one after the other, which would else stand in each
other's way (docs/decisions/0014-buffer.md)."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, wait
from threading import Event
from typing import TypeVar

from enrollment.domain.enrollments import Announcement, Enrollment
from enrollment.ports import Bus, Queue
from enrollment.together import Together

T = TypeVar("T")


def in_groups(
    items: Iterable[T],
    group: Callable[[T], Hashable],
    work: Callable[[T], None],
    executor: Executor,
    seconds: float | None = None,
) -> None:
    """Groups at the same time, each in order, until all is done; or until so many seconds are over: then no more is
    begun, and nobody waits for what is under way. ``work`` deals with its own failures."""
    groups: dict[Hashable, list[T]] = {}
    for item in items:
        groups.setdefault(group(item), []).append(item)

    is_over = Event()

    def one_by_one(of_group: list[T]) -> None:
        for item in of_group:
            if is_over.is_set():
                return
            work(item)

    done = wait([executor.submit(one_by_one, one) for one in groups.values()], timeout=seconds).done
    is_over.set()
    for one in done:
        one.result()  # raises what work did not deal with


class QueueOfBatch:
    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._publish = Together[Enrollment, str](queue.publish)

    def publish(self, enrollments: Sequence[Enrollment]) -> Iterator[str]:
        published = frozenset(self._publish(enrollments)) if enrollments else frozenset()
        yield from (one.id for one in enrollments if one.id in published)
        if missing := [one for one in enrollments if one.id not in published]:
            yield from self._queue.publish(missing)


class BusOfBatch:
    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._announce = Together[Announcement, str](bus.announce)

    def announce(self, announcements: Sequence[Announcement]) -> Iterator[str]:
        announced = frozenset(self._announce(announcements)) if announcements else frozenset()
        yield from (one.enrollment.id for one in announcements if one.enrollment.id in announced)
        if missing := [one for one in announcements if one.enrollment.id not in announced]:
            yield from self._bus.announce(missing)
