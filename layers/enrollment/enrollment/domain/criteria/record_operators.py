"""The operations of filters on records: all operations on event properties, and those that need the record's history,
the time of the event, or another property.

"Now" is when the event occurred, and days are those of the portal's time zone. The source of all rules is
docs/flows.md, "Operations". As for events, a missing value satisfies only IS_UNKNOWN, IS_BLANK and
``includeObjectsWithNoValueSet``. For an operator on history, the value is missing if the property never had one.
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
# The count of time units of CALENDAR_DATE.
MAX_UNITS = 10_000
# The years of a point in time: the first and the last.
YEARS = (1970, 9_998)
# The day within the year, quarter or month of an INDEXED point, and each count of an offset.
MAX_DAY = 366
MAX_OFFSET = 100_000_000


class RecordOperation(Protocol):
    """An operation on a property of a record."""

    @property
    def given(self) -> Mapping[str, Any]:
        """The operation as the flow JSON has it."""
        ...

    def holds(self, snapshot: RecordSnapshot, name: str) -> bool:
        """Whether the property ``name`` satisfies the operation."""
        ...

    def rejection_reason(self, snapshot: RecordSnapshot, name: str) -> str | None:
        """Return why the value could not be compared. None: it could."""
        ...


OperationDocument = Mapping[str, Any]


class EventOperation(Struct, frozen=True):
    """An operation that event properties have too, applied to the value at the snapshot's moment."""

    operation: Operation

    @property
    def given(self) -> OperationDocument:
        return self.operation.given

    def holds(self, snapshot: RecordSnapshot, name: str) -> bool:
        return self.operation.holds(snapshot.value(name))

    def rejection_reason(self, snapshot: RecordSnapshot, name: str) -> str | None:
        value = snapshot.value(name)
        if is_missing(value) or self.operation.type.read(value) is not None:
            return None
        return f"{as_text(value)[:80]!r} can't be read as {self.operation.type.name}"


class _RecordOperation(ComparesByMeaning, frozen=True, eq=False):
    """The base of the other operations. ``include_missing``: the result for a property without a value."""

    given: OperationDocument
    operator: str
    include_missing: bool

    def identity(self) -> tuple[object, ...]:
        # All fields except the first, which is `given`.
        return astuple(self)[1:]

    def rejection_reason(self, snapshot: RecordSnapshot, name: str) -> str | None:
        return None


class _ValueOperation(_RecordOperation, frozen=True, eq=False):
    """An operation on the value at the snapshot's moment."""

    def holds(self, snapshot: RecordSnapshot, name: str) -> bool:
        return self.include_missing if is_missing(snapshot.value(name)) else self._holds(snapshot, name)

    @abstractmethod
    def _holds(self, snapshot: RecordSnapshot, name: str) -> bool:
        """Whether a value that is not missing satisfies the operation."""
        raise NotImplementedError


class _TimeOperation(_ValueOperation, frozen=True, eq=False):
    """An operation on a property that holds a time."""

    def rejection_reason(self, snapshot: RecordSnapshot, name: str) -> str | None:
        value = snapshot.value(name)
        is_read = self.given.get("propertyParser") != "UPDATED_AT"
        if is_missing(value) or not is_read or read_instant(value) is not None:
            return None
        return f"{as_text(value)[:80]!r} is not a time"


class HistoryOperator(_RecordOperation, frozen=True, eq=False):
    """``HAS_EVER_…`` and ``HAS_NEVER_…``. ``ever``: the operation that at least one value, or none, must satisfy."""

    ever: Operation

    def holds(self, snapshot: RecordSnapshot, name: str) -> bool:
        values = [change.value for change in snapshot.changes(name) if not is_missing(change.value)]
        if not values:
            return self.include_missing
        return any(self.ever.holds(value) for value in values) == self.operator.startswith("HAS_EVER")


