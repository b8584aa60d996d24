"""Serve `/enrollment/v1/events`, the catalog of events that can trigger a flow, and `/enrollment/v1/portal`, the
portal's settings and the caller's rights."""

from msgspec.structs import replace

from enrollment.catalog import CATEGORIES, EVENT_TYPE_IDS, EVENT_TYPES
from enrollment.domain.criteria.record_operators import zone_of
from enrollment.domain.enrollment.late_data_tolerance import MINUTE
from enrollment.domain.enrollment.portal_settings import PortalSettings
from enrollment.domain.events.event_types import EventType
from enrollment.domain.operators.property_operators import InvalidOperand
from enrollment.domain.similar_names import nearest
from enrollment.entrypoints.http_api.endpoint import Endpoint, Example, Query, Reply, Request, Scope, Services
from enrollment.entrypoints.http_api.problems import RouteNotFound
from enrollment.serialization.catalog import write_event_type
from enrollment.serialization.flows import (
    ALLOWED_TOLERANCE,
    EXPECTED_RECORD_TOLERANCE,
    read_record_tolerance,
    read_tolerance,
)
from enrollment.serialization.requests import BodyReader, read_id, read_object_type, refuse
from enrollment.serialization.validation_errors import expectation, format_value, suggestion

# The keys of the body of PATCH. The two limits below are those of the list of sources, and of the characters of each.
SETTINGS = ("timeZone", "criteriaTolerance", "recordTolerance", "allowedSources")
MAX_SOURCES = 50
MAX_SOURCE = 256
FLOW_TYPES = ("CONTACT_FLOW", "PLATFORM_FLOW")


def list_event_types(services: Services, request: Request) -> Reply:
    """List the events of the catalog, filtered by category, flow type and object type."""
    category, flow_type = request.query.get("category"), request.query.get("flowType")
    object_type = request.query.get("objectTypeId")
    if category is not None and category not in CATEGORIES:
        message = expectation(f"one of {', '.join(CATEGORIES)}", category)
        raise refuse("category", "UNKNOWN_OPTION", message, nearest(category, CATEGORIES))
    if flow_type is not None and flow_type not in FLOW_TYPES:
        message = expectation(" or ".join(FLOW_TYPES), flow_type)
        raise refuse("flowType", "UNKNOWN_OPTION", message, nearest(flow_type, FLOW_TYPES))
    object_type_id = None if object_type is None else read_object_type(object_type)
    results = [
        write_event_type(event_type)
        for event_type in EVENT_TYPES.values()
        if category in (None, event_type.category)
        and (object_type_id is None or event_type.object_types.allow(object_type_id))
    ]
    return Reply(
        200, {"results": [result for result in results if flow_type is None or flow_type in result["flowTypes"]]}
    )


def get_event_type(services: Services, request: Request) -> Reply:
    """Return an event of the catalog, by its name or HubSpot's ID. Raises RouteNotFound."""
    return Reply(200, write_event_type(event_type_of_path(request)))


def event_type_of_path(request: Request) -> EventType:
    """Return the event of the catalog that the path names, by its name or HubSpot's ID. Raises RouteNotFound."""
    name = request.path["eventType"]
    event_type = EVENT_TYPE_IDS[name][0] if name in EVENT_TYPE_IDS else EVENT_TYPES.get(name)
    if event_type is None:
        raise RouteNotFound(f"no event {format_value(name)}{suggestion(name, [*EVENT_TYPES, *EVENT_TYPE_IDS])}")
    return event_type


def get_portal(services: Services, request: Request) -> Reply:
    """Return the portal's settings and the caller's rights."""
    return Reply(200, _portal(services, request, services.portals.current(request.portal_id)))


