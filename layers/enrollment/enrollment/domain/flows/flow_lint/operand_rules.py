"""Operands with which an operation never holds, always holds, or has another meaning than its text."""

from collections.abc import Iterator, Mapping
from typing import Any

from enrollment.domain.criteria.record_operators import (
    FixedPoint,
    IndexedPoint,
    RangeOfTime,
    RecordOperation,
    RollingDate,
    Updated,
)
from enrollment.domain.describe import describe_operation
from enrollment.domain.events.event_types import EventType, Property
from enrollment.domain.flows.flow_lint.flow_warning import FlowWarning
from enrollment.domain.flows.flow_lint.operands import WHOLE_VALUES, operand_key, operand_texts, quoted
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.operators.property_operators import Operation
from enrollment.domain.operators.satisfiability import DAY_MS
from enrollment.domain.records.record import Record
from enrollment.domain.records.record_snapshot import RecordSnapshot
from enrollment.domain.similar_names import nearest
from enrollment.domain.values import SEPARATOR, fold, read_name


def name_warnings(name: str, known_properties: frozenset[str], path: str) -> Iterator[FlowWarning]:
    """A property that no record has has no value, so most filters on it never hold."""
    near = nearest(name, known_properties) if name not in known_properties else None
    if near is not None:
        found = f"{quoted(name)} is no default property, and its name is nearly that of {near}"
        yield FlowWarning(path, "SIMILAR_PROPERTY", found, f"Write {near} if you mean it")


def option_warnings(operation: Operation, known: Property, event_type: EventType, path: str) -> Iterator[FlowWarning]:
    """HubSpot may add options, so an unknown option is not an error."""
    if not known.options or operation.operator not in WHOLE_VALUES:
        return
    options = {fold(option): option for option in known.options}
    for value in operand_texts(operation):
        if read_name(value) not in options:
            near = nearest(fold(value), options)
            names = ", ".join(known.options)
            yield FlowWarning(
                f"{path}.operation.{operand_key(operation)}",
                "UNKNOWN_OPTION",
                f"{quoted(value)} is no option of {known.name} ({names}), so no {event_type.name} has it unless the "
                "source sends more options than HubSpot documents",
                f"Write {options[near]} if you mean it" if near else "Write one of the options",
            )


def separator_warnings(operation: Operation, name: str, path: str) -> Iterator[FlowWarning]:
    """An option with a semicolon, where the text of the property is split at semicolons."""
    if operation.type.name != "ENUMERATION" and operation.operator not in _ON_SEPARATE_VALUES:
        return
    for value in operand_texts(operation):
        if SEPARATOR in value.strip(f"{SEPARATOR} "):
            yield FlowWarning(
                f"{path}.operation.{operand_key(operation)}",
                "SEPARATOR_IN_OPTION",
                f"{quoted(value)} contains a semicolon, and the text of {name} is split at semicolons",
                "Write each option as a value of its own",
            )


_ON_SEPARATE_VALUES = frozenset({"CONTAINS_EXACTLY", "DOES_NOT_CONTAIN_EXACTLY"})


def time_zone_warnings(given: Mapping[str, Any], path: str) -> Iterator[FlowWarning]:
    """HubSpot's documentation does not say which time zone applies without the conversion."""
    if given.get("requiresTimeZoneConversion") is False:
        yield FlowWarning(
            f"{path}.requiresTimeZoneConversion",
            "TIME_ZONE_CONVERSION",
            "false has no effect: days are those of the portal's time zone, or of the time point's zoneId",
            "Remove it, or check the days with `enroll flows preview`",
        )


def operand_warnings(name: str, operation: RecordOperation, path: str) -> Iterator[FlowWarning]:
    """Operands with which an operator never holds."""
    match operation:
        case RollingDate(days=0) if operation.operator.startswith("IS_LESS_THAN"):
            words = describe_operation(operation.given)
            found = f"no date {words.removesuffix(' (or has no value)')}"
            yield FlowWarning(f"{path}.numberOfDays", "NEVER_HOLDS", found, "Write at least 1, which is today")
        case Updated(days=0):
            holds = "never" if operation.operator == "UPDATED_IN_LAST_X_DAYS" else "always"
            found = f"a period of 0 days contains no update of {name}, so the filter {holds} holds"
            yield FlowWarning(f"{path}.numberOfDays", "NEVER_HOLDS", found, "Write at least 1, which is today")
        case RangeOfTime() if _is_reversed(operation):
            holds = "never" if operation.operator == "IS_BETWEEN" else "always"
            found = f"the upper bound is before the lower bound, so the filter on {name} {holds} holds"
            yield FlowWarning(f"{path}.upperBoundTimePoint", "NEVER_HOLDS", found, "Exchange the bounds")


# Every hour of a day, and every month of more than four years, because months and years have several lengths.
_INSTANTS = tuple(
    1_767_225_600_000 + day * DAY_MS + day % 24 * 3_600_000 for day in range(0, 4 * 366 + 24, 5)
)  # from 2026-01-01


def _is_reversed(between: RangeOfTime) -> bool:
    """Whether the lower bound is after the upper one at all times. Bounds of other properties are not known."""
    for kind in (FixedPoint, IndexedPoint):
        if isinstance(between.lower, kind) and isinstance(between.upper, kind):
            if between.lower.zone != between.upper.zone:
                return False  # the portal's time zone is not known here
            # Fixed points are the same at all times.
            instants = _INSTANTS if kind is IndexedPoint else _INSTANTS[:1]
            return all(_is_reversed_at(between, at) for at in instants)
    return False


def _is_reversed_at(between: RangeOfTime, at: int) -> bool:
    snapshot = RecordSnapshot(Record(RecordKey("", "", ""), at), at)
    lower, upper = between.lower.instant(snapshot), between.upper.instant(snapshot)
    if lower is None or upper is None:
        return False
    includes_bounds = between.includes_lower and between.includes_upper
    return lower > upper or (lower == upper and not includes_bounds)
