"""The operations of a filter on a record: those of a refinement on an event, and those that need the record's history,
the time of the event, or another property.

"Now" is when the event occurred, and days are those of the portal's time zone. docs/flows.md "Operations" is the
source. As on events, a missing value satisfies nothing but IS_UNKNOWN, IS_BLANK and ``includeObjectsWithNoValueSet``;
to an operator on history a value is missing that the property never had.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, tzinfo
from types import MappingProxyType
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from msgspec import Struct
from msgspec.structs import astuple

from enrollment.domain.operators import calendar as calendars
from enrollment.domain.operators.property_operators import (
    MONTHS,
    OPERATION_TYPES,
    ComparesByMeaning,
    InvalidOperand,
    Operation,
    OperationType,
    operation,
    operation_of,
    text_operand,
)
from enrollment.domain.records.record_snapshot import RecordSnapshot
from enrollment.domain.values import (
    GIVEN_TIMES,
    Instant,
    Value,
    as_text,
    is_missing,
    read_given_time,
    read_instant,
    read_name,
)

MAX_DAYS = 100_000
MAX_NAME = 128


class RecordOperation(Protocol):
    @property
    def given(self) -> Mapping[str, Any]:
        """The operation as the flow wrote it."""
        ...

    def holds(self, snapshot: RecordSnapshot, name: str) -> bool: ...

    def rejection_reason(self, snapshot: RecordSnapshot, name: str) -> str | None:
        """Why the value could not be compared at all; None: it could."""
        ...


Given = Mapping[str, Any]


class EventOperation(Struct, frozen=True):
    """What an event's refinement may ask too, of the value as it was."""

    operation: Operation

    @property
    def given(self) -> Given:
        return self.operation.given

    def holds(self, snapshot: RecordSnapshot, name: str) -> bool:
        return self.operation.holds(snapshot.value(name))

    def rejection_reason(self, snapshot: RecordSnapshot, name: str) -> str | None:
        value = snapshot.value(name)
        if is_missing(value) or self.operation.type.read(value) is not None:
            return None
        return f"{as_text(value)[:80]!r} can't be read as {self.operation.type.name}"


class _Asked(ComparesByMeaning, frozen=True, eq=False):
    """What the others have in common."""

    given: Given
    operator: str
    include_missing: bool

    def identity(self) -> tuple[object, ...]:
        # All but `given`, which is the first.
        return astuple(self)[1:]

    def rejection_reason(self, snapshot: RecordSnapshot, name: str) -> str | None:
        return None


class _OfValues(_Asked, frozen=True, eq=False):
    """Of the value as it was."""

    def holds(self, snapshot: RecordSnapshot, name: str) -> bool:
        return self.include_missing if is_missing(snapshot.value(name)) else self._holds(snapshot, name)

    @abstractmethod
    def _holds(self, snapshot: RecordSnapshot, name: str) -> bool:
        """Of a value that is not missing."""
        raise NotImplementedError


class _OfTimes(_OfValues, frozen=True, eq=False):
    """Of a property that holds a time."""

    def rejection_reason(self, snapshot: RecordSnapshot, name: str) -> str | None:
        value = snapshot.value(name)
        is_read = self.given.get("propertyParser") != "UPDATED_AT"
        if is_missing(value) or not is_read or read_instant(value) is not None:
            return None
        return f"{as_text(value)[:80]!r} is no time"


class HistoryOperator(_Asked, frozen=True, eq=False):
    """``HAS_EVER_…`` and ``HAS_NEVER_…``: ``ever`` is what one of the values must satisfy, or none."""

    ever: Operation

    def holds(self, snapshot: RecordSnapshot, name: str) -> bool:
        values = [one.value for one in snapshot.changes(name) if not is_missing(one.value)]
        if not values:
            return self.include_missing
        return any(self.ever.holds(value) for value in values) == self.operator.startswith("HAS_EVER")


