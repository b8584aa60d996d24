"""`/enrollment/v1/replays`: what a replay of archived events is for, said before it starts."""

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
from enrollment.serialization.flows import read_flow
from enrollment.serialization.requests import BodyReader, read_cursor, refuse, write_cursor
from enrollment.serialization.validation_errors import format_value, suggestion

# Of one answer: the next part of the counts is left to the next page once so many events were read.
COUNTED_EVENTS = 20_000


def order_replay(services: Services, request: Request) -> Reply:
    """Only what can have an effect is ordered: flows that are on, and events that lead to them."""
    reader = BodyReader()
    given = reader.mapping(request.body, "$")
    flow_ids = reader.ids(given["flowIds"], "$.flowIds") if given.get("flowIds") is not None else None
    named = _event_types(reader, given["eventTypes"]) if given.get("eventTypes") is not None else frozenset(EVENT_TYPES)
    is_dry_run = given.get("isDryRun")
    if not isinstance(is_dry_run, bool):
        reader.fault("$.isDryRun", "WRONG_TYPE", f"found {format_value(is_dry_run)}, allowed is true or false")
    reader.finish()
    if flow_ids is not None:
        flows = _flows(services, request, reader, flow_ids)
        reader.finish()
        named &= satisfying({name for one in flows for name in one.event_types}, EVENT_TYPES)
        if not named:
            raise refuse("$.eventTypes", "NO_EFFECT", "none of these events leads to one of the flows")
    replay = Replay(
        name=PREFIX + services.new_id(request.now),
        portal_id=request.portal_id,
        flow_ids=None if flow_ids is None else frozenset(flow_ids),
        event_types=named,
        is_dry_run=bool(is_dry_run),
        created_at=request.now,
    )
    services.replays.save(replay)
    return Reply(201, _written(replay))


def _event_types(reader: BodyReader, given: Any) -> frozenset[str]:
    names = set()
    for number, one in enumerate(reader.items(given, "$.eventTypes", "event types")):
        name = one if isinstance(one, str) else ""
        known = EVENT_TYPE_IDS[name][0] if name in EVENT_TYPE_IDS else EVENT_TYPES.get(name)
        if known is None:
            message = f"found {format_value(one)}, allowed is an event of the catalogue{suggestion(name, EVENT_TYPES)}"
            reader.fault(f"$.eventTypes[{number}]", "UNKNOWN_EVENT_TYPE", message)
        else:
            names.add(known.name)
    return frozenset(names)


def _flows(services: Services, request: Request, reader: BodyReader, flow_ids: Collection[str]) -> list[Flow]:
    revisions = services.authoring.get_many(request.portal_id, list(flow_ids))
    flows = []
    for number, flow_id in enumerate(flow_ids):
        flow = read_flow(revisions[flow_id]) if flow_id in revisions else None
        if flow is None:
            reader.fault(f"$.flowIds[{number}]", "UNKNOWN_FLOW", f"no flow {format_value(flow_id)} in this portal")
        elif not flow.is_enabled or not flow.groups:
            what = "is off" if flow.groups else "has no events as triggers"
            reader.fault(f"$.flowIds[{number}]", "NO_EFFECT", f"flow {flow_id} {what}: nothing would be enrolled")
        else:
            flows.append(flow)
    return flows


def get_replay(services: Services, request: Request) -> Reply:
    return Reply(200, _written(_ordered(services, request)))


def count_replay(services: Services, request: Request) -> Reply:
    replay = _ordered(services, request)
    part = _part(request.query.get("after"))
    rehearsals = list(services.replays.counted(replay, part))
    while part < REPLAY_PARTS - 1 and len(rehearsals) < COUNTED_EVENTS:
        part += 1
        rehearsals += services.replays.counted(replay, part)
    found = services.authoring.get_many(request.portal_id, sorted({one for each in rehearsals for one in each.codes}))
    re_enrolling = {flow_id for flow_id, one in found.items() if read_flow(one).should_re_enroll}
    counts = [
        {"flowId": flow_id, "events": sum(codes.values()), "decisions": _by_code(codes)}
        for flow_id, codes in sorted(tally(rehearsals, re_enrolling).items())
    ]
    return Reply(200, page(counts, write_cursor(str(part + 1)) if part < REPLAY_PARTS - 1 else None))


def _part(after: str | None) -> int:
    position = read_cursor(after)
    if position is None:
        return 0
    if position not in map(str, range(1, REPLAY_PARTS)):
        raise refuse(
            "after", "BAD_CURSOR", f"found {format_value(after)}, allowed is paging.next.after of the page before"
        )
    return int(position)


def _by_code(codes: Counter[Code]) -> dict[str, int]:
    return {code.value: codes[code] for code in Code if codes[code]}


def _ordered(services: Services, request: Request) -> Replay:
    name = request.path["replayName"]
    replay = services.replays.get(name)
    if replay is None or replay.portal_id != request.portal_id or replay.expires_at <= request.now:
        raise RouteNotFound(f"no replay {format_value(name)} was ordered in this portal within the last 15 days")
    return replay


def _written(replay: Replay) -> dict[str, Any]:
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
        "Say what a replay of archived events will be for",
        order_replay,
        {201: "Replay"},
        scope=Scope.WRITE_FLOWS,
        description="EventBridge replays: start one there with the name that is answered, as `enroll replay` does. "
        "Its events are decided for these flows alone, whose activation then does not matter; without flowIds for all. "
        "In a dry run nothing is enrolled, and what would be is counted.",
        body="ReplayInput",
        example=Example(body={"flowIds": ["1001"], "isDryRun": True}),
    ),
    Endpoint(
        "readReplay",
        "GET",
        "/enrollment/v1/replays/{replayName}",
        "What a replay is for",
        get_replay,
        {200: "Replay"},
        example=Example(path={"replayName": "enroll-example"}),
    ),
    Endpoint(
        "countReplay",
        "GET",
        "/enrollment/v1/replays/{replayName}/counts",
        "What a dry run would have done so far",
        count_replay,
        {200: "ReplayCounts"},
        description="By flow, how often each decision was taken; ENROLLED is the number of enrollments. The counts of "
        "all pages add up. They grow while the replay goes on and its events are processed.",
        query=(AFTER,),
        example=Example(path={"replayName": "enroll-example"}),
    ),
)
