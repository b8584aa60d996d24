"""Writing of flows in the format of HubSpot's API: the keys that every flow has, and the author's document."""

from collections.abc import Mapping
from typing import Any

from enrollment.domain.criteria.criteria import BranchResult, FilterResult, Result
from enrollment.domain.describe import expected
from enrollment.domain.flows.flow import FlowRevision
from enrollment.domain.values import iso
from enrollment.serialization.requests import BodyReader
from enrollment.serialization.validation_errors import expectation, expectation_of

# Flows in one request about what flows did lately. Each costs about 25 read units.
MAX_SUMMARIES = 10

# Keys that HubSpot's flows have even if the author did not set them.
_DEFAULTS: Mapping[str, Any] = {
    "flowType": "WORKFLOW",
    "actions": [],
    "timeWindows": [],
    "blockedDates": [],
    "customProperties": {},
    "dataSources": [],
}
_CONTACT_DEFAULTS: Mapping[str, Any] = {
    "objectTypeId": "0-1",
    "suppressionListIds": [],
    "canEnrollFromSalesforce": False,
}


def write_flow(revision: FlowRevision) -> dict[str, Any]:
    """Return a flow in HubSpot's format. Keys that this system does not evaluate are returned unchanged."""
    document = revision.document
    is_contact = document.get("type") == "CONTACT_FLOW"
    return {
        **_DEFAULTS,
        **(_CONTACT_DEFAULTS if is_contact else {}),
        "nextAvailableActionId": _next_action_id(document.get("actions")),
        **document,
        "id": revision.id,
        "revisionId": str(revision.revision),
        "isEnabled": revision.is_enabled,
        "createdAt": iso(revision.created_at),
        "updatedAt": iso(revision.changed_at),
        "crmObjectCreationStatus": "COMPLETE",
    }


def write_flow_summary(revision: FlowRevision) -> dict[str, Any]:
    """Return a flow as an item of a list of flows. ``enabledAt`` and ``enrollmentType`` are not in HubSpot's format."""
    whole = write_flow(revision)
    keys = ("id", "name", "type", "flowType", "objectTypeId", "revisionId", "isEnabled", "createdAt", "updatedAt")
    criteria = whole.get("enrollmentCriteria")
    return {
        **{key: whole[key] for key in (*keys, "uuid") if key in whole},
        "enrollmentType": criteria.get("type") if isinstance(criteria, dict) else "MANUAL",
        "enabledAt": iso(revision.enabled_at) if revision.is_enabled and revision.enabled_at is not None else None,
    }


def write_revision_summary(revision: FlowRevision) -> dict[str, Any]:
    """Return a revision as an item of a list of revisions. ``enrollmentType`` None: the revision is a deletion."""
    document = revision.document
    criteria = document.get("enrollmentCriteria")
    kind = criteria.get("type") if isinstance(criteria, dict) else "MANUAL"
    return {
        "flowId": revision.id,
        "revisionId": str(revision.revision),
        "name": document.get("name"),
        "enrollmentType": None if revision.is_deleted else kind,
        "isEnabled": revision.is_enabled,
        "isDeleted": revision.is_deleted,
        "updatedAt": iso(revision.changed_at),
        "changedBy": revision.changed_by,
    }


def read_flow_ids(body: Any) -> list[str]:
    """Read ``{"inputs": [{"flowId": …, "type": "FLOW_ID"}]}``. Return each ID once. Raises InvalidRequest."""
    reader = BodyReader()
    inputs = reader.items(reader.mapping(body, "$").get("inputs"), "$.inputs", "inputs")
    ids = []
    for number, raw_input in enumerate(inputs):
        path = f"$.inputs[{number}]"
        document = reader.mapping(raw_input, path)
        if document.get("type", "FLOW_ID") != "FLOW_ID":
            reader.fault(f"{path}.type", "UNKNOWN_TYPE", expectation("FLOW_ID", document["type"]))
        ids.append(reader.id(document.get("flowId"), f"{path}.flowId"))
    reader.finish()
    return list(dict.fromkeys(ids))


def read_summarized_ids(body: Any) -> list[str]:
    """Read ``{"flowIds": […]}``. Return each ID once. Raises InvalidRequest."""
    reader = BodyReader()
    raw_ids = reader.mapping(body, "$").get("flowIds")
    if isinstance(raw_ids, list) and len(raw_ids) > MAX_SUMMARIES:
        message = expectation_of(f"1 to {MAX_SUMMARIES} ids", f"{len(raw_ids):,} ids", "Send several requests")
        reader.fault("$.flowIds", "WRONG_LENGTH", message)
        reader.finish()
    flow_ids = reader.ids(raw_ids, "$.flowIds")
    reader.finish()
    return flow_ids


def write_result(result: Result) -> dict[str, Any]:
    """Return the result of a filter, or of a branch with everything in it, as JSON."""
    if isinstance(result, FilterResult):
        return {
            "property": result.property,
            "operation": dict(result.operation),
            "expected": expected(result.operation),
            "found": result.found,
            "passed": result.holds,
            **({} if result.because is None else {"because": result.because}),
        }
    return {
        "filterBranchType": result.kind,
        "filters": [write_result(part) for part in result.parts if isinstance(part, FilterResult)],
        "filterBranches": [write_result(part) for part in result.parts if isinstance(part, BranchResult)],
        "passed": result.holds,
    }


def _next_action_id(actions: Any) -> str:
    numbers = [
        int(action["actionId"])
        for action in (actions if isinstance(actions, list) else [])
        if isinstance(action, dict)
        and isinstance(action.get("actionId"), str)
        and action["actionId"].isascii()
        and action["actionId"].isdigit()
        and len(action["actionId"]) < 16
    ]
    return str(max(numbers, default=0) + 1)
