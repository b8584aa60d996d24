"""`enroll catalog`"""

from typing import Annotated

import typer

from enroll.output import NOT_FOUND, AsJson, fail, print_json, print_table
from enroll.tables import Column
from enrollment.catalog import CATEGORIES, EVENT_TYPE_IDS, EVENT_TYPES
from enrollment.domain.events.event_types import EventType
from enrollment.serialization.catalog import write_event_type
from enrollment.serialization.validation_errors import suggestion


def catalog(
    category: Annotated[str | None, typer.Option(help="Only this category.")] = None,
    event: Annotated[
        str | None, typer.Option(help="Show the properties of this event. Its name or HubSpot ID.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the events that can trigger a flow, and their properties."""
    if event is not None:
        event_type = EVENT_TYPE_IDS[event][0] if event in EVENT_TYPE_IDS else EVENT_TYPES.get(event)
        if event_type is None:
            fail(f"there is no event {event}{suggestion(event, [*EVENT_TYPES, *EVENT_TYPE_IDS])}", NOT_FOUND)
        _print_event(event_type, as_json)
        return
    if category is not None and category not in CATEGORIES:
        fail(
            f"expected a category, one of {', '.join(CATEGORIES)}; got {category}{suggestion(category, CATEGORIES)}",
            NOT_FOUND,
        )
    events = [event_type for event_type in EVENT_TYPES.values() if category in (None, event_type.category)]
    if as_json:
        print_json([write_event_type(event_type) for event_type in events])
        return
    print_table(
        ("event", "properties", "flows of", Column("what happened", is_message=True), "HubSpot IDs"),
        (
            (
                event_type.name,
                len(event_type.properties),
                event_type.object_types.label,
                event_type.label,
                ", ".join(alias.id for alias in event_type.ids),
            )
            for event_type in events
        ),
    )


def _print_event(event: EventType, as_json: bool) -> None:
    if as_json:
        print_json(write_event_type(event))
        return
    print_table(
        ("property", "type", "label", Column("values", is_message=True), Column("operations", is_message=True)),
        (
            (
                definition.name,
                definition.type,
                definition.label,
                ", ".join(definition.options),
                ", ".join(sorted(definition.operations)),
            )
            for definition in event.properties
        ),
        title=f"{event.name}: {event.label}, in flows of {event.object_types.label}",
    )
