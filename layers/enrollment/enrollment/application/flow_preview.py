"""Show which records a draft would have enrolled by the stored events, and what it changes for a saved revision."""

from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from enrollment.application.event_history import EventHistory, EventQuery, Page
from enrollment.application.event_processor import EventProcessor
from enrollment.application.simulation import Drafts, NoEnrollments, Simulation
from enrollment.domain.enrollment.decisions import Decision
from enrollment.domain.enrollment.explanations import Explanation
from enrollment.domain.enrollment.processing_scope import Delivery, ProcessingScope
from enrollment.domain.events.event import Event, satisfying
from enrollment.domain.events.own_types import ASSOCIATED_RECORD_EVENT
from enrollment.domain.flows.flow import Flow
from enrollment.domain.flows.record_change import RECORD_CHANGED
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.record import Record
from enrollment.domain.values import Instant


class PreviewQuery(Struct, frozen=True):
    """Selects the events of a page. ``limit``: their number. ``after``: the ``following`` of the previous page.
    ``since``: only events that occurred then or later. ``record``: only its events; None: those of all records.
    ``explains``: each decision of the draft has the result of every filter."""

    limit: int
    after: str | None = None
    since: Instant = 0
    record: Record | None = None
    explains: bool = False


class PreviewOutcome(Struct, frozen=True):
    """What was decided on an event. ``decision``: of the draft; ``compared``: of the saved revision; None: the event
    does not trigger that version. ``explanation`` None: it was not requested, or there is no decision."""

    event: Event
    decision: Decision | None
    compared: Decision | None = None
    explanation: Explanation | None = None


class Preview(Struct, frozen=True):
    """``outcomes``: newest first. ``events_read``: the number of events of the page, also of those that are left out.
    ``since``: the earliest time of the events. ``following``: as in ``event_history.Page``."""

    outcomes: Sequence[PreviewOutcome]
    events_read: int
    since: Instant
    following: str | None

    @property
    def decisions(self) -> Sequence[tuple[Event, Decision]]:
        """The events that trigger the draft, each with the decision."""
        return [(each.event, each.decision) for each in self.outcomes if each.decision is not None]


def preview(
    processor: EventProcessor,
    history: EventHistory,
    draft: Flow,
    now: Instant,
    query: PreviewQuery,
    compared: Flow | None = None,
) -> Preview:
    """Simulate a draft, and a saved revision of the flow, on a page of the latest events of their types. Both count as
    turned on before these events, and no record as enrolled before the first of them. ``compared`` None: only the draft
    is simulated. Raises the errors of ``EventProcessor.process``."""
    flows = [draft] if compared is None else [draft, compared]
    page = _read_page(processor, history, flows, now, query)
    shared = _reading_once(processor)
    events, records = _of_current_records(shared, page, {flow.object_type_id for flow in flows})
    by_draft = _explain(shared, draft, events, records) if query.explains else {}
    decisions = (
        {index: explanation.decision for index, explanation in by_draft.items()}
        if query.explains
        else _decide(shared, draft, events, records)
    )
    by_compared = {} if compared is None else _decide(shared, compared, events, records)
    outcomes = [
        PreviewOutcome(event, decisions.get(index), by_compared.get(index), by_draft.get(index))
        for index, event in enumerate(events)
        if index in decisions or index in by_compared
    ]
    since = history.kept_since(now) if query.record is None else history.since(query.record, now)
    return Preview(outcomes, len(page.events), max(query.since, since), page.following)


def _read_page(
    processor: EventProcessor, history: EventHistory, flows: Sequence[Flow], now: Instant, query: PreviewQuery
) -> Page:
    """Return a page of the latest events that can trigger one of the flows."""
    triggers = frozenset().union(*(flow.event_types for flow in flows))
    event_types = satisfying(triggers, processor.event_types)
    if query.record is None:
        return history.latest(flows[0].portal_id, event_types, now, query.limit, query.after, query.since)
    # The history of a record has its changes by snapshots, and those of associated records.
    event_types |= triggers & {ASSOCIATED_RECORD_EVENT, RECORD_CHANGED}
    selected = EventQuery(event_types=event_types, after=query.since - 1, position=query.after)
    return history.of(query.record, now, selected, query.limit)


def _reading_once(processor: EventProcessor) -> EventProcessor:
    """Return a processor for the decisions of several flows on past events. It reads each associated record and each
    list of associations once, and no enrollments."""
    # Each event is decided by the changes that had arrived then. Otherwise the first would enroll for the later ones.
    evaluator = replace(processor.evaluator.shared(), sees_later_arrivals=False)
    return replace(processor, records=evaluator.records, enrollments=NoEnrollments(), evaluator=evaluator)


def _of_current_records(
    processor: EventProcessor, page: Page, object_types: set[str]
) -> tuple[Sequence[Event], Mapping[RecordKey, Record]]:
    """Return the events of records of these types that exist, newest first, and the records."""
    events = [event for event in page.events if event.object_type_id in object_types]
    keys = dict.fromkeys(event.record_key for event in events if event.record_key is not None)
    records = processor.records.get_many(list(keys)) if keys else {}
    return [_evaluated(event) for event in events if _is_of_current_record(event, records)], records


def _evaluated(event: Event) -> Event:
    """Return the event with the time of its first evaluation, which events that an earlier version stored lack: they
    were decided soon after they were sent."""
    return event if event.evaluated_at is not None else event.evaluated(event.sent_at)


# The events of a preview are decided as those of a replay.
_SCOPE = ProcessingScope(delivery=Delivery.REPLAY)


def _decide(
    processor: EventProcessor, flow: Flow, events: Sequence[Event], records: Mapping[RecordKey, Record]
) -> Mapping[int, Decision]:
    """Return the decisions of a flow by the position of the event. Without an entry: the event does not trigger it."""
    simulation = Simulation(replace(processor, flows=Drafts([flow])), records.values())
    # Oldest first: a flow that enrolls a record once does so by the first event.
    return {
        index: decision
        for index, event in reversed(list(enumerate(events)))
        for decision in simulation.decide(event, _SCOPE)
    }


def _explain(
    processor: EventProcessor, flow: Flow, events: Sequence[Event], records: Mapping[RecordKey, Record]
) -> Mapping[int, Explanation]:
    """Return what ``_decide`` returns, with the result of every filter."""
    simulation = Simulation(replace(processor, flows=Drafts([flow])), records.values())
    return {
        index: explanation
        for index, event in reversed(list(enumerate(events)))
        for explanation in simulation.explain(event, _SCOPE)
    }


def _is_of_current_record(event: Event, records: Mapping[RecordKey, Record]) -> bool:
    """Whether the record of the event exists, and is not an earlier record with the same ID that was deleted."""
    record = None if event.record_key is None else records.get(event.record_key)
    if record is None or not record.exists:
        return False
    return record.deleted_at is None or event.occurred_at > record.deleted_at