class Updated(_OfValues, frozen=True, eq=False):
    days: int

    def _holds(self, snapshot: RecordSnapshot, name: str) -> bool:
        today = calendars.local(snapshot.at, snapshot.zone).date()
        updated_at = snapshot.updated_at(name)
        assert updated_at is not None, "it has a value"
        updated = calendars.local(updated_at, snapshot.zone).date()
        is_recent = (today - updated).days < self.days
        return is_recent == (self.operator == "UPDATED_IN_LAST_X_DAYS")


class RollingDate(_OfTimes, frozen=True, eq=False):
    days: int

    def _holds(self, snapshot: RecordSnapshot, name: str) -> bool:
        day = calendars.day_of(snapshot.value(name), snapshot.zone)
        if day is None:
            return False
        ahead = (day - calendars.local(snapshot.at, snapshot.zone).date()).days
        return {
            "IS_LESS_THAN_X_DAYS_AGO": -self.days < ahead <= 0,
            "IS_MORE_THAN_X_DAYS_AGO": ahead < -self.days,
            "IS_LESS_THAN_X_DAYS_FROM_NOW": 0 <= ahead < self.days,
            "IS_MORE_THAN_X_DAYS_FROM_NOW": ahead > self.days,
        }[self.operator]


class ComparativeDate(_OfTimes, frozen=True, eq=False):
    other: str
    default: Value

    def _holds(self, snapshot: RecordSnapshot, name: str) -> bool:
        compared = snapshot.value(self.other)
        mine, theirs = (
            read_instant(snapshot.value(name)),
            read_given_time(self.default) if is_missing(compared) else read_instant(compared),
        )
        return mine is not None and theirs is not None and _is_side(self.operator, mine, theirs)


class ComparativeString(_OfValues, frozen=True, eq=False):
    """``type`` is STRING, whose operand is here the other property's text."""

    type: OperationType
    other: str
    default: Value

    def _holds(self, snapshot: RecordSnapshot, name: str) -> bool:
        compared = snapshot.value(self.other)
        compared = self.default if is_missing(compared) else compared
        if is_missing(compared):
            return False
        return self.type.tests[self.operator](self.type.read(snapshot.value(name)), text_operand(as_text(compared)))


class ComparativeUpdated(_OfValues, frozen=True, eq=False):
    other: str
    default: Value

    def _holds(self, snapshot: RecordSnapshot, name: str) -> bool:
        mine = snapshot.updated_at(name)
        has_value = not is_missing(snapshot.value(self.other))
        theirs = snapshot.updated_at(self.other) if has_value else read_given_time(self.default)
        return mine is not None and theirs is not None and _is_side(self.operator, mine, theirs)


class CalendarDate(_OfTimes, frozen=True, eq=False):
    unit: str
    count: int

    def _holds(self, snapshot: RecordSnapshot, name: str) -> bool:
        day = calendars.day_of(snapshot.value(name), snapshot.zone)
        today = calendars.local(snapshot.at, snapshot.zone).date()
        if day is None:
            return False
        this = calendars.unit_start(today, self.unit)
        following = calendars.plus_units(this, self.unit, 1)
        first, end = {
            "IN_THIS_TIME_UNIT": (this, following),
            "IN_THIS_TIME_UNIT_SO_FAR": (this, following),
            "IN_LAST_TIME_UNIT": (calendars.plus_units(this, self.unit, -self.count), this),
            "IN_LAST_TIME_UNIT_SO_FAR": (calendars.plus_units(this, self.unit, -self.count), following),
            "IN_NEXT_TIME_UNIT": (following, calendars.plus_units(following, self.unit, self.count)),
        }[self.operator]
        if not first <= day < end:
            return False
        instant = read_instant(snapshot.value(name))
        is_past = instant is not None and (
            day < today or instant <= snapshot.at or (day == today and calendars.is_day(instant))
        )
        return is_past or not self.operator.endswith("SO_FAR")


# Points in time ----------------------------------------------------------------------------------------------------


