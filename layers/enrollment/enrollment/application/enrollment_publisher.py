"""From the store to the world: an enrollment's message, its announcement, and the note of both."""

from collections.abc import Sequence

from msgspec import Struct

from enrollment.application.ports import Bus, Clock, Enrollments, Queue, RedeliveryScheduler
from enrollment.domain.enrollment.enrollments import Announcement, StoredEnrollment
from enrollment.domain.events.event import Event
from enrollment.domain.values import Instant


class NotDelivered(Exception):
    """Enrollments are written, but the queue or the bus did not take them: the event must be delivered again.
    ``enrollment_ids``: of those that were not taken."""

    def __init__(self, message: str, enrollment_ids: Sequence[str]) -> None:
        super().__init__(message)
        self.enrollment_ids = enrollment_ids


class EnrollmentPublisher(Struct, frozen=True):
    enrollments: Enrollments
    queue: Queue
    bus: Bus
    redeliveries: RedeliveryScheduler
    clock: Clock

    def __call__(self, event: Event, undelivered: Sequence[StoredEnrollment]) -> None:
        """Publishes what is due, and has the event delivered again for what a flow's limit delays. Raises when a call
        to AWS failed for good, or NotDelivered."""
        if not undelivered:
            return
        now = self.clock()
        ready = [one for one in undelivered if one.due_at is None or one.due_at <= now]
        delayed: dict[Instant, list[str]] = {}
        for one in undelivered:
            if one.due_at is not None and one.due_at > now:
                delayed.setdefault(one.due_at, []).append(one.enrollment.flow_id)
        # First, so that nothing that is published now leaves the others without a date.
        for due_at, flow_ids in delayed.items():
            self.redeliveries.schedule(event, flow_ids, due_at)
        if ready:
            self._publish(ready, event.chain)

    def finish(self, unconfirmed: Sequence[StoredEnrollment]) -> None:
        """Publishes what is due and was not confirmed, without its events. Raises as ``__call__``."""
        now = self.clock()
        ready = [one for one in unconfirmed if one.publish_at <= now and not one.is_confirmed]
        if ready:
            self._publish(ready)

    def _publish(self, ready: Sequence[StoredEnrollment], chain: tuple[str, ...] | None = None) -> None:
        """Queue, then bus, then the note of what they took. The queue comes first so that a consumer gets a flow's
        enrollment before those of the flows that it triggers."""
        published = {one.enrollment.id for one in ready if one.is_published}
        announced = {one.enrollment.id for one in ready if one.is_announced}
        try:
            # Added one by one, so that what was taken is noted even when a later call fails.
            for taken in self.queue.publish([one.enrollment for one in ready if not one.is_published]):
                published.add(taken)
            for taken in self.bus.announce(
                [
                    Announcement(one.enrollment, (*(one.chain if chain is None else chain), one.enrollment.flow_id))
                    for one in ready
                    if one.enrollment.id in published and not one.is_announced
                ]
            ):
                announced.add(taken)
        finally:
            now = self.clock()
            for one in ready:
                enrollment = one.enrollment
                if enrollment.id in published or enrollment.id in announced:
                    self.enrollments.confirm(
                        enrollment,
                        is_published=enrollment.id in published,
                        is_announced=enrollment.id in announced,
                        now=now,
                    )
        missing = [one.enrollment.id for one in ready if one.enrollment.id not in published & announced]
        if missing:
            events = ", ".join(dict.fromkeys(one.enrollment.cause.event_id for one in ready))
            raise NotDelivered(f"event {events}: not taken by the queue or the bus: {', '.join(missing)}", missing)
