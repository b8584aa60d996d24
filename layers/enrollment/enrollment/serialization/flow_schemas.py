"""JSON Schemas of what enrolls in a flow: the enrollment criteria with their branches, filters and operations.

The types, operators, operands and limits are those of the tables that the reader uses (``serialization.flows``), so a
new operation is in the schemas too. The schemas accept every flow that can run. What they cannot express, for example
that an event has a property, only the reader decides.

A flow that is off can be stored although it cannot run (docs/flows.md). Its branches and filters can have other types
than the schemas name.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from enrollment.domain.criteria.record_operators import (
    ENDPOINTS,
    MAX_DAY,
    MAX_DAYS,
    MAX_NAME,
    MAX_OFFSET,
    MAX_UNITS,
    OFFSETS,
    PARSERS,
    PROPERTY_TIMES,
    RECORD_OPERATION_TYPES,
    REFERENCES,
    TIME_ZONE_SOURCES,
    WEEKDAYS,
    YEARS,
)
from enrollment.domain.operators.calendar import UNITS
from enrollment.domain.operators.property_operators import MAX_TEXT, MONTHS, OPERATION_TYPES
from enrollment.domain.records.associations import CATEGORIES
from enrollment.serialization.flow_keys import CRITERIA_NOT_YET
from enrollment.serialization.unsupported_filters import FILTERS_WITHOUT_SOURCE, OTHER_SPELLINGS, UNREAD_BRANCHES

Schema = Mapping[str, Any]

_FLAG: Schema = {"type": ["boolean", "null"]}
_COUNTS: Schema = {"type": "integer"}
_TEXT: Schema = {"type": "string", "minLength": 1, "maxLength": MAX_TEXT}
# HubSpot's clients write numbers and booleans in operands as such, or as texts.
_VALUE: Schema = {"anyOf": [_TEXT, {"type": ["number", "boolean"]}]}
_NUMBER: Schema = {"type": ["number", "string"]}
_TIME: Schema = {
    "description": "ISO-8601 with a time zone, epoch seconds, or epoch milliseconds.",
    "type": ["number", "string"],
}
_NAME: Schema = {"type": "string", "minLength": 1, "maxLength": MAX_NAME}
_LIST_ID: Schema = {"type": ["string", "integer"], "description": "The ID of one list."}
_MEMBERSHIP: Schema = {"enum": ["IN_LIST", "NOT_IN_LIST"]}
_DEFAULT_MEMBERSHIP: Schema = {"enum": ["IN_LIST", "NOT_IN_LIST", None], "default": "IN_LIST"}
# The result of an operation for a property without a value.
_MISSING: dict[str, Schema] = {"includeObjectsWithNoValueSet": _FLAG}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _one_of(*names: str, description: str = "") -> Schema:
    return {**({"description": description} if description else {}), "oneOf": [_ref(name) for name in names]}


def _list(items: Schema, **rules: Any) -> Schema:
    """A list that null stands for too: HubSpot's clients write it if there is nothing in the list."""
    return {"type": ["array", "null"], "items": items, **rules}


