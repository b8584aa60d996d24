"""Records in DynamoDB: one item each, changed by whoever has read its latest version."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pynamodb.exceptions import PutError

from enrollment.adapters.tables import RecordItem, Tables, read_batch
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records import Dated, Earlier, Record
from enrollment.ports import Conflict

RECORD = "record"


class DynamoRecords:
    def __init__(self, tables: Tables) -> None:
        self._items = tables.records

    def get(self, key: RecordKey) -> Record | None:
        try:
            item = self._items.get(str(key), RECORD, consistent_read=True)
        except self._items.DoesNotExist:
            return None
        return _record(key, item)

    def get_many(self, keys: Sequence[RecordKey]) -> Mapping[RecordKey, Record]:
        wanted = {str(key): key for key in keys}
        items = read_batch(self._items, [(pk, RECORD) for pk in wanted])
        return {wanted[item.pk]: _record(wanted[item.pk], item) for item in items}

    def save(self, record: Record) -> Record:
        item = self._items(
            str(record.key),
            RECORD,
            version=record.version + 1,
            created_at=record.created_at,
            properties=_plain(record.properties),
            memberships=_plain(record.memberships),
            firsts=dict(record.firsts),
            earlier_properties=_plain_earlier(record.earlier_properties),
            earlier_memberships=_plain_earlier(record.earlier_memberships),
            deleted_at=record.deleted_at,
            awaited_until=record.awaited_until,
        )
        condition = self._items.pk.does_not_exist() if record.version == 0 else self._items.version == record.version
        try:
            item.save(condition=condition)
        except PutError as error:
            if error.cause_response_code == "ConditionalCheckFailedException":
                raise Conflict(f"record {record.key} has changed since version {record.version}") from error
            raise
        return replace(record, version=record.version + 1)


def _record(key: RecordKey, item: RecordItem) -> Record:
    return Record(
        key=key,
        created_at=int(item.created_at),
        properties=_dated(item.properties),
        memberships=_dated(item.memberships),
        firsts=item.firsts,
        earlier_properties=_earlier(item.earlier_properties),
        earlier_memberships=_earlier(item.earlier_memberships),
        version=int(item.version),
        deleted_at=None if item.deleted_at is None else int(item.deleted_at),
        awaited_until=None if item.awaited_until is None else int(item.awaited_until),
    )


def _plain(values: Mapping[str, Dated]) -> dict[str, Any]:
    return {name: [dated.value, dated.changed_at] for name, dated in values.items()}


def _dated(values: Mapping[str, Any]) -> dict[str, Dated]:
    return {name: Dated(value, changed_at) for name, (value, changed_at) in values.items()}


def _plain_earlier(earlier: Earlier) -> dict[str, Any]:
    return {name: [[one.value, one.changed_at] for one in many] for name, many in earlier.items()}


def _earlier(earlier: Mapping[str, Any]) -> Earlier:
    return {name: tuple(Dated(value, changed_at) for value, changed_at in many) for name, many in earlier.items()}
