"""Hostile documents: what a JSON Schema allows, and that with parts exchanged for what nobody expects."""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from enrollment.catalog import EVENT_TYPES
from enrollment.domain.criteria.record_operators import RECORD_OPERATION_TYPES
from enrollment.domain.events.event_types import EventType, Trigger
from enrollment.domain.identifiers import OBJECT_TYPE_IDS
from enrollment.domain.operators.property_operators import OPERATION_TYPES

Schema = Mapping[str, Any]
Json = Any

TEXTS = (
    "",
    " ",
    "\x00",
    "\ud800",
    "\udfff\ud800",
    "\ufffe",
    "\u202e",
    "e\u0301",
    "\u0130" * 300,
    "\ufdfa" * 300,
    "a" + "\u0316\u0300" * 1_500,
    ";" * 300,
    "a;b",
    "/",
    "%2F",
    "%25",
    "#version",
    "flow/1",
    "associated/0-1/1",
    "../../etc/passwd",
    "{0.__class__}%s",
    "[",
    "//[",
    "http://[::1",
    "http://a@b@c:x/?#?#",
    "9" * 65,
    "9" * 4_299,
    "1e9999",
    "-1E-9999",
    "1_000",
    "\u0661",
    "NaN",
    "Infinity",
    "true",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59.999999-23:59",
    "2026-W53-7",
    "2016-12-31T23:59:60Z",
    "253402300799999",
    "-62135596800001",
    "Europe",
    "posixrules",
    "x" * 129,
    "x" * 8_193,
    "\U0001f701" * 128,
)
NUMBERS = (
    0,
    -1,
    1.5,
    -0.5,
    -0.0,
    5e-324,
    1e308,
    2**31,
    2**63,
    10**38,
    10**400,
    -(10**400),
    253_402_300_799_999,
    253_402_300_800_000,
    math.nan,
    math.inf,
    -math.inf,
)


def nested(depth: int, kind: str = "list") -> Json:
    value: Json = "bottom"
    for _ in range(depth):
        value = [value] if kind == "list" else {"filterBranches": [value], "filterBranchType": "AND"}
    return value


HOSTILE: SearchStrategy[Json] = st.one_of(
    st.sampled_from(TEXTS),
    st.sampled_from(NUMBERS),
    st.sampled_from([None, True, False]),
    st.builds(lambda: []),
    st.builds(dict),
    st.builds(nested, st.sampled_from([13, 33, 400]), st.sampled_from(["list", "map"])),
    st.text(max_size=20),
    st.builds(lambda text: [text] * 300, st.sampled_from(["", "a", "\u0300"])),
    st.builds(lambda text: {text: text}, st.sampled_from(TEXTS)),
)


def allowed(schema: Schema, definitions: Schema | None = None) -> SearchStrategy[Json]:
    """What a schema allows, of the keywords that this project's schemas use; KeyError for any other."""
    definitions = schema.get("$defs", {}) if definitions is None else definitions
    if "allOf" in schema:  # only ever "not empty"
        return allowed({key: schema[key] for key in schema if key != "allOf"}, definitions).filter(bool)
    if "$ref" in schema:
        found = allowed(definitions[schema["$ref"].removeprefix("#/$defs/")], definitions)
        return st.one_of(st.sampled_from(schema["examples"]), found) if "examples" in schema else found
    if "const" in schema:
        return st.just(schema["const"])
    if "anyOf" in schema:
        return st.one_of([allowed(one, definitions) for one in schema["anyOf"]])
    if isinstance(schema["type"], list):
        return st.one_of([allowed({**schema, "type": one}, definitions) for one in schema["type"]])
    return _OF_TYPE[schema["type"]](schema, definitions)


def _texts(schema: Schema, _: Schema) -> SearchStrategy[str]:
    if schema.get("format") == "date-time":
        return st.datetimes(min_value=datetime(1970, 1, 1)).map(lambda one: one.isoformat() + "Z")
    least, most = schema.get("minLength", 0), schema.get("maxLength", 300)
    if "pattern" in schema and "examples" not in schema:  # only ever a time in digits
        return st.one_of(st.integers(10**8, 10**10 - 1), st.integers(10**11, 10**13 - 1)).map(str)
    if "pattern" in schema:  # only ever the type of an object
        numbers = st.integers(0, 10**16 - 1)
        return st.one_of(
            st.sampled_from(list(OBJECT_TYPE_IDS)), st.builds("{}-{}".format, st.sampled_from("02"), numbers)
        )
    fitting = [one for one in TEXTS if least <= len(one) <= most]
    return st.one_of(st.text(min_size=least, max_size=min(most, 30)), st.sampled_from(fitting))


