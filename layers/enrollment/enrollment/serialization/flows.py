"""HubSpot's Automation v4 flow JSON, to the domain (docs/flows.md). All faults are found at once."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from enrollment.catalog import EVENT_TYPE_IDS, EVENT_TYPES
from enrollment.domain.criteria.criteria import (
    AllOf,
    AnyOf,
    AssociatedWith,
    ConstantFilter,
    Criteria,
    ListFilter,
    RecordFilter,
)
from enrollment.domain.criteria.record_operators import RECORD_OPERATION_TYPES, record_operation
from enrollment.domain.enrollment.late_data_tolerance import MAX_TOLERANCE, MINUTE
from enrollment.domain.events.event_types import EventType, Property, RecordEffect, Trigger
from enrollment.domain.flows.flow import Flow, FlowRevision, TriggerGroup, retired
from enrollment.domain.flows.rate_limit import PERIODS, RateLimit
from enrollment.domain.identifiers import object_type_id
from enrollment.domain.operators.filters import PropertyFilter, any_of
from enrollment.domain.operators.property_operators import OPERATION_TYPES, InvalidOperand, operation
from enrollment.domain.records.associations import CATEGORIES as ASSOCIATION_CATEGORIES
from enrollment.domain.records.associations import AssociationType
from enrollment.domain.records.record import CREATION_CHANGE
from enrollment.domain.values import is_list_id, read_name
from enrollment.serialization import flow_keys
from enrollment.serialization.validation_errors import ValidationError, format_value, nearest

MAX_FILTERS = 250
MAX_GROUPS = 100
# With an event's id in one sort key, of which DynamoDB takes 1,024 bytes.
MAX_ID = 64
MAX_DEPTH = 12
# Enrollments in a period.
MAX_RATE = 1_000_000

EXPECTED_RECORD_TOLERANCE = f"a number of seconds from 0 to {MAX_TOLERANCE // 1000}"
ALLOWED_TOLERANCE = f"a number of minutes from 0 to {MAX_TOLERANCE // MINUTE}"

# Keys of the enrollment criteria to the types of flow that have them.
TRIGGERS = {
    "eventFilterBranches": ("EVENT_BASED",),
    "listMembershipFilterBranches": ("EVENT_BASED",),
    "listFilterBranch": ("LIST_BASED",),
    "reEnrollmentTriggersFilterBranches": ("LIST_BASED",),
}

NOT_YET = "is not supported yet; remove it, for it would otherwise be ignored"


class InvalidFlow(ValueError):
    """The flow is refused as a whole; ``faults`` are all that is wrong with it."""

    def __init__(self, flow_id: str, faults: Sequence[ValidationError]) -> None:
        super().__init__(f"flow {flow_id} is refused:\n" + "\n".join(f"  {fault}" for fault in faults))
        self.flow_id = flow_id
        self.faults = tuple(faults)


def read_flow(revision: FlowRevision) -> Flow:
    """Raises InvalidFlow."""
    reader = _Reader()
    document = revision.document
    if not (1 <= len(revision.id) <= MAX_ID and revision.id.isprintable()):
        reader.fault(
            "$.id", "INVALID_ID", f"found {format_value(revision.id)}, allowed are 1 to {MAX_ID} printable characters"
        )
    flow_type = reader.flow_object_type(document)
    groups, criteria, re_enroll = reader.enrollment_criteria(document, flow_type)
    suppression, goal = reader.suppression(document), reader.given_branch(document, "goalFilterBranch")
    tolerance, rate_limit = reader.tolerance(document), reader.rate_limit(document)
    record_tolerance = reader.record_tolerance(document)
    reader.refuse_unsupported(document)
    if reader.filters > MAX_FILTERS:
        reader.fault("$", "TOO_MANY_FILTERS", f"found {reader.filters} filters, allowed are {MAX_FILTERS} in a flow")
    if reader.faults:
        raise InvalidFlow(revision.id, reader.faults)
    return Flow(
        portal_id=revision.portal_id,
        id=revision.id,
        name=str(document.get("name") or ""),
        object_type_id=flow_type,
        revision_id=str(revision.revision),
        is_enabled=revision.is_enabled,
        enabled_at=revision.enabled_at,
        changed_at=revision.changed_at,
        should_re_enroll=re_enroll,
        groups=tuple(groups),
        criteria=criteria,
        suppression=suppression,
        goal=goal,
        tolerance=tolerance,
        rate_limit=rate_limit,
        record_tolerance=record_tolerance,
    )


def read_stored_flow(revision: FlowRevision, report: Callable[[FlowRevision, InvalidFlow], None]) -> Flow:
    """Return a flow that was accepted when it was stored. One that is refused by now is reported and enrolls nobody,
    so that it can't make the events fail that other flows wait for."""
    try:
        return read_flow(revision)
    except InvalidFlow as invalid:
        report(revision, invalid)
        return retired(revision)


