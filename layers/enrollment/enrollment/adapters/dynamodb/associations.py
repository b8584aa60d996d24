"""Associations in DynamoDB: one item for each direction, beside the record that it is seen from."""

import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from enrollment.adapters.dynamodb.schema import ASSOCIATED
from enrollment.adapters.dynamodb.tables import Expression, Item, Tables, is_at
from enrollment.domain.identifiers import RecordKey, join, split
from enrollment.domain.records.associations import Association, AssociationType
from enrollment.domain.records.record import TimestampedValue


class DynamoAssociations:
    """`types`: [category, type id, [whether it held, time of its change], …] of each, oldest first."""

    def __init__(self, tables: Tables) -> None:
        self._table = tables.records

    def get(self, record: RecordKey, other: RecordKey) -> Association:
        item = self._table.get(str(record), association_place(other.object_type_id, other.object_id))
        return Association(record, other) if item is None else read_association(record, item)

    def of(self, record: RecordKey, object_type_id: str, limit: int, after: str = "") -> Sequence[Association]:
        found = (one for one in self._all(record, object_type_id, after) if one.held)
        return [one for one, _ in zip(found, range(limit), strict=False)]

    def _all(self, record: RecordKey, object_type_id: str, after: str) -> Iterator[Association]:
        first, last = association_place(object_type_id, ""), association_place(object_type_id, after)
        # '0' follows '/': between them lies all that begins with the place.
        end = f"{first[:-1]}0"
        those = Expression("pk = :record AND sk BETWEEN :last AND :end", record=str(record), last=last, end=end)
        for item in self._table.query(those):
            if item["sk"] != last:
                yield read_association(record, item)

    def all_of(self, record: RecordKey, object_type_id: str, limit: int) -> Sequence[Association]:
        return list(itertools.islice(self._all(record, object_type_id, ""), limit))

    def save(self, associations: Sequence[Association]) -> None:
        self._table.put_all([(association_item(one), is_at(one.version)) for one in associations], "the association")


def association_place(object_type_id: str, object_id: str) -> str:
    return join(ASSOCIATED, object_type_id, object_id)


def association_item(association: Association, write: Callable[[Any], Any] = json.dumps) -> Item:
    """``write``: of the attribute whose text is JSON."""
    types = [
        [kind.category, kind.type_id, *([at.value, at.changed_at] for at in (*association.earlier.get(kind, ()), now))]
        for kind, now in association.types.items()
    ]
    return {
        "pk": str(association.record),
        "sk": association_place(association.other.object_type_id, association.other.object_id),
        "version": association.version + 1,
        "types": write(types),
    }


def read_association(record: RecordKey, item: Item, read: Callable[[Any], Any] = json.loads) -> Association:
    _, object_type_id, object_id = split(item["sk"])
    changes = {
        AssociationType(category, int(number)): tuple(TimestampedValue(holds, at) for holds, at in many)
        for category, number, *many in read(item["types"])
    }
    return Association(
        record=record,
        other=RecordKey(record.portal_id, object_type_id, object_id),
        types={kind: many[-1] for kind, many in changes.items()},
        earlier={kind: many[:-1] for kind, many in changes.items() if len(many) > 1},
        version=item["version"],
    )