def _numbers(schema: Schema, _: Schema) -> SearchStrategy[float]:
    if "minimum" in schema:
        least, end = schema["minimum"], schema["exclusiveMaximum"]
        return st.one_of(st.integers(least, end - 1), st.floats(least, end, exclude_max=True))
    return st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False))


def _integers(schema: Schema, _: Schema) -> SearchStrategy[int]:
    return st.integers(schema.get("minimum"), schema["exclusiveMaximum"] - 1 if "exclusiveMaximum" in schema else None)


def _lists(schema: Schema, definitions: Schema) -> SearchStrategy[list[Json]]:
    return st.lists(allowed(schema["items"], definitions), max_size=min(schema.get("maxItems", 5), 12))


def _objects(schema: Schema, definitions: Schema) -> SearchStrategy[dict[str, Json]]:
    properties = (
        {name: allowed(one, definitions) for name, one in schema["properties"].items()}
        if "properties" in schema
        else {}
    )
    required = {name: properties.pop(name) for name in schema.get("required", ())}
    known = st.fixed_dictionaries(required, optional=properties)
    if "additionalProperties" not in schema:
        return known
    others = st.dictionaries(
        _texts(schema["propertyNames"], definitions), allowed(schema["additionalProperties"], definitions), max_size=4
    )
    return st.builds(lambda one, two: {**two, **one}, known, others)


_OF_TYPE: Mapping[str, Callable[[Schema, Schema], SearchStrategy[Any]]] = {
    "string": _texts,
    "number": _numbers,
    "integer": _integers,
    "boolean": lambda schema, definitions: st.booleans(),
    "null": lambda schema, definitions: st.none(),
    "array": _lists,
    "object": _objects,
}


@st.composite
def mutated(draw: st.DrawFn, documents: SearchStrategy[Json]) -> Json:
    """Parts of a document exchanged, left out, added or renamed: one, or a few."""
    document = copy.deepcopy(draw(documents))
    for _ in range(draw(st.sampled_from([1, 1, 1, 2, 4]))):
        holders = [one for one in _containers(document) if one]
        if not holders:
            return draw(HOSTILE)
        holder = draw(st.sampled_from(holders))
        key = draw(st.sampled_from(sorted(holder) if isinstance(holder, dict) else range(len(holder))))
        match draw(st.sampled_from(["exchange", "exchange", "leave out", "add", "rename"])):
            case "leave out":
                del holder[key]
            case "add" if isinstance(holder, dict):
                holder[draw(st.sampled_from(TEXTS))] = draw(HOSTILE)
            case "rename" if isinstance(holder, dict):
                holder[draw(st.sampled_from(TEXTS))] = holder.pop(key)
            case _:
                holder[key] = draw(HOSTILE)
    return document


def _containers(document: Json) -> list[Any]:
    """Itself, and those in it; of many, the upper ones."""
    found = [document] if isinstance(document, dict | list) else []
    for holder in found:  # grows as it goes
        inner = holder.values() if isinstance(holder, dict) else holder
        found += [one for one in inner if isinstance(one, dict | list)][: 500 - len(found)]
    return found


# Flows: no schema says what a flow is, so a grammar of its parts does ------------------------------------------------

