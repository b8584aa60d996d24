"""Serve manual enrollments: `POST /enrollment/v1/flows/{flowId}/enrollments` for every object type, and HubSpot's
`/automation/v2/workflows/…/enrollments/contacts/…`."""

from enrollment.adapters.observability import decision_fields
from enrollment.application.manual_enrollment import ManualRequest
from enrollment.application.record_service import UnknownRecord
from enrollment.domain.enrollment.decisions import Code
from enrollment.domain.values import iso
from enrollment.entrypoints.http_api.endpoint import Endpoint, Example, Query, Reply, Request, Scope, Services
from enrollment.entrypoints.http_api.simulation import write_decision
from enrollment.serialization.manual_enrollments import IDEMPOTENCY_KEY, read_idempotency_key, read_manual_enrollment
from enrollment.serialization.requests import refuse

# The header of HubSpot's route with the code of the decision, because its response has no body.
DECISION_HEADER = "X-Enroll-Decision"
CONTACT = "0-1"


def enroll_records(services: Services, request: Request) -> Reply:
    """Enroll one record, or each record of a batch. Raises UnknownFlow and FlowIsOff."""
    manual_request, is_batch = _read_request(services, request)
    decisions = services.manual_enrollment.enroll(manual_request, request.now)
    results = [decision_fields(event, decision) for event, decision in decisions]
    if is_batch:
        times = {"startedAt": iso(request.now), "completedAt": iso(request.now)}
        return Reply(200, {"status": "COMPLETE", "results": results, **times})
    return Reply(201 if decisions[0][1].code is Code.ENROLLED else 200, results[0])


def simulate_enrollments(services: Services, request: Request) -> Reply:
    """Return what would be decided on one record, or on each record of a batch. Raises UnknownFlow and FlowIsOff."""
    manual_request, _ = _read_request(services, request)
    results = [
        write_decision(event, explanation)
        for event, explanation in services.manual_enrollment.simulate(manual_request, request.now)
    ]
    return Reply(200, {"results": results})


def _read_request(services: Services, request: Request) -> tuple[ManualRequest, bool]:
    """Return the request, and whether it is a batch."""
    object_ids, chain, is_batch = read_manual_enrollment(request.body)
    manual_request = ManualRequest(
        portal_id=request.portal_id,
        flow_id=request.path["flowId"],
        object_ids=object_ids,
        idempotency_key=_idempotency_key(services, request),
        caller=request.caller.name,
        chain=chain,
    )
    return manual_request, is_batch


def enroll_contact(services: Services, request: Request) -> Reply:
    """Enroll a contact, as HubSpot's v2 route. Raises UnknownFlow, FlowIsOff, UnknownRecord and AmbiguousEmail."""
    contact_id = _contact_id(services, request)
    manual_request = ManualRequest(
        portal_id=request.portal_id,
        flow_id=request.path["flowId"],
        object_ids=[contact_id],
        idempotency_key=_idempotency_key(services, request),
        caller=request.caller.name,
        object_type_id=CONTACT,
    )
    ((_, decision),) = services.manual_enrollment.enroll(manual_request, request.now)
    if decision.code is Code.UNKNOWN_RECORD:
        raise UnknownRecord(decision.because)
    return Reply(204, headers={DECISION_HEADER: decision.code.value})


def _contact_id(services: Services, request: Request) -> str:
    """Return the ID of the contact in the path, given its ID or its email. Raises AmbiguousEmail."""
    contact_id = request.path["contactId"]
    if "@" not in contact_id:
        return contact_id
    try:
        return services.record_service.find_contact(request.portal_id, contact_id).key.object_id
    except UnknownRecord:
        # Some sources use the email as the ID of the record.
        return contact_id


def remove_contact(services: Services, request: Request) -> Reply:
    """Reject the request: enrollments are not tracked yet."""
    raise _not_yet_supported("Removing a contact from a flow")


