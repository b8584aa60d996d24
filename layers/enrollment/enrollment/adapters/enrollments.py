"""Enrollments in DynamoDB."""

import heapq
import itertools
import zlib
from collections.abc import Callable, Mapping, Sequence

from pynamodb.exceptions import PutError
from pynamodb.expressions.update import Action

from enrollment.adapters.tables import EnrollmentItem, Tables, read_batch
from enrollment.domain.enrollments import Enrolled, Enrollment, StoredEnrollment
from enrollment.domain.identifiers import RecordKey, join
from enrollment.domain.values import Instant, iso

# Partitions of a flow in the index by flow. Each takes about 1,000 enrollments a second.
SHARDS = 16


class DynamoEnrollments:
    """``write`` and ``read`` are the message's text, so that what is stored is what is published."""

    def __init__(self, tables: Tables, write: Callable[[Enrollment], str], read: Callable[[str], Enrollment]) -> None:
        self._items = tables.enrollments
        self._write = write
        self._read = read

    def find(self, record_key: RecordKey, event_id: str, flow_ids: Sequence[str]) -> Mapping[str, Enrolled]:
        keys = [(str(record_key), place) for flow in flow_ids for place in (_place(flow), _place(flow, event_id))]
        items = {item.sk: item for item in read_batch(self._items, keys)}
        return {flow: self._enrolled(items, flow, event_id) for flow in flow_ids}

    def _enrolled(self, items: Mapping[str, EnrollmentItem], flow_id: str, event_id: str) -> Enrolled:
        first = items.get(_place(flow_id))
        own = first if first is not None and first.event_id == event_id else items.get(_place(flow_id, event_id))
        return Enrolled(
            first=None if first is None else self._stored(first), own=None if own is None else self._stored(own)
        )

    def claim(self, enrollment: Enrollment, due_at: Instant | None = None) -> bool:
        item = self._items(
            str(enrollment.record_key),
            _place_of(enrollment),
            enrollment_id=enrollment.id,
            event_id=enrollment.cause.event_id,
            flow_shard=_shard(enrollment),
            enrolled_at=enrollment.position,
            message=self._write(enrollment),
            due_at=due_at,
        )
        try:
            item.save(condition=self._items.pk.does_not_exist())
        except PutError as error:
            if error.cause_response_code == "ConditionalCheckFailedException":
                return False
            raise
        return True

    def confirm(self, enrollment: Enrollment, *, is_published: bool, is_announced: bool, now: Instant) -> None:
        actions: list[Action] = [
            attribute.set(iso(now))
            for attribute, is_done in (
                (self._items.published_at, is_published),
                (self._items.announced_at, is_announced),
            )
            if is_done
        ]
        item = self._items(str(enrollment.record_key), _place_of(enrollment))
        item.update(actions=actions, condition=self._items.enrollment_id == enrollment.id)

    def of_record(self, record_key: RecordKey, limit: int, before: str | None = None) -> Sequence[StoredEnrollment]:
        condition = None if before is None else self._items.enrolled_at < before
        items = self._items.by_time.query(
            str(record_key), condition, scan_index_forward=False, limit=limit, consistent_read=True
        )
        return self._whole([(item.pk, item.sk) for item in items])

    def of_flow(
        self, portal_id: str, flow_id: str, limit: int, before: str | None = None
    ) -> Sequence[StoredEnrollment]:
        """The index follows the writes within a second."""
        condition = None if before is None else self._items.enrolled_at < before
        shards = [
            self._items.by_flow.query(
                join(portal_id, flow_id, str(number)), condition, scan_index_forward=False, limit=limit
            )
            for number in range(SHARDS)
        ]
        newest = heapq.merge(*shards, key=lambda item: item.enrolled_at, reverse=True)
        return self._whole([(item.pk, item.sk) for item in itertools.islice(newest, limit)])

    def get(self, portal_id: str, enrollment_id: str) -> StoredEnrollment | None:
        """The index follows the writes within a second."""
        keys = [(item.pk, item.sk) for item in self._items.by_id.query(enrollment_id, limit=2)]
        mine = (one for one in self._whole(keys) if one.enrollment.record_key.portal_id == portal_id)
        return next(mine, None)

    def _whole(self, keys: Sequence[tuple[str, str]]) -> list[StoredEnrollment]:
        """The items of which an index has the keys, in their order."""
        items = {(item.pk, item.sk): item for item in read_batch(self._items, keys)}
        return [self._stored(items[key]) for key in keys if key in items]

    def _stored(self, item: EnrollmentItem) -> StoredEnrollment:
        return StoredEnrollment(
            self._read(item.message),
            is_published=item.published_at is not None,
            is_announced=item.announced_at is not None,
            due_at=None if item.due_at is None else int(item.due_at),
        )


def _place(flow_id: str, event_id: str | None = None) -> str:
    return join(flow_id) if event_id is None else join(flow_id, event_id)


def _place_of(enrollment: Enrollment) -> str:
    """The record's first enrollment in a flow has one place, whatever the flow's setting and the event, so that two
    events, or two deliveries that met different settings, can't both be the first."""
    return _place(enrollment.flow_id, enrollment.cause.event_id if enrollment.is_re_enrollment else None)


def _shard(enrollment: Enrollment) -> str:
    number = zlib.crc32(str(enrollment.record_key).encode()) % SHARDS
    return join(enrollment.record_key.portal_id, enrollment.flow_id, str(number))
