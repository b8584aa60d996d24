"""An index of the trigger groups of one event type, by which an event finds the flows that it satisfies.

One refinement of each group becomes its key: of those that support a lookup (``property_operators.Lookup``), the one
that the fewest groups have. Each value of the event leads to a bucket with the groups that may match, and with the
other refinements that must hold for each. A group without such a refinement is in a bucket behind a gate: the
refinement that it shares with the most other groups. A group without refinements is behind an empty gate.

For each event, a refinement is tested at most once for all groups that have it, and each value is read at most once.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from msgspec import Struct

from enrollment.domain.flows.flow import Flow, TriggerGroup
from enrollment.domain.operators.filters import PropertyFilter
from enrollment.domain.operators.property_operators import MISSING, Operation, Parts, Read
from enrollment.domain.values import Properties, is_missing


class Satisfied(Struct, frozen=True, eq=False):
    """A flow and one of its trigger groups. As a result of ``matching``, the first that the event satisfies."""

    flow: Flow
    group: TriggerGroup


class _View(Struct, frozen=True, eq=False):
    """A property as operations of one type read it. One object for each pair, so that it is compared by identity."""

    property: str
    read: Read


class _Predicate:
    """A refinement. One object for all groups that have it, so that it is compared by identity."""

    __slots__ = ("__weakref__", "operation", "view")

    def __init__(self, view: _View, operation: Operation) -> None:
        self.view = view
        self.operation = operation


_Needs = tuple[_Predicate, ...]
_Bucket = dict[Satisfied, _Needs]
_Buckets = dict[Any, _Bucket]


class _Table:
    """The lookup table of a property. ``groups``: the number of trigger groups that could use each key. ``buckets``:
    the groups that use it."""

    __slots__ = ("buckets", "groups", "parts", "view")

    def __init__(self, view: _View, parts: Parts) -> None:
        self.view = view
        self.parts = parts
        self.groups: Counter[Hashable] = Counter()
        self.buckets: _Buckets = {}


class _Key(NamedTuple):
    """A refinement that supports a lookup, with the values under which it is found."""

    refinement: PropertyFilter
    table: _Table
    values: tuple[Hashable, ...]

    @property
    def groups(self) -> int:
        """The number of trigger groups that could use the key. The lower it is, the more selective is the key."""
        return sum(map(self.table.groups.__getitem__, self.values))


GroupsOf = Callable[[Flow], Sequence[TriggerGroup]]


def _written_groups(flow: Flow) -> Sequence[TriggerGroup]:
    return flow.groups


class TriggerIndex:
    """Finds the flows whose trigger groups an event satisfies, as ``TriggerGroup.failure`` decides it. Includes flows
    that are off. ``groups_of``: returns the groups of a flow; default: its written ones."""

    def __init__(self, event_type: str, flows: Iterable[Flow] = (), *, groups_of: GroupsOf = _written_groups) -> None:
        self._event_type = event_type
        self._groups_of = groups_of
        self._flows = {flow.id: flow for flow in flows}
        self._tables: dict[tuple[_View, Parts], _Table] = {}
        self._gates: _Buckets = {}
        # The number of groups that share a refinement, among groups that do not support a lookup.
        self._shared: Counter[PropertyFilter] = Counter()
        self._places: dict[str, list[tuple[Satisfied, _Buckets, Iterable[Hashable]]]] = {}
        # For flows with several groups: the groups that follow each of them.
        self._later: dict[Satisfied, Sequence[Satisfied]] = {}
        self._views: dict[tuple[str, Read], _View] = {}
        self._predicates: WeakValueDictionary[PropertyFilter, _Predicate] = WeakValueDictionary()
        # The best key of a group depends on the counts of all groups.
        for flow in self._flows.values():
            self._count(flow, 1)
        for flow in self._flows.values():
            self._place(flow)

    def __len__(self) -> int:
        return len(self._flows)

    def flow(self, flow_id: str) -> Flow | None:
        """Return the flow with this ID. None: the index does not contain it."""
        return self._flows.get(flow_id)

    def put(self, flow: Flow) -> None:
        """Add a flow, or replace the flow with the same ID."""
        self.remove(flow.id)
        self._flows[flow.id] = flow
        self._count(flow, 1)
        self._place(flow)

    def remove(self, flow_id: str) -> None:
        """Remove a flow. Has no effect if the index does not contain it."""
        flow = self._flows.pop(flow_id, None)
        if flow is None:
            return
        self._count(flow, -1)
        for satisfied, buckets, values in self._places.pop(flow_id):
            self._later.pop(satisfied, None)
            for value in values:
                del buckets[value][satisfied]
                if not buckets[value]:
                    del buckets[value]
        for facet in [key for key, table in self._tables.items() if not table.buckets and not table.groups]:
            del self._tables[facet]

    def matching(self, properties: Properties) -> Sequence[Satisfied]:
        """Return the flows that an event with these properties satisfies, each once."""
        event = _Event(properties)
        holds = event.satisfies
        buckets = self._buckets(event)
        # A dict, because the order of a set differs between processes.
        satisfied = {entry: None for bucket in buckets for entry, needs in bucket.items() if not needs or holds(needs)}
        if not self._later.keys().isdisjoint(satisfied):
            for entry in self._later.keys() & satisfied.keys():
                for later in self._later[entry]:
                    satisfied.pop(later, None)
        return list(satisfied)

    def _buckets(self, event: "_Event") -> list[_Bucket]:
        """Return the buckets that the event's values lead to, and those whose gate is satisfied."""
        buckets = [bucket for gate, bucket in self._gates.items() if event.satisfies(gate)]
        for table in self._tables.values():
            reading = event[table.view]
            if reading is not None:
                for part in (MISSING,) if reading is MISSING else table.parts(reading):
                    bucket = table.buckets.get(part)
                    if bucket is not None:
                        buckets.append(bucket)
        return buckets

    def _groups(self, flow: Flow) -> list[TriggerGroup]:
        return [group for group in self._groups_of(flow) if self._event_type in group.event_types]

    def _keys(self, group: TriggerGroup) -> list[_Key]:
        return [key for refinement in group.filters if (key := self._key(refinement)) is not None]

    def _key(self, refinement: PropertyFilter) -> _Key | None:
        operation = refinement.operation
        lookup = operation.type.lookups.get(operation.operator)
        if lookup is None:
            return None
        view = self._view(refinement)
        table = self._tables.get((view, lookup.parts))
        if table is None:
            table = self._tables[view, lookup.parts] = _Table(view, lookup.parts)
        values = tuple(lookup.wanted(operation.operand))
        return _Key(refinement, table, (*values, MISSING) if operation.include_missing else values)

    def _count(self, flow: Flow, change: int) -> None:
        for group in self._groups(flow):
            keys = self._keys(group)
            for key in keys:
                _add(key.table.groups, key.values, change)
            if not keys:
                _add(self._shared, group.filters, change)

    def _place(self, flow: Flow) -> None:
        groups = [Satisfied(flow, group) for group in self._groups(flow)]
        places = self._places[flow.id] = []
        for number, entry in enumerate(groups, 1):
            buckets, values, rest = self._place_of(entry.group)
            for value in values:
                buckets.setdefault(value, {})[entry] = rest
            places.append((entry, buckets, values))
            if number < len(groups):
                self._later[entry] = groups[number:]

    def _place_of(self, group: TriggerGroup) -> tuple[_Buckets, Iterable[Hashable], _Needs]:
        keys = self._keys(group)
        if keys:
            key = min(keys, key=lambda key: key.groups)
            rest = tuple(
                self._predicate(refinement) for refinement in group.filters if refinement is not key.refinement
            )
            return key.table.buckets, key.values, rest
        # The most shared refinement first, because it is the most likely to be tested already.
        shared = sorted(group.filters, key=self._shared.__getitem__, reverse=True)
        needs = tuple(map(self._predicate, shared))
        return self._gates, (needs[:1],), needs[1:]

    def _predicate(self, refinement: PropertyFilter) -> _Predicate:
        predicate = self._predicates.get(refinement)
        if predicate is None:
            predicate = _Predicate(self._view(refinement), refinement.operation)
            self._predicates[refinement] = predicate
        return predicate

    def _view(self, refinement: PropertyFilter) -> _View:
        name = refinement.property, refinement.operation.type.read
        view = self._views.get(name)
        if view is None:
            view = self._views[name] = _View(*name)
        return view


def _add(counter: Counter[Any], keys: Iterable[Hashable], change: int) -> None:
    for key in keys:
        counter[key] += change
        if not counter[key]:
            del counter[key]


class _Event(dict[_View, Any]):
    """The values of an event as operations read them, and the results of refinements. Computed on first use."""

    __slots__ = ("_properties", "_results")

    def __init__(self, properties: Properties) -> None:
        self._properties = properties
        self._results: dict[_Predicate, bool] = {}

    def __missing__(self, view: _View) -> Any:
        value = self._properties.get(view.property)
        reading = self[view] = MISSING if is_missing(value) else view.read(value)
        return reading

    def satisfies(self, needs: _Needs) -> bool:
        """Whether all of these refinements hold."""
        for predicate in needs:
            holds = self._results.get(predicate)
            if holds is None:
                holds = self._results[predicate] = predicate.operation.accepts(self[predicate.view])
            if not holds:
                return False
        return True
