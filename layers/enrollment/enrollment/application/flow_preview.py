"""Show which records a draft flow would have enrolled, by the stored events, and what it changes for the saved flow."""

from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from enrollment.application.event_history import EventHistory, Page
from enrollment.application.event_processor import EventProcessor
from enrollment.application.simulation import Drafts, NoEnrollments, Simulation
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


class Impact(Struct, frozen=True):
    """``outcomes``: the events with the decision of the draft and that of the saved revision, newest first. None: the
    event does not trigger that version. ``following``: as in ``event_history.Page``."""

    outcomes: Sequence[tuple[Event, Decision | None, Decision | None]]
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
    events, records = _of_current_records(processor, page, {flow.object_type_id})
    decisions = _decide(processor, flow, events, records)
    return Preview(
        [(event, decisions[index]) for index, event in enumerate(events) if index in decisions], page.following
    )


def impact(
    processor: EventProcessor,
    history: EventHistory,
    draft: Flow,
    saved: Flow | None,
    now: Instant,
    since: Instant,
    limit: int,
    after: str | None,
) -> Impact:
    """Simulate a draft and the saved revision of the flow on a page of the latest events of their types, like
    ``preview``. ``saved`` None: the flow is new. ``since``: only events that occurred then or later."""
    flows = [draft] if saved is None else [draft, saved]
    event_types = satisfying(frozenset().union(*(flow.event_types for flow in flows)), processor.event_types)
    page = history.latest(draft.portal_id, event_types, now, limit, after, since)
    events, records = _of_current_records(processor, page, {flow.object_type_id for flow in flows})
    by_draft = _decide(processor, draft, events, records)
    by_saved = {} if saved is None else _decide(processor, saved, events, records)
    outcomes = [
        (event, by_draft.get(index), by_saved.get(index))
        for index, event in enumerate(events)
        if index in by_draft or index in by_saved
    ]
    return Impact(outcomes, page.following)


def _of_current_records(
    processor: EventProcessor, page: Page, object_types: set[str]
) -> tuple[Sequence[Event], Mapping[RecordKey, Record]]:
    """Return the events of records of these types that exist, newest first, and the records."""
    events = [event for event in page.events if event.object_type_id in object_types]
    keys = dict.fromkeys(event.record_key for event in events if event.record_key is not None)
    records = processor.records.get_many(list(keys))
    return [event for event in events if _is_of_current_record(event, records)], records


def _decide(
    processor: EventProcessor, flow: Flow, events: Sequence[Event], records: Mapping[RecordKey, Record]
) -> Mapping[int, Decision]:
    """Return the decisions of a flow by the position of the event. Without an entry: the event does not trigger it."""
    # Each event is decided by the changes that had arrived then. Otherwise the first would enroll for the later ones.
    evaluator = replace(processor.evaluator, sees_later_arrivals=False)
    drafted = replace(processor, flows=Drafts([flow]), enrollments=NoEnrollments(), evaluator=evaluator)
    simulation = Simulation(drafted, records.values())
    # Oldest first: a flow that enrolls a record once does so by the first event.
    return {
        index: decision
        for index, event in reversed(list(enumerate(events)))
        for decision in simulation.decide(event, ProcessingScope(delivery=Delivery.REPLAY))
    }


def _is_of_current_record(event: Event, records: Mapping[RecordKey, Record]) -> bool:
    """Whether the record of the event exists, and is not an earlier record with the same ID that was deleted."""
    record = None if event.record_key is None else records.get(event.record_key)
    if record is None or not record.exists:
        return False
    return record.deleted_at is None or event.occurred_at > record.deleted_at