class Updated(_ValueOperation, frozen=True, eq=False):
    """ROLLING_PROPERTY_UPDATED: updated, or not, in the last ``days`` calendar days."""

    days: int

    def _holds(self, snapshot: RecordSnapshot, name: str) -> bool:
        today = calendars.local(snapshot.at, snapshot.zone).date()
        updated_at = snapshot.updated_at(name)
        assert updated_at is not None, "it has a value"
        updated = calendars.local(updated_at, snapshot.zone).date()
        is_recent = (today - updated).days < self.days
        return is_recent == (self.operator == "UPDATED_IN_LAST_X_DAYS")


class RollingDate(_TimeOperation, frozen=True, eq=False):
    """ROLLING_DATE_RANGE: more or less than ``days`` calendar days ago or from now."""

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


class ComparativeDate(_TimeOperation, frozen=True, eq=False):
    """COMPARATIVE_DATE: before or after the time in the property ``other``, or ``default`` if that has no value."""

    other: str
    default: Value

    def _holds(self, snapshot: RecordSnapshot, name: str) -> bool:
        other_value = snapshot.value(self.other)
        instant, other = (
            read_instant(snapshot.value(name)),
            read_given_time(self.default) if is_missing(other_value) else read_instant(other_value),
        )
        return instant is not None and other is not None and _is_side(self.operator, instant, other)


class ComparativeString(_ValueOperation, frozen=True, eq=False):
    """COMPARATIVE_STRING: an operator of STRING (``type``) with the value of the property ``other`` as operand.
    ``default`` applies if that has no value."""

    type: OperationType
    other: str
    default: Value

    def _holds(self, snapshot: RecordSnapshot, name: str) -> bool:
        other_value = snapshot.value(self.other)
        other_value = self.default if is_missing(other_value) else other_value
        if is_missing(other_value):
            return False
        return self.type.tests[self.operator](self.type.read(snapshot.value(name)), text_operand(as_text(other_value)))


class ComparativeUpdated(_ValueOperation, frozen=True, eq=False):
    """COMPARATIVE_PROPERTY_UPDATED: updated before or after the property ``other`` was. ``default`` is the time that
    applies if that has no value."""

    other: str
    default: Value

    def _holds(self, snapshot: RecordSnapshot, name: str) -> bool:
        updated_at = snapshot.updated_at(name)
        has_value = not is_missing(snapshot.value(self.other))
        other_updated_at = snapshot.updated_at(self.other) if has_value else read_given_time(self.default)
        return (
            updated_at is not None
            and other_updated_at is not None
            and _is_side(self.operator, updated_at, other_updated_at)
        )


