"""Filter-based flows: trees of filters, trees with faults at known paths, and trees of the largest size."""

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from enrollment.serialization.flows import MAX_DEPTH, MAX_FILTERS
from enrollment.serialization.unsupported_filters import depends_on_now
from tests.proofs.documents import LIST_FILTERS, RECORD_OPERATIONS, property_filters

Json = Any
Filters = SearchStrategy[Json]

CRITERIA = "$.enrollmentCriteria"


# Those that become true as time passes are refused in a filter-based flow.
@st.composite
def _operations(draw: st.DrawFn) -> Json:
    operation = draw(RECORD_OPERATIONS)
    assume(not depends_on_now(operation))
    return operation


_NAMES = st.sampled_from(["city", "born", "score", "a;b", "hs_form_id", "x" * 128, "lastmodifieddate"])
FILTERS = st.one_of(
    property_filters(_operations(), _NAMES),
    property_filters(_operations(), _NAMES),
    LIST_FILTERS,
    st.fixed_dictionaries({"filterType": st.just("CONSTANT"), "shouldAccept": st.booleans()}),
)
VALID_FILTERS = st.sampled_from(
    [
        *(
            {"filterType": "PROPERTY", "property": "city", "operation": operation}
            for operation in (
                {"operationType": "ALL_PROPERTY", "operator": "IS_KNOWN"},
                {"operationType": "STRING", "operator": "IS_EQUAL_TO", "value": "Dublin"},
                {"operationType": "ENUMERATION", "operator": "IS_NONE_OF", "values": ["Dublin", "Cork"]},
                {"operationType": "NUMBER", "operator": "IS_GREATER_THAN", "value": 3},
                {"operationType": "STRING", "operator": "HAS_NEVER_CONTAINED", "value": "ork"},
                {"operationType": "COMPARATIVE_DATE", "operator": "IS_AFTER", "comparisonPropertyName": "born"},
            )
        ),
        {"filterType": "IN_LIST", "operator": "NOT_IN_LIST", "listId": "42"},
        {"filterType": "CONSTANT", "shouldAccept": True},
    ]
)
_ASSOCIATIONS = st.fixed_dictionaries(
    {
        "filterBranchType": st.just("ASSOCIATION"),
        "operator": st.sampled_from(["IN_LIST", "NOT_IN_LIST"]),
        "objectTypeId": st.sampled_from(["0-2", "2-77"]),
        "associationCategory": st.just("HUBSPOT_DEFINED"),
        "associationTypeId": st.sampled_from([1, 279]),
    }
)


def _draw_part(draw: st.DrawFn, filters: Filters, levels: int) -> Json:
    """A part of an AND branch: an ASSOCIATION branch, or a negation with at most this number of levels."""
    if levels == 0 or draw(st.booleans()):
        return {**draw(_ASSOCIATIONS), "filters": draw(st.lists(filters, max_size=2))}
    return {
        "filterBranchType": draw(st.sampled_from(["NOT_ALL", "NOT_ANY"])),
        "filters": draw(st.lists(filters, min_size=1, max_size=2)),
        "filterBranches": [_draw_part(draw, filters, levels - 1) for _ in range(draw(st.integers(0, 2)))],
    }


def _draw_all_of(draw: st.DrawFn, filters: Filters) -> Json:
    return {
        "filterBranchType": "AND",
        "filters": draw(st.lists(filters, min_size=1, max_size=3)),
        "filterBranches": [_draw_part(draw, filters, 2) for _ in range(draw(st.integers(0, 2)))],
    }


@st.composite
def trees(draw: st.DrawFn, filters: Filters) -> Json:
    """An AND branch, or an OR branch of some."""
    if draw(st.booleans()):
        return _draw_all_of(draw, filters)
    count = draw(st.integers(1, 3))
    branches = [
        _draw_part(draw, filters, 2) if draw(st.integers(0, 2)) == 0 else _draw_all_of(draw, filters)
        for _ in range(count)
    ]
    return {"filterBranchType": "OR", "filterBranches": branches}


_CHANGES = st.fixed_dictionaries(
    {
        "filterBranchType": st.just("AND"),
        "filters": st.tuples(
            property_filters(
                st.just({"operationType": "ENUMERATION", "operator": "IS_ANY_OF", "values": ["city", "score"]}),
                st.just("hs_name"),
            ),
            property_filters(st.just({"operationType": "ALL_PROPERTY", "operator": "IS_KNOWN"}), st.just("hs_value")),
        ).map(list),
    }
)
_OF_RECORD = st.fixed_dictionaries(
    {"filterBranchType": st.just("AND"), "filters": st.lists(FILTERS, min_size=1, max_size=2)}
)


