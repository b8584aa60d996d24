"""Show which records a draft flow would have enrolled, by the stored events."""

from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from enrollment.application.event_history import EventHistory
from enrollment.application.event_processor import EventProcessor
from enrollment.application.simulation import Drafts, Simulation, no_enrollments
from enrollment.domain.enrollment.decisions import Decision
from enrollment.domain.enrollment.processing_scope import Delivery, ProcessingScope
from enrollment.domain.events.event import Event, satisfying
from enrollment.domain.flows.flow import Flow
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.record import Record
from enrollment.domain.values import Instant


class Preview(Struct, frozen=True):
    """``decisions``: the events with the decision on each, newest first. ``following``: as in
    ``event_history.Page``."""

    decisions: Sequence[tuple[Event, Decision]]
    following: str | None


def preview(
    processor: EventProcessor, history: EventHistory, flow: Flow, now: Instant, limit: int, after: str | None
) -> Preview:
    """Simulate a flow on a page of the latest events of its types. The flow counts as turned on before them, and no
    record as enrolled before the first of them.

    ``limit``: the number of events on the page. ``after``: the ``following`` of the previous page. Raises the errors of
    ``EventProcessor.process``.
    """
    page = history.latest(flow.portal_id, satisfying(flow.event_types, processor.event_types), now, limit, after)
    events = [event for event in page.events if event.object_type_id == flow.object_type_id]
    keys = dict.fromkeys(event.record_key for event in events if event.record_key is not None)
    records = processor.records.get_many(list(keys))
    current = [event for event in events if _is_of_current_record(event, records)]
    # Each event is decided by the changes that had arrived then. Otherwise the first would enroll for the later ones.
    evaluator = replace(processor.evaluator, sees_later_arrivals=False)
    drafted = replace(processor, flows=Drafts([flow]), evaluator=evaluator)
    simulation = Simulation(drafted, records.values(), sees=no_enrollments)
    # Oldest first: a flow that enrolls a record once does so by the first event.
    decided = [
        (event, decision)
        for event in reversed(current)
        for decision in simulation.decide(event, ProcessingScope(delivery=Delivery.REPLAY))
    ]
    return Preview(decided[::-1], page.following)


def _is_of_current_record(event: Event, records: Mapping[RecordKey, Record]) -> bool:
    """Whether the record of the event exists, and is not an earlier record with the same ID that was deleted."""
    record = None if event.record_key is None else records.get(event.record_key)
    if record is None or not record.exists:
        return False
    return record.deleted_at is None or event.occurred_at > record.deleted_at
