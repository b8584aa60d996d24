"""Read the periods that options name, for example 7d."""

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
