"""`/enrollment/v1/simulate`: what an event would do."""

from enrollment.api.operations import Example, Operation, Reply, Request, Services
from enrollment.domain.events import Event, InvalidEvent
from enrollment.observability import decision_fields
from enrollment.simulation import simulated
from enrollment.wire.envelopes import read_routed_event
from enrollment.wire.faults import shown
from enrollment.wire.requests import BodyReader, refuse


def simulate(services: Services, request: Request) -> Reply:
    """Answers as a handler does."""
    reader = BodyReader()
    envelope = reader.mapping(reader.mapping(request.body, "$").get("event"), "$.event")
    reader.finish()
    try:
        event = read_routed_event(envelope)
        _check_portal(event, request)
        decisions = simulated(services.process, event)
    except InvalidEvent as invalid:
        given = envelope.get("id")
        unprocessed = {"reason": invalid.reason, "field": invalid.field, "message": invalid.message}
        return Reply(200, {"eventId": given if isinstance(given, str) else None, "unprocessed": unprocessed})
    return Reply(200, {"eventId": event.id, "decisions": [decision_fields(event, one) for one in decisions]})


def _check_portal(event: Event, request: Request) -> None:
    if event.portal_id != request.portal_id:
        message = f"found {shown(event.portal_id)}, allowed is the portal that the request is about"
        raise refuse("$.event.detail.portalId", "OTHER_PORTAL", message)


OPERATIONS = (
    Operation(
        "simulate",
        "POST",
        "/enrollment/v1/simulate",
        "What an event would do: every decision, and nothing done",
        simulate,
        {200: "Simulation"},
        description="The event as EventBridge delivers it, decided now as its function would; one that would be "
        "refused has its reason instead. Nothing is stored and nothing is published.",
        body="SimulationInput",
        example=Example(
            body={
                "event": {
                    "id": "8a1f3c5e-0d7b-4a52-9c1e-2f6b7d8e9a10",
                    "detail-type": "forms.submitted",
                    "source": "acme.website",
                    "time": "2030-01-01T00:00:00Z",
                    "detail": {
                        "id": "submission-8123",
                        "portalId": "p1",
                        "objectType": "contact",
                        "objectId": "103",
                        "properties": {"hs_form_id": "f-1"},
                    },
                }
            }
        ),
    ),
)