def read_condition(event_type_id: str, filters: Any) -> TriggerGroup:
    """An event with refinements, as a trigger group has them, of which it is asked whether it has happened. Raises
    InvalidFlow, whose paths are ``eventType`` and ``filters[0]…``."""
    reader = _Reader()
    named = reader.named_event_type(event_type_id, "eventType")
    if not isinstance(filters, list):
        reader.fault("filters", "WRONG_TYPE", f"found {format_value(filters)}, allowed is a list of filters")
    elif len(filters) > MAX_FILTERS:
        reader.fault("filters", "TOO_MANY_FILTERS", f"found {len(filters)} filters, allowed are {MAX_FILTERS}")
    elif named is not None:
        event_type, named_as, implied = named
        group = TriggerGroup(
            0, event_type.name, named_as, (*implied, *reader.refinements(filters, "filters", event_type))
        )
        if not reader.faults:
            return group
    raise InvalidFlow("", reader.faults)


class _Reader:
    """Reads parts of a flow and collects faults: each method returns what it could read."""

    def __init__(self) -> None:
        self.faults: list[ValidationError] = []
        self.filters = 0

    def fault(self, path: str, code: str, message: str, meant: str | None = None) -> None:
        hint = f" - did you mean {meant}?" if meant else ""
        self.faults.append(ValidationError(path, code, message + hint, meant))

    # The flow ------------------------------------------------------------------------------------------------------

    def flow_object_type(self, document: Mapping[str, Any]) -> str:
        kind, given, name = document.get("type"), document.get("objectTypeId"), document.get("name")
        if name is not None and (not isinstance(name, str) or len(name) > 1000):
            self.fault(
                "$.name", "WRONG_TYPE", f"found {format_value(name)}, allowed is a text of at most 1000 characters"
            )
        enabled = document.get("isEnabled", False)
        if not isinstance(enabled, bool):
            self.fault("$.isEnabled", "WRONG_TYPE", f"found {format_value(enabled)}, allowed is true or false")
        if kind not in ("CONTACT_FLOW", "PLATFORM_FLOW"):
            self.fault(
                "$.type", "UNKNOWN_TYPE", f"found {format_value(kind)}, allowed is CONTACT_FLOW or PLATFORM_FLOW"
            )
        if "objectTypeId" not in document and kind == "CONTACT_FLOW":
            given = "0-1"
        type_id = object_type_id(given) if isinstance(given, str) else None
        if type_id is None:
            self.fault(
                "$.objectTypeId", "UNKNOWN_OBJECT_TYPE", f"found {format_value(given)}, allowed is an id like 0-1"
            )
        elif (kind == "CONTACT_FLOW") != (type_id == "0-1") and kind in ("CONTACT_FLOW", "PLATFORM_FLOW"):
            allowed = "0-1 in a CONTACT_FLOW" if kind == "CONTACT_FLOW" else "any but 0-1 in a PLATFORM_FLOW"
            self.fault("$.objectTypeId", "WRONG_OBJECT_TYPE", f"found {format_value(given)}, allowed is {allowed}")
        return type_id or "0-1"

    def suppression(self, document: Mapping[str, Any]) -> Criteria | None:
        """Of contacts by lists, of other records by a branch."""
        ids = self.list_of(document, "$", "suppressionListIds")
        filters: list[Criteria] = []
        for number, one in enumerate(ids):
            if not is_list_id(one):
                self.fault(f"$.suppressionListIds[{number}]", "WRONG_TYPE", wrong_list_id(one))
            else:
                filters.append(ListFilter(str(one), True))
        if len(ids) > MAX_FILTERS:
            self.fault("$.suppressionListIds", "TOO_MANY_LISTS", f"found {len(ids)}, allowed are {MAX_FILTERS}")
        given = self.given_branch(document, "suppressionFilterBranch")
        if given is not None:
            filters.append(given)
        return AnyOf(tuple(filters)) if filters else None

    def given_branch(self, document: Mapping[str, Any], key: str) -> Criteria | None:
        given = document.get(key)
        if not given or _is_empty(given):
            return None
        return self.branch(given, f"$.{key}", 1)

    def tolerance(self, document: Mapping[str, Any]) -> int | None:
        """In milliseconds."""
        found = document.get("criteriaTolerance")
        if found is None:
            return None
        milliseconds = read_tolerance(found)
        if milliseconds is None:
            self.fault(
                "$.criteriaTolerance", "WRONG_TYPE", f"found {format_value(found)}, allowed is {ALLOWED_TOLERANCE}"
            )
        return milliseconds

    def record_tolerance(self, document: Mapping[str, Any]) -> int | None:
        """In milliseconds."""
        found = document.get("recordTolerance")
        if found is None:
            return None
        milliseconds = read_record_tolerance(found)
        if milliseconds is None:
            expected = f"expected {EXPECTED_RECORD_TOLERANCE}, for example 60; found {format_value(found)}"
            self.fault("$.recordTolerance", "WRONG_TYPE", expected)
        return milliseconds

    def rate_limit(self, document: Mapping[str, Any]) -> RateLimit | None:
        found, path = document.get("enrollmentRateLimit"), "$.enrollmentRateLimit"
        if found is None:
            return None
        if not isinstance(found, dict):
            self.fault(path, "WRONG_TYPE", f"found {format_value(found)}, allowed is an object with count and period")
            return None
        count, period = found.get("count"), found.get("period")
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MAX_RATE:
            self.fault(
                f"{path}.count",
                "WRONG_TYPE",
                f"found {format_value(count)}, allowed is a number from 1 to {MAX_RATE:,}",
            )
            return None
        if not isinstance(period, str) or period not in PERIODS:
            near = nearest(period, PERIODS) if isinstance(period, str) else None
            allowed = ", ".join(PERIODS)
            self.fault(f"{path}.period", "UNKNOWN_OPTION", f"found {format_value(period)}, allowed is {allowed}", near)
            return None
        if count > PERIODS[period]:
            self.fault(
                f"{path}.count", "WRONG_TYPE", f"found {count:,}, allowed are {PERIODS[period]:,} in a {period.lower()}"
            )
        return RateLimit(count, PERIODS[period])

    def refuse_unsupported(self, document: Mapping[str, Any]) -> None:
        setting = document.get("unEnrollmentSetting")
        if setting and not (isinstance(setting, dict) and setting.get("type") == "NONE"):
            self.fault("$.unEnrollmentSetting", "NOT_YET_SUPPORTED", f"unEnrollmentSetting {NOT_YET}")

    def enrollment_criteria(
        self, document: Mapping[str, Any], object_type: str
    ) -> tuple[list[TriggerGroup], Criteria | None, bool]:
        path = "$.enrollmentCriteria"
        found = document.get("enrollmentCriteria")
        given: Mapping[str, Any] = {"type": "MANUAL"} if found is None else found
        if not isinstance(given, dict):
            self.fault(path, "WRONG_TYPE", f"found {format_value(given)}, allowed is an object")
            return [], None, False
        kind = given.get("type")
        if kind not in ("EVENT_BASED", "LIST_BASED", "MANUAL"):
            self.fault(
                f"{path}.type",
                "UNKNOWN_TYPE",
                f"found {format_value(kind)}, allowed is EVENT_BASED, LIST_BASED or MANUAL",
            )
            return [], None, False
        re_enroll = given.get("shouldReEnroll")
        if not isinstance(re_enroll, bool | None):
            self.fault(
                f"{path}.shouldReEnroll", "WRONG_TYPE", f"found {format_value(re_enroll)}, allowed is true or false"
            )
        self.refuse_mixed(given, kind, path)
        if kind != "EVENT_BASED":
            if document.get("isEnabled") is True:
                self.fault(f"{path}.type", "NOT_YET_SUPPORTED", f"enrollment by {kind} does not run yet: turn it off")
            return [], None, False
        if document.get("enrollmentSchedule"):
            self.fault("$.enrollmentSchedule", "SCHEDULE_WITH_EVENTS", "a schedule can't be beside event triggers")
        self.refuse_unknown(given, flow_keys.CRITERIA, path)
        groups = self.trigger_groups(given, path, object_type)
        criteria = None
        if given.get("refinementCriteria") is not None:
            criteria = self.branch(given["refinementCriteria"], f"{path}.refinementCriteria", 1)
        return groups, criteria, re_enroll is True

    def refuse_unknown(self, given: Mapping[str, Any], known: frozenset[str], path: str) -> None:
        """A key that is not evaluated may change who enrolls."""
        self.faults += flow_keys.unknown_keys(given, known, path)

    def refuse_mixed(self, given: Mapping[str, Any], kind: str, path: str) -> None:
        """A flow is event-based, filter-based, or manual, never two at once."""
        for key in TRIGGERS:
            if given.get(key) and kind not in TRIGGERS[key]:
                allowed = " or ".join(TRIGGERS[key])
                self.fault(
                    f"{path}.{key}",
                    "MIXED_TRIGGERS",
                    f"found in a flow of type {kind}, allowed is it in one of {allowed}",
                )
        if given.get("refinementCriteria") and kind != "EVENT_BASED":
            self.fault(
                f"{path}.refinementCriteria",
                "CRITERIA_WITHOUT_TRIGGER",
                "refinement criteria narrow event triggers, and this flow has none",
            )

    # Trigger groups --------------------------------------------------------------------------------------------------

    def trigger_groups(self, given: Mapping[str, Any], path: str, object_type: str) -> list[TriggerGroup]:
        events = self.list_of(given, path, "eventFilterBranches")
        lists = self.list_of(given, path, "listMembershipFilterBranches")
        if not events and not lists:
            self.fault(path, "NO_TRIGGER", "found no trigger group; an EVENT_BASED flow has at least one")
        if len(events) + len(lists) > MAX_GROUPS:
            self.fault(path, "TOO_MANY_GROUPS", f"found {len(events) + len(lists)} groups, allowed are {MAX_GROUPS}")
            return []
        groups = [
            self.event_group(one, f"{path}.eventFilterBranches[{index}]", index, object_type)
            for index, one in enumerate(events)
        ] + [
            self.list_group(one, f"{path}.listMembershipFilterBranches[{index}]", len(events) + index, object_type)
            for index, one in enumerate(lists)
        ]
        return [group for group in groups if group is not None]

    def event_group(self, given: Any, path: str, index: int, object_type: str) -> TriggerGroup | None:
        if not isinstance(given, dict):
            self.fault(path, "WRONG_TYPE", f"found {format_value(given)}, allowed is an object")
            return None
        self.refuse_unknown(given, flow_keys.EVENT_BRANCH, path)
        kind = given.get("filterBranchType")
        if kind != "UNIFIED_EVENTS":
            self.fault(
                f"{path}.filterBranchType", "UNKNOWN_BRANCH", f"found {format_value(kind)}, allowed is UNIFIED_EVENTS"
            )
        if (given.get("filterBranchOperator") or "AND") != "AND":
            self.fault(
                f"{path}.filterBranchOperator",
                "UNKNOWN_OPERATOR",
                f"found {format_value(given['filterBranchOperator'])}, allowed is AND",
            )
        operator = given.get("operator")
        if operator == "HAS_NOT_COMPLETED":
            self.fault(
                f"{path}.operator",
                "HAS_NOT_COMPLETED",
                "an event that did not happen can't enroll anyone; ask the event history in an if/then branch instead",
            )
        elif operator != "HAS_COMPLETED":
            self.fault(
                f"{path}.operator", "UNKNOWN_OPERATOR", f"found {format_value(operator)}, allowed is HAS_COMPLETED"
            )
        if given.get("filterBranches"):
            self.fault(f"{path}.filterBranches", "NESTED_BRANCHES", "a trigger group has no branches, only filters")

        named = self.event_type(given.get("eventTypeId"), f"{path}.eventTypeId", object_type)
        filters = self.list_of(given, path, "filters")
        self.filters += len(filters)
        if named is None:
            return None
        event_type, event_type_id, implied = named
        kept = self.refinements(filters, f"{path}.filters", event_type)
        also = ("crm.object_created",) if _is_about_creation(event_type, kept) else ()
        return TriggerGroup(index, event_type.name, event_type_id, (*implied, *kept), also)

    def refinements(self, filters: list[Any], path: str, event_type: EventType) -> tuple[PropertyFilter, ...]:
        """With what those on some properties stand for besides."""
        if filters and not event_type.properties:
            self.fault(
                path,
                "NOT_REFINABLE",
                f"{event_type.name} has no event properties; filter the record in refinementCriteria instead",
            )
            return ()
        read = [self.event_filter(one, f"{path}[{number}]", event_type) for number, one in enumerate(filters)]
        kept = tuple(one for one in read if one is not None)
        narrowing = event_type.narrowing
        if narrowing is not None and any(one.property in narrowing.on_properties for one in kept):
            return (narrowing.implies, *kept)
        return kept

    def event_type(
        self, given: Any, path: str, object_type: str
    ) -> tuple[EventType, str | None, tuple[PropertyFilter, ...]] | None:
        named = self.named_event_type(given, path)
        if named is None:
            return None
        event_type = named[0]
        if event_type.trigger is Trigger.LIST_MEMBERSHIP:
            self.fault(
                path, "WRONG_BRANCH", f"{event_type.name} is written as a branch of listMembershipFilterBranches"
            )
            return None
        self.check_object_type(event_type, path, object_type)
        return named

    def named_event_type(
        self, given: Any, path: str
    ) -> tuple[EventType, str | None, tuple[PropertyFilter, ...]] | None:
        """The event, the id of it that was meant, and the refinements that naming it so stands for."""
        implied: tuple[PropertyFilter, ...] = ()
        if isinstance(given, str) and given in EVENT_TYPE_IDS:
            event_type, alias = EVENT_TYPE_IDS[given]
            event_type_id: str | None = alias.id
            implied = alias.implies
        elif isinstance(given, str) and given in EVENT_TYPES:
            event_type = EVENT_TYPES[given]
            event_type_id = event_type.event_type_id
        else:
            near = nearest(given, [*EVENT_TYPES, *EVENT_TYPE_IDS]) if isinstance(given, str) else None
            message = f"found {format_value(given)}, allowed is an event type of the catalogue"
            self.fault(path, "UNKNOWN_EVENT", message, near)
            return None
        return event_type, event_type_id, implied

    def check_object_type(self, event_type: EventType, path: str, object_type: str) -> None:
        if not event_type.object_types.allow(object_type):
            self.fault(
                path,
                "EVENT_NOT_ALLOWED",
                f"{event_type.name} can't trigger a flow of {object_type}, allowed is {event_type.object_types.label}",
            )

    def list_group(self, given: Any, path: str, index: int, object_type: str) -> TriggerGroup | None:
        event_type = EVENT_TYPES["lists.membership_changed"]
        filters = self.list_of(given, path, "filters") if isinstance(given, dict) else []
        if len(filters) != 1 or not isinstance(filters[0], dict) or given.get("filterBranches"):
            self.fault(
                path, "WRONG_BRANCH", f"found {format_value(given)}, allowed is a branch with one IN_LIST filter"
            )
            return None
        self.filters += 1
        one, at = filters[0], f"{path}.filters[0]"
        self.refuse_unknown(given, flow_keys.BRANCH, path)
        self.refuse_unknown(one, flow_keys.LIST_FILTER, at)
        list_id, operator = one.get("listId"), one.get("operator")
        if one.get("filterType") != "IN_LIST":
            self.fault(
                f"{at}.filterType", "WRONG_FILTER", f"found {format_value(one.get('filterType'))}, allowed is IN_LIST"
            )
        if operator not in ("IN_LIST", "NOT_IN_LIST"):
            self.fault(
                f"{at}.operator",
                "UNKNOWN_OPERATOR",
                f"found {format_value(operator)}, allowed is IN_LIST or NOT_IN_LIST",
            )
        if not is_list_id(list_id):
            self.fault(f"{at}.listId", "WRONG_TYPE", wrong_list_id(list_id))
            return None
        self.check_object_type(event_type, path, object_type)
        change = "ADDED" if operator == "IN_LIST" else "REMOVED"
        return TriggerGroup(
            index,
            event_type.name,
            event_type.event_type_id,
            (any_of("hs_list_id", str(list_id)), any_of("hs_membership_change", change)),
        )

    # Filters -------------------------------------------------------------------------------------------------------

    def event_filter(self, given: Any, path: str, event_type: EventType) -> PropertyFilter | None:
        name = self.property_name(given, path, allowed="PROPERTY")
        if name is None:
            return None
        known = event_type.property(name)
        if known is None:
            names = [one.name for one in event_type.properties]
            self.fault(
                f"{path}.property",
                "UNKNOWN_PROPERTY",
                f"found {format_value(name)}, which {event_type.name} does not have; it has {', '.join(names)}",
                nearest(name, names),
            )
            return None
        at = f"{path}.operation"
        kind, operator = self.operation_names(given, at)
        if kind is None or operator is None:
            return None
        row = OPERATION_TYPES.get(kind)
        if row is None or kind not in known.operations:
            allowed = ", ".join(sorted(known.operations))
            self.fault(
                f"{at}.operationType",
                "OPERATION_NOT_ALLOWED",
                f"found {format_value(kind)}, allowed on {name} ({known.type}) is {allowed}",
                nearest(kind, known.operations),
            )
            return None
        if operator in row.history:
            self.fault(
                f"{at}.operator",
                "HISTORY_ON_EVENT",
                f"found {operator}; an event is one change and has no history: use it in refinementCriteria",
            )
            return None
        if operator not in row.on_events:
            self.unknown_operator(at, kind, operator, sorted(row.on_events))
            return None
        return self.filter(known, given["operation"], at)

    def branch(self, given: Any, path: str, depth: int) -> Criteria | None:
        if not isinstance(given, dict):
            self.fault(path, "WRONG_TYPE", f"found {format_value(given)}, allowed is an OR or AND branch")
            return None
        if depth > MAX_DEPTH:
            self.fault(path, "TOO_DEEP", f"branches are nested more than {MAX_DEPTH} levels deep")
            return None
        kind = given.get("filterBranchType")
        filters = self.list_of(given, path, "filters")
        branches = self.list_of(given, path, "filterBranches")
        self.filters += len(filters)
        if kind in ("AND", "OR"):
            self.refuse_unknown(given, flow_keys.BRANCH, path)
        if kind in ("AND", "OR") and (given.get("filterBranchOperator") or kind) != kind:
            found = format_value(given["filterBranchOperator"])
            self.fault(f"{path}.filterBranchOperator", "UNKNOWN_OPERATOR", f"found {found}, allowed is {kind}")
        if kind == "ASSOCIATION":
            return self.association(given, path, filters, branches)
        if kind == "OR":
            if filters:
                self.fault(f"{path}.filters", "FILTERS_IN_OR", "an OR branch has AND branches, no filters of its own")
            if not branches:
                self.fault(f"{path}.filterBranches", "EMPTY_BRANCH", "found none, allowed is at least one AND branch")
            for number, one in enumerate(branches):
                if isinstance(one, dict) and one.get("filterBranchType") not in ("AND", "ASSOCIATION"):
                    self.fault(
                        f"{path}.filterBranches[{number}].filterBranchType",
                        "UNKNOWN_BRANCH",
                        f"found {format_value(one.get('filterBranchType'))}, allowed in an OR branch is AND",
                    )
                    return None
            either = [self.branch(one, f"{path}.filterBranches[{n}]", depth + 1) for n, one in enumerate(branches)]
            return AnyOf(tuple(part for part in either if part is not None))
        if kind != "AND":
            self.fault(
                f"{path}.filterBranchType", "UNKNOWN_BRANCH", f"found {format_value(kind)}, allowed is OR or AND"
            )
            return None
        if not filters and not branches:
            self.fault(f"{path}.filters", "EMPTY_BRANCH", "found no filter; the branch would accept every record")
        parts: list[Criteria | None] = [
            self.record_filter(one, f"{path}.filters[{n}]") for n, one in enumerate(filters)
        ]
        for number, one in enumerate(branches):
            at = f"{path}.filterBranches[{number}]"
            if isinstance(one, dict) and one.get("filterBranchType") == "ASSOCIATION":
                parts.append(self.branch(one, at, depth + 1))
            else:
                self.fault(at, "UNKNOWN_BRANCH", "an AND branch has filters and ASSOCIATION branches, no other branch")
        return AllOf(tuple(part for part in parts if part is not None))

    def association(
        self, given: Mapping[str, Any], path: str, filters: list[Any], branches: list[Any]
    ) -> AssociatedWith | None:
        self.refuse_unknown(given, flow_keys.ASSOCIATION_BRANCH, path)
        if branches:
            self.fault(f"{path}.filterBranches", "NESTED_BRANCHES", "an ASSOCIATION branch has filters, no branches")
        if not filters:
            self.fault(f"{path}.filters", "EMPTY_BRANCH", "found no filter; any associated record would do")
        if (given.get("operator") or "IN_LIST") != "IN_LIST":
            found = format_value(given["operator"])
            self.fault(f"{path}.operator", "UNKNOWN_OPERATOR", f"found {found}, allowed is IN_LIST")
        named, category, number = (
            given.get("objectTypeId"),
            given.get("associationCategory"),
            given.get("associationTypeId"),
        )
        object_type = object_type_id(named) if isinstance(named, str) else None
        if object_type is None:
            self.fault(
                f"{path}.objectTypeId", "UNKNOWN_OBJECT_TYPE", f"found {format_value(named)}, allowed is an id like 0-2"
            )
        if category not in ASSOCIATION_CATEGORIES:
            allowed = " or ".join(ASSOCIATION_CATEGORIES)
            self.fault(
                f"{path}.associationCategory", "UNKNOWN_OPTION", f"found {format_value(category)}, allowed is {allowed}"
            )
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            self.fault(f"{path}.associationTypeId", "WRONG_TYPE", f"found {format_value(number)}, allowed is a number")
        parts = [self.record_filter(one, f"{path}.filters[{n}]") for n, one in enumerate(filters)]
        if object_type is None or category not in ASSOCIATION_CATEGORIES or not isinstance(number, int):
            return None
        kept = tuple(part for part in parts if part is not None)
        return AssociatedWith(object_type, AssociationType(category, number), AllOf(kept))

    def record_filter(self, given: Any, path: str) -> Criteria | None:
        if isinstance(given, dict) and given.get("filterType") == "IN_LIST":
            return self.list_filter(given, path)
        if isinstance(given, dict) and given.get("filterType") == "CONSTANT":
            self.refuse_unknown(given, flow_keys.CONSTANT_FILTER, path)
            accepts = given.get("shouldAccept")
            if not isinstance(accepts, bool):
                self.fault(
                    f"{path}.shouldAccept", "WRONG_TYPE", f"found {format_value(accepts)}, allowed is true or false"
                )
            return ConstantFilter(accepts is True)
        name = self.property_name(given, path, allowed="PROPERTY, IN_LIST or CONSTANT")
        if name is None:
            return None
        at = f"{path}.operation"
        kind, operator = self.operation_names(given, at)
        if kind is None or operator is None:
            return None
        row = RECORD_OPERATION_TYPES.get(kind)
        if row is None:
            allowed = ", ".join(RECORD_OPERATION_TYPES)
            near = nearest(kind, RECORD_OPERATION_TYPES)
            self.fault(
                f"{at}.operationType", "UNKNOWN_OPERATION", f"found {format_value(kind)}, allowed is {allowed}", near
            )
            return None
        if operator not in row.operators:
            self.unknown_operator(at, kind, operator, row.operators)
            return None
        self.check_include(given["operation"], at)
        try:
            return RecordFilter(read_name(name), record_operation(given["operation"]))
        except InvalidOperand as invalid:
            self.invalid_operand(invalid, at)
            return None

    def list_filter(self, given: Mapping[str, Any], path: str) -> ListFilter | None:
        self.refuse_unknown(given, flow_keys.LIST_FILTER, path)
        list_id, operator = given.get("listId"), given.get("operator") or "IN_LIST"
        if operator not in ("IN_LIST", "NOT_IN_LIST"):
            self.fault(
                f"{path}.operator",
                "UNKNOWN_OPERATOR",
                f"found {format_value(operator)}, allowed is IN_LIST or NOT_IN_LIST",
            )
        if not is_list_id(list_id):
            self.fault(f"{path}.listId", "WRONG_TYPE", wrong_list_id(list_id))
            return None
        return ListFilter(str(list_id), operator == "IN_LIST")

    def unknown_operator(self, at: str, kind: str, operator: str, allowed: Sequence[str]) -> None:
        instead = {"IS_EQUAL_TO": "IS_ANY_OF", "IS_NOT_EQUAL_TO": "IS_NONE_OF"} if kind == "ENUMERATION" else {}
        self.fault(
            f"{at}.operator",
            "UNKNOWN_OPERATOR",
            f"found {format_value(operator)}, allowed for {kind} is {', '.join(allowed)}",
            instead.get(operator) or nearest(operator, allowed),
        )

    def filter(self, known: Property, given: Mapping[str, Any], path: str) -> PropertyFilter | None:
        self.check_include(given, path)
        try:
            return PropertyFilter(known.name, operation(given, known.url_part))
        except InvalidOperand as invalid:
            self.invalid_operand(invalid, path)
            return None

    def check_include(self, given: Mapping[str, Any], path: str) -> None:
        include = given.get("includeObjectsWithNoValueSet")
        if not isinstance(include, bool | None):
            self.fault(
                f"{path}.includeObjectsWithNoValueSet",
                "WRONG_TYPE",
                f"found {format_value(include)}, allowed is true or false",
            )

    def invalid_operand(self, invalid: InvalidOperand, path: str) -> None:
        self.fault(
            f"{path}.{invalid.key}",
            "INVALID_OPERAND",
            f"found {format_value(invalid.found)}, allowed is {invalid.allowed}",
        )

    def property_name(self, given: Any, path: str, allowed: str) -> str | None:
        kind = given.get("filterType") if isinstance(given, dict) else given
        if not isinstance(given, dict) or kind != "PROPERTY":
            self.fault(f"{path}.filterType", "UNKNOWN_FILTER", f"found {format_value(kind)}, allowed is {allowed}")
            return None
        name = given.get("property")
        if not isinstance(name, str) or not name.strip():
            self.fault(
                f"{path}.property", "WRONG_TYPE", f"found {format_value(name)}, allowed is the name of a property"
            )
            return None
        self.refuse_unknown(given, flow_keys.PROPERTY_FILTER, path)
        return name

    def operation_names(self, given: Mapping[str, Any], path: str) -> tuple[str | None, str | None]:
        found = given.get("operation")
        if not isinstance(found, dict):
            self.fault(path, "WRONG_TYPE", f"found {format_value(found)}, allowed is an object")
            return None, None
        self.faults += flow_keys.unknown_operation_keys(found, path)
        names: list[str | None] = []
        for key in ("operationType", "operator"):
            name = found.get(key)
            if not isinstance(name, str):
                self.fault(f"{path}.{key}", "WRONG_TYPE", f"found {format_value(name)}, allowed is the name of one")
            names.append(name if isinstance(name, str) else None)
        return names[0], names[1]

    def list_of(self, given: Mapping[str, Any], path: str, key: str) -> list[Any]:
        found = given.get(key)
        if found is None:
            return []
        if not isinstance(found, list):
            self.fault(f"{path}.{key}", "WRONG_TYPE", f"found {format_value(found)}, allowed is a list")
            return []
        return found


