"""Enrollments in DynamoDB. They are in the partition of their record. Indexes find them by flow, by ID and by time, and
find those that are not confirmed (``tables``)."""

import heapq
import itertools
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from enrollment.adapters.dynamodb import schema
from enrollment.adapters.dynamodb.tables import IS_NEW, ConditionalUpdate, Expression, Item, Tables
from enrollment.application.ports import NO_CHANGES, ConcurrentModification
from enrollment.domain.enrollment.enrollment_counts import RecentEnrollments, ShardCount, Window
from enrollment.domain.enrollment.enrollments import Enrollment, ExistingEnrollments, StoredEnrollment
from enrollment.domain.events.causes import change_key
from enrollment.domain.identifiers import RecordKey, join
from enrollment.domain.values import Instant, iso, read_instant

# Partitions of a flow in the index by flow. Each takes about 1,000 enrollments a second.
SHARDS = 16

# Partitions of the whole stack in the index of unconfirmed enrollments. Each takes about 500 enrollments a second,
# because an entry is written and removed. Lowering this number would leave entries that no run finds.
UNCONFIRMED_SHARDS = 64
# An item without these attributes has no entry in the index of unconfirmed enrollments.
UNCONFIRMED_KEYS = (schema.UNCONFIRMED_SHARD, schema.PUBLISH_AT)
# Entries in one read of this index.
PAGE_ENTRIES = 25
MINUTE_MS = 60_000


