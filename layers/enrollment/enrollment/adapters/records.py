"""Records in DynamoDB: one item each, changed by whoever has read its latest version."""

import json
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from enrollment.adapters.tables import Item, Tables, is_at
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records import Dated, Earlier, Record
from enrollment.domain.spellings import in_one_spelling
from enrollment.ports import Conflict

RECORD = "record"


class DynamoRecords:
    """`properties` and `memberships`: name to [value, time of its change]; `earlier…`: name to a list of such."""

    def __init__(self, tables: Tables) -> None:
        self._table = tables.records

    def get(self, key: RecordKey) -> Record | None:
        item = self._table.get(str(key), RECORD)
        return None if item is None else _record(key, item)

    def get_many(self, keys: Sequence[RecordKey]) -> Mapping[RecordKey, Record]:
        wanted = {str(key): key for key in keys}
        items = self._table.get_many([(pk, RECORD) for pk in wanted])
        return {wanted[item["pk"]]: _record(wanted[item["pk"]], item) for item in items}

    def save(self, record: Record) -> Record:
        item = {
            "pk": str(record.key),
            "sk": RECORD,
            "version": record.version + 1,
            "createdAt": record.created_at,
            "properties": _dump(record.properties),
            "memberships": _dump(record.memberships),
            "firsts": json.dumps(dict(record.firsts)),
            "earlierProperties": _dump_earlier(record.earlier_properties),
            "earlierMemberships": _dump_earlier(record.earlier_memberships),
            "deletedAt": record.deleted_at,
            "awaitedUntil": record.awaited_until,
        }
        if not self._table.put(item, is_at(record.version)):
            raise Conflict(f"record {record.key} has changed since version {record.version}")
        return replace(record, version=record.version + 1)


def _record(key: RecordKey, item: Item) -> Record:
    record = Record(
        key=key,
        created_at=item["createdAt"],
        properties=_dated(item["properties"]),
        memberships=_dated(item["memberships"]),
        firsts=json.loads(item["firsts"]),
        earlier_properties=_earlier(item["earlierProperties"]),
        earlier_memberships=_earlier(item["earlierMemberships"]),
        version=item["version"],
        deleted_at=item.get("deletedAt"),
        awaited_until=item.get("awaitedUntil"),
    )
    return in_one_spelling(record)


def _dump(values: Mapping[str, Dated]) -> str:
    return json.dumps({name: [dated.value, dated.changed_at] for name, dated in values.items()})


def _dated(text: str) -> dict[str, Dated]:
    return {name: Dated(value, changed_at) for name, (value, changed_at) in json.loads(text).items()}


def _dump_earlier(earlier: Earlier) -> str:
    return json.dumps({name: [[one.value, one.changed_at] for one in many] for name, many in earlier.items()})


def _earlier(text: str) -> Earlier:
    found = json.loads(text)
    return {name: tuple(Dated(value, changed_at) for value, changed_at in many) for name, many in found.items()}
