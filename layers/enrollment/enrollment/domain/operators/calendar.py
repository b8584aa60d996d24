"""Calendar arithmetic: days, units and offsets in a time zone. Instants are milliseconds since 1970 in UTC.

A local time that daylight saving skips is read as an hour later. One that occurs twice is the first of the two.
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
    """Return an instant in a time zone. Instants outside Python's calendar are moved to its edge."""
    # The limit is a day earlier than Python's, so that no offset of a zone exceeds it.
    return (EPOCH + timedelta(milliseconds=min(max(instant, -LATEST // 5), LATEST - DAY_MS))).astimezone(zone)


def instant_of(moment: datetime) -> Instant:
    """Return the instant of a time with a zone."""
    try:
        return (moment.astimezone(UTC) - EPOCH) // timedelta(milliseconds=1)
    except OverflowError:  # the offset exceeds Python's calendar, and is ignored
        return (moment.replace(tzinfo=UTC) - EPOCH) // timedelta(milliseconds=1)


def midnight(day: date, zone: tzinfo) -> Instant:
    """Return the beginning of a day in a time zone."""
    return instant_of(datetime.combine(day, time(), zone))


def day_of(value: Value, zone: tzinfo) -> date | None:
    """Return the calendar day of a value in a time zone. None if the value is not a time.

    Midnight in UTC stands for a day without a time, as in HubSpot's date properties. It is the same day in every zone.
    """
    instant = read_instant(value)
    if instant is None:
        return None
    return local(instant, UTC if is_day(instant) else zone).date()


def is_day(instant: Instant) -> bool:
    """Whether the instant is midnight in UTC, which stands for a day without a time."""
    return instant % DAY_MS == 0


def unit_start(day: date, unit: str) -> date:
    """Return the first day of the DAY, WEEK, MONTH, QUARTER or YEAR that contains a day."""
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
    """Return a day plus a number of units (DAY, WEEK, MONTH, QUARTER or YEAR), which may be negative."""
    if unit in _MONTHS:
        return plus_months(day, _MONTHS[unit] * count)
    return _plus_days(day, count * (7 if unit == "WEEK" else 1))


def plus_months(day: date, months: int) -> date:
    """Return the same day of another month, or its last day. A result outside the calendar is moved to its edge."""
    number = day.year * 12 + day.month - 1 + months
    if not 12 <= number < 9_999 * 12:
        return date.min if months < 0 else date.max.replace(year=9_998)
    year, month = divmod(number, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def shifted(moment: datetime, offset: Mapping[str, int]) -> Instant:
    """Return the instant of a time plus an offset.

    ``offset``: counts by unit. Years to days are added in the calendar first, then hours to milliseconds in time.
    """
    months = offset.get("years", 0) * 12 + offset.get("quarters", 0) * 3 + offset.get("months", 0)
    day = plus_months(moment.date(), months) if months else moment.date()
    day = _plus_days(day, offset.get("weeks", 0) * 7 + offset.get("days", 0))
    seconds = offset.get("hours", 0) * 3600 + offset.get("minutes", 0) * 60 + offset.get("seconds", 0)
    return instant_of(datetime.combine(day, moment.timetz())) + seconds * 1000 + offset.get("milliseconds", 0)


def anniversary(day: date, year: int) -> date:
    """Return the anniversary of a day in a year. For 29 February, it is the 28th in years that are not leap years."""
    try:
        return day.replace(year=year)
    except ValueError:
        return day.replace(year=year, day=28)


def _plus_days(day: date, days: int) -> date:
    try:
        return day + timedelta(days=days)
    except OverflowError:
        return date.min if days < 0 else date.max.replace(year=9_998)
