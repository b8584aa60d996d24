"""The index compared with the evaluation of every flow, which it replaces."""

from collections.abc import Iterable, Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from enrollment.domain.flows.flow import Flow, TriggerGroup
from enrollment.domain.flows.trigger_index import TriggerIndex
from enrollment.domain.operators.filters import PropertyFilter
from enrollment.domain.operators.property_operators import OPERATION_TYPES, operation
from enrollment.domain.operators.urls import UrlPart
from enrollment.domain.values import Properties, Value

EVENT_TYPE, OTHER_TYPE = "forms.submitted", "forms.viewed"
NAMES = ("form", "page", "country")
URL_PARTS = {"page": UrlPart.PATH, "site": UrlPart.DOMAIN, "base": UrlPart.BASE_URL, "url": UrlPart.URL}

# Few values, so that they coincide: spellings of one text, several values in one, and texts that only look like a
# number or a time.
TEXTS = (
    *("a", "A", " a", "b", "ab", "a;b", "B; a", ";", "x", "true", "FALSE", "3", "3.0", "03", "4e0", "NaN"),
    *(
        "caf\u00e9",
        "CAFE\u0301",
        "STRASSE",
        "stra\u00dfe",
        "a\u037eb",
        "\u0130",
        "i\u0307",
        "\u1f80",
        "\u03c3",
        "\u03c2",
    ),
    *(
        "a ",
        "/a",
        "/A/",
        "/caf%C3%A9",
        "www.a.com",
        "https://A.com/a/",
        "a.com:443/a",
        "xn--bcher-kva.com",
        "b\u00fccher.com",
    ),
    *("2024-02-29", "2024-02-29T01:00:00+01:00", "1709164800000", "2024-03-01"),
)
NUMBERS = (3, 3.0, 4, -1, 0, 1, 1_709_164_800_000, 1_709_251_200_000, 2.5)
VALUES: SearchStrategy[Value] = st.one_of(
    st.sampled_from([None, "", *TEXTS, *NUMBERS, True, False]), st.lists(st.sampled_from(["", *TEXTS]), max_size=3)
)
EVENTS: SearchStrategy[Properties] = st.dictionaries(st.sampled_from((*NAMES, *URL_PARTS)), VALUES)

OPERANDS: dict[str, SearchStrategy[Any]] = {
    "ALL_PROPERTY": st.just({}),
    "STRING": st.fixed_dictionaries({"value": st.sampled_from([*TEXTS, 3, 4])}),
    "NUMBER": st.fixed_dictionaries({"value": st.sampled_from(NUMBERS)}),
    "BOOL": st.fixed_dictionaries({"value": st.booleans()}),
    "DATETIME": st.fixed_dictionaries({"timestamp": st.sampled_from(NUMBERS).filter(lambda number: number != 2.5)}),
    "DATE": st.fixed_dictionaries({"year": st.just(2024), "month": st.sampled_from(["FEB", "MAR"]), "day": st.just(1)})
    | st.just({"year": 2024, "month": "FEB", "day": 29}),
    "NUMBER_RANGED": st.sampled_from([{"lowerBound": 0, "upperBound": 3}, {"lowerBound": 4, "upperBound": 4}]),
    "RANGED_DATE": st.just({"lowerBound": 3, "upperBound": 1_709_164_800_000}),
}
for several in ("MULTISTRING", "ENUMERATION"):
    OPERANDS[several] = st.fixed_dictionaries({"values": st.lists(st.sampled_from(TEXTS), min_size=1, max_size=3)})


@st.composite
def filters(draw: DrawFn) -> PropertyFilter:
    # Those that a trigger may use, and the others too: the index leaves none out.
    kind, operator = draw(
        st.sampled_from(
            [
                (operation_type.name, operator)
                for operation_type in OPERATION_TYPES.values()
                for operator in operation_type.tests
            ]
        )
    )
    include = draw(st.booleans())
    document = {"operationType": kind, "operator": operator, "includeObjectsWithNoValueSet": include}
    name = draw(st.sampled_from((*NAMES, *URL_PARTS)))
    return PropertyFilter(name, operation(document | draw(OPERANDS[kind]), URL_PARTS.get(name)))


def flow(flow_id: str, *groups: tuple[str, Iterable[PropertyFilter]]) -> Flow:
    made = (
        TriggerGroup(index, event_type, None, tuple(conditions))
        for index, (event_type, conditions) in enumerate(groups)
    )
    return Flow("p1", flow_id, "", "0-1", "1", True, 0, 0, False, tuple(made))


GROUPS = st.tuples(st.sampled_from([EVENT_TYPE, EVENT_TYPE, EVENT_TYPE, OTHER_TYPE]), st.lists(filters(), max_size=3))
FLOWS = st.builds(
    lambda flow_id, groups: flow(flow_id, *groups), st.sampled_from("123456"), st.lists(GROUPS, max_size=3)
)


def evaluate_each(flows: Iterable[Flow], properties: Properties) -> dict[str, tuple[Flow, TriggerGroup]]:
    satisfied: dict[str, tuple[Flow, TriggerGroup]] = {}
    for flow in flows:
        for group in flow.groups:
            if group.event_type == EVENT_TYPE and group.failure(properties) is None:
                satisfied.setdefault(flow.id, (flow, group))
    return satisfied


def found(index: TriggerIndex, properties: Properties) -> dict[str, tuple[Flow, TriggerGroup]]:
    satisfied = index.matching(properties)
    assert len({hit.flow.id for hit in satisfied}) == len(satisfied)
    return {hit.flow.id: (hit.flow, hit.group) for hit in satisfied}


@given(st.lists(FLOWS, max_size=8, unique_by=lambda flow: flow.id), st.lists(EVENTS, min_size=1, max_size=4))
def test_index_finds_the_same_flows_as_evaluating_each(flows: list[Flow], events: list[Properties]) -> None:
    index = TriggerIndex(EVENT_TYPE, flows)
    for properties in events:
        assert found(index, properties) == evaluate_each(flows, properties)


@given(filters(), st.lists(VALUES, min_size=1))
def test_index_finds_every_value_that_a_refinement_accepts(filter_: PropertyFilter, values: list[Value]) -> None:
    flows = [flow("1", (EVENT_TYPE, [filter_]))]
    index = TriggerIndex(EVENT_TYPE, flows)
    for value in values:
        assert found(index, {filter_.property: value}) == evaluate_each(flows, {filter_.property: value})


@given(st.lists(FLOWS, max_size=6), st.lists(st.one_of(FLOWS, st.sampled_from("123456"))), EVENTS)
def test_index_follows_every_change(flows: list[Flow], changes: Sequence[Flow | str], properties: Properties) -> None:
    index, kept = TriggerIndex(EVENT_TYPE, flows), {flow.id: flow for flow in flows}
    for change in changes:
        if isinstance(change, Flow):
            index.put(change)
            kept[change.id] = change
        else:
            index.remove(change)
            kept.pop(change, None)
        assert found(index, properties) == evaluate_each(kept.values(), properties)
        assert len(index) == len(kept)
        assert all(index.flow(flow_id) is kept.get(flow_id) for flow_id in "123456")


@given(st.lists(FLOWS))
def test_index_has_no_entries_of_removed_flows(flows: list[Flow]) -> None:
    index = TriggerIndex(EVENT_TYPE, flows)
    for flow in flows:
        index.remove(flow.id)
    assert not any((len(index), index._gates, index._shared, index._places, index._later, len(index._predicates)))
    assert not index._tables