class CalendarDate(_TimeOperation, frozen=True, eq=False):
    """CALENDAR_DATE: in this, the last or the next ``count`` calendar units. ``unit``: one of ``calendar.UNITS``."""

    unit: str
    count: int

    def _holds(self, snapshot: RecordSnapshot, name: str) -> bool:
        day = calendars.day_of(snapshot.value(name), snapshot.zone)
        today = calendars.local(snapshot.at, snapshot.zone).date()
        if day is None:
            return False
        current = calendars.unit_start(today, self.unit)
        following = calendars.plus_units(current, self.unit, 1)
        first, end = {
            "IN_THIS_TIME_UNIT": (current, following),
            "IN_THIS_TIME_UNIT_SO_FAR": (current, following),
            "IN_LAST_TIME_UNIT": (calendars.plus_units(current, self.unit, -self.count), current),
            "IN_LAST_TIME_UNIT_SO_FAR": (calendars.plus_units(current, self.unit, -self.count), following),
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
    """A fixed date and time (DATE). ``zone`` None: the portal's time zone."""

    moment: datetime
    zone: ZoneInfo | None

    def instant(self, snapshot: RecordSnapshot) -> Instant | None:
        """Return the point in milliseconds since 1970 in UTC."""
        return calendars.instant_of(self.moment.replace(tzinfo=self.zone or snapshot.zone))


class IndexedPoint(Struct, frozen=True):
    """A point relative to the time of the event (INDEXED).

    ``reference``: NOW, TODAY, WEEK, MONTH, QUARTER or YEAR. ``day`` and ``month``: within the reference, from 1.
    ``at``: hour, minute, second and millisecond of the day. ``offset``: units and counts to add.
    """

    reference: str
    day: int | None
    month: int | None
    at: tuple[int, int, int, int] | None
    offset: tuple[tuple[str, int], ...]
    zone: ZoneInfo | None

    def instant(self, snapshot: RecordSnapshot) -> Instant | None:
        """Return the point relative to the snapshot's time, in milliseconds since 1970 in UTC."""
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
    """The time in another property, or that of its last update (PROPERTY_REFERENCED)."""

    name: str
    is_updated_at: bool
    offset: tuple[tuple[str, int], ...]
    zone: ZoneInfo | None

    def instant(self, snapshot: RecordSnapshot) -> Instant | None:
        """Return the property's time plus the offset, in milliseconds. None: the property has no time."""
        instant = _parsed(snapshot, self.name, "UPDATED_AT" if self.is_updated_at else "VALUE", self.zone)
        if instant is None:
            return None
        moment = calendars.local(instant, self.zone or snapshot.zone)
        return calendars.shifted(moment, dict(self.offset))


TimePoint = FixedPoint | IndexedPoint | PropertyPoint


class PointInTime(_TimeOperation, frozen=True, eq=False):
    """TIME_POINT: before or after a point. ``parser``: VALUE, UPDATED_AT or ANNIVERSARY."""

    point: TimePoint
    is_inclusive: bool
    parser: str

    def _holds(self, snapshot: RecordSnapshot, name: str) -> bool:
        point = self.point.instant(snapshot)
        if point is None:
            return False
        return any(
            (self.is_inclusive and instant == point) or _is_side(self.operator, instant, point)
            for instant in _readings(snapshot, name, self.parser)
        )


class RangeOfTime(_TimeOperation, frozen=True, eq=False):
    """TIME_RANGED: between two points, or not. ``parser``: VALUE, UPDATED_AT or ANNIVERSARY."""

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
            (lower < instant or (self.includes_lower and instant == lower))
            and (instant < upper or (self.includes_upper and instant == upper))
            for instant in readings
        )
        return is_between == (self.operator == "IS_BETWEEN")


def _is_side(operator: str, instant: Instant, other: Instant) -> bool:
    return instant < other if operator == "IS_BEFORE" else instant > other


def _parsed(snapshot: RecordSnapshot, name: str, parser: str, zone: tzinfo | None = None) -> Instant | None:
    """Return the time that a property stands for. A day without a time stands for its beginning in the time zone."""
    if parser == "UPDATED_AT":
        return snapshot.updated_at(name)
    instant = read_instant(snapshot.value(name))
    if instant is None or not calendars.is_day(instant):
        return instant
    return calendars.midnight(calendars.local(instant, UTC).date(), zone or snapshot.zone)


def _readings(snapshot: RecordSnapshot, name: str, parser: str) -> tuple[Instant, ...]:
    """Return the times that a property stands for. For ANNIVERSARY, these are the days in last, this and next year."""
    if parser != "ANNIVERSARY":
        instant = _parsed(snapshot, name, parser)
        return () if instant is None else (instant,)
    day = calendars.day_of(snapshot.value(name), snapshot.zone)
    if day is None:
        return ()
    year = calendars.local(snapshot.at, snapshot.zone).year
    years = (candidate for candidate in (year - 1, year, year + 1) if day.year <= candidate <= 9_998)
    return tuple(calendars.midnight(calendars.anniversary(day, candidate), snapshot.zone) for candidate in years)


# Reading: each raises InvalidOperand ----------------------------------------------------------------------------------


def _days(document: OperationDocument) -> int:
    value = document.get("numberOfDays")
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_DAYS:
        raise InvalidOperand("numberOfDays", value, f"a number of days from 0 to {MAX_DAYS:,}, for example 30")
    return value


def _name(document: OperationDocument, key: str) -> str:
    value = document.get(key)
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_NAME:
        raise InvalidOperand(key, value, "the name of a property, for example city")
    return read_name(value)


def _default(document: OperationDocument) -> Value:
    value = document.get("defaultComparisonValue")
    if value is not None and not isinstance(value, str | int | float):
        raise InvalidOperand("defaultComparisonValue", value, "a text, a number, or null")
    # As text, because 1 and true are equal in Python and differ in the comparison.
    return None if value is None else as_text(value)


