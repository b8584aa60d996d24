"""Property values, and their conversion to text, numbers, booleans, options and times.

Values are JSON. HubSpot sends every value as a string, other sources send numbers and booleans. So each function
accepts both, with the same result for ``"3"`` and ``3``.
"""

import math
import re
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache

Value = str | int | float | bool | None | list[str]
Properties = Mapping[str, Value]

# Milliseconds since 1970-01-01T00:00:00Z. All times inside the package are instants.
Instant = int

# The clocks of a source, of EventBridge and of two functions may differ by this much. The order of two times from
# different clocks is reliable only beyond it.
CLOCK_SKEW_MS = 5 * 60 * 1000

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
LATEST: Instant = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z

# Separates the values of a property with several values (docs/flows.md).
SEPARATOR = ";"

_NUMBER = re.compile(r"[+-]?(\d{1,64}(\.\d{0,64})?|\.\d{1,64})([eE][+-]?\d{1,4})?", re.ASCII)
_INTEGER = re.compile(r"-?\d{1,15}", re.ASCII)
_PLAIN_NAMES = re.compile(r"[a-z0-9_]*", re.ASCII)

_BOOLS: Mapping[str, bool] = {
    **dict.fromkeys(("true", "yes", "1", "on"), True),
    **dict.fromkeys(("false", "no", "0", "off"), False),
}
# The spellings of booleans, for messages.
BOOLS = "true, yes, 1, on, false, no, 0 or off"


def is_missing(value: Value) -> bool:
    """Whether a property has no value: null, empty, or a list of empty texts. An absent property is read as null."""
    if isinstance(value, list):
        return not any(value)
    return value is None or value == ""


def with_defaults(properties: Properties, defaults: Properties) -> Properties:
    """Return the properties with defaults for those that have no value."""
    added = {name: value for name, value in defaults.items() if is_missing(properties.get(name))}
    return {**properties, **added} if added else properties


def as_text(value: Value) -> str:
    """Return the value as HubSpot sends it: ``true``, ``3``, ``a;b``. Null is an empty text."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, list):
        return SEPARATOR.join(value)
    return "" if value is None else str(value)


def fold(text: str) -> str:
    """Return the form in which texts are compared: case-folded and in NFC, so that both encodings of é are equal."""
    return text.lower() if text.isascii() else _composed(text)


@lru_cache(maxsize=256)
def _composed(text: str) -> str:
    # Cached for all filters on the value, because the time grows with the square of a run of combining characters, to
    # 10 ms for the longest value.
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def read_name(value: Value) -> str:
    """Return the normalized spelling of a property name or a list ID: case-folded, without blanks at the ends."""
    return fold(as_text(value).strip())


def is_list_id(value: object) -> bool:
    """Whether a value is the ID of one list: a text or an integer, not blank, and without SEPARATOR."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return False
    return bool(str(value).strip()) and SEPARATOR not in str(value)


def are_names(texts: Iterable[str]) -> bool:
    """Whether all texts consist of ASCII characters that ``read_name`` does not change. Faster than ``read_name``.

    False does not mean that one would change.
    """
    return _PLAIN_NAMES.fullmatch("".join(texts)) is not None


def read_text(value: Value) -> str:
    """Return the value as text in the form in which texts are compared."""
    return fold(as_text(value))


def read_number(value: Value) -> Decimal | None:
    """Return the exact number, so that long IDs that differ in the last digit differ. None: it is not a number."""
    if isinstance(value, bool | list) or value is None:
        return None
    text = as_text(value).strip()
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def read_bool(value: Value) -> bool | None:
    """Return the boolean that a value stands for (BOOLS, in any case). None: it stands for none."""
    if isinstance(value, bool):
        return value
    return _BOOLS.get(read_text(value).strip())


def read_options(value: Value) -> frozenset[str]:
    """Return the values of a property with several values, in the form in which they are compared."""
    if isinstance(value, str) and SEPARATOR not in value:  # fast path for nearly all values
        part = value.strip()
        return frozenset((fold(part),)) if part else frozenset()
    parts = value if isinstance(value, list) else as_text(value).split(SEPARATOR)
    return frozenset(fold(part.strip()) for part in parts if part.strip())


