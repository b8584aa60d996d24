"""Compile the criteria of a filter-based flow to trigger groups, by which a change finds the flow in the trigger index.

A group holds whenever the record can start to meet the criteria by a change. It has a filter on what changed, and the
equalities that must hold for the criteria to hold. These are lookups, so a change does not find the flows that need
another value (docs/decisions/0022-filter-based-flows.md). The criteria themselves decide (``decision_steps``).
"""

from collections.abc import Iterator, Sequence

from enrollment.domain.criteria.criteria import AllOf, AnyOf, Criteria, ListFilter, RecordFilter
from enrollment.domain.criteria.record_operators import EventOperation
from enrollment.domain.criteria.transitions import Mentions, mentions
from enrollment.domain.flows.flow import EntryCriteria, TriggerGroup
from enrollment.domain.flows.re_enrollment import ReEnrollmentTrigger
from enrollment.domain.flows.record_change import (
    ANY_CHANGE,
    CREATED,
    RECORD_CHANGED,
    association_cause,
    cause_filter,
    list_cause,
    member_filter,
    property_cause,
    value_filter,
)
from enrollment.domain.operators.filters import PropertyFilter
from enrollment.domain.records.record import SYSTEM_PROPERTIES
from enrollment.domain.values import Instant

CREATION, PROPERTY_CHANGE, MEMBERSHIP_CHANGE, ASSOCIATION_CHANGE = (
    "crm.object_created",
    "crm.property_changed",
    "lists.membership_changed",
    "crm.association_changed",
)


def entry_criteria(
    criteria: Criteria, re_enrollment: Sequence[ReEnrollmentTrigger] = (), since: Instant | None = None
) -> EntryCriteria:
    """Return the entry criteria of a filter-based flow, with their compiled groups."""
    mentioned = mentions(criteria)
    for trigger in re_enrollment:
        mentioned = mentioned.union(trigger.mentions)
    branches = criteria.parts if isinstance(criteria, AnyOf) else (criteria,)
    groups = tuple(_group(index, branch, mentioned) for index, branch in enumerate(branches))
    return EntryCriteria(criteria, groups, mentioned, tuple(re_enrollment), since)


def _group(index: int, branch: Criteria, mentioned: Mentions) -> TriggerGroup:
    also = []
    if mentioned.properties or mentioned.any_change:
        also.append(PROPERTY_CHANGE)
    if mentioned.lists or mentioned.any_change:
        also.append(MEMBERSHIP_CHANGE)
    if mentioned.associations:
        also.append(ASSOCIATION_CHANGE)
    causes = {
        CREATED,
        *map(property_cause, mentioned.properties),
        *map(list_cause, mentioned.lists),
        *(association_cause(object_type) for object_type, _ in mentioned.associations),
        *([ANY_CHANGE] if mentioned.any_change else []),
    }
    filters = (cause_filter(frozenset(causes)), *_required(branch))
    return TriggerGroup(index, CREATION, None, filters, (*also, RECORD_CHANGED))


def _required(branch: Criteria) -> Iterator[PropertyFilter]:
    """Yield the lookups that must find the record for the branch to hold."""
    for part in branch.parts if isinstance(branch, AllOf) else (branch,):
        match part:
            case ListFilter(is_member=True):
                yield member_filter(part.list_id)
            case RecordFilter(operation=EventOperation(operation=operation)):
                is_lookup = operation.operator in operation.type.lookups and not operation.accepts_missing
                # The values of system properties are derived, so they are not looked up.
                if is_lookup and part.property not in SYSTEM_PROPERTIES:
                    yield value_filter(part.property, operation)
