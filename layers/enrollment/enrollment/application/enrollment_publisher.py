"""Publish stored enrollments: send each to the queue, announce it on the bus, and confirm both in the store.

docs/decisions/0002-claim-publish-confirm.md explains why this happens at least once for every enrollment.
"""

from collections.abc import Sequence

from msgspec import Struct

from enrollment.application.ports import Bus, Clock, Enrollments, Queue, RedeliveryScheduler
from enrollment.domain.enrollment.enrollments import Announcement, StoredEnrollment
from enrollment.domain.events.event import Event
from enrollment.domain.values import Instant


class NotDelivered(Exception):
    """Enrollments are stored, but the queue or the bus did not accept them, so the event must be delivered again.
    ``enrollment_ids``: the enrollments that were not accepted."""

    def __init__(self, message: str, enrollment_ids: Sequence[str]) -> None:
        super().__init__(message)
        self.enrollment_ids = enrollment_ids


class EnrollmentPublisher(Struct, frozen=True):
    """Publishes enrollments that are stored and not confirmed."""

    enrollments: Enrollments
    queue: Queue
    bus: Bus
    redeliveries: RedeliveryScheduler
    clock: Clock

    def publish(self, event: Event, unconfirmed: Sequence[StoredEnrollment]) -> None:
        """Publish the enrollments by an event that are due. For those that a rate limit delays, schedule another
        delivery of the event. Raises NotDelivered, and the errors of AWS."""
        if not unconfirmed:
            return
        now = self.clock()
        due = [stored for stored in unconfirmed if stored.due_at is None or stored.due_at <= now]
        delayed: dict[tuple[Instant, str], list[str]] = {}
        for stored in unconfirmed:
            if stored.due_at is not None and stored.due_at > now:
                change = stored.enrollment.cause.name
                delayed.setdefault((stored.due_at, change), []).append(stored.enrollment.flow_id)
        # Scheduled first, so that an error of the queue or of the bus cannot prevent it.
        for (due_at, change), flow_ids in delayed.items():
            self.redeliveries.schedule(event, flow_ids, due_at, change)
        if due:
            self._publish(due, event.chain)

    def publish_unconfirmed(self, unconfirmed: Sequence[StoredEnrollment]) -> None:
        """Publish the enrollments that are due, without their events. Confirmed ones are skipped. Raises NotDelivered,
        and the errors of AWS."""
        now = self.clock()
        due = [stored for stored in unconfirmed if stored.publish_at <= now and not stored.is_confirmed]
        if due:
            self._publish(due)

    def _publish(self, due: Sequence[StoredEnrollment], chain: tuple[str, ...] = ()) -> None:
        """Send to the queue, then to the bus, then confirm what they accepted. The queue is first, so that a consumer
        receives a flow's enrollment before those of the flows that the announcement triggers. ``chain``: of the event,
        for enrollments without a stored one."""
        published = {stored.enrollment.id for stored in due if stored.is_published}
        announced = {stored.enrollment.id for stored in due if stored.is_announced}
        try:
            # IDs are added as they are yielded, so that accepted enrollments are confirmed even if a later call fails.
            for accepted_id in self.queue.publish([stored.enrollment for stored in due if not stored.is_published]):
                published.add(accepted_id)
            announcements = [
                # Another event of the same change can have another chain.
                Announcement(stored.enrollment, (*(stored.chain or chain), stored.enrollment.flow_id))
                for stored in due
                if stored.enrollment.id in published and not stored.is_announced
            ]
            for accepted_id in self.bus.announce(announcements):
                announced.add(accepted_id)
        finally:
            self._confirm(due, published, announced)
        missing = [stored.enrollment.id for stored in due if stored.enrollment.id not in published & announced]
        if missing:
            events = ", ".join(dict.fromkeys(stored.enrollment.cause.event_id for stored in due))
            raise NotDelivered(
                f"event {events}: the queue or the bus did not accept {len(missing)} of {len(due)} enrollments "
                f"({', '.join(missing)}); retrying is safe",
                missing,
            )

    def _confirm(self, due: Sequence[StoredEnrollment], published: set[str], announced: set[str]) -> None:
        now = self.clock()
        for stored in due:
            enrollment = stored.enrollment
            if enrollment.id in published or enrollment.id in announced:
                self.enrollments.confirm(
                    enrollment,
                    is_published=enrollment.id in published,
                    is_announced=enrollment.id in announced,
                    now=now,
                )
