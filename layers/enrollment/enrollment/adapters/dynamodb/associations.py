"""Associations in DynamoDB, for the event path. Each direction is an item in the partition of its source record."""

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
    """The port Associations for the event path. Reads are strongly consistent.

    The attribute `types` is a list with an entry for each association type: [category, type ID, change, …]. A change is
    [whether the type applied after it, its time]; the oldest is first."""

    def __init__(self, tables: Tables) -> None:
        self._table = tables.records

    def get(self, record: RecordKey, other: RecordKey) -> Association:
        """Return the association from the view of ``record``. It has the version 0 if nothing is stored."""
        item = self._table.get(str(record), association_place(other.object_type_id, other.object_id))
        return Association(record, other) if item is None else read_association(record, item)

    def of(self, record: RecordKey, object_type_id: str, limit: int, after: str = "") -> Sequence[Association]:
        """Return associations that have a current type, sorted by the ID of the other record. ``after``: such an ID."""
        current = (association for association in self._all(record, object_type_id, after) if association.held)
        return list(itertools.islice(current, limit))

    def _all(self, record: RecordKey, object_type_id: str, after: str) -> Iterator[Association]:
        prefix, last = association_place(object_type_id, ""), association_place(object_type_id, after)
        # "0" follows "/", so every sort key that begins with the prefix is in between.
        end = f"{prefix[:-1]}0"
        condition = Expression("pk = :record AND sk BETWEEN :last AND :end", record=str(record), last=last, end=end)
        for item in self._table.query(condition):
            if item["sk"] != last:
                yield read_association(record, item)

    def all_of(self, record: RecordKey, object_type_id: str, limit: int, after: str = "") -> Sequence[Association]:
        """Return associations that have, or had, a type, sorted by the ID of the other record. ``after``: such an
        ID."""
        return list(itertools.islice(self._all(record, object_type_id, after), limit))

    def save(self, associations: Sequence[Association]) -> None:
        """Write all in one transaction. Raises ConcurrentModification if one has another version by now."""
        items = [(association_item(association), is_at(association.version)) for association in associations]
        self._table.put_all(items, "the association")


def association_place(object_type_id: str, object_id: str) -> str:
    """Return the sort key of an association with this record. With an empty ID, it is the prefix of the object type."""
    return join(ASSOCIATED, object_type_id, object_id)


def association_item(association: Association, write: Callable[[Any], Any] = json.dumps) -> Item:
    """Return the item of the next version. ``write`` encodes the attribute that is stored as JSON."""
    types = []
    for association_type, current in association.types.items():
        changes = (*association.earlier.get(association_type, ()), current)
        encoded_changes = ([change.value, change.changed_at] for change in changes)
        types.append([association_type.category, association_type.type_id, *encoded_changes])
    return {
        "pk": str(association.record),
        "sk": association_place(association.other.object_type_id, association.other.object_id),
        "version": association.version + 1,
        "types": write(types),
    }


def read_association(record: RecordKey, item: Item, read: Callable[[Any], Any] = json.loads) -> Association:
    """Return the association that an item in the record's partition stores. ``read`` decodes the JSON attribute."""
    _, object_type_id, object_id = split(item["sk"])
    changes_of_type = {
        AssociationType(category, int(type_id)): tuple(TimestampedValue(applies, at) for applies, at in changes)
        for category, type_id, *changes in read(item["types"])
    }
    return Association(
        record=record,
        other=RecordKey(record.portal_id, object_type_id, object_id),
        types={association_type: changes[-1] for association_type, changes in changes_of_type.items()},
        earlier={
            association_type: changes[:-1] for association_type, changes in changes_of_type.items() if len(changes) > 1
        },
        version=item["version"],
    )