class DynamoEnrollments:
    """The ports Enrollments, FirstEnrollments, EnrollmentIndex and UnconfirmedEnrollments (``application.ports``).

    The attribute `message` is the text that ``write`` returns and ``read`` accepts. It is sent to the queue unchanged,
    however late that is."""

    def __init__(self, tables: Tables, write: Callable[[Enrollment], str], read: Callable[[str], Enrollment]) -> None:
        self._table = tables.enrollments
        self._write = write
        self._read = read

    def find(
        self,
        record_key: RecordKey,
        cause_key: str,
        flow_ids: Sequence[str],
        changes: Mapping[str, str] = NO_CHANGES,
    ) -> Mapping[str, ExistingEnrollments]:
        """Return by flow ID the record's first enrollment and the one by this cause, or by the change that ``changes``
        names for the flow. Raises Throttled."""
        pk = str(record_key)
        places = {
            flow_id: _sort_key(flow_id, change_key(changes[flow_id]) if flow_id in changes else cause_key)
            for flow_id in flow_ids
        }
        keys = [(pk, sk) for flow_id, place in places.items() for sk in (_sort_key(flow_id), place)]
        items = {item["sk"]: item for item in self._table.get_many(keys)}
        return {
            flow_id: self._existing(items.get(_sort_key(flow_id)), items.get(place), cause_key, changes.get(flow_id))
            for flow_id, place in places.items()
        }

    def _existing(
        self, first: Item | None, own: Item | None, cause_key: str, change: str | None
    ) -> ExistingEnrollments:
        stored_first = None if first is None else self._stored(first)
        if stored_first is not None and stored_first.enrollment.cause.is_by(cause_key, change):
            return ExistingEnrollments(stored_first, stored_first)
        return ExistingEnrollments(stored_first, None if own is None else self._stored(own))

    def first_of(self, record_keys: Sequence[RecordKey], flow_id: str) -> Mapping[RecordKey, StoredEnrollment]:
        """Return the first enrollments of records in a flow, by one batch read for each 100 records. Raises
        Throttled."""
        by_partition = {str(key): key for key in record_keys}
        items = self._table.get_many([(pk, _sort_key(flow_id)) for pk in by_partition])
        return {by_partition[item["pk"]]: self._stored(item) for item in items}

    def claim(self, enrollment: Enrollment, due_at: Instant | None = None, chain: tuple[str, ...] = ()) -> bool:
        """Write the enrollment if its sort key is free, and return whether it was written. ``due_at``: when a rate
        limit lets it be published. ``chain``: the flows that led to it."""
        item = {
            "pk": str(enrollment.record_key),
            "sk": _sort_key_of(enrollment),
            schema.ENROLLMENT_ID: enrollment.id,
            "eventId": enrollment.cause.event_id,
            schema.FLOW_SHARD: _flow_shard(enrollment),
            schema.ENROLLED_AT: enrollment.position,
            "message": self._write(enrollment),
            "dueAt": due_at,
            "chain": json.dumps(chain) if chain else None,
            schema.UNCONFIRMED_SHARD: str(_shard_number(enrollment, UNCONFIRMED_SHARDS)),
            schema.PUBLISH_AT: enrollment.enrolled_at if due_at is None else due_at,
        }
        return self._table.put(item, IS_NEW)

    def confirm(self, enrollment: Enrollment, *, is_published: bool, is_announced: bool, now: Instant) -> None:
        """Store that the enrollment was sent to the queue, to the bus, or both. Raises ConcurrentModification if
        another enrollment is stored in its place."""
        steps = (("publishedAt", is_published), ("announcedAt", is_announced))
        change = ConditionalUpdate(
            str(enrollment.record_key),
            _sort_key_of(enrollment),
            sets={name: iso(now) for name, is_done in steps if is_done},
            where={schema.ENROLLMENT_ID: enrollment.id},
            removes=UNCONFIRMED_KEYS if is_published and is_announced else (),
        )
        if not self._table.change(change):
            raise ConcurrentModification(f"another enrollment is stored in place of enrollment {enrollment.id}")

    def unconfirmed(self, until: Instant) -> Iterator[StoredEnrollment]:
        """Start at another shard each minute, so that a shard with many entries does not starve the others."""
        first = until // MINUTE_MS
        for number in range(UNCONFIRMED_SHARDS):
            condition = Expression(
                f"{schema.UNCONFIRMED_SHARD} = :shard AND {schema.PUBLISH_AT} < :until",
                shard=str((first + number) % UNCONFIRMED_SHARDS),
                until=until,
            )
            for page in self._table.pages(
                condition, IndexName=schema.UNCONFIRMED, ConsistentRead=False, Limit=PAGE_ENTRIES
            ):
                yield from (stored for stored in self._read_entries(page) if not stored.is_confirmed)

    def of_record(self, record_key: RecordKey, limit: int, before: str | None = None) -> Sequence[StoredEnrollment]:
        """Return the record's enrollments, newest first, with strongly consistent reads. ``before``: the position of
        the last one on the previous page."""
        condition = _before("pk = :record", before, record=str(record_key))
        entries = self._table.query(condition, index=schema.BY_TIME, newest_first=True, page=limit)
        return self._read_entries(itertools.islice(entries, limit))

    def of_flow(
        self, portal_id: str, flow_id: str, limit: int, before: str | None = None
    ) -> Sequence[StoredEnrollment]:
        """Return the newest enrollments of all shards. The index is up to a second behind the writes."""
        shards = [
            self._table.query(
                _before(f"{schema.FLOW_SHARD} = :shard", before, shard=join(portal_id, flow_id, str(number))),
                index=schema.BY_FLOW,
                is_consistent=False,
                newest_first=True,
                page=limit,
            )
            for number in range(SHARDS)
        ]
        newest = heapq.merge(*shards, key=lambda entry: entry[schema.ENROLLED_AT], reverse=True)
        return self._read_entries(itertools.islice(newest, limit))

    def recent_of_flow(self, portal_id: str, flow_id: str, limit: int) -> RecentEnrollments:
        """Read one page of each shard. A page of 61 entries has about 12 KB, which are two read units at most."""
        shards = [
            self._page_of_shard(Expression(f"{schema.FLOW_SHARD} = :shard", shard=shard), limit)
            for shard in (join(portal_id, flow_id, str(number)) for number in range(SHARDS))
        ]
        newest = max(itertools.chain.from_iterable(shards), key=lambda entry: entry[schema.ENROLLED_AT], default=None)
        latest = [] if newest is None else self._read_entries([newest])
        return RecentEnrollments([[_instant(entry) for entry in shard] for shard in shards], next(iter(latest), None))

    def count_in_shard(self, portal_id: str, flow_id: str, shard: int, window: Window, limit: int) -> ShardCount:
        """Read one page of the shard, which can end before ``limit`` only at 1 MB."""
        condition = Expression(
            f"{schema.FLOW_SHARD} = :shard AND {schema.ENROLLED_AT} BETWEEN :since AND :until",
            shard=join(portal_id, flow_id, str(shard)),
            # A position has an ID after the time, so that it follows the time alone.
            since=iso(window.since),
            until=iso(window.until),
        )
        entries = self._page_of_shard(condition, limit)
        return ShardCount(len(entries), _instant(entries[-1]) if len(entries) == limit else None)

    def _page_of_shard(self, condition: Expression, limit: int) -> list[Item]:
        pages = self._table.pages(
            condition, IndexName=schema.BY_FLOW, ConsistentRead=False, ScanIndexForward=False, Limit=limit
        )
        return next(pages)

    def get(self, portal_id: str, enrollment_id: str) -> StoredEnrollment | None:
        """Return the enrollment if it is one of this portal. The index is up to a second behind the writes."""
        condition = Expression(f"{schema.ENROLLMENT_ID} = :id", id=enrollment_id)
        entries = self._table.query(condition, index=schema.BY_ID, is_consistent=False, page=2)
        for stored in self._read_entries(itertools.islice(entries, 2)):
            if stored.enrollment.record_key.portal_id == portal_id:
                return stored
        return None

    def _read_entries(self, entries: Iterable[Item]) -> list[StoredEnrollment]:
        """Read the items of index entries, in the same order. The indexes contain keys only."""
        keys = [(entry["pk"], entry["sk"]) for entry in entries]
        items = {(item["pk"], item["sk"]): item for item in self._table.get_many(keys)}
        return [self._stored(items[key]) for key in keys if key in items]

    def _stored(self, item: Item) -> StoredEnrollment:
        return StoredEnrollment(
            self._read(item["message"]),
            is_published="publishedAt" in item,
            is_announced="announcedAt" in item,
            due_at=item.get("dueAt"),
            chain=tuple(json.loads(item["chain"])) if "chain" in item else (),
        )


