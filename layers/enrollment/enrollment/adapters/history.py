"""Events in DynamoDB: beside the record that they happened to, until they expire."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from enrollment.adapters.tables import Tables
from enrollment.domain.events import Event
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.positions import position
from enrollment.domain.values import Instant

EVENT = "event"


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
        item = self._items(
            str(event.record_key), _place(position(event)), event=self._write(event), expires_at=until // 1000
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


def _place(position: str) -> str:
    return f"{EVENT}/{position}"
