"""How single values are read."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enrollment.domain.values import (
    LATEST,
    Value,
    is_missing,
    iso,
    read_bool,
    read_given_time,
    read_time,
    with_defaults,
)

AT = 1_795_428_020_000  # 2026-11-23T10:00:20.000Z
SECOND_ONLY, EXACT = True, False


@pytest.mark.parametrize(
    ("value", "time"),
    [
        ("2026-11-23T10:00:20Z", (AT, SECOND_ONLY)),
        ("2026-11-23T11:00:20+01:00", (AT, SECOND_ONLY)),
        ("2026-11-23T10:00:20.000Z", (AT, EXACT)),
        ("2026-11-23T10:00:20.068Z", (AT + 68, EXACT)),
        ("2026-11-23T10:00:20,068Z", (AT + 68, EXACT)),
        ("20261123T100020Z", (AT, SECOND_ONLY)),
        ("2026-11-23T10:00Z", (AT - 20_000, SECOND_ONLY)),
        (1_795_428_020, (AT, SECOND_ONLY)),
        (1_795_428_020.0, (AT, SECOND_ONLY)),
        ("1795428020", (AT, SECOND_ONLY)),
        (AT, (AT, EXACT)),
        (float(AT), (AT, EXACT)),
        (AT + 0.7, (AT, EXACT)),
        (str(AT), (AT, EXACT)),
        (100_000_000, (100_000_000_000, SECOND_ONLY)),
        (9_999_999_999, (9_999_999_999_000, SECOND_ONLY)),
        (100_000_000_000, (100_000_000_000, EXACT)),
        (9_999_999_999_999, (9_999_999_999_999, EXACT)),
    ],
)
def test_a_time_is_read(value: Any, time: tuple[int, bool]) -> None:
    assert read_time(value) == time


@pytest.mark.parametrize(
    "value",
    [
        "2026-11-23T10:00:20",
        "2026-11-23",
        "20261123",
        20_261_123,
        99_999_999,
        10_000_000_000,
        99_999_999_999,
        10_000_000_000_000,
        "17954280200",
        "0001795428",
        "9" * 5000,
        10**400,
        -1_795_428_020,
        "-1795428020",
        -AT,
        0,
        "0",
        1_795_428_020.068,
        -0.5,
        float("nan"),
        float("inf"),
        float("-inf"),
        True,
        None,
        "",
        " ",
        "now",
        "\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668\u0669\u0660",
        ["2026-11-23T10:00:20Z"],
        {},
    ],
)
def test_value_that_is_not_a_time_is_rejected(value: Any) -> None:
    assert read_time(value) is None


@given(st.integers(0, LATEST))
def test_written_time_is_read_back(instant: int) -> None:
    assert read_time(iso(instant)) == (instant, EXACT)


@given(st.none() | st.booleans() | st.integers() | st.floats() | st.text())
def test_any_value_is_read_or_rejected(value: Any) -> None:
    time = read_time(value)
    assert time is None or isinstance(time[0], int)


@pytest.mark.parametrize("value", [True, "true", "TRUE", " True ", "yes", "Yes", 1, 1.0, "1", "on", "ON", ["true"]])
def test_a_value_is_read_as_true(value: Value) -> None:
    assert read_bool(value) is True


@pytest.mark.parametrize("value", [False, "false", "FALSE", "no", "No", 0, 0.0, "0", "off", "OFF"])
def test_a_value_is_read_as_false(value: Value) -> None:
    assert read_bool(value) is False


@pytest.mark.parametrize("value", [None, "", [], "y", "n", "t", "2", 2, -1, 0.5, "truth", "true;true", ["yes", "no"]])
def test_a_value_that_is_no_boolean_is_not_read(value: Value) -> None:
    assert read_bool(value) is None


@pytest.mark.parametrize("value", [None, "", [], [""], ["", ""]])
def test_missing_null_and_empty_are_equal(value: Value) -> None:
    assert is_missing(value)
    assert with_defaults({"a": value, "b": "1"}, {"a": "2", "b": "2"}) == {"a": "2", "b": "1"}


@pytest.mark.parametrize("value", [0, 0.0, False, " ", ";", ["", "a"]])
def test_a_value_is_not_missing(value: Value) -> None:
    assert not is_missing(value)
    assert with_defaults({"a": value}, {"a": "2"}) == {"a": value}


DAY = 1_795_392_000_000  # 2026-11-23T00:00:00.000Z


@pytest.mark.parametrize(
    ("value", "instant"),
    [
        ("2026-11-23T10:00:20Z", AT),
        ("2026-11-23T10:00:20", AT),
        ("2026-11-23T11:00:20.000+01:00", AT),
        ("2026-11-23", DAY),
        (20_261_123, DAY),
        ("20261123", DAY),
        (1_795_428_020, AT),
        (" 1795428020 ", AT),
        (1_795_428_020.0, AT),
        (AT, AT),
        (str(AT), AT),
        (-86_400_000, -86_400_000),
        ("-2208988800000", -2_208_988_800_000),
        (0, 0),
        (86_400_000, 86_400_000),
        (5_000, 5_000),
        (17_954_280_200, 17_954_280_200),
    ],
)
def test_request_time_is_read(value: Value, instant: int) -> None:
    assert read_given_time(value) == instant


@pytest.mark.parametrize(
    "value", [10**13, str(10**14), -(10**13), 10**400, 1.5, True, None, "", "soon", [], ["2026-11-23"]]
)
def test_value_that_is_not_a_request_time_is_rejected(value: Value) -> None:
    assert read_given_time(value) is None
