"""The exact instants of points in time, and the messages about operands that are wrong."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from enrollment.domain.criteria.record_operators import PointInTime, RangeOfTime, record_operation
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.operators.property_operators import InvalidOperand
from enrollment.domain.records.record import Record, TimestampedValue
from enrollment.domain.records.record_snapshot import RecordSnapshot
from enrollment.domain.values import Instant

TOKYO = ZoneInfo("Asia/Tokyo")


def ms(text: str) -> Instant:
    """The milliseconds of a time in Tokyo."""
    return int(datetime.fromisoformat(text).replace(tzinfo=TOKYO).timestamp() * 1000)


# 1 o'clock of the first of November in Tokyo is 31 October in UTC.
AT = ms("2026-11-01T01:00")


def snapshot(**values: Any) -> RecordSnapshot:
    properties = {name: TimestampedValue(value, AT - 1_000) for name, value in values.items()}
    return RecordSnapshot(Record(RecordKey("p", "0-1", "1"), 0, properties), AT, TOKYO)


def indexed(**reference: Any) -> dict[str, Any]:
    return {"timeType": "INDEXED", "indexReference": reference}


def named(**keys: Any) -> dict[str, Any]:
    return {"timeType": "PROPERTY_REFERENCED", "property": "y", **keys}


@pytest.mark.parametrize(
    ("point", "expected"),
    [
        (indexed(referenceType="NOW"), "2026-11-01T01:00"),
        (indexed(referenceType="TODAY"), "2026-11-01"),
        (indexed(referenceType="TODAY", hour=1, minute=2, second=3, millisecond=4), "2026-11-01T01:02:03.004"),
        (indexed(referenceType="MONTH"), "2026-11-01"),
        (indexed(referenceType="MONTH", day=1), "2026-11-01"),
        (indexed(referenceType="MONTH", day=15), "2026-11-15"),
        (indexed(referenceType="MONTH", month=3), "2026-11-01"),
        (indexed(referenceType="QUARTER", month=1), "2026-10-01"),
        (indexed(referenceType="QUARTER", month=2, day=3), "2026-11-03"),
        (indexed(referenceType="YEAR", month=12), "2026-12-01"),
        (indexed(referenceType="YEAR", day=365), "2026-12-31"),
        (indexed(referenceType="YEAR", day=366), "2027-01-01"),
        (indexed(referenceType="WEEK", dayOfWeek="MONDAY"), "2026-10-26"),
        (indexed(referenceType="WEEK", dayOfWeek="SUNDAY"), "2026-11-01"),
        ({**indexed(referenceType="TODAY"), "offset": {"days": -1, "hours": 2}}, "2026-10-31T02:00"),
        ({**indexed(referenceType="TODAY"), "zoneId": "UTC"}, "2026-10-31T09:00"),
        (named(), "2026-12-24"),
        (named(zoneId="UTC"), "2026-12-24T09:00"),
        (named(referenceType="UPDATED_AT"), "2026-11-01T00:59:59"),
        (named(offset={"months": 1}), "2027-01-24"),
    ],
)
def test_the_instant_of_a_point(point: dict[str, Any], expected: str) -> None:
    operation = record_operation({"operationType": "TIME_POINT", "operator": "IS_BEFORE", "timePoint": point})
    assert isinstance(operation, PointInTime)
    assert operation.point.instant(snapshot(y="2026-12-24")) == ms(expected)


def ranged(lower: Any, upper: Any, **more: Any) -> RangeOfTime:
    operation = record_operation(
        {
            "operationType": "TIME_RANGED",
            "operator": "IS_BETWEEN",
            "lowerBoundTimePoint": lower,
            "upperBoundTimePoint": upper,
            **more,
        }
    )
    assert isinstance(operation, RangeOfTime)
    return operation


INCLUSIVE = {"lowerBoundEndpointBehavior": "INCLUSIVE", "upperBoundEndpointBehavior": "INCLUSIVE"}


@pytest.mark.parametrize(
    ("value", "more", "expected"),
    [
        (ms("2026-11-01") - 1, INCLUSIVE, False),
        (ms("2026-11-01"), INCLUSIVE, True),
        (ms("2026-11-01"), {}, False),
        (ms("2026-11-01") + 1, {}, True),
        (ms("2026-11-01T09:00") - 1, {}, True),
        (ms("2026-11-01T09:00"), {}, False),
        (ms("2026-11-01T09:00"), INCLUSIVE, True),
        (ms("2026-11-01T09:00") + 1, INCLUSIVE, False),
    ],
)
def test_the_bounds_of_a_range_are_included_if_the_flow_says_so(value: int, more: Any, expected: bool) -> None:
    operation = ranged(indexed(referenceType="TODAY"), indexed(referenceType="TODAY", hour=9), **more)
    assert operation.holds(snapshot(x=value), "x") is expected


def test_a_range_with_a_bound_that_has_no_time_holds_for_no_record() -> None:
    today = indexed(referenceType="TODAY")
    missing = named(property="z")
    assert not ranged(today, missing).holds(snapshot(x=AT), "x")
    assert not ranged(missing, today).holds(snapshot(x=AT), "x")


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        ("soon" * 30, "TIME_POINT", f"'{('soon' * 30)[:80]}' is not a time"),
        (None, "TIME_POINT", None),
        ("2026-01-01", "TIME_POINT", None),
        ("a lot" * 30, "NUMBER", f"'{('a lot' * 30)[:80]}' can't be read as NUMBER"),
        (None, "NUMBER", None),
        ("5", "NUMBER", None),
    ],
)
def test_a_value_that_is_not_read_is_named(value: Any, kind: str, expected: str | None) -> None:
    document: dict[str, Any] = {"operationType": kind, "operator": "IS_EQUAL_TO", "value": 1}
    if kind == "TIME_POINT":
        document = {"operationType": kind, "operator": "IS_BEFORE", "timePoint": indexed(referenceType="NOW")}
    assert record_operation(document).rejection_reason(snapshot(x=value), "x") == expected


def test_the_time_of_an_update_needs_no_value_that_is_a_time() -> None:
    document = {"operationType": "TIME_POINT", "operator": "IS_BEFORE", "timePoint": indexed(referenceType="NOW")}
    operation = record_operation({**document, "propertyParser": "UPDATED_AT"})
    assert operation.rejection_reason(snapshot(x="soon"), "x") is None


def at_point(point: Any) -> dict[str, Any]:
    return {"operationType": "TIME_POINT", "operator": "IS_BEFORE", "timePoint": point}


def compared(**keys: Any) -> dict[str, Any]:
    return {"operationType": "COMPARATIVE_STRING", "operator": "IS_EQUAL_TO", "comparisonPropertyName": "y", **keys}


OFFSETS = "years, quarters, months, weeks, days, hours, minutes, seconds, milliseconds"
DATE = {"timeType": "DATE", "year": 2026, "month": 2, "day": 1}


@pytest.mark.parametrize(
    ("document", "key", "found", "expected"),
    [
        ({"operationType": "ROLLING_DATE_RANGE", "operator": "IS_LESS_THAN_X_DAYS_AGO", "numberOfDays": -1},
         "numberOfDays", -1, "a number of days from 0 to 100,000, for example 30"),
        (compared(comparisonPropertyName=7), "comparisonPropertyName", 7, "the name of a property, for example city"),
        (compared(comparisonPropertyName=" "), "comparisonPropertyName", " ",
         "the name of a property, for example city"),
        (compared(defaultComparisonValue=[1]), "defaultComparisonValue", [1], "a text, a number, or null"),
        ({"operationType": "CALENDAR_DATE", "operator": "IN_THIS_TIME_UNIT", "timeUnit": "YEAR", "useFiscalYear": 1},
         "useFiscalYear", 1, "false, because fiscal years are not supported"),
        ({"operationType": "CALENDAR_DATE", "operator": "IN_LAST_TIME_UNIT", "timeUnit": "YEAR",
          "timeUnitCount": 10_001}, "timeUnitCount", 10_001, "a number from 1 to 10000"),
        (at_point(7), "timePoint", 7, "an object"),
        (at_point({"timeType": "EVER"}), "timePoint.timeType", "EVER", "DATE or INDEXED or PROPERTY_REFERENCED"),
        (at_point({"timeType": "INDEXED", "indexReference": 7}), "timePoint.indexReference", 7, "an object"),
        (at_point({**indexed(referenceType="NOW"), "offset": [1]}), "timePoint.offset", [1], "an object"),
        (at_point({**indexed(referenceType="NOW"), "offset": {"eons": 1}}), "timePoint.offset.eons", 1,
         f"one of {OFFSETS}"),
        (at_point({**indexed(referenceType="NOW"), "offset": {"days": 100_000_001}}), "timePoint.offset.days",
         100_000_001, "a number from -100000000 to 100000000"),
        (at_point({**indexed(referenceType="NOW"), "offset": {"days": -100_000_001}}), "timePoint.offset.days",
         -100_000_001, "a number from -100000000 to 100000000"),
        (at_point(indexed(referenceType="YEAR", day=367)), "timePoint.indexReference.day", 367,
         "a number from 1 to 366"),
        (at_point(indexed(referenceType="YEAR", month=13)), "timePoint.indexReference.month", 13,
         "a number from 1 to 12"),
        (at_point(indexed(referenceType="TODAY", hour=24)), "timePoint.indexReference.hour", 24,
         "a number from 0 to 23"),
        (at_point(indexed(referenceType="TODAY", minute=60)), "timePoint.indexReference.minute", 60,
         "a number from 0 to 59"),
        (at_point(indexed(referenceType="TODAY", second=60)), "timePoint.indexReference.second", 60,
         "a number from 0 to 59"),
        (at_point(indexed(referenceType="TODAY", millisecond=1000)), "timePoint.indexReference.millisecond", 1000,
         "a number from 0 to 999"),
        (at_point({**DATE, "zoneId": "Europe/Atlantis"}), "timePoint.zoneId", "Europe/Atlantis",
         "a time zone, for example Europe/Dublin"),
        (at_point({**DATE, "year": 1969}), "timePoint.year", 1969, "a number from 1970 to 9998"),
        (at_point({**DATE, "year": 9_999}), "timePoint.year", 9_999, "a number from 1970 to 9998"),
        (at_point({**DATE, "month": 13}), "timePoint.month", 13, "a number from 1 to 12"),
        (at_point({**DATE, "day": 32}), "timePoint.day", 32, "a number from 1 to 31"),
        (at_point({**DATE, "day": 30}), "timePoint.day", 30, "a day of 2 2026"),
    ],
)  # fmt: skip
def test_a_wrong_operand_is_reported_with_what_was_expected(
    document: dict[str, Any], key: str, found: Any, expected: str
) -> None:
    with pytest.raises(InvalidOperand) as invalid:
        record_operation(document)
    assert (invalid.value.key, invalid.value.found, invalid.value.expected) == (key, found, expected)


@pytest.mark.parametrize(
    "document",
    [
        compared(comparisonPropertyName="x" * 128),
        compared(defaultComparisonValue=None),
        at_point({**indexed(referenceType="NOW"), "offset": {"days": 100_000_000, "hours": -100_000_000}}),
        at_point({**DATE, "year": 1970, "hour": 23, "minute": 59, "second": 59, "millisecond": 999}),
        at_point({**DATE, "year": 9_998, "month": "DEC", "day": 31}),
    ],
)
def test_an_operand_at_its_limit_is_accepted(document: dict[str, Any]) -> None:
    record_operation(document)
