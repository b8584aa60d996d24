"""Reading of requests for simulations, previews and tests, and writing of explanations."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from enrollment.catalog import EVENT_TYPES
from enrollment.domain.criteria.criteria import Result
from enrollment.domain.describe import failed_conditions
from enrollment.domain.enrollment.explanations import Explanation, GroupResult
from enrollment.domain.events.event import Event
from enrollment.domain.flows.flow import Flow, FlowRevision, revised
from enrollment.domain.records.record import Record, TimestampedValue
from enrollment.domain.values import Instant, Properties, iso, read_name
from enrollment.serialization.flow_documents import write_result
from enrollment.serialization.flows import InvalidFlow, read_new_flow, read_stored_flow
from enrollment.serialization.requests import MAX_INPUTS, BodyReader, read_cursor
from enrollment.serialization.validation_errors import expectation, expectation_of

# Events on a page of a preview. With the results of all filters, an event takes up to 50 KB of the response.
MAX_PREVIEWED_EVENTS = 500
MAX_EXPLAINED_EVENTS = 100


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


class PreviewRequest(Struct, frozen=True):
    """A request to preview a draft. ``compare_with``: the ID of a saved revision of its flow. ``since``: the earliest
    time of the events. ``object_id``: only the events of this record. ``explains``: each decision has the result of
    every filter. ``limit``: the number of events on the page. ``after``: the position of the cursor."""

    draft: Flow
    compare_with: str | None
    since: Instant
    object_id: str | None
    explains: bool
    limit: int
    after: str | None


def read_preview(body: Any, portal_id: str, now: Instant) -> PreviewRequest:
    """Read ``{"flow": <flow>, "compareWith": {"revisionId": …}, "occurredAfter": …, "objectId": …, "details": …,
    "limit": …, "after": …}``. All but ``flow`` may be absent. Raises InvalidRequest."""
    reader = BodyReader()
    document = reader.mapping(body, "$")
    compare_with, object_id = document.get("compareWith"), document.get("objectId")
    revision_id = None if compare_with is None else _compared_revision(reader, document, compare_with)
    draft = _draft(reader, document.get("flow"), "$.flow", "draft", portal_id)
    since, explains = document.get("occurredAfter"), document.get("details", False)
    since_instant = 0 if since is None else reader.time(since, "$.occurredAfter", now)
    object_id = None if object_id is None else reader.id(object_id, "$.objectId")
    if not isinstance(explains, bool):
        reader.fault("$.details", "WRONG_TYPE", expectation("true or false", explains))
    limit, after = _page_of(reader, document, MAX_EXPLAINED_EVENTS if explains is True else MAX_PREVIEWED_EVENTS)
    reader.finish()
    assert draft is not None
    return PreviewRequest(draft, revision_id, since_instant, object_id, explains, limit, read_cursor(after))


def _compared_revision(reader: BodyReader, document: Mapping[str, Any], compare_with: Any) -> str:
    """Read the ID of the revision of the draft's flow with which the draft is compared."""
    revision = reader.mapping(compare_with, "$.compareWith")
    _require_flow_id(reader, document.get("flow"))
    if "revisionId" not in revision:
        expected = expectation_of("the ID of a saved revision of the flow", "no value")
        reader.fault("$.compareWith.revisionId", "MISSING_FIELD", expected)
        return ""
    return reader.id(revision["revisionId"], "$.compareWith.revisionId")


def _require_flow_id(reader: BodyReader, raw_flow: Any) -> None:
    """Report a draft without the ID of the saved flow."""
    if isinstance(raw_flow, Mapping) and raw_flow.get("id") is None:
        action = "Write the ID of the saved flow into the draft"
        reader.fault("$.flow.id", "MISSING_FIELD", expectation_of("the ID of a flow", "no value", action))


class DryRunRecord(Struct, frozen=True):
    """The record of a test: a stored one, or one with these properties. ``object_id`` None: it is not stored."""

    object_id: str | None
    properties: Properties


def read_dry_run(body: Any) -> DryRunRecord:
    """Read ``{"objectId": …}`` or ``{"properties": {…}}``. Raises InvalidRequest."""
    reader = BodyReader()
    record = _dry_run_record(reader, reader.mapping(body, "$"))
    reader.finish()
    return record


def read_draft_dry_run(body: Any, portal_id: str) -> tuple[Flow, DryRunRecord]:
    """Read ``{"flow": <flow>}`` with the keys of ``read_dry_run``. Raises InvalidRequest."""
    reader = BodyReader()
    document = reader.mapping(body, "$")
    draft = _draft(reader, document.get("flow"), "$.flow", "draft", portal_id)
    record = _dry_run_record(reader, document)
    reader.finish()
    assert draft is not None
    return draft, record


def _dry_run_record(reader: BodyReader, document: Mapping[str, Any]) -> DryRunRecord:
    if ("objectId" in document) == ("properties" in document):
        reader.fault(
            "$",
            "WRONG_TYPE",
            expectation_of(
                'either the objectId of a stored record or properties, for example {"objectId": "101"}',
                "both" if "objectId" in document else "neither",
            ),
        )
    object_id = reader.id(document["objectId"], "$.objectId") if "objectId" in document else None
    return DryRunRecord(object_id, reader.properties(document.get("properties", {}), "$.properties"))


class ImpactRequest(Struct, frozen=True):
    """A request to compare a draft with the saved revision. ``since``: the earliest time of the events. ``limit``: the
    number of events on the page. ``after``: the position of the cursor."""

    draft: Flow
    since: Instant
    limit: int
    after: str | None


def read_impact(body: Any, portal_id: str, now: Instant) -> ImpactRequest:
    """Read ``{"flow": <flow with its ID>, "since": …, "limit": …, "after": …}``. Without ``since``: the whole history.
    Raises InvalidRequest."""
    reader = BodyReader()
    document = reader.mapping(body, "$")
    raw_flow, since = document.get("flow"), document.get("since")
    _require_flow_id(reader, raw_flow)
    draft = _draft(reader, raw_flow, "$.flow", "draft", portal_id)
    since_instant = 0 if since is None else reader.time(since, "$.since", now)
    limit, after = _page_of(reader, document, MAX_INPUTS)
    reader.finish()
    assert draft is not None
    return ImpactRequest(draft, since_instant, limit, read_cursor(after))


def read_switched_on(revision: FlowRevision) -> Flow:
    """Return a saved flow as if it had been on before all events. One that this version refuses enrolls no record."""
    flow = read_stored_flow(revision, lambda *_: None)
    return replace(flow, is_enabled=True, enabled_at=0, changed_at=0)


def _page_of(reader: BodyReader, document: Mapping[str, Any], maximum: int) -> tuple[int, str | None]:
    """Read the keys ``limit``, from 1 to ``maximum``, and ``after``."""
    limit, after = document.get("limit", MAX_INPUTS), document.get("after")
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= maximum:
        reader.fault("$.limit", "WRONG_TYPE", expectation(f"a number from 1 to {maximum}", limit))
    if after is not None and not isinstance(after, str):
        reader.fault("$.after", "WRONG_TYPE", expectation("paging.next.after of the previous page", after))
    return limit, after


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
        reader.faults += [replace(fault, path=f"{path}{fault.path.removeprefix('$')}") for fault in invalid.faults]
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
