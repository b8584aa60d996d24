"""`/enrollment/v1/events`: what can trigger a flow; `/enrollment/v1/portal`: who the caller is."""

from msgspec.structs import replace

from enrollment.catalog import CATEGORIES, EVENT_TYPE_IDS, EVENT_TYPES
from enrollment.domain.criteria.record_operators import zone_of
from enrollment.domain.enrollment.late_data_tolerance import MINUTE
from enrollment.domain.enrollment.portal_settings import PortalSettings
from enrollment.domain.operators.property_operators import InvalidOperand
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
from enrollment.serialization.validation_errors import format_value, nearest, suggestion

SETTINGS = ("timeZone", "criteriaTolerance", "recordTolerance", "allowedSources")
MAX_SOURCES = 50
MAX_SOURCE = 256
FLOW_TYPES = ("CONTACT_FLOW", "PLATFORM_FLOW")


def list_event_types(services: Services, request: Request) -> Reply:
    category, flow_type = request.query.get("category"), request.query.get("flowType")
    object_type = request.query.get("objectTypeId")
    if category is not None and category not in CATEGORIES:
        message = f"found {format_value(category)}, allowed is {', '.join(CATEGORIES)}"
        raise refuse("category", "UNKNOWN_OPTION", message, nearest(category, CATEGORIES))
    if flow_type is not None and flow_type not in FLOW_TYPES:
        message = f"found {format_value(flow_type)}, allowed is {' or '.join(FLOW_TYPES)}"
        raise refuse("flowType", "UNKNOWN_OPTION", message, nearest(flow_type, FLOW_TYPES))
    type_id = None if object_type is None else read_object_type(object_type)
    found = [
        write_event_type(one)
        for one in EVENT_TYPES.values()
        if category in (None, one.category) and (type_id is None or one.object_types.allow(type_id))
    ]
    return Reply(200, {"results": [one for one in found if flow_type is None or flow_type in one["flowTypes"]]})


def get_event_type(services: Services, request: Request) -> Reply:
    name = request.path["eventType"]
    found = EVENT_TYPE_IDS[name][0] if name in EVENT_TYPE_IDS else EVENT_TYPES.get(name)
    if found is None:
        raise RouteNotFound(f"no event {format_value(name)}{suggestion(name, [*EVENT_TYPES, *EVENT_TYPE_IDS])}")
    return Reply(200, write_event_type(found))


def get_portal(services: Services, request: Request) -> Reply:
    return Reply(200, _portal(request, services.portals.current(request.portal_id)))


def change_portal(services: Services, request: Request) -> Reply:
    reader = BodyReader()
    given = reader.mapping(request.body, "$")
    for key in given:
        if key not in SETTINGS:
            near = nearest(key, SETTINGS)
            hint = f" - did you mean {near}?" if near else ""
            reader.fault(
                f"$.{key[:80]}", "UNKNOWN_OPTION", f"no such setting, allowed is {' or '.join(SETTINGS)}{hint}"
            )
    reader.finish()
    settings = services.portals.current(request.portal_id)
    if "timeZone" in given:
        settings = replace(settings, time_zone=_time_zone(given["timeZone"]))
    if "criteriaTolerance" in given:
        tolerance = read_tolerance(given["criteriaTolerance"])
        if tolerance is None:
            found = format_value(given["criteriaTolerance"])
            raise refuse("$.criteriaTolerance", "INVALID_OPERAND", f"found {found}, allowed is {ALLOWED_TOLERANCE}")
        settings = replace(settings, tolerance=tolerance)
    if "recordTolerance" in given:
        record_tolerance = read_record_tolerance(given["recordTolerance"])
        if record_tolerance is None:
            expected = f"expected {EXPECTED_RECORD_TOLERANCE}, for example 60"
            raise refuse(
                "$.recordTolerance", "INVALID_OPERAND", f"{expected}; found {format_value(given['recordTolerance'])}"
            )
        settings = replace(settings, record_tolerance=record_tolerance)
    if "allowedSources" in given:
        settings = replace(settings, allowed_sources=_sources(given["allowedSources"]))
    services.portals.save(request.portal_id, settings)
    return Reply(200, _portal(request, settings))


def _time_zone(found: object) -> str:
    try:
        zone_of(found if isinstance(found, str) else "")
    except InvalidOperand as invalid:
        raise refuse(
            "$.timeZone", "INVALID_OPERAND", f"found {format_value(found)}, allowed is {invalid.expected}"
        ) from invalid
    return str(found)


def _sources(found: object) -> tuple[str, ...]:
    if not isinstance(found, list) or len(found) > MAX_SOURCES or not all(isinstance(one, str) for one in found):
        expected = (
            f'expected a list of up to {MAX_SOURCES} sources, for example ["acme.website"]; [] allows every source'
        )
        raise refuse("$.allowedSources", "WRONG_TYPE", f"{expected}; found {format_value(found)}")
    return tuple(
        dict.fromkeys(read_id(one, f"$.allowedSources[{number}]", MAX_SOURCE) for number, one in enumerate(found))
    )


def _portal(request: Request, settings: PortalSettings) -> dict[str, object]:
    caller = request.caller
    return {
        "portalId": caller.portal_id,
        "caller": caller.name,
        "scopes": sorted(caller.scopes),
        "timeZone": settings.time_zone,
        "criteriaTolerance": settings.tolerance / MINUTE,
        "recordTolerance": settings.record_tolerance / 1000,
        "allowedSources": list(settings.allowed_sources),
    }


ENDPOINTS = (
    Endpoint(
        "listEventTypes",
        "GET",
        "/enrollment/v1/events",
        "The events that can trigger a flow, with their properties and what may be asked of them",
        list_event_types,
        {200: "EventTypes"},
        query=(
            Query("category", "Only of this category.", {"type": "string", "enum": list(CATEGORIES)}),
            Query("flowType", "Only what flows of this type may use.", {"type": "string", "enum": list(FLOW_TYPES)}),
            Query("objectTypeId", "Only what flows of this object type may use."),
        ),
        example=Example(query={"category": "forms"}),
        concerns_a_portal=False,
    ),
    Endpoint(
        "readEventType",
        "GET",
        "/enrollment/v1/events/{eventType}",
        "One event of the catalogue, by its name or HubSpot's id",
        get_event_type,
        {200: "EventType"},
        example=Example(path={"eventType": "forms.submitted"}),
        concerns_a_portal=False,
    ),
    Endpoint(
        "readPortal",
        "GET",
        "/enrollment/v1/portal",
        "Which portal this is, how it is set, and what the caller may do in it",
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
        description="The time zone is that of the days, weeks and months of criteria. criteriaTolerance, in minutes, "
        "is how long flows that do not set their own wait for data that arrives after its event; recordTolerance, in "
        "seconds, how long they wait for the record itself. allowedSources are the sources of the bus whose events the "
        "portal accepts besides the stack's own; none: every source. A change takes effect within a minute.",
        body="PortalInput",
        example=Example(body={"timeZone": "Europe/Dublin"}),
    ),
)
