"""What an event changed of its record, as the trigger groups of filter-based flows see it.

The groups that a tree of filters is compiled to (``entry_compilation``) have filters on the properties of a
``RecordChange``, not on those of an event. An equality that must hold is a filter on the values that the record has
from the event on. A change that arrives late can enroll the record at a later change, so later values count too.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from msgspec import Struct

from enrollment.domain.events.associated_change import ChangedParts, changed_parts, changed_record
from enrollment.domain.events.event import Event
from enrollment.domain.events.event_types import RecordEffect
from enrollment.domain.events.moments import Moment
from enrollment.domain.operators.filters import PropertyFilter
from enrollment.domain.operators.property_operators import Lookup, Operation, OperationType
from enrollment.domain.records.record import (
    Record,
    changed_association_types,
    changed_memberships,
    changed_properties,
    membership_rejection_reason,
)
from enrollment.domain.values import Value, as_text, is_missing, read_name

RECORD_CHANGED = "record.changed"
"""The list of candidates for a change that the event's own type does not name: a snapshot of the record. It is no event
type of the catalog. It contains all filter-based flows."""

CAUSES = "causes"
"""The property of a RecordChange with everything that changed."""
CREATED = "created"
ANY_CHANGE = "any change"

ASSOCIATED_CAUSES = "causes for associated records"
"""The property of a RecordChange with everything that changed, as the flows of associated records see it."""

_VALUES = "values of "
_MEMBERSHIPS = "memberships"


def property_cause(name: str) -> str:
    """Return the cause for a change of a property."""
    return f"property {name}"


def list_cause(list_id: str) -> str:
    """Return the cause for a change of a list membership. ``list_id``: as ``read_name`` returns it."""
    return f"list {list_id}"


def association_cause(object_type_id: str) -> str:
    """Return the cause for a change of an association with a record of this type."""
    return f"association {object_type_id}"


def associated_cause(object_type_id: str, cause: str) -> str:
    """Return the cause for a change of an associated record of this type. ``cause``: of the record itself."""
    return f"associated {object_type_id} {cause}"


def _associated_causes(object_type_id: str, parts: ChangedParts) -> frozenset[str]:
    """Return the causes for a change of an associated record. Every flow with criteria about such records names its
    creation, so a change without named parts finds them all."""
    named = [*map(property_cause, parts.properties), *map(list_cause, parts.lists)]
    causes = [*named, ANY_CHANGE] if named else [CREATED]
    return frozenset(associated_cause(object_type_id, cause) for cause in causes)


class RecordChange(Struct, frozen=True, eq=False):
    """The change that an event made to its record, which is stored. ``names``: the properties that the event sets.
    ``lists``: the lists that it is about. ``associated``: the object types of the associations that it is about.
    ``creates``: the record was created by this event."""

    event: Event
    record: Record
    names: frozenset[str]
    lists: frozenset[str]
    creates: bool
    associated: frozenset[str] = frozenset()

    @property
    def properties(self) -> Mapping[str, Any]:
        """The properties that the filters of a compiled group read. Computed when they are read."""
        return _ChangeProperties(self)

    @property
    def further_list(self) -> str | None:
        """The list of candidates with flows that are concerned and not in a list of an event type of the catalog."""
        if self.event.event_type.effect is RecordEffect.CHANGES_ASSOCIATED_RECORD:
            return self.event.event_type.name
        return RECORD_CHANGED if self._needs_record_list() else None

    def _needs_record_list(self) -> bool:
        effect = self.event.event_type.effect
        if effect is RecordEffect.CREATES:
            return False  # Its list has all filter-based flows.
        if self.creates:
            return True
        if effect is RecordEffect.CHANGES_PROPERTY or self.event.record_properties is None:
            return False  # Its list has all flows with a filter on a property.
        return any(self.changes_value(name) for name in self.event.record_properties)

    def parts_for_associated(self) -> ChangedParts | None:
        """Return what can concern the flows of associated records. None: the event changed nothing of the record."""
        if self.is_creation:
            return ChangedParts()
        is_unchanged = membership_rejection_reason(self.event, self.record) is not None
        names = frozenset(name for name in self.names if self.changes_value(name))
        lists = frozenset[str]() if is_unchanged else self.lists
        return ChangedParts(names, lists) if names or lists else None

    @property
    def is_creation(self) -> bool:
        """Whether the event created the record, or is about its creation."""
        return self.creates or self.event.event_type.effect is RecordEffect.CREATES

    def changes_value(self, name: str) -> bool:
        """Whether the value of a property differs from that just before the change. All changes of one millisecond are
        one change, so the value that another event brought in the same millisecond is not the one before."""
        moment = self.record.moment(self.event)
        before = self._value_at(name, moment.just_before()) if self.record.existed_before(self.event) else None
        value = self._value_at(name, moment)
        if is_missing(before) or is_missing(value):
            return is_missing(before) != is_missing(value)
        return as_text(before) != as_text(value)

    def _value_at(self, name: str, moment: Moment) -> Value:
        changes = self.record.property_changes(name, moment)
        return changes[-1].value if changes else None


def record_change(event: Event, record: Record | None) -> RecordChange | None:
    """Return what the event changed. None: it changed no record, or the record does not exist.

    ``record``: as it is stored, with the change of the event, and with the properties that changed together with it.
    """
    if record is None or not record.exists:
        return None
    names, lists = frozenset(changed_properties(event)), frozenset(changed_memberships(event))
    creates = record.created_at == record.creation_at(event.occurred_at) and (
        event.event_type.effect is RecordEffect.CREATES or event.record_properties is not None
    )
    associated = changed_association_types(event)
    is_announced = event.event_type.effect in (RecordEffect.CREATES, RecordEffect.CHANGES_ASSOCIATED_RECORD)
    if not (names or lists or creates or associated or is_announced):
        return None
    return RecordChange(event, record, names, lists, creates, associated)


class _ChangeProperties(Mapping[str, Any]):
    """The properties of a RecordChange: names of causes, values of properties, IDs of lists."""

    __slots__ = ("_change",)

    def __init__(self, change: RecordChange) -> None:
        self._change = change

    def __getitem__(self, key: str) -> Any:
        if key == CAUSES:
            return self._causes()
        if key == ASSOCIATED_CAUSES:
            parts = self._change.parts_for_associated()
            return None if parts is None else _associated_causes(self._change.event.object_type_id, parts)
        if key == _MEMBERSHIPS:
            return self._memberships()
        if key.startswith(_VALUES):
            return self._values(key.removeprefix(_VALUES))
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter((CAUSES, ASSOCIATED_CAUSES, _MEMBERSHIPS))

    def __len__(self) -> int:
        return 3

    def _causes(self) -> frozenset[str]:
        change = self._change
        if (changed := changed_record(change.event)) is not None:
            return _associated_causes(changed.object_type_id, changed_parts(change.event))
        return frozenset(
            {
                ANY_CHANGE,
                *([CREATED] if change.is_creation else []),
                *map(property_cause, change.names),
                *map(list_cause, change.lists),
                *map(association_cause, change.associated),
            }
        )

    def _values(self, name: str) -> tuple[Value, ...]:
        moment = self._change.record.moment(self._change.event)
        return self._change.record.values_from(name, moment)

    def _memberships(self) -> frozenset[str]:
        moment = self._change.record.moment(self._change.event)
        return self._change.record.memberships_from(moment)


# Filters on these properties --------------------------------------------------------------------------------------


def _each(items: Any) -> Any:
    return items


_NAMES = OperationType(
    name="ENUMERATION",
    keys=("values",),
    operand=lambda document: tuple(document["values"]),
    read=_each,
    tests=MappingProxyType({"IS_ANY_OF": lambda names, operand: not names.isdisjoint(operand)}),
    on_events=frozenset(),
    lookups=MappingProxyType({"IS_ANY_OF": Lookup(_each, _each)}),
)
"""A set of names, without separators and without case folding."""

_OF_SEVERAL: dict[OperationType, OperationType] = {}


def cause_filter(causes: frozenset[str]) -> PropertyFilter:
    """Return a filter that holds if one of the causes is among what changed."""
    return _names_filter(CAUSES, tuple(sorted(causes)))


def associated_cause_filter(causes: frozenset[str]) -> PropertyFilter:
    """Return a filter that holds if one of the causes is among what changed of the associated record itself."""
    return _names_filter(ASSOCIATED_CAUSES, tuple(sorted(causes)))


def member_filter(list_id: str) -> PropertyFilter:
    """Return a filter that holds if the record is a member of the list at the event, or later."""
    return _names_filter(_MEMBERSHIPS, (read_name(list_id),))


def value_filter(name: str, operation: Operation) -> PropertyFilter:
    """Return a filter that holds if a value of the property, at the event or later, satisfies the operation. The
    operation must reject a missing value, and support a lookup."""
    kind = _of_several(operation.type)
    return PropertyFilter(
        f"{_VALUES}{name}",
        Operation(
            type=kind,
            operator=operation.operator,
            operand=operation.operand,
            include_missing=False,
            given=operation.given,
            test=kind.tests[operation.operator],
            accepts_missing=False,
        ),
    )


def _names_filter(name: str, values: tuple[str, ...]) -> PropertyFilter:
    given = {"operationType": "ENUMERATION", "operator": "IS_ANY_OF", "values": list(values)}
    operation = Operation(_NAMES, "IS_ANY_OF", values, False, given, _NAMES.tests["IS_ANY_OF"], False)
    return PropertyFilter(name, operation)


def _of_several(kind: OperationType) -> OperationType:
    """Return the type of an operation on several values, of which one must satisfy it. One object for each type."""
    if kind not in _OF_SEVERAL:
        _OF_SEVERAL[kind] = OperationType(
            name=kind.name,
            keys=kind.keys,
            operand=kind.operand,
            read=lambda values: _readings(kind, values),
            tests=MappingProxyType({operator: _any_test(test) for operator, test in kind.tests.items()}),
            on_events=frozenset(),
            lookups=MappingProxyType({operator: _any_lookup(each) for operator, each in kind.lookups.items()}),
        )
    return _OF_SEVERAL[kind]


def _readings(kind: OperationType, values: Any) -> tuple[Any, ...] | None:
    readings = (kind.read(value) for value in values if not is_missing(value))
    return tuple(reading for reading in readings if reading is not None) or None


def _any_test(test: Any) -> Any:
    return lambda readings, operand: any(test(reading, operand) for reading in readings)


def _any_lookup(lookup: Lookup) -> Lookup:
    return Lookup(
        lambda readings: dict.fromkeys(part for reading in readings for part in lookup.parts(reading)), lookup.wanted
    )