class FixedPoint(Struct, frozen=True):
    """DATE. ``zone`` None: the portal's."""

    moment: datetime
    zone: ZoneInfo | None

    def instant(self, snapshot: RecordSnapshot) -> Instant | None:
        return calendars.instant_of(self.moment.replace(tzinfo=self.zone or snapshot.zone))


class IndexedPoint(Struct, frozen=True):
    """INDEXED: relative to when the event occurred. ``at``: hour, minute, second and millisecond of the day."""

    reference: str
    day: int | None
    month: int | None
    at: tuple[int, int, int, int] | None
    offset: tuple[tuple[str, int], ...]
    zone: ZoneInfo | None

    def instant(self, snapshot: RecordSnapshot) -> Instant | None:
        moment = calendars.local(snapshot.at, self.zone or snapshot.zone)
        if self.reference != "NOW":
            unit = "DAY" if self.reference == "TODAY" else self.reference
            day = calendars.unit_start(moment.date(), unit)
            if self.month is not None:
                day = calendars.plus_months(day, self.month - 1)
            if self.day is not None:
                day = calendars.plus_units(day, "DAY", self.day - 1)
            hour, minute, second, millisecond = self.at or (0, 0, 0, 0)
            moment = datetime(day.year, day.month, day.day, hour, minute, second, millisecond * 1000, moment.tzinfo)
        return calendars.shifted(moment, dict(self.offset))


class PropertyPoint(Struct, frozen=True):
    """PROPERTY_REFERENCED: another property's time, or that of its last change."""

    name: str
    is_updated_at: bool
    offset: tuple[tuple[str, int], ...]
    zone: ZoneInfo | None

    def instant(self, snapshot: RecordSnapshot) -> Instant | None:
        instant = _parsed(snapshot, self.name, "UPDATED_AT" if self.is_updated_at else "VALUE", self.zone)
        if instant is None:
            return None
        moment = calendars.local(instant, self.zone or snapshot.zone)
        return calendars.shifted(moment, dict(self.offset))


TimePoint = FixedPoint | IndexedPoint | PropertyPoint


class PointInTime(_OfTimes, frozen=True, eq=False):
    point: TimePoint
    is_inclusive: bool
    parser: str

    def _holds(self, snapshot: RecordSnapshot, name: str) -> bool:
        point = self.point.instant(snapshot)
        if point is None:
            return False
        return any(
            (self.is_inclusive and one == point) or _is_side(self.operator, one, point)
            for one in _readings(snapshot, name, self.parser)
        )


class RangeOfTime(_OfTimes, frozen=True, eq=False):
    lower: TimePoint
    upper: TimePoint
    includes_lower: bool
    includes_upper: bool
    parser: str

    def _holds(self, snapshot: RecordSnapshot, name: str) -> bool:
        lower, upper = self.lower.instant(snapshot), self.upper.instant(snapshot)
        readings = _readings(snapshot, name, self.parser)
        if lower is None or upper is None or not readings:
            return False
        is_between = any(
            (lower < one or (self.includes_lower and one == lower))
            and (one < upper or (self.includes_upper and one == upper))
            for one in readings
        )
        return is_between == (self.operator == "IS_BETWEEN")


def _is_side(operator: str, one: Instant, other: Instant) -> bool:
    return one < other if operator == "IS_BEFORE" else one > other


def _parsed(snapshot: RecordSnapshot, name: str, parser: str, zone: tzinfo | None = None) -> Instant | None:
    """A day without a time is its beginning in the time zone."""
    if parser == "UPDATED_AT":
        return snapshot.updated_at(name)
    instant = read_instant(snapshot.value(name))
    if instant is None or not calendars.is_day(instant):
        return instant
    return calendars.midnight(calendars.local(instant, UTC).date(), zone or snapshot.zone)


