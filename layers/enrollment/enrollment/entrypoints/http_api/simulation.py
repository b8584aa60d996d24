"""Serve `/enrollment/v1/simulate`, which decides an event without publishing it, and `/enrollment/v1/preview`, which
decides past events for a draft flow."""

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from enrollment.adapters.observability import decision_fields, rejection_fields
from enrollment.application.flow_preview import PreviewOutcome, PreviewQuery, preview
from enrollment.application.simulation import Drafts, NoEnrollments, Simulation
from enrollment.catalog import EVENT_TYPES
from enrollment.domain.describe import failed_conditions
from enrollment.domain.enrollment.decisions import Code, Decision
from enrollment.domain.enrollment.explanations import Explanation
from enrollment.domain.events.event import Event, InvalidEvent
from enrollment.domain.flows.flow import Flow
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.values import iso
from enrollment.entrypoints.http_api.access import OtherPortal
from enrollment.entrypoints.http_api.endpoint import Endpoint, Example, Reply, Request, Services, page
from enrollment.entrypoints.http_api.flow_overview import existing_revision
from enrollment.entrypoints.http_api.flows import FLOW_BODY
from enrollment.serialization.envelopes import read_routed_event
from enrollment.serialization.event_warnings import event_warnings
from enrollment.serialization.explanations import (
    read_impact,
    read_preview,
    read_simulation,
    read_switched_on,
    write_explanation,
)
from enrollment.serialization.requests import write_cursor


def simulate(services: Services, request: Request) -> Reply:
    """Return what would be decided on the event, or why it is invalid. Raises InvalidRequest for anything else in the
    body, and OtherPortal if the event is about another portal."""
    inputs = read_simulation(request.body, request.portal_id, request.now)
    processor = services.processor if inputs.flows is None else replace(services.processor, flows=Drafts(inputs.flows))
    try:
        event = read_routed_event(inputs.envelope)
        if event.portal_id != request.portal_id:
            raise OtherPortal(f"no portal {event.portal_id}")
        services.portals.current(request.portal_id).check_source(event)
        simulation = Simulation(processor)
        if inputs.record is not None:
            # A record in the request has never been enrolled.
            simulation = Simulation(replace(processor, enrollments=NoEnrollments()), inputs.record.of(event))
        explanations = simulation.explain(event)
    except InvalidEvent as invalid:
        event_id = inputs.envelope.get("id") if isinstance(inputs.envelope, dict) else None
        answer = {"eventId": event_id if isinstance(event_id, str) else None, "unprocessed": rejection_fields(invalid)}
        return Reply(200, answer)
    warnings = event_warnings(event)
    decisions = [write_decision(event, explanation) for explanation in explanations]
    return Reply(200, {"eventId": event.id, "decisions": decisions} | ({"warnings": warnings} if warnings else {}))


def preview_flow(services: Services, request: Request) -> Reply:
    """Return what a draft flow would have decided on the latest events in the history, newest first, and what a saved
    revision would have decided. Raises InvalidFlow, InvalidRequest, UnknownRevision and UnknownRecord."""
    inputs = read_preview(request.body, request.portal_id, request.now)
    draft, revision, record = inputs.draft, None, None
    if inputs.compare_with is not None:
        revision = existing_revision(services, request.portal_id, draft.id, inputs.compare_with)
    if inputs.object_id is not None:
        record = services.record_service.get(RecordKey(request.portal_id, draft.object_type_id, inputs.object_id))
    compared = None if revision is None else read_switched_on(revision)
    query = PreviewQuery(inputs.limit, inputs.after, inputs.since, record, inputs.explains)
    previewed = preview(services.processor, services.history, draft, request.now, query, compared)
    details: dict[str, Any] = {
        "isOnce": not draft.should_re_enroll,
        "since": iso(previewed.since),
        "eventsRead": previewed.events_read,
    }
    if revision is not None and compared is not None:
        details |= {
            "comparedIsOnce": not compared.should_re_enroll,
            "comparedRevisionId": str(revision.revision),
            "comparedIsEnabled": revision.is_enabled,
        }
    results = [_write_previewed(outcome, draft, compared) for outcome in previewed.outcomes]
    next_position = None if previewed.following is None else write_cursor(previewed.following)
    return Reply(200, page(results, next_position) | details)


NOT_TRIGGERED = "the event does not trigger the draft"


def _write_previewed(outcome: PreviewOutcome, draft: Flow, compared: Flow | None) -> dict[str, Any]:
    """Return the decision of the draft on an event, and that of the compared revision if there is one. The keys of a
    decision do not depend on whether the event triggers the draft."""
    event, decision = outcome.event, outcome.decision
    if decision is None:
        undecided = Decision(Code.NOT_MATCHED, draft.id, draft.revision_id, NOT_TRIGGERED)
        written = decision_fields(event, undecided) | {"code": None, "failedConditions": []}
    else:
        written = {
            **decision_fields(event, decision),
            "failedConditions": list(failed_conditions(decision, draft, EVENT_TYPES)),
        }
    written["occurredAt"] = iso(event.occurred_at)
    if outcome.explanation is not None:
        written |= write_explanation(outcome.explanation)
    if compared is not None:
        written["compared"] = _write_outcome(outcome.compared, compared)
    return written


