"""Serve the flows API: `/automation/v4/flows`, and the check of a flow under `/enrollment/v1/flows`."""

import hashlib
from collections.abc import Mapping

from msgspec import Struct

from enrollment.application.backfills import BackfillRequest
from enrollment.application.flow_authoring import RevisionRequired
from enrollment.application.ports import ConcurrentModification
from enrollment.catalog import EVENT_TYPES
from enrollment.domain.describe import describe_flow
from enrollment.domain.flows.flow import FlowRevision, revised
from enrollment.domain.values import iso
from enrollment.entrypoints.http_api.access import Forbidden
from enrollment.entrypoints.http_api.endpoint import (
    AFTER,
    LIMIT,
    Endpoint,
    Example,
    Query,
    Reply,
    Request,
    Scope,
    Services,
    page,
)
from enrollment.serialization.backfills import MAX_CONFIRMED, read_confirm
from enrollment.serialization.flow_documents import read_flow_ids, write_flow, write_flow_summary
from enrollment.serialization.flow_warnings import warnings
from enrollment.serialization.flows import InvalidFlow, read_flow, read_new_flow
from enrollment.serialization.requests import (
    read_cursor,
    read_flag,
    read_id,
    read_limit,
    refuse,
    write_cursor,
)
from enrollment.serialization.validation_errors import expectation, expectation_of

# New IDs that are attempted. There are 1,000 for each millisecond, so a concurrent request can take the same one.
ID_ATTEMPTS = 20


def list_flows(services: Services, request: Request) -> Reply:
    """List summaries of the portal's flows, in the order of their IDs."""
    limit = read_limit(request.query.get("limit"))
    after = read_cursor(request.query.get("after")) or ""
    revisions = services.authoring.list(request.portal_id, limit + 1, after)
    next_position = write_cursor(revisions[limit - 1].id) if len(revisions) > limit else None
    return Reply(200, page([write_flow_summary(revision) for revision in revisions[:limit]], next_position))


def create_flow(services: Services, request: Request) -> Reply:
    """Create a flow under a new ID. Raises ConcurrentModification if every ID that it attempts exists."""
    document = _document(request)
    enrolls_existing = _enrolls_existing(request)
    for _ in range(ID_ATTEMPTS):
        flow_id = new_number(services, request)
        if enrolls_existing:
            _require_scope_of_enrollments(request)
            _require_backfill(services, request, flow_id, document)
        try:
            revision = services.authoring.put(
                request.portal_id, flow_id, document, request.now, changed_by=request.caller.name
            )
        except (ConcurrentModification, RevisionRequired):  # the ID exists already
            continue
        headers = _start_backfill(services, request, revision) if enrolls_existing else {}
        return Reply(201, _write_with_warnings(services, revision), headers=headers)
    raise ConcurrentModification(f"{ID_ATTEMPTS} new flow IDs already exist; retrying is safe")


def get_flow(services: Services, request: Request) -> Reply:
    """Return the current revision of a flow. Raises UnknownFlow."""
    return Reply(200, write_flow(services.authoring.get(request.portal_id, request.path["flowId"])))


def put_flow(services: Services, request: Request) -> Reply:
    """Replace a flow, or create it if the body has no ``revisionId``. Raises as ``FlowAuthoring.put``."""
    document = _document(request)
    based_on = document.get("revisionId")
    if based_on is not None and (isinstance(based_on, bool) or not isinstance(based_on, str | int)):
        raise refuse("$.revisionId", "WRONG_TYPE", expectation('a revision ID, for example "3"', based_on))
    change = _FlowChange(
        flow_id=read_id(request.path["flowId"], "flowId"),
        document=document,
        based_on=None if based_on is None else str(based_on),
        replaces_triggers=read_flag(request.query.get("replaceTriggers"), "replaceTriggers"),
    )
    if _enrolls_existing(request):
        revision = _put_and_backfill(services, request, change)
        headers = _start_backfill(services, request, revision)
    else:
        revision = _put(services, request, change)
        headers = {}
    return Reply(201 if based_on is None else 200, _write_with_warnings(services, revision), headers=headers)


class _FlowChange(Struct, frozen=True):
    """A request to replace or create a flow. ``based_on``: as in ``FlowAuthoring.put``."""

    flow_id: str
    document: Mapping[str, object]
    based_on: str | None
    replaces_triggers: bool


def _put(services: Services, request: Request, change: _FlowChange) -> FlowRevision:
    return services.authoring.put(
        request.portal_id,
        change.flow_id,
        change.document,
        request.now,
        based_on=change.based_on,
        replace_triggers=change.replaces_triggers,
        changed_by=request.caller.name,
    )


def _put_and_backfill(services: Services, request: Request, change: _FlowChange) -> FlowRevision:
    """Store the flow, whose backfill can be started. If the request is repeated, return the revision that it has stored
    before."""
    _require_scope_of_enrollments(request)
    stored = _turned_on_before(services, request, change)
    if stored is not None:
        return stored
    _require_backfill(services, request, change.flow_id, change.document)
    try:
        return _put(services, request, change)
    except ConcurrentModification:
        # The flow is stored if only the response to the write was lost. A copy of the request may have stored it.
        stored = _turned_on_before(services, request, change)
        if stored is None:
            raise
        return stored


