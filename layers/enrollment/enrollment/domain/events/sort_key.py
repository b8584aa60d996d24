"""The place of an event among those of its record: as text, in the order of time."""

from enrollment.domain.events.event import Event
from enrollment.domain.identifiers import join
from enrollment.domain.values import Instant, iso

MIN_SORT_KEY = ""
# Follows every digit.
MAX_SORT_KEY = ":"


def event_sort_key(event: Event) -> str:
    return f"{iso(event.given_time)}/{join(event.id)}"


def sort_key_at(instant: Instant) -> str:
    """Before all that occurred then, after all that occurred earlier."""
    return iso(instant)