def change_portal(services: Services, request: Request) -> Reply:
    """Change the settings that the body names, and return all. Raises InvalidRequest."""
    reader = BodyReader()
    body = reader.mapping(request.body, "$")
    for key in body:
        if key not in SETTINGS:
            expected = f"a setting: {', '.join(SETTINGS[:-1])} or {SETTINGS[-1]}"
            reader.fault(f"$.{key[:80]}", "UNKNOWN_OPTION", expectation(expected, key) + suggestion(key, SETTINGS))
    reader.finish()
    settings = services.portals.current(request.portal_id)
    if "timeZone" in body:
        settings = replace(settings, time_zone=_time_zone(body["timeZone"]))
    if "criteriaTolerance" in body:
        tolerance = read_tolerance(body["criteriaTolerance"])
        if tolerance is None:
            message = expectation(f"{ALLOWED_TOLERANCE}, for example 5", body["criteriaTolerance"])
            raise refuse("$.criteriaTolerance", "INVALID_OPERAND", message)
        settings = replace(settings, tolerance=tolerance)
    if "recordTolerance" in body:
        record_tolerance = read_record_tolerance(body["recordTolerance"])
        if record_tolerance is None:
            message = expectation(f"{EXPECTED_RECORD_TOLERANCE}, for example 60", body["recordTolerance"])
            raise refuse("$.recordTolerance", "INVALID_OPERAND", message)
        settings = replace(settings, record_tolerance=record_tolerance)
    if "allowedSources" in body:
        settings = replace(settings, allowed_sources=_sources(body["allowedSources"]))
    services.portals.save(request.portal_id, settings)
    return Reply(200, _portal(services, request, settings))


def _time_zone(name: object) -> str:
    try:
        zone_of(name if isinstance(name, str) else "")
    except InvalidOperand as invalid:
        raise refuse("$.timeZone", "INVALID_OPERAND", expectation(invalid.expected, name)) from invalid
    return str(name)


def _sources(sources: object) -> tuple[str, ...]:
    if (
        not isinstance(sources, list)
        or len(sources) > MAX_SOURCES
        or not all(isinstance(source, str) for source in sources)
    ):
        message = expectation(
            f'a list of up to {MAX_SOURCES} sources, for example ["acme.website"]',
            sources,
            "Send [] to allow every source",
        )
        raise refuse("$.allowedSources", "WRONG_TYPE", message)
    return tuple(
        dict.fromkeys(
            read_id(source, f"$.allowedSources[{number}]", MAX_SOURCE) for number, source in enumerate(sources)
        )
    )


def _portal(services: Services, request: Request, settings: PortalSettings) -> dict[str, object]:
    caller, stack = request.caller, services.stack
    return {
        "portalId": caller.portal_id,
        "caller": caller.name,
        "scopes": sorted(caller.scopes),
        "timeZone": settings.time_zone,
        "criteriaTolerance": settings.tolerance / MINUTE,
        "recordTolerance": settings.record_tolerance / 1000,
        "allowedSources": list(settings.allowed_sources),
        "stack": stack.name,
        "region": stack.region,
        "isLocal": stack.is_local,
        "historyDays": stack.history_days,
        "historyLength": stack.history_length,
        "features": list(stack.features),
    }


ENDPOINTS = (
    Endpoint(
        "listEventTypes",
        "GET",
        "/enrollment/v1/events",
        "List the events that can trigger a flow, with their properties and operators",
        list_event_types,
        {200: "EventTypes"},
        query=(
            Query("category", "Only the events of this category.", {"type": "string", "enum": list(CATEGORIES)}),
            Query(
                "flowType",
                "Only events that can trigger this type of flow.",
                {"type": "string", "enum": list(FLOW_TYPES)},
            ),
            Query("objectTypeId", "Only events that can trigger flows of this object type."),
        ),
        example=Example(query={"category": "forms"}),
        concerns_a_portal=False,
    ),
    Endpoint(
        "readEventType",
        "GET",
        "/enrollment/v1/events/{eventType}",
        "Get an event of the catalog, by its name or HubSpot's ID",
        get_event_type,
        {200: "EventType"},
        example=Example(path={"eventType": "forms.submitted"}),
        concerns_a_portal=False,
    ),
    Endpoint(
        "readPortal",
        "GET",
        "/enrollment/v1/portal",
        "Get the portal's settings, the caller's scopes, and what the stack can do",
        get_portal,
        {200: "Portal"},
    ),
    Endpoint(
        "changePortal",
        "PATCH",
        "/enrollment/v1/portal",
        "Change the portal's settings",
        change_portal,
        {200: "Portal"},
        scope=Scope.WRITE_FLOWS,
        description="`timeZone` applies to days, weeks and months in criteria. `criteriaTolerance` is the number of "
        "minutes that a flow waits for data that arrives after its event; `recordTolerance` is the number of seconds "
        "that it waits for the record itself. Both apply to flows without a value of their own. `allowedSources` lists "
        "the EventBridge sources from which the portal accepts events; an empty list allows every source. The stack's "
        "own source is always allowed. A change takes effect within a minute.",
        body="PortalInput",
        example=Example(body={"timeZone": "Europe/Dublin"}),
    ),
)
