"""Scenarios as data: flows, records, events in order of arrival, and every decision that they must lead to.

A scenario's `decisions` are exact: what is not listed must not happen. Shorthand of the YAML files:

    flows:    {id, event: <event type or id>, where: [[property, OPERATOR, operand, operation type?], …]}, or several
              groups under `groups`; `lists: [[IN_LIST, "42"]]`; `criteria: [[…], …]` is an AND of record filters,
              `any: [[[…]], [[…]]]` an OR of them. A filter-based flow has `filters: [[…], [IN_LIST, "42"]]` or
              `any_filters: [[[…]], [[…]]]` instead, and `re_enroll_when: [[[…]], …]`; `company: [[…], …]` adds filters
            on an associated company to `filters`, `no_company` with NOT_IN_LIST; `manual: true` for a flow
              without triggers; `suppressed_by: [<list id>]`; `re_enroll`, `object`, `enabled`, `on_since`;
              `tolerance` in minutes, `record_tolerance` in seconds
    records:  {contact: "101", created: <time>, properties: {…}, lists: [<list id>]}; with `times: 3` the three
              records 101-0, 101-1 and 101-2
    events:   {<event type>: "<object id>" or null, id, at, sent, now, portal, object, properties, record,
              chain}; the change of an association is stored first. Or
              `turn_off: <flow>`, `turn_on: <flow>`, `delete: <flow>`, `put: <flow>`,
              `delete_record: <record>` (object), `until: <time>`,
              `manual: <contact>` (flow, key, chain), `backfill: <flow>` (dry, stops) between them
    decisions: [<event id>, <flow id>, <code>]
    refused:   the reasons of the events that are refused, in order
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from msgspec.structs import replace

from enrollment.application.backfills import BackfillRequest
from enrollment.application.manual_enrollment import FlowIsOff, ManualRequest
from enrollment.catalog import EVENT_TYPES
from enrollment.domain.events.event import InvalidEvent
from enrollment.domain.identifiers import RecordKey, object_type_id
from enrollment.domain.records.associations import associated, default_type
from enrollment.domain.records.record import Record, TimestampedValue
from enrollment.domain.values import iso, read_instant
from tests.support.fakes import World, switch

START = "2026-11-23T10:00:00.000Z"
PORTAL = "p1"

_OPERATION_TYPE = {
    "IS_ANY_OF": "ENUMERATION",
    "IS_NONE_OF": "ENUMERATION",
    "IS_EXACTLY": "ENUMERATION",
    "CONTAINS_ALL": "ENUMERATION",
    "IS_GREATER_THAN": "NUMBER",
    "IS_LESS_THAN": "NUMBER",
    "IS_BETWEEN": "NUMBER_RANGED",
    "IS_KNOWN": "ALL_PROPERTY",
    "IS_UNKNOWN": "ALL_PROPERTY",
    "IS_BEFORE": "DATETIME",
    "IS_AFTER": "DATETIME",
}


def load(folder: Path) -> list[tuple[str, Mapping[str, Any]]]:
    return [
        (f"{path.stem}: {scenario['name']}", scenario)
        for path in sorted(folder.glob("*.yaml"))
        for scenario in yaml.safe_load(path.read_text(encoding="utf-8"))
    ]


def play(scenario: Mapping[str, Any], world: World) -> list[list[str]]:
    """Play the scenario. Return the decisions in the form of the scenario."""
    for flow_fields in scenario.get("flows", []):
        _put(world, flow_fields)
    for record_fields in scenario.get("records", []):
        record = _record(record_fields)
        object_id = record.key.object_id
        copies = (
            [f"{object_id}-{number}" for number in range(record_fields["times"])]
            if "times" in record_fields
            else [object_id]
        )
        for copy in copies:
            world.put_record(replace(record.key, object_id=copy), record)
    for number, event_fields in enumerate(scenario["events"], 1):
        step = next(iter(event_fields))
        if step != "until":
            world.now = (
                _instant(event_fields.get("now", event_fields.get("sent", event_fields.get("at") or START))) + number
            )
        _act(world, step, event_fields)
    return [[event.id, decision.flow_id, str(decision.code)] for event, decision in world.decision_log.decisions]


def _act(world: World, step: str, fields: Mapping[str, Any]) -> None:
    if step in ("turn_on", "turn_off"):
        switch(world.authoring, PORTAL, str(fields[step]), world.now, on=step == "turn_on")
    elif step == "delete_record":
        type_id = object_type_id(fields.get("object", "contact")) or ""
        world.record_service.delete(RecordKey(PORTAL, type_id, str(fields[step])), world.now)
    elif step == "delete":
        world.authoring.delete(PORTAL, str(fields[step]), world.now)
    elif step == "put":
        _put(world, fields[step])
    elif step == "manual":
        _enroll(world, fields)
    elif step == "backfill":
        _backfill(world, fields)
    elif step == "until":
        world.pass_time(_instant(fields["until"]))
    else:
        if step == "crm.association_changed":
            _associate(world, event(fields)["detail"])
        _deliver(world, event(fields))
        world.decide_associated()


def _enroll(world: World, fields: Mapping[str, Any]) -> None:
    chain = tuple(fields.get("chain", ()))
    request = ManualRequest(PORTAL, str(fields["flow"]), [fields["manual"]], fields["key"], "ada", chain)
    try:
        world.manual_enrollment.enroll(request, world.now)
    except FlowIsOff as error:
        world.decision_log.log_rejected(None, InvalidEvent("FLOW_IS_OFF", "flowId", str(error)))


def _backfill(world: World, fields: Mapping[str, Any]) -> None:
    """Start a run and let workers finish it. ``stops``: after how many pages each worker stops."""
    is_dry_run = fields.get("dry", False)
    confirm = None if is_dry_run else world.listing.count(PORTAL, "0-1")
    request = BackfillRequest(PORTAL, str(fields["backfill"]), is_dry_run, "ada", confirm=confirm)
    run = world.backfills.start(request, world.now)
    while not world.runs.runs[run.id].is_finished:
        # A worker whose time is over stops after the page that it evaluates.
        for _, _ in zip(range(fields.get("stops", 1_000)), world.run_worker.work(world.now + 1), strict=False):
            pass
        world.now += 6 * 60_000


def _deliver(world: World, envelope: dict[str, Any]) -> None:
    try:
        world.deliver(envelope)
    except InvalidEvent as invalid:
        world.decision_log.log_rejected(envelope["detail"]["id"], invalid)


def _associate(world: World, detail: Mapping[str, Any]) -> None:
    """Store the association of the event in both directions."""
    properties = detail["properties"]
    if "hs_to_object_id" not in properties:
        return
    record = RecordKey(detail["portalId"], object_type_id(detail["objectType"]) or "", detail["objectId"])
    other = RecordKey(detail["portalId"], properties["hs_to_object_type_id"], properties["hs_to_object_id"])
    for source, target in ((record, other), (other, record)):
        kind = default_type(source.object_type_id, target.object_type_id)
        assert kind is not None
        holds = properties["hs_association_change"] == "ADDED"
        there = world.associations.get(source, target)
        world.associations.save([associated(there, [kind], _instant(detail["occurredAt"]), holds=holds)])


def _put(world: World, fields: Mapping[str, Any]) -> None:
    since = fields.get("on_since")
    world.put_flow(flow(fields), at=_instant(since) if isinstance(since, str) else since)


def event(fields: Mapping[str, Any]) -> dict[str, Any]:
    name = next(key for key in fields if key in EVENT_TYPES)
    detail: dict[str, Any] = {
        "id": fields["id"],
        "portalId": fields.get("portal", PORTAL),
        "objectType": fields.get("object", "contact"),
        "objectId": fields[name],
        "occurredAt": fields.get("at", START),
        "properties": fields.get("properties", {}),
    }
    if detail["occurredAt"] is None:
        del detail["occurredAt"]
    if "record" in fields:
        detail["record"] = {"properties": fields["record"]}
    if "chain" in fields:
        detail["chain"] = fields["chain"]
    return {
        "version": "0",
        "id": f"bus-{fields['id']}",
        "detail-type": name,
        "source": fields.get("source", "enroll" if name == "workflows.enrolled" else "acme"),
        "account": "123456789012",
        "time": fields.get("sent", fields.get("at") or START),
        "region": "eu-west-1",
        "resources": [],
        "detail": detail,
    }


def flow(fields: Mapping[str, Any]) -> dict[str, Any]:
    type_id = object_type_id(fields.get("object", "contact"))
    groups = fields.get("groups") or ([fields] if "event" in fields else [])
    criteria: dict[str, Any] = {
        "type": "EVENT_BASED",
        "shouldReEnroll": fields.get("re_enroll", False),
        "eventFilterBranches": [
            {
                "filterBranchType": "UNIFIED_EVENTS",
                "filterBranchOperator": "AND",
                "operator": "HAS_COMPLETED",
                "eventTypeId": group["event"],
                "filterBranches": [],
                "filters": [property_filter(where) for where in group.get("where", [])],
            }
            for group in groups
        ],
        "listMembershipFilterBranches": [
            {
                "filterBranchType": "AND",
                "filterBranches": [],
                "filters": [{"filterType": "IN_LIST", "operator": operator, "listId": list_id}],
            }
            for operator, list_id in fields.get("lists", [])
        ],
    }
    if fields.get("manual"):
        criteria = {"type": "MANUAL", "shouldReEnroll": fields.get("re_enroll", False)}
    if "filters" in fields or "any_filters" in fields:
        criteria = _filter_based(fields)
    if "criteria" in fields:
        criteria["refinementCriteria"] = _and(fields["criteria"])
    if "any" in fields:
        criteria["refinementCriteria"] = {
            "filterBranchType": "OR",
            "filters": [],
            "filterBranches": [_and(conditions) for conditions in fields["any"]],
        }
    return {
        "id": str(fields["id"]),
        "name": f"Flow {fields['id']}",
        "type": "CONTACT_FLOW" if type_id == "0-1" else "PLATFORM_FLOW",
        "objectTypeId": type_id,
        "isEnabled": fields.get("enabled", True),
        "enrollmentCriteria": criteria,
        **({"criteriaTolerance": fields["tolerance"]} if "tolerance" in fields else {}),
        **({"recordTolerance": fields["record_tolerance"]} if "record_tolerance" in fields else {}),
        **({"suppressionListIds": fields["suppressed_by"]} if "suppressed_by" in fields else {}),
        **({"enrollmentRateLimit": fields["limit"]} if "limit" in fields else {}),
    }


def _filter_based(fields: Mapping[str, Any]) -> dict[str, Any]:
    branches = [_and(filters) for filters in fields.get("any_filters") or [fields["filters"]]]
    for key, operator in (("company", "IN_LIST"), ("no_company", "NOT_IN_LIST")):
        if key in fields:
            filters = [_record_filter(filter_) for filter_ in fields[key]]
            branches[0]["filterBranches"].append(with_company(*filters, operator=operator))
    return {
        "type": "LIST_BASED",
        "shouldReEnroll": fields.get("re_enroll", False),
        "listFilterBranch": {
            "filterBranchType": "OR",
            "filters": [],
            "filterBranches": branches,
        },
        "reEnrollmentTriggersFilterBranches": [_and(conditions) for conditions in fields.get("re_enroll_when", [])],
    }


def _and(filters: list[list[Any]]) -> dict[str, Any]:
    return {
        "filterBranchType": "AND",
        "filterBranches": [],
        "filters": [_record_filter(filter_) for filter_ in filters],
    }


def _record_filter(condition: list[Any]) -> dict[str, Any]:
    if condition[0] in ("IN_LIST", "NOT_IN_LIST"):
        return {"filterType": "IN_LIST", "operator": condition[0], "listId": condition[1]}
    return property_filter(condition)


def with_company(*filters: Any, operator: str = "IN_LIST") -> dict[str, Any]:
    """Return an ASSOCIATION branch from contacts to companies."""
    return {
        "filterBranchType": "ASSOCIATION",
        "objectTypeId": "0-2",
        "associationCategory": "HUBSPOT_DEFINED",
        "associationTypeId": 279,
        "operator": operator,
        "filterBranches": [],
        "filters": list(filters),
    }


def property_filter(condition: list[Any]) -> dict[str, Any]:
    name, operator, *rest = condition
    operand: Any = rest[0] if rest else None
    kind = rest[1] if len(rest) > 1 else _OPERATION_TYPE.get(operator, "STRING")
    operation: dict[str, Any] = {
        "operationType": kind,
        "operator": operator,
        "includeObjectsWithNoValueSet": rest[2] if len(rest) > 2 else False,
    }
    if kind in ("ENUMERATION", "MULTISTRING"):
        operation["values"] = operand
    elif kind in ("NUMBER_RANGED", "RANGED_DATE"):
        operation["lowerBound"], operation["upperBound"] = operand
    elif kind == "DATETIME":
        operation["timestamp"] = _instant(operand)
    elif kind == "DATE":
        operation["year"], operation["month"], operation["day"] = operand
    elif kind != "ALL_PROPERTY":
        operation["value"] = operand
    return {"filterType": "PROPERTY", "property": name, "operation": operation}


def _record(fields: Mapping[str, Any]) -> Record:
    kind = next(key for key in fields if object_type_id(key))
    key = RecordKey(fields.get("portal", PORTAL), object_type_id(kind) or "", str(fields[kind]))
    created = _instant(fields.get("created", "2026-01-01T00:00:00Z"))
    properties = {name: TimestampedValue(value, created) for name, value in fields.get("properties", {}).items()}
    memberships = {str(name): TimestampedValue(True, created) for name in fields.get("lists", [])}
    return Record(key, created, properties, memberships)


def _instant(text: str) -> int:
    found = read_instant(text)
    assert found is not None, text
    return found


def at(seconds: int) -> str:
    return iso(_instant(START) + seconds * 1000)