_NAMES = st.sampled_from(["city", "born", "score", "a;b", "hs_form_id", "x" * 200])
_COUNTS = st.one_of(st.integers(0, 3), st.sampled_from([100_000, 10_000, -1, True, 2**63]))
_ZONES = st.sampled_from(
    ["UTC", "Pacific/Apia", "Pacific/Kiritimati", "America/Adak", "Africa/Monrovia", "Europe/Dublin"]
)
_OFFSETS = st.dictionaries(
    st.sampled_from(["years", "quarters", "months", "weeks", "days", "hours", "minutes", "seconds", "milliseconds"]),
    st.sampled_from([0, 1, -1, 29, 100_000_000, -100_000_000]),
    max_size=3,
)
_POINTS = st.one_of(
    st.fixed_dictionaries(
        {
            "timeType": st.just("DATE"),
            "year": st.sampled_from([1970, 2024, 9_998]),
            "month": st.sampled_from(["JAN", "FEB", 2, 12, "DEC"]),
            "day": st.sampled_from([1, 28, 29, 31]),
        },
        optional={"zoneId": _ZONES, "hour": st.integers(0, 23), "millisecond": st.integers(0, 999)},
    ),
    st.fixed_dictionaries(
        {
            "timeType": st.just("INDEXED"),
            "indexReference": st.fixed_dictionaries(
                {"referenceType": st.sampled_from(["NOW", "TODAY", "WEEK", "MONTH", "QUARTER", "YEAR"])},
                optional={
                    "day": st.sampled_from([1, 31, 366]),
                    "month": st.sampled_from([1, 12]),
                    "dayOfWeek": st.sampled_from(["MONDAY", "SUNDAY"]),
                    "hour": st.just(23),
                },
            ),
        },
        optional={"offset": _OFFSETS, "zoneId": _ZONES},
    ),
    st.fixed_dictionaries(
        {"timeType": st.just("PROPERTY_REFERENCED"), "property": _NAMES},
        optional={"offset": _OFFSETS, "referenceType": st.sampled_from(["VALUE", "UPDATED_AT"])},
    ),
)
_MOMENTS = st.sampled_from(
    [0, 1_764_000_000_000, 9_999_999_999_999, -9_999_999_999_999, 1_764_000_000, 20_261_123, "2026-11-23"]
)
_BEHAVIOURS = st.sampled_from(["INCLUSIVE", "EXCLUSIVE"])
_OPERANDS: Mapping[str, SearchStrategy[Json]] = {
    "value": st.one_of(st.sampled_from(["1", "true", "Dublin", 1e308, "1e9999", ";"]), st.sampled_from(TEXTS)),
    "values": st.lists(st.sampled_from(["Dublin", "1", "x", *TEXTS[6:12]]), min_size=1, max_size=4),
    "lowerBound": _MOMENTS,
    "upperBound": _MOMENTS,
    "timestamp": _MOMENTS,
    "year": st.sampled_from([1, 1970, 2024, 9_999]),
    "month": st.sampled_from(["JAN", "FEB", "DEC"]),
    "day": st.sampled_from([1, 29, 31]),
    "numberOfDays": _COUNTS,
    "comparisonPropertyName": _NAMES,
    "defaultComparisonValue": st.one_of(st.none(), st.sampled_from(TEXTS), _MOMENTS),
    "timeUnit": st.sampled_from(["DAY", "WEEK", "MONTH", "QUARTER", "YEAR"]),
    "timeUnitCount": _COUNTS,
    "timePoint": _POINTS,
    "lowerBoundTimePoint": _POINTS,
    "upperBoundTimePoint": _POINTS,
    "endpointBehavior": _BEHAVIOURS,
    "propertyParser": st.sampled_from(["VALUE", "UPDATED_AT", "ANNIVERSARY"]),
    "includeObjectsWithNoValueSet": st.booleans(),
}


def _operation(operation_type: str, operators: Sequence[str]) -> SearchStrategy[Json]:
    """With every operand that any operation has: those that this one does not have are not looked at."""
    named = {"operationType": st.just(operation_type), "operator": st.sampled_from(sorted(operators))}
    times = ("COMPARATIVE_DATE", "COMPARATIVE_PROPERTY_UPDATED")
    default = {"defaultComparisonValue": st.one_of(st.none(), _MOMENTS)} if operation_type in times else {}
    ranged = {"lowerBound": st.sampled_from([-9_999_999_999_999, 0]), "upperBound": st.sampled_from([0, 1_764_000_000])}
    return st.fixed_dictionaries({**named, **_OPERANDS, **default, **(ranged if "RANGED" in operation_type else {})})


def property_filters(operations: SearchStrategy[Json], names: SearchStrategy[str]) -> SearchStrategy[Json]:
    return st.fixed_dictionaries({"filterType": st.just("PROPERTY"), "property": names, "operation": operations})