def read_tolerance(found: Any) -> int | None:
    """Minutes, to milliseconds; None: not allowed."""
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found <= MAX_TOLERANCE // MINUTE:
        return None
    return round(found * MINUTE)


def _is_about_creation(event_type: EventType, filters: Sequence[PropertyFilter]) -> bool:
    """Whether the group names a change of the creation date, which happens when a record is created."""
    names = [one for one in filters if one.property == "hs_name"]
    is_change = event_type.effect is RecordEffect.CHANGES_PROPERTY
    return is_change and bool(names) and all(one.failure(CREATION_CHANGE) is None for one in names)


def read_record_tolerance(found: Any) -> int | None:
    """Milliseconds, of a number of seconds. None: it is not allowed."""
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found <= MAX_TOLERANCE // 1000:
        return None
    return round(found * 1000)


def wrong_list_id(found: Any) -> str:
    return f"expected the id of one list, for example 42; got {format_value(found)}"


def _is_empty(branch: Any, depth: int = 1) -> bool:
    """HubSpot writes a branch without filters where nothing is set. What has other keys was meant to say something."""
    if (
        depth > MAX_DEPTH
        or not isinstance(branch, dict)
        or branch.get("filterBranchType") not in ("AND", "OR")
        or not set(branch) <= {"filterBranchType", "filterBranchOperator", "filters", "filterBranches"}
        or branch.get("filters")
    ):
        return False
    branches = branch.get("filterBranches") or []
    return isinstance(branches, list) and all(_is_empty(one, depth + 1) for one in branches)
