"""Serve the event history: `/events/v3/events` lists the events of a record, `…/occurred` searches for one, and
`/enrollment/v1/occurrences` finds an event of any record by its ID."""

import json
from datetime import date, timedelta

from msgspec.structs import replace

from enrollment.application.event_history import EventQuery
from enrollment.application.event_search import search_with_id
from enrollment.catalog import EVENT_TYPE_IDS, EVENT_TYPES
from enrollment.domain.criteria.record_operators import zone_of
from enrollment.domain.flows.flow import TriggerGroup
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.operators.calendar import midnight
from enrollment.domain.similar_names import nearest
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
from enrollment.serialization.validation_errors import ValidationError, expectation, expectation_of

# The values of the parameter `sort`; True: newest first.
SORTS = {"DESCENDING": True, "ASCENDING": False, "-occurredAt": True, "occurredAt": False}
PROPERTIES_FILTER = '[{"filterType": "PROPERTY", "property": "hs_form_id", …}]'


def list_events(services: Services, request: Request) -> Reply:
    """List the stored events of a record. Raises InvalidRequest and UnknownRecord."""
    query = request.query
    key = RecordKey(request.portal_id, read_object_type(required(request, "objectType")), required(request, "objectId"))
    sort = query.get("sort", "DESCENDING")
    if sort not in SORTS:
        raise refuse("sort", "UNKNOWN_OPTION", expectation(" or ".join(SORTS), sort))
    event_query = EventQuery(
        event_types=frozenset([read_event_type(query["eventType"])]) if "eventType" in query else None,
        event_id=read_id(query["id"], "id") if "id" in query else None,
        after=_moment(request, "occurredAfter"),
        before=_moment(request, "occurredBefore"),
        newest_first=SORTS[sort],
        position=read_cursor(query.get("after")),
    )
    limit = read_limit(query.get("limit"), 20)
    record = services.record_service.get(key)
    history = services.history.of(record, request.now, event_query, limit)
    next_position = None if history.following is None else write_cursor(history.following)
    answer = page([write_occurrence(event) for event in history.events], next_position)
    return Reply(200, answer | {"since": iso(services.history.since(record, request.now))})


def get_occurred(services: Services, request: Request) -> Reply:
    """Return whether, and how often, an event with the given filters happened to a record. Raises InvalidRequest and
    UnknownRecord."""
    key = RecordKey(request.portal_id, read_object_type(request.path["objectType"]), request.path["objectId"])
    condition = _condition(request)
    since = _moment(request, "since")
    record = services.record_service.get(key)
    search = services.history.occurred(record, request.now, condition, EVENT_TYPES, since or 0)
    answer = {
        "occurred": bool(search.events),
        "count": len(search.events),
        "first": write_occurrence(search.events[-1]) if search.events else None,
        "last": write_occurrence(search.events[0]) if search.events else None,
        "since": iso(search.since),
        "isComplete": search.is_complete,
    }
    return Reply(200, answer)


def find_occurrences(services: Services, request: Request) -> Reply:
    """Find events by their ID: by the index, or, if the stack has none, among those of a type and a day. Raises
    InvalidRequest."""
    event_id, now = required(request, "eventId"), request.now
    since = {"since": iso(services.history.kept_since(now))}
    if services.history.is_found_by_id:
        events = services.history.with_id(request.portal_id, event_id, now)
        return Reply(200, page([write_occurrence(event) for event in events], None) | since)
    missing = [
        ValidationError(
            name,
            "MISSING_FIELD",
            expectation_of("this query parameter", "no value")
            + ", because this stack does not find events by their ID (parameter FindEventsById)",
        )
        for name in ("eventType", "day")
        if name not in request.query
    ]
    if missing:
        raise InvalidRequest(missing)
    event_type, day = read_event_type(request.query["eventType"]), _day(request.query["day"])
    position = read_cursor(request.query.get("after"))
    zone = zone_of(services.portals.settings(request.portal_id).time_zone)
    first, last = midnight(day, zone), midnight(day + timedelta(days=1), zone)
    search = search_with_id(services.history, request.portal_id, event_type, event_id, now, first, last, position)
    next_position = None if search.following is None else write_cursor(search.following)
    return Reply(200, page([write_occurrence(event) for event in search.events], next_position) | since)


def _day(text: str) -> date:
    """Return the day of a text like 2026-11-28. Raises InvalidRequest."""
    try:
        day = date.fromisoformat(text) if len(text) == len("2026-11-28") else None
    except ValueError:
        day = None
    if day is None or day.year == date.max.year:
        raise refuse("day", "BAD_TIME", expectation("a day, for example 2026-11-28", text))
    return day