RECORD_OPERATIONS = st.one_of([_operation(name, row.operators) for name, row in RECORD_OPERATION_TYPES.items()])
LIST_FILTERS = st.fixed_dictionaries(
    {
        "filterType": st.just("IN_LIST"),
        "operator": st.sampled_from(["IN_LIST", "NOT_IN_LIST"]),
        "listId": st.sampled_from(["42", 42, "a/b", "VIP", " vip "]),
    }
)
_FILTERS = st.one_of(
    property_filters(RECORD_OPERATIONS, _NAMES),
    property_filters(RECORD_OPERATIONS, _NAMES),
    LIST_FILTERS,
    st.fixed_dictionaries({"filterType": st.just("CONSTANT"), "shouldAccept": st.booleans()}),
)
_ASSOCIATIONS = st.fixed_dictionaries(
    {
        "filterBranchType": st.just("ASSOCIATION"),
        "objectTypeId": st.sampled_from(["0-2", "2-77"]),
        "associationCategory": st.just("HUBSPOT_DEFINED"),
        "associationTypeId": st.sampled_from([1, 279]),
        "filters": st.lists(_FILTERS, min_size=1, max_size=2),
    }
)
_ALL_OF = st.fixed_dictionaries(
    {
        "filterBranchType": st.just("AND"),
        "filters": st.lists(_FILTERS, min_size=1, max_size=4),
        "filterBranches": st.lists(_ASSOCIATIONS, max_size=1),
    }
)
_BRANCHES = st.one_of(
    _ALL_OF,
    st.fixed_dictionaries(
        {"filterBranchType": st.just("OR"), "filterBranches": st.lists(_ALL_OF, min_size=1, max_size=3)}
    ),
)


def _trigger(event_type: EventType) -> SearchStrategy[Json]:
    filters = [
        property_filters(_operation(kind, OPERATION_TYPES[kind].on_events), st.just(known.name))
        for known in event_type.properties
        for kind in sorted(known.operations)
    ]
    return st.fixed_dictionaries(
        {
            "filterBranchType": st.just("UNIFIED_EVENTS"),
            "operator": st.just("HAS_COMPLETED"),
            "eventTypeId": st.sampled_from([event_type.name, *(one.id for one in event_type.ids)]),
            "filters": st.lists(st.one_of(filters), max_size=3) if filters else st.just([]),
        }
    )


FLOWS: SearchStrategy[Json] = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["Welcome", *TEXTS[:8]]),
        "type": st.just("CONTACT_FLOW"),
        "isEnabled": st.booleans(),
        "enrollmentCriteria": st.fixed_dictionaries(
            {
                "type": st.just("EVENT_BASED"),
                "shouldReEnroll": st.booleans(),
                "eventFilterBranches": st.lists(
                    st.one_of([_trigger(one) for one in EVENT_TYPES.values() if one.trigger is Trigger.EVENT]),
                    min_size=1,
                    max_size=2,
                ),
            },
            optional={
                "refinementCriteria": _BRANCHES,
                "listMembershipFilterBranches": st.lists(
                    st.fixed_dictionaries(
                        {"filterBranchType": st.just("AND"), "filters": st.lists(LIST_FILTERS, min_size=1, max_size=1)}
                    ),
                    max_size=1,
                ),
            },
        ),
    },
    optional={
        "suppressionListIds": st.lists(st.sampled_from([12, "12", "a/b"]), max_size=2),
        "suppressionFilterBranch": _BRANCHES,
        "goalFilterBranch": _BRANCHES,
        "enrollmentSchedule": st.none(),
        "unEnrollmentSetting": st.just({"type": "NONE"}),
    },
)

# What the bodies of requests are made of.
BODIES: SearchStrategy[Json] = st.one_of(
    st.fixed_dictionaries(
        {
            "properties": st.dictionaries(
                _NAMES, st.one_of(st.sampled_from(TEXTS), st.sampled_from(NUMBERS)), max_size=3
            )
        },
        optional={"occurredAt": _MOMENTS, "associations": st.just([])},
    ),
    st.fixed_dictionaries(
        {
            "inputs": st.lists(
                st.fixed_dictionaries(
                    {},
                    optional={
                        "id": st.sampled_from(["101", 101, *TEXTS]),
                        "flowId": st.sampled_from(["1", *TEXTS]),
                        "idProperty": st.just("hs_object_id"),
                        "properties": st.dictionaries(_NAMES, st.sampled_from(TEXTS), max_size=3),
                    },
                ),
                max_size=4,
            )
        },
        optional={"properties": st.lists(_NAMES), "propertiesWithHistory": st.lists(_NAMES)},
    ),
    st.lists(st.sampled_from(["101", 101, *TEXTS]), max_size=4),
    st.lists(
        st.fixed_dictionaries(
            {
                "associationCategory": st.sampled_from(["HUBSPOT_DEFINED", "USER_DEFINED"]),
                "associationTypeId": st.sampled_from([1, 279, *NUMBERS]),
            }
        ),
        max_size=3,
    ),
    st.fixed_dictionaries(
        {
            "recordIdsToAdd": st.lists(st.sampled_from(["101", *TEXTS]), max_size=3),
            "recordIdsToRemove": st.lists(st.sampled_from(["101", *TEXTS]), max_size=3),
        }
    ),
)
