"""Find parts of a valid flow that its author probably did not intend, most of all what can never match.

Each rule is a generator of ``FlowWarning``. docs/flows.md, "Warnings", lists the rules.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from msgspec import Struct

from enrollment.domain.criteria.criteria import AllOf, AnyOf, AssociatedWith, Criteria, ListFilter, Not, RecordFilter
from enrollment.domain.criteria.record_operators import (
    EventOperation,
    FixedPoint,
    HistoryOperator,
    IndexedPoint,
    RangeOfTime,
    RecordOperation,
    RollingDate,
    Updated,
)
from enrollment.domain.describe import FAILS_WITHOUT_VALUE, describe_operation, is_negative
from enrollment.domain.events.event_types import (
    EventType,
    IsNotTrue,
    IsOneOf,
    Property,
    PropertyType,
    RecordEffect,
    Rule,
    Trigger,
)
from enrollment.domain.flows.flow import Flow, TriggerGroup
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.operators.filters import PropertyFilter, any_of
from enrollment.domain.operators.property_operators import OPERATION_TYPES, Operation, operation
from enrollment.domain.operators.satisfiability import DAY_MS, can_hold
from enrollment.domain.operators.urls import UrlPart, split
from enrollment.domain.records.record import Record
from enrollment.domain.records.record_snapshot import RecordSnapshot
from enrollment.domain.similar_names import nearest
from enrollment.domain.values import SEPARATOR, as_text, fold, read_name

MAX_SHOWN = 80


class FlowWarning(Struct, frozen=True):
    """``path``: the JSON path in the flow. ``code``: the rule. ``found``: what is written there and what it means.
    ``action``: what to do, as an imperative. Both are sentences without a full stop."""

    path: str
    code: str
    found: str
    action: str

    def __str__(self) -> str:
        return f"{self.path}: {self.found}. {self.action}"


class _Part(NamedTuple):
    """A branch or a filter of criteria. ``object_type``: the type of the records that it is evaluated on."""

    path: str
    criteria: Criteria
    object_type: str


def lint(
    flow: Flow, event_types: Mapping[str, EventType], default_properties: Mapping[str, frozenset[str]]
) -> Sequence[FlowWarning]:
    """Return the warnings about a valid flow, triggers first.

    ``event_types``: the catalog, by name. ``default_properties``: HubSpot's properties, by object type.
    """
    event_count = sum(event_types[group.event_type].trigger is Trigger.EVENT for group in flow.groups)
    warnings: list[FlowWarning] = []
    for group in flow.groups[:event_count]:
        event_type = event_types[group.event_type]
        path = f"$.enrollmentCriteria.eventFilterBranches[{group.index}]"
        warnings += _group_warnings(group, event_type, path, default_properties.get(flow.object_type_id, frozenset()))
    warnings += _entry_warnings(flow)
    for part in _criteria_parts(flow):
        warnings += _part_warnings(part, default_properties)
    return warnings


# Filter-based flows ------------------------------------------------------------------------------------------------


def _entry_warnings(flow: Flow) -> Iterator[FlowWarning]:
    if flow.entry is None:
        return
    path = "$.enrollmentCriteria.reEnrollmentTriggersFilterBranches"
    if flow.should_re_enroll and not flow.entry.re_enrollment:
        yield FlowWarning(
            path,
            "RE_ENROLLMENT_WITHOUT_TRIGGER",
            "shouldReEnroll is true and there is no re-enrollment trigger, so a record enters once",
            'Add a trigger, for example {"filterBranchType": "AND", "filters": [a filter on hs_name, and one on '
            "hs_value with IS_KNOWN]}",
        )
    if flow.entry.has_unused_triggers:
        found = "shouldReEnroll is false, so the re-enrollment triggers have no effect"
        yield FlowWarning(path, "UNUSED_RE_ENROLLMENT_TRIGGER", found, "Set shouldReEnroll to true, or remove them")
    if flow.object_type_id != "0-1":
        return
    for part in _parts("$.enrollmentCriteria.listFilterBranch", flow.entry.criteria, flow.object_type_id):
        if not isinstance(part.criteria, RecordFilter) or part.object_type != "0-1":
            continue
        given = part.criteria.operation.given
        if is_negative(given["operator"]) and given.get("includeObjectsWithNoValueSet") is None:
            words = describe_operation(given).removesuffix(FAILS_WITHOUT_VALUE)
            yield FlowWarning(
                f"{part.path}.operation",
                "NEGATIVE_WITHOUT_VALUE",
                f"{part.criteria.property} {words} excludes contacts without a value, which HubSpot's contact flows "
                "include",
                "Set includeObjectsWithNoValueSet to true or false",
            )


# Triggers ----------------------------------------------------------------------------------------------------------


def _group_warnings(
    group: TriggerGroup, event_type: EventType, path: str, known_properties: frozenset[str]
) -> Iterator[FlowWarning]:
    written = group.filters[_implied_count(group, event_type) :]
    if event_type.effect is RecordEffect.CHANGES_PROPERTY and not any(each.property == "hs_name" for each in written):
        yield FlowWarning(
            f"{path}.filters",
            "ANY_PROPERTY_CHANGE",
            f"no filter on hs_name, so a change of any property is a {event_type.name} that triggers the flow",
            "Add a filter on hs_name with the name of the property",
        )
    for index, refinement in enumerate(written):
        at = f"{path}.filters[{index}]"
        known = event_type.property(refinement.property)
        assert known is not None, "a valid flow refines known properties"
        yield from _option_warnings(refinement.operation, known, event_type, at)
        yield from _separator_warnings(refinement.operation, refinement.property, at)
        if known.url_part is not None:
            yield from _url_warnings(refinement.operation, known.name, known.url_part, at)
        yield from _time_zone_warnings(refinement.operation.given, f"{at}.operation")
        if known.name == "hs_name":
            yield from _changed_property_warnings(refinement.operation, known_properties, at)
    yield from _contradictory_refinements(group.filters, event_type, f"{path}.filters")


def _implied_count(group: TriggerGroup, event_type: EventType) -> int:
    """The number of filters that the event type adds in front of those that the author wrote."""
    count = next((len(alias.implies) for alias in event_type.ids if alias.id == group.event_type_id), 0)
    narrowing, rest = event_type.narrowing, group.filters[count:]
    if narrowing is not None and any(refinement.property in narrowing.on_properties for refinement in rest):
        count += 1
    return count


def _option_warnings(operation: Operation, known: Property, event_type: EventType, path: str) -> Iterator[FlowWarning]:
    """HubSpot may add options, so an unknown option is not an error."""
    if not known.options or operation.operator not in _WHOLE_VALUES:
        return
    options = {fold(option): option for option in known.options}
    for value in _texts_of(operation):
        if read_name(value) not in options:
            near = nearest(fold(value), options)
            names = ", ".join(known.options)
            yield FlowWarning(
                f"{path}.operation.{_operand_key(operation)}",
                "UNKNOWN_OPTION",
                f"{_quoted(value)} is no option of {known.name} ({names}), so no {event_type.name} has it unless the "
                "source sends more options than HubSpot documents",
                f"Write {options[near]} if you mean it" if near else "Write one of the options",
            )


_WHOLE_VALUES = frozenset(
    {
        *("IS_ANY_OF", "IS_NONE_OF", "IS_EQUAL_TO", "IS_NOT_EQUAL_TO"),
        *("CONTAINS_EXACTLY", "DOES_NOT_CONTAIN_EXACTLY"),
    }
)


def _separator_warnings(operation: Operation, name: str, path: str) -> Iterator[FlowWarning]:
    """An option with a semicolon, where the text of the property is split at semicolons."""
    if operation.type.name != "ENUMERATION" and operation.operator not in _ON_SEPARATE_VALUES:
        return
    for value in _texts_of(operation):
        if SEPARATOR in value.strip(f"{SEPARATOR} "):
            yield FlowWarning(
                f"{path}.operation.{_operand_key(operation)}",
                "SEPARATOR_IN_OPTION",
                f"{_quoted(value)} contains a semicolon, and the text of {name} is split at semicolons",
                "Write each option as a value of its own",
            )


_ON_SEPARATE_VALUES = frozenset({"CONTAINS_EXACTLY", "DOES_NOT_CONTAIN_EXACTLY"})


def _url_warnings(operation: Operation, name: str, part: UrlPart, path: str) -> Iterator[FlowWarning]:
    """Operands with a part of the URL that the property does not have."""
    is_substring = operation.operator in _SUBSTRING
    if part is UrlPart.URL or (not is_substring and operation.operator not in _WHOLE_VALUES):
        return
    at = f"{path}.operation.{_operand_key(operation)}"
    for text in _texts_of(operation):
        page = split(text) if "://" in text else None
        part_text = _part_of(text, part)
        action = f"Write {_quoted(part_text)}" if part_text else f"Write the {_URL_PARTS[part]} alone"
        if "://" in text and (is_substring or page is None):
            found = f"{name} has no scheme, so it never contains {_quoted(text)}"
            yield FlowWarning(at, "SCHEME_IN_URL_PART", found, action)
        elif page is not None and part is UrlPart.PATH:
            found = f"{name} is the path alone, so {_quoted(text)} matches {_quoted(page.path)} on every domain"
            action = f"{action}, and filter the domain with hs_url_domain"
            yield FlowWarning(at, "SCHEME_IN_URL_PART", found, action)
        elif part is UrlPart.DOMAIN and fold(text.strip()).startswith("www."):
            found = f"{name} is stored without www., so it never contains {_quoted(text)}"
            if not is_substring:
                found = f"{name} is compared without www., so {_quoted(text)} matches {_quoted(part_text)} too"
            yield FlowWarning(at, "WWW_IN_DOMAIN", found, action)
        elif part is UrlPart.PATH and page is None:
            yield from _path_warnings(operation.operator, name, text, at)


def _path_warnings(operator: str, name: str, text: str, path: str) -> Iterator[FlowWarning]:
    stripped = text.strip()
    if "?" in stripped or "#" in stripped:
        found = f"{name} has no query and no fragment, so it never contains {_quoted(text)}"
        action = "Filter the query with hs_query_params, or the whole address with hs_url"
        yield FlowWarning(path, "QUERY_IN_PATH", found, action)
    elif operator not in ("CONTAINS", "DOES_NOT_CONTAIN", "ENDS_WITH") and not stripped.startswith("/"):
        found = f"{name} begins with a slash, and {_quoted(text)} does not"
        yield FlowWarning(path, "PATH_WITHOUT_SLASH", found, f"Write {_quoted('/' + stripped)}")


_SUBSTRING = frozenset({"CONTAINS", "DOES_NOT_CONTAIN", "STARTS_WITH", "ENDS_WITH"})
_URL_PARTS = {UrlPart.BASE_URL: "host and path", UrlPart.DOMAIN: "domain", UrlPart.PATH: "path"}


def _part_of(text: str, part: UrlPart) -> str:
    """The part of a URL in the operand. Empty if the operand is no URL."""
    page = split(text)
    if page is None or not page.host:
        return ""
    return {UrlPart.BASE_URL: page.base, UrlPart.DOMAIN: page.domain, UrlPart.PATH: page.path}.get(part, "")


def _changed_property_warnings(
    operation: Operation, known_properties: frozenset[str], path: str
) -> Iterator[FlowWarning]:
    if operation.operator in _WHOLE_VALUES:
        for name in _texts_of(operation):
            at = f"{path}.operation.{_operand_key(operation)}"
            yield from _name_warnings(read_name(name), known_properties, at)


def _contradictory_refinements(
    filters: Sequence[PropertyFilter], event_type: EventType, path: str
) -> Iterator[FlowWarning]:
    by_name: dict[str, list[Operation]] = {}
    for refinement in filters:
        by_name.setdefault(refinement.property, []).append(refinement.operation)
    for name, operations in by_name.items():
        is_single = _is_single(event_type.property(name))
        if len(operations) > 1 and not can_hold(operations, is_single=is_single):
            yield _contradiction(path, f"{event_type.name} has a value of {name}", operations)
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


# Criteria ----------------------------------------------------------------------------------------------------------


def _criteria_parts(flow: Flow) -> Iterator[_Part]:
    """All branches and filters of the criteria, the suppression and the goal, with their paths."""
    if flow.entry is not None:
        yield from _parts("$.enrollmentCriteria.listFilterBranch", flow.entry.criteria, flow.object_type_id)
    if flow.criteria is not None:
        yield from _parts("$.enrollmentCriteria.refinementCriteria", flow.criteria, flow.object_type_id)
    # The suppression is an OR of the lists and of the branch.
    for part in flow.suppression.parts if isinstance(flow.suppression, AnyOf) else ():
        if not isinstance(part, ListFilter):
            yield from _parts("$.suppressionFilterBranch", part, flow.object_type_id)
    if flow.goal is not None:
        yield from _parts("$.goalFilterBranch", flow.goal, flow.object_type_id)


_BRANCHES = (AllOf, AnyOf, Not, AssociatedWith)


def _parts(path: str, criteria: Criteria, object_type: str) -> Iterator[_Part]:
    yield _Part(path, criteria, object_type)
    match criteria:
        case AnyOf():
            for index, branch in enumerate(criteria.parts):
                yield from _parts(f"{path}.filterBranches[{index}]", branch, object_type)
        case AllOf() | Not():
            filters = [part for part in criteria.parts if not isinstance(part, _BRANCHES)]
            branches = [part for part in criteria.parts if isinstance(part, _BRANCHES)]
            for index, part in enumerate(filters):
                yield from _parts(f"{path}.filters[{index}]", part, object_type)
            for index, branch in enumerate(branches):
                yield from _parts(f"{path}.filterBranches[{index}]", branch, object_type)
        case AssociatedWith():
            # The filters are written in the ASSOCIATION branch itself.
            yield from _parts(path, criteria.criteria, criteria.object_type_id)


def _part_warnings(part: _Part, default_properties: Mapping[str, frozenset[str]]) -> Iterator[FlowWarning]:
    known_properties = default_properties.get(part.object_type, frozenset())
    match part.criteria:
        case RecordFilter():
            yield from _name_warnings(part.criteria.property, known_properties, f"{part.path}.property")
            compared = part.criteria.operation.given.get("comparisonPropertyName")
            if isinstance(compared, str):
                at = f"{part.path}.operation.comparisonPropertyName"
                yield from _name_warnings(read_name(compared), known_properties, at)
            if isinstance(part.criteria.operation, EventOperation):
                yield from _separator_warnings(part.criteria.operation.operation, part.criteria.property, part.path)
            yield from _operand_warnings(part.criteria.property, part.criteria.operation, f"{part.path}.operation")
            yield from _time_zone_warnings(part.criteria.operation.given, f"{part.path}.operation")
        case AllOf():
            yield from _contradictory_criteria(part.criteria, part.path)


def _time_zone_warnings(given: Mapping[str, Any], path: str) -> Iterator[FlowWarning]:
    """HubSpot's documentation does not say which time zone applies without the conversion."""
    if given.get("requiresTimeZoneConversion") is False:
        yield FlowWarning(
            f"{path}.requiresTimeZoneConversion",
            "TIME_ZONE_CONVERSION",
            "false has no effect: days are those of the portal's time zone, or of the time point's zoneId",
            "Remove it, or check the days with `enroll flows preview`",
        )


