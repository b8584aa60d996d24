"""Publish the enrollments that no delivery of their event has confirmed
(docs/decisions/0017-nothing-stays-unpublished.md).

A delivery that fails is repeated, and after the last attempt its event is in the unprocessed-events queue. If that
event is discarded, or if a delivery is lost, its enrollments would stay unpublished. The record would count as enrolled
in a flow that it never enters. So a schedule finds such enrollments by an index, some minutes after they were due.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from enrollment.application.enrollment_publisher import EnrollmentPublisher, NotDelivered
from enrollment.application.ports import NO_CHANGES, Clock, UnconfirmedEnrollments
from enrollment.domain.enrollment.enrollments import StoredEnrollment

# Longer than an invocation takes, so that no enrollment is published while its own delivery is still running.
UNCONFIRMED_AFTER_MS = 5 * 60 * 1000

# The maximum of one SendMessageBatch and of one PutEvents.
BATCH_SIZE = 10

PublicationResult = tuple[StoredEnrollment, Exception | None]
"""An enrollment, and the error that prevented its confirmation. None: it is confirmed."""


class UnconfirmedPublisher(Struct, frozen=True):
    """Publishes the unconfirmed enrollments of all portals."""

    enrollments: UnconfirmedEnrollments
    publisher: EnrollmentPublisher
    clock: Clock

    def publish_all(self) -> Iterator[PublicationResult]:
        """Publish and confirm the enrollments that were due more than UNCONFIRMED_AFTER_MS ago.

        The batches are processed as the results are consumed. It is safe to stop at any point, because the next run
        finds the rest. An enrollment that fails does not delay the others. Errors of a publication are returned; errors
        of the search are raised.
        """
        unconfirmed = self.enrollments.unconfirmed(self.clock() - UNCONFIRMED_AFTER_MS)
        for batch in _batches(unconfirmed):
            yield from self._publish_batch(batch)

    def _publish_batch(self, batch: Sequence[StoredEnrollment]) -> Iterable[PublicationResult]:
        try:
            self.publisher.publish_unconfirmed(batch)
        except NotDelivered as error:
            return [(stored, error if stored.enrollment.id in error.enrollment_ids else None) for stored in batch]
        except Exception:
            # The error does not tell which enrollments failed and which were published before. So each is read again
            # and published alone.
            return map(self._publish_alone, batch)
        return [(stored, None) for stored in batch]

    def _publish_alone(self, stored: StoredEnrollment) -> PublicationResult:
        try:
            enrollment = stored.enrollment
            key, cause, flow_id = enrollment.record_key, enrollment.cause, enrollment.flow_id
            changes = {flow_id: cause.name} if cause.name else NO_CHANGES
            current = self.enrollments.find(key, cause.event_key, [flow_id], changes)[flow_id].for_event
            self.publisher.publish_unconfirmed([] if current is None else [current])
        except Exception as error:
            return stored, error
        return stored, None


def _batches(unconfirmed: Iterable[StoredEnrollment]) -> Iterator[Sequence[StoredEnrollment]]:
    remaining = iter(unconfirmed)
    while batch := list(itertools.islice(remaining, BATCH_SIZE)):
        yield batch