def impact_of_flow(services: Services, request: Request) -> Reply:
    """Return what a draft and the saved revision of the flow would have decided on the latest events in the history,
    newest first. Raises InvalidFlow and InvalidRequest."""
    inputs = read_impact(request.body, request.portal_id, request.now)
    draft = inputs.draft
    revision = services.authoring.get_many(request.portal_id, [draft.id]).get(draft.id)
    saved = None if revision is None else read_switched_on(revision)
    query = PreviewQuery(inputs.limit, inputs.after, inputs.since)
    previewed = preview(services.processor, services.history, draft, request.now, query, saved)
    results = [
        {
            "eventId": outcome.event.id,
            "eventType": outcome.event.event_type.name,
            "occurredAt": iso(outcome.event.occurred_at),
            "objectTypeId": outcome.event.object_type_id,
            "objectId": outcome.event.object_id,
            "draft": _write_outcome(outcome.decision, draft),
            "saved": _write_outcome(outcome.compared, saved),
        }
        for outcome in previewed.outcomes
    ]
    next_position = None if previewed.following is None else write_cursor(previewed.following)
    details = {
        "since": iso(previewed.since),
        "draftIsOnce": not draft.should_re_enroll,
        "savedIsOnce": None if saved is None else not saved.should_re_enroll,
        "savedRevisionId": None if revision is None else str(revision.revision),
        "savedIsEnabled": None if revision is None else revision.is_enabled,
    }
    return Reply(200, page(results, next_position) | details)


def _write_outcome(decision: Decision | None, flow: Flow | None) -> dict[str, Any] | None:
    if decision is None or flow is None:
        return None
    conditions = list(failed_conditions(decision, flow, EVENT_TYPES))
    return {"code": decision.code.value, "because": decision.because, "failedConditions": conditions}


def write_decision(event: Event, explanation: Explanation) -> Mapping[str, Any]:
    """Return the fields of a decision as they are logged, and those that explain it."""
    return {**decision_fields(event, explanation.decision), **write_explanation(explanation)}


EVENT_BODY = {
    "id": "7f6a3c60-2a7e-4a0b-8d0e-1b2c3d4e5f60",
    "detail-type": "forms.submitted",
    "source": "acme.website",
    "time": "2026-11-23T10:00:00Z",
    "detail": {
        "id": "submission-8123",
        "portalId": "p1",
        "objectType": "contact",
        "objectId": "101",
        "properties": {"hs_form_id": "f-1"},
    },
}

ENDPOINTS = (
    Endpoint(
        "simulateEvent",
        "POST",
        "/enrollment/v1/simulate",
        "Simulate an event",
        simulate,
        {200: "Simulation"},
        description="Decides the event with the code that enrolls, but writes nothing and sends no message. `flows` "
        "replaces the stored flows, and counts as turned on. `record` replaces the stored record, and has no "
        "enrollments. For an invalid event, the response has `unprocessed` instead of `decisions`.",
        body="SimulationInput",
        example=Example(body={"event": EVENT_BODY, "flows": [FLOW_BODY], "record": {"properties": {"city": "Dublin"}}}),
    ),
    Endpoint(
        "previewFlow",
        "POST",
        "/enrollment/v1/preview",
        "Show which records a draft flow would have enrolled from past events",
        preview_flow,
        {200: "PreviewPage"},
        description="Decides the latest events in the history, newest first, as if the flow had been on and no record "
        "enrolled. If `isOnce` is true, a record enters the flow once: a page enrolls it by its first event, so count "
        "it once over all pages. A page can be short or empty and still have a next page. `compareWith` names a saved "
        "revision of the draft's flow; `compared` is its decision on the same event, and null if the event does not "
        "trigger it. For an event that triggers only that revision, `code` is null. `objectId` selects the events of "
        "one record. With `details`, each decision has the result of every filter.",
        body="PreviewInput",
        example=Example(
            body={
                "flow": {"id": "1001", **FLOW_BODY},
                "compareWith": {"revisionId": "1"},
                "occurredAfter": "2026-11-20T00:00:00Z",
                "details": True,
                "limit": 100,
            }
        ),
    ),
    Endpoint(
        "impactOfFlow",
        "POST",
        "/enrollment/v1/impact",
        "Compare a draft with the saved revision of the flow on past events",
        impact_of_flow,
        {200: "ImpactPage"},
        description="Decides the latest events in the history, newest first, once by the draft and once by the saved "
        "revision of the flow with the draft's ID. Both count as turned on, and no record as enrolled before. `draft` "
        "or `saved` is null for an event that does not trigger that version; `saved` is always null if the flow is not "
        "saved. For a version that enrolls a record once, count a record once over all pages. A page can be short or "
        "empty and still have a next page.",
        body="ImpactInput",
        example=Example(body={"flow": {"id": "1001", **FLOW_BODY}, "since": "2026-11-20T00:00:00Z", "limit": 100}),
    ),
)
