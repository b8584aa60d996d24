"""What a decision rests on: every trigger group and every filter of a flow, with what it found."""

from collections.abc import Sequence

from msgspec import Struct

from enrollment.domain.criteria.criteria import Criteria, FilterResult, Result
from enrollment.domain.enrollment.decisions import Decision
from enrollment.domain.events.event import Occurrence
from enrollment.domain.flows.flow import Flow, TriggerGroup
from enrollment.domain.records.record_snapshot import RecordSnapshot
from enrollment.domain.values import Instant


class GroupResult(Struct, frozen=True):
    """``is_concerned``: the event is one of the group's type; else there is nothing to filter."""

    group: TriggerGroup
    is_concerned: bool
    filters: tuple[FilterResult, ...] = ()

    @property
    def holds(self) -> bool:
        return self.is_concerned and all(one.holds for one in self.filters)


class Explanation(Struct, frozen=True):
    """All filters, those that were not asked for the decision included. ``as_of``: the moment at which the criteria
    see the record; None: there was none to see."""

    flow: Flow
    decision: Decision
    groups: tuple[GroupResult, ...]
    as_of: Instant | None = None
    suppression: Result | None = None
    goal: Result | None = None
    criteria: Result | None = None


def explain(
    flow: Flow, decision: Decision, occurrences: Sequence[Occurrence], snapshot: RecordSnapshot | None
) -> Explanation:
    def result(criteria: Criteria | None) -> Result | None:
        return None if criteria is None or snapshot is None else criteria.result(snapshot)

    return Explanation(
        flow=flow,
        decision=decision,
        groups=tuple(_group_result(group, occurrences) for group in flow.groups),
        as_of=None if snapshot is None else snapshot.at,
        suppression=result(flow.suppression),
        goal=result(flow.goal),
        criteria=result(flow.criteria),
    )


def _group_result(group: TriggerGroup, occurrences: Sequence[Occurrence]) -> GroupResult:
    occurrence = next((one for one in occurrences if one.event_type.name in group.event_types), None)
    if occurrence is None:
        return GroupResult(group, is_concerned=False)
    properties = occurrence.properties
    filters = (
        FilterResult(one.property, one.operation.given, properties.get(one.property), one.failure(properties) is None)
        for one in group.filters
    )
    return GroupResult(group, is_concerned=True, filters=tuple(filters))
