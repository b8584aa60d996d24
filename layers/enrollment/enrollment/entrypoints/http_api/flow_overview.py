"""Serve what a list of flows shows: `/enrollment/v1/flows`, each flow with its description and warnings, what flows did
lately, and the revisions of a flow."""

from collections.abc import Sequence
from typing import Any

from enrollment.application.flow_activity import FlowActivity, LastDecision
from enrollment.application.flow_authoring import FlowAuthoring, UnknownRevision
from enrollment.catalog import EVENT_TYPES
from enrollment.domain.criteria.record_operators import zone_of
from enrollment.domain.describe import describe_flow
from enrollment.domain.flows.flow import Flow, FlowRevision
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
)
from enrollment.entrypoints.http_api.flows import not_found
from enrollment.serialization.flow_documents import (
    MAX_SUMMARIES,
    read_summarized_ids,
    write_flow,
    write_flow_summary,
    write_revision_summary,
)
from enrollment.serialization.flow_warnings import warnings
from enrollment.serialization.flows import InvalidFlow, read_flow
from enrollment.serialization.messages import write_stored
from enrollment.serialization.requests import read_cursor, read_limit, read_number, write_cursor

DEFAULT_LIMIT = 50
# The largest number of a revision in its key.
MAX_REVISION = 10**10 - 1


def list_flow_overviews(services: Services, request: Request) -> Reply:
    """List the portal's flows in the order of their IDs, each with its description, warnings and triggers."""
    limit = read_limit(request.query.get("limit"), DEFAULT_LIMIT)
    after = read_cursor(request.query.get("after")) or ""
    # Flows with the same triggers share the reads for the detection of loops.
    authoring = services.authoring.of_request()
    revisions = authoring.list(request.portal_id, limit + 1, after)
    next_position = write_cursor(revisions[limit - 1].id) if len(revisions) > limit else None
    return Reply(200, page([_overview(authoring, revision) for revision in revisions[:limit]], next_position))


def summarize_flows(services: Services, request: Request) -> Reply:
    """Return what flows did lately, in the order of the request. The status is 207 if some do not exist."""
    flow_ids = read_summarized_ids(request.body)
    revisions = services.authoring.get_many(request.portal_id, flow_ids)
    zone = zone_of(services.portals.settings(request.portal_id).time_zone)
    flows = [revisions[flow_id] for flow_id in flow_ids if flow_id in revisions]
    activities = services.flow_activity.of_flows(flows, request.now, zone)
    missing = [flow_id for flow_id in flow_ids if flow_id not in revisions]
    answer: dict[str, object] = {
        "status": "COMPLETE",
        "results": [_activity(activity) for activity in activities],
        "startedAt": iso(request.now),
        "completedAt": iso(request.now),
    }
    if missing:
        answer |= not_found("flows", missing)
    return Reply(207 if missing else 200, answer)


def list_revisions(services: Services, request: Request) -> Reply:
    """List the revisions of a flow, newest first. The flow can be deleted. Raises UnknownFlow."""
    limit = read_limit(request.query.get("limit"), 20)
    position = read_cursor(request.query.get("after"))
    before = None if position is None else read_number(position, "after", MAX_REVISION)
    revisions = services.authoring.revisions(request.portal_id, request.path["flowId"], limit + 1, before)
    next_position = write_cursor(str(revisions[limit - 1].revision)) if len(revisions) > limit else None
    return Reply(200, page([_revision(revision) for revision in revisions[:limit]], next_position))


def get_revision(services: Services, request: Request) -> Reply:
    """Return a revision of a flow, with its document. Raises UnknownRevision."""
    revision = _revision_with_id(services, request.portal_id, request.path["flowId"], request.path["revisionId"])
    return Reply(200, _revision(revision) | {"flow": None if revision.is_deleted else write_flow(revision)})


def existing_revision(services: Services, portal_id: str, flow_id: str, revision_id: str) -> FlowRevision:
    """Return a revision of a flow that is not a deletion. Raises UnknownRevision."""
    revision = _revision_with_id(services, portal_id, flow_id, revision_id)
    if revision.is_deleted:
        raise UnknownRevision(f"revision {revision_id} of flow {flow_id} is its deletion, and has no criteria")
    return revision


def _revision_with_id(services: Services, portal_id: str, flow_id: str, revision_id: str) -> FlowRevision:
    if not (revision_id.isascii() and revision_id.isdigit()) or int(revision_id) > MAX_REVISION:
        raise UnknownRevision(f"no revision {revision_id} of flow {flow_id} in this portal")
    return services.authoring.revision(portal_id, flow_id, int(revision_id))


