"""Tables for the events of a batch: concurrent calls are merged (README.md, docs/decisions/0014-buffer.md)."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from enrollment.adapters.coalescing.call_coalescer import CallCoalescer
from enrollment.adapters.dynamodb.tables import ConditionalUpdate, Item, Key, Table, Tables, encoded, encoded_value
from enrollment.config import Config

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

T = TypeVar("T")

# Statements in one BatchExecuteStatement: DynamoDB's limit.
WRITTEN_AT_ONCE = 25


class CoalescingTables(Tables):
    """The tables for one batch. Calls to the records and enrollments tables are merged."""

    def __init__(self, client: "DynamoDBClient", config: Config, coalescer: CallCoalescer) -> None:
        super().__init__(client, config)
        self.records = TableOfBatch(client, config.records_table, coalescer)
        self.enrollments = TableOfBatch(client, config.enrollments_table, coalescer)


class TableOfBatch(Table):
    """Concurrent reads of items are merged into one call; so are concurrent new items, and concurrent changes. What a
    shared call does not do is repeated as a single call, so that each failure belongs to one event."""

    def __init__(self, client: "DynamoDBClient", name: str, coalescer: CallCoalescer) -> None:
        super().__init__(client, name)
        self._coalesce = coalescer.call

    def get(self, pk: str, sk: str) -> Item | None:
        """Return the item, read in a shared BatchGetItem."""
        read = self._coalesce(self._read_all, [(pk, sk)])
        return read[0].get((pk, sk)) if read else super().get(pk, sk)

    def get_many(self, keys: Sequence[Key]) -> list[Item]:
        """Return the items that exist, read in a shared BatchGetItem. Raises Throttled."""
        read = self._coalesce(self._read_all, keys)
        return [read[0][key] for key in keys if key in read[0]] if read else super().get_many(keys)

    def put_new(self, item: Item) -> Item | None:
        """Write the item in a shared BatchExecuteStatement, as ``Table.put_new`` does."""
        is_written = any(written is item for written in self._coalesce(self._insert_all, [item]))
        return None if is_written else super().put_new(item)

    def change(self, change: ConditionalUpdate) -> bool:
        """Update the item in a shared BatchExecuteStatement, as ``Table.change`` does."""
        is_written = any(written is change for written in self._coalesce(self._change_all, [change]))
        return is_written or super().change(change)

    def _read_all(self, keys: Sequence[Key]) -> Iterator[Mapping[Key, Item]]:
        yield {_key_of(item): item for item in super().get_many(list(dict.fromkeys(keys)))}

    def _insert_all(self, items: Sequence[Item]) -> Iterator[Item]:
        """Yield the items that were written. The writes are PartiQL statements, because BatchWriteItem has no
        conditions. An INSERT fails if the item exists."""
        for batch in _batches(items, _key_of):
            statements = [self._insert(item) for item in batch]
            response: Any = self._client.batch_execute_statement(Statements=statements)
            for item, result in zip(batch, response["Responses"], strict=True):
                if "Error" not in result:
                    yield item

    def _insert(self, item: Item) -> Any:
        values = encoded(item)
        names = ", ".join(f"'{name}': ?" for name in values)
        return {"Statement": f'INSERT INTO "{self.name}" VALUE {{{names}}}', "Parameters": list(values.values())}

    def _change_all(self, changes: Sequence[ConditionalUpdate]) -> Iterator[ConditionalUpdate]:
        """Yield the changes that were made, as ``_insert_all`` does."""
        for batch in _batches(changes, lambda change: (change.pk, change.sk)):
            statements = [self._statement(change) for change in batch]
            response: Any = self._client.batch_execute_statement(Statements=statements)
            for change, result in zip(batch, response["Responses"], strict=True):
                if "Error" not in result:
                    yield change

    def _statement(self, change: ConditionalUpdate) -> Any:
        clauses = " ".join(
            (*(f'SET "{name}" = ?' for name in change.sets), *(f'REMOVE "{name}"' for name in change.removes))
        )
        where = " AND ".join(f'"{name}" = ?' for name in ("pk", "sk", *change.where))
        values = (*change.sets.values(), change.pk, change.sk, *change.where.values())
        return {
            "Statement": f'UPDATE "{self.name}" {clauses} WHERE {where}',
            "Parameters": [encoded_value(value) for value in values],
        }


def _batches(requests: Iterable[T], key_of: Callable[[T], Key]) -> Iterator[list[T]]:
    """Split requests into batches of the size that DynamoDB accepts. Of several requests for one key, the last is
    taken, because DynamoDB rejects a batch that names an item twice."""
    unique = list({key_of(request): request for request in requests}.values())
    return (unique[start : start + WRITTEN_AT_ONCE] for start in range(0, len(unique), WRITTEN_AT_ONCE))


def _key_of(item: Item) -> Key:
    return item["pk"], item["sk"]
