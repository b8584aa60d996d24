"""Waiting events in DynamoDB: beside the record that they wait for."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pynamodb.exceptions import DeleteError, PutError

from enrollment.adapters.tables import Tables, WaitingItem
from enrollment.domain.events import Event
from enrollment.domain.identifiers import RecordKey, join
from enrollment.domain.tolerance import WaitingEvent
from enrollment.ports import Conflict

WAITING = "waiting"

# After its end, for as long as the event can still be delivered again; then DynamoDB deletes what was left behind.
KEPT_SECONDS = 15 * 24 * 3600


class DynamoWaitingEvents:
    """``write`` and ``read``: the event's envelope."""

    def __init__(
        self,
        tables: Tables,
        write: Callable[[Event], Mapping[str, Any]],
        read: Callable[[Mapping[str, Any]], Event],
    ) -> None:
        self._items = tables.waiting
        self._write = write
        self._read = read

    def get(self, record: RecordKey, event_id: str) -> WaitingEvent | None:
        try:
            return self._waiting(self._items.get(str(record), join(WAITING, event_id), consistent_read=True))
        except self._items.DoesNotExist:
            return None

    def of(self, record: RecordKey, limit: int) -> Sequence[WaitingEvent]:
        items = self._items.query(
            str(record), self._items.sk.startswith(join(WAITING, "")), consistent_read=True, page_size=limit
        )
        return [self._waiting(item) for item in itertools.islice(items, limit)]

    def save(self, waiting: WaitingEvent) -> None:
        event = waiting.event
        item = self._items(
            str(event.record_key),
            join(WAITING, event.id),
            version=waiting.version + 1,
            event=self._write(event),
            flows=dict(waiting.flows),
            expires_at=max(waiting.flows.values(), default=0) // 1000 + KEPT_SECONDS,
        )
        is_new = waiting.version == 0
        condition = self._items.pk.does_not_exist() if is_new else self._items.version == waiting.version
        try:
            if waiting.flows:
                item.save(condition=condition)
            else:
                item.delete(condition=condition)
        except (PutError, DeleteError) as error:
            if error.cause_response_code == "ConditionalCheckFailedException":
                raise Conflict(f"the waiting event {event.id} has changed since version {waiting.version}") from error
            raise

    def _waiting(self, item: WaitingItem) -> WaitingEvent:
        return WaitingEvent(self._read(item.event), item.flows, int(item.version))
