"""Operations on one property that no value can satisfy together."""

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enrollment.domain.operators.property_operators import OPERATION_TYPES, Operation, operation
from enrollment.domain.operators.satisfiability import can_hold
from enrollment.domain.operators.urls import UrlPart
from tests.support.scenario import property_filter


def operations(*shorthands: list[Any], url_part: UrlPart | None = None) -> list[Operation]:
    """Operators with operands, as ``property_filter`` takes them after the name of the property."""
    return [operation(property_filter(["x", *shorthand])["operation"], url_part) for shorthand in shorthands]


DAY = "2026-11-23T00:00:00Z"
NOON = "2026-11-23T12:00:00Z"

CONTRADICTORY: list[list[list[Any]]] = [
    [["IS_EQUAL_TO", "Dublin"], ["IS_EQUAL_TO", "Cork"]],
    [["IS_EQUAL_TO", "Dublin"], ["IS_NOT_EQUAL_TO", "dublin "]],
    [["IS_EQUAL_TO", ["a", "b"], "MULTISTRING"], ["IS_EQUAL_TO", ["c"], "MULTISTRING"]],
    [["IS_EQUAL_TO", "Dublin"], ["CONTAINS", "ork"]],
    [["IS_EQUAL_TO", "Dublin"], ["IS_ANY_OF", ["Cork", "Bray"]]],
    [["STARTS_WITH", "/en/"], ["STARTS_WITH", "/de/"]],
    [["ENDS_WITH", "a"], ["ENDS_WITH", "b"]],
    [["CONTAINS", "pricing"], ["DOES_NOT_CONTAIN", "pri"]],
    [["STARTS_WITH", ["/a", "/b"], "MULTISTRING"], ["DOES_NOT_CONTAIN", ["/"], "MULTISTRING"]],
    [["CONTAINS_EXACTLY", ["a"], "MULTISTRING"], ["DOES_NOT_CONTAIN_EXACTLY", ["a", "b"], "MULTISTRING"]],
    [["IS_ANY_OF", ["a", "b"]], ["IS_NONE_OF", ["a", "b", "c"]]],
    [["IS_ANY_OF", ["a", "b"]], ["IS_NONE_OF", ["a"]], ["IS_NONE_OF", ["b"]]],
    [["IS_EXACTLY", ["a"]], ["IS_EXACTLY", ["a", "b"]]],
    [["IS_EXACTLY", ["a"]], ["CONTAINS_ALL", ["a", "b"]]],
    [["CONTAINS_ALL", ["a", "b"]], ["IS_NONE_OF", ["b"]]],
    [["IS_GREATER_THAN", 5], ["IS_LESS_THAN", 5]],
    [["IS_GREATER_THAN", 5], ["IS_LESS_THAN_OR_EQUAL_TO", 5, "NUMBER"]],
    [["IS_EQUAL_TO", 5, "NUMBER"], ["IS_NOT_EQUAL_TO", "5.0", "NUMBER"]],
    [["IS_BETWEEN", [1, 3]], ["IS_GREATER_THAN", 3]],
    [["IS_BETWEEN", [1, 3]], ["IS_NOT_BETWEEN", [0, 4], "NUMBER_RANGED"]],
    [["IS_EQUAL_TO", "true", "BOOL"], ["IS_EQUAL_TO", "no", "BOOL"]],
    [["IS_EQUAL_TO", "true", "BOOL"], ["IS_NOT_EQUAL_TO", "yes", "BOOL"]],
    [["IS_BEFORE", DAY], ["IS_AFTER", NOON]],
    [["IS_BEFORE", NOON], ["IS_AFTER", NOON]],
    [["EQUAL", [2026, "NOV", 23], "DATE"], ["IS_AFTER_DATE", NOON, "DATETIME"]],
    [["EQUAL", [2026, "NOV", 23], "DATE"], ["EQUAL", [2026, "NOV", 24], "DATE"]],
    [["IS_UNKNOWN"], ["IS_KNOWN"]],
    [["IS_UNKNOWN"], ["IS_EQUAL_TO", "Dublin"]],
    # The kinds are examined separately, so the number between two texts does not hide their contradiction.
    [["IS_GREATER_THAN", 1], ["IS_EQUAL_TO", "Dublin"], ["IS_EQUAL_TO", "Cork"]],
]

