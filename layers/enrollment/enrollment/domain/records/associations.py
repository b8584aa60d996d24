"""Which records belong together, and as what."""

from collections.abc import Mapping, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from enrollment.domain.events.moments import Moment
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.record import Stamp, TimestampedValue, merged, until
from enrollment.domain.values import Instant

CATEGORIES = ("HUBSPOT_DEFINED", "USER_DEFINED", "INTEGRATOR_DEFINED")


class AssociationType(Struct, frozen=True, order=True):
    """As HubSpot writes it. A type has a direction: contact to company is 279, company to contact 280."""

    category: str
    type_id: int


class Association(Struct, frozen=True):
    """How ``record`` is associated with ``other``: each type, whether it holds, and since when; ``earlier``: what was
    before. ``version`` counts the stored changes; 0: not stored yet."""

    record: RecordKey
    other: RecordKey
    types: Mapping[AssociationType, TimestampedValue] = field(default_factory=dict)
    version: int = 0
    earlier: Mapping[AssociationType, tuple[TimestampedValue, ...]] = field(default_factory=dict)

    @property
    def held(self) -> Sequence[AssociationType]:
        return sorted(kind for kind, dated in self.types.items() if dated.value is True)

    def held_at(self, kind: AssociationType, moment: Moment) -> bool:
        """As it was at a moment."""
        changes = until(self.types.get(kind), self.earlier.get(kind, ()), moment)
        return bool(changes) and changes[-1].value is True

    def held_since(self, instant: Instant) -> Sequence[AssociationType]:
        """Those that were set after an instant, as the deletion of one of the records."""
        return [kind for kind in self.held if self.types[kind].changed_at > instant]


# Earlier states kept of each type between two records.
HISTORY_LENGTH = 5


def associated(association: Association, kinds: Sequence[AssociationType], at: Instant, *, holds: bool) -> Association:
    """With the types set or removed as of an instant; the later change of each type wins. The same object when nothing
    changed."""
    changes = dict.fromkeys(kinds, holds)
    types, earlier = merged(association.types, association.earlier, changes, Stamp(at), HISTORY_LENGTH)
    if types is association.types and earlier is association.earlier:
        return association
    return replace(association, types=types, earlier=earlier)


# HubSpot's ids of the unlabelled types, there and back, and of the primary company.
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
    for (one, two), (to_two, to_one) in table.items()
    for source, target, there, back in ((one, two, to_two, to_one), (two, one, to_one, to_two))
}


def default_type(object_type_id: str, other_type_id: str) -> AssociationType | None:
    """HubSpot's unlabelled type of a pair of object types; None where it has no public id."""
    there = _DEFAULTS.get((object_type_id, other_type_id))
    back = _DEFAULTS.get((other_type_id, object_type_id))
    number = there[0] if there else back[1] if back else None
    return None if number is None else AssociationType("HUBSPOT_DEFINED", number)


def inverse(object_type_id: str, other_type_id: str, kind: AssociationType) -> AssociationType | None:
    """The same association, seen from the other record; None when its id there is not known here."""
    if kind.category != "HUBSPOT_DEFINED":
        return None
    back = _INVERSES.get((object_type_id, other_type_id, kind.type_id))
    return None if back is None else AssociationType(kind.category, back)