def _instant(entry: Item) -> Instant:
    """Return the time of an entry of the index by flow (``Enrollment.position``)."""
    instant = read_instant(str(entry[schema.ENROLLED_AT]).partition("/")[0])
    assert instant is not None, "a position begins with a time"
    return instant


def _before(condition: str, before: str | None, **values: str) -> Expression:
    if before is None:
        return Expression(condition, **values)
    return Expression(f"{condition} AND {schema.ENROLLED_AT} < :before", **values, before=before)


def _sort_key(flow_id: str, cause_key: str | None = None) -> str:
    return join(flow_id) if cause_key is None else f"{join(flow_id)}/{cause_key}"


def _sort_key_of(enrollment: Enrollment) -> str:
    """Return the sort key of an enrollment. The record's first enrollment in a flow has the same key for every cause
    and for every setting of the flow. So two causes, or two deliveries between which the flow changed, cannot both be
    the first."""
    return _sort_key(enrollment.flow_id, enrollment.cause.key if enrollment.is_re_enrollment else None)


def _flow_shard(enrollment: Enrollment) -> str:
    return join(enrollment.record_key.portal_id, enrollment.flow_id, str(_shard_number(enrollment, SHARDS)))


def _shard_number(enrollment: Enrollment, shards: int) -> int:
    """Return the shard of the enrollment's record: all enrollments of a record are in the same one."""
    return zlib.crc32(str(enrollment.record_key).encode()) % shards