def _readings(snapshot: RecordSnapshot, name: str, parser: str) -> tuple[Instant, ...]:
    """The times that the property stands for; an anniversary comes every year."""
    if parser != "ANNIVERSARY":
        instant = _parsed(snapshot, name, parser)
        return () if instant is None else (instant,)
    day = calendars.day_of(snapshot.value(name), snapshot.zone)
    if day is None:
        return ()
    year = calendars.local(snapshot.at, snapshot.zone).year
    years = (one for one in (year - 1, year, year + 1) if day.year <= one <= 9_998)
    return tuple(calendars.midnight(calendars.anniversary(day, one), snapshot.zone) for one in years)


# Reading: each raises InvalidOperand ----------------------------------------------------------------------------------


def _days(given: Given) -> int:
    found = given.get("numberOfDays")
    if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found <= MAX_DAYS:
        raise InvalidOperand("numberOfDays", found, f"a number of days from 0 to {MAX_DAYS:,}, for example 30")
    return found


def _name(given: Given, key: str) -> str:
    found = given.get(key)
    if not isinstance(found, str) or not found.strip() or len(found) > MAX_NAME:
        raise InvalidOperand(key, found, "the name of a property, for example city")
    return read_name(found)


def _default(given: Given) -> Value:
    found = given.get("defaultComparisonValue")
    if found is not None and not isinstance(found, str | int | float):
        raise InvalidOperand("defaultComparisonValue", found, "a text, a number, or null")
    # As text: 1 and true are equal to Python, and not to the comparison.
    return None if found is None else as_text(found)


def _default_time(given: Given) -> Value:
    found = _default(given)
    if not is_missing(found) and read_given_time(found) is None:
        raise InvalidOperand("defaultComparisonValue", found, f"{GIVEN_TIMES}, or null")
    return found


def _one_of(given: Given, key: str, allowed: tuple[str, ...], default: str | None = None) -> str:
    found = default if given.get(key) is None else given[key]
    if found not in allowed:
        raise InvalidOperand(key, found, " or ".join(allowed))
    return str(found)


def _integer(given: Given, key: str, least: int, most: int, default: int | None = None) -> int:
    found = default if given.get(key) is None else given[key]
    if isinstance(found, bool) or not isinstance(found, int) or not least <= found <= most:
        raise InvalidOperand(key, found, f"a number from {least} to {most}")
    return found


def _count(given: Given) -> int:
    return _integer(given, "timeUnitCount", 1, 10_000, default=1)


def _unit(given: Given) -> str:
    if given.get("useFiscalYear"):
        raise InvalidOperand("useFiscalYear", given["useFiscalYear"], "false, because fiscal years are not supported")
    return _one_of(given, "timeUnit", calendars.UNITS)


def _point(given: Given, key: str) -> TimePoint:
    found = given.get(key)
    if not isinstance(found, dict):
        raise InvalidOperand(key, found, "an object")
    try:
        kind = _one_of(found, "timeType", ("DATE", "INDEXED", "PROPERTY_REFERENCED"))
        if kind == "DATE":
            return _fixed(found)
        return _indexed(found) if kind == "INDEXED" else _referenced(found)
    except InvalidOperand as invalid:
        raise InvalidOperand(f"{key}.{invalid.key}", invalid.found, invalid.expected) from None


def _zone(given: Given) -> ZoneInfo | None:
    source = _one_of(
        given,
        "timezoneSource",
        ("CUSTOM", "USER", "PORTAL"),
        default="PORTAL" if given.get("zoneId") is None else "CUSTOM",
    )
    if source != "CUSTOM":
        return None
    name = given.get("zoneId")
    try:
        return ZoneInfo(name) if isinstance(name, str) and len(name) <= MAX_NAME else _no_zone(name)
    except (KeyError, ValueError, OSError):
        return _no_zone(name)


def _no_zone(name: object) -> ZoneInfo:
    raise InvalidOperand("zoneId", name, "a time zone, for example Europe/Dublin")


