"""Selection of the flows that have to be decided individually for an event.

Every flow with a trigger for the event type gets a decision. If there are thousands, nearly all are NOT_MATCHED, and
the cost of an event must not grow with their number. So flows that cannot have another result are only counted.

A flow is decided individually in these cases:
- The event satisfies one of its trigger groups. For a filter-based flow: the change of the record satisfies one of its
  compiled groups.
- It changed after the event occurred or was sent. An earlier delivery may have seen another revision of the flow, or
  the flow may have been turned on after the event.
- It is in the event's chain.
- There are at most ``max_individual_decisions`` flows with a trigger for the event.

A snapshot of the record, which any event may carry, can change it too. Then filter-based flows are selected from the
list RECORD_CHANGED, and those whose compiled groups do not match are ignored.
"""

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from msgspec import Struct, field

from enrollment.domain.events.event import Occurrence
from enrollment.domain.flows.flow import Flow, TriggerGroup
from enrollment.domain.flows.record_change import RecordChange
from enrollment.domain.flows.trigger_index import TriggerIndex
from enrollment.domain.values import Instant

EventTypes = frozenset[str]


class CandidateQuery(Struct, frozen=True):
    """Which flows are needed for an event.

    ``occurrences``: the catalog rows that the event satisfies. ``changed_since``: flows that changed since then are
    selected too; None: all flows are. ``named``: the IDs of flows that are selected in any case.
    ``max_individual_decisions``: up to this number of flows, all are selected. ``change``: what the event changed of
    its record; None: nothing.
    """

    occurrences: Sequence[Occurrence]
    changed_since: Instant | None
    named: Collection[str] = ()
    max_individual_decisions: int = 0
    change: RecordChange | None = None

    @property
    def event_types(self) -> Sequence[str]:
        """The names of the lists of candidates: the event types, in the order of the occurrences, and one more if the
        change concerns flows that are in no list of these."""
        names = [occurrence.event_type.name for occurrence in self.occurrences]
        further = None if self.change is None else self.change.further_list
        return names if further is None else [*names, further]

    def concerns(self, flow: Flow) -> bool:
        """Whether the event has to be decided for a selected flow: it is of a type that triggers the flow, or its
        change satisfies a compiled group. A flow that is off is kept, for the enrollments that it made before."""
        if not flow.is_enabled or any(each.event_type.name in flow.event_types for each in self.occurrences):
            return True
        return entry_group(flow, self.change) is not None


def entry_group(flow: Flow, change: RecordChange | None) -> TriggerGroup | None:
    """Return the first compiled group of a filter-based flow that the change satisfies. None: it satisfies none."""
    if change is None:
        return None
    properties = change.properties
    return next((group for group in flow.entry_groups if group.failure(properties) is None), None)


class Candidates(Struct, frozen=True):
    """The result of a query.

    ``flows``: the flows to be decided individually, without duplicates. ``counted``: the number of other flows, by the
    event types of the query that trigger them. These flows are on, and the event satisfies none of them.
    ``associated``: the flows that the change can concern for associated records; their records are of these flows'
    object types.
    """

    flows: Sequence[Flow]
    counted: Mapping[EventTypes, int] = field(default_factory=lambda: MappingProxyType({}))
    associated: Sequence[Flow] = ()


