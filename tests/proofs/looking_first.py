"""A store that looks first and then writes: the proofs of concurrency must find it wanting.

A module by itself, so that the functions' processes load no tests.
"""

from dataclasses import replace
from typing import Any

from enrollment.adapters.enrollments import DynamoEnrollments
from enrollment.adapters.tables import Tables
from enrollment.bootstrap import Application
from enrollment.config import from_environment
from enrollment.domain.enrollments import Enrollment
from enrollment.domain.values import Instant
from enrollment.wire.messages import read_message, write_message


class LookingFirst(DynamoEnrollments):
    """What was looked for and not found is written, whatever is there by now."""

    def claim(self, enrollment: Enrollment, due_at: Instant | None = None) -> bool:
        self._items(
            str(enrollment.record_key),
            enrollment.flow_id,
            enrollment_id=enrollment.id,
            event_id=enrollment.cause.event_id,
            flow_shard="1",
            enrolled_at=enrollment.position,
            message=write_message(enrollment),
        ).save()
        return True

    def confirm(self, enrollment: Enrollment, **what: Any) -> None:
        """Of two that wrote the item, one would find it changed."""


def looking_first(application: Application) -> Application:
    enrollments = LookingFirst(Tables(from_environment()), write_message, read_message)
    delivery = replace(application.process.delivery, enrollments=enrollments)
    return replace(application, process=replace(application.process, enrollments=enrollments, delivery=delivery))
