"""What decisions rest on, as the API tells it; and what it is asked to simulate."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from enrollment.catalog import EVENT_TYPES
from enrollment.domain.criteria.criteria import Result
from enrollment.domain.describe import failed_conditions
from enrollment.domain.enrollment.explanations import Explanation, GroupResult
from enrollment.domain.events.event import Event
from enrollment.domain.flows.flow import Flow, revised
from enrollment.domain.records.record import Record, TimestampedValue
from enrollment.domain.values import Instant, iso, read_name
from enrollment.serialization.flow_documents import write_result
from enrollment.serialization.flows import InvalidFlow, read_flow
from enrollment.serialization.requests import MAX_INPUTS, BodyReader, read_cursor
from enrollment.serialization.validation_errors import expectation, expectation_of


class SimulationRequest(Struct, frozen=True):
    """``flows`` None: those that are stored. ``record``: what is said of it; None: the stored one."""

    envelope: Any
    flows: Sequence[Flow] | None
    record: "InlineRecord | None"


class InlineRecord(Struct, frozen=True):
    """All of it holds since ``created_at``."""

    created_at: Instant
    properties: Mapping[str, Any]
    lists: Sequence[str]

    def of(self, event: Event) -> Sequence[Record]:
        """None, when the event is about no record."""
        if event.record_key is None:
            return ()
        properties = {name: TimestampedValue(value, self.created_at) for name, value in self.properties.items()}
        memberships = {read_name(one): TimestampedValue(True, self.created_at) for one in self.lists}
        return (Record(event.record_key, self.created_at, properties, memberships),)


def read_simulation(body: Any, portal_id: str, now: Instant) -> SimulationRequest:
    """``{"event": <envelope>, "flows": [<flow>, …], "record": {"properties": {…}, "lists": […], "createdAt": …}}``.
    Raises InvalidRequest."""
    reader = BodyReader()
    given = reader.mapping(body, "$")
    if "event" not in given:
        reader.fault("$.event", "MISSING_FIELD", expectation_of("an event as EventBridge delivers it", "no value"))
    flows = None if given.get("flows") is None else _drafts(reader, given["flows"], "$.flows", portal_id)
    record = None if given.get("record") is None else _inline_record(reader, given["record"], now)
    reader.finish()
    return SimulationRequest(given["event"], flows, record)


def read_preview(body: Any, portal_id: str) -> tuple[Flow, int, str | None]:
    """``{"flow": <flow>, "limit": …, "after": …}``: the draft, how many events, and where to go on. Raises
    InvalidRequest."""
    reader = BodyReader()
    given = reader.mapping(body, "$")
    draft = _draft(reader, given.get("flow"), "$.flow", "draft", portal_id)
    limit, after = given.get("limit", MAX_INPUTS), given.get("after")
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MAX_INPUTS:
        reader.fault("$.limit", "WRONG_TYPE", expectation(f"a number from 1 to {MAX_INPUTS}", limit))
    if after is not None and not isinstance(after, str):
        reader.fault("$.after", "WRONG_TYPE", expectation("paging.next.after of the previous page", after))
    reader.finish()
    assert draft is not None
    return draft, limit, read_cursor(after)


def _drafts(reader: BodyReader, found: Any, path: str, portal_id: str) -> list[Flow]:
    """Flows that are not stored, taken as turned on for all events. One without an id is called draft-1, draft-2…"""
    flows: dict[str, Flow] = {}
    for number, one in enumerate(reader.items(found, path, "flows")):
        at = f"{path}[{number}]"
        draft = _draft(reader, one, at, f"draft-{number + 1}", portal_id)
        if draft is not None and draft.id in flows:
            reader.fault(f"{at}.id", "GIVEN_TWICE", expectation("each flow ID once", draft.id))
        elif draft is not None:
            flows[draft.id] = draft
    return list(flows.values())


def _draft(reader: BodyReader, found: Any, path: str, name: str, portal_id: str) -> Flow | None:
    document = reader.mapping(found, path)
    flow_id = reader.id(document.get("id", name), f"{path}.id")
    # Turned on, whatever it says; but what is no answer to that is a fault here as anywhere.
    is_enabled = document.get("isEnabled", True)
    turned_on = {**document, "isEnabled": True if isinstance(is_enabled, bool) else is_enabled}
    try:
        return read_flow(revised(None, portal_id, flow_id, turned_on, 0))
    except InvalidFlow as invalid:
        for fault in invalid.faults:
            reader.fault(f"{path}{fault.path.removeprefix('$')}", fault.code, fault.message)
        return None


def _inline_record(reader: BodyReader, found: Any, now: Instant) -> InlineRecord:
    given = reader.mapping(found, "$.record")
    lists, created_at = given.get("lists"), given.get("createdAt")
    return InlineRecord(
        created_at=0 if created_at is None else reader.time(created_at, "$.record.createdAt", now),
        properties=reader.properties(given.get("properties", {}), "$.record.properties"),
        lists=[] if lists in (None, []) else reader.ids(lists, "$.record.lists"),
    )


def write_explanation(explanation: Explanation) -> dict[str, Any]:
    """Beside the fields of the decision."""
    flow = explanation.flow
    return {
        "flowName": flow.name,
        "failedConditions": list(failed_conditions(explanation.decision, flow, EVENT_TYPES)),
        "triggerGroups": [_write_group(one) for one in explanation.groups],
        "recordAsOf": None if explanation.as_of is None else iso(explanation.as_of),
        "suppression": _write_result(explanation.suppression),
        "goal": _write_result(explanation.goal),
        "refinementCriteria": _write_result(explanation.criteria),
    }


def _write_group(result: GroupResult) -> dict[str, Any]:
    return {
        "groupIndex": result.group.index,
        "eventType": result.group.event_type,
        "isConcerned": result.is_concerned,
        "filters": [write_result(one) for one in result.filters],
        "passed": result.holds,
    }


def _write_result(result: Result | None) -> dict[str, Any] | None:
    return None if result is None else write_result(result)
