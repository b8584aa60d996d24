"""Serve the test of a record against the criteria of a flow: of a stored flow, and of a draft
(`/enrollment/v1/flows/test`). Triggers and earlier changes are not considered, as in HubSpot's own test."""

from typing import Any

from enrollment.domain.flows.flow import Flow
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.record import Record, TimestampedValue
from enrollment.entrypoints.http_api.endpoint import Endpoint, Example, Reply, Request, Services
from enrollment.entrypoints.http_api.flows import FLOW_BODY
from enrollment.serialization.explanations import DryRunRecord, read_draft_dry_run, read_dry_run
from enrollment.serialization.flow_documents import write_result
from enrollment.serialization.flows import read_flow


def dry_run_enrollment(services: Services, request: Request) -> Reply:
    """Return whether a record passes the criteria, suppression and goal of a stored flow. The record is stored, or
    consists of the properties in the body. Raises UnknownFlow, UnknownRecord, InvalidFlow and InvalidRequest."""
    revision = services.authoring.get(request.portal_id, request.path["flowId"])
    flow = read_flow(revision)
    answer = _evaluate(services, request, flow, read_dry_run(request.body))
    return Reply(200, {"flowId": flow.id, "flowRevisionId": flow.revision_id, **answer})


def dry_run_draft(services: Services, request: Request) -> Reply:
    """Return what ``dry_run_enrollment`` returns, for the draft in the body. Raises UnknownRecord, and InvalidRequest
    with every fault of the draft."""
    draft, inputs = read_draft_dry_run(request.body, request.portal_id)
    return Reply(200, {"flowId": draft.id, **_evaluate(services, request, draft, inputs)})


def _evaluate(services: Services, request: Request, flow: Flow, inputs: DryRunRecord) -> dict[str, Any]:
    """Evaluate the refinement criteria of an event-based flow, or the enrollment criteria of a filter-based flow, with
    the suppression and the goal."""
    if inputs.object_id is not None:
        record = services.record_service.get(RecordKey(request.portal_id, flow.object_type_id, inputs.object_id))
    else:
        values = {name: TimestampedValue(value, request.now) for name, value in inputs.properties.items()}
        record = Record(RecordKey(request.portal_id, flow.object_type_id, ""), request.now, values)
    snapshot = services.evaluator.snapshot(record, request.now, [flow])
    suppression, goal, criteria = (
        None if branch is None else branch.result(snapshot)
        for branch in (flow.suppression, flow.goal, flow.criteria if flow.entry is None else flow.entry.criteria)
    )
    is_rejected = any(result is not None and result.holds for result in (suppression, goal))
    return {
        "objectTypeId": flow.object_type_id,
        "objectId": inputs.object_id,
        "passed": not is_rejected and (criteria is None or criteria.holds),
        "refinementCriteria": None if criteria is None or flow.entry is not None else write_result(criteria),
        **({} if criteria is None or flow.entry is None else {"enrollmentCriteria": write_result(criteria)}),
        "suppression": None if suppression is None else write_result(suppression),
        "goal": None if goal is None else write_result(goal),
    }


ENDPOINTS = (
    Endpoint(
        "testEnrollment",
        "POST",
        "/enrollment/v1/flows/{flowId}/test",
        "Test whether a record passes the criteria of a flow",
        dry_run_enrollment,
        {200: "EnrollmentTest"},
        description="Evaluates the refinement criteria, the suppression and the goal, but no triggers, as HubSpot's "
        "own test does. Returns the result of every filter. The body names a stored record, or gives properties.",
        body="EnrollmentTestInput",
        example=Example(path={"flowId": "1001"}, body={"objectId": "101"}),
    ),
    Endpoint(
        "testDraft",
        "POST",
        "/enrollment/v1/flows/test",
        "Test whether a record passes the criteria of a draft",
        dry_run_draft,
        {200: "DraftTest"},
        description="Does what /enrollment/v1/flows/{flowId}/test does, for a flow that is not stored. The draft "
        "counts as turned on. An invalid draft is refused with every fault.",
        body="DraftTestInput",
        example=Example(body={"flow": FLOW_BODY, "objectId": "101"}),
    ),
)
