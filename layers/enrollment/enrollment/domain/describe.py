"""Descriptions of flows, criteria and operations in plain English."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from enrollment.domain.criteria.criteria import (
    AllOf,
    AnyOf,
    AssociatedWith,
    ConstantFilter,
    Criteria,
    ListFilter,
    Not,
    RecordFilter,
)
from enrollment.domain.enrollment.decisions import Decision
from enrollment.domain.enrollment.late_data_tolerance import MINUTE
from enrollment.domain.events.event_types import EventType, Trigger
from enrollment.domain.flows.flow import EntryCriteria, Flow, TriggerGroup
from enrollment.domain.flows.rate_limit import PERIODS
from enrollment.domain.flows.re_enrollment import CriteriaTrigger, ReEnrollmentTrigger
from enrollment.domain.identifiers import OBJECT_TYPE_IDS
from enrollment.domain.operators.calendar import UNITS
from enrollment.domain.operators.filters import AssociatedFailure, Failure, PropertyFilter
from enrollment.domain.operators.property_operators import OPERATION_TYPES
from enrollment.domain.values import Value, as_text, is_missing

# Follows the words of a negative operator, because "is not Dublin" sounds as if a missing value satisfied it.
FAILS_WITHOUT_VALUE = " (fails without a value)"

# A longer value is cut in a sentence.
MAX_CHARACTERS = 80

_NAMES = {number: name.replace("_", " ") for name, number in OBJECT_TYPE_IDS.items()}


def describe_flow(flow: Flow, event_types: Mapping[str, EventType]) -> Sequence[str]:
    """Return sentences that describe a flow. The first names the records and the triggers, the others the conditions.

    ``event_types``: the catalog, by name.
    """
    if flow.entry is not None:
        sentences = _describe_entry(flow, flow.entry, event_types)
    else:
        sentences = [_describe_triggers(flow, event_types)]
    if flow.criteria is not None:
        sentences.append(f"Only if, as it was then, {_criteria(flow.criteria)}.")
    if flow.suppression is not None:
        sentences.append(f"Not if {_criteria(flow.suppression)}.")
    if flow.goal is not None:
        sentences.append(f"Not if it has met the goal already: {_criteria(flow.goal)}.")
    if flow.tolerance:
        minutes = f"{flow.tolerance / MINUTE:g} minutes"
        sentences.append(f"Waits up to {minutes} after the event for late changes to the record.")
    if flow.rate_limit is not None:
        period = next(name for name, length in PERIODS.items() if length == flow.rate_limit.period).lower()
        sentences.append(f"At most {flow.rate_limit.count:,} enter per {period}; those beyond enter later.")
    if not flow.is_enabled:
        sentences.append("It is turned off and enrolls no record now.")
    return sentences


def _describe_triggers(flow: Flow, event_types: Mapping[str, EventType]) -> str:
    """Return the sentence that names the records of a flow and its triggers."""
    if not flow.groups:
        often = "; a record may enter again" if flow.should_re_enroll else "; each record enters once"
        return f"Enrolls no record by itself, because it has no event trigger. Takes manual enrollments{often}."
    often = "every time" if flow.should_re_enroll else "the first time"
    triggers = [_trigger(group, event_types[group.event_type]) for group in flow.groups]
    when = f"this happens: {triggers[0]}" if len(triggers) == 1 else f"one of these happens: {'; or '.join(triggers)}"
    return f"Enrolls {_with_article(_object(flow.object_type_id))} {often} {when}."


def _describe_entry(flow: Flow, entry: EntryCriteria, event_types: Mapping[str, EventType]) -> list[str]:
    """Return the sentences about the criteria and the re-enrollment triggers of a filter-based flow."""
    name = _object(flow.object_type_id)
    sentences = [
        f"Enrolls {_with_article(name)} when it starts to meet these criteria: {_criteria(entry.criteria)}.",
        f"A {name} that met them before the flow was turned on does not enter.",
    ]
    if not entry.re_enrollment:
        return [*sentences, f"Each {name} enters once."]
    triggers = [_re_enrollment(trigger, event_types[_PROPERTY_CHANGE]) for trigger in entry.re_enrollment]
    return [*sentences, f"Enters again, while it meets them, when {'; or when '.join(triggers)}."]


_PROPERTY_CHANGE = "crm.property_changed"


def _re_enrollment(trigger: ReEnrollmentTrigger, event_type: EventType) -> str:
    if isinstance(trigger, CriteriaTrigger):
        return f"it starts to meet this: {_criteria(trigger.criteria)}"
    conditions = " and ".join(_refinement(refinement, event_type) for refinement in trigger.filters)
    return f"a property changes, where {conditions}"


def _object(type_id: str) -> str:
    return _NAMES.get(type_id, f"record of type {type_id}")


def _with_article(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeio" else f"a {noun}"


def _trigger(group: TriggerGroup, event_type: EventType) -> str:
    if event_type.trigger is Trigger.LIST_MEMBERSHIP:
        operands = {refinement.property: refinement.operation.given["values"][0] for refinement in group.filters}
        verb = "added to" if operands["hs_membership_change"] == "ADDED" else "removed from"
        return f"it is {verb} list {operands['hs_list_id']}"
    label = _inside(event_type.label)
    conditions = " and ".join(_refinement(refinement, event_type) for refinement in group.filters)
    return f"{label} ({event_type.name})" + (f", where {conditions}" if conditions else "")


def _refinement(refinement: PropertyFilter, event_type: EventType) -> str:
    return f"{_label(refinement.property, event_type)} {describe_operation(refinement.operation.given)}"


def _label(name: str, event_type: EventType) -> str:
    known = event_type.property(name)
    return name if known is None else _inside(known.label)


def _inside(label: str) -> str:
    """Return a label as it is written inside a sentence. A label that begins with an acronym is not changed."""
    return label if label[:2].isupper() else label[:1].lower() + label[1:]


def _criteria(criteria: Criteria) -> str:
    match criteria:
        case RecordFilter():
            return f"{criteria.property} {describe_operation(criteria.operation.given)}"
        case ListFilter():
            return f"it is {'' if criteria.is_member else 'not '}in list {criteria.list_id}"
        case ConstantFilter():
            return "always" if criteria.accepts else "never"
        case AssociatedWith():
            kind = f"{criteria.kind.category} {criteria.kind.type_id}"
            what = _object(criteria.object_type_id)
            many = "at least one" if criteria.is_in else "no"
            if not criteria.criteria.parts:
                return f"it is associated with {many} {what} ({kind})"
            return f"of {many} {what} that it is associated with ({kind}): ({_criteria(criteria.criteria)})"
        case Not():
            many = "not all of these hold" if criteria.kind == "NOT_ALL" else "none of these holds"
            return f"{many}: ({_criteria(criteria.part)})"
        case AllOf() | AnyOf():
            word = " and " if isinstance(criteria, AllOf) else " or "
            # Parentheses only where "and" and "or" would be ambiguous.
            parts = [
                f"({_criteria(part)})" if isinstance(part, AllOf | AnyOf) and len(part.parts) > 1 else _criteria(part)
                for part in criteria.parts
            ]
            return word.join(parts)


def failed_conditions(decision: Decision, flow: Flow, event_types: Mapping[str, EventType]) -> Sequence[str]:
    """Return the conditions that rejected the record, each with the value found.

    These are the first failing refinement of each trigger group of the event, or the failing filter of the criteria.
    """
    groups = {group.index: group for group in flow.groups}
    refinements = [
        _condition(
            _label(failed.failure.property, event_types[groups[failed.group_index].event_type]),
            failed.failure,
        )
        for failed in decision.groups
    ]
    return [
        *refinements,
        *([] if decision.filter is None else [_condition(decision.filter.property, decision.filter)]),
    ]


def _condition(name: str, failure: Failure) -> str:
    because = "" if failure.because is None else f" ({failure.because})"
    return f"{name} {expected(failure.operation)}, found {_found_value(failure)}{because}"


def _found_value(failure: Failure) -> str:
    value = failure.found
    if is_association(failure.operation):
        return "; ".join([associated_records(value), *associated_conditions(value, failure.associated)])
    if is_missing(value):
        return "no value"
    return quoted(value) if isinstance(value, str | list) else as_text(value)


def quoted(value: Value) -> str:
    """Return a value in quotation marks, so that blanks at its ends are visible."""
    text = as_text(value)
    return json.dumps(text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}…", ensure_ascii=False)


def expected(operation: Mapping[str, Any]) -> str:
    """Return the condition of a filter in words. ``operation``: a filter or an operation of the flow JSON."""
    match operation.get("filterType", operation.get("filterBranchType")):
        case "IN_LIST":
            return (
                "has the record as a member" if operation["operator"] == "IN_LIST" else "does not have it as a member"
            )
        case "CONSTANT":
            return "accepts every record" if operation["shouldAccept"] else "accepts no record"
        case "ASSOCIATION":
            if operation.get("operator") == "NOT_IN_LIST":
                return "has no record that meets the filters"
            return "has at least one record that meets the filters"
        case "NOT_ALL" | "NOT_ANY":
            return "none of its filters holds" if operation["filterBranchType"] == "NOT_ANY" else "not all hold"
    return describe_operation(operation)


def is_association(operation: Mapping[str, Any]) -> bool:
    """Whether an operation is that of an ASSOCIATION branch, whose ``found`` is a number of associated records."""
    return operation.get("filterBranchType") == "ASSOCIATION"


def associated_records(number: object) -> str:
    """Return a number of associated records in words."""
    return f"{number} associated record{'' if number == 1 else 's'}"


def associated_conditions(number: object, failures: Sequence[AssociatedFailure]) -> Sequence[str]:
    """Return why a filter on associated records fails: the failing condition of each record that is known.

    ``number``: the number of associated records.
    """
    conditions = [
        f"{each.record} meets the filters"
        if each.failure is None
        else f"{each.record}: {_condition(each.failure.property, each.failure)}"
        for each in failures
    ]
    # If no record may meet the filters, the others can fail.
    more = number - len(failures) if isinstance(number, int) and failures and failures[0].failure is not None else 0
    return [*conditions, f"and {more} more"] if more > 0 else conditions


def describe_operation(operation: Mapping[str, Any]) -> str:
    """Return an operation of the flow JSON in words."""
    kind, operator = operation["operationType"], operation["operator"]
    text = _describe_operator(kind, operator, operation)
    if operation.get("includeObjectsWithNoValueSet") is True:
        return f"{text} (or has no value)"
    return f"{text}{FAILS_WITHOUT_VALUE}" if is_negative(operator) else text


def is_negative(operator: str) -> bool:
    """Whether an operator sounds as if a missing value satisfied it. None does without includeObjectsWithNoValueSet."""
    return operator.startswith(_NEGATIVE_PREFIXES) and operator != "IS_NOT_BLANK"


_NEGATIVE_PREFIXES = ("IS_NOT_", "IS_NONE_", "DOES_NOT_", "HAS_NEVER_", "NOT_UPDATED_")


def words_of(operator: str) -> str:
    """Return the words of an operator. An operator without an entry in WORDS is named as it is written, so that a flow
    can be described before its words are added."""
    return WORDS.get(operator) or operator.lower().replace("_", " ")


def _describe_operator(kind: str, operator: str, operation: Mapping[str, Any]) -> str:
    if kind not in OPERATION_TYPES and kind not in _DESCRIBED_TYPES:
        return words_of(operator)
    if kind == "CALENDAR_DATE":
        return f"is in {_unit(operator, operation)}"
    if kind in ("ROLLING_DATE_RANGE", "ROLLING_PROPERTY_UPDATED"):
        return words_of(operator).format(operation["numberOfDays"])
    if kind == "COMPARATIVE_PROPERTY_UPDATED":
        words = words_of(operator).removeprefix("is ")
        return f"was updated {words} the property {operation['comparisonPropertyName']} was"
    if kind.startswith("COMPARATIVE"):
        default = operation.get("defaultComparisonValue")
        instead = "" if default is None else f" (or {quoted(default)} when that has no value)"
        return f"{words_of(operator)} the property {operation['comparisonPropertyName']}{instead}"
    if kind in ("TIME_POINT", "TIME_RANGED"):
        prefixes = {"UPDATED_AT": "was updated at a time that ", "ANNIVERSARY": "has an anniversary that "}
        prefix = prefixes.get(operation.get("propertyParser", "VALUE"), "")
        if kind == "TIME_POINT":
            return f"{prefix}{words_of(operator)} {_point(operation['timePoint'])}"
        lower, upper = _point(operation["lowerBoundTimePoint"]), _point(operation["upperBoundTimePoint"])
        return f"{prefix}{words_of(operator)} {lower} and {upper}"
    if kind == "DATE":
        return f"{words_of(operator)} {operation['day']} {str(operation['month']).title()} {operation['year']}"
    keys = OPERATION_TYPES[kind].keys
    if keys == ("lowerBound", "upperBound"):
        return f"{words_of(operator)} {operation['lowerBound']} and {operation['upperBound']}"
    if not keys:
        return words_of(operator)
    operand = operation[keys[0]]
    if isinstance(operand, list):
        words = _ONE_OF[operator] if len(operand) == 1 and operator in _ONE_OF else words_of(operator)
        return f"{words} {_several(operand)}"
    return f"{words_of(operator)} {quoted(operand) if kind == 'STRING' else operand}"


def _several(values: Sequence[Any]) -> str:
    shown = [quoted(value) for value in values[:10]]
    if len(values) > len(shown):
        return f"{', '.join(shown)} and {len(values) - len(shown)} others"
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} or {shown[-1]}"


def _unit(operator: str, operation: Mapping[str, Any]) -> str:
    unit, count = str(operation["timeUnit"]).lower(), operation.get("timeUnitCount", 1)
    assert operation["timeUnit"] in UNITS
    several = unit if count == 1 else f"{count} {unit}s"
    words = {
        "IN_THIS_TIME_UNIT": f"this {unit}",
        "IN_THIS_TIME_UNIT_SO_FAR": f"this {unit} so far",
        "IN_LAST_TIME_UNIT": f"the last {several}",
        "IN_LAST_TIME_UNIT_SO_FAR": f"the last {several} or this one so far",
        "IN_NEXT_TIME_UNIT": f"the next {several}",
    }
    return words.get(operator) or f"{words_of(operator).removeprefix('in ')} {several}"


def _point(point: Mapping[str, Any]) -> str:
    """A point in time in words, by its ``timeType``: DATE, PROPERTY_REFERENCED or INDEXED."""
    match point["timeType"]:
        case "DATE":
            return _fixed_point(point)
        case "PROPERTY_REFERENCED":
            what = "the last change of " if point.get("referenceType") == "UPDATED_AT" else ""
            text = f"{what}the property {point['property']}"
        case _:
            text = _indexed_point(point["indexReference"])
    return f"{text} {_offset(point.get('offset') or {})}".strip()


def _fixed_point(point: Mapping[str, Any]) -> str:
    text = f"{point['day']} {point['month']} {point['year']} {point.get('hour', 0):02d}:{point.get('minute', 0):02d}"
    zone = point.get("zoneId")
    return f"{text} ({zone})" if zone else text


def _indexed_point(reference: Mapping[str, Any]) -> str:
    name = reference["referenceType"]
    if name == "NOW":
        return "the event"
    words = "the beginning of the day" if name == "TODAY" else f"the beginning of the {name.lower()}"
    if name == "WEEK" and "dayOfWeek" in reference:
        words = f"{str(reference['dayOfWeek']).title()} of the week"
    elif name in ("MONTH", "QUARTER", "YEAR"):
        parts = [f"month {reference['month']}"] if "month" in reference and name != "MONTH" else []
        parts += [f"day {reference['day']}"] if "day" in reference else []
        words = f"{', '.join(parts)} of the {name.lower()}" if parts else words
    if reference.get("hour") or reference.get("minute"):
        words = f"{words}, {reference.get('hour', 0):02d}:{reference.get('minute', 0):02d}"
    return words


def _offset(offset: Mapping[str, int]) -> str:
    return " ".join(
        f"{'plus' if count > 0 else 'minus'} {abs(count)} {unit}" for unit, count in offset.items() if count
    )


# Operation types with keys of their own, which _describe_operator reads.
_DESCRIBED_TYPES = frozenset(
    {
        *("CALENDAR_DATE", "ROLLING_DATE_RANGE", "ROLLING_PROPERTY_UPDATED", "TIME_POINT", "TIME_RANGED"),
        *("COMPARATIVE_DATE", "COMPARATIVE_STRING", "COMPARATIVE_PROPERTY_UPDATED"),
    }
)

WORDS = {
    "IS_KNOWN": "is known",
    "IS_NOT_BLANK": "is not blank",
    "IS_UNKNOWN": "is unknown",
    "IS_BLANK": "is blank",
    "IS_EQUAL_TO": "is",
    "IS_NOT_EQUAL_TO": "is not",
    "CONTAINS": "contains",
    "DOES_NOT_CONTAIN": "does not contain",
    "STARTS_WITH": "begins with",
    "ENDS_WITH": "ends with",
    "CONTAINS_EXACTLY": "has among its values",
    "DOES_NOT_CONTAIN_EXACTLY": "does not have among its values",
    "IS_GREATER_THAN": "is greater than",
    "IS_GREATER_THAN_OR_EQUAL_TO": "is at least",
    "IS_LESS_THAN": "is less than",
    "IS_LESS_THAN_OR_EQUAL_TO": "is at most",
    "IS_BETWEEN": "is between",
    "IS_NOT_BETWEEN": "is not between",
    "IS_ANY_OF": "is any of",
    "IS_NONE_OF": "is none of",
    "IS_EXACTLY": "is exactly",
    "IS_NOT_EXACTLY": "is not exactly",
    "CONTAINS_ALL": "has all of",
    "DOES_NOT_CONTAIN_ALL": "does not have all of",
    "IS_BEFORE": "is before",
    "IS_AFTER": "is after",
    "IS_BEFORE_DATE": "is on a day before that of",
    "IS_AFTER_DATE": "is on a day after that of",
    "EQUAL": "is on",
    "BEFORE": "is before",
    "AFTER": "is after",
    "HAS_EVER_BEEN_EQUAL_TO": "has ever been",
    "HAS_NEVER_BEEN_EQUAL_TO": "has never been",
    "HAS_EVER_CONTAINED": "has ever contained",
    "HAS_NEVER_CONTAINED": "has never contained",
    "HAS_EVER_BEEN_ANY_OF": "has ever been any of",
    "HAS_NEVER_BEEN_ANY_OF": "has never been any of",
    "HAS_EVER_BEEN_EXACTLY": "has ever been exactly",
    "HAS_NEVER_BEEN_EXACTLY": "has never been exactly",
    "HAS_EVER_CONTAINED_ALL": "has ever had all of",
    "HAS_NEVER_CONTAINED_ALL": "has never had all of",
    "IS_LESS_THAN_X_DAYS_AGO": "is less than {} days ago",
    "IS_MORE_THAN_X_DAYS_AGO": "is more than {} days ago",
    "IS_LESS_THAN_X_DAYS_FROM_NOW": "is less than {} days from now",
    "IS_MORE_THAN_X_DAYS_FROM_NOW": "is more than {} days from now",
    "UPDATED_IN_LAST_X_DAYS": "was updated in the last {} days",
    "NOT_UPDATED_IN_LAST_X_DAYS": "was not updated in the last {} days",
}

_ONE_OF = {
    "IS_ANY_OF": "is",
    "IS_NONE_OF": "is not",
    "HAS_EVER_BEEN_ANY_OF": "has ever been",
    "HAS_NEVER_BEEN_ANY_OF": "has never been",
}
