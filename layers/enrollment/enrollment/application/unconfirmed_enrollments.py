"""Enrollments that no delivery of their event has confirmed (docs/decisions/0017-nothing-stays-unpublished.md).

A delivery that fails is repeated, and the last attempt ends in the unprocessed-events queue. If that event is
discarded, or if a delivery is lost, its enrollments would stay unpublished, and the record would count as enrolled in a
flow that it never enters. So a schedule finds them by key, some minutes after they were to be published.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from enrollment.application.enrollment_publisher import EnrollmentPublisher, NotDelivered
from enrollment.application.ports import Clock, UnconfirmedEnrollments
from enrollment.domain.enrollment.enrollments import StoredEnrollment

# Longer than an invocation takes, so that no enrollment is published while its own delivery is still running.
UNCONFIRMED_AFTER_MS = 5 * 60 * 1000

# Enrollments in one SendMessageBatch and one PutEvents.
TOGETHER = 10

InvocationResult = tuple[StoredEnrollment, Exception | None]
"""An enrollment, and why it is still not confirmed."""


class UnconfirmedPublisher(Struct, frozen=True):
    enrollments: UnconfirmedEnrollments
    publisher: EnrollmentPublisher
    clock: Clock

    def __call__(self) -> Iterator[InvocationResult]:
        """Publish, announce and confirm, batch by batch, as the results are consumed. Stopping at any point is safe:
        the next run finds what is left. An enrollment that fails does not delay the others."""
        found = self.enrollments.unconfirmed(self.clock() - UNCONFIRMED_AFTER_MS)
        for some in _batches(found):
            yield from self._finish(some)

    def _finish(self, some: Sequence[StoredEnrollment]) -> Iterable[InvocationResult]:
        try:
            self.publisher.finish(some)
        except NotDelivered as failure:
            return [(one, failure if one.enrollment.id in failure.enrollment_ids else None) for one in some]
        except Exception:
            # It is not known which of them failed, and which were published before the failure.
            return map(self._finish_alone, some)
        return [(one, None) for one in some]

    def _finish_alone(self, stored: StoredEnrollment) -> InvocationResult:
        try:
            enrollment = stored.enrollment
            found = self.enrollments.find(enrollment.record_key, enrollment.cause.event_id, [enrollment.flow_id])[
                enrollment.flow_id
            ].own
            self.publisher.finish([] if found is None else [found])
        except Exception as failure:
            return stored, failure
        return stored, None


def _batches(many: Iterable[StoredEnrollment]) -> Iterator[Sequence[StoredEnrollment]]:
    rest = iter(many)
    while some := list(itertools.islice(rest, TOGETHER)):
        yield some