def _fixed(given: Given) -> FixedPoint:
    month = given.get("month")
    number = MONTHS.index(str(month)) + 1 if month in MONTHS else _integer(given, "month", 1, 12)
    year, day = _integer(given, "year", 1970, 9_998), _integer(given, "day", 1, 31)
    hour, minute, second, millisecond = _time_of_day(given)
    zone = _zone(given)
    try:
        return FixedPoint(datetime(year, number, day, hour, minute, second, millisecond * 1000), zone)
    except ValueError:
        raise InvalidOperand("day", day, f"a day of {month} {year}") from None


def _time_of_day(given: Given) -> tuple[int, int, int, int]:
    return (
        _integer(given, "hour", 0, 23, default=0),
        _integer(given, "minute", 0, 59, default=0),
        _integer(given, "second", 0, 59, default=0),
        _integer(given, "millisecond", 0, 999, default=0),
    )


_WEEKDAYS = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")
_OFFSETS = ("years", "quarters", "months", "weeks", "days", "hours", "minutes", "seconds", "milliseconds")


def _indexed(given: Given) -> IndexedPoint:
    reference = given.get("indexReference")
    if not isinstance(reference, dict):
        raise InvalidOperand("indexReference", reference, "an object")
    try:
        kind = _one_of(reference, "referenceType", ("NOW", "TODAY", "WEEK", "MONTH", "QUARTER", "YEAR"))
        day = month = None
        if kind == "WEEK" and reference.get("dayOfWeek") is not None:
            day = _WEEKDAYS.index(_one_of(reference, "dayOfWeek", _WEEKDAYS)) + 1
        elif kind in ("MONTH", "QUARTER", "YEAR"):
            day = _integer(reference, "day", 1, 366) if reference.get("day") is not None else None
            month = (
                _integer(reference, "month", 1, 12) if kind != "MONTH" and reference.get("month") is not None else None
            )
        at = _time_of_day(reference)
    except InvalidOperand as invalid:
        raise InvalidOperand(f"indexReference.{invalid.key}", invalid.found, invalid.expected) from None
    return IndexedPoint(kind, day, month, at, _offset(given), _zone(given))


def _referenced(given: Given) -> PropertyPoint:
    kind = _one_of(given, "referenceType", ("VALUE", "UPDATED_AT"), default="VALUE")
    return PropertyPoint(_name(given, "property"), kind == "UPDATED_AT", _offset(given), _zone(given))


def _offset(given: Given) -> tuple[tuple[str, int], ...]:
    found = given.get("offset") or {}
    if not isinstance(found, dict):
        raise InvalidOperand("offset", found, "an object")
    for key in found:
        if key not in _OFFSETS:
            raise InvalidOperand(f"offset.{key}", found[key], f"one of {', '.join(_OFFSETS)}")
    try:
        return tuple((key, _integer(found, key, -100_000_000, 100_000_000)) for key in _OFFSETS if found.get(key))
    except InvalidOperand as invalid:
        raise InvalidOperand(f"offset.{invalid.key}", invalid.found, invalid.expected) from None


def _parser(given: Given) -> str:
    return _one_of(given, "propertyParser", ("VALUE", "UPDATED_AT", "ANNIVERSARY"), default="VALUE")


def _includes(given: Given, key: str) -> bool:
    return _one_of(given, key, ("INCLUSIVE", "EXCLUSIVE"), default="EXCLUSIVE") == "INCLUSIVE"


# The table ----------------------------------------------------------------------------------------------------------

_SIDES = ("IS_BEFORE", "IS_AFTER")

_Read = Callable[[Given, str, bool], RecordOperation]


class RecordOperationType(Struct, frozen=True):
    operators: tuple[str, ...]
    read: _Read


def _plain(given: Given, operator: str, include_missing: bool) -> RecordOperation:
    row = OPERATION_TYPES[given["operationType"]]
    if operator not in row.history:
        return EventOperation(operation(given))
    positive = _POSITIVES[operator.removeprefix("HAS_EVER_").removeprefix("HAS_NEVER_")]
    ever = operation_of(row, positive, given, include_missing=False)
    return HistoryOperator(given, operator, include_missing, ever)


