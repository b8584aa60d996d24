"""Filters that no event or no record passes together."""

from collections.abc import Iterator, Sequence

from enrollment.domain.criteria.criteria import AllOf, ListFilter, RecordFilter
from enrollment.domain.criteria.record_operators import EventOperation, HistoryOperator, RecordOperation
from enrollment.domain.describe import FAILS_WITHOUT_VALUE, describe_operation
from enrollment.domain.events.event_types import EventType, IsNotTrue, IsOneOf, Property, PropertyType, Rule
from enrollment.domain.flows.flow_lint.flow_warning import FlowWarning
from enrollment.domain.operators.filters import PropertyFilter, any_of
from enrollment.domain.operators.property_operators import Operation, operation
from enrollment.domain.operators.satisfiability import can_hold
from enrollment.domain.values import read_name

_IS_KNOWN = operation({"operationType": "ALL_PROPERTY", "operator": "IS_KNOWN"})
_SEPARATE_FILTERS = "Remove a filter, or put the filters into separate branches of an OR"


def contradictory_refinements(
    filters: Sequence[PropertyFilter], event_type: EventType, path: str
) -> Iterator[FlowWarning]:
    """Yield a warning for each property whose filters no event of the type passes together.

    ``filters``: all filters of a trigger, including those that the event type implies.
    """
    by_name: dict[str, list[Operation]] = {}
    for refinement in filters:
        by_name.setdefault(refinement.property, []).append(refinement.operation)
    for name, operations in by_name.items():
        is_single = _is_single(event_type.property(name))
        if len(operations) > 1 and not can_hold(operations, is_single=is_single):
            yield _contradiction_warning(path, f"{event_type.name} has a value of {name}", operations)
            continue
        for rule in event_type.rules:
            required = _operation_of(rule, name)
            if required is not None and not can_hold([*operations, required], is_single=is_single):
                found = f"no {event_type.name} that passes these filters on {name} is eligible: {rule.because}"
                yield FlowWarning(path, "NEVER_ELIGIBLE", found, f"Remove the filter on {name}")


def _is_single(known: Property | None) -> bool:
    """Whether the property has one value: one form, one page, one of the options."""
    return known is not None and known.type is PropertyType.ENUMERATION and not known.holds_any_type


def _operation_of(rule: Rule, name: str) -> Operation | None:
    """The event's own rule as an operation on the property. None: the rule is not about it."""
    if isinstance(rule, IsOneOf) and rule.property == name:
        allowed = any_of(name, *rule.options).operation
        return operation({**allowed.given, "includeObjectsWithNoValueSet": rule.or_missing})
    if isinstance(rule, IsNotTrue) and rule.property == name:
        document = {"operationType": "BOOL", "operator": "IS_EQUAL_TO", "value": "false"}
        return operation({**document, "includeObjectsWithNoValueSet": True})
    return None


def contradictory_criteria(branch: AllOf, path: str) -> Iterator[FlowWarning]:
    """Yield a warning for each property and each list whose filters in the branch no record passes together."""
    by_name: dict[str, list[RecordOperation]] = {}
    lists: dict[str, set[bool]] = {}
    for part in branch.parts:
        if isinstance(part, RecordFilter):
            by_name.setdefault(part.property, []).append(part.operation)
        elif isinstance(part, ListFilter):
            lists.setdefault(read_name(part.list_id), set()).add(part.is_member)
    for name, operations in by_name.items():
        if len(operations) > 1 and not _criteria_can_hold(operations):
            yield _contradiction_warning(f"{path}.filters", f"record has a value of {name}", operations)
    for list_id, memberships in lists.items():
        if len(memberships) > 1:
            found = f"no record is in list {list_id} and not in list {list_id}"
            yield FlowWarning(f"{path}.filters", "CONTRADICTION", found, _SEPARATE_FILTERS)


def _criteria_can_hold(operations: Sequence[RecordOperation]) -> bool:
    """Operations on the history say nothing about the value. The other operations on records need a value."""
    current = [each.operation for each in operations if isinstance(each, EventOperation)]
    needs_value = any(
        not isinstance(each, EventOperation | HistoryOperator)
        and each.given.get("includeObjectsWithNoValueSet") is not True
        for each in operations
    )
    return can_hold([*current, _IS_KNOWN] if needs_value else current)


def _contradiction_warning(
    path: str, subject: str, operations: Sequence[Operation] | Sequence[RecordOperation]
) -> FlowWarning:
    words = [describe_operation(each.given).removesuffix(FAILS_WITHOUT_VALUE) for each in operations]
    return FlowWarning(path, "CONTRADICTION", f"no {subject} that {' and '.join(words)}", _SEPARATE_FILTERS)