class CandidateList:
    """The flows of a portal and an object type with a trigger for one event type. ``object_type_id`` None: the type of
    each flow.

    Flows that are off are included, because a redelivery may have to complete an enrollment from before they changed.
    They are not counted. Flows of other object types, whose criteria mention associated records of this type, are kept
    apart.
    """

    def __init__(self, event_type: str, flows: Iterable[Flow] = (), object_type_id: str | None = None) -> None:
        self.event_type = event_type
        self._object_type_id = object_type_id
        listed = {flow.id: flow for flow in flows}.values()
        self._flows = {flow.id: flow for flow in listed if self._is_own(flow)}
        self._index = TriggerIndex(event_type, self._flows.values())
        self._entry_index = TriggerIndex(event_type, self._flows.values(), groups_of=_entry_groups)
        associated = [flow for flow in listed if flow.associated_groups]
        self._associated_index = TriggerIndex(event_type, associated, groups_of=_associated_groups)
        self._changes = sorted((flow.changed_at, flow.id) for flow in self._flows.values())
        # The number of flows that are on, by the set of event types that trigger them.
        self._types = Counter(flow.event_types for flow in self._flows.values() if flow.is_enabled)

    def put(self, flow: Flow) -> None:
        """Add a flow, or replace the flow with the same ID."""
        self.remove(flow.id)
        if flow.associated_groups:
            self._associated_index.put(flow)
        if not self._is_own(flow):
            return
        self._flows[flow.id] = flow
        self._index.put(flow)
        self._entry_index.put(flow)
        insort(self._changes, (flow.changed_at, flow.id))
        if flow.is_enabled:
            self._types[flow.event_types] += 1

    def remove(self, flow_id: str) -> None:
        """Remove a flow. Has no effect if the list does not contain it."""
        self._associated_index.remove(flow_id)
        flow = self._flows.pop(flow_id, None)
        if flow is None:
            return
        self._index.remove(flow_id)
        self._entry_index.remove(flow_id)
        del self._changes[bisect_left(self._changes, (flow.changed_at, flow_id))]
        if flow.is_enabled:
            self._types[flow.event_types] -= 1
            if not self._types[flow.event_types]:
                del self._types[flow.event_types]

    def _is_own(self, flow: Flow) -> bool:
        # A flow that is off has no object type.
        return self._object_type_id is None or flow.object_type_id in ("", self._object_type_id)

    def __len__(self) -> int:
        return len(self._flows)

    def __iter__(self) -> Iterator[Flow]:
        return iter(self._flows.values())

    def get(self, flow_id: str) -> Flow | None:
        """Return the flow with this ID. None: the list does not contain it."""
        return self._flows.get(flow_id)

    def relevant(self, occurrence: Occurrence | None, query: CandidateQuery) -> Iterator[Flow]:
        """Yield the flows to be decided individually, some of them more than once. ``occurrence`` None: the list is
        a further one (``CandidateQuery.event_types``)."""
        if query.changed_since is None:
            yield from self
            return
        if occurrence is not None:
            for satisfied in self._index.matching(occurrence.properties):
                yield satisfied.flow
        if query.change is not None:
            for satisfied in self._entry_index.matching(query.change.properties):
                yield satisfied.flow
        for _, flow_id in self._changes[bisect_left(self._changes, (query.changed_since, "")) :]:
            yield self._flows[flow_id]
        for flow_id in query.named:
            if flow_id in self._flows:
                yield self._flows[flow_id]

    def associated(self, change: RecordChange) -> Sequence[Flow]:
        """Return the flows that the change can concern for associated records."""
        if not len(self._associated_index):
            return ()
        return [satisfied.flow for satisfied in self._associated_index.matching(change.properties)]

    def counts(self) -> Iterable[tuple[EventTypes, int]]:
        """Return the number of flows that are on, by all event types that trigger them."""
        return self._types.items()


def _entry_groups(flow: Flow) -> Sequence[TriggerGroup]:
    return flow.entry_groups


def _associated_groups(flow: Flow) -> Sequence[TriggerGroup]:
    return flow.associated_groups


def candidates(candidate_lists: Sequence[CandidateList], query: CandidateQuery) -> Candidates:
    """Select the flows for an event. ``candidate_lists``: one for each event type of the query, in the same order."""
    lists = candidate_lists[: len(query.occurrences)]
    change = query.change
    associated = [] if change is None else [candidate_list.associated(change) for candidate_list in candidate_lists]
    concerned = deduplicate(associated)
    # Of a further list, flows that the change does not satisfy are neither decided nor counted.
    changed = [candidate_list.relevant(None, query) for candidate_list in candidate_lists[len(lists) :]]
    if sum(map(len, lists)) <= query.max_individual_decisions or query.changed_since is None:
        return Candidates(deduplicate([*lists, *changed]), associated=concerned)
    relevant = [
        candidate_list.relevant(occurrence, query)
        for candidate_list, occurrence in zip(lists, query.occurrences, strict=True)
    ]
    flows = deduplicate([*relevant, *changed])
    return Candidates(flows, _count_others(lists, flows), concerned)


def deduplicate(groups_of_flows: Iterable[Iterable[Flow]]) -> Sequence[Flow]:
    """Return each flow once. A flow that is on takes precedence.

    A flow that lost one of several triggers is off in the list of that event type, and on in the lists of the others.
    """
    flows_by_id: dict[str, Flow] = {}
    for flows in groups_of_flows:
        for flow in flows:
            if flow.id not in flows_by_id or flow.is_enabled:
                flows_by_id[flow.id] = flow
    return tuple(flows_by_id.values())


def _count_others(candidate_lists: Sequence[CandidateList], flows: Sequence[Flow]) -> Mapping[EventTypes, int]:
    queried = frozenset(candidate_list.event_type for candidate_list in candidate_lists)
    counted: Counter[EventTypes] = Counter()
    earlier: set[str] = set()
    for candidate_list in candidate_lists:
        selected = Counter(
            listed.event_types for flow in flows if (listed := candidate_list.get(flow.id)) and listed.is_enabled
        )
        for types, count in candidate_list.counts():
            # A flow that several of the types trigger is in several lists, and is counted in the first of them.
            if earlier.isdisjoint(types):
                counted[types & queried] += count - selected[types]
        earlier.add(candidate_list.event_type)
    return {types: count for types, count in counted.items() if count}
