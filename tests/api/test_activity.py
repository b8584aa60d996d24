"""The newest events of a portal with their decisions, over HTTP."""

from typing import Any

import pytest
from msgspec.structs import replace

from enrollment.application import event_search
from enrollment.domain.values import iso
from tests.support.counting import Counted
from tests.support.portal import NOW, Answer, Api, example_portal, token
from tests.support.scenario import event, flow

PATH = "/enrollment/v1/activity"
FORMS = {"eventTypes": "forms.submitted"}
MINUTE = 60_000


def read(api: Api, **query: str) -> Answer:
    return api("GET", PATH, query=query)


def ids(answer: Answer) -> list[str]:
    assert answer.status == 200, answer.text
    return [one["event"]["id"] for one in answer.json["results"]]


def deliver(api: Api, event_id: str, at: int, event_type: str = "forms.submitted", **given: Any) -> None:
    api.world.deliver(event({event_type: "101", "id": event_id, "at": iso(at), "sent": iso(at), **given}))


def test_newest_events_of_the_types_are_listed_first() -> None:
    api = example_portal()
    for number in range(1, 4):
        deliver(api, f"f{number}", NOW - number * MINUTE)
    deliver(api, "c", NOW - 90_000, "calls.ended")
    assert ids(read(api, **FORMS)) == ["e1", "f1", "f2", "f3"]
    assert ids(read(api, eventTypes="4-1639801,calls.ended,forms.submitted")) == ["e1", "f1", "c", "f2", "f3"]
    assert ids(read(api, eventTypes="calls.ended")) == ["c"]
    assert ids(read(api, eventTypes="calls.started")) == []


def test_decisions_are_those_of_explain() -> None:
    api = example_portal()
    deliver(api, "f1", NOW - MINUTE, properties={"hs_form_id": "f-2"})
    (first, second) = read(api, **FORMS, decisions="true").json["results"]
    assert [one["code"] for one in first["decisions"]] == ["ENROLLED"]
    assert [one["code"] for one in second["decisions"]] == ["NOT_MATCHED"]
    for found in (first, second):
        query = {"objectType": "contact", "objectId": "101", "eventId": found["event"]["id"]}
        assert api("GET", "/enrollment/v1/explain", query=query).json["results"] == [found]


def test_events_are_not_decided_unless_the_request_asks_for_it() -> None:
    (found,) = read(example_portal(), **FORMS).json["results"]
    assert set(found) == {"event"}


def test_further_events_are_counted_by_minute_and_only_the_listed_ones_are_read() -> None:
    api = example_portal()
    for number in range(40):
        deliver(api, f"f{number:02d}", NOW - MINUTE - number * 2_000)
    store = Counted(api.world.kept_events)
    api.world.history = replace(api.world.history, events=store)
    answer = read(Api(api.world), **FORMS)
    assert ids(answer) == ["e1", *(f"f{number:02d}" for number in range(24))]
    content = answer.json
    assert (content["more"], content["isTruncated"]) == (16, False)
    assert content["minutes"] == [
        {"start": iso(NOW), "events": 1},
        {"start": iso(NOW - MINUTE), "events": 1},
        {"start": iso(NOW - 2 * MINUTE), "events": 30},
        {"start": iso(NOW - 3 * MINUTE), "events": 9},
    ]
    assert store.calls == ["keys_of_types", "get_many"]


def test_count_of_further_events_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_search, "MAX_EVENTS_COUNTED", 3)
    api = example_portal()
    for number in range(1, 5):
        deliver(api, f"f{number}", NOW - number * MINUTE)
    content = read(api, **FORMS, limit="2").json
    assert (content["more"], content["isTruncated"]) == (1, True)
    assert sum(one["events"] for one in content["minutes"]) == 3


def test_only_events_since_a_time_are_listed() -> None:
    api = example_portal()
    for number in range(1, 4):
        deliver(api, f"f{number}", NOW - number * MINUTE)
    answer = read(api, **FORMS, since=iso(NOW - 2 * MINUTE))
    assert ids(answer) == ["e1", "f1", "f2"]
    assert answer.json["since"] == iso(NOW - 2 * MINUTE)
    # The history does not reach back to the time.
    assert read(api, **FORMS, since="2020-01-01T00:00:00Z").json["since"] > iso(NOW - 31 * 24 * 60 * MINUTE)


