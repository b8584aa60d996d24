"""Flows of a given size with as many event types as can trigger one flow."""

import json
from typing import Any

from enrollment.catalog import EVENT_TYPES
from enrollment.domain.flows.flow import FlowRevision
from enrollment.domain.json_text import byte_length, json_text
from enrollment.serialization.flows import InvalidFlow, read_flow
from tests.support.scenario import flow

VALUES = 20


def event_types(object_type: str = "0-1") -> list[str]:
    """Return the event types that a trigger can name, except membership in lists, which `lists` names."""
    return [name for name in EVENT_TYPES if _is_read(flow({"id": 1, "object": object_type, "event": name}))]


def _is_read(document: dict[str, Any]) -> bool:
    try:
        read_flow(FlowRevision("p", "1", 1, document, True, 0, 0, 0))
    except InvalidFlow:
        return False
    return True


def large_flow(size: int, types: list[str], unit: str = "x", **fields: Any) -> dict[str, Any]:
    """Return a flow of `size` bytes of JSON. Half of its text is in the trigger, half in the goal. No record meets the
    `goal`."""
    lists = [["IN_LIST", "42"], ["NOT_IN_LIST", "43"]] if types else []
    document = flow({"id": 1, "groups": [{"event": event_type} for event_type in types], "lists": lists} | fields)
    goal: dict[str, Any] = {"filterType": "PROPERTY", "property": "plan", "operation": _any_of(["none"])}
    refinement: dict[str, Any] = {"filterType": "PROPERTY", "property": "city", "operation": _any_of(["Oslo"])}
    document["goalFilterBranch"] = {"filterBranchType": "AND", "filterBranches": [], "filters": [goal]}
    document["enrollmentCriteria"]["refinementCriteria"] = {
        "filterBranchType": "AND",
        "filterBranches": [],
        "filters": [refinement],
    }
    width = byte_length(json_text(unit)) - 2
    count = max(0, size - byte_length(json_text(document)) - 2 * VALUES * 4) // (2 * VALUES * width)
    for filter_ in (goal, refinement):
        filter_["operation"]["values"] += [unit * count] * VALUES
    rest = size - byte_length(json_text(document))
    goal["operation"]["values"][-1] += "y" * rest
    assert byte_length(json_text(document)) == size
    assert json.loads(json_text(document)) == document
    return document


def _any_of(values: list[str]) -> dict[str, Any]:
    return {
        "operationType": "ENUMERATION",
        "operator": "IS_ANY_OF",
        "values": values,
        "includeObjectsWithNoValueSet": False,
    }
