"""`enroll catalog`"""

from typing import Annotated

import typer

from enroll.completion import complete_categories, complete_event_types, complete_properties
from enroll.output import INVALID, NOT_FOUND, AsJson, fail, print_json, print_table
from enroll.tables import Column
from enrollment.catalog import CATEGORIES, EVENT_TYPE_IDS, EVENT_TYPES
from enrollment.domain.events.event_types import EventType
from enrollment.serialization.catalog import write_event_type
from enrollment.serialization.validation_errors import suggestion


def catalog(
    category: Annotated[
        str | None, typer.Option(help="Only this category.", autocompletion=complete_categories)
    ] = None,
    event: Annotated[
        str | None,
        typer.Option(
            help="Show the properties of this event. Its name or HubSpot ID.", autocompletion=complete_event_types
        ),
    ] = None,
    property_name: Annotated[
        str | None,
        typer.Option("--property", help="With --event: only this property.", autocompletion=complete_properties),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the events that can trigger a flow, and their properties."""
    if event is not None:
        event_type = EVENT_TYPE_IDS[event][0] if event in EVENT_TYPE_IDS else EVENT_TYPES.get(event)
        if event_type is None:
            fail(f"there is no event {event}{suggestion(event, [*EVENT_TYPES, *EVENT_TYPE_IDS])}", NOT_FOUND)
        _print_event(event_type, property_name, as_json)
        return
    if property_name is not None:
        fail("--property: expected it with --event, for example --event forms.submitted", INVALID)
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
        ("event", "what happened", "flows of", "HubSpot IDs", "properties"),
        (
            (
                event_type.name,
                event_type.label,
                event_type.object_types.label,
                ", ".join(alias.id for alias in event_type.ids),
                len(event_type.properties),
            )
            for event_type in events
        ),
    )


def _print_event(event: EventType, property_name: str | None, as_json: bool) -> None:
    names = [definition.name for definition in event.properties]
    if property_name not in (None, *names):
        fail(f"{event.name} has no property {property_name}{suggestion(property_name or '', names)}", NOT_FOUND)
    if as_json:
        document = write_event_type(event)
        properties = document["properties"]
        print_json({**document, "properties": [each for each in properties if property_name in (None, each["name"])]})
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
            if property_name in (None, definition.name)
        ),
        title=f"{event.name}: {event.label}, in flows of {event.object_types.label}",
    )
