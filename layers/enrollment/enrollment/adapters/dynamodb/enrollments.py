"""Enrollments in DynamoDB."""

import heapq
import itertools
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from enrollment.adapters.dynamodb.tables import IS_NEW, ConditionalUpdate, Expression, Item, Tables
from enrollment.application.ports import ConcurrentModification
from enrollment.domain.enrollment.enrollments import Enrollment, ExistingEnrollments, StoredEnrollment
from enrollment.domain.identifiers import RecordKey, join
from enrollment.domain.values import Instant, iso

# Partitions of a flow in the index by flow. Each takes about 1,000 enrollments a second.
SHARDS = 16

# Partitions of the whole stack in the index of unconfirmed enrollments. Each takes about 500 enrollments a second,
# because an entry is written and removed. Lowering this number would leave entries that no run finds.
UNCONFIRMED_SHARDS = 64
UNCONFIRMED = "unconfirmed"
UNCONFIRMED_KEYS = ("unconfirmedShard", "publishAt")
PAGE = 25
MINUTE_MS = 60_000


class DynamoEnrollments:
    """`message`: by ``write`` and ``read``, what the queue gets, word for word, whenever it is sent."""

    def __init__(self, tables: Tables, write: Callable[[Enrollment], str], read: Callable[[str], Enrollment]) -> None:
        self._table = tables.enrollments
        self._write = write
        self._read = read

    def find(self, record_key: RecordKey, event_id: str, flow_ids: Sequence[str]) -> Mapping[str, ExistingEnrollments]:
        keys = [(str(record_key), place) for flow in flow_ids for place in (_place(flow), _place(flow, event_id))]
        items = {item["sk"]: item for item in self._table.get_many(keys)}
        return {flow: self._enrolled(items, flow, event_id) for flow in flow_ids}

    def _enrolled(self, items: Mapping[str, Item], flow_id: str, event_id: str) -> ExistingEnrollments:
        first = items.get(_place(flow_id))
        own = first if first is not None and first["eventId"] == event_id else items.get(_place(flow_id, event_id))
        return ExistingEnrollments(
            first=None if first is None else self._stored(first), for_event=None if own is None else self._stored(own)
        )

    def claim(self, enrollment: Enrollment, due_at: Instant | None = None, chain: tuple[str, ...] = ()) -> bool:
        item = {
            "pk": str(enrollment.record_key),
            "sk": _place_of(enrollment),
            "enrollmentId": enrollment.id,
            "eventId": enrollment.cause.event_id,
            "flowShard": _shard(enrollment),
            "enrolledAt": enrollment.position,
            "message": self._write(enrollment),
            "dueAt": due_at,
            "chain": json.dumps(chain) if chain else None,
            "unconfirmedShard": str(_number(enrollment, UNCONFIRMED_SHARDS)),
            "publishAt": enrollment.enrolled_at if due_at is None else due_at,
        }
        return self._table.put(item, IS_NEW)

    def confirm(self, enrollment: Enrollment, *, is_published: bool, is_announced: bool, now: Instant) -> None:
        done = (("publishedAt", is_published), ("announcedAt", is_announced))
        change = ConditionalUpdate(
            str(enrollment.record_key),
            _place_of(enrollment),
            sets={name: iso(now) for name, is_done in done if is_done},
            where={"enrollmentId": enrollment.id},
            removes=UNCONFIRMED_KEYS if is_published and is_announced else (),
        )
        if not self._table.change(change):
            raise ConcurrentModification(f"the place of enrollment {enrollment.id} has another by now")

    def unconfirmed(self, until: Instant) -> Iterator[StoredEnrollment]:
        """Start at another shard each minute, so that a shard with many entries does not starve the others."""
        first = until // MINUTE_MS
        for number in range(UNCONFIRMED_SHARDS):
            those = Expression(
                "unconfirmedShard = :shard AND publishAt < :until",
                shard=str((first + number) % UNCONFIRMED_SHARDS),
                until=until,
            )
            for page in self._table.pages(those, IndexName=UNCONFIRMED, ConsistentRead=False, Limit=PAGE):
                yield from (one for one in self._whole(page) if not one.is_confirmed)

    def of_record(self, record_key: RecordKey, limit: int, before: str | None = None) -> Sequence[StoredEnrollment]:
        those = _before("pk = :record", before, record=str(record_key))
        items = self._table.query(those, index="by-time", newest_first=True, page=limit)
        return self._whole(itertools.islice(items, limit))

    def of_flow(
        self, portal_id: str, flow_id: str, limit: int, before: str | None = None
    ) -> Sequence[StoredEnrollment]:
        """The index follows the writes within a second."""
        shards = [
            self._table.query(
                _before("flowShard = :shard", before, shard=join(portal_id, flow_id, str(number))),
                index="by-flow",
                is_consistent=False,
                newest_first=True,
                page=limit,
            )
            for number in range(SHARDS)
        ]
        newest = heapq.merge(*shards, key=lambda item: item["enrolledAt"], reverse=True)
        return self._whole(itertools.islice(newest, limit))

    def get(self, portal_id: str, enrollment_id: str) -> StoredEnrollment | None:
        """The index follows the writes within a second."""
        found = self._table.query(
            Expression("enrollmentId = :id", id=enrollment_id), index="by-id", is_consistent=False, page=2
        )
        mine = (
            one for one in self._whole(itertools.islice(found, 2)) if one.enrollment.record_key.portal_id == portal_id
        )
        return next(mine, None)

    def _whole(self, of_index: Iterable[Item]) -> list[StoredEnrollment]:
        """The items of which an index has the keys, in their order."""
        keys = [(item["pk"], item["sk"]) for item in of_index]
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


def _before(condition: str, before: str | None, **values: str) -> Expression:
    if before is None:
        return Expression(condition, **values)
    return Expression(f"{condition} AND enrolledAt < :before", **values, before=before)


def _place(flow_id: str, event_id: str | None = None) -> str:
    return join(flow_id) if event_id is None else join(flow_id, event_id)


def _place_of(enrollment: Enrollment) -> str:
    """The record's first enrollment in a flow has one place, whatever the flow's setting and the event, so that two
    events, or two deliveries that met different settings, can't both be the first."""
    return _place(enrollment.flow_id, enrollment.cause.event_id if enrollment.is_re_enrollment else None)


def _shard(enrollment: Enrollment) -> str:
    return join(enrollment.record_key.portal_id, enrollment.flow_id, str(_number(enrollment, SHARDS)))


def _number(enrollment: Enrollment, shards: int) -> int:
    """The enrollments of one record are in one shard."""
    return zlib.crc32(str(enrollment.record_key).encode()) % shards