def _turned_on_before(services: Services, request: Request, change: _FlowChange) -> FlowRevision | None:
    """Return the flow's revision if this request has stored it and turned the flow on by it. None: it has not."""
    stored = services.authoring.stored_by(
        request.portal_id,
        change.flow_id,
        change.document,
        based_on=change.based_on,
        changed_by=request.caller.name,
    )
    return stored if stored is not None and stored.enabled_at == stored.changed_at else None


def _enrolls_existing(request: Request) -> bool:
    read_confirm(request.query.get(CONFIRM.name))
    return read_flag(request.query.get(ENROLL_EXISTING.name), ENROLL_EXISTING.name)


def _require_scope_of_enrollments(request: Request) -> None:
    if Scope.WRITE_ENROLLMENTS not in request.caller.scopes:
        raise Forbidden(
            f"enrollExisting: expected a token with the scope {Scope.WRITE_ENROLLMENTS}, got one without it"
        )


def _require_backfill(services: Services, request: Request, flow_id: str, document: Mapping[str, object]) -> None:
    """Raise an error unless the request turns the flow on, and confirms a backfill by the number of records. Nothing is
    stored before that."""
    current = services.authoring.get_many(request.portal_id, [flow_id]).get(flow_id)
    if document.get("isEnabled") is not True or (current is not None and current.is_enabled):
        found = "one that is on already" if document.get("isEnabled") is True else "one with isEnabled other than true"
        expected = "a flow that this request turns on (start a backfill of another with POST …/backfills)"
        raise refuse(ENROLL_EXISTING.name, "NOT_TURNED_ON", expectation_of(expected, found))
    flow = read_new_flow(revised(current, request.portal_id, flow_id, document, request.now))
    services.backfills.require_startable(flow, read_confirm(request.query.get(CONFIRM.name)))


def _start_backfill(services: Services, request: Request, revision: FlowRevision) -> Mapping[str, str]:
    """Start the backfill of a flow that was turned on, and return the header with its ID. A repeated request finds the
    run by the revision that turned the flow on."""
    backfill = BackfillRequest(
        portal_id=request.portal_id,
        flow_id=revision.id,
        is_dry_run=False,
        caller=request.caller.name,
        confirm=read_confirm(request.query.get(CONFIRM.name)),
        idempotency_key=f"revision:{revision.revision}",
    )
    return {BACKFILL_HEADER: services.backfills.start(backfill, request.now).id}


def _write_with_warnings(services: Services, revision: FlowRevision) -> dict[str, object]:
    """Return the flow with its warnings. Call this after the flow is stored: if two flows that form a loop are written
    at the same time, at least one of them then gets the warning."""
    try:
        flow = read_flow(revision)
    except InvalidFlow as invalid:
        # It was stored because it is off.
        flow_warnings = [f"the flow cannot be turned on; {fault}" for fault in invalid.faults]
    else:
        flow_warnings = list(warnings(flow, services.authoring.triggered_by_flows(flow)))
    return write_flow(revision) | ({"warnings": flow_warnings} if flow_warnings else {})


def delete_flow(services: Services, request: Request) -> Reply:
    """Delete a flow. Raises UnknownFlow."""
    services.authoring.delete(request.portal_id, request.path["flowId"], request.now, request.caller.name)
    return Reply(204)


def batch_get_flows(services: Services, request: Request) -> Reply:
    """Return flows in the order of the request. The status is 207 if some do not exist."""
    flow_ids = read_flow_ids(request.body)
    revisions = services.authoring.get_many(request.portal_id, flow_ids)
    missing = [flow_id for flow_id in flow_ids if flow_id not in revisions]
    answer: dict[str, object] = {
        "status": "COMPLETE",
        "results": [write_flow(revisions[flow_id]) for flow_id in flow_ids if flow_id in revisions],
        "startedAt": iso(request.now),
        "completedAt": iso(request.now),
    }
    if missing:
        answer |= not_found("flows", missing)
    return Reply(207 if missing else 200, answer)


def not_found(what: str, missing: list[str]) -> dict[str, object]:
    """Return the keys of a batch response that list missing IDs. ``what`` is a plural noun, such as ``flows``."""
    error = {
        "status": "error",
        "category": "OBJECT_NOT_FOUND",
        "message": f"no such {what}",
        "context": {"ids": missing},
    }
    return {"numErrors": len(missing), "errors": [error]}


def check_flow(services: Services, request: Request) -> Reply:
    """Describe a flow in sentences, with its warnings. Nothing is stored. Raises InvalidFlow with every fault."""
    document = _document(request)
    # The loop warning needs the ID of the flow that the document would replace.
    flow_id = str(document.get("id") or "check")
    flow = read_new_flow(revised(None, request.portal_id, flow_id, document, request.now))
    flow_warnings = warnings(flow, services.authoring.triggered_by_flows(flow))
    return Reply(200, {"explanation": list(describe_flow(flow, EVENT_TYPES)), "warnings": list(flow_warnings)})


