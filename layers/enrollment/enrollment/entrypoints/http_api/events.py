"""`/events/v3/events`: what happened to a record; `…/occurred`: whether something has."""

import json

from msgspec.structs import replace

from enrollment.application.event_history import EventQuery
from enrollment.catalog import EVENT_TYPE_IDS, EVENT_TYPES
from enrollment.domain.flows.flow import TriggerGroup
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.values import Instant, iso
from enrollment.entrypoints.http_api.endpoint import (
    AFTER,
    FEWER,
    Endpoint,
    Example,
    Query,
    Reply,
    Request,
    Services,
    page,
    required,
)
from enrollment.serialization.events import write_occurrence
from enrollment.serialization.flows import InvalidFlow, read_condition
from enrollment.serialization.requests import (
    InvalidRequest,
    read_cursor,
    read_id,
    read_limit,
    read_moment,
    read_object_type,
    refuse,
    write_cursor,
)
from enrollment.serialization.validation_errors import format_value, nearest

# Whether the newest comes first.
SORTS = {"DESCENDING": True, "ASCENDING": False, "-occurredAt": True, "occurredAt": False}
PROPERTIES_FILTER = '[{"filterType": "PROPERTY", "property": "hs_form_id", …}]'


def list_events(services: Services, request: Request) -> Reply:
    query = request.query
    key = RecordKey(request.portal_id, read_object_type(required(request, "objectType")), required(request, "objectId"))
    sort = query.get("sort", "DESCENDING")
    if sort not in SORTS:
        raise refuse("sort", "UNKNOWN_OPTION", f"found {format_value(sort)}, allowed is {' or '.join(SORTS)}")
    asked = EventQuery(
        event_types=frozenset([_event_type(query["eventType"])]) if "eventType" in query else None,
        event_id=read_id(query["id"], "id") if "id" in query else None,
        after=_moment(request, "occurredAfter"),
        before=_moment(request, "occurredBefore"),
        newest_first=SORTS[sort],
        position=read_cursor(query.get("after")),
    )
    limit = read_limit(query.get("limit"), 20)
    record = services.record_service.get(key)
    found = services.history.of(record, request.now, asked, limit)
    following = None if found.following is None else write_cursor(found.following)
    answer = page([write_occurrence(one) for one in found.events], following)
    return Reply(200, answer | {"since": iso(services.history.since(record, request.now))})


def get_occurred(services: Services, request: Request) -> Reply:
    key = RecordKey(request.portal_id, read_object_type(request.path["objectType"]), request.path["objectId"])
    condition = _condition(request)
    since = _moment(request, "since")
    record = services.record_service.get(key)
    found = services.history.occurred(record, request.now, condition, EVENT_TYPES, since or 0)
    answer = {
        "occurred": bool(found.events),
        "count": len(found.events),
        "first": write_occurrence(found.events[-1]) if found.events else None,
        "last": write_occurrence(found.events[0]) if found.events else None,
        "since": iso(found.since),
        "isComplete": found.is_complete,
    }
    return Reply(200, answer)


def _condition(request: Request) -> TriggerGroup:
    given = request.query.get("filters", "[]")
    try:
        filters = json.loads(given)
    except (ValueError, RecursionError) as error:
        message = f"found {format_value(given)}, allowed is JSON like {PROPERTIES_FILTER}"
        raise refuse("filters", "MALFORMED_JSON", message) from error
    try:
        return read_condition(required(request, "eventType"), filters)
    except InvalidFlow as invalid:
        raise InvalidRequest(invalid.faults) from invalid


def _moment(request: Request, name: str) -> Instant | None:
    return read_moment(request.query[name], name, request.now) if name in request.query else None


def _event_type(named: str) -> str:
    if named in EVENT_TYPE_IDS:
        return EVENT_TYPE_IDS[named][0].name
    if named not in EVENT_TYPES:
        near = nearest(named, [*EVENT_TYPES, *EVENT_TYPE_IDS])
        raise refuse(
            "eventType", "UNKNOWN_EVENT", f"found {format_value(named)}, allowed is an event of the catalogue", near
        )
    return named


EVENT_TYPE = Query("eventType", "An event of the catalogue, by its name or HubSpot's id.")

ENDPOINTS = (
    Endpoint(
        "listEvents",
        "GET",
        "/events/v3/events",
        "The events that happened to a record, newest first",
        list_events,
        {200: "EventPage"},
        description="As far as the stack keeps them, which `since` says. A page may be short, or empty, and yet have a "
        "next one.",
        query=(
            Query("objectType", "The record's type.", is_required=True),
            Query("objectId", "The record's id.", is_required=True),
            EVENT_TYPE,
            Query("id", "Of one event."),
            Query("occurredAfter", "ISO-8601 with a zone, epoch seconds, or epoch milliseconds."),
            Query("occurredBefore", "ISO-8601 with a zone, epoch seconds, or epoch milliseconds."),
            Query("sort", "By when they occurred.", {"type": "string", "enum": list(SORTS), "default": "DESCENDING"}),
            FEWER,
            AFTER,
        ),
        example=Example(query={"objectType": "contact", "objectId": "101", "eventType": "forms.submitted"}),
    ),
    Endpoint(
        "readOccurred",
        "GET",
        "/enrollment/v1/records/{objectType}/{objectId}/occurred",
        "Has an event happened to a record?",
        get_occurred,
        {200: "Occurred"},
        description="What the if/then branch of a workflow asks. Refinements are written as those of a trigger group, "
        "and an event counts as every row of the catalogue that it satisfies. `isComplete` says whether the history "
        "reaches back as far as was asked; when it does not, it was looked at from `since` on.",
        query=(
            replace(EVENT_TYPE, is_required=True),
            Query("filters", f"JSON: {PROPERTIES_FILTER}"),
            Query(
                "since",
                "ISO-8601 with a zone, epoch seconds, or epoch milliseconds. Absent: since the record was created.",
            ),
        ),
        example=Example(
            path={"objectType": "contacts", "objectId": "101"},
            query={
                "eventType": "forms.submitted",
                "filters": json.dumps(
                    [
                        {
                            "filterType": "PROPERTY",
                            "property": "hs_form_id",
                            "operation": {"operationType": "ENUMERATION", "operator": "IS_ANY_OF", "values": ["f-1"]},
                        }
                    ]
                ),
            },
        ),
    ),
)