def _default_time(document: OperationDocument) -> Value:
    value = _default(document)
    if not is_missing(value) and read_given_time(value) is None:
        raise InvalidOperand("defaultComparisonValue", value, f"{GIVEN_TIMES}, or null")
    return value


def _one_of(document: OperationDocument, key: str, allowed: tuple[str, ...], default: str | None = None) -> str:
    value = default if document.get(key) is None else document[key]
    if value not in allowed:
        raise InvalidOperand(key, value, " or ".join(allowed))
    return str(value)


def _integer(document: OperationDocument, key: str, least: int, most: int, default: int | None = None) -> int:
    value = default if document.get(key) is None else document[key]
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise InvalidOperand(key, value, f"a number from {least} to {most}")
    return value


def _count(document: OperationDocument) -> int:
    return _integer(document, "timeUnitCount", 1, MAX_UNITS, default=1)


def _unit(document: OperationDocument) -> str:
    if document.get("useFiscalYear"):
        raise InvalidOperand(
            "useFiscalYear", document["useFiscalYear"], "false, because fiscal years are not supported"
        )
    return _one_of(document, "timeUnit", calendars.UNITS)


def _point(document: OperationDocument, key: str) -> TimePoint:
    point = document.get(key)
    if not isinstance(point, dict):
        raise InvalidOperand(key, point, "an object")
    try:
        time_type = _one_of(point, "timeType", ("DATE", "INDEXED", "PROPERTY_REFERENCED"))
        if time_type == "DATE":
            return _fixed(point)
        return _indexed(point) if time_type == "INDEXED" else _referenced(point)
    except InvalidOperand as invalid:
        raise InvalidOperand(f"{key}.{invalid.key}", invalid.found, invalid.expected) from None


def _zone(document: OperationDocument) -> ZoneInfo | None:
    source = _one_of(
        document,
        "timezoneSource",
        TIME_ZONE_SOURCES,
        default="PORTAL" if document.get("zoneId") is None else "CUSTOM",
    )
    if source != "CUSTOM":
        return None
    name = document.get("zoneId")
    try:
        return ZoneInfo(name) if isinstance(name, str) and len(name) <= MAX_NAME else _no_zone(name)
    except (KeyError, ValueError, OSError):
        return _no_zone(name)


def _no_zone(name: object) -> ZoneInfo:
    raise InvalidOperand("zoneId", name, "a time zone, for example Europe/Dublin")


def _fixed(document: OperationDocument) -> FixedPoint:
    month = document.get("month")
    number = MONTHS.index(str(month)) + 1 if month in MONTHS else _integer(document, "month", 1, 12)
    year, day = _integer(document, "year", *YEARS), _integer(document, "day", 1, 31)
    hour, minute, second, millisecond = _time_of_day(document)
    zone = _zone(document)
    try:
        return FixedPoint(datetime(year, number, day, hour, minute, second, millisecond * 1000), zone)
    except ValueError:
        raise InvalidOperand("day", day, f"a day of {month} {year}") from None


def _time_of_day(document: OperationDocument) -> tuple[int, int, int, int]:
    return (
        _integer(document, "hour", 0, 23, default=0),
        _integer(document, "minute", 0, 59, default=0),
        _integer(document, "second", 0, 59, default=0),
        _integer(document, "millisecond", 0, 999, default=0),
    )


TIME_ZONE_SOURCES = ("CUSTOM", "USER", "PORTAL")
REFERENCES = ("NOW", "TODAY", "WEEK", "MONTH", "QUARTER", "YEAR")
PROPERTY_TIMES = ("VALUE", "UPDATED_AT")
PARSERS = (*PROPERTY_TIMES, "ANNIVERSARY")
ENDPOINTS = ("INCLUSIVE", "EXCLUSIVE")
WEEKDAYS = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")
OFFSETS = ("years", "quarters", "months", "weeks", "days", "hours", "minutes", "seconds", "milliseconds")


