"""Calendar time: days, units and offsets in a time zone. Instants are milliseconds, as everywhere.

A time that a change of the clock leaves out is read an hour later, one that it repeats is the first of the two.
Weeks begin on Monday.
"""

import calendar
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from enrollment.domain.values import EPOCH, LATEST, Instant, Value, read_instant

DAY_MS = 86_400_000

UNITS = ("DAY", "WEEK", "MONTH", "QUARTER", "YEAR")
_MONTHS = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}


def local(instant: Instant, zone: tzinfo) -> datetime:
    # The calendar ends a day early, so that no zone carries an instant over its edge.
    return (EPOCH + timedelta(milliseconds=min(max(instant, -LATEST // 5), LATEST - DAY_MS))).astimezone(zone)


def instant_of(moment: datetime) -> Instant:
    try:
        return (moment.astimezone(UTC) - EPOCH) // timedelta(milliseconds=1)
    except OverflowError:  # at the edge of the calendar a zone is of no matter
        return (moment.replace(tzinfo=UTC) - EPOCH) // timedelta(milliseconds=1)


def midnight(day: date, zone: tzinfo) -> Instant:
    return instant_of(datetime.combine(day, time(), zone))


def day_of(value: Value, zone: tzinfo) -> date | None:
    """The calendar day of a value. A day without a time, which HubSpot's date properties write as midnight in UTC, is
    that day everywhere. None: no time."""
    instant = read_instant(value)
    if instant is None:
        return None
    return local(instant, UTC if is_day(instant) else zone).date()


def is_day(instant: Instant) -> bool:
    """Whether it stands for a day without a time."""
    return instant % DAY_MS == 0


def unit_start(day: date, unit: str) -> date:
    """The first day of the DAY, WEEK, MONTH, QUARTER or YEAR that a day lies in."""
    if unit == "DAY":
        return day
    if unit == "WEEK":
        return day - timedelta(days=day.weekday())
    if unit == "MONTH":
        return day.replace(day=1)
    if unit == "QUARTER":
        return day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1)
    return day.replace(month=1, day=1)


def plus_units(day: date, unit: str, count: int) -> date:
    if unit in _MONTHS:
        return plus_months(day, _MONTHS[unit] * count)
    return _plus_days(day, count * (7 if unit == "WEEK" else 1))


def plus_months(day: date, months: int) -> date:
    """The same day of another month, or its last day; the edge of the calendar when it would lie beyond."""
    number = day.year * 12 + day.month - 1 + months
    if not 12 <= number < 9_999 * 12:
        return date.min if months < 0 else date.max.replace(year=9_998)
    year, month = divmod(number, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def shifted(moment: datetime, offset: Mapping[str, int]) -> Instant:
    """``offset``: years, quarters, months, weeks and days of the calendar, then hours and smaller units of time."""
    months = offset.get("years", 0) * 12 + offset.get("quarters", 0) * 3 + offset.get("months", 0)
    day = plus_months(moment.date(), months) if months else moment.date()
    day = _plus_days(day, offset.get("weeks", 0) * 7 + offset.get("days", 0))
    seconds = offset.get("hours", 0) * 3600 + offset.get("minutes", 0) * 60 + offset.get("seconds", 0)
    return instant_of(datetime.combine(day, moment.timetz())) + seconds * 1000 + offset.get("milliseconds", 0)


def anniversary(day: date, year: int) -> date:
    """Of 29 February it is the 28th in years that have none."""
    try:
        return day.replace(year=year)
    except ValueError:
        return day.replace(year=year, day=28)


def _plus_days(day: date, days: int) -> date:
    try:
        return day + timedelta(days=days)
    except OverflowError:
        return date.min if days < 0 else date.max.replace(year=9_998)
