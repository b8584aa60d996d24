"""Which of many flows one event has to do with.

Every flow that an event triggers is owed a decision. Of thousands, nearly all are NOT_MATCHED, and an event must not
cost more with each of them: so those that can't be anything else are counted, and only the others are looked at. A flow
is looked at when one of its trigger groups is satisfied; when it changed after the event occurred or was sent, for then
an earlier delivery may have met another revision of it, or the flow may have been turned on later; or when it stands in
the event's chain. Where they are few, all are looked at.
"""

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from msgspec import Struct, field

from enrollment.domain.events.event import Occurrence
from enrollment.domain.flows.flow import Flow
from enrollment.domain.flows.trigger_index import TriggerIndex
from enrollment.domain.values import Instant

EventTypes = frozenset[str]


class CandidateQuery(Struct, frozen=True):
    """``changed_since`` None: every flow is to be looked at. ``named``: flows that are to be looked at in any case.
    ``max_individual_decisions``: up to so many, all are."""

    occurrences: Sequence[Occurrence]
    changed_since: Instant | None
    named: Collection[str] = ()
    max_individual_decisions: int = 0

    @property
    def event_types(self) -> Sequence[str]:
        return [one.event_type.name for one in self.occurrences]


class Candidates(Struct, frozen=True):
    """``flows``: to be looked at, each once. ``counted``: how many there are besides, by those of the event's types
    that trigger them; all are on, and none is satisfied."""

    flows: Sequence[Flow]
    counted: Mapping[EventTypes, int] = field(default_factory=lambda: MappingProxyType({}))


class CandidateList:
    """The flows that one event type triggers: of a portal, for an object type. Those that are off are owed nothing
    new, and stand here to be found by what changed."""

    def __init__(self, event_type: str, flows: Iterable[Flow] = ()) -> None:
        self.event_type = event_type
        self._flows = {flow.id: flow for flow in flows}
        self._index = TriggerIndex(event_type, self._flows.values())
        self._changes = sorted((flow.changed_at, flow.id) for flow in self._flows.values())
        # Of the flows that are on, by all the types that trigger them.
        self._types = Counter(flow.event_types for flow in self._flows.values() if flow.is_enabled)

    def put(self, flow: Flow) -> None:
        """Adds a flow, or exchanges the one of its id."""
        self.remove(flow.id)
        self._flows[flow.id] = flow
        self._index.put(flow)
        insort(self._changes, (flow.changed_at, flow.id))
        if flow.is_enabled:
            self._types[flow.event_types] += 1

    def remove(self, flow_id: str) -> None:
        flow = self._flows.pop(flow_id, None)
        if flow is None:
            return
        self._index.remove(flow_id)
        del self._changes[bisect_left(self._changes, (flow.changed_at, flow_id))]
        if flow.is_enabled:
            self._types[flow.event_types] -= 1
            if not self._types[flow.event_types]:
                del self._types[flow.event_types]

    def __len__(self) -> int:
        return len(self._flows)

    def __iter__(self) -> Iterator[Flow]:
        return iter(self._flows.values())

    def get(self, flow_id: str) -> Flow | None:
        return self._flows.get(flow_id)

    def relevant(self, occurrence: Occurrence, question: CandidateQuery) -> Iterator[Flow]:
        """Some more than once."""
        if question.changed_since is None:
            yield from self
            return
        for satisfied in self._index.matching(occurrence.properties):
            yield satisfied.flow
        for _, flow_id in self._changes[bisect_left(self._changes, (question.changed_since, "")) :]:
            yield self._flows[flow_id]
        for flow_id in question.named:
            if flow_id in self._flows:
                yield self._flows[flow_id]

    def counts(self) -> Iterable[tuple[EventTypes, int]]:
        return self._types.items()


def candidates(listings: Sequence[CandidateList], question: CandidateQuery) -> Candidates:
    """``listings``: one for each of the question's occurrences, in their order."""
    if sum(map(len, listings)) <= question.max_individual_decisions or question.changed_since is None:
        return Candidates(deduplicate(listings))
    relevant = (
        listing.relevant(occurrence, question)
        for listing, occurrence in zip(listings, question.occurrences, strict=True)
    )
    flows = deduplicate(relevant)
    return Candidates(flows, _others(listings, flows))


def deduplicate(many: Iterable[Iterable[Flow]]) -> Sequence[Flow]:
    """A flow that lost one of several triggers is off in the listing of that, and on in another's."""
    found: dict[str, Flow] = {}
    for flows in many:
        for flow in flows:
            if flow.id not in found or flow.is_enabled:
                found[flow.id] = flow
    return tuple(found.values())


def _others(listings: Sequence[CandidateList], flows: Sequence[Flow]) -> Mapping[EventTypes, int]:
    asked = frozenset(one.event_type for one in listings)
    others: Counter[EventTypes] = Counter()
    before: set[str] = set()
    for listing in listings:
        looked_at = Counter(one.event_types for flow in flows if (one := listing.get(flow.id)) and one.is_enabled)
        for types, count in listing.counts():
            # A flow that several of the types trigger stands in several listings, and counts in the first.
            if before.isdisjoint(types):
                others[types & asked] += count - looked_at[types]
        before.add(listing.event_type)
    return {types: count for types, count in others.items() if count}