def filter_based(tree: Json, *, re_enrolls: bool = False, triggers: list[Json] | None = None) -> Json:
    """Return a flow of contacts that is on."""
    return {
        "name": "Welcome",
        "type": "CONTACT_FLOW",
        "isEnabled": True,
        "enrollmentCriteria": {
            "type": "LIST_BASED",
            "shouldReEnroll": re_enrolls,
            "listFilterBranch": tree,
            "reEnrollmentTriggersFilterBranches": triggers or [],
        },
    }


FILTER_BASED_FLOWS = st.builds(
    filter_based,
    trees(FILTERS),
    re_enrolls=st.booleans(),
    triggers=st.lists(st.one_of(_CHANGES, _OF_RECORD), max_size=2),
)


# Trees with faults ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Faulty:
    """A flow, with the path and the code of each fault that was put into it."""

    document: Json
    faults: frozenset[tuple[str, str]]


Part = dict[str, Any]
Put = Callable[[Part, str], tuple[str, str]]
"""Put a fault into a filter or branch at a path. Return the path and the code of the fault."""


def _put(path: str, code: str, **values: Any) -> Put:
    def put(part: Part, at: str) -> tuple[str, str]:
        part.update(values)
        return at + path, code

    return put


def _put_operation(path: str, code: str, **values: Any) -> Put:
    def put(part: Part, at: str) -> tuple[str, str]:
        part["operation"] = {**part["operation"], **values}
        return f"{at}.operation{path}", code

    return put


_ROLLING = {"operationType": "ROLLING_DATE_RANGE", "operator": "IS_LESS_THAN_X_DAYS_AGO", "numberOfDays": 3}
_STEPS = {"coalescingRefineBy": {"type": "NUM_OCCURRENCES", "minOccurrences": 3}}
OF_ANY_FILTER: tuple[Put, ...] = (
    _put(".filterType", "UNKNOWN_FILTER", filterType="NONSENSE"),
    _put(".filterType", "UNKNOWN_FILTER", filterType=["PROPERTY"]),
    _put(".filterType", "UNKNOWN_FILTER", filterType="NUM_ASSOCIATIONS"),
    _put(".filterType", "NOT_YET_SUPPORTED", filterType="PAGE_VIEW"),
    _put(".zzz", "UNKNOWN_KEY", zzz="value"),
    _put(".coalescingRefineBy", "NOT_YET_SUPPORTED", **_STEPS),
)
OF_FILTER: Mapping[str, tuple[Put, ...]] = {
    "PROPERTY": (
        _put(".property", "WRONG_TYPE", property=" "),
        _put(".property", "WRONG_TYPE", property={"name": "city"}),
        _put(".operation", "WRONG_TYPE", operation="IS_KNOWN"),
        _put_operation(".operator", "WRONG_TYPE", operator=None),
        _put_operation(".operator", "UNKNOWN_OPERATOR", operator="IS_NONSENSE"),
        _put_operation(".operationType", "UNKNOWN_OPERATION", operationType="NONSENSE"),
        _put_operation(".operationType", "NOT_YET_SUPPORTED", **_ROLLING),
        _put_operation(".includeObjectsWithNoValueSet", "WRONG_TYPE", includeObjectsWithNoValueSet="yes"),
        _put_operation(".zzz", "UNKNOWN_KEY", zzz="value"),
    ),
    "IN_LIST": (
        _put(".listId", "WRONG_TYPE", listId=None),
        _put(".listId", "WRONG_TYPE", listId=["42"]),
        _put(".operator", "UNKNOWN_OPERATOR", operator="IS_NONSENSE"),
        _put(".metadata", "NOT_YET_SUPPORTED", metadata={"inListType": "WORKFLOWS_ACTIVE", "id": "9"}),
    ),
    "CONSTANT": (_put(".shouldAccept", "WRONG_TYPE", shouldAccept="yes"),),
}
OF_ANY_BRANCH: tuple[Put, ...] = (
    _put(".zzz", "UNKNOWN_KEY", zzz="value"),
    _put(".pruningRefineBy", "NOT_YET_SUPPORTED", pruningRefineBy={"type": "RELATIVE_COMPARATIVE"}),
)
OF_BRANCH: Mapping[str, tuple[Put, ...]] = {
    "AND": (_put(".filterBranchOperator", "UNKNOWN_OPERATOR", filterBranchOperator="XOR"),),
    "OR": (
        _put(".filterBranchOperator", "UNKNOWN_OPERATOR", filterBranchOperator="AND"),
        _put(".filters", "FILTERS_IN_OR", filters=[{"filterType": "CONSTANT", "shouldAccept": True}]),
    ),
    "NOT_ALL": (_put(".filterBranchOperator", "UNKNOWN_OPERATOR", filterBranchOperator="XOR"),),
    "NOT_ANY": (_put(".filterBranchOperator", "UNKNOWN_OPERATOR", filterBranchOperator="XOR"),),
    "ASSOCIATION": (
        _put(".filters", "WRONG_TYPE", filters={"0": "filter"}),
        _put(".operator", "UNKNOWN_OPERATOR", operator="HAS_COMPLETED"),
        _put(".objectTypeId", "UNKNOWN_OBJECT_TYPE", objectTypeId="nonsense"),
        _put(".objectTypeId", "UNKNOWN_OBJECT_TYPE", objectTypeId=None),
        _put(".associationCategory", "UNKNOWN_OPTION", associationCategory="NONSENSE"),
        _put(".associationTypeId", "WRONG_TYPE", associationTypeId="279"),
        _put(".associationTypeId", "WRONG_TYPE", associationTypeId=True),
        _put(".filterBranches", "NESTED_BRANCHES", filterBranches=[{"filterBranchType": "AND"}]),
    ),
}
# Of a branch under an OR branch.
OF_ALTERNATIVE: tuple[Put, ...] = (
    _put(".filterBranchType", "UNKNOWN_BRANCH", filterBranchType="NONSENSE"),
    _put(".filterBranchType", "UNKNOWN_BRANCH", filterBranchType="OR"),
    _put(".filterBranchType", "UNKNOWN_BRANCH", filterBranchType="RESTRICTED"),
    _put(".filterBranchType", "NOT_YET_SUPPORTED", filterBranchType="UNIFIED_EVENTS"),
)