def _optional(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _choice(options: Iterable[str], default: str) -> Schema:
    return {"enum": [*options, None], "default": default}


def _integer(least: int, most: int, **rules: Any) -> Schema:
    return {"type": "integer", "minimum": least, "maximum": most, **rules}


def _optional_integer(least: int, most: int, **rules: Any) -> Schema:
    return {"type": ["integer", "null"], "minimum": least, "maximum": most, **rules}


def _object(required: Mapping[str, Schema], optional: Mapping[str, Schema], description: str = "") -> Schema:
    return {
        **({"description": description} if description else {}),
        "type": "object",
        "required": list(required),
        "properties": {**required, **optional},
    }


# Points in time ----------------------------------------------------------------------------------------------------

_TIME_OF_DAY: dict[str, Schema] = {
    "hour": _optional_integer(0, 23),
    "minute": _optional_integer(0, 59),
    "second": _optional_integer(0, 59),
    "millisecond": _optional_integer(0, 999),
}
_ZONE: dict[str, Schema] = {
    "zoneId": {"type": ["string", "null"], "description": "An IANA time zone. The portal's if absent."},
    "timezoneSource": {"enum": [*TIME_ZONE_SOURCES, None]},
}
_OFFSET: dict[str, Schema] = {
    "offset": _optional(_object({}, {unit: _optional_integer(-MAX_OFFSET, MAX_OFFSET) for unit in OFFSETS}))
}
_TIME_POINTS: dict[str, Schema] = {
    "TimePoint": _one_of("FixedTimePoint", "IndexedTimePoint", "PropertyTimePoint"),
    "FixedTimePoint": _object(
        {
            "timeType": {"const": "DATE"},
            "year": _integer(*YEARS),
            "month": {"anyOf": [{"enum": list(MONTHS)}, _integer(1, 12)]},
            "day": _integer(1, 31),
        },
        {**_TIME_OF_DAY, **_ZONE},
    ),
    "IndexedTimePoint": _object(
        {
            "timeType": {"const": "INDEXED"},
            "indexReference": _object(
                {"referenceType": {"enum": list(REFERENCES)}},
                {
                    "dayOfWeek": {"enum": [*WEEKDAYS, None], "description": "Of WEEK."},
                    "day": _optional_integer(1, MAX_DAY, description="Of MONTH, QUARTER and YEAR."),
                    "month": _optional_integer(1, 12, description="Of QUARTER and YEAR."),
                    **_TIME_OF_DAY,
                },
            ),
        },
        {**_OFFSET, **_ZONE},
        "A time relative to that of the event.",
    ),
    "PropertyTimePoint": _object(
        {"timeType": {"const": "PROPERTY_REFERENCED"}, "property": _NAME},
        {"referenceType": _choice(PROPERTY_TIMES, "VALUE"), **_OFFSET, **_ZONE},
        "The time in another property of the record, or that of its last change.",
    ),
}

# Operations --------------------------------------------------------------------------------------------------------

_OPERANDS: dict[str, Schema] = {
    "value": _VALUE,
    "values": {"type": "array", "minItems": 1, "items": _VALUE},
    "timestamp": _TIME,
    "year": _COUNTS,
    "month": {"enum": list(MONTHS)},
    "day": _COUNTS,
    "numberOfDays": _integer(0, MAX_DAYS),
    "comparisonPropertyName": _NAME,
    "defaultComparisonValue": {
        "type": ["string", "number", "boolean", "null"],
        "description": "Applies if the property comparisonPropertyName has no value.",
    },
    "timeUnit": {"enum": list(UNITS)},
    "timeUnitCount": _optional_integer(1, MAX_UNITS, default=1),
    "useFiscalYear": {**_FLAG, "description": "true is not supported."},
    "fiscalYearStart": {"description": "Ignored without useFiscalYear."},
    "timePoint": _ref("TimePoint"),
    "lowerBoundTimePoint": _ref("TimePoint"),
    "upperBoundTimePoint": _ref("TimePoint"),
    "endpointBehavior": _choice(ENDPOINTS, "EXCLUSIVE"),
    "lowerBoundEndpointBehavior": _choice(ENDPOINTS, "EXCLUSIVE"),
    "upperBoundEndpointBehavior": _choice(ENDPOINTS, "EXCLUSIVE"),
    "propertyParser": _choice(PARSERS, "VALUE"),
}
# Operands whose values depend on the operation type.
_OPERANDS_OF_TYPE: dict[str, dict[str, Schema]] = {
    "NUMBER": {"value": _NUMBER},
    "NUMBER_RANGED": {"lowerBound": _NUMBER, "upperBound": _NUMBER},
    "BOOL": {"value": _VALUE},
    "RANGED_DATE": {"lowerBound": _TIME, "upperBound": _TIME},
}


def _camel(operation_type: str) -> str:
    return "".join(word.capitalize() for word in operation_type.split("_"))


def _operation(operation_type: str, operators: Iterable[str], spelling: bool = False) -> Schema:
    """Return the schema of an operation. ``spelling``: the operators are those of another type, without operands."""
    row = RECORD_OPERATION_TYPES[operation_type]
    schemas = _OPERANDS | _OPERANDS_OF_TYPE.get(operation_type, {})
    keys, optional_keys = ((), ()) if spelling else (row.keys, row.optional_keys)
    return _object(
        {
            "operationType": {"const": operation_type},
            "operator": {"enum": list(operators)},
            **{key: schemas[key] for key in keys},
        },
        {**{key: schemas[key] for key in optional_keys}, **_MISSING},
    )


def _operations() -> dict[str, Schema]:
    """Return an operation for each type, those of events apart if they have other operators, and both unions."""
    schemas: dict[str, Schema] = {}
    of_records: list[str] = []
    of_events: list[str] = []
    for operation_type, row in RECORD_OPERATION_TYPES.items():
        others = {operator: to for (name, operator), to in OTHER_SPELLINGS.items() if name == operation_type}
        same_type = [operator for operator, to in others.items() if to[0] == operation_type]
        other_type = [operator for operator, to in others.items() if to[0] != operation_type]
        name = f"{_camel(operation_type)}Operation"
        schemas[name] = _operation(operation_type, [*row.operators, *same_type])
        names = [name]
        if other_type:
            names.append(f"{_camel(operation_type)}PresenceOperation")
            schemas[names[-1]] = _operation(operation_type, other_type, spelling=True)
        of_records += names
        if operation_type in OPERATION_TYPES:
            on_events = OPERATION_TYPES[operation_type].on_events
            if on_events != frozenset(row.operators):
                names[0] = f"Event{name}"
                operators = [operator for operator in row.operators if operator in on_events]
                schemas[names[0]] = _operation(operation_type, [*operators, *same_type])
            of_events += names
    return {
        "RecordOperation": _one_of(*of_records, description="An operation on a property of a record."),
        "EventOperation": _one_of(
            *of_events,
            description="An operation on a property of an event. The catalog says which types a property allows.",
        ),
        **schemas,
    }


# Filters and branches ----------------------------------------------------------------------------------------------

_BRANCH: dict[str, Schema] = {"filterBranchOperator": {"type": ["string", "null"]}}
_NO_BRANCHES: dict[str, Schema] = {
    "filterBranches": _list({"type": "object"}, description="Empty in a flow that is on.")
}


def _branch(kinds: Sequence[str], parts: Mapping[str, Schema], description: str = "") -> Schema:
    kind: Schema = {"const": kinds[0]} if len(kinds) == 1 else {"enum": list(kinds)}
    return _object({"filterBranchType": kind}, {**_BRANCH, **parts}, description)


_FILTERS: dict[str, Schema] = {"filters": _list(_ref("RecordFilter"))}
_NESTED = ("AssociationBranch", "NegationBranch", "UnsupportedBranch")

_BRANCHES: dict[str, Schema] = {
    "EventFilterBranch": _object(
        {
            "filterBranchType": {"const": "UNIFIED_EVENTS"},
            "operator": {
                "enum": ["HAS_COMPLETED", "HAS_NOT_COMPLETED"],
                "description": "HAS_COMPLETED in a flow that is on.",
            },
            "eventTypeId": {
                "type": "string",
                "description": "An event type of the catalog, or HubSpot's ID of it, for example forms.submitted.",
            },
        },
        {**_BRANCH, "filters": _list(_ref("EventFilter")), **_NO_BRANCHES},
        "A trigger group: an event, and refinements that all have to hold.",
    ),
    "ListMembershipFilterBranch": _object(
        {"filters": {"type": "array", "minItems": 1, "maxItems": 1, "items": _ref("ListMembershipFilter")}},
        {
            "filterBranchType": {"type": ["string", "null"]},
            **_BRANCH,
            "filterBranches": _list({"type": "object"}, maxItems=0),
        },
        "A trigger group: the record becomes a member of a list, or ceases to be one.",
    ),
    "CriteriaBranch": _one_of("OrBranch", "AndBranch", "AssociationBranch", "UnsupportedBranch"),
    "OrBranch": _branch(
        ["OR"],
        {"filters": _list({"type": "object"}, maxItems=0), "filterBranches": _list(_one_of("AndBranch", *_NESTED))},
        "At least one of the branches has to hold.",
    ),
    "AndBranch": _branch(
        ["AND"],
        {**_FILTERS, "filterBranches": _list(_one_of(*_NESTED))},
        "All of the filters and branches have to hold.",
    ),
    "NegationBranch": _branch(
        ["NOT_ALL", "NOT_ANY"],
        {**_FILTERS, "filterBranches": _list(_one_of("OrBranch", "AndBranch", *_NESTED))},
        "At least one of the filters and branches must not hold (NOT_ALL), or none may hold (NOT_ANY).",
    ),
    "AssociationBranch": _object(
        {
            "filterBranchType": {"const": "ASSOCIATION"},
            "objectTypeId": {"type": "string", "description": "The type of the associated records, for example 0-2."},
            "associationCategory": {"enum": list(CATEGORIES)},
            "associationTypeId": {"type": "integer", "minimum": 1},
        },
        {"operator": _DEFAULT_MEMBERSHIP, **_BRANCH, **_FILTERS, **_NO_BRANCHES},
        "At least one associated record has to pass all filters; with NOT_IN_LIST, none may.",
    ),
    "UnsupportedBranch": _branch(
        sorted(({*CRITERIA_NOT_YET} - {"ASSOCIATION"}) | {*UNREAD_BRANCHES}),
        {},
        "A branch of HubSpot's format that is stored in a flow that is off, and cannot run.",
    ),
}
_FILTER_TYPES: dict[str, Schema] = {
    "RecordFilter": _one_of("PropertyFilter", "ListFilter", "ConstantFilter", "UnsupportedFilter"),
    "EventFilter": _object(
        {
            "filterType": {"const": "PROPERTY"},
            "property": {"type": "string", "minLength": 1},
            "operation": _ref("EventOperation"),
        },
        {},
        "A refinement on a property of the event.",
    ),
    "PropertyFilter": _object(
        {
            "filterType": {"const": "PROPERTY"},
            "property": {"type": "string", "minLength": 1},
            "operation": _ref("RecordOperation"),
        },
        {},
    ),
    "ListFilter": _object({"filterType": {"const": "IN_LIST"}, "listId": _LIST_ID}, {"operator": _DEFAULT_MEMBERSHIP}),
    "ListMembershipFilter": _object(
        {"filterType": {"const": "IN_LIST"}, "operator": _MEMBERSHIP, "listId": _LIST_ID},
        {},
        "IN_LIST: the record is added to the list. NOT_IN_LIST: it is removed.",
    ),
    "ConstantFilter": _object({"filterType": {"const": "CONSTANT"}, "shouldAccept": {"type": "boolean"}}, {}),
    "UnsupportedFilter": _object(
        {"filterType": {"enum": sorted({*CRITERIA_NOT_YET, *FILTERS_WITHOUT_SOURCE})}},
        {},
        "A filter of HubSpot's format that is stored in a flow that is off, and cannot run.",
    ),
}

_RE_ENROLL: dict[str, Schema] = {"shouldReEnroll": {**_FLAG, "description": "Whether a record can enter again."}}
_CRITERIA: dict[str, Schema] = {
    "EnrollmentCriteria": _one_of(
        "EventBasedCriteria",
        "ListBasedCriteria",
        "ManualCriteria",
        description="What enrolls records: see docs/flows.md. A flow that is off and cannot run can have branches and "
        "filters of other types too.",
    ),
    "EventBasedCriteria": _object(
        {"type": {"const": "EVENT_BASED"}},
        {
            **_RE_ENROLL,
            "eventFilterBranches": _list(_ref("EventFilterBranch")),
            "listMembershipFilterBranches": _list(_ref("ListMembershipFilterBranch")),
            "refinementCriteria": _optional(_ref("CriteriaBranch")),
        },
        "An event enrolls its record if it matches one of the trigger groups, and the record meets the refinement "
        "criteria.",
    ),
    "ListBasedCriteria": _object(
        {"type": {"const": "LIST_BASED"}},
        {
            **_RE_ENROLL,
            "listFilterBranch": {"anyOf": [_ref("CriteriaBranch"), {"type": "null"}]},
            "reEnrollmentTriggersFilterBranches": _list(
                {"anyOf": [_ref("CriteriaBranch"), _ref("PropertyChangeBranch")]}
            ),
        },
        "A record is enrolled when it starts to meet the criteria.",
    ),
    "PropertyChangeBranch": _branch(
        ["AND", "UNIFIED_EVENTS"],
        {
            "operator": {"type": ["string", "null"]},
            "eventTypeId": {"type": ["string", "null"]},
            "filters": _list(_ref("EventFilter")),
            **_NO_BRANCHES,
        },
        "A change of a property by which a record enters again; the filter on hs_name names the property.",
    ),
    "ManualCriteria": _object({"type": {"const": "MANUAL"}}, _RE_ENROLL, "Only requests enroll records."),
}

FLOW_SCHEMAS: dict[str, Schema] = {**_CRITERIA, **_BRANCHES, **_FILTER_TYPES, **_operations(), **_TIME_POINTS}
"""By the name of the component of the OpenAPI document."""

FLOW_KEYS: dict[str, Schema] = {
    "enrollmentCriteria": _optional(_ref("EnrollmentCriteria")),
    "suppressionListIds": {
        "description": "Members of these lists are not enrolled.",
        **_list(_LIST_ID),
    },
    "suppressionFilterBranch": {
        "description": "Records that meet these criteria are not enrolled.",
        **_optional(_ref("CriteriaBranch")),
    },
    "goalFilterBranch": {
        "description": "Records that meet these criteria have reached the goal, and are not enrolled.",
        **_optional(_ref("CriteriaBranch")),
    },
}
"""The keys of a flow that have these parts."""
