"""Sort keys of events in the history of a record: texts in the order of the time of occurrence."""

from enrollment.domain.events.event import Event
from enrollment.domain.identifiers import join
from enrollment.domain.values import Instant, iso

MIN_SORT_KEY = ""
# The character after "9" in ASCII, so it follows every sort key.
MAX_SORT_KEY = ":"


def event_sort_key(event: Event) -> str:
    """Return the sort key of an event: the time that its source gave, in ISO-8601, and the event's ID."""
    return f"{iso(event.given_time)}/{join(event.id)}"


def sort_key_at(instant: Instant) -> str:
    """Return a sort key before all events of an instant, and after all earlier ones."""
    return iso(instant)
