"""Reading of HubSpot's Automation v4 flow JSON (docs/flows.md). All faults of a flow are reported together."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from enrollment.catalog import EVENT_TYPE_IDS, EVENT_TYPES
from enrollment.domain.criteria.criteria import (
    AllOf,
    AnyOf,
    AssociatedWith,
    ConstantFilter,
    Criteria,
    ListFilter,
    Not,
    RecordFilter,
    needs,
)
from enrollment.domain.criteria.record_operators import RECORD_OPERATION_TYPES, record_operation
from enrollment.domain.enrollment.late_data_tolerance import MAX_TOLERANCE, MINUTE
from enrollment.domain.events.event_types import EventType, Property, RecordEffect, Trigger
from enrollment.domain.flows.entry_compilation import entry_criteria
from enrollment.domain.flows.flow import EntryCriteria, Flow, FlowRevision, TriggerGroup, retired
from enrollment.domain.flows.rate_limit import PERIODS, RateLimit
from enrollment.domain.flows.re_enrollment import ChangeTrigger, CriteriaTrigger, ReEnrollmentTrigger
from enrollment.domain.identifiers import object_type_id
from enrollment.domain.operators.filters import PropertyFilter, any_of
from enrollment.domain.operators.property_operators import OPERATION_TYPES, InvalidOperand, operation
from enrollment.domain.records.associations import CATEGORIES as ASSOCIATION_CATEGORIES
from enrollment.domain.records.associations import AssociationType
from enrollment.domain.records.record import CREATION_CHANGE
from enrollment.domain.similar_names import nearest
from enrollment.domain.values import Instant, is_list_id, read_name
from enrollment.serialization import flow_keys
from enrollment.serialization.unsupported_filters import (
    FILTERS_WITHOUT_SOURCE,
    UNREAD_BRANCHES,
    depends_on_now,
    with_known_spelling,
)
from enrollment.serialization.validation_errors import (
    ValidationError,
    expectation,
    expectation_of,
    hint,
)

MAX_FILTERS = 250
MAX_GROUPS = 100
# A sort key has a flow ID and an event ID, escaped. DynamoDB limits it to 1,024 bytes.
MAX_ID = 64
MAX_DEPTH = 12
# Types of associated records in the criteria of a filter-based flow, which is in lists of candidates of each. All
# lists are written in one transaction, also those that the flow leaves, and DynamoDB limits it to 100 items.
MAX_ASSOCIATED_TYPES = 5
# Enrollments in a period of a rate limit.
MAX_RATE = 1_000_000

EXPECTED_RECORD_TOLERANCE = f"a number of seconds from 0 to {MAX_TOLERANCE // 1000}"
ALLOWED_TOLERANCE = f"a number of minutes from 0 to {MAX_TOLERANCE // MINUTE}"

# For keys of the enrollment criteria, the types of flow that may have them.
TRIGGERS = {
    "eventFilterBranches": ("EVENT_BASED",),
    "listMembershipFilterBranches": ("EVENT_BASED",),
    "listFilterBranch": ("LIST_BASED",),
    "reEnrollmentTriggersFilterBranches": ("LIST_BASED",),
}

# HubSpot gives the event types that an account defines such IDs.
CUSTOM_EVENT_ID = re.compile(r"6-\d+")

# Codes of faults in well-formed flows of HubSpot that this system cannot run.
CANNOT_RUN = frozenset(
    {
        *("NOT_YET_SUPPORTED", "NOT_SUPPORTED", "UNKNOWN_EVENT", "UNKNOWN_BRANCH", "UNKNOWN_FILTER"),
        *("NESTED_BRANCHES", "HAS_NOT_COMPLETED", "NOT_ALLOWED", "NO_CRITERIA", "UNKNOWN_KEY"),
    }
)

_NEGATIONS = ("NOT_ALL", "NOT_ANY")
_UNDER_AND = ("ASSOCIATION", *_NEGATIONS)


class InvalidFlow(ValueError):
    """The flow is rejected as a whole. ``faults``: everything that is wrong with it."""

    def __init__(self, flow_id: str, faults: Sequence[ValidationError]) -> None:
        super().__init__(f"flow {flow_id} is refused:\n" + "\n".join(f"  {fault}" for fault in faults))
        self.flow_id = flow_id
        self.faults = tuple(faults)


def read_flow(revision: FlowRevision) -> Flow:
    """Return the flow of a stored or proposed revision. Raises InvalidFlow with all faults of the document."""
    reader = _Reader()
    document = revision.document
    if not (1 <= len(revision.id) <= MAX_ID and revision.id.isprintable()):
        reader.fault("$.id", "INVALID_ID", expectation(f"1 to {MAX_ID} printable characters", revision.id))
    flow_type = reader.flow_object_type(document)
    groups, criteria, re_enroll = reader.enrollment_criteria(document, flow_type)
    entry = reader.entry(document, revision.criteria_since)
    suppression, goal = reader.suppression(document), reader.given_branch(document, "goalFilterBranch")
    tolerance, rate_limit = reader.tolerance(document), reader.rate_limit(document)
    record_tolerance = reader.record_tolerance(document)
    reader.faults += flow_keys.unsupported_flow_keys(document)
    if reader.filters > MAX_FILTERS:
        reader.fault(
            "$",
            "TOO_MANY_FILTERS",
            expectation_of(f"at most {MAX_FILTERS} filters in a flow", f"{reader.filters} filters"),
        )
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
        entry=entry,
    )


def read_new_flow(revision: FlowRevision) -> Flow:
    """Return the flow of a revision that its author proposes. Raises InvalidFlow with all faults of the document.

    Misspelled keys, which ``read_flow`` ignores, are faults too. A stored flow that has such a key continues to enroll.
    """
    faults = list(flow_keys.misplaced_keys(revision.document))
    try:
        flow = read_flow(revision)
    except InvalidFlow as invalid:
        raise InvalidFlow(revision.id, [*faults, *invalid.faults]) from None
    if faults:
        raise InvalidFlow(revision.id, faults)
    return flow


def read_flow_to_store(revision: FlowRevision) -> Flow:
    """As ``read_new_flow``, but a flow that is off and that this system cannot run is accepted: it is returned without
    triggers. Raises InvalidFlow for any other fault."""
    try:
        return read_new_flow(revision)
    except InvalidFlow as invalid:
        if revision.is_enabled or not all(map(cannot_run, invalid.faults)):
            raise
        return retired(revision)


def read_flow_or_retired(revision: FlowRevision) -> Flow:
    """Return the flow of a stored revision. A flow that is off and cannot run is returned without triggers. Raises
    InvalidFlow for a flow that is on."""
    try:
        return read_flow(revision)
    except InvalidFlow:
        if revision.is_enabled:
            raise
        return retired(revision)


def cannot_run(fault: ValidationError) -> bool:
    """Whether the fault is a part of HubSpot's format that this system cannot run. A flow with such faults can be
    stored if it is off. A name that is nearly a known one is a typing error."""
    return fault.code in CANNOT_RUN and fault.meant is None


def read_stored_flow(revision: FlowRevision, report: Callable[[FlowRevision, InvalidFlow], None]) -> Flow:
    """Return a flow that was valid when it was stored.

    If a newer version of this package rejects it, call ``report`` and return a flow that enrolls no record. An
    exception would make the event fail for all other flows.
    """
    try:
        return read_flow(revision)
    except InvalidFlow as invalid:
        report(revision, invalid)
        return retired(revision)


def read_condition(event_type_id: str, filters: Any) -> TriggerGroup:
    """Read an event type with refinements, for a search of past events.

    Raises InvalidFlow; the paths of the faults are ``eventType`` and ``filters[0]…``.
    """
    reader = _Reader()
    named = reader.named_event_type(event_type_id, "eventType")
    if not isinstance(filters, list):
        reader.fault("filters", "WRONG_TYPE", expectation("a list of filters", filters))
    elif len(filters) > MAX_FILTERS:
        reader.fault(
            "filters", "TOO_MANY_FILTERS", expectation_of(f"at most {MAX_FILTERS} filters", f"{len(filters)} filters")
        )
    elif named is not None:
        event_type, named_as, implied = named
        group = TriggerGroup(
            0, event_type.name, named_as, (*implied, *reader.refinements(filters, "filters", event_type))
        )
        if not reader.faults:
            return group
    raise InvalidFlow("", reader.faults)


class _Reader:
    """Reads parts of a flow and collects faults. Methods return what they could read, or None or an empty value."""

    def __init__(self) -> None:
        self.faults: list[ValidationError] = []
        self.filters = 0
        # Whether the criteria of a filter-based flow are read. They are evaluated at changes of the record only.
        self._is_entry = False

    def fault(self, path: str, code: str, message: str, meant: str | None = None) -> None:
        """Add a fault. ``meant``: what the author probably meant, as a hint."""
        self.faults.append(ValidationError(path, code, message + hint(meant), meant))

    # The flow ------------------------------------------------------------------------------------------------------

    def flow_object_type(self, document: Mapping[str, Any]) -> str:
        kind, raw_object_type, name = document.get("type"), document.get("objectTypeId"), document.get("name")
        if name is not None and (not isinstance(name, str) or len(name) > 1000):
            self.fault("$.name", "WRONG_TYPE", expectation("a text of at most 1000 characters", name))
        enabled = document.get("isEnabled", False)
        if not isinstance(enabled, bool):
            self.fault("$.isEnabled", "WRONG_TYPE", expectation("true or false", enabled))
        if kind not in ("CONTACT_FLOW", "PLATFORM_FLOW"):
            self.fault("$.type", "UNKNOWN_TYPE", expectation("CONTACT_FLOW or PLATFORM_FLOW", kind))
        if "objectTypeId" not in document and kind == "CONTACT_FLOW":
            raw_object_type = "0-1"
        type_id = object_type_id(raw_object_type) if isinstance(raw_object_type, str) else None
        if type_id is None:
            self.fault(
                "$.objectTypeId",
                "UNKNOWN_OBJECT_TYPE",
                expectation("an object type ID, for example 0-1", raw_object_type),
            )
        elif (kind == "CONTACT_FLOW") != (type_id == "0-1") and kind in ("CONTACT_FLOW", "PLATFORM_FLOW"):
            allowed = "0-1 in a CONTACT_FLOW" if kind == "CONTACT_FLOW" else "any but 0-1 in a PLATFORM_FLOW"
            self.fault("$.objectTypeId", "WRONG_OBJECT_TYPE", expectation(allowed, raw_object_type))
        return type_id or "0-1"

    def suppression(self, document: Mapping[str, Any]) -> Criteria | None:
        """Read suppressionListIds and suppressionFilterBranch. A record that meets either is suppressed."""
        ids = self.list_of(document, "$", "suppressionListIds")
        filters: list[Criteria] = []
        for number, list_id in enumerate(ids):
            if not is_list_id(list_id):
                self.fault(f"$.suppressionListIds[{number}]", "WRONG_TYPE", wrong_list_id(list_id))
            else:
                filters.append(ListFilter(str(list_id), True))
        if len(ids) > MAX_FILTERS:
            self.fault(
                "$.suppressionListIds",
                "TOO_MANY_LISTS",
                expectation_of(f"at most {MAX_FILTERS} lists", f"{len(ids)} lists"),
            )
        branch = self.given_branch(document, "suppressionFilterBranch")
        if branch is not None:
            filters.append(branch)
        return AnyOf(tuple(filters)) if filters else None

    def given_branch(self, document: Mapping[str, Any], key: str) -> Criteria | None:
        branch = document.get(key)
        if not branch or _is_empty(branch):
            return None
        return self.branch(branch, f"$.{key}", 1)

    def tolerance(self, document: Mapping[str, Any]) -> int | None:
        """Return the criteria tolerance in milliseconds. None: the flow has none."""
        minutes = document.get("criteriaTolerance")
        if minutes is None:
            return None
        milliseconds = read_tolerance(minutes)
        if milliseconds is None:
            self.fault("$.criteriaTolerance", "WRONG_TYPE", expectation(f"{ALLOWED_TOLERANCE}", minutes))
        return milliseconds

    def record_tolerance(self, document: Mapping[str, Any]) -> int | None:
        """Return the record tolerance in milliseconds. None: the portal's setting applies."""
        seconds = document.get("recordTolerance")
        if seconds is None:
            return None
        milliseconds = read_record_tolerance(seconds)
        if milliseconds is None:
            expected = f"{EXPECTED_RECORD_TOLERANCE}, for example 60"
            self.fault("$.recordTolerance", "WRONG_TYPE", expectation(expected, seconds))
        return milliseconds

    def rate_limit(self, document: Mapping[str, Any]) -> RateLimit | None:
        raw_limit, path = document.get("enrollmentRateLimit"), "$.enrollmentRateLimit"
        if raw_limit is None:
            return None
        if not isinstance(raw_limit, dict):
            self.fault(path, "WRONG_TYPE", expectation("an object with count and period", raw_limit))
            return None
        count, period = raw_limit.get("count"), raw_limit.get("period")
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MAX_RATE:
            self.fault(
                f"{path}.count",
                "WRONG_TYPE",
                expectation(f"a number from 1 to {MAX_RATE:,}", count),
            )
            return None
        if not isinstance(period, str) or period not in PERIODS:
            near = nearest(period, PERIODS) if isinstance(period, str) else None
            allowed = ", ".join(PERIODS)
            self.fault(f"{path}.period", "UNKNOWN_OPTION", expectation(allowed, period), near)
            return None
        if count > PERIODS[period]:
            self.fault(
                f"{path}.count",
                "WRONG_TYPE",
                expectation_of(f"at most {PERIODS[period]:,} in a {period.lower()}", f"{count:,}"),
            )
        return RateLimit(count, PERIODS[period])

    def enrollment_criteria(
        self, document: Mapping[str, Any], object_type: str
    ) -> tuple[list[TriggerGroup], Criteria | None, bool]:
        """Return the trigger groups, the refinement criteria, and whether the flow re-enrolls."""
        path = "$.enrollmentCriteria"
        raw_criteria = document.get("enrollmentCriteria")
        criteria_document: Mapping[str, Any] = {"type": "MANUAL"} if raw_criteria is None else raw_criteria
        if not isinstance(criteria_document, dict):
            self.fault(path, "WRONG_TYPE", expectation("an object", criteria_document))
            return [], None, False
        kind = criteria_document.get("type")
        if kind not in ("EVENT_BASED", "LIST_BASED", "MANUAL"):
            action = "Write PROPERTY_BASED as enrollmentSchedule.type" if kind == "PROPERTY_BASED" else ""
            message = expectation("EVENT_BASED, LIST_BASED or MANUAL", kind, action)
            self.fault(f"{path}.type", "UNKNOWN_TYPE", message)
            return [], None, False
        re_enroll = criteria_document.get("shouldReEnroll")
        if not isinstance(re_enroll, bool | None):
            self.fault(f"{path}.shouldReEnroll", "WRONG_TYPE", expectation("true or false", re_enroll))
        self.refuse_mixed(criteria_document, kind, path)
        if kind == "LIST_BASED":
            return [], None, re_enroll is True
        if kind == "MANUAL":
            self.refuse_unknown(criteria_document, flow_keys.CRITERIA, path)
            self.refuse_schedule(document)
            return [], None, re_enroll is True
        if document.get("enrollmentSchedule"):
            self.fault(
                "$.enrollmentSchedule",
                "SCHEDULE_WITH_EVENTS",
                expectation_of("either a schedule or event triggers", "both", "Remove enrollmentSchedule"),
            )
        self.refuse_unknown(criteria_document, flow_keys.CRITERIA, path)
        groups = self.trigger_groups(criteria_document, path, object_type)
        criteria = None
        if criteria_document.get("refinementCriteria") is not None:
            criteria = self.branch(criteria_document["refinementCriteria"], f"{path}.refinementCriteria", 1)
        return groups, criteria, re_enroll is True

    def refuse_schedule(self, document: Mapping[str, Any]) -> None:
        """Report a schedule in a filter-based or manual flow."""
        if document.get("enrollmentSchedule"):
            meaning = "it enrolls records at times"
            self.faults.append(flow_keys.not_yet_supported("$.enrollmentSchedule", "enrollmentSchedule", meaning))

    # Filter-based flows ----------------------------------------------------------------------------------------------

    def entry(self, document: Mapping[str, Any], since: Instant | None) -> EntryCriteria | None:
        """Read the criteria by which a LIST_BASED flow enrolls. None: the flow is of another type, or has no criteria.

        ``since``: when the criteria came into force.
        """
        criteria_document, path = document.get("enrollmentCriteria"), "$.enrollmentCriteria"
        if not isinstance(criteria_document, dict) or criteria_document.get("type") != "LIST_BASED":
            return None
        self._is_entry = True
        self.refuse_unknown(criteria_document, flow_keys.CRITERIA, path)
        self.refuse_schedule(document)
        if document.get("criteriaTolerance"):
            message = expectation_of(
                "no criteriaTolerance in a LIST_BASED flow", "it", "Late changes are considered without it: remove it"
            )
            self.fault("$.criteriaTolerance", "NOT_ALLOWED", message)
        branch = criteria_document.get("listFilterBranch")
        criteria = None
        if branch is None or branch == {} or _is_empty(branch):
            message = expectation_of("at least one filter in a LIST_BASED flow", "none")
            self.fault(f"{path}.listFilterBranch", "NO_CRITERIA", message)
        else:
            criteria = self.branch(branch, f"{path}.listFilterBranch", 1)
        triggers = [
            self.re_enrollment_trigger(raw_branch, f"{path}.reEnrollmentTriggersFilterBranches[{number}]")
            for number, raw_branch in enumerate(
                self.list_of(criteria_document, path, "reEnrollmentTriggersFilterBranches")
            )
            if not _is_empty(raw_branch)
        ]
        self._is_entry = False
        if criteria is None:
            return None
        associated_types = {object_type_id for object_type_id, _ in needs(criteria)}
        if len(associated_types) > MAX_ASSOCIATED_TYPES:
            message = expectation_of(
                f"ASSOCIATION branches to at most {MAX_ASSOCIATED_TYPES} object types",
                f"{len(associated_types)} object types",
                "Divide the flow",
            )
            self.fault(f"{path}.listFilterBranch", "TOO_MANY_OBJECT_TYPES", message)
        if criteria_document.get("shouldReEnroll") is not True:
            return replace(entry_criteria(criteria, (), since), has_unused_triggers=bool(triggers))
        return entry_criteria(criteria, [trigger for trigger in triggers if trigger], since)

    def re_enrollment_trigger(self, raw: Any, path: str) -> ReEnrollmentTrigger | None:
        """Read a re-enrollment trigger: a change of a property, or criteria."""
        filters = self.list_of(raw, path, "filters") if isinstance(raw, dict) else []
        if not any(isinstance(each, dict) and each.get("property") == "hs_name" for each in filters):
            criteria = self.branch(raw, path, 1)
            if criteria is not None and any(needs(criteria)):
                expected = "a re-enrollment trigger about the record itself"
                self.fault(path, "NOT_ALLOWED", expectation_of(expected, "an ASSOCIATION branch", "Remove the branch"))
            return None if criteria is None else CriteriaTrigger(criteria)
        event_type = EVENT_TYPES["crm.property_changed"]
        kind, named = raw.get("filterBranchType"), raw.get("eventTypeId")
        self.refuse_unknown(raw, flow_keys.EVENT_BRANCH, path)
        if kind not in ("AND", "UNIFIED_EVENTS"):
            self.fault(f"{path}.filterBranchType", "UNKNOWN_BRANCH", expectation("AND", kind))
        if named not in (None, "", event_type.name, event_type.event_type_id):
            message = expectation(f"{event_type.event_type_id} ({event_type.name})", named)
            self.fault(f"{path}.eventTypeId", "UNKNOWN_EVENT", message)
        if raw.get("filterBranches"):
            message = expectation_of("only filters in a trigger with hs_name", "branches")
            self.fault(f"{path}.filterBranches", "NESTED_BRANCHES", message)
        self.filters += len(filters)
        return ChangeTrigger(self.refinements(filters, f"{path}.filters", event_type))

    def refuse_unknown(self, document: Mapping[str, Any], known: frozenset[str], path: str) -> None:
        """Report keys that are not evaluated, because they may change which records enroll."""
        self.faults += flow_keys.unknown_keys(document, known, path)

    def refuse_mixed(self, document: Mapping[str, Any], kind: str, path: str) -> None:
        """Report triggers of another type than the flow's. A flow is event-based, filter-based or manual."""
        for key in TRIGGERS:
            if document.get(key) and kind not in TRIGGERS[key]:
                allowed = " or ".join(TRIGGERS[key])
                self.fault(
                    f"{path}.{key}",
                    "MIXED_TRIGGERS",
                    expectation_of(f"{key} only in a flow of type {allowed}", f"it in one of type {kind}", "Remove it"),
                    _meant_criteria(document, kind, key),
                )
        if document.get("refinementCriteria") and kind != "EVENT_BASED":
            self.fault(
                f"{path}.refinementCriteria",
                "CRITERIA_WITHOUT_TRIGGER",
                expectation_of("refinementCriteria only beside event triggers", "no event trigger"),
            )

    # Trigger groups --------------------------------------------------------------------------------------------------

    def trigger_groups(self, criteria_document: Mapping[str, Any], path: str, object_type: str) -> list[TriggerGroup]:
        events = self.list_of(criteria_document, path, "eventFilterBranches")
        lists = self.list_of(criteria_document, path, "listMembershipFilterBranches")
        if not events and not lists:
            self.fault(path, "NO_TRIGGER", expectation_of("at least one trigger group in an EVENT_BASED flow", "none"))
        if len(events) + len(lists) > MAX_GROUPS:
            self.fault(
                path,
                "TOO_MANY_GROUPS",
                expectation_of(f"at most {MAX_GROUPS} trigger groups", f"{len(events) + len(lists)} groups"),
            )
            return []
        groups = [
            self.event_group(raw_branch, f"{path}.eventFilterBranches[{index}]", index, object_type)
            for index, raw_branch in enumerate(events)
        ] + [
            self.list_group(
                raw_branch, f"{path}.listMembershipFilterBranches[{index}]", len(events) + index, object_type
            )
            for index, raw_branch in enumerate(lists)
        ]
        return [group for group in groups if group is not None]

    def event_group(self, raw_branch: Any, path: str, index: int, object_type: str) -> TriggerGroup | None:
        if not isinstance(raw_branch, dict):
            self.fault(path, "WRONG_TYPE", expectation("an object", raw_branch))
            return None
        self.refuse_unknown(raw_branch, flow_keys.EVENT_BRANCH, path)
        kind = raw_branch.get("filterBranchType")
        if kind != "UNIFIED_EVENTS":
            self.fault(f"{path}.filterBranchType", "UNKNOWN_BRANCH", expectation("UNIFIED_EVENTS", kind))
        if (raw_branch.get("filterBranchOperator") or "AND") != "AND":
            self.fault(
                f"{path}.filterBranchOperator",
                "UNKNOWN_OPERATOR",
                expectation("AND", raw_branch["filterBranchOperator"]),
            )
        operator = raw_branch.get("operator")
        if operator == "HAS_NOT_COMPLETED":
            self.fault(
                f"{path}.operator",
                "HAS_NOT_COMPLETED",
                expectation_of(
                    "HAS_COMPLETED",
                    "HAS_NOT_COMPLETED",
                    "Query the event history in an if/then branch of the flow instead",
                ),
            )
        elif operator != "HAS_COMPLETED":
            self.fault(f"{path}.operator", "UNKNOWN_OPERATOR", expectation("HAS_COMPLETED", operator))
        if raw_branch.get("filterBranches"):
            self.fault(
                f"{path}.filterBranches",
                "NESTED_BRANCHES",
                expectation_of("only filters in a trigger group", "branches"),
            )

        named = self.event_type(raw_branch.get("eventTypeId"), f"{path}.eventTypeId", object_type)
        filters = self.list_of(raw_branch, path, "filters")
        self.filters += len(filters)
        if named is None:
            return None
        event_type, event_type_id, implied = named
        kept = self.refinements(filters, f"{path}.filters", event_type)
        also = ("crm.object_created",) if _is_about_creation(event_type, kept) else ()
        return TriggerGroup(index, event_type.name, event_type_id, (*implied, *kept), also)

    def refinements(self, filters: list[Any], path: str, event_type: EventType) -> tuple[PropertyFilter, ...]:
        """Read the refinements of a trigger group, and add those that they imply (``RequiredFilter``)."""
        if filters and not event_type.properties:
            action = "Filter the record in refinementCriteria instead"
            if any(isinstance(raw, dict) and raw.get("property") in ("hs_name", "hs_value") for raw in filters):
                action = "hs_name and hs_value are properties of crm.property_changed"
            expected = f"no filters, because {event_type.name} has no properties"
            self.fault(path, "NOT_REFINABLE", expectation_of(expected, f"{len(filters)} filters", action))
            return ()
        read = [self.event_filter(raw, f"{path}[{number}]", event_type) for number, raw in enumerate(filters)]
        kept = tuple(refinement for refinement in read if refinement is not None)
        narrowing = event_type.narrowing
        if narrowing is not None and any(refinement.property in narrowing.on_properties for refinement in kept):
            return (narrowing.implies, *kept)
        return kept

    def event_type(
        self, name: Any, path: str, object_type: str
    ) -> tuple[EventType, str | None, tuple[PropertyFilter, ...]] | None:
        named = self.named_event_type(name, path)
        if named is None:
            return None
        event_type = named[0]
        if event_type.trigger is Trigger.LIST_MEMBERSHIP:
            self.fault(
                path,
                "WRONG_BRANCH",
                expectation_of(
                    "a trigger that is written in eventFilterBranches",
                    event_type.name,
                    "Write it as a branch of listMembershipFilterBranches",
                ),
            )
            return None
        self.check_object_type(event_type, path, object_type)
        return named

    def named_event_type(self, name: Any, path: str) -> tuple[EventType, str | None, tuple[PropertyFilter, ...]] | None:
        """Return an event type by HubSpot's ID or its name, with the ID to store and the refinements it implies."""
        implied: tuple[PropertyFilter, ...] = ()
        if isinstance(name, str) and name in EVENT_TYPE_IDS:
            event_type, alias = EVENT_TYPE_IDS[name]
            event_type_id: str | None = alias.id
            implied = alias.implies
        elif isinstance(name, str) and name in EVENT_TYPES:
            event_type = EVENT_TYPES[name]
            event_type_id = event_type.event_type_id
        elif isinstance(name, str) and CUSTOM_EVENT_ID.fullmatch(name):
            self.faults.append(flow_keys.not_yet_supported(path, name, "it is an event type that the account defines"))
            return None
        else:
            near = nearest(name, [*EVENT_TYPES, *EVENT_TYPE_IDS]) if isinstance(name, str) else None
            message = expectation("an event type of the catalog, for example forms.submitted", name)
            self.fault(path, "UNKNOWN_EVENT", message, near)
            return None
        return event_type, event_type_id, implied

    def check_object_type(self, event_type: EventType, path: str, object_type: str) -> None:
        if not event_type.object_types.allow(object_type):
            self.fault(
                path,
                "EVENT_NOT_ALLOWED",
                expectation_of(
                    f"a flow of {event_type.object_types.label} for {event_type.name}", f"a flow of {object_type}"
                ),
            )

    def list_group(self, raw_branch: Any, path: str, index: int, object_type: str) -> TriggerGroup | None:
        event_type = EVENT_TYPES["lists.membership_changed"]
        filters = self.list_of(raw_branch, path, "filters") if isinstance(raw_branch, dict) else []
        if len(filters) != 1 or not isinstance(filters[0], dict) or raw_branch.get("filterBranches"):
            self.fault(path, "WRONG_BRANCH", expectation("a branch with one IN_LIST filter", raw_branch))
            return None
        self.filters += 1
        raw_filter, at = filters[0], f"{path}.filters[0]"
        self.refuse_unknown(raw_branch, flow_keys.BRANCH, path)
        self.refuse_unknown(raw_filter, flow_keys.LIST_FILTER, at)
        list_id, operator = raw_filter.get("listId"), raw_filter.get("operator")
        if raw_filter.get("filterType") != "IN_LIST":
            self.fault(f"{at}.filterType", "WRONG_FILTER", expectation("IN_LIST", raw_filter.get("filterType")))
        if operator not in ("IN_LIST", "NOT_IN_LIST"):
            self.fault(
                f"{at}.operator",
                "UNKNOWN_OPERATOR",
                expectation("IN_LIST or NOT_IN_LIST", operator),
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

    def event_filter(self, raw_filter: Any, path: str, event_type: EventType) -> PropertyFilter | None:
        raw_filter = with_known_spelling(raw_filter)
        name = self.property_name(raw_filter, path, allowed="PROPERTY")
        if name is None:
            return None
        known = event_type.property(name)
        if known is None:
            names = [known_property.name for known_property in event_type.properties]
            self.fault(
                f"{path}.property",
                "UNKNOWN_PROPERTY",
                expectation(f"a property of {event_type.name} ({', '.join(names)})", name),
                nearest(name, names),
            )
            return None
        at = f"{path}.operation"
        kind, operator = self.operation_names(raw_filter, at)
        if kind is None or operator is None:
            return None
        row = OPERATION_TYPES.get(kind)
        if row is None or kind not in known.operations:
            allowed = ", ".join(sorted(known.operations))
            self.fault(
                f"{at}.operationType",
                "OPERATION_NOT_ALLOWED",
                expectation(f"one of {allowed} on {name} ({known.type})", kind),
                nearest(kind, known.operations),
            )
            return None
        if operator in row.history:
            self.fault(
                f"{at}.operator",
                "HISTORY_ON_EVENT",
                expectation_of(
                    "an operator without history, because an event is one change",
                    operator,
                    "Use this operator in refinementCriteria",
                ),
            )
            return None
        if operator not in row.on_events:
            self.unknown_operator(at, kind, operator, sorted(row.on_events))
            return None
        return self.filter(known, raw_filter["operation"], at)

    def branch(self, raw: Any, path: str, depth: int) -> Criteria | None:
        """Read a branch by its type: OR, AND, NOT_ALL, NOT_ANY or ASSOCIATION. ``depth`` counts from 1."""
        if not isinstance(raw, dict):
            self.fault(path, "WRONG_TYPE", expectation("an OR or AND branch", raw))
            return None
        if depth > MAX_DEPTH:
            self.fault(path, "TOO_DEEP", expectation_of(f"at most {MAX_DEPTH} levels of branches", "more"))
            return None
        kind = raw.get("filterBranchType")
        filters = self.list_of(raw, path, "filters")
        branches = self.list_of(raw, path, "filterBranches")
        self.filters += len(filters)
        if kind == "ASSOCIATION":
            return self.association(raw, path, filters, branches)
        if self.refuse_unsupported(raw, "filterBranchType", path):
            return None
        if kind not in ("AND", "OR") and (kind not in _NEGATIONS or depth == 1):
            self.unknown_branch(kind, path, "OR or AND")
            return None
        self.refuse_unknown(raw, flow_keys.BRANCH, path)
        operators = ("AND", "OR", kind) if kind in _NEGATIONS else (kind,)
        if (raw.get("filterBranchOperator") or kind) not in operators:
            self.fault(
                f"{path}.filterBranchOperator", "UNKNOWN_OPERATOR", expectation(kind, raw["filterBranchOperator"])
            )
        if kind == "OR":
            return self.or_branch(filters, branches, path, depth)
        if kind == "AND":
            return self.and_branch(filters, branches, path, depth)
        return self.negation(kind, filters, branches, path, depth)

    def unknown_branch(self, kind: Any, path: str, expected: str) -> None:
        """Report a type of branch that is not read."""
        action = UNREAD_BRANCHES.get(kind, "") if isinstance(kind, str) else ""
        self.fault(f"{path}.filterBranchType", "UNKNOWN_BRANCH", expectation(expected, kind, action))

    def negation(self, kind: str, filters: list[Any], branches: list[Any], path: str, depth: int) -> Not:
        """Read a NOT_ALL or NOT_ANY branch, which has filters and branches."""
        if not filters and not branches:
            self.fault(f"{path}.filters", "EMPTY_BRANCH", expectation_of("at least one filter", "none"))
        read = [
            *(self.record_filter(raw_filter, f"{path}.filters[{index}]") for index, raw_filter in enumerate(filters)),
            *(
                self.branch(raw_branch, f"{path}.filterBranches[{index}]", depth + 1)
                for index, raw_branch in enumerate(branches)
            ),
        ]
        parts = tuple(part for part in read if part is not None)
        return Not(AllOf(parts) if kind == "NOT_ALL" else AnyOf(parts))

    def or_branch(self, filters: list[Any], branches: list[Any], path: str, depth: int) -> AnyOf:
        """Read an OR branch, which has branches only."""
        if filters:
            self.fault(f"{path}.filters", "FILTERS_IN_OR", expectation_of("only branches in an OR branch", "filters"))
        if not branches:
            self.fault(f"{path}.filterBranches", "EMPTY_BRANCH", expectation_of("at least one AND branch", "none"))
        parts: list[Criteria | None] = []
        for number, branch in enumerate(branches):
            at = f"{path}.filterBranches[{number}]"
            kind = branch.get("filterBranchType") if isinstance(branch, dict) else "AND"
            if kind in ("AND", *_UNDER_AND) or str(kind) in flow_keys.CRITERIA_NOT_YET:
                parts.append(self.branch(branch, at, depth + 1))
            else:
                self.unknown_branch(kind, at, "AND or ASSOCIATION in an OR branch")
        return AnyOf(tuple(part for part in parts if part is not None))

    def and_branch(self, filters: list[Any], branches: list[Any], path: str, depth: int) -> AllOf:
        """Read an AND branch, which has filters and ASSOCIATION branches."""
        if not filters and not branches:
            action = "Without a filter the branch accepts every record"
            self.fault(f"{path}.filters", "EMPTY_BRANCH", expectation_of("at least one filter", "none", action))
        parts: list[Criteria | None] = [
            self.record_filter(raw_filter, f"{path}.filters[{number}]") for number, raw_filter in enumerate(filters)
        ]
        for number, branch in enumerate(branches):
            at = f"{path}.filterBranches[{number}]"
            kind = branch.get("filterBranchType") if isinstance(branch, dict) else None
            if kind in _UNDER_AND:
                parts.append(self.branch(branch, at, depth + 1))
            elif isinstance(kind, str) and kind in UNREAD_BRANCHES:
                self.unknown_branch(kind, at, "AND or ASSOCIATION")
            elif not self.refuse_unsupported(branch, "filterBranchType", at):
                expected = "only filters and ASSOCIATION branches in an AND branch"
                self.fault(at, "UNKNOWN_BRANCH", expectation_of(expected, "another branch"))
        return AllOf(tuple(part for part in parts if part is not None))

    def association(
        self, raw_branch: Mapping[str, Any], path: str, filters: list[Any], branches: list[Any]
    ) -> AssociatedWith | None:
        self.refuse_unknown(raw_branch, flow_keys.ASSOCIATION_BRANCH, path)
        if branches:
            self.fault(
                f"{path}.filterBranches",
                "NESTED_BRANCHES",
                expectation_of("only filters in an ASSOCIATION branch", "branches"),
            )
        operator = raw_branch.get("operator") or "IN_LIST"
        if operator not in ("IN_LIST", "NOT_IN_LIST"):
            self.fault(f"{path}.operator", "UNKNOWN_OPERATOR", expectation("IN_LIST or NOT_IN_LIST", operator))
        named, category, number = (
            raw_branch.get("objectTypeId"),
            raw_branch.get("associationCategory"),
            raw_branch.get("associationTypeId"),
        )
        object_type = object_type_id(named) if isinstance(named, str) else None
        if object_type is None:
            self.fault(
                f"{path}.objectTypeId", "UNKNOWN_OBJECT_TYPE", expectation("an object type ID, for example 0-2", named)
            )
        if category not in ASSOCIATION_CATEGORIES:
            allowed = " or ".join(ASSOCIATION_CATEGORIES)
            self.fault(f"{path}.associationCategory", "UNKNOWN_OPTION", expectation(allowed, category))
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            self.fault(f"{path}.associationTypeId", "WRONG_TYPE", expectation("a number", number))
        parts = [self.record_filter(raw_filter, f"{path}.filters[{index}]") for index, raw_filter in enumerate(filters)]
        if object_type is None or category not in ASSOCIATION_CATEGORIES or not isinstance(number, int):
            return None
        kept = tuple(part for part in parts if part is not None)
        return AssociatedWith(object_type, AssociationType(category, number), AllOf(kept), operator == "IN_LIST")

    def refuse_unsupported(self, document: Any, key: str, path: str) -> bool:
        """Report a branch or filter of HubSpot's format that is not evaluated yet. Return whether it is one. ``key``:
        the key of its type."""
        kind = document.get(key) if isinstance(document, dict) else None
        if not isinstance(kind, str) or kind not in flow_keys.CRITERIA_NOT_YET:
            return False
        self.faults.append(flow_keys.not_yet_supported(f"{path}.{key}", kind, flow_keys.CRITERIA_NOT_YET[kind]))
        return True

    def record_filter(self, raw_filter: Any, path: str) -> Criteria | None:
        if self.refuse_unsupported(raw_filter, "filterType", path):
            return None
        if isinstance(raw_filter, dict) and raw_filter.get("filterType") == "IN_LIST":
            return self.list_filter(raw_filter, path)
        if isinstance(raw_filter, dict) and raw_filter.get("filterType") == "CONSTANT":
            self.refuse_unknown(raw_filter, flow_keys.CONSTANT_FILTER, path)
            accepts = raw_filter.get("shouldAccept")
            if not isinstance(accepts, bool):
                self.fault(f"{path}.shouldAccept", "WRONG_TYPE", expectation("true or false", accepts))
            return ConstantFilter(accepts is True)
        if self.is_unread_filter(raw_filter, path):
            return None
        raw_filter = with_known_spelling(raw_filter)
        name = self.property_name(raw_filter, path, allowed="PROPERTY, IN_LIST or CONSTANT")
        if name is None:
            return None
        at = f"{path}.operation"
        kind, operator = self.operation_names(raw_filter, at)
        if kind is None or operator is None:
            return None
        row = RECORD_OPERATION_TYPES.get(kind)
        if row is None:
            allowed = ", ".join(RECORD_OPERATION_TYPES)
            near = nearest(kind, RECORD_OPERATION_TYPES)
            self.fault(f"{at}.operationType", "UNKNOWN_OPERATION", expectation(allowed, kind), near)
            return None
        if operator not in row.operators:
            self.unknown_operator(at, kind, operator, row.operators)
            return None
        self.check_include(raw_filter["operation"], at)
        if self._is_entry and depends_on_now(raw_filter["operation"]):
            meaning = "in a filter-based flow, it becomes true as time passes"
            self.faults.append(flow_keys.not_yet_supported(f"{at}.operationType", kind, meaning))
            return None
        try:
            return RecordFilter(read_name(name), record_operation(raw_filter["operation"]))
        except InvalidOperand as invalid:
            self.invalid_operand(invalid, at)
            return None

    def is_unread_filter(self, raw_filter: Any, path: str) -> bool:
        """Report a filter of a type that HubSpot has and that no data is for. Return whether it is such."""
        kind = raw_filter.get("filterType") if isinstance(raw_filter, dict) else None
        if not isinstance(kind, str) or kind not in FILTERS_WITHOUT_SOURCE:
            return False
        action = "Remove it. Enroll has no source of such data"
        self.fault(f"{path}.filterType", "UNKNOWN_FILTER", expectation("PROPERTY, IN_LIST or CONSTANT", kind, action))
        return True

    def list_filter(self, raw_filter: Mapping[str, Any], path: str) -> ListFilter | None:
        self.refuse_unknown(raw_filter, flow_keys.LIST_FILTER, path)
        list_id, operator = raw_filter.get("listId"), raw_filter.get("operator") or "IN_LIST"
        if operator not in ("IN_LIST", "NOT_IN_LIST"):
            self.fault(
                f"{path}.operator",
                "UNKNOWN_OPERATOR",
                expectation("IN_LIST or NOT_IN_LIST", operator),
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
            expectation(f"an operator of {kind} ({', '.join(allowed)})", operator),
            instead.get(operator) or nearest(operator, allowed),
        )

    def filter(self, known: Property, raw_operation: Mapping[str, Any], path: str) -> PropertyFilter | None:
        self.check_include(raw_operation, path)
        try:
            return PropertyFilter(known.name, operation(raw_operation, known.url_part))
        except InvalidOperand as invalid:
            self.invalid_operand(invalid, path)
            return None

    def check_include(self, raw_operation: Mapping[str, Any], path: str) -> None:
        include = raw_operation.get("includeObjectsWithNoValueSet")
        if not isinstance(include, bool | None):
            self.fault(
                f"{path}.includeObjectsWithNoValueSet",
                "WRONG_TYPE",
                expectation("true or false", include),
            )

    def invalid_operand(self, invalid: InvalidOperand, path: str) -> None:
        self.fault(
            f"{path}.{invalid.key}",
            "INVALID_OPERAND",
            expectation(invalid.expected, invalid.found),
            "INDEXED with indexReference TODAY" if invalid.found == "RELATIVE" else None,
        )

    def property_name(self, raw_filter: Any, path: str, allowed: str) -> str | None:
        kind = raw_filter.get("filterType") if isinstance(raw_filter, dict) else raw_filter
        if not isinstance(raw_filter, dict) or kind != "PROPERTY":
            self.fault(f"{path}.filterType", "UNKNOWN_FILTER", expectation(allowed, kind))
            return None
        name = raw_filter.get("property")
        if not isinstance(name, str) or not name.strip():
            self.fault(f"{path}.property", "WRONG_TYPE", expectation("the name of a property", name))
            return None
        self.refuse_unknown(raw_filter, flow_keys.PROPERTY_FILTER, path)
        return name

    def operation_names(self, raw_filter: Mapping[str, Any], path: str) -> tuple[str | None, str | None]:
        raw_operation = raw_filter.get("operation")
        if not isinstance(raw_operation, dict):
            self.fault(path, "WRONG_TYPE", expectation("an object", raw_operation))
            return None, None
        self.faults += flow_keys.unknown_operation_keys(raw_operation, path)
        names: list[str | None] = []
        for key in ("operationType", "operator"):
            name = raw_operation.get(key)
            if not isinstance(name, str):
                self.fault(f"{path}.{key}", "WRONG_TYPE", expectation("the name of one", name))
            names.append(name if isinstance(name, str) else None)
        return names[0], names[1]

    def list_of(self, document: Mapping[str, Any], path: str, key: str) -> list[Any]:
        value = document.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            self.fault(f"{path}.{key}", "WRONG_TYPE", expectation("a list", value))
            return []
        return value


def _meant_criteria(document: Mapping[str, Any], kind: str, key: str) -> str | None:
    """Return the key that an author of an event-based flow probably meant."""
    is_refinement = kind == "EVENT_BASED" and key == "listFilterBranch" and not document.get("refinementCriteria")
    return "refinementCriteria" if is_refinement else None


def read_tolerance(minutes: Any) -> int | None:
    """Convert minutes to milliseconds. None: the value is not an allowed tolerance."""
    if isinstance(minutes, bool) or not isinstance(minutes, int | float) or not 0 <= minutes <= MAX_TOLERANCE // MINUTE:
        return None
    return round(minutes * MINUTE)


def _is_about_creation(event_type: EventType, filters: Sequence[PropertyFilter]) -> bool:
    """Whether the refinements match a change of the creation date, so that a creation satisfies the group too."""
    names = [refinement for refinement in filters if refinement.property == "hs_name"]
    is_change = event_type.effect is RecordEffect.CHANGES_PROPERTY
    return is_change and bool(names) and all(refinement.failure(CREATION_CHANGE) is None for refinement in names)


def read_record_tolerance(seconds: Any) -> int | None:
    """Convert seconds to milliseconds. None: the value is not an allowed tolerance."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= MAX_TOLERANCE // 1000:
        return None
    return round(seconds * 1000)


def wrong_list_id(list_id: Any) -> str:
    """Return the message for a value that is not the ID of one list."""
    return expectation("the ID of one list, for example 42", list_id)


def _is_empty(branch: Any, depth: int = 1) -> bool:
    """Whether a branch is what HubSpot writes if nothing is set. A branch with other keys has a meaning."""
    if (
        depth > MAX_DEPTH
        or not isinstance(branch, dict)
        or branch.get("filterBranchType") not in ("AND", "OR")
        or not set(branch) <= {"filterBranchType", "filterBranchOperator", "filters", "filterBranches"}
        or branch.get("filters")
    ):
        return False
    branches = branch.get("filterBranches") or []
    return isinstance(branches, list) and all(_is_empty(nested, depth + 1) for nested in branches)
