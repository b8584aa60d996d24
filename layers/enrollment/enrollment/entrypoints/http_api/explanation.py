"""Serve `/enrollment/v1/explain`: why the events of a record enrolled it in flows or did not."""

from typing import Any

from enrollment.adapters.observability import decision_fields
from enrollment.application.event_history import EventQuery
from enrollment.application.explanation import FlowOutcome
from enrollment.domain.events.event import Event
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.values import iso
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
from enrollment.entrypoints.http_api.problems import RouteNotFound
from enrollment.serialization.event_warnings import event_warnings
from enrollment.serialization.events import write_occurrence
from enrollment.serialization.explanations import write_explanation
from enrollment.serialization.messages import write_stored
from enrollment.serialization.requests import read_cursor, read_id, read_limit, read_object_type, write_cursor

# The keys of an explanation, for a flow that took no decision on the event.
UNDECIDED: dict[str, Any] = {
    "triggerGroups": [],
    **dict.fromkeys(("recordAsOf", "suppression", "goal", "refinementCriteria")),
}


def explain(services: Services, request: Request) -> Reply:
    """Explain the latest events of a record, or one of them, for every flow or for one. For one flow, the latest events
    are those of the types that trigger it. Raises UnknownRecord, UnknownFlow, and RouteNotFound if the history does not
    have the event."""
    query = request.query
    key = RecordKey(request.portal_id, read_object_type(required(request, "objectType")), required(request, "objectId"))
    limit, position = read_limit(query.get("limit"), 20), read_cursor(query.get("after"))
    event_id = read_id(query["eventId"], "eventId") if "eventId" in query else None
    # The last revision, because the decisions of a deleted flow can be explained too.
    flow = services.authoring.last(request.portal_id, read_id(query["flowId"], "flowId")) if "flowId" in query else None
    record = services.record_service.get(key)
    since = iso(services.history.since(record, request.now))
    event_types = None if flow is None or event_id is not None else services.explaining.event_types_of(flow)
    question = EventQuery(event_types=event_types, event_id=event_id, position=position)
    history = services.history.of(record, request.now, question, limit)
    if event_id is not None and not history.events and history.following is None:
        raise RouteNotFound(f"no event {event_id} in the record's history, which reaches back to {since}")
    results = [
        {
            "event": write_occurrence(event),
            **_warnings(event),
            "decisions": [_write(event, outcome) for outcome in services.explaining.explain(event, key, flow)],
        }
        for event in history.events
    ]
    next_position = None if history.following is None else write_cursor(history.following)
    types = {} if event_types is None else {"eventTypes": sorted(event_types)}
    return Reply(200, page(results, next_position) | {"since": since} | types)


def _warnings(event: Event) -> dict[str, Any]:
    warnings = event_warnings(event)
    return {"warnings": warnings} if warnings else {}


def _write(event: Event, outcome: FlowOutcome) -> dict[str, Any]:
    explanation, decision = outcome.explanation, outcome.decision
    return {
        **({"code": None, "flowId": outcome.flow_id} if decision is None else decision_fields(event, decision)),
        **(UNDECIDED if explanation is None else write_explanation(explanation)),
        **({} if explanation is not None and explanation.decision is decision else {"failedConditions": []}),
        "flowName": outcome.flow_name,
        "flowRevisionId": outcome.revision_id,
        "currentFlowRevisionId": outcome.current_revision_id,
        "because": outcome.because,
        "enrollment": None if outcome.enrollment is None else write_stored(outcome.enrollment),
        "notes": list(outcome.notes),
    }


ENDPOINTS = (
    Endpoint(
        "explain",
        "GET",
        "/enrollment/v1/explain",
        "Explain why a record was enrolled, or was not",
        explain,
        {200: "AccountPage"},
        description="Returns the decision for each flow on the latest events of a record, or on one event, with the "
        "expected and the found value of every filter. Each event is decided again, with the flow's revision and the "
        "record as they were when the event was sent. Existing enrollments are returned too. `code` is null if the "
        "flow took no decision.",
        query=(
            Query("objectType", "The record's object type.", is_required=True),
            Query("objectId", "The record's ID.", is_required=True),
            Query("eventId", "The ID of one event. The latest events if absent."),
            Query(
                "flowId",
                "The ID of one flow. Without `eventId`, only events of the types that trigger its current revision are "
                "explained. Every flow that the event may trigger if absent.",
            ),
            FEWER,
            AFTER,
        ),
        example=Example(query={"objectType": "contact", "objectId": "101", "eventId": "e1"}),
    ),
)
