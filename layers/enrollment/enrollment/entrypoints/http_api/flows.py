"""`/automation/v4/flows`, and what Enroll adds to a flow."""

import hashlib

from enrollment.application.flow_authoring import RevisionRequired
from enrollment.application.ports import ConcurrentModification
from enrollment.catalog import EVENT_TYPES
from enrollment.domain.describe import describe_flow
from enrollment.domain.flows.flow import FlowRevision, revised
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.record import Record, TimestampedValue
from enrollment.domain.values import iso
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
from enrollment.serialization.flow_documents import read_flow_ids, write_flow, write_flow_summary, write_result
from enrollment.serialization.flow_warnings import warnings
from enrollment.serialization.flows import read_flow
from enrollment.serialization.requests import (
    BodyReader,
    read_cursor,
    read_flag,
    read_id,
    read_limit,
    refuse,
    write_cursor,
)
from enrollment.serialization.validation_errors import format_value

# Of a thousand ids a millisecond.
ID_ATTEMPTS = 20


def list_flows(services: Services, request: Request) -> Reply:
    limit = read_limit(request.query.get("limit"))
    after = read_cursor(request.query.get("after")) or ""
    found = services.authoring.list(request.portal_id, limit + 1, after)
    following = write_cursor(found[limit - 1].id) if len(found) > limit else None
    return Reply(200, page([write_flow_summary(one) for one in found[:limit]], following))


def create_flow(services: Services, request: Request) -> Reply:
    document = _document(request)
    for _ in range(ID_ATTEMPTS):
        flow_id = new_number(services, request)
        try:
            revision = services.authoring.put(request.portal_id, flow_id, document, request.now)
        except (ConcurrentModification, RevisionRequired):  # the id is taken
            continue
        return Reply(201, _written(services, revision))
    raise ConcurrentModification("no free id was found for the flow; ask again")


def get_flow(services: Services, request: Request) -> Reply:
    return Reply(200, write_flow(services.authoring.get(request.portal_id, request.path["flowId"])))


def put_flow(services: Services, request: Request) -> Reply:
    document = _document(request)
    based_on = document.get("revisionId")
    if based_on is not None and (isinstance(based_on, bool) or not isinstance(based_on, str | int)):
        raise refuse(
            "$.revisionId", "WRONG_TYPE", f"found {format_value(based_on)}, allowed is the revisionId that was read"
        )
    flow_id = read_id(request.path["flowId"], "flowId")
    revision = services.authoring.put(
        request.portal_id,
        flow_id,
        document,
        request.now,
        based_on=None if based_on is None else str(based_on),
        replace_triggers=read_flag(request.query.get("replaceTriggers"), "replaceTriggers"),
    )
    return Reply(201 if based_on is None else 200, _written(services, revision))


def _written(services: Services, revision: FlowRevision) -> dict[str, object]:
    """Asked once it is stored: of two flows that close a loop and are written at once, one at least sees the other."""
    flow = read_flow(revision)
    found = list(warnings(flow, services.authoring.triggered_by_flows(flow)))
    return write_flow(revision) | ({"warnings": found} if found else {})


def delete_flow(services: Services, request: Request) -> Reply:
    services.authoring.delete(request.portal_id, request.path["flowId"], request.now)
    return Reply(204)


def batch_get_flows(services: Services, request: Request) -> Reply:
    ids = read_flow_ids(request.body)
    found = services.authoring.get_many(request.portal_id, ids)
    missing = [one for one in ids if one not in found]
    answer: dict[str, object] = {
        "status": "COMPLETE",
        "results": [write_flow(found[one]) for one in ids if one in found],
        "startedAt": iso(request.now),
        "completedAt": iso(request.now),
    }
    if missing:
        answer |= not_found("flows", missing)
    return Reply(207 if missing else 200, answer)


def not_found(what: str, missing: list[str]) -> dict[str, object]:
    """The part of a batch's answer that tells of ids that name nothing."""
    error = {
        "status": "error",
        "category": "OBJECT_NOT_FOUND",
        "message": f"no such {what}",
        "context": {"ids": missing},
    }
    return {"numErrors": len(missing), "errors": [error]}


