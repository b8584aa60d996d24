"""Associations in DynamoDB: one item for each direction, beside the record that it is seen from."""

import itertools
from collections.abc import Iterator, Sequence

from pynamodb.transactions import TransactWrite

from enrollment.adapters.tables import AssociationItem, Tables, write_all
from enrollment.domain.associations import Association, AssociationType
from enrollment.domain.identifiers import RecordKey, join, split
from enrollment.domain.records import Dated

ASSOCIATED = "associated"


class DynamoAssociations:
    def __init__(self, tables: Tables) -> None:
        self._items = tables.associations
        self._connection = tables.connection

    def get(self, record: RecordKey, other: RecordKey) -> Association:
        try:
            item = self._items.get(str(record), _place(other.object_type_id, other.object_id), consistent_read=True)
        except self._items.DoesNotExist:
            return Association(record, other)
        return _association(record, item)

    def of(self, record: RecordKey, object_type_id: str, limit: int, after: str = "") -> Sequence[Association]:
        found = (one for one in self._all(record, object_type_id, after) if one.held)
        return [one for one, _ in zip(found, range(limit), strict=False)]

    def _all(self, record: RecordKey, object_type_id: str, after: str) -> Iterator[Association]:
        first, last = _place(object_type_id, ""), _place(object_type_id, after)
        # '0' follows '/': between them lies all that begins with the place.
        condition = self._items.sk.between(last, f"{first[:-1]}0")
        for item in self._items.query(str(record), condition, consistent_read=True):
            if item.sk != last:
                yield _association(record, item)

    def all_of(self, record: RecordKey, object_type_id: str, limit: int) -> Sequence[Association]:
        return list(itertools.islice(self._all(record, object_type_id, ""), limit))

    def save(self, associations: Sequence[Association]) -> None:
        def fill(transaction: TransactWrite) -> None:
            for one in associations:
                item = self._items(
                    str(one.record),
                    _place(one.other.object_type_id, one.other.object_id),
                    version=one.version + 1,
                    types=[
                        [
                            kind.category,
                            kind.type_id,
                            *([at.value, at.changed_at] for at in (*one.earlier.get(kind, ()), now)),
                        ]
                        for kind, now in one.types.items()
                    ],
                )
                is_new = one.version == 0
                condition = self._items.pk.does_not_exist() if is_new else self._items.version == one.version
                transaction.save(item, condition=condition)

        write_all(fill, self._connection, "the association")


def _place(object_type_id: str, object_id: str) -> str:
    return join(ASSOCIATED, object_type_id, object_id)


def _association(record: RecordKey, item: AssociationItem) -> Association:
    _, object_type_id, object_id = split(item.sk)
    changes = {
        AssociationType(category, int(number)): tuple(Dated(holds, at) for holds, at in many)
        for category, number, *many in item.types
    }
    return Association(
        record=record,
        other=RecordKey(record.portal_id, object_type_id, object_id),
        types={kind: many[-1] for kind, many in changes.items()},
        earlier={kind: many[:-1] for kind, many in changes.items() if len(many) > 1},
        version=int(item.version),
    )
