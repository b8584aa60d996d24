"""When a record starts to meet criteria (docs/flows.md, "Filter-based flows").

A record starts to meet criteria at a change if they hold after the change and did not hold just before it. No
outcome is stored: both are evaluated on the history of the record.
"""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from enrollment.domain.criteria.criteria import (
    AllOf,
    AnyOf,
    AssociatedWith,
    ConstantFilter,
    Criteria,
    ListFilter,
    Not,
    RecordFilter,
)
from enrollment.domain.records.record import MODIFICATION_PROPERTIES
from enrollment.domain.records.record_snapshot import AssociationRequirement, RecordSnapshot
from enrollment.domain.values import Instant, read_name


class Transition(Struct, frozen=True):
    """A record after a change, and just before it.

    ``at``: when the change happened. ``latest``: the last millisecond at which it can have happened. ``before`` None:
    the record did not exist.
    """

    at: Instant
    latest: Instant
    before: RecordSnapshot | None
    after: RecordSnapshot


def starts_to_meet(criteria: Criteria, transitions: Iterable[Transition], since: Instant) -> Transition | None:
    """Return the first transition at which the record starts to meet the criteria. None: there is no such transition.

    ``transitions``: in the order of time. ``since``: those whose change happened earlier do not count.
    """
    for transition in transitions:
        if transition.latest >= since and becomes_true(criteria, transition):
            return transition
    return None


def becomes_true(criteria: Criteria, transition: Transition) -> bool:
    """Whether the criteria hold after the change and did not hold just before it."""
    return criteria.holds(transition.after) and not held_before(criteria, transition)


def held_before(criteria: Criteria, transition: Transition) -> bool:
    """Whether the criteria held just before the change. A record that did not exist met no criteria."""
    return transition.before is not None and criteria.holds(transition.before)


def meaning(criteria: Criteria | None) -> Hashable:
    """Return a value that is equal for criteria with the same meaning, in whatever order and notation the flow JSON has
    their filters. A branch with a single part has the meaning of that part."""
    match criteria:
        case AllOf() | AnyOf():
            parts = frozenset(map(meaning, criteria.parts))
            return next(iter(parts)) if len(parts) == 1 else (type(criteria).__name__, parts)
        case Not():
            return "Not", meaning(criteria.part)
        case AssociatedWith():
            return criteria.object_type_id, criteria.kind, criteria.is_in, meaning(criteria.criteria)
        case ListFilter():
            return read_name(criteria.list_id), criteria.is_member
        case _:
            return criteria


class Mentions(Struct, frozen=True):
    """What criteria depend on.

    ``properties``: names of properties of the record. ``lists``: list IDs, as ``read_name`` returns them.
    ``associations``: the associated records. ``any_change``: every change of the record can change the result.
    ``associated``: what they depend on of the associated records, by requirement. It has the keys ``associations``.
    """

    properties: frozenset[str] = frozenset()
    lists: frozenset[str] = frozenset()
    associations: frozenset[AssociationRequirement] = frozenset()
    any_change: bool = False
    associated: Mapping[AssociationRequirement, "Mentions"] = MappingProxyType({})

    def union(self, other: "Mentions") -> "Mentions":
        return Mentions(
            self.properties | other.properties,
            self.lists | other.lists,
            self.associations | other.associations,
            self.any_change or other.any_change,
            _united([*self.associated.items(), *other.associated.items()]),
        )

    def of_associated(self, object_type_id: str) -> "Mentions":
        """Return what the criteria depend on of associated records of one type."""
        united = Mentions()
        for (each_type, _), mentioned in self.associated.items():
            if each_type == object_type_id:
                united = united.union(mentioned)
        return united


def mentions(criteria: Criteria) -> Mentions:
    """Return the properties, lists and associations of the record that the criteria depend on. The filters of an
    ASSOCIATION branch are about the other records, so their properties are in ``associated``."""
    branches = _association_branches(criteria)
    associated = _united((branch.need, _mentioned(_parts(branch.criteria))) for branch in branches)
    return replace(_mentioned(_parts(criteria)), associations=frozenset(associated), associated=associated)


def associated_filters(criteria: Criteria) -> int:
    """Return the number of filters that are evaluated for each associated record. A branch without filters counts as
    one."""
    return sum(max(1, len(list(_parts(branch.criteria)))) for branch in _association_branches(criteria))


def _united(
    mentioned: Iterable[tuple[AssociationRequirement, Mentions]],
) -> Mapping[AssociationRequirement, Mentions]:
    united: dict[AssociationRequirement, Mentions] = {}
    for requirement, each in mentioned:
        united[requirement] = united[requirement].union(each) if requirement in united else each
    return united


def _mentioned(parts: Iterable[RecordFilter | ListFilter | ConstantFilter]) -> Mentions:
    """Return what filters on one record depend on."""
    properties: set[str] = set()
    lists: set[str] = set()
    for part in parts:
        match part:
            case RecordFilter():
                properties.add(part.property)
                properties.update(_compared_properties(part.operation.given))
            case ListFilter():
                lists.add(read_name(part.list_id))
    any_change = not MODIFICATION_PROPERTIES.isdisjoint(properties)
    return Mentions(frozenset(properties), frozenset(lists), any_change=any_change)


def _parts(criteria: Criteria) -> Iterator[RecordFilter | ListFilter | ConstantFilter]:
    """Yield the filters about the record itself."""
    match criteria:
        case AllOf() | AnyOf() | Not():
            for part in criteria.parts:
                yield from _parts(part)
        case AssociatedWith():
            return
        case _:
            yield criteria


def _association_branches(criteria: Criteria) -> Iterator[AssociatedWith]:
    match criteria:
        case AssociatedWith():
            yield criteria
        case AllOf() | AnyOf() | Not():
            for part in criteria.parts:
                yield from _association_branches(part)


_TIME_POINTS = ("timePoint", "lowerBoundTimePoint", "upperBoundTimePoint")


def _compared_properties(operation: Mapping[str, Any]) -> Sequence[str]:
    """Return the other properties that an operation of the flow JSON reads."""
    names = [operation.get("comparisonPropertyName")]
    points = (operation.get(key) for key in _TIME_POINTS)
    names += [point.get("property") for point in points if isinstance(point, Mapping)]
    return [read_name(name) for name in names if isinstance(name, str)]
