"""Explanations of decisions: the results of all trigger groups and filters of a flow, with the values found."""

from collections.abc import Sequence

from msgspec import Struct

from enrollment.domain.criteria.criteria import Criteria, FilterResult, Result
from enrollment.domain.criteria.transitions import Transition
from enrollment.domain.enrollment.decisions import Decision
from enrollment.domain.events.event import Occurrence
from enrollment.domain.flows.flow import Flow, TriggerGroup
from enrollment.domain.records.record_snapshot import RecordSnapshot
from enrollment.domain.values import Instant


class GroupResult(Struct, frozen=True):
    """The result of a trigger group. ``is_concerned`` False: the event is of another type; ``filters`` is empty."""

    group: TriggerGroup
    is_concerned: bool
    filters: tuple[FilterResult, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether the event satisfies the group."""
        return self.is_concerned and all(result.holds for result in self.filters)


class Explanation(Struct, frozen=True):
    """A decision with the results of all filters, including those that the decision did not need.

    ``as_of``: the time at which the criteria see the record. It is None, and so are the results of the criteria, if the
    record is not known. ``entry`` and ``entry_before``: for a filter-based flow, the enrollment criteria after the
    change and just before it; ``entry_before`` is None if the record did not exist.
    """

    flow: Flow
    decision: Decision
    groups: tuple[GroupResult, ...]
    as_of: Instant | None = None
    suppression: Result | None = None
    goal: Result | None = None
    criteria: Result | None = None
    entry: Result | None = None
    entry_before: Result | None = None


def explain(
    flow: Flow,
    decision: Decision,
    occurrences: Sequence[Occurrence],
    snapshot: RecordSnapshot | None,
    transition: Transition | None = None,
) -> Explanation:
    """Evaluate all trigger groups and criteria of a flow. ``snapshot`` None: the record is not known. ``transition``:
    the change of the record, for a filter-based flow."""
    entry = None if flow.entry is None else flow.entry.criteria
    before = None if transition is None else transition.before

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
        entry=None if entry is None or transition is None else entry.result(transition.after),
        entry_before=None if entry is None or before is None else entry.result(before),
    )


def _group_result(group: TriggerGroup, occurrences: Sequence[Occurrence]) -> GroupResult:
    occurrence = next((each for each in occurrences if each.event_type.name in group.event_types), None)
    if occurrence is None:
        return GroupResult(group, is_concerned=False)
    properties = occurrence.properties
    filters = (
        FilterResult(
            refinement.property,
            refinement.operation.given,
            properties.get(refinement.property),
            refinement.failure(properties) is None,
        )
        for refinement in group.filters
    )
    return GroupResult(group, is_concerned=True, filters=tuple(filters))
