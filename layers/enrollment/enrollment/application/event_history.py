"""Store the events of records, and search them (docs/decisions/0011-history.md)."""

import itertools
from collections.abc import Iterable, Mapping

from msgspec import Struct

from enrollment.application.ports import EventHistoryStore
from enrollment.domain.enrollment.decisions import rejection_reason
from enrollment.domain.events.event import Event, satisfying
from enrollment.domain.events.event_types import EventType
from enrollment.domain.events.sort_key import MAX_SORT_KEY, EventKey, event_sort_key, sort_key_at
from enrollment.domain.flows.flow import TriggerGroup
from enrollment.domain.flows.record_change import RECORD_CHANGED
from enrollment.domain.records.record import Record, changes_record, occurrences_of
from enrollment.domain.values import Instant

DAY_MS = 24 * 3600 * 1000

# The unprocessed-events queue keeps events for 14 days, and an event can be delivered again until then.
EVALUATION_KEPT_DAYS = 15

# One search reads at most this number of events, which bounds its cost.
MAX_EVENTS_SCANNED = 1_000

# Keys of one read of a partition of an event type: at most half a read unit.
MIN_PAGE_KEYS = 25

# Event IDs are unique in a portal. If a source uses one more often, these are enough to show it.
MAX_EVENTS_WITH_ONE_ID = 10


class EventQuery(Struct, frozen=True):
    """Selects events of a record. ``event_types``: their names; None: all. RECORD_CHANGED among them selects all
    events with a snapshot of the record. ``after`` and ``before``: when the event
    occurred; both are exclusive. ``position``: the sort key at which the previous page ended."""

    event_types: frozenset[str] | None = None
    event_id: str | None = None
    after: Instant | None = None
    before: Instant | None = None
    newest_first: bool = True
    position: str | None = None

    def matches(self, event: Event) -> bool:
        """Whether the event has one of the types and the ID. The times are part of the read."""
        return self._has_type(event) and self.event_id in (None, event.id)

    def _has_type(self, event: Event) -> bool:
        types = self.event_types
        if types is None or event.event_type.name in types:
            return True
        return RECORD_CHANGED in types and event.record_properties is not None


class Page(Struct, frozen=True):
    """A page of events. ``following``: the ``position`` of the next page; None: this is the last page. A page can have
    fewer events than requested, or none, although it is not the last: a search ends after MAX_EVENTS_SCANNED."""

    events: tuple[Event, ...]
    following: str | None = None


class OccurrenceSearch(Struct, frozen=True):
    """The result of ``EventHistory.occurred``. ``events``: newest first. ``since``: the earliest time that was
    searched. ``is_complete``: the search covers the requested time, or all of it since the record was created."""

    events: tuple[Event, ...]
    since: Instant
    is_complete: bool


