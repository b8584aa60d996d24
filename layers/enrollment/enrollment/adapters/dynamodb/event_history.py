"""The event history in DynamoDB. An event is in the partition of its record until it expires."""

import heapq
import itertools
import json
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from enrollment.adapters.dynamodb.schema import BY_EVENT_ID, BY_EVENT_TYPE, EVENT, EVENT_KEY, TIME_TO_LIVE, TYPE_SHARD
from enrollment.adapters.dynamodb.tables import BATCH, Expression, Item, Key, Tables
from enrollment.domain.events.associated_change import changed_record
from enrollment.domain.events.event import Event
from enrollment.domain.events.sort_key import EventKey, event_sort_key
from enrollment.domain.identifiers import RecordKey, join, split
from enrollment.domain.values import Instant

# Partitions whose first page is read at the same time. The client has ten connections.
READ_AT_ONCE = 8

# Partitions of a portal's events of one type in the index. Each takes about 1,000 events a second. If there are more,
# the index throttles the writes of the events themselves.
SHARDS = 16


class DynamoHistory:
    """The port EventHistoryStore (``application.ports``).

    The attribute `event` is the envelope that ``write`` returns and ``read`` accepts, as in ``DynamoDeferredEvents``.
    An item without it has only the time of the evaluation. Records have a `typeShard` too, in other partitions of the
    index by event type. ``is_found_by_id``: whether each new event gets an entry in the index by event ID."""

    def __init__(
        self,
        tables: Tables,
        write: Callable[[Event], Mapping[str, Any]],
        read: Callable[[Mapping[str, Any]], Event],
        *,
        is_found_by_id: bool = True,
    ) -> None:
        self._table = tables.records
        self._write = write
        self._read = read
        self._is_found_by_id = is_found_by_id

    def keep(self, event: Event, until: Instant) -> Instant:
        """Store the event unless it is stored already, and return the time of its first evaluation. If two copies were
        sent, the one that was sent earlier is kept."""
        record = str(event.record_key)
        # A change of an associated record has the ID of the event of that record, which is the one to be found.
        is_found_by_id = self._is_found_by_id and changed_record(event) is None
        item = {
            **_evaluation(event, until),
            "event": json.dumps(self._write(event), ensure_ascii=False),
            TYPE_SHARD: _type_shard(event.portal_id, event.event_type.name, zlib.crc32(record.encode()) % SHARDS),
            **({EVENT_KEY: join(event.portal_id, event.id)} if is_found_by_id else {}),
        }
        existing = self._table.put_new(item)
        if existing is None:
            return event.evaluated_at or event.occurred_at
        first = _evaluated_at(existing, event)
        if "event" not in existing or self._event(existing).sent_at > event.sent_at:
            self._table.put({**item, "evaluatedAt": first})
        return first

    def keep_evaluation(self, event: Event, until: Instant) -> Instant:
        """Store only the time of the evaluation, and return the time of the first evaluation."""
        existing = self._table.put_new(_evaluation(event, until))
        return (event.evaluated_at or event.occurred_at) if existing is None else _evaluated_at(existing, event)

    def first_evaluation(self, event: Event) -> Instant | None:
        """Return the time of the first evaluation. None: the event is not stored."""
        item = self._table.get(str(event.record_key), _sort_key(event_sort_key(event)))
        return None if item is None else item.get("evaluatedAt")

    def of_record(self, record: RecordKey, first: str, last: str, *, newest_first: bool) -> Iterable[Event]:
        """Yield the record's events between two sort keys, both exclusive, with strongly consistent reads."""
        if first >= last:
            return
        bounds = {"first": _sort_key(first), "last": _sort_key(last)}
        condition = Expression("pk = :record AND sk BETWEEN :first AND :last", record=str(record), **bounds)
        for item in self._table.query(condition, newest_first=newest_first):
            # BETWEEN includes the bounds.
            if item["sk"] not in bounds.values() and "event" in item:
                yield self._event(item)

    def with_id(self, portal_id: str, event_id: str) -> Iterable[Event]:
        """Yield the portal's events with an ID. The index is up to a second behind the writes."""
        condition = Expression(f"{EVENT_KEY} = :key", key=join(portal_id, event_id))
        entries = self._table.query(condition, index=BY_EVENT_ID, is_consistent=False, page=BATCH)
        while keys := [(entry["pk"], entry["sk"]) for entry in itertools.islice(entries, BATCH)]:
            yield from self._stored(keys)

    def of_types(self, portal_id: str, event_types: Collection[str], first: str, last: str) -> Iterable[Event]:
        """Yield the portal's events between two sort keys, both exclusive, newest first. The index is up to a second
        behind the writes."""
        newest = self._newest(portal_id, event_types, first, last, BATCH)
        while keys := [(pk, sk) for sk, pk in itertools.islice(newest, BATCH)]:
            yield from self._stored(keys)

    def keys_of_types(
        self, portal_id: str, event_types: Collection[str], first: str, last: str, page_size: int
    ) -> Iterable[EventKey]:
        """Yield the keys of the events that ``of_types`` yields, in the same order. A key takes about 150 bytes, and
        a page of up to 25 keys half a read unit."""
        for sk, pk in self._newest(portal_id, event_types, first, last, page_size):
            yield EventKey(RecordKey(*split(pk)), sk.removeprefix(_sort_key("")))

    def get_many(self, keys: Sequence[EventKey]) -> Sequence[Event]:
        """Return the events with these keys that are stored, in their order. Raises Throttled."""
        return list(self._stored([(str(key.record), _sort_key(key.sort_key)) for key in keys]))

    def _newest(
        self, portal_id: str, event_types: Collection[str], first: str, last: str, page_size: int
    ) -> Iterator[tuple[str, str]]:
        """Yield the sort key and the partition key of each event of all shards, newest first.

        Every shard is needed for the first event, so their first pages are read at the same time. Later pages are read
        one by one, when an event of them is next."""
        shards = [
            self._of_shard(_type_shard(portal_id, event_type, number), first, last, page_size)
            for event_type in sorted(event_types)
            for number in range(SHARDS)
        ]
        with ThreadPoolExecutor(READ_AT_ONCE) as pool:
            started = list(pool.map(_started, shards))
        return heapq.merge(*started, reverse=True)

    def _stored(self, keys: Sequence[Key]) -> Iterator[Event]:
        """Yield the events that are stored with these keys, in their order."""
        items = {(item["pk"], item["sk"]): item for item in self._table.get_many(keys)}
        # DynamoDB deletes an expired item up to some days later, and its index entry after the item.
        yield from (self._event(items[key]) for key in keys if key in items)

    def _of_shard(self, shard: str, first: str, last: str, page_size: int) -> Iterator[tuple[str, str]]:
        """Yield the sort key and the partition key of each event, newest first."""
        if first >= last:
            return
        bounds = {"first": _sort_key(first), "last": _sort_key(last)}
        condition = Expression(f"{TYPE_SHARD} = :shard AND sk BETWEEN :first AND :last", shard=shard, **bounds)
        entries = self._table.query(
            condition, index=BY_EVENT_TYPE, is_consistent=False, newest_first=True, page=page_size
        )
        for entry in entries:
            if entry["sk"] not in bounds.values():
                yield entry["sk"], entry["pk"]

    def _event(self, item: Item) -> Event:
        event = self._read(json.loads(item["event"]))
        # Items of an earlier version of this code have no time of evaluation.
        return event.evaluated(item["evaluatedAt"]) if "evaluatedAt" in item else event


def _started(entries: Iterator[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Return the same entries, of which the first is read already."""
    first = next(entries, None)
    return iter(()) if first is None else itertools.chain((first,), entries)


def _evaluation(event: Event, until: Instant) -> dict[str, Any]:
    return {
        "pk": str(event.record_key),
        "sk": _sort_key(event_sort_key(event)),
        "evaluatedAt": event.evaluated_at,
        TIME_TO_LIVE: until // 1000,
    }


def _evaluated_at(existing: Item, event: Event) -> Instant:
    stored: Instant | None = existing.get("evaluatedAt")
    return stored if stored is not None else event.evaluated_at or event.occurred_at


def _type_shard(portal_id: str, event_type: str, number: int) -> str:
    return join(portal_id, event_type, str(number))


def _sort_key(position: str) -> str:
    """``position``: a sort key of the domain (``domain.events.sort_key``)."""
    return f"{EVENT}/{position}"