def dry_run_enrollment(services: Services, request: Request) -> Reply:
    """As HubSpot's test: triggers are not considered."""
    revision = services.authoring.get(request.portal_id, request.path["flowId"])
    flow = read_flow(revision)
    if not flow.groups:
        kind = write_flow_summary(revision)["enrollmentType"]
        raise refuse("flowId", "NOT_EVENT_BASED", f"found a flow of type {kind}, allowed is an EVENT_BASED one")
    reader = BodyReader()
    given = reader.mapping(request.body, "$")
    if ("objectId" in given) == ("properties" in given):
        reader.fault("$", "WRONG_TYPE", "allowed is either objectId, of a stored record, or the properties of one")
    object_id = reader.id(given["objectId"], "$.objectId") if "objectId" in given else None
    properties = reader.properties(given.get("properties", {}), "$.properties")
    reader.finish()
    if object_id is not None:
        record = services.record_service.get(RecordKey(request.portal_id, flow.object_type_id, object_id))
    else:
        known = {name: TimestampedValue(value, request.now) for name, value in properties.items()}
        record = Record(RecordKey(request.portal_id, flow.object_type_id, ""), request.now, known)
    snapshot = services.evaluator.snapshot(record, request.now, [flow])
    suppression, goal, criteria = (
        None if one is None else one.result(snapshot) for one in (flow.suppression, flow.goal, flow.criteria)
    )
    is_kept_out = any(one is not None and one.holds for one in (suppression, goal))
    answer = {
        "flowId": flow.id,
        "flowRevisionId": flow.revision_id,
        "objectTypeId": flow.object_type_id,
        "objectId": object_id,
        "passed": not is_kept_out and (criteria is None or criteria.holds),
        "refinementCriteria": None if criteria is None else write_result(criteria),
        "suppression": None if suppression is None else write_result(suppression),
        "goal": None if goal is None else write_result(goal),
    }
    return Reply(200, answer)


def check_flow(services: Services, request: Request) -> Reply:
    """Nothing is stored."""
    document = _document(request)
    # An id says which flow it would replace: what it leads to depends on that.
    flow_id = str(document.get("id") or "check")
    flow = read_flow(revised(None, request.portal_id, flow_id, document, request.now))
    found = warnings(flow, services.authoring.triggered_by_flows(flow))
    return Reply(200, {"explanation": list(describe_flow(flow, EVENT_TYPES)), "warnings": list(found)})


def _document(request: Request) -> dict[str, object]:
    if not isinstance(request.body, dict):
        raise refuse("$", "WRONG_TYPE", f"found {format_value(request.body)}, allowed is a flow, an object")
    return request.body


def new_number(services: Services, request: Request) -> str:
    """An id as HubSpot's are: the time, and three digits by chance. JavaScript reads it without loss."""
    chance = hashlib.sha256(services.new_id(request.now).encode()).digest()
    return f"{request.now}{int.from_bytes(chance) % 1000:03d}"


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

REPLACE_TRIGGERS = Query(
    "replaceTriggers",
    "Confirms that a filter-based or scheduled flow becomes event-based and loses its old triggers.",
    {"type": "boolean", "default": False},
)

ENDPOINTS = (
    Endpoint(
        "listFlows",
        "GET",
        "/automation/v4/flows",
        "The flows of the portal",
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
        description="The id is chosen here. To create a flow under an id of its own, as one that was exported has, "
        "PUT it there without a revisionId.",
        body="FlowInput",
        example=Example(body=FLOW_BODY),
    ),
    Endpoint(
        "readFlows",
        "POST",
        "/automation/v4/flows/batch/read",
        "Several flows by their ids",
        batch_get_flows,
        {200: "FlowBatch", 207: "FlowBatch"},
        body="FlowIds",
        example=Example(body={"inputs": [{"flowId": "1001", "type": "FLOW_ID"}]}),
    ),
    Endpoint(
        "readFlow",
        "GET",
        "/automation/v4/flows/{flowId}",
        "A flow",
        get_flow,
        {200: "Flow"},
        example=Example(path={"flowId": "1001"}),
    ),
    Endpoint(
        "putFlow",
        "PUT",
        "/automation/v4/flows/{flowId}",
        "Change a flow, as a whole",
        put_flow,
        {200: "Flow", 201: "Flow"},
        scope=Scope.WRITE_FLOWS,
        description="With the revisionId that was read: when the flow has been changed since, the answer is 409, and "
        "nothing is lost. Without a revisionId it creates the flow, and an existing one is refused.",
        query=(REPLACE_TRIGGERS,),
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
        description="It enrolls nobody from the next event on. The enrollments that it made stay.",
        example=Example(path={"flowId": "1002"}),
    ),
    Endpoint(
        "checkFlow",
        "POST",
        "/enrollment/v1/flows/check",
        "What a flow means, in plain sentences, and what in it is probably not meant",
        check_flow,
        {200: "FlowCheck"},
        description="Or all that is wrong with it. Nothing is stored.",
        body="FlowInput",
        example=Example(body=FLOW_BODY),
    ),
    Endpoint(
        "testEnrollment",
        "POST",
        "/enrollment/v1/flows/{flowId}/test",
        "Would this record pass the flow's criteria?",
        dry_run_enrollment,
        {200: "EnrollmentTest"},
        description="Considers refinement criteria, suppression and goal, and no trigger, as HubSpot's test does, with "
        "the result of every filter. "
        "For a stored record, or for properties that are given.",
        body="EnrollmentTestInput",
        example=Example(path={"flowId": "1001"}, body={"objectId": "101"}),
    ),
)
