"""Work that is due later in DynamoDB, in the records table."""

from collections.abc import Iterator, Sequence

from enrollment.adapters.dynamodb.schema import DUE
from enrollment.adapters.dynamodb.tables import Expression, Item, Key, Tables
from enrollment.domain.timers.due_item import DueItem, DueKind
from enrollment.domain.values import Instant, iso, read_instant

_KINDS = frozenset(DueKind)


class DynamoDueItems:
    """The port DueItems (``application.ports``).

    The partition key is `due/<shard>`. The sort key is `<due_at>/<kind>/<id>`, with the time in ISO-8601 with
    milliseconds, so that items are sorted by time. There is no time to live: an item that was not sent stays."""

    def __init__(self, tables: Tables) -> None:
        self._table = tables.records

    def save(self, item: DueItem) -> None:
        """Write the item unconditionally. Raises botocore's ClientError."""
        pk, sk = _key(item)
        self._table.put({"pk": pk, "sk": sk, "message": item.message})

    def due_before(self, shard: int, instant: Instant) -> Iterator[DueItem]:
        """Yield the items in the order of their times. A page has at most 1 MB. Items of an unknown kind are left to
        the later version that has written them."""
        condition = Expression("pk = :shard AND sk < :instant", shard=_partition(shard), instant=iso(instant))
        return filter(None, map(_due_item, self._table.query(condition, is_consistent=False)))

    def delete(self, items: Sequence[DueItem]) -> None:
        """Delete the items with BatchWriteItem. Raises Throttled and botocore's ClientError."""
        self._table.delete_many([_key(item) for item in items])


def _key(item: DueItem) -> Key:
    return _partition(item.shard), f"{iso(item.due_at)}/{item.kind.value}/{item.id}"


def _partition(shard: int) -> str:
    return f"{DUE}/{shard}"


def _due_item(item: Item) -> DueItem | None:
    due_at, kind, item_id = item["sk"].split("/")
    if kind not in _KINDS:
        return None
    return DueItem(DueKind(kind), read_instant(due_at) or 0, item_id, item["message"])
