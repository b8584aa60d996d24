"""Associations between records, and HubSpot's association types."""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from enrollment.domain.events.moments import Moment
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.record import Stamp, TimestampedValue, merge_values, until
from enrollment.domain.values import LATEST, Instant

CATEGORIES = ("HUBSPOT_DEFINED", "USER_DEFINED", "INTEGRATOR_DEFINED")


class AssociationType(Struct, frozen=True, order=True):
    """A type in HubSpot's notation. A type has a direction: contact to company is 279, company to contact is 280.

    ``category``: one of CATEGORIES.
    """

    category: str
    type_id: int


class Association(Struct, frozen=True):
    """The association of ``record`` with ``other``, seen from ``record``.

    ``types``: whether each type is set, and since when. ``earlier``: the previous states, oldest first. ``version``:
    the number of stored changes, for optimistic locking; 0: not stored yet.
    """

    record: RecordKey
    other: RecordKey
    types: Mapping[AssociationType, TimestampedValue] = field(default_factory=dict)
    version: int = 0
    earlier: Mapping[AssociationType, tuple[TimestampedValue, ...]] = field(default_factory=dict)

    @property
    def held(self) -> Sequence[AssociationType]:
        """The types that are set now, sorted."""
        return sorted(kind for kind, dated in self.types.items() if dated.value is True)

    def last_change(self, kind: AssociationType) -> TimestampedValue | None:
        """The change since which a type is set, or removed. None: it was never set. Writing the same state again is no
        change."""
        current = self.types.get(kind)
        for state in reversed(self.earlier.get(kind, ())):
            if current is None or state.value != current.value:
                break
            current = state
        return current

    def changes(self, kind: AssociationType) -> Sequence[TimestampedValue]:
        """The changes of a type that are kept, oldest first."""
        current = self.types.get(kind)
        return () if current is None else (*self.earlier.get(kind, ()), current)

    def held_at(self, kind: AssociationType, moment: Moment) -> bool:
        """Whether a type was set at a moment."""
        changes = until(self.types.get(kind), self.earlier.get(kind, ()), moment)
        return bool(changes) and changes[-1].value is True

    def held_from(self, instant: Instant, kinds: Iterable[AssociationType] | None = None) -> bool:
        """Whether one of the types was set at an instant or later. ``kinds`` None: any type."""
        for kind in self.types if kinds is None else kinds:
            changes = self.changes(kind)
            ends = [*(change.changed_at for change in changes[1:]), LATEST + 1]
            if any(change.value is True and end > instant for change, end in zip(changes, ends, strict=False)):
                return True
        return False

    def held_since(self, instant: Instant) -> Sequence[AssociationType]:
        """Return the types that were set after an instant, for example after one of the records was deleted."""
        return [kind for kind in self.held if self.types[kind].changed_at > instant]


# Previous states that are kept of each type between two records.
HISTORY_LENGTH = 5


def associated(association: Association, kinds: Sequence[AssociationType], at: Instant, *, holds: bool) -> Association:
    """Return the association with the types set (``holds``) or removed as of an instant. The same object if nothing
    changed. The later change of each type wins."""
    changes = dict.fromkeys(kinds, holds)
    types, earlier = merge_values(association.types, association.earlier, changes, Stamp(at), HISTORY_LENGTH)
    if types is association.types and earlier is association.earlier:
        return association
    return replace(association, types=types, earlier=earlier)


# HubSpot's IDs of the unlabelled types in both directions, and of the primary company.
_DEFAULTS = {
    ("0-1", "0-1"): (449, 449),
    ("0-1", "0-2"): (279, 280),
    ("0-1", "0-3"): (4, 3),
    ("0-1", "0-5"): (15, 16),
    ("0-2", "0-2"): (450, 450),
    ("0-2", "0-3"): (342, 341),
    ("0-2", "0-5"): (340, 339),
    ("0-3", "0-3"): (451, 451),
    ("0-3", "0-5"): (27, 28),
    ("0-3", "0-8"): (19, 20),
    ("0-5", "0-5"): (452, 452),
}
_PRIMARIES = {("0-1", "0-2"): (1, 2), ("0-3", "0-2"): (5, 6), ("0-5", "0-2"): (26, 25)}

_INVERSES = {
    (source, target, there): back
    for table in (_DEFAULTS, _PRIMARIES)
    for (first, second), (to_second, to_first) in table.items()
    for source, target, there, back in ((first, second, to_second, to_first), (second, first, to_first, to_second))
}


def default_type(object_type_id: str, other_type_id: str) -> AssociationType | None:
    """Return HubSpot's unlabelled type from one object type to another. None if it has no public ID."""
    there = _DEFAULTS.get((object_type_id, other_type_id))
    back = _DEFAULTS.get((other_type_id, object_type_id))
    number = there[0] if there else back[1] if back else None
    return None if number is None else AssociationType("HUBSPOT_DEFINED", number)


def inverse(object_type_id: str, other_type_id: str, kind: AssociationType) -> AssociationType | None:
    """Return the type of the same association in the other direction. None if HubSpot publishes no ID for it."""
    if kind.category != "HUBSPOT_DEFINED":
        return None
    back = _INVERSES.get((object_type_id, other_type_id, kind.type_id))
    return None if back is None else AssociationType(kind.category, back)
