"""Replays that are ordered over HTTP."""

from typing import Any

import pytest

from enrollment.catalog import EVENT_TYPES
from enrollment.entrypoints.http_api import replays
from enrollment.serialization.envelopes import read_routed_event
from tests.support.fakes import switch
from tests.support.portal import EXAMPLE_REPLAY, Api, example_portal
from tests.support.scenario import event, flow

PATH = "/enrollment/v1/replays"


def test_replay_is_for_flows_and_the_events_that_lead_to_them() -> None:
    api = example_portal()
    ordered = api("POST", PATH, {"flowIds": ["1001", 1002], "isDryRun": True})
    assert ordered.status == 201
    assert ordered.json["name"].startswith("enroll-")
    assert ordered.json["flowIds"] == ["1001", "1002"]
    assert ordered.json["eventTypes"] == ["crm.property_changed", "forms.submitted"]
    assert api("GET", f"{PATH}/{ordered.json['name']}").json == ordered.json
    assert api.world.replays.get(ordered.json["name"]).flow_ids == {"1001", "1002"}


def test_replay_without_flows_is_for_all_and_can_be_limited_by_types() -> None:
    api = example_portal()
    ordered = api("POST", PATH, {"isDryRun": False}).json
    assert (ordered["flowIds"], ordered["eventTypes"]) == (None, sorted(EVENT_TYPES))
    # HubSpot's ids are names too.
    narrowed = api("POST", PATH, {"eventTypes": ["4-1639801", "calls.ended"], "isDryRun": False}).json
    assert narrowed["eventTypes"] == ["calls.ended", "forms.submitted"]


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ({"isDryRun": "yes"}, ("$.isDryRun", "WRONG_TYPE")),
        ({}, ("$.isDryRun", "WRONG_TYPE")),
        ({"flowIds": ["1001", "9"]}, ("$.flowIds[1]", "UNKNOWN_FLOW")),
        ({"flowIds": ["off"]}, ("$.flowIds[0]", "NO_EFFECT")),
        ({"flowIds": []}, ("$.flowIds", "WRONG_LENGTH")),
        ({"flowIds": "1001"}, ("$.flowIds", "WRONG_TYPE")),
        ({"eventTypes": ["forms.submited"]}, ("$.eventTypes[0]", "UNKNOWN_EVENT_TYPE")),
        ({"eventTypes": [{}]}, ("$.eventTypes[0]", "UNKNOWN_EVENT_TYPE")),
        ({"flowIds": ["1001"], "eventTypes": ["calls.ended"]}, ("$.eventTypes", "NO_EFFECT")),
    ],
)
def test_replay_without_effect_is_rejected(body: dict[str, Any], fault: tuple[str, str]) -> None:
    api = example_portal()
    api.world.put_flow(flow({"id": "off", "event": "forms.submitted"}))
    switch(api.world.authoring, "p1", "off", api.world.now, on=False)
    answer = api("POST", PATH, body if "isDryRun" in body or not body else {**body, "isDryRun": False})
    assert (answer.status, answer.faults) == (400, [fault])
    assert list(api.world.replays.orders) == [EXAMPLE_REPLAY.name]


def count(api: Api, *event_ids: str) -> None:
    for event_id in event_ids:
        fields = {"id": event_id, "at": "2026-11-24T09:59:59Z", "properties": {"hs_form_id": "f-1"}}
        routed_event = read_routed_event(event({"forms.submitted": event_id[:3], **fields}))
        api.world.replay_processor.process(routed_event, EXAMPLE_REPLAY)


def test_dry_run_returns_its_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    api = example_portal()
    path = f"{PATH}/{EXAMPLE_REPLAY.name}/counts"
    assert api("GET", path).json == {"results": []}
    count(api, "103-1", "104-1", "103-2", "103-1")
    expected = {"flowId": "1001", "events": 3, "decisions": {"ENROLLED": 2, "ALREADY_ENROLLED": 1}}
    assert api("GET", path).json == {"results": [expected]}

    monkeypatch.setattr(replays, "COUNTED_EVENTS", 1)
    pages = [api("GET", path).json]
    while "paging" in pages[-1]:
        pages.append(api("GET", path, query={"after": pages[-1]["paging"]["next"]["after"]}).json)
    assert len(pages) > 1
    found = [result for page in pages for result in page["results"]]
    assert sum(result["decisions"]["ENROLLED"] for result in found) == 2
    assert sum(result["events"] for result in found) == 3
    assert api("GET", path, query={"after": "eDE"}).faults == [("after", "BAD_CURSOR")]


def test_replay_is_not_found_from_another_portal_or_after_it_expires() -> None:
    api = example_portal()
    for path in (f"{PATH}/{EXAMPLE_REPLAY.name}", f"{PATH}/{EXAMPLE_REPLAY.name}/counts"):
        assert api("GET", path).status == 200
        assert api("GET", path, headers={"x-portal-id": "p2"}).status == 404
    api.world.now = EXAMPLE_REPLAY.expires_at
    assert api("GET", f"{PATH}/{EXAMPLE_REPLAY.name}").status == 404
    assert api("GET", f"{PATH}/enroll-none").status == 404