def _condition(request: Request) -> TriggerGroup:
    text = request.query.get("filters", "[]")
    try:
        filters = json.loads(text)
    except (ValueError, RecursionError) as error:
        message = expectation(f"JSON, for example {PROPERTIES_FILTER}", text)
        raise refuse("filters", "MALFORMED_JSON", message) from error
    try:
        return read_condition(required(request, "eventType"), filters)
    except InvalidFlow as invalid:
        raise InvalidRequest(invalid.faults) from invalid


def _moment(request: Request, name: str) -> Instant | None:
    return read_moment(request.query[name], name, request.now) if name in request.query else None


def read_event_type(name: str, parameter: str = "eventType") -> str:
    """Return the name of an event of the catalog, given its name or HubSpot's ID. Raises InvalidRequest."""
    if name in EVENT_TYPE_IDS:
        return EVENT_TYPE_IDS[name][0].name
    if name not in EVENT_TYPES:
        meant = nearest(name, [*EVENT_TYPES, *EVENT_TYPE_IDS])
        message = expectation("an event of the catalog, for example forms.submitted", name)
        raise refuse(parameter, "UNKNOWN_EVENT", message, meant)
    return name


EVENT_TYPE = Query("eventType", "An event of the catalog, by its name or HubSpot's ID.")

ENDPOINTS = (
    Endpoint(
        "listEvents",
        "GET",
        "/events/v3/events",
        "List the events of a record, newest first",
        list_events,
        {200: "EventPage"},
        description="Returns the events that the stack still keeps; `since` is the time from which it keeps them. A "
        "page can be short or empty and still have a next page.",
        query=(
            Query("objectType", "The record's object type.", is_required=True),
            Query("objectId", "The record's ID.", is_required=True),
            EVENT_TYPE,
            Query("id", "The ID of one event."),
            Query(
                "occurredAfter",
                "Only events later than this: ISO-8601 with a time zone, epoch seconds, or epoch milliseconds.",
            ),
            Query(
                "occurredBefore",
                "Only events earlier than this: ISO-8601 with a time zone, epoch seconds, or epoch milliseconds.",
            ),
            Query(
                "sort",
                "The order by time of occurrence.",
                {"type": "string", "enum": list(SORTS), "default": "DESCENDING"},
            ),
            FEWER,
            AFTER,
        ),
        example=Example(query={"objectType": "contact", "objectId": "101", "eventType": "forms.submitted"}),
    ),
    Endpoint(
        "readOccurred",
        "GET",
        "/enrollment/v1/records/{objectType}/{objectId}/occurred",
        "Find out whether an event happened to a record",
        get_occurred,
        {200: "Occurred"},
        description="Answers the if/then branch of a workflow. `filters` has the format of a trigger group's filters. "
        "An event counts as every event type of the catalog that it satisfies. `isComplete` is false if the history "
        "does not reach back to the requested time; the search then begins at the returned `since`.",
        query=(
            replace(EVENT_TYPE, is_required=True),
            Query("filters", f"Filters on the event's properties, as JSON: {PROPERTIES_FILTER}"),
            Query(
                "since",
                "The beginning of the search: ISO-8601 with a time zone, epoch seconds, or epoch milliseconds. The "
                "creation of the record if absent.",
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
    Endpoint(
        "findOccurrences",
        "GET",
        "/enrollment/v1/occurrences",
        "Find an event by its ID alone",
        find_occurrences,
        {200: "EventPage"},
        description="Returns the event of the history with this ID, with its record, type and time: one result, or "
        "none, unless a source used the ID again (then the newest 10 at most). A new event is found within a second. "
        "Events of unknown records, and unprocessed events, are not in the history. If the stack does not find events "
        "by their ID (parameter FindEventsById), `eventType` and `day` are required. One request then searches about "
        "10,000 events of the day, newest first, so a page can be empty and still have a next page.",
        query=(
            Query("eventId", "The ID of the event. It may contain any character.", is_required=True),
            replace(EVENT_TYPE, description=f"{EVENT_TYPE.description} Only for a stack without FindEventsById."),
            Query(
                "day",
                "The day on which the event occurred, in the portal's time zone, for example 2026-11-28. Only for a "
                "stack without FindEventsById.",
                {"type": "string", "format": "date"},
            ),
            AFTER,
        ),
        example=Example(query={"eventId": "e1"}),
    ),
)
