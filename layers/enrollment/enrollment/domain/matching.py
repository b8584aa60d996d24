"""The trigger groups of one event type as an index: an event finds the flows that it satisfies, and asks no others.

Of each group one refinement that can be looked up (``operations.Lookup``) becomes its key, the one for which the fewest
groups ask. The event's own values are what is looked up: each leads to a bucket of the groups that may match, by what
else must hold. A group that can't be looked up waits behind a gate, the refinement that it shares with the most others;
one without refinements behind none. Refinements are tested once an event, for all groups that have them, and each of
the event's values is read once.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from enrollment.domain.filters import PropertyFilter
from enrollment.domain.flows import Flow, TriggerGroup
from enrollment.domain.operations import MISSING, Read, reading
from enrollment.domain.values import Properties


class Satisfied(NamedTuple):
    """A flow, and the first of its trigger groups that matches."""

    flow: Flow
    group: TriggerGroup


class _View(NamedTuple):
    """A property, as operations of one type read it."""

    property: str
    read: Read


class _Facet(NamedTuple):
    """What of a property is looked up."""

    view: _View
    parts: Callable[[Any], Iterable[Hashable]]


class _Predicate:
    """A refinement: one object for all groups that have it, so that its identity says which it is."""

    __slots__ = ("__weakref__", "accepts", "view")

    def __init__(self, one: PropertyFilter) -> None:
        self.view = _View(one.property, one.operation.type.read)
        self.accepts = one.operation.accepts


_Rest = tuple[_Predicate, ...]
_Bucket = dict[_Rest, dict[str, Satisfied]]


class _Place(NamedTuple):
    """Where a group of a flow is kept."""

    buckets: dict[Any, _Bucket]
    key: Hashable
    rest: _Rest


class TriggerIndex:
    """Says of flows what ``TriggerGroup.failure`` says of their groups; whether a flow is on is not looked at."""

    def __init__(self, event_type: str, flows: Iterable[Flow] = ()) -> None:
        self._event_type = event_type
        self._flows: dict[str, Flow] = {}
        self._tables: dict[_Facet, dict[Hashable, _Bucket]] = {}
        self._gates: dict[_Rest, _Bucket] = {}
        # Flows with several groups, with all that must hold for each: for these the first that matches is looked for.
        self._several: dict[str, list[tuple[Satisfied, _Rest]]] = {}
        self._places: dict[str, list[_Place]] = {}
        self._asked: Counter[Hashable] = Counter()
        self._predicates: WeakValueDictionary[PropertyFilter, _Predicate] = WeakValueDictionary()
        # All are counted before the first is placed, so that each finds its best key.
        self._flows.update((flow.id, flow) for flow in flows)
        for flow in self._flows.values():
            self._count(flow, 1)
        for flow in self._flows.values():
            self._place(flow)

    def __len__(self) -> int:
        return len(self._flows)

    def flow(self, flow_id: str) -> Flow | None:
        return self._flows.get(flow_id)

    def put(self, flow: Flow) -> None:
        """Adds the flow, or exchanges the one of its id."""
        self.remove(flow.id)
        self._flows[flow.id] = flow
        self._count(flow, 1)
        self._place(flow)

    def remove(self, flow_id: str) -> None:
        flow = self._flows.pop(flow_id, None)
        if flow is None:
            return
        self._count(flow, -1)
        self._several.pop(flow_id, None)
        for buckets, key, rest in self._places.pop(flow_id, ()):
            bucket = buckets[key]
            del bucket[rest][flow_id]
            if not bucket[rest]:
                del bucket[rest]
            if not bucket:
                del buckets[key]

    def matching(self, properties: Properties) -> Sequence[Satisfied]:
        """The flows that an event with these properties satisfies, each once, in no order."""
        readings = _Readings(properties)
        holds = _Answers(readings).__getitem__
        found: dict[str, Satisfied] = {}
        for bucket in self._opened(readings, holds):
            for rest, satisfied in bucket.items():
                if all(map(holds, rest)):
                    found.update(satisfied)
        for flow_id in found.keys() & self._several.keys():
            found[flow_id] = next(one for one, needs in self._several[flow_id] if all(map(holds, needs)))
        return list(found.values())

    def _opened(self, readings: "_Readings", holds: Callable[[_Predicate], bool]) -> Iterator[_Bucket]:
        for gate, bucket in self._gates.items():
            if all(map(holds, gate)):
                yield bucket
        for (view, parts), table in self._tables.items():
            found = readings[view]
            if found is None:
                continue
            for part in (MISSING,) if found is MISSING else parts(found):
                if part in table:
                    yield table[part]

    def _groups(self, flow: Flow) -> list[TriggerGroup]:
        return [group for group in flow.groups if group.event_type == self._event_type]

    def _count(self, flow: Flow, change: int) -> None:
        for group in self._groups(flow):
            keyed = [key for one in group.filters for key in _keys(one)]
            for asked in keyed or group.filters:
                self._asked[asked] += change
                if not self._asked[asked]:
                    del self._asked[asked]

    def _place(self, flow: Flow) -> None:
        groups = self._groups(flow)
        places: list[_Place] = []
        for group in groups:
            satisfied = Satisfied(flow, group)
            for place in self._places_of(group):
                bucket = place.buckets.setdefault(place.key, {})
                found = bucket.setdefault(place.rest, {})
                if flow.id not in found:
                    found[flow.id] = satisfied
                    places.append(place)
        if places:
            self._places[flow.id] = places
        if len(groups) > 1:
            self._several[flow.id] = [
                (Satisfied(flow, group), tuple(self._predicate(one) for one in group.filters)) for group in groups
            ]

    def _places_of(self, group: TriggerGroup) -> list[_Place]:
        lookups = [one for one in group.filters if one.operation.lookup is not None]
        if not lookups:
            # The most shared first: most likely it is tested already.
            shared = sorted(group.filters, key=lambda one: self._asked[one], reverse=True)
            needs = tuple(self._predicate(one) for one in shared)
            return [_Place(self._gates, needs[:1], needs[1:])]
        chosen = min(lookups, key=lambda one: sum(self._asked[key] for key in _keys(one)))
        rest = tuple(self._predicate(one) for one in group.filters if one is not chosen)
        return [_Place(self._tables.setdefault(facet, {}), value, rest) for facet, value in _keys(chosen)]

    def _predicate(self, one: PropertyFilter) -> _Predicate:
        found = self._predicates.get(one)
        if found is None:
            found = self._predicates[one] = _Predicate(one)
        return found


def _keys(one: PropertyFilter) -> list[tuple[_Facet, Hashable]]:
    """What the refinement can be looked up by; none: it can't."""
    operation = one.operation
    lookup = operation.lookup
    if lookup is None:
        return []
    facet = _Facet(_View(one.property, operation.type.read), lookup.parts)
    keys = [(facet, value) for value in lookup.wanted(operation.operand)]
    return [*keys, (facet, MISSING)] if operation.include_missing else keys


class _Readings(dict[_View, Any]):
    """Of one event: what is read of its properties, when it is first asked."""

    def __init__(self, properties: Properties) -> None:
        self._properties = properties

    def __missing__(self, view: _View) -> Any:
        found = self[view] = reading(view.read, self._properties.get(view.property))
        return found


class _Answers(dict[_Predicate, bool]):
    """Of one event: whether refinements hold, each tested when it is first asked."""

    def __init__(self, readings: _Readings) -> None:
        self._readings = readings

    def __missing__(self, predicate: _Predicate) -> bool:
        found = self[predicate] = predicate.accepts(self._readings[predicate.view])
        return found