def list_active_flows(services: Services, request: Request) -> Reply:
    """Reject the request: enrollments are not tracked yet."""
    raise _not_yet_supported("Listing the flows in which a contact is active")


def _not_yet_supported(what: str) -> Exception:
    message = (
        f"{what} is not supported yet, because Enroll does not know when a record leaves a flow. List the enrollments "
        "with GET /enrollment/v1/records/contacts/{objectId}/enrollments"
    )
    return refuse("contactId", "NOT_YET_SUPPORTED", message)


def _idempotency_key(services: Services, request: Request) -> str:
    """Return the idempotency key of a request. If it has none, it gets a new one."""
    key = read_idempotency_key(request.headers)
    return services.new_id(request.now) if key is None else key


KEY_HEADER = Query(
    IDEMPOTENCY_KEY,
    "Names the request. A request that is repeated with the same key has the same answer and makes no second "
    "enrollment. Without it, each request is a new one.",
    {"type": "string", "minLength": 1, "maxLength": 100},
)
_V2_CONTACT = "/automation/v2/workflows/{flowId}/enrollments/contacts/{contactId}"

ENDPOINTS = (
    Endpoint(
        "enrollRecords",
        "POST",
        "/enrollment/v1/flows/{flowId}/enrollments",
        "Enroll a record, or up to 100 records, in a flow",
        enroll_records,
        {200: "ManualEnrollment", 201: "EnrollmentDecision"},
        scope=Scope.WRITE_ENROLLMENTS,
        description="The flow must be on. The record need not satisfy its triggers and criteria, but suppression, goal "
        "and re-enrollment apply. The status is 201 if the record is enrolled. It is 200 for every other decision, and "
        "for a batch. If the flow is off, the status is 409 (FLOW_IS_OFF).",
        headers=(KEY_HEADER,),
        body="ManualEnrollmentInput",
        example=Example(path={"flowId": "1002"}, body={"objectId": "101"}),
    ),
    Endpoint(
        "simulateEnrollments",
        "POST",
        "/enrollment/v1/flows/{flowId}/enrollments/simulate",
        "Simulate a manual enrollment of a record, or of up to 100 records",
        simulate_enrollments,
        {200: "EnrollmentSimulation"},
        description="Takes the body of a manual enrollment, and decides with the same code. Nothing is stored, and no "
        "message is sent. If the flow is off, the status is 409 (FLOW_IS_OFF).",
        headers=(KEY_HEADER,),
        body="ManualEnrollmentInput",
        example=Example(path={"flowId": "1002"}, body={"objectId": "101"}),
    ),
    Endpoint(
        "enrollContact",
        "POST",
        _V2_CONTACT,
        "Enroll a contact in a flow (HubSpot's v2)",
        enroll_contact,
        {204: None},
        scope=Scope.WRITE_ENROLLMENTS,
        description="As the route above, for one contact, named by its email or its ID. If several contacts have the "
        "email, the status is 409 (AMBIGUOUS_EMAIL) and none is enrolled. The response has no body; the header "
        f"{DECISION_HEADER} has the code of the decision.",
        headers=(KEY_HEADER,),
        example=Example(path={"flowId": "1002", "contactId": "101"}),
    ),
    Endpoint(
        "removeContact",
        "DELETE",
        _V2_CONTACT,
        "Remove a contact from a flow (HubSpot's v2): not supported yet",
        remove_contact,
        {400: "Error"},
        scope=Scope.WRITE_ENROLLMENTS,
        description="Answers 400 (NOT_YET_SUPPORTED).",
        example=Example(path={"flowId": "1002", "contactId": "101"}),
    ),
    Endpoint(
        "listActiveFlows",
        "GET",
        "/automation/v2/workflows/enrollments/contacts/{contactId}",
        "List the flows in which a contact is active (HubSpot's v2): not supported yet",
        list_active_flows,
        {400: "Error"},
        description="Answers 400 (NOT_YET_SUPPORTED).",
        example=Example(path={"contactId": "101"}),
    ),
)
