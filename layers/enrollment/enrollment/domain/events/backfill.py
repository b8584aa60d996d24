"""The evaluation of one record by a backfill, as an event (docs/enrollments.md, "Enroll existing records").

It is never on the bus and not in the catalog, so no producer can send it. As an event, its enrollment is claimed,
published and confirmed like the others, and a delayed enrollment can be delivered again.
"""

from enrollment.domain.events.event import Event
from enrollment.domain.events.event_types import ALL_OBJECTS, EventType
from enrollment.domain.events.manual import MAX_SOURCE
from enrollment.domain.events.own_types import BACKFILL_EVENT
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.values import Instant

BACKFILL = EventType(BACKFILL_EVENT, "Backfill", ALL_OBJECTS, ())


def backfill_event(record_key: RecordKey, run_id: str, *, caller: str, now: Instant) -> Event:
    """Return the event by which a backfill enrolls a record.

    ``caller``: who started the backfill, as an ARN or the subject of a token. ``now``: when the record is evaluated.
    """
    return Event(
        id=f"backfill:{run_id}",
        event_type=BACKFILL,
        portal_id=record_key.portal_id,
        object_type_id=record_key.object_type_id,
        object_id=record_key.object_id,
        occurred_at=now,
        sent_at=now,
        source=caller[:MAX_SOURCE],
        properties={},
        evaluated_at=now,
    )