def _indexed(document: OperationDocument) -> IndexedPoint:
    reference = document.get("indexReference")
    if not isinstance(reference, dict):
        raise InvalidOperand("indexReference", reference, "an object")
    try:
        kind = _one_of(reference, "referenceType", REFERENCES)
        day = month = None
        if kind == "WEEK" and reference.get("dayOfWeek") is not None:
            day = WEEKDAYS.index(_one_of(reference, "dayOfWeek", WEEKDAYS)) + 1
        elif kind in ("MONTH", "QUARTER", "YEAR"):
            day = _integer(reference, "day", 1, MAX_DAY) if reference.get("day") is not None else None
            month = (
                _integer(reference, "month", 1, 12) if kind != "MONTH" and reference.get("month") is not None else None
            )
        at = _time_of_day(reference)
    except InvalidOperand as invalid:
        raise InvalidOperand(f"indexReference.{invalid.key}", invalid.found, invalid.expected) from None
    return IndexedPoint(kind, day, month, at, _offset(document), _zone(document))


def _referenced(document: OperationDocument) -> PropertyPoint:
    kind = _one_of(document, "referenceType", PROPERTY_TIMES, default="VALUE")
    return PropertyPoint(_name(document, "property"), kind == "UPDATED_AT", _offset(document), _zone(document))


def _offset(document: OperationDocument) -> tuple[tuple[str, int], ...]:
    offset = document.get("offset") or {}
    if not isinstance(offset, dict):
        raise InvalidOperand("offset", offset, "an object")
    for key in offset:
        if key not in OFFSETS:
            raise InvalidOperand(f"offset.{key}", offset[key], f"one of {', '.join(OFFSETS)}")
    try:
        return tuple((key, _integer(offset, key, -MAX_OFFSET, MAX_OFFSET)) for key in OFFSETS if offset.get(key))
    except InvalidOperand as invalid:
        raise InvalidOperand(f"offset.{invalid.key}", invalid.found, invalid.expected) from None


def _parser(document: OperationDocument) -> str:
    return _one_of(document, "propertyParser", PARSERS, default="VALUE")


def _includes(document: OperationDocument, key: str) -> bool:
    return _one_of(document, key, ENDPOINTS, default="EXCLUSIVE") == "INCLUSIVE"


# The table ----------------------------------------------------------------------------------------------------------

_SIDES = ("IS_BEFORE", "IS_AFTER")

_Read = Callable[[OperationDocument, str, bool], RecordOperation]


class RecordOperationType(Struct, frozen=True):
    """A row of the table: the operators of an operation type, and the function that reads an operation.

    ``read`` takes the flow JSON of the operation, the operator, and ``include_missing``. It raises InvalidOperand.
    ``keys``: the keys of the operands in the flow JSON. ``optional_keys``: those of operands that may be absent.
    """

    operators: tuple[str, ...]
    read: _Read
    keys: tuple[str, ...]
    optional_keys: tuple[str, ...] = ()


def _plain(document: OperationDocument, operator: str, include_missing: bool) -> RecordOperation:
    row = OPERATION_TYPES[document["operationType"]]
    if operator not in row.history:
        return EventOperation(operation(document))
    positive = _POSITIVES[operator.removeprefix("HAS_EVER_").removeprefix("HAS_NEVER_")]
    ever = operation_of(row, positive, document, include_missing=False)
    return HistoryOperator(document, operator, include_missing, ever)


_POSITIVES = {
    "BEEN_EQUAL_TO": "IS_EQUAL_TO",
    "CONTAINED": "CONTAINS",
    "BEEN_ANY_OF": "IS_ANY_OF",
    "BEEN_EXACTLY": "IS_EXACTLY",
    "CONTAINED_ALL": "CONTAINS_ALL",
}

