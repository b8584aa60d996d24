"""Serve `/enrollment/v1/replays`: the purpose of a replay of archived events, stored before EventBridge starts it, and
the counts of a dry run."""

from collections import Counter
from collections.abc import Collection
from typing import Any

from enrollment.application.ports import REPLAY_PARTS
from enrollment.catalog import EVENT_TYPE_IDS, EVENT_TYPES
from enrollment.domain.enrollment.decisions import Code
from enrollment.domain.enrollment.replays import PREFIX, Replay, tally
from enrollment.domain.events.event import satisfying
from enrollment.domain.flows.flow import Flow
from enrollment.domain.values import iso
from enrollment.entrypoints.http_api.endpoint import AFTER, Endpoint, Example, Reply, Request, Scope, Services, page
from enrollment.entrypoints.http_api.problems import RouteNotFound
from enrollment.serialization.flows import read_flow_or_retired
from enrollment.serialization.requests import BodyReader, read_cursor, refuse, write_cursor
from enrollment.serialization.validation_errors import expectation, expectation_of, format_value, suggestion

# A page of counts ends with the part of the dry run's results in which this number of events is reached.
COUNTED_EVENTS = 20_000


def order_replay(services: Services, request: Request) -> Reply:
    """Store the purpose of a replay. Raises InvalidRequest for flows that are off or have no event triggers, and for
    event types that trigger none of the flows: such a replay would have no effect."""
    reader = BodyReader()
    body = reader.mapping(request.body, "$")
    flow_ids = reader.ids(body["flowIds"], "$.flowIds") if body.get("flowIds") is not None else None
    event_types = frozenset(EVENT_TYPES)
    if body.get("eventTypes") is not None:
        event_types = _event_types(reader, body["eventTypes"])
    is_dry_run = body.get("isDryRun")
    if not isinstance(is_dry_run, bool):
        reader.fault("$.isDryRun", "WRONG_TYPE", expectation("true or false", is_dry_run))
    reader.finish()
    if flow_ids is not None:
        flows = _flows(services, request, reader, flow_ids)
        reader.finish()
        triggers = {event_type for flow in flows for _, event_type in flow.candidate_lists}
        event_types &= satisfying(triggers, EVENT_TYPES)
        if not event_types:
            raise refuse(
                "$.eventTypes",
                "NO_EFFECT",
                expectation_of(
                    f"an event that triggers one of the flows, for example {min(triggers)}",
                    "events that trigger none of them",
                ),
            )
    replay = Replay(
        name=PREFIX + services.new_id(request.now),
        portal_id=request.portal_id,
        flow_ids=None if flow_ids is None else frozenset(flow_ids),
        event_types=event_types,
        is_dry_run=bool(is_dry_run),
        created_at=request.now,
    )
    services.replays.save(replay)
    return Reply(201, _write(replay))


def _event_types(reader: BodyReader, raw_names: Any) -> frozenset[str]:
    names = set()
    for number, raw_name in enumerate(reader.items(raw_names, "$.eventTypes", "event types")):
        name = raw_name if isinstance(raw_name, str) else ""
        event_type = EVENT_TYPE_IDS[name][0] if name in EVENT_TYPE_IDS else EVENT_TYPES.get(name)
        if event_type is None:
            message = expectation("an event of the catalog, for example forms.submitted", raw_name)
            reader.fault(f"$.eventTypes[{number}]", "UNKNOWN_EVENT_TYPE", message + suggestion(name, EVENT_TYPES))
        else:
            names.add(event_type.name)
    return frozenset(names)


def _flows(services: Services, request: Request, reader: BodyReader, flow_ids: Collection[str]) -> list[Flow]:
    revisions = services.authoring.get_many(request.portal_id, list(flow_ids))
    flows = []
    for number, flow_id in enumerate(flow_ids):
        flow = read_flow_or_retired(revisions[flow_id]) if flow_id in revisions else None
        if flow is None:
            message = expectation("the ID of a flow in this portal", flow_id, "List them with GET /automation/v4/flows")
            reader.fault(f"$.flowIds[{number}]", "UNKNOWN_FLOW", message)
        elif not flow.is_enabled or not flow.event_types:
            reason = "is off" if flow.event_types else "has no events as triggers"
            message = expectation_of("a flow that is on and has events as triggers", f"flow {flow_id}, which {reason}")
            reader.fault(f"$.flowIds[{number}]", "NO_EFFECT", message)
        else:
            flows.append(flow)
    return flows


