"""The events that happened to a record (docs/decisions/0011-history.md): kept for a time, and looked up."""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from enrollment.application.ports import EventHistoryStore
from enrollment.domain.enrollment.decisions import objection
from enrollment.domain.events.event import Event, satisfying
from enrollment.domain.events.event_types import EventType
from enrollment.domain.events.sort_key import MAX_SORT_KEY, event_sort_key, sort_key_at
from enrollment.domain.flows.flow import TriggerGroup
from enrollment.domain.records.record import Record, changes_record, occurrences_of
from enrollment.domain.values import Instant

DAY = 24 * 3600 * 1000

# As long as an event can be delivered again: the unprocessed-events queue keeps events for 14 days.
EVALUATION_KEPT_DAYS = 15

# Events that one question looks at.
LOOKED_AT = 1_000


class EventQuery(Struct, frozen=True):
    """``event_types`` None: all. ``after`` and ``before``: when it occurred, without these moments. ``position``: of
    the last event of the page before."""

    event_types: frozenset[str] | None = None
    event_id: str | None = None
    after: Instant | None = None
    before: Instant | None = None
    newest_first: bool = True
    position: str | None = None

    def asks_for(self, event: Event) -> bool:
        return (self.event_types is None or event.event_type.name in self.event_types) and (
            self.event_id in (None, event.id)
        )


class Page(Struct, frozen=True):
    """``following``: where the next page begins; None: there is no more. A page may be short of what was asked for,
    and yet not be the last: so many events were looked at."""

    events: tuple[Event, ...]
    following: str | None = None


class OccurrenceSearch(Struct, frozen=True):
    """``events``: newest first, those since ``since``. ``is_complete``: there was nothing to be asked before that."""

    events: tuple[Event, ...]
    since: Instant
    is_complete: bool


class EventHistory(Struct, frozen=True):
    """``days``: how long events are kept, from when they occurred; 0: none is."""

    events: EventHistoryStore
    days: int

    @property
    def is_on(self) -> bool:
        return self.days > 0

    def takes(self, event: Event, now: Instant) -> bool:
        """Whether the event is kept if its record is known."""
        return self.is_on and event.latest >= now - self.days * DAY

    def keep(self, event: Event, record: Record | None, now: Instant, *, is_awaited: bool = False) -> Instant:
        """Keep the event of a record that exists, that the event changes, or that the event waits for
        (``is_awaited``). The first copy of an event is kept.

        Return when the event was first evaluated: ``now``, or an earlier time if another delivery of it was evaluated
        before. Without a history, that time is stored only for events whose decision can depend on it.
        """
        is_known = is_awaited or (record is not None and record.exists) or changes_record(event)
        evaluated = event.evaluated(now)
        if is_known and self.takes(event, now):
            if record is None or event.latest >= self.since(record, now):
                return self.events.keep(evaluated, evaluated.occurred_at + self.days * DAY)
        elif is_known and (is_awaited or event.depends_on_evaluation(now)):
            return self.events.keep_evaluation(evaluated, now + EVALUATION_KEPT_DAYS * DAY)
        return now

    def since(self, record: Record, now: Instant) -> Instant:
        """From when on events of the record are kept. What was before its deletion is not its own any more."""
        kept_since = now - self.days * DAY
        return kept_since if record.deleted_at is None else max(kept_since, record.deleted_at + 1)

    def of(self, record: Record, now: Instant, query: EventQuery, limit: int) -> Page:
        """At most ``limit`` events of a record that is not deleted."""
        found: list[Event] = []
        last: str | None = None
        for number, event in enumerate(self._all(record, now, query)):
            if number == LOOKED_AT or len(found) == limit:
                return Page(tuple(found), last)
            last = event_sort_key(event)
            if query.asks_for(event):
                found.append(event)
        return Page(tuple(found))

    def occurred(
        self, record: Record, now: Instant, group: TriggerGroup, event_types: Mapping[str, EventType], since: Instant
    ) -> OccurrenceSearch:
        """Whether what the trigger group asks for has happened to the record; the event's own rule counts."""
        looked_since = max(self.since(record, now), since)
        query = EventQuery(satisfying([group.event_type], event_types), after=since - 1)
        found: list[Event] = []
        for number, event in enumerate(self._all(record, now, query)):
            if number == LOOKED_AT:
                looked_since = event.occurred_at + 1
                break
            if query.asks_for(event) and any(
                one.event_type.name == group.event_type
                and objection(one, event, record) is None
                and group.failure(one.properties) is None
                for one in occurrences_of(event, event_types, record)
            ):
                found.append(event)
        return OccurrenceSearch(tuple(found), looked_since, looked_since <= max(since, record.created_at))

    def latest(self, portal_id: str, event_types: frozenset[str], now: Instant, limit: int, after: str | None) -> Page:
        """Of all records of a portal, newest first; those that were deleted included. Events of one moment and one id
        are on one page; what there is of them beyond LOOKED_AT is on none."""
        first = sort_key_at(now - self.days * DAY) if self.is_on else MAX_SORT_KEY
        found: list[Event] = []
        for event in self.events.of_types(portal_id, event_types, first, MAX_SORT_KEY if after is None else after):
            is_full = len(found) >= limit and event_sort_key(event) != event_sort_key(found[-1])
            if is_full or len(found) == LOOKED_AT:
                return Page(tuple(found), event_sort_key(found[-1]))
            found.append(event)
        return Page(tuple(found))

    def _all(self, record: Record, now: Instant, query: EventQuery) -> Iterable[Event]:
        since = self.since(record, now)
        first = (
            sort_key_at(since if query.after is None else max(since, query.after + 1)) if self.is_on else MAX_SORT_KEY
        )
        last = MAX_SORT_KEY if query.before is None else sort_key_at(query.before)
        if query.position is not None and query.newest_first:
            last = min(last, query.position)
        elif query.position is not None:
            first = max(first, query.position)
        return self.events.of_record(record.key, first, last, newest_first=query.newest_first)
