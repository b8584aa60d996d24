"""Serve `/enrollment/v1/unprocessed`: the events of a portal that were not processed. Reading changes nothing."""

from typing import Any

from enrollment.application.unprocessed_events import (
    MAX_COUNTED,
    UnprocessedQuery,
    UnprocessedSummary,
    summarize,
)
from enrollment.domain.values import iso
from enrollment.entrypoints.http_api.endpoint import AFTER, Endpoint, Example, Query, Reply, Request, Services, page
from enrollment.entrypoints.http_api.problems import RouteNotFound
from enrollment.serialization.requests import (
    read_cursor,
    read_id,
    read_limit,
    read_object_type,
    refuse,
    write_cursor,
)
from enrollment.serialization.unprocessed import write_safely
from enrollment.serialization.validation_errors import expectation

PAGE_SIZE = 25


def list_unprocessed(services: Services, request: Request) -> Reply:
    """List the unprocessed events of the portal, newest first. Raises InvalidRequest."""
    limit, after = read_limit(request.query.get("limit"), PAGE_SIZE), read_cursor(request.query.get("after"))
    found = services.unprocessed.list(request.portal_id, _query(request), limit, after)
    next_position = None if found.following is None else write_cursor(found.following)
    results = [_write(summary) for summary in found.summaries]
    return Reply(200, page(results, next_position) | {"isComplete": found.is_complete})


def count_unprocessed(services: Services, request: Request) -> Reply:
    """Count the unprocessed events of the portal. Raises InvalidRequest."""
    counted = services.unprocessed.count(request.portal_id, _query(request))
    return Reply(200, {"count": counted.count, "isExact": counted.is_exact})


def get_unprocessed(services: Services, request: Request) -> Reply:
    """Return an unprocessed event with all that its message has of it. Raises RouteNotFound."""
    message = services.unprocessed.get(request.portal_id, request.path["messageId"])
    if message is None:
        raise RouteNotFound(
            f"no unprocessed event {request.path['messageId']} in this portal; it was redriven or discarded, or "
            "another reader holds it for up to 2 minutes"
        )
    event = message.unprocessed
    answer = {**_write(summarize(message)), "message": event.message, "event": write_safely(event.event)}
    return Reply(200, answer if event.truncated is None else answer | {"truncated": write_safely(event.truncated)})


def _query(request: Request) -> UnprocessedQuery:
    query = request.query
    return UnprocessedQuery(
        reason=read_id(query["reason"], "reason") if "reason" in query else None,
        # Not only those of the catalog, because the type may be what is wrong.
        event_type=read_id(query["eventType"], "eventType") if "eventType" in query else None,
        event_id=read_id(query["eventId"], "eventId") if "eventId" in query else None,
        record=_record(query["record"]) if "record" in query else None,
    )


def _record(text: str) -> tuple[str, str]:
    """Return the IDs of a record in the form contact/101. Raises InvalidRequest."""
    object_type, separator, object_id = text.partition("/")
    if not separator:
        raise refuse("record", "WRONG_TYPE", expectation("<type and ID>, for example contact/101", text))
    return read_object_type(object_type), read_id(object_id, "record")


def _write(summary: UnprocessedSummary) -> dict[str, Any]:
    return {
        "id": summary.id,
        "reason": summary.reason,
        "message": summary.message,
        "field": summary.field,
        "eventId": summary.event_id,
        "eventType": summary.event_type,
        "objectTypeId": summary.object_type_id,
        "objectId": summary.object_id,
        "occurredAt": None if summary.occurred_at is None else iso(summary.occurred_at),
        "keptSince": iso(summary.kept_since),
        "isTruncated": summary.is_truncated,
    }


FILTERS = (
    Query("reason", "Only events with this reason, for example BAD_TIME."),
    Query("eventType", "Only events of this type, as the source named it."),
    Query("eventId", "Only events with this ID."),
    Query("record", "Only events of this record, for example contact/101."),
)
LIMITS = (
    "Only events that name the portal are returned; all others are an operator's. Reading takes nothing out of the "
    "queue, but hides its messages from other readers for the duration of the request. If another reader holds "
    "messages, the request waits for them for up to 3 seconds. "
)

ENDPOINTS = (
    Endpoint(
        "listUnprocessed",
        "GET",
        "/enrollment/v1/unprocessed",
        "List the events that were not processed, newest first",
        list_unprocessed,
        {200: "UnprocessedPage"},
        description=f"{LIMITS}`isComplete` is false if not all messages were read: another reader held some, or there "
        "are more than 1,000, or reading them took more than 10 seconds. Each page reads the queue again.",
        query=(
            *FILTERS,
            Query(
                "limit",
                "Maximum number of results on a page.",
                {"type": "integer", "minimum": 1, "maximum": 100, "default": PAGE_SIZE},
            ),
            AFTER,
        ),
        example=Example(query={"reason": "BAD_TIME"}),
    ),
    Endpoint(
        "countUnprocessed",
        "GET",
        "/enrollment/v1/unprocessed/count",
        "Count the events that were not processed",
        count_unprocessed,
        {200: "UnprocessedCount"},
        description=f"Counts {MAX_COUNTED} events at most. {LIMITS}`isExact` is false if there may be more. If the "
        "queue has no message at all, it is not read; a new message is counted after up to a minute.",
        query=FILTERS,
        example=Example(),
    ),
    Endpoint(
        "readUnprocessed",
        "GET",
        "/enrollment/v1/unprocessed/{messageId}",
        "Get an event that was not processed, with the whole event",
        get_unprocessed,
        {200: "UnprocessedEvent"},
        description=f"The ID stays the same until the event is redriven or discarded. {LIMITS}",
        example=Example(path={"messageId": "m1"}),
    ),
)