_POSITIVES = {
    "BEEN_EQUAL_TO": "IS_EQUAL_TO",
    "CONTAINED": "CONTAINS",
    "BEEN_ANY_OF": "IS_ANY_OF",
    "BEEN_EXACTLY": "IS_EXACTLY",
    "CONTAINED_ALL": "CONTAINS_ALL",
}

RECORD_OPERATION_TYPES: Mapping[str, RecordOperationType] = MappingProxyType(
    {name: RecordOperationType((*row.tests, *sorted(row.history)), _plain) for name, row in OPERATION_TYPES.items()}
    | {
        "ROLLING_DATE_RANGE": RecordOperationType(
            (
                "IS_LESS_THAN_X_DAYS_AGO",
                "IS_MORE_THAN_X_DAYS_AGO",
                "IS_LESS_THAN_X_DAYS_FROM_NOW",
                "IS_MORE_THAN_X_DAYS_FROM_NOW",
            ),
            lambda given, operator, missing: RollingDate(given, operator, missing, _days(given)),
        ),
        "ROLLING_PROPERTY_UPDATED": RecordOperationType(
            ("UPDATED_IN_LAST_X_DAYS", "NOT_UPDATED_IN_LAST_X_DAYS"),
            lambda given, operator, missing: Updated(given, operator, missing, _days(given)),
        ),
        "COMPARATIVE_DATE": RecordOperationType(
            _SIDES,
            lambda given, operator, missing: ComparativeDate(
                given, operator, missing, _name(given, "comparisonPropertyName"), _default_time(given)
            ),
        ),
        "COMPARATIVE_STRING": RecordOperationType(
            tuple(OPERATION_TYPES["STRING"].tests),
            lambda given, operator, missing: ComparativeString(
                given,
                operator,
                missing,
                OPERATION_TYPES["STRING"],
                _name(given, "comparisonPropertyName"),
                _default(given),
            ),
        ),
        "COMPARATIVE_PROPERTY_UPDATED": RecordOperationType(
            _SIDES,
            lambda given, operator, missing: ComparativeUpdated(
                given, operator, missing, _name(given, "comparisonPropertyName"), _default_time(given)
            ),
        ),
        "CALENDAR_DATE": RecordOperationType(
            (
                "IN_THIS_TIME_UNIT",
                "IN_THIS_TIME_UNIT_SO_FAR",
                "IN_LAST_TIME_UNIT",
                "IN_LAST_TIME_UNIT_SO_FAR",
                "IN_NEXT_TIME_UNIT",
            ),
            lambda given, operator, missing: CalendarDate(given, operator, missing, _unit(given), _count(given)),
        ),
        "TIME_POINT": RecordOperationType(
            _SIDES,
            lambda given, operator, missing: PointInTime(
                given,
                operator,
                missing,
                _point(given, "timePoint"),
                _includes(given, "endpointBehavior"),
                _parser(given),
            ),
        ),
        "TIME_RANGED": RecordOperationType(
            ("IS_BETWEEN", "IS_NOT_BETWEEN"),
            lambda given, operator, missing: RangeOfTime(
                given,
                operator,
                missing,
                _point(given, "lowerBoundTimePoint"),
                _point(given, "upperBoundTimePoint"),
                _includes(given, "lowerBoundEndpointBehavior"),
                _includes(given, "upperBoundEndpointBehavior"),
                _parser(given),
            ),
        ),
    }
)


def record_operation(given: Given) -> RecordOperation:
    """Raises InvalidOperand. Operation type and operator must be ones of RECORD_OPERATION_TYPES."""
    kept = MappingProxyType(dict(given))
    row = RECORD_OPERATION_TYPES[kept["operationType"]]
    return row.read(kept, kept["operator"], kept.get("includeObjectsWithNoValueSet") is True)


def zone_of(name: str) -> tzinfo:
    """Raises InvalidOperand."""
    return _zone({"timezoneSource": "CUSTOM", "zoneId": name}) or _no_zone(name)
