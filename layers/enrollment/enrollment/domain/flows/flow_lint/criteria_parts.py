"""The branches and filters of a flow's criteria, each with its JSON path."""

from collections.abc import Iterator
from typing import NamedTuple

from enrollment.domain.criteria.criteria import AllOf, AnyOf, AssociatedWith, Criteria, ListFilter, Not
from enrollment.domain.flows.flow import Flow


class CriteriaPart(NamedTuple):
    """A branch or a filter of criteria. ``object_type``: the type of the records that it is evaluated on."""

    path: str
    criteria: Criteria
    object_type: str


def criteria_parts(flow: Flow) -> Iterator[CriteriaPart]:
    """All branches and filters of the criteria, the suppression and the goal, with their paths."""
    if flow.entry is not None:
        yield from parts_of("$.enrollmentCriteria.listFilterBranch", flow.entry.criteria, flow.object_type_id)
    if flow.criteria is not None:
        yield from parts_of("$.enrollmentCriteria.refinementCriteria", flow.criteria, flow.object_type_id)
    # The suppression is an OR of the lists and of the branch.
    for part in flow.suppression.parts if isinstance(flow.suppression, AnyOf) else ():
        if not isinstance(part, ListFilter):
            yield from parts_of("$.suppressionFilterBranch", part, flow.object_type_id)
    if flow.goal is not None:
        yield from parts_of("$.goalFilterBranch", flow.goal, flow.object_type_id)


_BRANCHES = (AllOf, AnyOf, Not, AssociatedWith)


def parts_of(path: str, criteria: Criteria, object_type: str) -> Iterator[CriteriaPart]:
    """The criteria and all branches and filters in them. ``path``: the JSON path of the criteria."""
    yield CriteriaPart(path, criteria, object_type)
    match criteria:
        case AnyOf():
            for index, branch in enumerate(criteria.parts):
                yield from parts_of(f"{path}.filterBranches[{index}]", branch, object_type)
        case AllOf() | Not():
            filters = [part for part in criteria.parts if not isinstance(part, _BRANCHES)]
            branches = [part for part in criteria.parts if isinstance(part, _BRANCHES)]
            for index, part in enumerate(filters):
                yield from parts_of(f"{path}.filters[{index}]", part, object_type)
            for index, branch in enumerate(branches):
                yield from parts_of(f"{path}.filterBranches[{index}]", branch, object_type)
        case AssociatedWith():
            # The filters are written in the ASSOCIATION branch itself.
            yield from parts_of(path, criteria.criteria, criteria.object_type_id)