def test_following_by_time_returns_each_new_event_although_it_arrives_late() -> None:
    api = example_portal()
    seen = set(ids(read(api, **FORMS)))
    deliver(api, "late", NOW - MINUTE)
    deliver(api, "new", NOW + 1)
    api.world.now += 10
    polled = ids(read(api, **FORMS, since=iso(NOW - 2 * MINUTE)))
    assert [one for one in polled if one not in seen] == ["new", "late"]


def test_events_of_a_flow_are_decided_by_it_alone() -> None:
    api = example_portal()
    api.world.put_flow(flow({"id": 1005, "event": "forms.submitted"}))
    deliver(api, "c", NOW - MINUTE, "calls.ended")
    content = read(api, flowId="1001", decisions="true").json
    assert (content["eventTypes"], content["omittedEventTypes"]) == (["forms.submitted"], [])
    (found,) = content["results"]
    assert [one["flowId"] for one in found["decisions"]] == ["1001"]
    assert read(api, flowId="1001", eventTypes="calls.ended").json["results"] == []


def test_types_of_a_flow_beyond_the_limit_are_named() -> None:
    api = example_portal()
    names = sorted(
        one["eventType"]
        for one in api("GET", "/enrollment/v1/events", query={"flowType": "CONTACT_FLOW"}).json["results"]
        if one["writtenIn"] == "eventFilterBranches"
    )[:14]
    api.world.put_flow(flow({"id": 1006, "groups": [{"event": one} for one in names]}))
    content = read(api, flowId="1006").json
    assert len(content["eventTypes"]) == 12
    assert content["omittedEventTypes"]
    assert set(content["eventTypes"] + content["omittedEventTypes"]) >= set(names)


def test_types_of_a_filter_based_flow_are_those_of_events() -> None:
    api = example_portal()
    api.world.put_flow(flow({"id": 1007, "filters": [["city", "IS_EQUAL_TO", "Oslo"]]}))
    types = read(api, flowId="1007").json["eventTypes"]
    assert types == ["crm.object_created", "crm.property_changed"]
    assert read(api, flowId="1007", eventTypes=",".join(types)).json["eventTypes"] == types


def test_flow_whose_triggers_cannot_be_read_has_no_events() -> None:
    api = example_portal()
    assert api("DELETE", "/automation/v4/flows/1001").status == 204
    content = read(api, flowId="1001", decisions="true").json
    assert (content["results"], content["eventTypes"]) == ([], [])


def test_portal_without_a_history_has_no_events() -> None:
    api = example_portal()
    api.world.history = replace(api.world.history, days=0)
    content = read(Api(api.world), **FORMS).json
    assert (content["results"], content["more"], content["minutes"]) == ([], 0, [])


def test_events_of_other_portals_are_not_listed() -> None:
    api = example_portal()
    other = api("GET", PATH, query=FORMS, authorizer=token(portal_id="p2"), headers={"x-portal-id": "p2"})
    assert ids(other) == []


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ({}, ("eventTypes", "MISSING_FIELD")),
        ({"eventTypes": ""}, ("eventTypes", "WRONG_LENGTH")),
        ({"eventTypes": "forms.submited"}, ("eventTypes", "UNKNOWN_EVENT")),
        ({**FORMS, "limit": "26"}, ("limit", "WRONG_LENGTH")),
        ({**FORMS, "limit": "0"}, ("limit", "WRONG_LENGTH")),
        ({**FORMS, "since": "yesterday"}, ("since", "BAD_TIME")),
        ({**FORMS, "decisions": "1"}, ("decisions", "WRONG_TYPE")),
        ({"flowId": "x" * 129}, ("flowId", "WRONG_LENGTH")),
    ],
)
def test_invalid_queries_are_rejected(query: dict[str, str], fault: tuple[str, str]) -> None:
    answer = read(example_portal(), **query)
    assert (answer.status, answer.faults) == (400, [fault])


def test_more_than_twelve_types_are_rejected() -> None:
    api = example_portal()
    names = [one["eventType"] for one in api("GET", "/enrollment/v1/events").json["results"]][:13]
    answer = read(api, eventTypes=",".join(names))
    assert (answer.status, answer.faults) == (400, [("eventTypes", "WRONG_LENGTH")])


def test_unknown_flow_is_not_found() -> None:
    assert read(example_portal(), flowId="9").status == 404
