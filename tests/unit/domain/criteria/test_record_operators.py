"""Truth tables of the operators that need a record, and every operation compared with a second, naive evaluator."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enrollment.domain.criteria.record_operators import RECORD_OPERATION_TYPES, record_operation
from enrollment.domain.flows.flow import FlowRevision
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.operators.property_operators import InvalidOperand
from enrollment.domain.records.record import Record, RecordUpdate, apply_change
from enrollment.domain.records.record_snapshot import RecordSnapshot
from enrollment.domain.values import Instant
from enrollment.serialization.flows import read_flow
from tests.support.naive import Naive
from tests.support.scenario import flow

KEY = RecordKey("p", "0-1", "1")
DUBLIN, NEW_YORK, APIA = (ZoneInfo(name) for name in ("Europe/Dublin", "America/New_York", "Pacific/Apia"))


def ms(text: str, zone: ZoneInfo = DUBLIN) -> Instant:
    return int(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp() * 1000)


def snapshot(at: str, zone: ZoneInfo = DUBLIN, **story: Any) -> RecordSnapshot:
    """`story`: of each property, its (time of change, value)s."""
    record = Record(KEY, 0)
    for name, changes in story.items():
        for when, value in changes if isinstance(changes, list) else [("1970-01-02", changes)]:
            record = apply_change(record, KEY, RecordUpdate(ms(when, zone), {name: value})) or record
    return RecordSnapshot(record, ms(at, zone), zone)


def holds(snapshot: RecordSnapshot, kind: str, operator: str, **operands: Any) -> bool:
    return record_operation({"operationType": kind, "operator": operator, **operands}).holds(snapshot, "x")


NOON = "2026-11-24T12:00:00"
STORY: list[tuple[str, Any]] = [
    ("2026-01-01", "a;B"),
    ("2026-02-01", "c"),
    ("2026-03-01", None),
    ("2026-12-01", "later"),
]

# kind, operator, operands, result for STORY at noon of 24 November, and result with a current value
HISTORY = [
    ("STRING", "HAS_EVER_BEEN_EQUAL_TO", {"value": "C"}, True),
    ("STRING", "HAS_EVER_BEEN_EQUAL_TO", {"value": "later"}, False),
    ("STRING", "HAS_NEVER_BEEN_EQUAL_TO", {"value": "c"}, False),
    ("STRING", "HAS_NEVER_BEEN_EQUAL_TO", {"value": "later"}, True),
    ("STRING", "HAS_EVER_CONTAINED", {"value": ";b"}, True),
    ("STRING", "HAS_NEVER_CONTAINED", {"value": "z"}, True),
    ("MULTISTRING", "HAS_EVER_BEEN_EQUAL_TO", {"values": ["x", "C"]}, True),
    ("MULTISTRING", "HAS_NEVER_BEEN_EQUAL_TO", {"values": ["x", "C"]}, False),
    ("ENUMERATION", "HAS_EVER_BEEN_ANY_OF", {"values": ["b"]}, True),
    ("ENUMERATION", "HAS_NEVER_BEEN_ANY_OF", {"values": ["b"]}, False),
    ("ENUMERATION", "HAS_EVER_BEEN_EXACTLY", {"values": ["b", "a"]}, True),
    ("ENUMERATION", "HAS_NEVER_BEEN_EXACTLY", {"values": ["b"]}, True),
    ("ENUMERATION", "HAS_EVER_CONTAINED_ALL", {"values": ["a", "b"]}, True),
    ("ENUMERATION", "HAS_NEVER_CONTAINED_ALL", {"values": ["a", "c"]}, True),
]


@pytest.mark.parametrize(("kind", "operator", "operands", "expected"), HISTORY)
def test_property_history_operators(kind: str, operator: str, operands: dict[str, Any], expected: bool) -> None:
    assert holds(snapshot(NOON, x=STORY), kind, operator, **operands) is expected
    # Of a property that never had a value nothing is known, of never as of ever.
    for nothing in (snapshot(NOON), snapshot(NOON, x=[("2026-01-01", None)])):
        assert holds(nothing, kind, operator, **operands) is False
        assert holds(nothing, kind, operator, **operands, includeObjectsWithNoValueSet=True) is True


# value, operator, days, result: at 00:30 on 24 November in Dublin
ROLLING = [
    ("2026-11-24T00:10:00+00:00", "IS_LESS_THAN_X_DAYS_AGO", 1, True),
    ("2026-11-23T23:59:00+00:00", "IS_LESS_THAN_X_DAYS_AGO", 1, False),
    ("2026-11-23T00:00:01+00:00", "IS_LESS_THAN_X_DAYS_AGO", 2, True),
    ("2026-11-24", "IS_LESS_THAN_X_DAYS_AGO", 0, False),
    ("2026-11-24T23:59:00+00:00", "IS_LESS_THAN_X_DAYS_AGO", 1, True),
    ("2026-11-25", "IS_LESS_THAN_X_DAYS_AGO", 1, False),
    ("2026-11-23", "IS_MORE_THAN_X_DAYS_AGO", 1, False),
    ("2026-11-22", "IS_MORE_THAN_X_DAYS_AGO", 1, True),
    ("2026-11-24", "IS_LESS_THAN_X_DAYS_FROM_NOW", 1, True),
    ("2026-11-25", "IS_LESS_THAN_X_DAYS_FROM_NOW", 1, False),
    ("2026-11-25", "IS_LESS_THAN_X_DAYS_FROM_NOW", 2, True),
    ("2026-11-23", "IS_LESS_THAN_X_DAYS_FROM_NOW", 2, False),
    ("2026-11-25", "IS_MORE_THAN_X_DAYS_FROM_NOW", 1, False),
    ("2026-11-26", "IS_MORE_THAN_X_DAYS_FROM_NOW", 1, True),
    ("soon", "IS_MORE_THAN_X_DAYS_FROM_NOW", 1, False),
    (True, "IS_LESS_THAN_X_DAYS_AGO", 9, False),
    (ms("2026-11-23T12:00:00"), "IS_MORE_THAN_X_DAYS_AGO", 0, True),
]


@pytest.mark.parametrize(("value", "operator", "days", "expected"), ROLLING)
def test_rolling_date_operators(value: Any, operator: str, days: int, expected: bool) -> None:
    assert (
        holds(snapshot("2026-11-24T00:30:00", x=value), "ROLLING_DATE_RANGE", operator, numberOfDays=days) is expected
    )


def test_days_use_the_time_zone_of_the_portal() -> None:
    """The same moments, on two sides of the date line."""
    value, at = ms("2026-11-24T03:00:00"), ms("2026-11-24T09:00:00")
    record = apply_change(Record(KEY, 0), KEY, RecordUpdate(1, {"x": value}))
    assert record is not None
    found = {
        zone.key: holds(
            RecordSnapshot(record, at, zone), "ROLLING_DATE_RANGE", "IS_LESS_THAN_X_DAYS_AGO", numberOfDays=1
        )
        for zone in (DUBLIN, NEW_YORK, APIA)
    }
    assert found == {"Europe/Dublin": True, "America/New_York": False, "Pacific/Apia": True}


@pytest.mark.parametrize(
    ("at", "updated", "days", "is_recent"),
    [
        ("2026-11-24T00:30:00", "2026-11-24T00:10:00", 1, True),
        ("2026-11-24T00:30:00", "2026-11-23T23:50:00", 1, False),
        ("2026-11-24T00:30:00", "2026-11-23T23:50:00", 2, True),
        # 25 hours long, the day on which the clocks go back.
        ("2026-10-25T23:30:00", "2026-10-25T00:10:00", 1, True),
        ("2026-03-29T23:30:00", "2026-03-28T23:50:00", 1, False),
    ],
)
def test_updated_operators(at: str, updated: str, days: int, is_recent: bool) -> None:
    record = snapshot(at, x=[("2020-01-01", "a"), (updated, "b")])
    assert holds(record, "ROLLING_PROPERTY_UPDATED", "UPDATED_IN_LAST_X_DAYS", numberOfDays=days) is is_recent
    assert holds(record, "ROLLING_PROPERTY_UPDATED", "NOT_UPDATED_IN_LAST_X_DAYS", numberOfDays=days) is not is_recent


@pytest.mark.parametrize(
    ("kind", "operator", "mine", "other", "default", "expected"),
    [
        ("COMPARATIVE_DATE", "IS_BEFORE", "2026-01-01", "2026-01-02", None, True),
        ("COMPARATIVE_DATE", "IS_AFTER", "2026-01-01", "2026-01-02", None, False),
        ("COMPARATIVE_DATE", "IS_AFTER", "2026-01-02", "2026-01-02", None, False),
        ("COMPARATIVE_DATE", "IS_BEFORE", "2026-01-01", None, "2026-02-01", True),
        ("COMPARATIVE_DATE", "IS_BEFORE", "2026-01-01", None, None, False),
        ("COMPARATIVE_DATE", "IS_BEFORE", "x", "2026-01-02", None, False),
        ("COMPARATIVE_STRING", "IS_EQUAL_TO", "Café", "CAFE\u0301", None, True),
        ("COMPARATIVE_STRING", "IS_NOT_EQUAL_TO", "a", "b", None, True),
        ("COMPARATIVE_STRING", "CONTAINS", "abc", "B", None, True),
        ("COMPARATIVE_STRING", "DOES_NOT_CONTAIN", "abc", "x", None, True),
        ("COMPARATIVE_STRING", "STARTS_WITH", "abc", None, "A", True),
        ("COMPARATIVE_STRING", "ENDS_WITH", "abc", None, None, False),
    ],
)
def test_property_comparison_operators(
    kind: str, operator: str, mine: Any, other: Any, default: Any, expected: bool
) -> None:
    record = snapshot(NOON, x=mine, y=other)
    given_operands = {"comparisonPropertyName": "y", "defaultComparisonValue": default}
    assert holds(record, kind, operator, **given_operands) is expected


def test_which_property_was_updated_first() -> None:
    record = snapshot(NOON, x=[("2026-01-01", "a")], y=[("2026-01-02", "b"), ("2027-01-01", "later")])
    for operator, expected in (("IS_BEFORE", True), ("IS_AFTER", False)):
        assert holds(record, "COMPARATIVE_PROPERTY_UPDATED", operator, comparisonPropertyName="y") is expected
    assert holds(record, "COMPARATIVE_PROPERTY_UPDATED", "IS_BEFORE", comparisonPropertyName="z") is False


# value, operator, unit, count, result: at noon on Tuesday, 24 November 2026
CALENDAR = [
    ("2026-11-24", "IN_THIS_TIME_UNIT", "DAY", 1, True),
    ("2026-11-25", "IN_THIS_TIME_UNIT", "DAY", 1, False),
    ("2026-11-23", "IN_THIS_TIME_UNIT", "WEEK", 1, True),
    ("2026-11-22", "IN_THIS_TIME_UNIT", "WEEK", 1, False),
    ("2026-11-29", "IN_THIS_TIME_UNIT", "WEEK", 1, True),
    ("2026-11-29", "IN_THIS_TIME_UNIT_SO_FAR", "WEEK", 1, False),
    ("2026-11-24T13:00:00+00:00", "IN_THIS_TIME_UNIT_SO_FAR", "DAY", 1, False),
    ("2026-11-24T11:00:00+00:00", "IN_THIS_TIME_UNIT_SO_FAR", "DAY", 1, True),
    ("2026-11-30", "IN_THIS_TIME_UNIT", "MONTH", 1, True),
    ("2026-10-01", "IN_THIS_TIME_UNIT", "QUARTER", 1, True),
    ("2026-09-30", "IN_THIS_TIME_UNIT", "QUARTER", 1, False),
    ("2026-01-01", "IN_THIS_TIME_UNIT", "YEAR", 1, True),
    ("2026-10-31", "IN_LAST_TIME_UNIT", "MONTH", 1, True),
    ("2026-11-01", "IN_LAST_TIME_UNIT", "MONTH", 1, False),
    ("2026-08-31", "IN_LAST_TIME_UNIT", "MONTH", 2, False),
    ("2026-09-01", "IN_LAST_TIME_UNIT", "MONTH", 2, True),
    ("2026-11-01", "IN_LAST_TIME_UNIT_SO_FAR", "MONTH", 1, True),
    ("2026-11-30", "IN_LAST_TIME_UNIT_SO_FAR", "MONTH", 1, False),
    ("2026-12-31", "IN_NEXT_TIME_UNIT", "MONTH", 1, True),
    ("2026-11-30", "IN_NEXT_TIME_UNIT", "MONTH", 1, False),
    ("2027-01-01", "IN_NEXT_TIME_UNIT", "MONTH", 1, False),
    ("2027-01-01", "IN_NEXT_TIME_UNIT", "QUARTER", 1, True),
    ("2028-12-31", "IN_NEXT_TIME_UNIT", "YEAR", 2, True),
]


@pytest.mark.parametrize(("value", "operator", "unit", "count", "expected"), CALENDAR)
def test_calendar_date_operators(value: Any, operator: str, unit: str, count: int, expected: bool) -> None:
    record = snapshot(NOON, x=value)
    assert holds(record, "CALENDAR_DATE", operator, timeUnit=unit, timeUnitCount=count) is expected


def point(kind: str, **keys: Any) -> dict[str, Any]:
    return {"timeType": kind, **keys}


def now(**keys: Any) -> dict[str, Any]:
    reference = keys.pop("reference", {"referenceType": "NOW"})
    return point("INDEXED", indexReference=reference, **keys)


# value, operator, point, endpoint, result: at noon on Tuesday, 24 November 2026 in Dublin
POINTS = [
    ("2026-11-24T11:59:59+00:00", "IS_BEFORE", now(), "EXCLUSIVE", True),
    ("2026-11-24T12:00:00+00:00", "IS_BEFORE", now(), "EXCLUSIVE", False),
    ("2026-11-24T12:00:00+00:00", "IS_BEFORE", now(), "INCLUSIVE", True),
    ("2026-11-24T12:00:00+00:00", "IS_AFTER", now(offset={"hours": -1}), "EXCLUSIVE", True),
    ("2026-11-24", "IS_AFTER", now(reference={"referenceType": "TODAY"}), "INCLUSIVE", True),
    ("2026-11-24", "IS_AFTER", now(reference={"referenceType": "TODAY"}), "EXCLUSIVE", False),
    ("2026-11-24T09:30:00+00:00", "IS_AFTER", now(reference={"referenceType": "TODAY", "hour": 9}), "EXCLUSIVE", True),
    ("2026-11-25", "IS_AFTER", now(reference={"referenceType": "WEEK", "dayOfWeek": "WEDNESDAY"}), "INCLUSIVE", True),
    ("2026-11-24", "IS_AFTER", now(reference={"referenceType": "WEEK", "dayOfWeek": "WEDNESDAY"}), "INCLUSIVE", False),
    ("2026-11-15", "IS_BEFORE", now(reference={"referenceType": "MONTH", "day": 15}), "INCLUSIVE", True),
    ("2026-11-01", "IS_BEFORE", now(reference={"referenceType": "QUARTER", "month": 2}), "INCLUSIVE", True),
    ("2026-02-28", "IS_BEFORE", now(reference={"referenceType": "YEAR", "month": 3}), "EXCLUSIVE", True),
    ("2026-05-24", "IS_AFTER", now(offset={"months": -6}), "INCLUSIVE", False),
    ("2026-05-25", "IS_AFTER", now(offset={"months": -6}), "INCLUSIVE", True),
    ("2026-11-20", "IS_BEFORE", point("DATE", year=2026, month=11, day=20, hour=1), "EXCLUSIVE", True),
    (
        "2026-11-20T03:00:00+00:00",
        "IS_BEFORE",
        point("DATE", year=2026, month="NOV", day=20, timezoneSource="CUSTOM", zoneId="America/New_York"),
        "EXCLUSIVE",
        True,
    ),
    ("2026-01-01", "IS_BEFORE", point("PROPERTY_REFERENCED", property="y"), "EXCLUSIVE", True),
    ("2026-01-09", "IS_BEFORE", point("PROPERTY_REFERENCED", property="y", offset={"weeks": 1}), "EXCLUSIVE", False),
    ("2026-01-08", "IS_BEFORE", point("PROPERTY_REFERENCED", property="y", offset={"weeks": 1}), "EXCLUSIVE", True),
    ("2026-01-01", "IS_BEFORE", point("PROPERTY_REFERENCED", property="z"), "EXCLUSIVE", False),
    (
        "1971-01-01",
        "IS_AFTER",
        point("PROPERTY_REFERENCED", property="y", referenceType="UPDATED_AT"),
        "EXCLUSIVE",
        True,
    ),
]


@pytest.mark.parametrize(("value", "operator", "given_point", "endpoint", "expected"), POINTS)
def test_relative_time_operators(value: Any, operator: str, given_point: Any, endpoint: str, expected: bool) -> None:
    record = snapshot(NOON, x=value, y="2026-01-02")
    assert holds(record, "TIME_POINT", operator, timePoint=given_point, endpointBehavior=endpoint) is expected


@pytest.mark.parametrize(
    ("value", "at", "expected"),
    [
        ("1990-11-27", "2026-11-24T12:00:00", True),
        ("1990-12-02", "2026-11-24T12:00:00", False),
        ("1990-01-03", "2026-12-30T12:00:00", True),
        ("2000-02-29", "2026-02-25T12:00:00", True),
        ("2000-02-29", "2028-02-23T12:00:00", True),
        ("2030-11-27", "2026-11-24T12:00:00", None),
        ("never", "2026-11-24T12:00:00", None),
    ],
)
def test_anniversary_operators(value: str, at: str, expected: bool | None) -> None:
    """None: there is no value to compare, and both operators are false."""
    bounds = {
        "lowerBoundTimePoint": now(reference={"referenceType": "TODAY"}),
        "upperBoundTimePoint": now(reference={"referenceType": "TODAY"}, offset={"days": 7}),
        "lowerBoundEndpointBehavior": "INCLUSIVE",
        "propertyParser": "ANNIVERSARY",
    }
    for operator, is_between in (("IS_BETWEEN", True), ("IS_NOT_BETWEEN", False)):
        assert holds(snapshot(at, x=value), "TIME_RANGED", operator, **bounds) is (expected is is_between)


def test_time_of_an_update_is_a_time_value() -> None:
    record = snapshot(NOON, x=[("2026-11-20T10:00:00", "a")])
    week = {
        "lowerBoundTimePoint": now(offset={"days": -7}),
        "upperBoundTimePoint": now(),
        "propertyParser": "UPDATED_AT",
    }
    assert holds(record, "TIME_RANGED", "IS_BETWEEN", **week) is True
    assert holds(record, "TIME_RANGED", "IS_NOT_BETWEEN", **week) is False


def test_times_skipped_or_repeated_by_daylight_saving() -> None:
    """In Dublin, 1:00 to 2:00 is skipped on 29 March 2026 and repeated on 25 October."""
    at_one = {"referenceType": "TODAY", "hour": 1, "minute": 30}
    for day, instant in (("2026-03-29", "2026-03-29T01:30:00+00:00"), ("2026-10-25", "2026-10-25T00:30:00+00:00")):
        record = snapshot(f"{day}T12:00:00", x=instant)
        operands = {"timePoint": now(reference=at_one), "endpointBehavior": "INCLUSIVE"}
        assert holds(record, "TIME_POINT", "IS_BEFORE", **operands)
        assert holds(record, "TIME_POINT", "IS_AFTER", **operands)


@pytest.mark.parametrize(
    ("given_operation", "key"),
    [
        ({"operationType": "ROLLING_DATE_RANGE", "operator": "IS_LESS_THAN_X_DAYS_AGO"}, "numberOfDays"),
        (
            {"operationType": "ROLLING_DATE_RANGE", "operator": "IS_LESS_THAN_X_DAYS_AGO", "numberOfDays": -1},
            "numberOfDays",
        ),
        ({"operationType": "COMPARATIVE_DATE", "operator": "IS_BEFORE"}, "comparisonPropertyName"),
        ({"operationType": "CALENDAR_DATE", "operator": "IN_THIS_TIME_UNIT", "timeUnit": "HOUR"}, "timeUnit"),
        (
            {
                "operationType": "CALENDAR_DATE",
                "operator": "IN_THIS_TIME_UNIT",
                "timeUnit": "YEAR",
                "useFiscalYear": True,
            },
            "useFiscalYear",
        ),
        ({"operationType": "TIME_POINT", "operator": "IS_BEFORE"}, "timePoint"),
        ({"operationType": "TIME_POINT", "operator": "IS_BEFORE", "timePoint": {}}, "timePoint.timeType"),
        (
            {
                "operationType": "TIME_POINT",
                "operator": "IS_BEFORE",
                "timePoint": now(reference={"referenceType": "EVER"}),
            },
            "timePoint.indexReference.referenceType",
        ),
        (
            {"operationType": "TIME_POINT", "operator": "IS_BEFORE", "timePoint": now(offset={"days": "x"})},
            "timePoint.offset.days",
        ),
        (
            {
                "operationType": "TIME_POINT",
                "operator": "IS_BEFORE",
                "timePoint": now(timezoneSource="CUSTOM", zoneId="Europe/Atlantis"),
            },
            "timePoint.zoneId",
        ),
        (
            {
                "operationType": "TIME_POINT",
                "operator": "IS_BEFORE",
                "timePoint": point("DATE", year=2026, month=2, day=30),
            },
            "timePoint.day",
        ),
        (
            {"operationType": "TIME_POINT", "operator": "IS_BEFORE", "timePoint": now(), "propertyParser": "AGE"},
            "propertyParser",
        ),
    ],
)
def test_invalid_operands_are_rejected(given_operation: dict[str, Any], key: str) -> None:
    with pytest.raises(InvalidOperand) as invalid:
        record_operation(given_operation)
    assert invalid.value.key == key


# Regressions of a hostile review -------------------------------------------------------------------------------------


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York", "Pacific/Apia", "UTC"])
@pytest.mark.parametrize(
    "given_point",
    [
        now(reference={"referenceType": "TODAY"}, offset={"days": -800_000}),
        now(offset={"years": -3000}),
        now(offset={"years": 3000}),
        now(offset={"hours": -100_000_000}),
        now(reference={"referenceType": "YEAR", "month": 12, "day": 366}, offset={"years": 7973}),
        point("PROPERTY_REFERENCED", property="x", offset={"months": 100_000}),
    ],
)
@pytest.mark.parametrize("at", [0, 1_764_000_000_000, 253_402_300_799_999])
def test_large_offset_stays_within_the_calendar(zone: str, given_point: Any, at: int) -> None:
    for value in ("0001-01-01", "9999-12-31T23:59:59Z", 5, 10**15 - 1):
        record = apply_change(Record(KEY, 0), KEY, RecordUpdate(0, {"x": value}))
        assert record is not None
        snapshot = RecordSnapshot(record, at, ZoneInfo(zone))
        anniversary = {
            "lowerBoundTimePoint": given_point,
            "upperBoundTimePoint": now(),
            "propertyParser": "ANNIVERSARY",
        }
        found = {
            holds(snapshot, "TIME_POINT", "IS_BEFORE", timePoint=given_point),
            holds(snapshot, "TIME_RANGED", "IS_BETWEEN", **anniversary),
            holds(snapshot, "CALENDAR_DATE", "IN_NEXT_TIME_UNIT", timeUnit="YEAR", timeUnitCount=10_000),
            holds(snapshot, "ROLLING_DATE_RANGE", "IS_MORE_THAN_X_DAYS_AGO", numberOfDays=100_000),
        }
        assert found <= {True, False}


def test_offset_beyond_the_calendar_is_before_every_time() -> None:
    record = snapshot(NOON, x="2026-11-23")
    assert not holds(record, "TIME_POINT", "IS_BEFORE", timePoint=now(offset={"hours": -100_000_000}))
    assert holds(record, "TIME_POINT", "IS_AFTER", timePoint=now(offset={"hours": -100_000_000}))


def test_date_without_a_time_is_the_same_day_in_every_zone() -> None:
    today = now(reference={"referenceType": "TODAY"})
    for zone in (NEW_YORK, DUBLIN, ZoneInfo("Pacific/Auckland")):
        record = snapshot("2026-11-24T08:00:00", zone, x="2026-11-24", y="2026-03-01")
        assert not holds(record, "TIME_POINT", "IS_BEFORE", timePoint=today)
        assert holds(record, "TIME_POINT", "IS_AFTER", timePoint=today, endpointBehavior="INCLUSIVE")
        assert holds(record, "CALENDAR_DATE", "IN_THIS_TIME_UNIT_SO_FAR", timeUnit="DAY")
        month_later = point("PROPERTY_REFERENCED", property="y", offset={"months": 1})
        other = snapshot("2026-11-24T08:00:00", zone, x="2026-03-31", y="2026-03-01")
        assert holds(other, "TIME_POINT", "IS_BEFORE", timePoint=month_later)


def test_same_value_does_not_change_updated_at() -> None:
    record = snapshot(NOON, x=[("2026-01-01", "a"), ("2026-11-24T11:00:00", "a")])
    assert holds(record, "ROLLING_PROPERTY_UPDATED", "NOT_UPDATED_IN_LAST_X_DAYS", numberOfDays=30)


def test_defaults_that_are_equal_in_python_are_evaluated_separately() -> None:
    record = snapshot(NOON, x="true")
    found = [
        record.memoized(operation, lambda operation=operation: operation.holds(record, "x"))
        for default in (1, True)
        for operation in [
            record_operation(
                {
                    "operationType": "COMPARATIVE_STRING",
                    "operator": "IS_EQUAL_TO",
                    "comparisonPropertyName": "y",
                    "defaultComparisonValue": default,
                }
            )
        ]
    ]
    assert found == [False, True]


@pytest.mark.parametrize(
    "other", [[], [("2026-01-01", None)], [("2026-01-01", "v"), ("2026-03-01", None)], [("2026-01-01", "")]]
)
@pytest.mark.parametrize(
    ("operator", "default", "expected"),
    [
        ("IS_AFTER", None, False),
        ("IS_BEFORE", None, False),
        ("IS_AFTER", "", False),
        ("IS_AFTER", "2026-01-15", True),
        ("IS_BEFORE", 20260301, True),
        ("IS_BEFORE", "1772323200", True),
    ],
)
def test_property_without_a_value_uses_the_update_time_of_its_default(
    other: Any, operator: str, default: Any, expected: bool
) -> None:
    record = snapshot(NOON, x=[("2026-02-01", "a")], y=other)
    operands = {"comparisonPropertyName": "y", "defaultComparisonValue": default}
    assert holds(record, "COMPARATIVE_PROPERTY_UPDATED", operator, **operands) is expected


@pytest.mark.parametrize("kind", ["COMPARATIVE_DATE", "COMPARATIVE_PROPERTY_UPDATED"])
@pytest.mark.parametrize("default", ["soon", "17954280200123", True])
def test_default_that_is_not_a_time_is_rejected(kind: str, default: Any) -> None:
    operands = {"comparisonPropertyName": "y", "defaultComparisonValue": default}
    with pytest.raises(InvalidOperand, match="defaultComparisonValue"):
        record_operation({"operationType": kind, "operator": "IS_BEFORE", **operands})


@pytest.mark.parametrize(
    ("mine", "theirs", "expected"), [("Cork ", "cork", True), (" Cork", "Cork", True), ("Cork", "Cor", False)]
)
def test_compared_texts_ignore_blanks_at_the_ends(mine: str, theirs: str, expected: bool) -> None:
    record = snapshot(NOON, x=mine, y=theirs)
    assert holds(record, "COMPARATIVE_STRING", "IS_EQUAL_TO", comparisonPropertyName="y") is expected


def test_compared_texts_keep_their_leading_characters() -> None:
    record = snapshot(NOON, x="Vanessa", y="Van ")
    assert not holds(record, "COMPARATIVE_STRING", "STARTS_WITH", comparisonPropertyName="y")


def test_update_time_does_not_need_a_time_value() -> None:
    operation = record_operation(
        {"operationType": "TIME_POINT", "operator": "IS_BEFORE", "timePoint": now(), "propertyParser": "UPDATED_AT"}
    )
    assert operation.rejection_reason(snapshot(NOON, x="Dublin"), "x") is None


def test_named_time_zone_is_used() -> None:
    with pytest.raises(InvalidOperand) as invalid:
        record_operation(
            {
                "operationType": "TIME_POINT",
                "operator": "IS_BEFORE",
                "timePoint": point("DATE", year=2026, month=1, day=1, zoneId="Not/AZone"),
            }
        )
    assert invalid.value.key == "timePoint.zoneId"


# Against a second evaluator ------------------------------------------------------------------------------------------

HOUR = 3_600_000
TEXTS = [
    "a",
    "A;b",
    "b;c",
    "Dublin",
    "straße",
    "STRASSE",
    "3",
    "3.0",
    "-1e2",
    "true",
    "FALSE",
    "é",
    "e\u0301",
    ";",
    " a ",
    "a ",
    "in ",
    "inside",
    " ",
]
TIMES = st.integers(0, 400).map(lambda hours: ms("2026-10-20T00:00:00") + hours * HOUR)
VALUES = st.one_of(
    st.none(),
    st.just(""),
    st.sampled_from(TEXTS),
    st.integers(-5, 5),
    st.sampled_from([2.5, 3.0, True, False]),
    st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3),
    TIMES,
    st.dates(min_value=datetime(2026, 9, 1).date(), max_value=datetime(2027, 2, 1).date()).map(str),
)
NAMES = st.sampled_from(["x", "y", "z"])
# As flows may write them.
SPELLED_NAMES = st.sampled_from(["x", "X", " y", "y", "Z "])


def operands(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    texts, numbers = st.sampled_from(TEXTS), st.integers(-5, 5)
    other = st.fixed_dictionaries({"comparisonPropertyName": SPELLED_NAMES, "defaultComparisonValue": st.none()})
    return {
        "ALL_PROPERTY": st.just({}),
        "STRING": st.fixed_dictionaries({"value": texts}),
        "MULTISTRING": st.fixed_dictionaries({"values": st.lists(texts, min_size=1, max_size=3)}),
        "ENUMERATION": st.fixed_dictionaries(
            {"values": st.lists(st.sampled_from(["a", "B", "c", "3", "true"]), min_size=1, max_size=3)}
        ),
        "NUMBER": st.fixed_dictionaries({"value": numbers}),
        "NUMBER_RANGED": st.tuples(numbers, numbers).map(lambda two: {"lowerBound": min(two), "upperBound": max(two)}),
        "BOOL": st.fixed_dictionaries({"value": st.booleans()}),
        "DATETIME": st.fixed_dictionaries({"timestamp": TIMES}),
        "RANGED_DATE": st.tuples(TIMES, TIMES).map(lambda two: {"lowerBound": min(two), "upperBound": max(two)}),
        "ROLLING_DATE_RANGE": st.fixed_dictionaries({"numberOfDays": st.integers(0, 9)}),
        "ROLLING_PROPERTY_UPDATED": st.fixed_dictionaries({"numberOfDays": st.integers(0, 9)}),
        "COMPARATIVE_DATE": other,
        "COMPARATIVE_STRING": other,
        "COMPARATIVE_PROPERTY_UPDATED": other,
        "CALENDAR_DATE": st.fixed_dictionaries(
            {
                "timeUnit": st.sampled_from(["DAY", "WEEK", "MONTH", "QUARTER", "YEAR"]),
                "timeUnitCount": st.integers(1, 3),
            }
        ),
    }[kind]


KINDS = sorted(set(RECORD_OPERATION_TYPES) - {"DATE", "TIME_POINT", "TIME_RANGED"})


@st.composite
def filters(draw: st.DrawFn) -> dict[str, Any]:
    if draw(st.integers(0, 9)) == 0:
        operator = draw(st.sampled_from(["IN_LIST", "NOT_IN_LIST"]))
        return {
            "filterType": "IN_LIST",
            "operator": operator,
            "listId": draw(st.sampled_from(["1", 1, "vip", "VIP", " Vip "])),
        }
    kind = draw(st.sampled_from(KINDS))
    operator = draw(st.sampled_from(RECORD_OPERATION_TYPES[kind].operators))
    given_operation = {"operationType": kind, "operator": operator, **draw(operands(kind))}
    if draw(st.booleans()):
        given_operation["includeObjectsWithNoValueSet"] = draw(st.booleans())
    return {"filterType": "PROPERTY", "property": draw(SPELLED_NAMES), "operation": given_operation}


BRANCHES = st.lists(
    st.lists(filters(), min_size=1, max_size=3).map(
        lambda found: {"filterBranchType": "AND", "filterBranches": [], "filters": found}
    ),
    min_size=1,
    max_size=3,
).map(lambda found: {"filterBranchType": "OR", "filters": [], "filterBranches": found})
STORIES = st.dictionaries(NAMES, st.dictionaries(TIMES, VALUES, max_size=5), max_size=3)
LISTS = st.dictionaries(st.sampled_from(["1", "vip"]), st.dictionaries(TIMES, st.booleans(), max_size=3), max_size=2)


@pytest.mark.verify
@settings(max_examples=1_500, deadline=None)
@given(
    BRANCHES,
    STORIES,
    LISTS,
    TIMES,
    st.sampled_from(["UTC", "Europe/Dublin", "America/New_York", "Pacific/Apia"]),
    st.randoms(),
)
def test_any_criteria_agree_with_the_naive_evaluator(
    branch: dict[str, Any], story: Any, lists: Any, at: Instant, zone: str, chance: Any
) -> None:
    document = flow({"id": 1, "event": "forms.submitted"})
    document["enrollmentCriteria"]["refinementCriteria"] = branch
    criteria = read_flow(FlowRevision("p", "1", 1, document, True, 0, 0, 0)).criteria
    assert criteria is not None
    changes = [RecordUpdate(when, {name: value}) for name, values in story.items() for when, value in values.items()]
    changes += [
        RecordUpdate(when, memberships={name: is_member})
        for name, memberships in lists.items()
        for when, is_member in memberships.items()
    ]
    chance.shuffle(changes)
    record = Record(KEY, 0)
    for change in changes:
        record = apply_change(record, KEY, change) or record

    naive = Naive(
        {name: list(values.items()) for name, values in story.items()},
        {name: list(values.items()) for name, values in lists.items()},
        at,
        zone,
    )
    assert criteria.holds(RecordSnapshot(record, at, ZoneInfo(zone))) is naive.passes(branch)


# Two equal spellings of a filter, and a different filter.
SAME_QUESTION = [
    (
        {"operationType": "STRING", "operator": "IS_EQUAL_TO", "value": "Ada"},
        {"operator": "IS_EQUAL_TO", "operationType": "STRING", "value": "ada", "includeObjectsWithNoValueSet": False},
        {"operationType": "STRING", "operator": "IS_NOT_EQUAL_TO", "value": "Ada"},
    ),
    (
        {"operationType": "STRING", "operator": "HAS_EVER_CONTAINED", "value": "Ada"},
        {"operationType": "STRING", "operator": "HAS_EVER_CONTAINED", "value": "ada", "defaultValue": None},
        {"operationType": "STRING", "operator": "HAS_NEVER_CONTAINED", "value": "Ada"},
    ),
    (
        {"operationType": "ROLLING_PROPERTY_UPDATED", "operator": "UPDATED_IN_LAST_X_DAYS", "numberOfDays": 7},
        {"numberOfDays": 7, "operator": "UPDATED_IN_LAST_X_DAYS", "operationType": "ROLLING_PROPERTY_UPDATED"}
        | {"includeObjectsWithNoValueSet": False},
        {"operationType": "ROLLING_PROPERTY_UPDATED", "operator": "UPDATED_IN_LAST_X_DAYS", "numberOfDays": 8},
    ),
]


@pytest.mark.parametrize(("filter_", "equal", "different"), SAME_QUESTION)
def test_equal_filters_are_evaluated_once(
    filter_: dict[str, Any], equal: dict[str, Any], different: dict[str, Any]
) -> None:
    operation, equal_operation, different_operation = map(record_operation, (filter_, equal, different))
    assert operation == equal_operation
    assert not operation != equal_operation  # noqa: SIM202 - the operator itself
    assert hash(operation) == hash(equal_operation)
    assert operation != different_operation
    assert not operation == different_operation  # noqa: SIM201 - the operator itself
    assert equal_operation.given == equal