def get_replay(services: Services, request: Request) -> Reply:
    """Return the purpose of a replay. Raises RouteNotFound."""
    return Reply(200, _write(_requested_replay(services, request)))


def count_replay(services: Services, request: Request) -> Reply:
    """Count the decisions of a dry run by flow. A page covers whole parts of the results, so a flow can be on several
    pages, and its counts add up."""
    replay = _requested_replay(services, request)
    part = _part(request.query.get("after"))
    results = list(services.replays.counted(replay, part))
    while part < REPLAY_PARTS - 1 and len(results) < COUNTED_EVENTS:
        part += 1
        results += services.replays.counted(replay, part)
    flow_ids = sorted({flow_id for result in results for flow_id in result.codes})
    revisions = services.authoring.get_many(request.portal_id, flow_ids)
    re_enrolling = {
        flow_id for flow_id, revision in revisions.items() if read_flow_or_retired(revision).should_re_enroll
    }
    counts = [
        {"flowId": flow_id, "events": sum(codes.values()), "decisions": _by_code(codes)}
        for flow_id, codes in sorted(tally(results, re_enrolling).items())
    ]
    return Reply(200, page(counts, write_cursor(str(part + 1)) if part < REPLAY_PARTS - 1 else None))


def _part(after: str | None) -> int:
    position = read_cursor(after)
    if position is None:
        return 0
    if position not in map(str, range(1, REPLAY_PARTS)):
        raise refuse("after", "BAD_CURSOR", expectation("paging.next.after of the previous page", after))
    return int(position)


def _by_code(codes: Counter[Code]) -> dict[str, int]:
    return {code.value: codes[code] for code in Code if codes[code]}


def _requested_replay(services: Services, request: Request) -> Replay:
    name = request.path["replayName"]
    replay = services.replays.get(name)
    if replay is None or replay.portal_id != request.portal_id or replay.expires_at <= request.now:
        raise RouteNotFound(
            f"no replay {format_value(name)} was created in this portal in the last 15 days. Create one with "
            "POST /enrollment/v1/replays"
        )
    return replay


def _write(replay: Replay) -> dict[str, Any]:
    return {
        "name": replay.name,
        "portalId": replay.portal_id,
        "flowIds": None if replay.flow_ids is None else sorted(replay.flow_ids),
        "eventTypes": sorted(replay.event_types),
        "isDryRun": replay.is_dry_run,
        "createdAt": iso(replay.created_at),
        "expiresAt": iso(replay.expires_at),
    }


ENDPOINTS = (
    Endpoint(
        "orderReplay",
        "POST",
        "/enrollment/v1/replays",
        "Create a replay: which flows and events it is for",
        order_replay,
        {201: "Replay"},
        scope=Scope.WRITE_FLOWS,
        description="EventBridge runs the replay: start it there under the returned name, as `enroll replay` does. "
        "Its events are decided for the named flows only, or for all flows without flowIds. The time at which a named "
        "flow was turned on does not matter. A dry run enrolls no records; it counts the decisions.",
        body="ReplayInput",
        example=Example(body={"flowIds": ["1001"], "isDryRun": True}),
    ),
    Endpoint(
        "readReplay",
        "GET",
        "/enrollment/v1/replays/{replayName}",
        "Get a replay",
        get_replay,
        {200: "Replay"},
        example=Example(path={"replayName": "enroll-example"}),
    ),
    Endpoint(
        "countReplay",
        "GET",
        "/enrollment/v1/replays/{replayName}/counts",
        "Count the decisions of a dry run so far",
        count_replay,
        {200: "ReplayCounts"},
        description="Returns for each flow how often each decision was taken; ENROLLED is the number of enrollments. "
        "Add the counts of all pages. They grow while the replay runs and its events are processed.",
        query=(AFTER,),
        example=Example(path={"replayName": "enroll-example"}),
    ),
)