def parts_of(branch: Part, path: str, *, of: str = "") -> Iterator[tuple[str, Part, tuple[Put, ...]]]:
    """Yield each filter and branch with its path and the faults that can be put into it. Parts come after the branch
    that has them."""
    kind = branch["filterBranchType"]
    yield path, branch, (*OF_ANY_BRANCH, *OF_BRANCH[kind], *(OF_ALTERNATIVE if of == "OR" else ()))
    for number, each in enumerate(branch.get("filters", [])):
        yield f"{path}.filters[{number}]", each, (*OF_ANY_FILTER, *OF_FILTER[each["filterType"]])
    for number, each in enumerate(branch.get("filterBranches", [])):
        yield from parts_of(each, f"{path}.filterBranches[{number}]", of=kind)


@st.composite
def faulty_flows(draw: st.DrawFn) -> Faulty:
    """One to four faults. No part of a branch with a fault has a fault, because such a branch may not be read."""
    # Through JSON, so that no two parts are the same object.
    document = filter_based(json.loads(json.dumps(draw(trees(VALID_FILTERS)))))
    path = f"{CRITERIA}.listFilterBranch"
    parts = list(parts_of(document["enrollmentCriteria"]["listFilterBranch"], path))
    faults: dict[str, tuple[str, str]] = {}
    for number in draw(st.lists(st.sampled_from(range(len(parts))), min_size=1, max_size=4, unique=True)):
        at, part, puts = parts[number]
        if not any(_is_in(at, other) or _is_in(other, at) for other in faults):
            faults[at] = puts[draw(st.sampled_from(range(len(puts))))](part, at)
    return Faulty(document, frozenset(faults.values()))


def _is_in(path: str, other: str) -> bool:
    return path.startswith(f"{other}.")


# The largest trees ---------------------------------------------------------------------------------------------------


@st.composite
def largest_flows(draw: st.DrawFn) -> Json:
    """As many levels and filters as a flow may have, one level or one filter more, or far more."""
    filters = draw(st.lists(VALID_FILTERS, min_size=4, max_size=8))
    levels = draw(st.sampled_from([2, MAX_DEPTH, MAX_DEPTH, MAX_DEPTH + 1, 400]))
    count = draw(st.sampled_from([MAX_FILTERS, MAX_FILTERS, MAX_FILTERS + 1, 20_000]))
    numbers = iter(range(10**6))

    def some(of: int) -> list[Json]:
        return [copy.deepcopy(filters[next(numbers) % len(filters)]) for _ in range(of)]

    association = {**draw(_ASSOCIATIONS), "filters": some(2)}
    inner = [association, {"filterBranchType": "NOT_ANY", "filters": some(count - levels - 2)}]
    for _ in range(levels - 2):
        kind = draw(st.sampled_from(["NOT_ALL", "NOT_ANY"])) if levels <= MAX_DEPTH + 1 else "NOT_ALL"
        inner = [{"filterBranchType": kind, "filters": some(1), "filterBranches": inner}]
    return filter_based(
        {"filterBranchType": "AND", "filters": [], "filterBranches": inner},
        re_enrolls=draw(st.booleans()),
        triggers=[draw(_CHANGES)],
    )