RECORD_OPERATION_TYPES: Mapping[str, RecordOperationType] = MappingProxyType(
    {
        name: RecordOperationType((*row.tests, *sorted(row.history)), _plain, row.keys)
        for name, row in OPERATION_TYPES.items()
    }
    | {
        "ROLLING_DATE_RANGE": RecordOperationType(
            (
                "IS_LESS_THAN_X_DAYS_AGO",
                "IS_MORE_THAN_X_DAYS_AGO",
                "IS_LESS_THAN_X_DAYS_FROM_NOW",
                "IS_MORE_THAN_X_DAYS_FROM_NOW",
            ),
            lambda document, operator, missing: RollingDate(document, operator, missing, _days(document)),
            ("numberOfDays",),
        ),
        "ROLLING_PROPERTY_UPDATED": RecordOperationType(
            ("UPDATED_IN_LAST_X_DAYS", "NOT_UPDATED_IN_LAST_X_DAYS"),
            lambda document, operator, missing: Updated(document, operator, missing, _days(document)),
            ("numberOfDays",),
        ),
        "COMPARATIVE_DATE": RecordOperationType(
            _SIDES,
            lambda document, operator, missing: ComparativeDate(
                document, operator, missing, _name(document, "comparisonPropertyName"), _default_time(document)
            ),
            ("comparisonPropertyName",),
            ("defaultComparisonValue",),
        ),
        "COMPARATIVE_STRING": RecordOperationType(
            tuple(OPERATION_TYPES["STRING"].tests),
            lambda document, operator, missing: ComparativeString(
                document,
                operator,
                missing,
                OPERATION_TYPES["STRING"],
                _name(document, "comparisonPropertyName"),
                _default(document),
            ),
            ("comparisonPropertyName",),
            ("defaultComparisonValue",),
        ),
        "COMPARATIVE_PROPERTY_UPDATED": RecordOperationType(
            _SIDES,
            lambda document, operator, missing: ComparativeUpdated(
                document, operator, missing, _name(document, "comparisonPropertyName"), _default_time(document)
            ),
            ("comparisonPropertyName",),
            ("defaultComparisonValue",),
        ),
        "CALENDAR_DATE": RecordOperationType(
            (
                "IN_THIS_TIME_UNIT",
                "IN_THIS_TIME_UNIT_SO_FAR",
                "IN_LAST_TIME_UNIT",
                "IN_LAST_TIME_UNIT_SO_FAR",
                "IN_NEXT_TIME_UNIT",
            ),
            lambda document, operator, missing: CalendarDate(
                document, operator, missing, _unit(document), _count(document)
            ),
            ("timeUnit",),
            ("timeUnitCount", "useFiscalYear", "fiscalYearStart"),
        ),
        "TIME_POINT": RecordOperationType(
            _SIDES,
            lambda document, operator, missing: PointInTime(
                document,
                operator,
                missing,
                _point(document, "timePoint"),
                _includes(document, "endpointBehavior"),
                _parser(document),
            ),
            ("timePoint",),
            ("endpointBehavior", "propertyParser"),
        ),
        "TIME_RANGED": RecordOperationType(
            ("IS_BETWEEN", "IS_NOT_BETWEEN"),
            lambda document, operator, missing: RangeOfTime(
                document,
                operator,
                missing,
                _point(document, "lowerBoundTimePoint"),
                _point(document, "upperBoundTimePoint"),
                _includes(document, "lowerBoundEndpointBehavior"),
                _includes(document, "upperBoundEndpointBehavior"),
                _parser(document),
            ),
            ("lowerBoundTimePoint", "upperBoundTimePoint"),
            ("lowerBoundEndpointBehavior", "upperBoundEndpointBehavior", "propertyParser"),
        ),
    }
)


def record_operation(document: OperationDocument) -> RecordOperation:
    """Read an operation of the flow JSON. Raises InvalidOperand.

    The operation type and the operator must be in RECORD_OPERATION_TYPES.
    """
    document = MappingProxyType(dict(document))
    row = RECORD_OPERATION_TYPES[document["operationType"]]
    return row.read(document, document["operator"], document.get("includeObjectsWithNoValueSet") is True)


def zone_of(name: str) -> tzinfo:
    """Return the time zone with an IANA name. Raises InvalidOperand if it does not exist."""
    return _zone({"timezoneSource": "CUSTOM", "zoneId": name}) or _no_zone(name)
