"""`enroll catalog`"""

from typing import Annotated

import typer

from enroll.output import NOT_FOUND, AsJson, fail, print_json, print_table
from enrollment.catalog import CATEGORIES, EVENT_TYPE_IDS, EVENT_TYPES
from enrollment.domain.events.event_types import EventType
from enrollment.serialization.catalog import write_event_type
from enrollment.serialization.validation_errors import suggestion


def catalog(
    category: Annotated[str | None, typer.Option(help="Only this category.")] = None,
    event: Annotated[str | None, typer.Option(help="The properties of this event, by name or HubSpot id.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the events that can trigger a flow, and their properties."""
    if event is not None:
        found = EVENT_TYPE_IDS[event][0] if event in EVENT_TYPE_IDS else EVENT_TYPES.get(event)
        if found is None:
            fail(f"no event {event}{suggestion(event, [*EVENT_TYPES, *EVENT_TYPE_IDS])}", NOT_FOUND)
        _print_event(found, as_json)
        return
    if category is not None and category not in CATEGORIES:
        fail(f"no category {category}{suggestion(category, CATEGORIES)}; there are {', '.join(CATEGORIES)}", NOT_FOUND)
    events = [one for one in EVENT_TYPES.values() if category in (None, one.category)]
    if as_json:
        print_json([write_event_type(one) for one in events])
        return
    print_table(
        ("event", "what happened", "HubSpot ids", "flows of", "properties"),
        (
            (one.name, one.label, ", ".join(alias.id for alias in one.ids), one.object_types.label, len(one.properties))
            for one in events
        ),
    )


def _print_event(event: EventType, as_json: bool) -> None:
    if as_json:
        print_json(write_event_type(event))
        return
    print_table(
        ("property", "label", "type", "values", "operations"),
        (
            (one.name, one.label, one.type, ", ".join(one.options), ", ".join(sorted(one.operations)))
            for one in event.properties
        ),
        title=f"{event.name}: {event.label}, in flows of {event.object_types.label}",
    )
