"""Sort keys of events in the history of a record: texts in the order of the time of occurrence."""

from msgspec import Struct

from enrollment.domain.events.event import Event
from enrollment.domain.identifiers import RecordKey, join, split
from enrollment.domain.values import Instant, iso, read_instant

MIN_SORT_KEY = ""
# The character after "9" in ASCII, so it follows every sort key.
MAX_SORT_KEY = ":"


def event_sort_key(event: Event) -> str:
    """Return the sort key of an event: the time that its source gave, in ISO-8601, and the event's ID."""
    return f"{iso(event.given_time)}/{join(event.id)}"


def sort_key_at(instant: Instant) -> str:
    """Return a sort key before all events of an instant, and after all earlier ones."""
    return iso(instant)


class EventKey(Struct, frozen=True):
    """The place of an event in the history. ``sort_key``: that of ``event_sort_key``."""

    record: RecordKey
    sort_key: str

    @property
    def given_time(self) -> Instant:
        """The time of occurrence that the source gave, in milliseconds since 1970."""
        return read_instant(split(self.sort_key)[0]) or 0

    @property
    def event_id(self) -> str:
        """The ID of the event."""
        return split(self.sort_key)[1]
