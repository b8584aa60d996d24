"""Read the periods and the longest waits that options name, for example 7d and 30s."""

import re

from enroll.output import INVALID, fail

UNITS_MS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 7 * 86_400_000}
_DURATION = re.compile(r"([0-9]{1,5})([mhdw])", re.ASCII)


def read_duration(option: str, text: str) -> int:
    """Return a period in milliseconds: minutes (30m), hours (12h), days (7d) or weeks (2w).

    Ends the command with INVALID for any other text. ``option``: its name, for the message.
    """
    match = _DURATION.fullmatch(text.strip().lower())
    if match is None or int(match[1]) == 0:
        fail(
            f"{option}: expected minutes, hours, days or weeks, for example 30m, 12h, 7d or 2w; got {text!r}",
            INVALID,
        )
    return int(match[1]) * UNITS_MS[match[2]]


SECONDS = {"s": 1, "m": 60, "h": 3600}
_TIMEOUT = re.compile(r"([0-9]{1,7}(?:\.[0-9]{1,3})?)([smh]?)", re.ASCII)


def read_timeout(text: str, *, default_unit: str = "s", minimum_seconds: float = 0) -> float:
    """Return the seconds of --timeout: 30s, 5m or 1h. A number without unit has ``default_unit``.

    Ends the command with INVALID for any other text.
    """
    match = _TIMEOUT.fullmatch(text.strip().lower())
    seconds = None if match is None else float(match[1]) * SECONDS[match[2] or default_unit]
    if seconds is None or seconds < minimum_seconds:
        least = f", at least {minimum_seconds:g}s" if minimum_seconds else ""
        fail(f"--timeout: expected seconds, minutes or hours{least}, for example 30s, 5m or 1h; got {text!r}", INVALID)
    return seconds
