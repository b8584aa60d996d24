"""Waiting events in DynamoDB: beside the record that they wait for."""

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from enrollment.adapters.dynamodb.tables import Expression, Item, Tables, is_at
from enrollment.application.ports import ConcurrentModification
from enrollment.domain.enrollment.late_data_tolerance import DeferredEvent
from enrollment.domain.events.event import Event
from enrollment.domain.identifiers import RecordKey, join

WAITING = "waiting"

# After its end, for as long as the event can still be delivered again; then DynamoDB deletes what was left behind.
KEPT_SECONDS = 15 * 24 * 3600


class DynamoDeferredEvents:
    """`event`: an envelope, by ``write`` and ``read``; not in ASCII, in which an escape is up to six times the bytes of
    its character, so that the largest fits into the 400 KB of an item. `flows`: flow id to until when it waits;
    `rejected`: flow id to until when a change that arrives late can enroll."""

    def __init__(
        self,
        tables: Tables,
        write: Callable[[Event], Mapping[str, Any]],
        read: Callable[[Mapping[str, Any]], Event],
    ) -> None:
        self._table = tables.records
        self._write = write
        self._read = read

    def get(self, record: RecordKey, event_id: str) -> DeferredEvent | None:
        item = self._table.get(str(record), join(WAITING, event_id))
        return None if item is None else self._waiting(item)

    def of(self, record: RecordKey, limit: int) -> Sequence[DeferredEvent]:
        those = Expression("pk = :record AND begins_with(sk, :waiting)", record=str(record), waiting=join(WAITING, ""))
        items = self._table.query(those, page=limit)
        return [self._waiting(item) for item in itertools.islice(items, limit)]

    def save(self, waiting: DeferredEvent) -> None:
        event = waiting.event
        pk, sk, condition = str(event.record_key), join(WAITING, event.id), is_at(waiting.version)
        if waiting.flows or waiting.rejected:
            item = {
                "pk": pk,
                "sk": sk,
                "version": waiting.version + 1,
                "event": json.dumps(self._write(event), ensure_ascii=False),
                "flows": json.dumps(dict(waiting.flows)),
                "rejected": json.dumps(dict(waiting.rejected)) if waiting.rejected else None,
                "expiresAt": max((*waiting.flows.values(), *waiting.rejected.values())) // 1000 + KEPT_SECONDS,
            }
            is_done = self._table.put(item, condition)
        else:
            is_done = self._table.delete(pk, sk, condition)
        if not is_done:
            raise ConcurrentModification(f"the waiting event {event.id} has changed since version {waiting.version}")

    def _waiting(self, item: Item) -> DeferredEvent:
        return DeferredEvent(
            self._read(json.loads(item["event"])),
            json.loads(item["flows"]),
            item["version"],
            json.loads(item.get("rejected", "{}")),
        )