def _document(request: Request) -> dict[str, object]:
    if not isinstance(request.body, dict):
        raise refuse("$", "WRONG_TYPE", expectation("a flow as a JSON object", request.body))
    return request.body


def new_number(services: Services, request: Request) -> str:
    """Return a numeric ID in the style of HubSpot: epoch milliseconds, and three random digits. It stays below 2**53,
    so JavaScript reads it exactly."""
    digest = hashlib.sha256(services.new_id(request.now).encode()).digest()
    return f"{request.now}{int.from_bytes(digest) % 1000:03d}"


FLOW_BODY = {
    "name": "Follow up demo requests",
    "type": "CONTACT_FLOW",
    "objectTypeId": "0-1",
    "isEnabled": True,
    "enrollmentCriteria": {
        "type": "EVENT_BASED",
        "shouldReEnroll": False,
        "eventFilterBranches": [
            {
                "filterBranchType": "UNIFIED_EVENTS",
                "filterBranchOperator": "AND",
                "operator": "HAS_COMPLETED",
                "eventTypeId": "forms.submitted",
                "filterBranches": [],
                "filters": [
                    {
                        "filterType": "PROPERTY",
                        "property": "hs_form_id",
                        "operation": {"operationType": "ENUMERATION", "operator": "IS_ANY_OF", "values": ["f-1"]},
                    }
                ],
            }
        ],
    },
}

# The header of a response with the ID of the backfill that the request started.
BACKFILL_HEADER = "X-Enroll-Backfill"
ENROLL_EXISTING = Query(
    "enrollExisting",
    "Enroll the existing records that meet the criteria of a filter-based flow, which this request turns on. Needs "
    f"`confirm` and the scope enroll/enrollments.write. The response's header {BACKFILL_HEADER} has the backfill's ID. "
    "A PUT that is repeated has the same answer, and starts no second backfill.",
    {"type": "boolean", "default": False},
)
CONFIRM = Query(
    "confirm",
    "With `enrollExisting`: the number of records of the flow's object type. A hundredth may be missing or added.",
    {"type": "integer", "minimum": 0, "maximum": MAX_CONFIRMED},
)
REPLACE_TRIGGERS = Query(
    "replaceTriggers",
    "Confirm that a filter-based or scheduled flow becomes event-based and loses its old triggers.",
    {"type": "boolean", "default": False},
)

ENDPOINTS = (
    Endpoint(
        "listFlows",
        "GET",
        "/automation/v4/flows",
        "List the flows of the portal",
        list_flows,
        {200: "FlowPage"},
        query=(LIMIT, AFTER),
    ),
    Endpoint(
        "createFlow",
        "POST",
        "/automation/v4/flows",
        "Create a flow",
        create_flow,
        {201: "Flow"},
        scope=Scope.WRITE_FLOWS,
        description="The API generates the ID. To create a flow under an ID that you choose, for example that of an "
        "exported flow, use PUT without a revisionId.",
        query=(ENROLL_EXISTING, CONFIRM),
        body="FlowInput",
        example=Example(body=FLOW_BODY),
    ),
    Endpoint(
        "readFlows",
        "POST",
        "/automation/v4/flows/batch/read",
        "Get up to 100 flows by ID",
        batch_get_flows,
        {200: "FlowBatch", 207: "FlowBatch"},
        body="FlowIds",
        example=Example(body={"inputs": [{"flowId": "1001", "type": "FLOW_ID"}]}),
    ),
    Endpoint(
        "readFlow",
        "GET",
        "/automation/v4/flows/{flowId}",
        "Get a flow",
        get_flow,
        {200: "Flow"},
        example=Example(path={"flowId": "1001"}),
    ),
    Endpoint(
        "putFlow",
        "PUT",
        "/automation/v4/flows/{flowId}",
        "Replace a flow, or create it",
        put_flow,
        {200: "Flow", 201: "Flow"},
        scope=Scope.WRITE_FLOWS,
        description="To replace a flow, send the revisionId that you read. If the flow has changed since, the status "
        "is 409 and nothing is stored. Without a revisionId, PUT creates the flow, and rejects an ID that exists.",
        query=(REPLACE_TRIGGERS, ENROLL_EXISTING, CONFIRM),
        body="FlowChange",
        example=Example(path={"flowId": "1001"}, body={**FLOW_BODY, "revisionId": "1"}),
    ),
    Endpoint(
        "deleteFlow",
        "DELETE",
        "/automation/v4/flows/{flowId}",
        "Delete a flow",
        delete_flow,
        {204: None},
        scope=Scope.WRITE_FLOWS,
        description="The flow stops enrolling at the next event. Its existing enrollments stay.",
        example=Example(path={"flowId": "1002"}),
    ),
    Endpoint(
        "checkFlow",
        "POST",
        "/enrollment/v1/flows/check",
        "Check a flow and describe it in plain sentences",
        check_flow,
        {200: "FlowCheck"},
        description="Returns the description and warnings of a valid flow, or every fault of an invalid one. Nothing "
        "is stored.",
        body="FlowInput",
        example=Example(body=FLOW_BODY),
    ),
)
