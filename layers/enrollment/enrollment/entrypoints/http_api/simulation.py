"""`/enrollment/v1/simulate`: what would be decided on an event that is not put on the bus; `/enrollment/v1/preview`:
what a draft would have decided on the events that happened."""

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from enrollment.adapters.observability import decision_fields
from enrollment.application.flow_preview import preview
from enrollment.application.simulation import Drafts, Simulation, no_enrollments
from enrollment.catalog import EVENT_TYPES
from enrollment.domain.describe import failed_conditions
from enrollment.domain.enrollment.explanations import Explanation
from enrollment.domain.events.event import Event, InvalidEvent
from enrollment.domain.values import iso
from enrollment.entrypoints.http_api.access import OtherPortal
from enrollment.entrypoints.http_api.endpoint import Endpoint, Example, Reply, Request, Services, page
from enrollment.entrypoints.http_api.flows import FLOW_BODY
from enrollment.serialization.envelopes import read_routed_event
from enrollment.serialization.explanations import read_preview, read_simulation, write_explanation
from enrollment.serialization.requests import write_cursor


def simulate(services: Services, request: Request) -> Reply:
    asked = read_simulation(request.body, request.portal_id, request.now)
    processor = services.processor if asked.flows is None else replace(services.processor, flows=Drafts(asked.flows))
    try:
        event = read_routed_event(asked.envelope)
        if event.portal_id != request.portal_id:
            raise OtherPortal(f"no portal {event.portal_id}")
        services.portals.current(request.portal_id).check_source(event)
        simulation = Simulation(processor)
        if asked.record is not None:
            simulation = Simulation(processor, asked.record.of(event), sees=no_enrollments)
        explanations = simulation.explain(event)
    except InvalidEvent as invalid:
        found = asked.envelope.get("id") if isinstance(asked.envelope, dict) else None
        unprocessed = {"reason": invalid.reason, "field": invalid.field, "message": invalid.message}
        return Reply(200, {"eventId": found if isinstance(found, str) else None, "unprocessed": unprocessed})
    return Reply(200, {"eventId": event.id, "decisions": [written(event, one) for one in explanations]})


def preview_flow(services: Services, request: Request) -> Reply:
    flow, limit, after = read_preview(request.body, request.portal_id)
    found = preview(services.processor, services.history, flow, request.now, limit, after)
    results = [
        {
            **decision_fields(event, decision),
            "occurredAt": iso(event.occurred_at),
            "failedConditions": list(failed_conditions(decision, flow, EVENT_TYPES)),
        }
        for event, decision in found.decisions
    ]
    following = None if found.following is None else write_cursor(found.following)
    return Reply(200, page(results, following) | {"isOnce": not flow.should_re_enroll})


def written(event: Event, explanation: Explanation) -> Mapping[str, Any]:
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
        "What would be decided on an event, without its consequences",
        simulate,
        {200: "Simulation"},
        description="By the same code that enrolls; nothing is written and no message is sent. Against the flows that "
        "are stored, or those given here, taken as turned on; for the stored record, or one given here, which has "
        "never been enrolled. An event that would be refused is answered as `unprocessed`.",
        body="SimulationInput",
        example=Example(body={"event": EVENT_BODY, "flows": [FLOW_BODY], "record": {"properties": {"city": "Dublin"}}}),
    ),
    Endpoint(
        "previewFlow",
        "POST",
        "/enrollment/v1/preview",
        "Whom would a draft have enrolled?",
        preview_flow,
        {200: "PreviewPage"},
        description="By the latest events in the history, newest first, as though the flow had been on and nobody "
        "enrolled. On a page, a record that enters once is enrolled by its first event; over several pages count it "
        "once (`isOnce`). A page may be short, or empty, and yet have a next one.",
        body="PreviewInput",
        example=Example(body={"flow": FLOW_BODY, "limit": 100}),
    ),
)