COMPATIBLE: list[list[list[Any]]] = [
    [["IS_EQUAL_TO", "Dublin"], ["IS_EQUAL_TO", " DUBLIN"]],
    [["IS_EQUAL_TO", "Dublin"], ["CONTAINS", "UBL"]],
    [["IS_EQUAL_TO", "Van "], ["STARTS_WITH", "Van "]],
    [["IS_EQUAL_TO", "a;b"], ["IS_ANY_OF", ["b"]]],
    [["IS_ANY_OF", ["a"]], ["IS_ANY_OF", ["b"]]],
    [["IS_ANY_OF", ["a"]], ["IS_NOT_EQUAL_TO", "a"]],
    [["IS_EXACTLY", ["a"]], ["CONTAINS", ";"]],
    [["IS_ANY_OF", ["a", "b"]], ["IS_NONE_OF", ["a"]]],
    [["IS_EXACTLY", ["a"]], ["IS_NONE_OF", ["b"]]],
    [["CONTAINS_ALL", ["a"]], ["IS_NOT_EXACTLY", ["a"], "ENUMERATION"]],
    [["STARTS_WITH", "/en/"], ["STARTS_WITH", "/en/pricing"]],
    [["STARTS_WITH", "a"], ["ENDS_WITH", "b"], ["CONTAINS", "c"], ["DOES_NOT_CONTAIN", "d"]],
    [["CONTAINS", "a"], ["DOES_NOT_CONTAIN", "ab"]],
    [["CONTAINS_EXACTLY", ["a"], "MULTISTRING"], ["DOES_NOT_CONTAIN", [";"], "MULTISTRING"]],
    [["IS_GREATER_THAN", 5], ["IS_LESS_THAN", "5.001"]],
    [["IS_GREATER_THAN", 5], ["IS_LESS_THAN", "5.0000000000000000000000000000001"]],
    [["IS_BETWEEN", [1, 3]], ["IS_NOT_EQUAL_TO", 2, "NUMBER"]],
    [["IS_EQUAL_TO", "true", "BOOL"], ["IS_NOT_EQUAL_TO", "false", "BOOL"]],
    [["IS_AFTER", DAY], ["IS_BEFORE", NOON]],
    [["EQUAL", [2026, "NOV", 23], "DATE"], ["IS_AFTER", NOON]],
    [["IS_UNKNOWN"], ["IS_NOT_EQUAL_TO", "Dublin", "STRING", True]],
    [["IS_EQUAL_TO", "a", "STRING", True], ["IS_EQUAL_TO", "b", "STRING", True]],
    [["IS_KNOWN"], ["IS_EQUAL_TO", "Dublin"]],
    [["IS_GREATER_THAN", 1], ["STARTS_WITH", "x"]],
    # Beyond the bounds of a check the answer is yes.
    [["IS_ANY_OF", [f"{index}-{bit}" for bit in range(10) if index & 1 << bit]] for index in range(1, 200)],
]


@pytest.mark.parametrize("shorthands", CONTRADICTORY, ids=repr)
def test_contradictory_operations_cannot_hold(shorthands: list[list[Any]]) -> None:
    assert not can_hold(operations(*shorthands))
    assert not can_hold(operations(*reversed(shorthands)))


@pytest.mark.parametrize("shorthands", COMPATIBLE, ids=lambda shorthands: repr(shorthands)[:100])
def test_compatible_operations_can_hold(shorthands: list[list[Any]]) -> None:
    assert can_hold(operations(*shorthands))
    assert can_hold(operations(*reversed(shorthands)))