class EventHistory(Struct, frozen=True):
    """The history of events. ``days``: how long an event is stored, counted from when it occurred; 0: events are not
    stored. ``is_found_by_id``: whether an event can be found by its ID alone."""

    events: EventHistoryStore
    days: int
    is_found_by_id: bool = True

    @property
    def is_on(self) -> bool:
        """Whether events are stored."""
        return self.days > 0

    def takes(self, event: Event, now: Instant) -> bool:
        """Whether the event is recent enough to be stored, if its record is known."""
        return self.is_on and event.latest >= now - self.days * DAY_MS

    def keep(self, event: Event, record: Record | None, now: Instant, *, is_awaited: bool = False) -> Instant:
        """Store an event if its record exists, if the event changes the record, or if the event waits for the record
        (``is_awaited``). The first stored copy of an event stays.

        Return when the event was first evaluated: ``now``, or an earlier time if another delivery of it was evaluated
        before. Without a history, that time is stored only for events whose decision can depend on it.
        """
        is_known = is_awaited or (record is not None and record.exists) or changes_record(event)
        evaluated = event.evaluated(now)
        if is_known and self.takes(event, now):
            if record is None or event.latest >= self.since(record, now):
                return self.events.keep(evaluated, evaluated.occurred_at + self.days * DAY_MS)
        elif is_known and (is_awaited or event.depends_on_evaluation(now)):
            return self.events.keep_evaluation(evaluated, now + EVALUATION_KEPT_DAYS * DAY_MS)
        return now

    def since(self, record: Record, now: Instant) -> Instant:
        """Return the earliest time of the record's history. Events from before its deletion do not belong to it."""
        kept_since = self.kept_since(now)
        return kept_since if record.deleted_at is None else max(kept_since, record.deleted_at + 1)

    def of(self, record: Record, now: Instant, query: EventQuery, limit: int) -> Page:
        """Return a page of at most ``limit`` events of a record that exists."""
        events: list[Event] = []
        position: str | None = None
        for scanned, event in enumerate(self._read(record, now, query)):
            if scanned == MAX_EVENTS_SCANNED or len(events) == limit:
                return Page(tuple(events), position)
            position = event_sort_key(event)
            if query.matches(event):
                events.append(event)
        return Page(tuple(events))

    def occurred(
        self, record: Record, now: Instant, group: TriggerGroup, event_types: Mapping[str, EventType], since: Instant
    ) -> OccurrenceSearch:
        """Return the events of the record, from ``since`` on, that satisfy a trigger group and are eligible by the rule
        of their own type. ``event_types``: the catalog by name."""
        searched_since = max(self.since(record, now), since)
        query = EventQuery(satisfying([group.event_type], event_types), after=since - 1)
        events: list[Event] = []
        for scanned, event in enumerate(self._read(record, now, query)):
            if scanned == MAX_EVENTS_SCANNED:
                searched_since = event.occurred_at + 1
                break
            if query.matches(event) and _satisfies(event, group, event_types, record):
                events.append(event)
        return OccurrenceSearch(tuple(events), searched_since, searched_since <= max(since, record.created_at))

    def with_id(self, portal_id: str, event_id: str, now: Instant) -> tuple[Event, ...]:
        """Return the events of a portal with an ID, newest first: one, or none, unless a source used the ID again. At
        most MAX_EVENTS_WITH_ONE_ID."""
        found = itertools.islice(self.events.with_id(portal_id, event_id), MAX_EVENTS_WITH_ONE_ID)
        # DynamoDB deletes an expired item up to some days later.
        stored = (event for event in found if self.takes(event, now))
        return tuple(sorted(stored, key=lambda event: event.occurred_at, reverse=True))

    def kept_since(self, now: Instant) -> Instant:
        """Return the earliest time from which events are stored."""
        return now - self.days * DAY_MS

    def latest(
        self,
        portal_id: str,
        event_types: frozenset[str],
        now: Instant,
        limit: int,
        after: str | None,
        since: Instant | None = None,
    ) -> Page:
        """Return a page of the events of all records of a portal, newest first, deleted records included. ``after``:
        the ``following`` of the previous page. ``since``: only events that occurred then or later.

        Events with the same time and ID (of several records) are on the same page, which can make it longer than
        ``limit``. If there are more than MAX_EVENTS_SCANNED of them, the rest is on no page.
        """
        kept_since = self.kept_since(now)
        first = sort_key_at(kept_since if since is None else max(since, kept_since)) if self.is_on else MAX_SORT_KEY
        last = MAX_SORT_KEY if after is None else after
        page_keys = max(MIN_PAGE_KEYS, limit // 8)
        keys: list[EventKey] = []
        following: str | None = None
        # Only the events of the page are read, and not the next ones.
        for key in self.events.keys_of_types(portal_id, event_types, first, last, page_keys):
            is_full = len(keys) >= limit and key.sort_key != keys[-1].sort_key
            if is_full or len(keys) == MAX_EVENTS_SCANNED:
                following = keys[-1].sort_key
                break
            keys.append(key)
        return Page(tuple(self.events.get_many(keys)) if keys else (), following)

    def _read(self, record: Record, now: Instant, query: EventQuery) -> Iterable[Event]:
        """Read the events in the time range of the query, of all types, page by page."""
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


def _satisfies(event: Event, group: TriggerGroup, event_types: Mapping[str, EventType], record: Record) -> bool:
    return any(
        occurrence.event_type.name == group.event_type
        and rejection_reason(occurrence, event, record) is None
        and group.failure(occurrence.properties) is None
        for occurrence in occurrences_of(event, event_types, record)
    )
