"""A flow's JSON as the API gives it: HubSpot's keys that every flow has, and all that its author wrote."""

from collections.abc import Mapping
from typing import Any

from enrollment.domain.criteria.criteria import BranchResult, FilterResult, Result
from enrollment.domain.describe import expected
from enrollment.domain.flows.flow import FlowRevision
from enrollment.domain.values import iso
from enrollment.serialization.requests import BodyReader
from enrollment.serialization.validation_errors import expectation

# What HubSpot's flows have whether or not their author wrote it.
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
    """Of a list of flows. ``enabledAt`` and ``enrollmentType`` are beyond HubSpot's."""
    whole = write_flow(revision)
    keys = ("id", "name", "type", "flowType", "objectTypeId", "revisionId", "isEnabled", "createdAt", "updatedAt")
    criteria = whole.get("enrollmentCriteria")
    return {
        **{key: whole[key] for key in (*keys, "uuid") if key in whole},
        "enrollmentType": criteria.get("type") if isinstance(criteria, dict) else "MANUAL",
        "enabledAt": iso(revision.enabled_at) if revision.is_enabled and revision.enabled_at is not None else None,
    }


def read_flow_ids(body: Any) -> list[str]:
    """``{"inputs": [{"flowId": …, "type": "FLOW_ID"}]}``. Raises InvalidRequest."""
    reader = BodyReader()
    inputs = reader.items(reader.mapping(body, "$").get("inputs"), "$.inputs", "inputs")
    ids = []
    for number, one in enumerate(inputs):
        path = f"$.inputs[{number}]"
        given = reader.mapping(one, path)
        if given.get("type", "FLOW_ID") != "FLOW_ID":
            reader.fault(f"{path}.type", "UNKNOWN_TYPE", expectation("FLOW_ID", given["type"]))
        ids.append(reader.id(given.get("flowId"), f"{path}.flowId"))
    reader.finish()
    return list(dict.fromkeys(ids))


def write_result(result: Result) -> dict[str, Any]:
    """What came of a filter, or of a branch and all that is under it."""
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
        "filters": [write_result(one) for one in result.parts if isinstance(one, FilterResult)],
        "filterBranches": [write_result(one) for one in result.parts if isinstance(one, BranchResult)],
        "passed": result.holds,
    }


def _next_action_id(actions: Any) -> str:
    numbers = [
        int(one["actionId"])
        for one in (actions if isinstance(actions, list) else [])
        if isinstance(one, dict)
        and isinstance(one.get("actionId"), str)
        and one["actionId"].isascii()
        and one["actionId"].isdigit()
        and len(one["actionId"]) < 16
    ]
    return str(max(numbers, default=0) + 1)
