"""Warnings about valid events: names that this version ignores, which are often misspelled."""

from collections.abc import Sequence

from enrollment.domain.events.event import Event
from enrollment.domain.similar_names import nearest
from enrollment.serialization.event_fields import DETAIL_KEYS, PROPERTY_NAMES, RECORD_KEYS
from enrollment.serialization.validation_errors import hint


def event_warnings(event: Event) -> Sequence[str]:
    """Return a sentence for each unknown name of an event, with the known name that it probably stands for."""
    return [unknown_name_warning(path, event.event_type.name) for path in event.unknown_names]


def unknown_name_warning(path: str, event_type: str) -> str:
    """Return the warning about an unknown name. ``path``: of a key or property, as ``Event.unknown_names`` has it.
    ``event_type``: the name of a known event type, or any other text."""
    for prefix, known, what in (
        ("detail.properties.", PROPERTY_NAMES.get(event_type, frozenset()), f"a property of {event_type}"),
        ("detail.record.", RECORD_KEYS, "a key of record"),
        ("detail.", DETAIL_KEYS, "a key of an event"),
    ):
        if path.startswith(prefix):
            meant = nearest(path.removeprefix(prefix), sorted(known))
            return f"{path}: expected {what}; this name is ignored{hint(meant)}"
    return f"{path}: this name is ignored"
