"""Serve `/enrollment/v1/explain`: why the events of a record enrolled it in flows or did not; and
`/enrollment/v1/outcome`: what became of one event."""

from collections.abc import Sequence
from typing import Any

from enrollment.adapters.observability import decision_fields
from enrollment.application.event_history import EventQuery
from enrollment.application.event_outcome import EventOutcome, find_outcomes, least_final
from enrollment.application.explanation import FlowOutcome
from enrollment.application.requested_enrollments import BackfillOutcome
from enrollment.catalog import EVENT_TYPES
from enrollment.domain.describe import failed_conditions
from enrollment.domain.events.event import Event
from enrollment.domain.flows.record_change import RECORD_CHANGED
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

# Enrollments of a record that are searched for a manual request or a backfill.
MAX_ENROLLMENTS = 100

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
    flow_id = None if flow is None else flow.id
    if event_id is not None and not history.events and history.following is None:
        requested = services.requested.of_record(key, MAX_ENROLLMENTS, flow_id=flow_id, event_id=event_id)
        if not requested:
            raise RouteNotFound(_no_event(event_id, since))
        return Reply(200, page([_write_requested(*each) for each in requested], None) | {"since": since})
    results = [write_explained(event, services.explaining.explain(event, key, flow)) for event in history.events]
    next_position = None if history.following is None else write_cursor(history.following)
    types = {} if event_types is None else {"eventTypes": sorted(event_types - {RECORD_CHANGED})}
    beside: dict[str, Any] = {}
    if event_id is None and position is None:
        requested = services.requested.of_record(key, limit, flow_id=flow_id)
        beside = {"requested": [_write_requested(*each) for each in requested]}
        if flow is not None:
            beside["backfills"] = _write_backfills(services.requested.by_backfills(record, flow, request.now))
    return Reply(200, page(results, next_position) | {"since": since} | types | beside)


def _no_event(event_id: str, since: str) -> str:
    message = f"no event {event_id} in the record's history, which reaches back to {since}"
    if not event_id.startswith(("manual:", "backfill:")):
        return message
    return (
        f"{message}, and no enrollment by it. Manual requests and backfills that do not enroll a record are not "
        "stored. POST /enrollment/v1/flows/{flowId}/enrollments/simulate shows what a manual request would decide now"
    )


def _write_requested(event: Event, outcome: FlowOutcome) -> dict[str, Any]:
    return {"event": write_occurrence(event), "decisions": [_write(event, outcome)]}


def _write_backfills(outcome: BackfillOutcome) -> dict[str, Any]:
    decision = None if outcome.now is None else outcome.now.decision
    return {
        "runs": [
            {
                "runId": each.run.id,
                "status": each.run.status.value,
                "isDryRun": each.run.is_dry_run,
                "startedAt": iso(each.run.started_at),
                "isEnrolled": each.is_enrolled,
                "because": each.because,
            }
            for each in outcome.runs
        ],
        "now": None
        if outcome.now is None or decision is None
        else {
            "code": decision.code.value,
            "because": decision.because,
            "failedConditions": list(failed_conditions(decision, outcome.now.flow, EVENT_TYPES)),
        },
    }


def get_outcome(services: Services, request: Request) -> Reply:
    """Return what became of one event. Raises RouteNotFound if the stack does not find events by their ID."""
    event_id = required(request, "eventId")
    if not services.history.is_found_by_id:
        raise RouteNotFound(
            "this stack does not find events by their ID (parameter FindEventsById); "
            "name the record of the event in /enrollment/v1/explain"
        )
    outcomes = find_outcomes(services.history, services.explaining, request.portal_id, event_id, request.now)
    results = [
        {
            **write_explained(outcome.event, outcome.flows),
            "status": outcome.status.value,
            **_waiting_until(outcome),
        }
        for outcome in outcomes
    ]
    since = iso(services.history.kept_since(request.now))
    return Reply(200, {"eventId": event_id, "status": least_final(outcomes).value, "results": results, "since": since})


def _waiting_until(outcome: EventOutcome) -> dict[str, Any]:
    return {} if outcome.waiting_until is None else {"waitingUntil": iso(outcome.waiting_until)}


def write_explained(event: Event, outcomes: Sequence[FlowOutcome]) -> dict[str, Any]:
    """Return an event with its decisions."""
    return {**write_unexplained(event), "decisions": [_write(event, outcome) for outcome in outcomes]}


def write_unexplained(event: Event) -> dict[str, Any]:
    """Return an event with the warnings about its names, without decisions."""
    warnings = event_warnings(event)
    return {"event": write_occurrence(event), **({"warnings": warnings} if warnings else {})}


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
        "isComplete": outcome.is_complete,
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
        "flow took no decision. The first page has `requested`: manual enrollments, and those by backfills, among the "
        "latest enrollments of the record. With `flowId` it also has `backfills`: what is known of the latest runs.",
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
    Endpoint(
        "readOutcome",
        "GET",
        "/enrollment/v1/outcome",
        "Find out what became of an event",
        get_outcome,
        {200: "Outcome"},
        description="Finds an event of the history by its ID alone, and explains it for each flow. `status` is "
        "DECIDED if all decisions are final, WAITING if a flow waits for late data (until "
        "`waitingUntil`), IN_PROGRESS if a flow should have enrolled the record and there is no "
        "enrollment yet, and UNKNOWN if the history does not have the event. An event is not in the "
        "history if it has not arrived, is invalid or failed (then it is in the unprocessed-events "
        "queue), has no known record, or is too old. A new event is found within a second. If a "
        "source used the ID several times, `results` has each of the events, and `status` is the "
        "least final one.",
        query=(Query("eventId", "The ID of the event.", is_required=True),),
        example=Example(query={"eventId": "e1"}),
    ),
)
