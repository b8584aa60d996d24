"""The keys of what causes an enrollment: an event of the bus, a change of the record, a caller who enrolls the record,
or a backfill."""

from enrollment.domain.events.own_types import REQUESTED
from enrollment.domain.identifiers import join


def cause_key(event_type: str, event_id: str) -> str:
    """Return the end of the key of a re-enrollment: the escaped event ID, or, for a manual enrollment or a backfill, an
    empty part and the ID. No event ID gives the key of such a cause, because ``join`` escapes the slash."""
    return join("", event_id) if event_type in REQUESTED else join(event_id)


def change_key(name: str) -> str:
    """Return the end of the key of a re-enrollment by a named change in a filter-based flow: an empty part and the
    name. No event ID and no manual enrollment gives the same key."""
    return join("", name)
