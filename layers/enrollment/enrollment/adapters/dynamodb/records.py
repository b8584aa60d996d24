"""Records in DynamoDB, for the event path. A record is one item, and its version is an optimistic lock."""

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from enrollment.adapters.dynamodb.schema import EMAIL_KEY, RECORD, TIME_TO_LIVE, TYPE_SHARD
from enrollment.adapters.dynamodb.tables import Item, Tables, is_at
from enrollment.application.ports import ConcurrentModification
from enrollment.domain.identifiers import RecordKey, join
from enrollment.domain.records.email import email_of
from enrollment.domain.records.name_normalization import in_one_spelling
from enrollment.domain.records.record import EARLY_CHANGES_KEPT_MS, NOT_CREATED, Record, TimestampedValue, ValueHistory
from enrollment.domain.values import Instant

# The origin of a change: the ID of its event, and when the event arrived. All changes by one event share an origin.
Origin = tuple[str, Instant | None]

# Partitions of a portal's records of one type in the index by event type. Each takes about 1,000 creations a second.
SHARDS = 16


class DynamoRecords:
    """The port Records for the event path (``application.ports``). Reads are strongly consistent.

    The attributes `properties` and `memberships` map a name to a change, `earlierProperties` and `earlierMemberships`
    to a list of changes. A change is [value, time of the change, index in `origins`, 1 if the time has only whole
    seconds]. A change without an origin is [value, time of the change]. Times are in milliseconds since 1970."""

    def __init__(self, tables: Tables) -> None:
        self._table = tables.records

    def get(self, key: RecordKey) -> Record | None:
        """Return the record, with its version. None: nothing is stored for it."""
        item = self._table.get(str(key), RECORD)
        return None if item is None else read_record(key, item)

    def get_many(self, keys: Sequence[RecordKey]) -> Mapping[RecordKey, Record]:
        """Return the records that exist, by key. Raises Throttled."""
        by_partition = {str(key): key for key in keys}
        items = self._table.get_many([(pk, RECORD) for pk in by_partition])
        return {by_partition[item["pk"]]: read_record(by_partition[item["pk"]], item) for item in items}

    def save(self, record: Record) -> Record:
        """Return the record with its new version. Raises ConcurrentModification if the stored version is another."""
        if not self._table.put(record_item(record), is_at(record.version)):
            raise ConcurrentModification(f"record {record.key} has changed since version {record.version}")
        return replace(record, version=record.version + 1)


def _json(value: Any) -> str:
    """JSON without ASCII escapes, which take up to six times the bytes of a character."""
    return json.dumps(value, ensure_ascii=False)


def record_item(record: Record, write: Callable[[Any], Any] = _json) -> Item:
    """Return the item of the next version. ``write`` encodes the attributes that are stored as JSON."""
    is_created = record.created_at != NOT_CREATED
    email = email_of(record)
    origins: dict[Origin, int] = {}

    def of(dated: TimestampedValue) -> list[Any]:
        if not dated.event_id and dated.arrived_at is None and not dated.is_to_second:
            return [dated.value, dated.changed_at]
        origin = origins.setdefault((dated.event_id, dated.arrived_at), len(origins))
        change = [dated.value, dated.changed_at, origin]
        return [*change, 1] if dated.is_to_second else change

    def current(values: Mapping[str, TimestampedValue]) -> Any:
        return write({name: of(dated) for name, dated in values.items()})

    def earlier(values: ValueHistory) -> Any:
        return write({name: [of(dated) for dated in history] for name, history in values.items()})

    return {
        "pk": str(record.key),
        "sk": RECORD,
        "version": record.version + 1,
        "createdAt": record.created_at if is_created else None,
        "knownAt": record.known_at,
        "properties": current(record.properties),
        "memberships": current(record.memberships),
        "firsts": write(dict(record.firsts)),
        "earlierProperties": earlier(record.earlier_properties),
        "earlierMemberships": earlier(record.earlier_memberships),
        "origins": write(list(origins)) if origins else None,
        "deletedAt": record.deleted_at,
        "awaitedUntil": record.awaited_until,
        # Lists the record by its type. It never changes while the record exists, so a change writes no index entry.
        TYPE_SHARD: record_shard(record.key) if record.exists else None,
        # Finds the contact by its email. Only another email writes an index entry.
        EMAIL_KEY: None if email is None else email_key(record.key.portal_id, email),
        # A deleted record stays. Changes to a record that is never created expire.
        TIME_TO_LIVE: None if is_created or record.deleted_at is not None else _expiry(record),
    }


def record_shard(key: RecordKey) -> str:
    """Return the partition of a record in the index by event type."""
    return shard_of_type(key.portal_id, key.object_type_id, zlib.crc32(str(key).encode()) % SHARDS)


def email_key(portal_id: str, email: str) -> str:
    """Return the partition of a normalized email in the index by email."""
    return join(portal_id, email)


def shard_of_type(portal_id: str, object_type_id: str, number: int) -> str:
    """Return a partition of the records of a type in the index by event type. It has four parts, and that of an event
    type three, so they cannot be equal."""
    return join(portal_id, object_type_id, RECORD, str(number))


def _expiry(record: Record) -> int:
    """Return the expiry in seconds since 1970."""
    arrivals = [dated.arrival for dated in record.changes]
    return (max([record.awaited_until or 0, *arrivals]) + EARLY_CHANGES_KEPT_MS) // 1000


def read_record(key: RecordKey, item: Item, read: Callable[[Any], Any] = json.loads) -> Record:
    """Return the record that an item stores. ``read`` decodes the attributes that are stored as JSON."""
    origins: list[list[Any]] = read(item["origins"]) if "origins" in item else []

    def dated(value: Any, changed_at: Instant, origin: int | None = None, is_to_second: int = 0) -> TimestampedValue:
        if origin is None:
            return TimestampedValue(value, changed_at)
        event_id, arrived_at = origins[origin]
        return TimestampedValue(value, changed_at, arrived_at, event_id, is_to_second == 1)

    def current(name: str) -> dict[str, TimestampedValue]:
        return {name: dated(*change) for name, change in read(item[name]).items()}

    def earlier(name: str) -> ValueHistory:
        histories = read(item[name]).items()
        return {name: tuple(dated(*change) for change in history) for name, history in histories}

    record = Record(
        key=key,
        created_at=item.get("createdAt", NOT_CREATED),
        properties=current("properties"),
        memberships=current("memberships"),
        firsts=read(item["firsts"]),
        earlier_properties=earlier("earlierProperties"),
        earlier_memberships=earlier("earlierMemberships"),
        version=item["version"],
        deleted_at=item.get("deletedAt"),
        awaited_until=item.get("awaitedUntil"),
        known_at=item.get("knownAt"),
    )
    return in_one_spelling(record)
