"""Whom a draft would have enrolled, by the events that have happened."""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from enrollment.application.event_history import EventHistory
from enrollment.application.event_processor import EventProcessor
from enrollment.application.simulation import Drafts, Simulation, no_enrollments
from enrollment.domain.enrollment.decisions import Decision
from enrollment.domain.enrollment.processing_scope import Delivery, ProcessingScope
from enrollment.domain.events.event import Event, satisfying
from enrollment.domain.flows.flow import Flow
from enrollment.domain.records.record import Record
from enrollment.domain.values import Instant


class Preview(Struct, frozen=True):
    """``decisions``: newest first. ``following``: as a Page's."""

    decisions: Sequence[tuple[Event, Decision]]
    following: str | None


def preview(
    processor: EventProcessor, history: EventHistory, flow: Flow, now: Instant, limit: int, after: str | None
) -> Preview:
    """By the latest events of the flow's types, before a place; as though the flow had been on, and nobody enrolled
    before the first of them."""
    page = history.latest(flow.portal_id, satisfying(flow.event_types, processor.event_types), now, limit, after)
    events = [one for one in page.events if one.object_type_id == flow.object_type_id]
    records = processor.records.get_many(list({one.record_key: None for one in events if one.record_key is not None}))
    mine = [one for one in events if one.record_key is not None and _is_of(one, records.get(one.record_key))]
    simulation = Simulation(replace(processor, flows=Drafts([flow])), records.values(), sees=no_enrollments)
    # In the order of time, so that of a record that enters once it is the first event that enrolls.
    decided = [
        (one, decision)
        for one in reversed(mine)
        for decision in simulation.decide(one, ProcessingScope(delivery=Delivery.REPLAY))
    ]
    return Preview(decided[::-1], page.following)


def _is_of(event: Event, record: Record | None) -> bool:
    """And not of one of the same id that was deleted."""
    if record is None or not record.exists:
        return False
    return record.deleted_at is None or event.occurred_at > record.deleted_at
