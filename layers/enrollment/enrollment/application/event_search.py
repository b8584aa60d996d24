"""Search the history for events of all records of a portal: the newest of some types, and those with an ID.

The searches first read keys of the index by event type, at half a read unit for 25 events, and then only the events
that they return.
"""

import itertools
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence

from msgspec import Struct

from enrollment.application.event_history import MAX_EVENTS_WITH_ONE_ID, EventHistory
from enrollment.domain.events.event import Event, own_occurrence
from enrollment.domain.events.event_types import Property, PropertyType
from enrollment.domain.events.sort_key import MAX_SORT_KEY, EventKey, sort_key_at
from enrollment.domain.values import SEPARATOR, Instant, as_text

# Keys of one read of a partition: at most half a read unit.
PAGE_KEYS = 25

# One request for recent events counts at most this number of events, which bounds its cost.
MAX_EVENTS_COUNTED = 1_000

# One request that searches a day for an ID reads at most this number of keys: about 200 read units.
MAX_KEYS_SEARCHED = 10_000
SEARCH_PAGE_KEYS = 100

# Newest events of a type whose values are suggested, for one read unit each.
MAX_EVENTS_WITH_VALUES = 200
# Longer values are not suggested: they are texts that people write.
MAX_SUGGESTED_VALUE = 200

MINUTE_MS = 60_000


class RecentEvents(Struct, frozen=True):
    """The newest events of some types.

    ``events``: newest first. ``more``: the number of further events, also of those that occurred at the same time.
    ``is_truncated``: the count ended at MAX_EVENTS_COUNTED, so there may be more than ``more``. ``since``: the earliest
    time that was searched. ``minutes``: the number of counted events by the beginning of the minute, newest first.
    """

    events: Sequence[Event]
    more: int
    is_truncated: bool
    since: Instant
    minutes: Mapping[Instant, int]


class SearchedDay(Struct, frozen=True):
    """``events``: those with the ID that were found so far, newest first. ``following``: where the next search goes on;
    None: the whole time was searched."""

    events: Sequence[Event]
    following: str | None


class SeenValues(Struct, frozen=True):
    """The values of a property in the newest events of a type. ``events``: the number of events with a value, by the
    value. ``events_read``: the number of events that were read. ``since``: the earliest time that was searched."""

    events: Mapping[str, int]
    events_read: int
    since: Instant


class EventCount(Struct, frozen=True):
    """The number of events of a type since a time. ``is_exact`` False: there are more, and the count ended."""

    events: int
    is_exact: bool
    since: Instant


def recent_events(
    history: EventHistory,
    portal_id: str,
    event_types: Collection[str],
    now: Instant,
    limit: int,
    since: Instant | None = None,
) -> RecentEvents:
    """Return at most ``limit`` of the newest events of a portal, and the number of the others. ``since``: only events
    that occurred then or later; None: all that are kept."""
    searched_since = history.kept_since(now) if since is None else max(since, history.kept_since(now))
    keys = list(
        itertools.islice(
            _keys(history, portal_id, event_types, sort_key_at(searched_since), MAX_SORT_KEY, PAGE_KEYS),
            MAX_EVENTS_COUNTED + 1,
        )
    )
    counted = keys[:MAX_EVENTS_COUNTED]
    return RecentEvents(
        history.events.get_many(counted[:limit]) if counted else (),
        more=max(len(counted) - limit, 0),
        is_truncated=len(keys) > len(counted),
        since=searched_since,
        minutes=Counter(key.given_time // MINUTE_MS * MINUTE_MS for key in counted),
    )


def newest_keys(history: EventHistory, portal_id: str, event_type: str, now: Instant) -> Sequence[EventKey]:
    """Return the keys of the newest events of a type, newest first: at most PAGE_KEYS. Each partition of the type is
    read once, unless the newest events are all in one."""
    keys = _keys(history, portal_id, {event_type}, sort_key_at(history.kept_since(now)), MAX_SORT_KEY, PAGE_KEYS)
    return list(itertools.islice(keys, PAGE_KEYS))


def seen_values(
    history: EventHistory, portal_id: str, event_type: str, event_property: Property, now: Instant
) -> SeenValues:
    """Return the values of a property in the newest MAX_EVENTS_WITH_VALUES events of a type, as texts. Values that are
    computed from others count too. A list of options counts as its options."""
    page = history.latest(portal_id, frozenset({event_type}), now, MAX_EVENTS_WITH_VALUES, None)
    counted: Counter[str] = Counter()
    for event in page.events:
        value = as_text(own_occurrence(event).properties.get(event_property.name))
        is_option = event_property.type is PropertyType.ENUMERATION
        # One event counts once for a value.
        counted.update(set(value.split(SEPARATOR) if is_option else [value]))
    suggested = {value: events for value, events in counted.items() if 0 < len(value.strip()) <= MAX_SUGGESTED_VALUE}
    return SeenValues(suggested, len(page.events), history.kept_since(now))


def count_events(history: EventHistory, portal_id: str, event_type: str, now: Instant, since: Instant) -> EventCount:
    """Count the events of a type that occurred at ``since`` or later, at most MAX_KEYS_SEARCHED of them."""
    searched_since = max(since, history.kept_since(now))
    keys = _keys(history, portal_id, {event_type}, sort_key_at(searched_since), MAX_SORT_KEY, SEARCH_PAGE_KEYS)
    events = sum(1 for _ in itertools.islice(keys, MAX_KEYS_SEARCHED + 1))
    return EventCount(min(events, MAX_KEYS_SEARCHED), events <= MAX_KEYS_SEARCHED, searched_since)


def search_with_id(
    history: EventHistory,
    portal_id: str,
    event_type: str,
    event_id: str,
    now: Instant,
    first: Instant,
    last: Instant,
    position: str | None = None,
) -> SearchedDay:
    """Return the events with an ID of one type that occurred from ``first`` to before ``last``, in a stack that does
    not find events by their ID. Reads about MAX_KEYS_SEARCHED keys at most, and returns MAX_EVENTS_WITH_ONE_ID events
    at most. ``position``: the ``following`` of the previous search."""
    begin = sort_key_at(max(first, history.kept_since(now)))
    end = sort_key_at(last) if position is None else min(position, sort_key_at(last))
    matches: list[EventKey] = []
    previous: str | None = None
    following: str | None = None
    for number, key in enumerate(_keys(history, portal_id, {event_type}, begin, end, SEARCH_PAGE_KEYS)):
        # Events of several records can have one time and one ID, and the next search begins after all of them.
        if number >= MAX_KEYS_SEARCHED and key.sort_key != previous:
            following = previous
            break
        previous = key.sort_key
        if key.event_id == event_id and len(matches) < MAX_EVENTS_WITH_ONE_ID:
            matches.append(key)
    return SearchedDay(history.events.get_many(matches) if matches else (), following)


def _keys(
    history: EventHistory, portal_id: str, event_types: Collection[str], first: str, last: str, page_size: int
) -> Iterator[EventKey]:
    if history.is_on and first < last:
        yield from history.events.keys_of_types(portal_id, event_types, first, last, page_size)
