"""Records, read and written by the API with PynamoDB models."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from enrollment.adapters.dynamodb.model_store import ModelStore, is_unchanged
from enrollment.adapters.dynamodb.models import RecordItem
from enrollment.adapters.dynamodb.records import read_record, record_item
from enrollment.adapters.dynamodb.schema import RECORD
from enrollment.adapters.dynamodb.tables import Tables
from enrollment.application.ports import ConcurrentModification
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.record import Record


class RecordRepository:
    """The port Records for the API (``application.ports``). Reads are strongly consistent."""

    def __init__(self, tables: Tables) -> None:
        self._store = ModelStore(tables)

    def get(self, key: RecordKey) -> Record | None:
        """Return the record, with its version. None: nothing is stored for it."""
        item = self._store.get(RecordItem, str(key), RECORD)
        return None if item is None else read_record(key, item.values, _unchanged)

    def get_many(self, keys: Sequence[RecordKey]) -> Mapping[RecordKey, Record]:
        """Raises Throttled."""
        by_partition = {str(key): key for key in keys}
        items = self._store.get_many(RecordItem, [(pk, RECORD) for pk in by_partition])
        return {by_partition[item.pk]: read_record(by_partition[item.pk], item.values, _unchanged) for item in items}

    def save(self, record: Record) -> Record:
        """Return the record with its new version. Raises ConcurrentModification if the stored version is another."""
        item = RecordItem.of(record_item(record, _unchanged))
        if not self._store.put(item, is_unchanged(RecordItem, record.version)):
            raise ConcurrentModification(f"record {record.key} has changed since version {record.version}")
        return replace(record, version=record.version + 1)


def _unchanged(value: Any) -> Any:
    """Return the value as it is, because the model encodes and decodes JSON."""
    return value
