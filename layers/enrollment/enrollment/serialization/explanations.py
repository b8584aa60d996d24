"""Reading of simulation and preview requests, and writing of explanations."""

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
from enrollment.serialization.flows import InvalidFlow, read_new_flow
from enrollment.serialization.requests import MAX_INPUTS, BodyReader, read_cursor
from enrollment.serialization.validation_errors import expectation, expectation_of


class SimulationRequest(Struct, frozen=True):
    """A request to simulate an event. ``flows`` None: the stored flows. ``record`` None: the stored record."""

    envelope: Any
    flows: Sequence[Flow] | None
    record: "InlineRecord | None"


class InlineRecord(Struct, frozen=True):
    """A record that is given in the request. All values are set since ``created_at``. ``lists``: IDs of its lists."""

    created_at: Instant
    properties: Mapping[str, Any]
    lists: Sequence[str]

    def of(self, event: Event) -> Sequence[Record]:
        """Return the record under the event's key. Empty if the event has no record."""
        if event.record_key is None:
            return ()
        properties = {name: TimestampedValue(value, self.created_at) for name, value in self.properties.items()}
        memberships = {read_name(list_id): TimestampedValue(True, self.created_at) for list_id in self.lists}
        return (Record(event.record_key, self.created_at, properties, memberships),)


def read_simulation(body: Any, portal_id: str, now: Instant) -> SimulationRequest:
    """Read a simulation. Raises InvalidRequest.

    ``{"event": <envelope>, "flows": [<flow>, …], "record": {"properties": {…}, "lists": […], "createdAt": …}}``
    """
    reader = BodyReader()
    document = reader.mapping(body, "$")
    if "event" not in document:
        reader.fault("$.event", "MISSING_FIELD", expectation_of("an event as EventBridge delivers it", "no value"))
    flows = None if document.get("flows") is None else _drafts(reader, document["flows"], "$.flows", portal_id)
    record = None if document.get("record") is None else _inline_record(reader, document["record"], now)
    reader.finish()
    return SimulationRequest(document["event"], flows, record)


def read_preview(body: Any, portal_id: str) -> tuple[Flow, int, str | None]:
    """Read ``{"flow": <flow>, "limit": …, "after": …}``. Return the draft, the number of events, and the position
    of the cursor. Raises InvalidRequest."""
    reader = BodyReader()
    document = reader.mapping(body, "$")
    draft = _draft(reader, document.get("flow"), "$.flow", "draft", portal_id)
    limit, after = document.get("limit", MAX_INPUTS), document.get("after")
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MAX_INPUTS:
        reader.fault("$.limit", "WRONG_TYPE", expectation(f"a number from 1 to {MAX_INPUTS}", limit))
    if after is not None and not isinstance(after, str):
        reader.fault("$.after", "WRONG_TYPE", expectation("paging.next.after of the previous page", after))
    reader.finish()
    assert draft is not None
    return draft, limit, read_cursor(after)


def _drafts(reader: BodyReader, raw_flows: Any, path: str, portal_id: str) -> list[Flow]:
    """Read drafts of flows, turned on since before all events. A draft without an ID gets draft-1, draft-2…"""
    flows: dict[str, Flow] = {}
    for number, raw_flow in enumerate(reader.items(raw_flows, path, "flows")):
        at = f"{path}[{number}]"
        draft = _draft(reader, raw_flow, at, f"draft-{number + 1}", portal_id)
        if draft is not None and draft.id in flows:
            reader.fault(f"{at}.id", "GIVEN_TWICE", expectation("each flow ID once", draft.id))
        elif draft is not None:
            flows[draft.id] = draft
    return list(flows.values())


def _draft(reader: BodyReader, raw_flow: Any, path: str, name: str, portal_id: str) -> Flow | None:
    document = reader.mapping(raw_flow, path)
    flow_id = reader.id(document.get("id", name), f"{path}.id")
    # A draft is always on. A value that is not a boolean is still reported.
    is_enabled = document.get("isEnabled", True)
    turned_on = {**document, "isEnabled": True if isinstance(is_enabled, bool) else is_enabled}
    try:
        return read_new_flow(revised(None, portal_id, flow_id, turned_on, 0))
    except InvalidFlow as invalid:
        for fault in invalid.faults:
            reader.fault(f"{path}{fault.path.removeprefix('$')}", fault.code, fault.message)
        return None


def _inline_record(reader: BodyReader, raw_record: Any, now: Instant) -> InlineRecord:
    document = reader.mapping(raw_record, "$.record")
    lists, created_at = document.get("lists"), document.get("createdAt")
    return InlineRecord(
        created_at=0 if created_at is None else reader.time(created_at, "$.record.createdAt", now),
        properties=reader.properties(document.get("properties", {}), "$.record.properties"),
        lists=[] if lists in (None, []) else reader.ids(lists, "$.record.lists"),
    )


def write_explanation(explanation: Explanation) -> dict[str, Any]:
    """Return the fields that an explanation has in addition to those of the decision."""
    flow = explanation.flow
    return {
        "flowName": flow.name,
        "failedConditions": list(failed_conditions(explanation.decision, flow, EVENT_TYPES)),
        "triggerGroups": [_write_group(group) for group in explanation.groups],
        "recordAsOf": None if explanation.as_of is None else iso(explanation.as_of),
        "suppression": _write_result(explanation.suppression),
        "goal": _write_result(explanation.goal),
        "refinementCriteria": _write_result(explanation.criteria),
        **_write_entry(explanation),
    }


def _write_entry(explanation: Explanation) -> dict[str, Any]:
    """Return the enrollment criteria of a filter-based flow, after the change and just before it."""
    if explanation.flow.entry is None:
        return {}
    return {
        "enrollmentCriteria": _write_result(explanation.entry),
        "enrollmentCriteriaBefore": _write_result(explanation.entry_before),
    }


def _write_group(result: GroupResult) -> dict[str, Any]:
    return {
        "groupIndex": result.group.index,
        "eventType": result.group.event_type,
        "isConcerned": result.is_concerned,
        "filters": [write_result(filter_result) for filter_result in result.filters],
        "passed": result.holds,
    }


def _write_result(result: Result | None) -> dict[str, Any] | None:
    return None if result is None else write_result(result)