def _overview(authoring: FlowAuthoring, revision: FlowRevision) -> dict[str, Any]:
    """Return the summary of a flow with what it does. A flow that this version cannot read has no description; its
    warnings say why."""
    summary = write_flow_summary(revision) | {"changedBy": revision.changed_by}
    try:
        flow = read_flow(revision)
    except InvalidFlow as invalid:
        reasons = [f"the flow cannot run; {fault}" for fault in invalid.faults]
        return summary | {"canRun": False, "eventTypes": [], "categories": [], "explanation": [], "warnings": reasons}
    event_types = _event_types(flow)
    return summary | {
        "canRun": True,
        "eventTypes": event_types,
        "categories": list(dict.fromkeys(EVENT_TYPES[event_type].category for event_type in event_types)),
        "explanation": list(describe_flow(flow, EVENT_TYPES)),
        "warnings": list(warnings(flow, authoring.triggered_by_flows(flow))),
    }


def _activity(activity: FlowActivity) -> dict[str, Any]:
    enrolled, last = activity.enrolled, activity.last_enrollment
    return {
        "flowId": activity.flow_id,
        "enrolled": {
            "last24h": enrolled.last_24_hours,
            "days": list(enrolled.days),
            "since": iso(enrolled.since),
            "isExact": enrolled.is_exact,
        },
        "lastEnrollment": None if last is None else write_stored(last),
        "lastDecision": None if activity.last_decision is None else _decision(activity.last_decision),
    }


def _decision(last: LastDecision) -> dict[str, Any]:
    event, outcome = last.event, last.outcome
    return {
        "code": None if outcome.decision is None else str(outcome.decision.code),
        "because": outcome.because,
        "flowRevisionId": outcome.revision_id,
        "eventId": event.id,
        "eventType": event.event_type.name,
        "occurredAt": iso(event.occurred_at),
        "objectTypeId": event.object_type_id,
        "objectId": event.object_id,
        "notes": list(outcome.notes),
    }


def _event_types(flow: Flow) -> list[str]:
    """Return the event types that the trigger groups name, in their order. A filter-based flow names none."""
    return list(dict.fromkeys(group.event_type for group in flow.groups))


def _revision(revision: FlowRevision) -> dict[str, Any]:
    return write_revision_summary(revision) | {"explanation": _explanation(revision)}


def _explanation(revision: FlowRevision) -> Sequence[str]:
    """Return the description of a revision. Empty: it is a deletion, or this version cannot read it."""
    if revision.is_deleted:
        return []
    try:
        return list(describe_flow(read_flow(revision), EVENT_TYPES))
    except InvalidFlow:
        return []


ENDPOINTS = (
    Endpoint(
        "listFlowOverviews",
        "GET",
        "/enrollment/v1/flows",
        "List the flows of the portal, each with its description and warnings",
        list_flow_overviews,
        {200: "FlowOverviewPage"},
        description="Returns what `/automation/v4/flows` returns of each flow, and what the flow does. `canRun` is "
        "false for a flow that this version cannot read; `warnings` has the reasons.",
        query=(
            Query(
                "limit",
                "Maximum number of results on a page.",
                {"type": "integer", "minimum": 1, "maximum": 100, "default": DEFAULT_LIMIT},
            ),
            AFTER,
        ),
    ),
    Endpoint(
        "summarizeFlows",
        "POST",
        "/enrollment/v1/flows/summaries",
        f"Count the enrollments of up to {MAX_SUMMARIES} flows, with their last decisions",
        summarize_flows,
        {200: "FlowActivityBatch", 207: "FlowActivityBatch"},
        description="`days` are those of the portal's time zone, the current day last. A flow with many enrollments "
        "has estimated numbers, and `isExact` is false. The last decision is that on the newest stored event that can "
        "trigger the flow. It is decided again as by /enrollment/v1/explain.",
        body="FlowActivityQuery",
        example=Example(body={"flowIds": ["1001", "1002"]}),
    ),
    Endpoint(
        "listRevisions",
        "GET",
        "/enrollment/v1/flows/{flowId}/revisions",
        "List the revisions of a flow, newest first",
        list_revisions,
        {200: "FlowRevisionPage"},
        description="A deletion is a revision too. `changedBy` is null for revisions that were stored before it "
        "existed.",
        query=(FEWER, AFTER),
        example=Example(path={"flowId": "1001"}),
    ),
    Endpoint(
        "readRevision",
        "GET",
        "/enrollment/v1/flows/{flowId}/revisions/{revisionId}",
        "Get a revision of a flow",
        get_revision,
        {200: "FlowRevision"},
        description="`flow` is the flow as it was; null for a deletion. To restore it, PUT it with the current "
        "revisionId.",
        example=Example(path={"flowId": "1001", "revisionId": "1"}),
    ),
)
