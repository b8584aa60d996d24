"""Events with deferred decisions in DynamoDB, in the partition of the record that they wait for."""

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from enrollment.adapters.dynamodb.schema import TIME_TO_LIVE, WAITING
from enrollment.adapters.dynamodb.tables import Expression, Item, Tables, is_at
from enrollment.application.ports import ConcurrentModification
from enrollment.domain.enrollment.late_data_tolerance import DeferredEvent
from enrollment.domain.events.event import Event
from enrollment.domain.identifiers import RecordKey, join

# DynamoDB deletes an item this long after its deferrals end. Until then the event can be delivered again, because the
# unprocessed-events queue keeps it for 14 days.
KEPT_SECONDS = 15 * 24 * 3600


class DynamoDeferredEvents:
    """The port DeferredEvents (``application.ports``).

    The attribute `event` is the envelope that ``write`` returns and ``read`` accepts. Its JSON has no ASCII escapes,
    which take up to six times the bytes of a character, so that the largest event fits into an item of 400 KB. `flows`
    maps a flow ID to the time until which its decision is deferred. `rejected` maps a flow ID to the time until which a
    late change can still enroll the record. Times are in milliseconds since 1970."""

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
        """Return the deferred event, with its version. None: it is not deferred."""
        item = self._table.get(str(record), join(WAITING, event_id))
        return None if item is None else self._deferred(item)

    def of(self, record: RecordKey, limit: int) -> Sequence[DeferredEvent]:
        """Return at most ``limit`` events that wait for a record, sorted by event ID."""
        condition = Expression(
            "pk = :record AND begins_with(sk, :prefix)", record=str(record), prefix=join(WAITING, "")
        )
        items = self._table.query(condition, page=limit)
        return [self._deferred(item) for item in itertools.islice(items, limit)]

    def save(self, deferred: DeferredEvent) -> None:
        """Write the event, or delete it if no decision is deferred or rejected any more. Raises ConcurrentModification
        if it has another version by now."""
        event = deferred.event
        pk, sk, condition = str(event.record_key), join(WAITING, event.id), is_at(deferred.version)
        if deferred.flows or deferred.rejected:
            item = {
                "pk": pk,
                "sk": sk,
                "version": deferred.version + 1,
                "event": json.dumps(self._write(event), ensure_ascii=False),
                "flows": json.dumps(dict(deferred.flows)),
                "rejected": json.dumps(dict(deferred.rejected)) if deferred.rejected else None,
                TIME_TO_LIVE: max((*deferred.flows.values(), *deferred.rejected.values())) // 1000 + KEPT_SECONDS,
            }
            is_written = self._table.put(item, condition)
        else:
            is_written = self._table.delete(pk, sk, condition)
        if not is_written:
            raise ConcurrentModification(f"deferred event {event.id} has changed since version {deferred.version}")

    def _deferred(self, item: Item) -> DeferredEvent:
        return DeferredEvent(
            self._read(json.loads(item["event"])),
            json.loads(item["flows"]),
            item["version"],
            json.loads(item.get("rejected", "{}")),
        )