def _name_warnings(name: str, known_properties: frozenset[str], path: str) -> Iterator[FlowWarning]:
    """A property that no record has has no value, so most filters on it never hold."""
    near = nearest(name, known_properties) if name not in known_properties else None
    if near is not None:
        found = f"{_quoted(name)} is no default property, and its name is nearly that of {near}"
        yield FlowWarning(path, "SIMILAR_PROPERTY", found, f"Write {near} if you mean it")


def _operand_warnings(name: str, operation: RecordOperation, path: str) -> Iterator[FlowWarning]:
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


def _contradictory_criteria(branch: AllOf, path: str) -> Iterator[FlowWarning]:
    by_name: dict[str, list[RecordOperation]] = {}
    lists: dict[str, set[bool]] = {}
    for part in branch.parts:
        if isinstance(part, RecordFilter):
            by_name.setdefault(part.property, []).append(part.operation)
        elif isinstance(part, ListFilter):
            lists.setdefault(read_name(part.list_id), set()).add(part.is_member)
    for name, operations in by_name.items():
        if len(operations) > 1 and not _criteria_can_hold(operations):
            yield _contradiction(f"{path}.filters", f"record has a value of {name}", operations)
    for list_id, memberships in lists.items():
        if len(memberships) > 1:
            found = f"no record is in list {list_id} and not in list {list_id}"
            yield FlowWarning(f"{path}.filters", "CONTRADICTION", found, _SEPARATE)


