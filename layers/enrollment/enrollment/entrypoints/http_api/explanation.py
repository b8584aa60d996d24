"""`/enrollment/v1/explain`: why a record was enrolled by the events that happened to it, or was not."""

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
from enrollment.serialization.events import write_occurrence
from enrollment.serialization.explanations import write_explanation
from enrollment.serialization.messages import write_stored
from enrollment.serialization.requests import read_cursor, read_id, read_limit, read_object_type, write_cursor

# Where there was no flow to decide.
UNDECIDED: dict[str, Any] = {
    "triggerGroups": [],
    **dict.fromkeys(("recordAsOf", "suppression", "goal", "refinementCriteria")),
}


def explain(services: Services, request: Request) -> Reply:
    query = request.query
    key = RecordKey(request.portal_id, read_object_type(required(request, "objectType")), required(request, "objectId"))
    limit, position = read_limit(query.get("limit"), 20), read_cursor(query.get("after"))
    event_id = read_id(query["eventId"], "eventId") if "eventId" in query else None
    # What a flow that was deleted did can be asked too.
    flow = services.authoring.last(request.portal_id, read_id(query["flowId"], "flowId")) if "flowId" in query else None
    record = services.record_service.get(key)
    since = iso(services.history.since(record, request.now))
    found = services.history.of(record, request.now, EventQuery(event_id=event_id, position=position), limit)
    if event_id is not None and not found.events and found.following is None:
        raise RouteNotFound(f"no event {event_id} of this record in the history, which reaches back to {since}")
    results = [
        {
            "event": write_occurrence(event),
            "decisions": [_write(event, one) for one in services.explaining.explain(event, key, flow)],
        }
        for event in found.events
    ]
    following = None if found.following is None else write_cursor(found.following)
    return Reply(200, page(results, following) | {"since": since})


def _write(event: Event, account: FlowOutcome) -> dict[str, Any]:
    explained, decided = account.explanation, account.decision
    return {
        **({"code": None, "flowId": account.flow_id} if decided is None else decision_fields(event, decided)),
        **(UNDECIDED if explained is None else write_explanation(explained)),
        **({} if explained is not None and explained.decision is decided else {"failedConditions": []}),
        "flowName": account.flow_name,
        "flowRevisionId": account.revision_id,
        "currentFlowRevisionId": account.current_revision_id,
        "because": account.because,
        "enrollment": None if account.enrollment is None else write_stored(account.enrollment),
        "notes": list(account.notes),
    }


ENDPOINTS = (
    Endpoint(
        "explain",
        "GET",
        "/enrollment/v1/explain",
        "Why did a record enroll, or not?",
        explain,
        {200: "AccountPage"},
        description="For the latest events of a record, or one of them: the decision for each flow, with every trigger "
        "group and every filter, what was expected and what found. Decided again, by the flow's revision that was in "
        "force when the event was sent, and the record as it was then; an enrollment that exists is told as such. "
        "`code` is null where the flow took no decision.",
        query=(
            Query("objectType", "The record's type.", is_required=True),
            Query("objectId", "The record's id.", is_required=True),
            Query("eventId", "One event; the latest when absent."),
            Query("flowId", "One flow; all that the event may have concerned when absent."),
            FEWER,
            AFTER,
        ),
        example=Example(query={"objectType": "contact", "objectId": "101", "eventId": "e1"}),
    ),
)
