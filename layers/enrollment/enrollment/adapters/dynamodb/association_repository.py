"""Associations, read and written by the API with PynamoDB models."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from enrollment.adapters.dynamodb.associations import association_item, association_place, read_association
from enrollment.adapters.dynamodb.model_store import ModelStore, Put, is_unchanged
from enrollment.adapters.dynamodb.models import AssociationItem
from enrollment.adapters.dynamodb.tables import Tables
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.associations import Association


class AssociationRepository:
    """The port Associations for the API (``application.ports``). Reads are strongly consistent."""

    def __init__(self, tables: Tables) -> None:
        self._store = ModelStore(tables)

    def get(self, record: RecordKey, other: RecordKey) -> Association:
        """Return the association from the view of ``record``. It has the version 0 if nothing is stored."""
        item = self._store.get(AssociationItem, str(record), association_place(other.object_type_id, other.object_id))
        return Association(record, other) if item is None else read_association(record, item.values, _unchanged)

    def of(self, record: RecordKey, object_type_id: str, limit: int, after: str = "") -> Sequence[Association]:
        """Return associations that have a current type, sorted by the ID of the other record. ``after``: such an ID."""
        current = (association for association in self._all(record, object_type_id, after) if association.held)
        return list(itertools.islice(current, limit))

    def all_of(self, record: RecordKey, object_type_id: str, limit: int, after: str = "") -> Sequence[Association]:
        """Return associations that have, or had, a type, sorted by the ID of the other record. ``after``: such an
        ID."""
        return list(itertools.islice(self._all(record, object_type_id, after), limit))

    def _all(self, record: RecordKey, object_type_id: str, after: str) -> Iterator[Association]:
        prefix, last = association_place(object_type_id, ""), association_place(object_type_id, after)
        # "0" follows "/": every sort key that begins with the prefix is in between.
        condition = AssociationItem.sk.between(last, f"{prefix[:-1]}0")
        for item in self._store.query(AssociationItem, str(record), condition):
            if item.sk != last:
                yield read_association(record, item.values, _unchanged)

    def save(self, associations: Sequence[Association]) -> None:
        """Write all in one transaction. Raises ConcurrentModification if one has another version by now."""
        puts = [
            Put(
                AssociationItem.of(association_item(association, _unchanged)),
                is_unchanged(AssociationItem, association.version),
            )
            for association in associations
        ]
        self._store.put_all(puts, "the association")


def _unchanged(value: Any) -> Any:
    """Return the value as it is, because the model encodes and decodes JSON."""
    return value
