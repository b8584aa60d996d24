"""Events in DynamoDB: beside the record that they happened to, until they expire."""

import heapq
import itertools
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from enrollment.adapters.tables import BATCH, Tables, read_batch
from enrollment.domain.events import Event
from enrollment.domain.identifiers import RecordKey, join
from enrollment.domain.positions import position
from enrollment.domain.values import Instant

EVENT = "event"

# Partitions of a portal's events of one type in the index. Each takes about 1,000 events a second; one that takes more
# would hold back the events themselves.
SHARDS = 16


class DynamoHistory:
    """``write`` and ``read``: the event's envelope."""

    def __init__(
        self,
        tables: Tables,
        write: Callable[[Event], Mapping[str, Any]],
        read: Callable[[Mapping[str, Any]], Event],
    ) -> None:
        self._items = tables.events
        self._write = write
        self._read = read

    def keep(self, event: Event, until: Instant) -> None:
        record = str(event.record_key)
        shard = _shard(event.portal_id, event.event_type.name, zlib.crc32(record.encode()) % SHARDS)
        item = self._items(
            record,
            _place(position(event)),
            event=self._write(event),
            type_shard=shard,
            expires_at=until // 1000,
        )
        item.save()

    def of_record(self, record: RecordKey, first: str, last: str, *, newest_first: bool) -> Iterable[Event]:
        bounds = (_place(first), _place(last))
        if first >= last:
            return
        items = self._items.query(
            str(record), self._items.sk.between(*bounds), scan_index_forward=not newest_first, consistent_read=True
        )
        for item in items:
            if item.sk not in bounds:
                yield self._read(item.event)

    def of_types(self, portal_id: str, event_types: Collection[str], first: str, last: str) -> Iterable[Event]:
        shards = [
            self._of_shard(_shard(portal_id, name, number), first, last)
            for name in sorted(event_types)
            for number in range(SHARDS)
        ]
        newest = heapq.merge(*shards, reverse=True)
        while keys := [(pk, sk) for sk, pk in itertools.islice(newest, BATCH)]:
            items = {(item.pk, item.sk): item for item in read_batch(self._items, keys)}
            yield from (self._read(items[key].event) for key in keys if key in items)

    def _of_shard(self, shard: str, first: str, last: str) -> Iterator[tuple[str, str]]:
        bounds = (_place(first), _place(last))
        if first >= last:
            return
        condition = self._items.sk.between(*bounds)
        for item in self._items.by_event_type.query(shard, condition, scan_index_forward=False, page_size=BATCH):
            if item.sk not in bounds:
                yield item.sk, item.pk


def _shard(portal_id: str, event_type: str, number: int) -> str:
    return join(portal_id, event_type, str(number))


def _place(position: str) -> str:
    return f"{EVENT}/{position}"