def test_several_notations_of_a_url_are_equal() -> None:
    with_slash = [["IS_EQUAL_TO", "/pricing"], ["ENDS_WITH", "/"]]
    assert can_hold(operations(*with_slash, url_part=UrlPart.PATH))
    assert not can_hold(operations(*with_slash))
    conditions = [["IS_EQUAL_TO", "/pricing/"], ["IS_NOT_EQUAL_TO", "https://acme.com/pricing"]]
    assert not can_hold(operations(*conditions, url_part=UrlPart.PATH))


def test_a_property_with_one_value_cannot_have_two_options() -> None:
    two_forms = operations(["IS_ANY_OF", ["f-1"]], ["IS_ANY_OF", ["f-2", "f-3"]])
    assert can_hold(two_forms)
    assert not can_hold(two_forms, is_single=True)
    assert can_hold(operations(["IS_ANY_OF", ["f-1", "f-2"]], ["IS_ANY_OF", ["f-2", "f-3"]]), is_single=True)
    assert can_hold(operations(["IS_NONE_OF", ["f-1"]], ["IS_NONE_OF", ["f-2"]]), is_single=True)
    assert can_hold(operations(["IS_ANY_OF", ["a"]], ["CONTAINS", "b"]), is_single=True)


@pytest.mark.parametrize("kind", ["ENUMERATION", "MULTISTRING"])
@pytest.mark.parametrize("is_single", [True, False])
def test_large_operands_are_checked_in_bounded_time(kind: str, is_single: bool) -> None:
    """A flow has up to 300 KB."""
    positive, negative = ("IS_ANY_OF", "IS_NONE_OF") if kind == "ENUMERATION" else ("IS_EQUAL_TO", "IS_NOT_EQUAL_TO")
    options = [str(number) for number in range(20_000)]
    conditions = operations([positive, options, kind], *50 * [[negative, options[:400], kind]])
    started = time.process_time()
    assert can_hold(conditions, is_single=is_single)
    assert time.process_time() - started < 2


TEXTS = st.text(alphabet="ab; A", min_size=1, max_size=3)
NUMBERS = st.integers(-2, 2)
TIMES = st.sampled_from(["2026-11-23T00:00:00Z", "2026-11-23T12:00:00Z", "2026-11-24T00:00:00Z"])
VALUES = st.one_of(st.none(), TEXTS, st.lists(TEXTS, max_size=2), NUMBERS, st.floats(-3, 3), st.booleans(), TIMES)


@st.composite
def any_operation(draw: st.DrawFn) -> Operation:
    kind = OPERATION_TYPES[draw(st.sampled_from(sorted(OPERATION_TYPES)))]
    operands: dict[str, Any] = {}
    if kind.name == "DATE":
        operands = {"year": 2026, "month": "NOV", "day": draw(st.integers(22, 24))}
    elif kind.name == "DATETIME":
        operands = {"timestamp": draw(TIMES)}
    elif kind.name in ("NUMBER_RANGED", "RANGED_DATE"):
        low, high = sorted(draw(st.tuples(*[NUMBERS if kind.name == "NUMBER_RANGED" else TIMES] * 2)))
        operands = {"lowerBound": low, "upperBound": high}
    elif kind.name == "BOOL":
        operands = {"value": draw(st.booleans())}
    elif kind.name == "NUMBER":
        operands = {"value": draw(NUMBERS)}
    elif kind.name == "STRING":
        operands = {"value": draw(TEXTS)}
    elif kind.name in ("MULTISTRING", "ENUMERATION"):
        texts = TEXTS.filter(str.strip) if kind.name == "ENUMERATION" else TEXTS
        operands = {"values": draw(st.lists(texts, min_size=1, max_size=3))}
    return operation(
        {
            "operationType": kind.name,
            "operator": draw(st.sampled_from(sorted(kind.tests))),
            "includeObjectsWithNoValueSet": draw(st.booleans()),
            **operands,
        }
    )


@settings(max_examples=500)
@given(st.lists(any_operation(), min_size=2, max_size=3), st.lists(VALUES, min_size=1, max_size=30))
def test_operations_that_a_value_satisfies_can_hold(drawn: list[Operation], values: list[Any]) -> None:
    if any(all(operation.holds(value) for operation in drawn) for value in values):
        assert can_hold(drawn)