def read_instant(value: Value) -> Instant | None:
    """Return the instant of a value in epoch milliseconds or ISO-8601. None: it is neither.

    A time without a zone and a date without a time are in UTC.
    """
    number = _read_integer(value)
    if number is None:
        return _from_iso(value.strip()) if isinstance(value, str) else None
    return number if -LATEST <= number <= LATEST else None


def _read_integer(value: Value) -> int | None:
    if isinstance(value, str):
        text = value.strip()
        return int(text) if _INTEGER.fullmatch(text) else None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _from_iso(text: str) -> Instant | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    instant = (moment - EPOCH) // timedelta(milliseconds=1)
    # With its zone, a time on the first or the last day can be outside the calendar.
    return instant if _EARLIEST <= instant <= LATEST else None


def read_time(value: object) -> tuple[Instant, bool] | None:
    """Return when something occurred, and whether that time is known to the second only.

    A text in ISO-8601 needs a zone. An integer, or a text of digits, is seconds if it has 9 or 10 digits, and
    milliseconds if it has 12 or 13. Return None for anything else.
    """
    if isinstance(value, str):
        return _read_digits(value) if value.isascii() and value.isdigit() else _read_iso_time(value)
    if isinstance(value, float) and math.isfinite(value):
        # Some sources send fractions of a millisecond, which are cut. Epoch seconds with a fraction are refused.
        number = math.floor(value)
        return read_epoch(number) if number == value or number in _EPOCH_MILLISECONDS else None
    return read_epoch(value) if isinstance(value, int) and not isinstance(value, bool) else None


def read_epoch(number: int) -> tuple[Instant, bool] | None:
    """Return the instant of epoch seconds or milliseconds, and whether it is known to the second only."""
    if number in _EPOCH_SECONDS:
        return number * 1000, True
    return (number, False) if number in _EPOCH_MILLISECONDS else None


def read_given_time(value: Value) -> Instant | None:
    """Return the time that a person wrote: an operand of a flow, or an option on the command line.

    A text in ISO-8601 without a zone is UTC. Integers of 9 or 10 digits are seconds; of 8 digits, a date if they are
    one (``20261123``); all others of up to 13 digits are milliseconds, negative ones too. Return None for all else.
    """
    number = _read_integer(value)
    if number is None:
        return _from_iso(value.strip()) if isinstance(value, str) else None
    if number in _EPOCH_SECONDS:
        return number * 1000
    if number in _DATES:
        day = _from_iso(str(number))
        return number if day is None else day
    return number if abs(number) < _EPOCH_MILLISECONDS.stop else None


# For messages.
GIVEN_TIMES = (
    "a time in ISO-8601 (2026-11-23T10:00:00Z), a date (2026-11-23 or 20261123), "
    "epoch seconds (9 or 10 digits), or epoch milliseconds (12 or 13 digits)"
)

_DATES = range(10**7, 10**8)

# Integers of 9 or 10 digits, and of 12 or 13 digits. Both are times from March 1973 to November 2286.
_EPOCH_SECONDS = range(10**8, 10**10)
_EPOCH_MILLISECONDS = range(10**11, 10**13)
_MAX_DIGITS = 15


def _read_digits(text: str) -> tuple[Instant, bool] | None:
    return read_epoch(int(text)) if len(text) <= _MAX_DIGITS else None


def _read_iso_time(text: str) -> tuple[Instant, bool] | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    return (moment - EPOCH) // MILLISECOND, "." not in text and "," not in text


def read_date(value: Value) -> date | None:
    """Return the calendar day of a value in UTC. None: it is not a time."""
    instant = read_instant(value)
    return None if instant is None else date_of(instant)


def date_of(instant: Instant) -> date:
    """Return the calendar day of an instant in UTC. Instants outside Python's calendar are moved to its edge."""
    return (EPOCH + timedelta(milliseconds=min(max(instant, _EARLIEST), LATEST))).date()


def iso(instant: Instant) -> str:
    """Return an instant in ISO-8601 with milliseconds, in UTC: ``2026-11-23T10:00:00.000Z``."""
    moment = EPOCH + timedelta(milliseconds=instant)
    return moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def iso_second(instant: Instant) -> str:
    """Return an instant that is known to the second in ISO-8601, in UTC: ``2026-11-23T10:00:00Z``."""
    return f"{iso(instant)[:-5]}Z"


_EARLIEST: Instant = -62_135_596_800_000  # 0001-01-01T00:00:00Z
