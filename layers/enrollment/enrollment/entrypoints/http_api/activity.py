"""Serve `/enrollment/v1/activity`: the newest events of a portal with their decisions."""

from collections.abc import Sequence
from typing import Any

from enrollment.application.event_search import RecentEvents, recent_events
from enrollment.domain.events.event import Event
from enrollment.domain.flows.flow import FlowRevision
from enrollment.domain.values import iso
from enrollment.entrypoints.http_api.endpoint import Endpoint, Example, Query, Reply, Request, Services
from enrollment.entrypoints.http_api.events import read_event_type
from enrollment.entrypoints.http_api.explanation import write_explained, write_unexplained
from enrollment.serialization.requests import InvalidRequest, read_flag, read_id, read_limit, read_moment, refuse
from enrollment.serialization.validation_errors import ValidationError, expectation_of

# Event types of one request. Each costs about 8 read units.
MAX_EVENT_TYPES = 12
# Events of one request. Each event that is decided costs about 8 read units.
MAX_EVENTS = 25


def list_activity(services: Services, request: Request) -> Reply:
    """List the newest events of some types, or of those that trigger a flow. Raises InvalidRequest and UnknownFlow."""
    query = request.query
    limit = read_limit(query.get("limit"), MAX_EVENTS, MAX_EVENTS)
    since = read_moment(query["since"], "since", request.now) if "since" in query else None
    is_decided = read_flag(query.get("decisions"), "decisions")
    if "eventTypes" not in query and "flowId" not in query:
        message = expectation_of("this query parameter or flowId", "neither")
        raise InvalidRequest([ValidationError("eventTypes", "MISSING_FIELD", message)])
    names = _event_types(query["eventTypes"]) if "eventTypes" in query else None
    flow = services.authoring.last(request.portal_id, read_id(query["flowId"], "flowId")) if "flowId" in query else None
    of_flow = frozenset[str]() if flow is None else services.explaining.history_types_of(flow)
    # With a flow, its types that are also requested. In the order of the request, or of their names.
    event_types = sorted(of_flow) if names is None else [name for name in names if flow is None or name in of_flow]
    recent = recent_events(
        services.history, request.portal_id, event_types[:MAX_EVENT_TYPES], request.now, limit, since
    )
    answer = {
        "results": _results(services, recent, flow, is_decided=is_decided),
        "more": recent.more,
        "isTruncated": recent.is_truncated,
        "since": iso(recent.since),
        "minutes": [{"start": iso(start), "events": count} for start, count in recent.minutes.items()],
        "eventTypes": event_types[:MAX_EVENT_TYPES],
        "omittedEventTypes": event_types[MAX_EVENT_TYPES:],
    }
    return Reply(200, answer)


def _results(
    services: Services, recent: RecentEvents, flow: FlowRevision | None, *, is_decided: bool
) -> Sequence[dict[str, Any]]:
    return [_written(services, event, flow) if is_decided else write_unexplained(event) for event in recent.events]


def _written(services: Services, event: Event, flow: FlowRevision | None) -> dict[str, Any]:
    key = event.record_key
    # Only events of records are in the history.
    return write_explained(event, () if key is None else services.explaining.explain(event, key, flow))


def _event_types(text: str) -> list[str]:
    """Return the names of the event types in the parameter `eventTypes`, without duplicates. Raises InvalidRequest."""
    names = list(dict.fromkeys(read_event_type(name, "eventTypes") for name in text.split(",") if name))
    if not 1 <= len(names) <= MAX_EVENT_TYPES:
        message = expectation_of(f"1 to {MAX_EVENT_TYPES} event types", f"{len(names):,} event types")
        raise refuse("eventTypes", "WRONG_LENGTH", message)
    return names


ENDPOINTS = (
    Endpoint(
        "listActivity",
        "GET",
        "/enrollment/v1/activity",
        "List the newest events of the portal, with what was decided",
        list_activity,
        {200: "Activity"},
        description="Returns the newest events of some types, of all records, by when they occurred. With "
        "`decisions=true`, each event is decided again as by /enrollment/v1/explain. `more` is the number of further "
        "events since `since`, and `minutes` counts all of them by the minute in which they occurred; both count 1,000 "
        "events at most, and `isTruncated` says that there are more. To follow new events, repeat the request with a "
        "`since` two minutes before the newest event, and leave out the events that you have: an event can arrive "
        "after it occurred. Events of unknown records are not kept and are never returned.",
        query=(
            Query(
                "eventTypes",
                f"At most {MAX_EVENT_TYPES} events of the catalog, by their names or HubSpot's IDs, separated by "
                "commas. Required without `flowId`.",
            ),
            Query(
                "flowId",
                "The ID of a flow. Only events of the types that trigger its current revision are returned, with the "
                f"decisions of this flow. If there are more than {MAX_EVENT_TYPES} types, `omittedEventTypes` has "
                "those that were not read.",
            ),
            Query(
                "since",
                "Only events that occurred then or later: ISO-8601 with a time zone, epoch seconds, or epoch "
                "milliseconds. All that are kept if absent.",
            ),
            Query(
                "limit",
                "Maximum number of events.",
                {"type": "integer", "minimum": 1, "maximum": MAX_EVENTS, "default": MAX_EVENTS},
            ),
            Query(
                "decisions",
                "Whether to decide each event again, for about 8 read units each.",
                {"type": "boolean", "default": False},
            ),
        ),
        example=Example(query={"eventTypes": "forms.submitted", "decisions": "true"}),
    ),
)
