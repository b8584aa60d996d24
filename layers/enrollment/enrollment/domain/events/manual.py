"""A manual enrollment as an event: a caller asks for one record to enter one flow (docs/enrollments.md).

It is never on the bus and not in the catalog, so no producer can send it. As an event, it is claimed, published and
confirmed like the others, and a delayed enrollment can be delivered again.
"""

from collections.abc import Sequence

from enrollment.domain.events.event import Event
from enrollment.domain.events.event_types import ALL_OBJECTS, EventType
from enrollment.domain.events.own_types import MANUAL_EVENT
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.values import Instant

MANUAL = EventType(MANUAL_EVENT, "Manual enrollment", ALL_OBJECTS, ())

# The longest idempotency key of a caller: an event ID has at most 128 characters.
MAX_IDEMPOTENCY_KEY = 100
# The longest source of an event.
MAX_SOURCE = 256


def manual_event(
    record_key: RecordKey, idempotency_key: str, *, caller: str, chain: Sequence[str], now: Instant
) -> Event:
    """Return the event of a manual enrollment.

    ``idempotency_key``: of the request, at most MAX_IDEMPOTENCY_KEY characters. ``caller``: who asks, as an ARN or the
    subject of a token. ``chain``: the flows that led to the request.
    """
    return Event(
        id=f"manual:{idempotency_key}",
        event_type=MANUAL,
        portal_id=record_key.portal_id,
        object_type_id=record_key.object_type_id,
        object_id=record_key.object_id,
        occurred_at=now,
        sent_at=now,
        source=caller[:MAX_SOURCE],
        properties={},
        chain=tuple(chain),
        evaluated_at=now,
    )
