"""A store that reads first and then writes. The proofs of concurrency must detect that it is wrong.

It has its own module, so that the functions' processes do not import tests.
"""

from typing import Any

from msgspec.structs import replace

from enrollment.adapters import aws_clients as clients
from enrollment.adapters.dynamodb.enrollments import DynamoEnrollments
from enrollment.adapters.dynamodb.tables import Tables
from enrollment.config import from_environment
from enrollment.domain.enrollment.enrollments import Enrollment
from enrollment.domain.values import Instant
from enrollment.entrypoints.bootstrap import Application
from enrollment.serialization.messages import read_message, write_message


class LookingFirst(DynamoEnrollments):
    """Writes an item that was not found, even if it exists by then."""

    def claim(self, enrollment: Enrollment, due_at: Instant | None = None, chain: tuple[str, ...] = ()) -> bool:
        return self._table.put(
            {
                "pk": str(enrollment.record_key),
                "sk": enrollment.flow_id,
                "enrollmentId": enrollment.id,
                "eventId": enrollment.cause.event_id,
                "flowShard": "1",
                "enrolledAt": enrollment.position,
                "message": write_message(enrollment),
            }
        )

    def confirm(self, enrollment: Enrollment, **details: Any) -> None:
        """Do not confirm: of two processes that wrote the item, one would find it changed."""


def looking_first(application: Application) -> Application:
    enrollments = LookingFirst(
        Tables(clients.dynamodb(clients.open_session()), from_environment()), write_message, read_message
    )
    publisher = replace(application.processor.publisher, enrollments=enrollments)
    return replace(application, processor=replace(application.processor, enrollments=enrollments, publisher=publisher))
