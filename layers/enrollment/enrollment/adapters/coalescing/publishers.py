"""Publish the enrollments of simultaneous events with shared calls. An enrollment that a shared call did not publish is
published by a call of its own, so that a failure is reported for the event that it belongs to."""

from collections.abc import Iterator, Sequence

from enrollment.adapters.coalescing.call_coalescer import CallCoalescer
from enrollment.application.ports import Bus, Queue
from enrollment.domain.enrollment.enrollments import Announcement, Enrollment


class CoalescingQueue:
    """The port Queue for the events of one batch."""

    def __init__(self, queue: Queue, coalescer: CallCoalescer) -> None:
        self._queue = queue
        self._coalesce = coalescer.call

    def publish(self, enrollments: Sequence[Enrollment]) -> Iterator[str]:
        """Yield the ID of each enrollment whose message SQS accepts, as ``Queue.publish`` does."""
        published = frozenset(self._coalesce(self._queue.publish, enrollments)) if enrollments else frozenset[str]()
        yield from (enrollment.id for enrollment in enrollments if enrollment.id in published)
        if missing := [enrollment for enrollment in enrollments if enrollment.id not in published]:
            yield from self._queue.publish(missing)


class CoalescingBus:
    """The port Bus for the events of one batch."""

    def __init__(self, bus: Bus, coalescer: CallCoalescer) -> None:
        self._bus = bus
        self._coalesce = coalescer.call

    def announce(self, announcements: Sequence[Announcement]) -> Iterator[str]:
        """Yield the ID of each enrollment whose announcement the bus accepts, as ``Bus.announce`` does."""
        announced = frozenset(self._coalesce(self._bus.announce, announcements)) if announcements else frozenset[str]()
        missing: list[Announcement] = []
        for announcement in announcements:
            if announcement.enrollment.id in announced:
                yield announcement.enrollment.id
            else:
                missing.append(announcement)
        if missing:
            yield from self._bus.announce(missing)
