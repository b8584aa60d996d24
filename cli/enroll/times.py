"""Show points in time on the command line."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Times:
    """How a command shows times.

    ``is_full`` shows ISO 8601 in UTC with milliseconds, for a pipe. Otherwise a time is HH:MM:SS, with the date if it
    is not today: in UTC if ``is_utc``, in the time zone of this machine if not.
    """

    is_utc: bool = False
    is_full: bool = False
    now: datetime = field(default_factory=_now)

    def text(self, moment: str | int | None) -> str:
        """Return a time as text. ``moment`` is ISO 8601 or epoch milliseconds. A text that is no time is unchanged."""
        if moment is None:
            return ""
        try:
            instant = datetime.fromtimestamp(moment / 1000, UTC) if isinstance(moment, int) else _read(moment)
            if self.is_full:
                return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            local = self._zoned(instant)
            today = self._zoned(self.now).date()
        except (ValueError, OverflowError, OSError):
            return str(moment)
        return f"{local:%H:%M:%S}" if local.date() == today else f"{local:%Y-%m-%d %H:%M:%S}"

    def _zoned(self, instant: datetime) -> datetime:
        return instant.astimezone(UTC if self.is_utc else None)


def _read(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
