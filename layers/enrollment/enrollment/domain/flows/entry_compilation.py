"""Compile the criteria of a filter-based flow to trigger groups, by which a change finds the flow in the trigger index.

A group holds whenever the record can start to meet the criteria by a change. It has a filter on what changed, and the
equalities that must hold for the criteria to hold. These are lookups, so a change does not find the flows that need
another value (docs/decisions/0022-filter-based-flows.md). The criteria themselves decide (``decision_steps``).
"""

from collections.abc import Iterator, Sequence

from enrollment.domain.criteria.criteria import AllOf, AnyOf, Criteria, ListFilter, RecordFilter
from enrollment.domain.criteria.record_operators import EventOperation
from enrollment.domain.criteria.transitions import Mentions, mentions
from enrollment.domain.events.own_types import ASSOCIATED_RECORD_EVENT
from enrollment.domain.flows.flow import EntryCriteria, TriggerGroup
from enrollment.domain.flows.re_enrollment import ReEnrollmentTrigger
from enrollment.domain.flows.record_change import (
    ANY_CHANGE,
    CREATED,
    RECORD_CHANGED,
    associated_cause,
    associated_cause_filter,
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
    object_types = sorted({object_type for object_type, _ in mentioned.associations})
    associated = {each: _associated_group(each, mentioned.of_associated(each)) for each in object_types}
    return EntryCriteria(criteria, groups, mentioned, tuple(re_enrollment), since, associated_groups=associated)


def _group(index: int, branch: Criteria, mentioned: Mentions) -> TriggerGroup:
    causes = _causes(mentioned)
    for object_type in {object_type for object_type, _ in mentioned.associations}:
        causes.add(association_cause(object_type))
        causes |= _associated_causes(object_type, mentioned.of_associated(object_type))
    filters = (cause_filter(frozenset(causes)), *_required(branch))
    return TriggerGroup(index, CREATION, None, filters, (*_also(mentioned), RECORD_CHANGED))


def _causes(mentioned: Mentions) -> set[str]:
    """Return the causes for changes of the record itself."""
    return {
        CREATED,
        *map(property_cause, mentioned.properties),
        *map(list_cause, mentioned.lists),
        *([ANY_CHANGE] if mentioned.any_change else []),
    }


def _also(mentioned: Mentions) -> Iterator[str]:
    """Yield the event types, other than the creation, of the changes that can satisfy a group."""
    if mentioned.properties or mentioned.any_change:
        yield PROPERTY_CHANGE
    if mentioned.lists or mentioned.any_change:
        yield MEMBERSHIP_CHANGE
    if mentioned.associations:
        yield ASSOCIATION_CHANGE
        yield ASSOCIATED_RECORD_EVENT


def _associated_group(object_type_id: str, mentioned: Mentions) -> TriggerGroup:
    """Return the group that a change of an associated record of this type satisfies. ``mentioned``: of this record."""
    filters = (associated_cause_filter(_associated_causes(object_type_id, mentioned)),)
    return TriggerGroup(0, CREATION, None, filters, (*_also(mentioned), RECORD_CHANGED))


def _associated_causes(object_type_id: str, mentioned: Mentions) -> frozenset[str]:
    """Return the causes for changes of an associated record of this type. ``mentioned``: of this record."""
    return frozenset(associated_cause(object_type_id, cause) for cause in _causes(mentioned))


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