def _criteria_can_hold(operations: Sequence[RecordOperation]) -> bool:
    """Operations on the history say nothing about the value. The other operations on records need a value."""
    current = [each.operation for each in operations if isinstance(each, EventOperation)]
    needs_value = any(
        not isinstance(each, EventOperation | HistoryOperator)
        and each.given.get("includeObjectsWithNoValueSet") is not True
        for each in operations
    )
    return can_hold([*current, _IS_KNOWN] if needs_value else current)


_IS_KNOWN = operation({"operationType": "ALL_PROPERTY", "operator": "IS_KNOWN"})
_SEPARATE = "Remove a filter, or put the filters into separate branches of an OR"


def _contradiction(path: str, subject: str, operations: Sequence[Operation] | Sequence[RecordOperation]) -> FlowWarning:
    words = [describe_operation(each.given).removesuffix(FAILS_WITHOUT_VALUE) for each in operations]
    return FlowWarning(path, "CONTRADICTION", f"no {subject} that {' and '.join(words)}", _SEPARATE)


# Operands ----------------------------------------------------------------------------------------------------------


def _operand_key(operation: Operation) -> str:
    return OPERATION_TYPES[operation.type.name].keys[0]


def _texts_of(operation: Operation) -> Sequence[str]:
    """The operands as the author wrote them."""
    operand = operation.given[_operand_key(operation)]
    return [as_text(value) for value in (operand if isinstance(operand, list) else [operand])]


def _quoted(text: str) -> str:
    return json.dumps(text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…", ensure_ascii=False)
