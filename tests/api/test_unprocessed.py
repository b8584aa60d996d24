"""The unprocessed events of a portal, over HTTP."""

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.support.portal import NOW, Answer, Api, example_portal, token
from tests.support.scenario import event

PATH = "/enrollment/v1/unprocessed"


def refused(event_id: object = "x", portal: object = "p1", **detail: Any) -> dict[str, Any]:
    envelope = event({"forms.submitted": "101", "id": "in-envelope"})
    return {**envelope, "detail": {**envelope["detail"], "id": event_id, "portalId": portal, **detail}}


def portal_with(*messages: tuple[str, dict[str, Any], str]) -> Api:
    """`messages`: ID of the message, event and reason, oldest first."""
    api = example_portal()
    api.world.unprocessed_queue.messages.clear()
    for number, (message_id, envelope, reason) in enumerate(messages):
        api.world.unprocessed_queue.put(message_id, NOW + number, envelope, reason)
    return api


def ids(answer: Answer) -> list[str]:
    assert answer.status == 200, answer.text
    return [one["id"] for one in answer.json["results"]]


def test_unprocessed_event_is_listed_with_its_reason_and_without_its_content() -> None:
    answer = example_portal()("GET", PATH)
    assert answer.json == {
        "results": [
            {
                "id": "m1",
                "reason": "BAD_TIME",
                "message": "detail.occurredAt: expected a time",
                "field": None,
                "eventId": "no-zone",
                "eventType": "forms.submitted",
                "objectTypeId": "0-1",
                "objectId": "101",
                "occurredAt": None,
                "keptSince": "2026-11-24T10:00:00.000Z",
                "isTruncated": False,
            }
        ],
        "isComplete": True,
    }


def test_unprocessed_event_is_shown_whole() -> None:
    answer = example_portal()("GET", f"{PATH}/m1").json
    assert answer["event"]["detail"]["occurredAt"] == "2026-11-24T10:00:00"
    assert answer["reason"] == "BAD_TIME"
    assert "truncated" not in answer


def test_only_events_that_name_the_portal_are_returned() -> None:
    no_portal = refused("none")
    del no_portal["detail"]["portalId"]
    api = portal_with(
        ("mine", refused(), "R"),
        ("other", refused(portal="p2"), "R"),
        ("none", no_portal, "R"),
        ("list", refused(portal=["p1"]), "R"),
        ("no-event", {"unknown": "message"}, "UNKNOWN_MESSAGE"),
    )
    assert ids(api("GET", PATH)) == ["mine"]
    assert api("GET", f"{PATH}/count").json == {"count": 1, "isExact": True}
    for other in ("other", "none", "list", "no-event"):
        assert api("GET", f"{PATH}/{other}").status == 404
    of_other = {"authorizer": token(portal_id="p2"), "headers": {"x-portal-id": "p2"}}
    assert ids(api("GET", PATH, **of_other)) == ["other"]
    assert api("GET", f"{PATH}/mine", **of_other).status == 404


def test_portal_and_event_may_be_named_by_integers() -> None:
    api = portal_with(("m", refused(7, portal=12), "R"))
    found = api("GET", PATH, query={"eventId": "7"}, headers={"x-portal-id": "12"})
    assert [one["eventId"] for one in found.json["results"]] == ["7"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ["d", "c", "b", "a"]),
        ({"reason": "BAD_TIME"}, ["c", "a"]),
        ({"eventType": "forms.submited"}, ["b"]),
        ({"eventId": "s/1"}, ["a"]),
        ({"eventId": "bus-in-envelope"}, ["c"]),
        ({"record": "contact/101"}, ["b", "a"]),
        ({"record": "0-2/a/b"}, ["d"]),
        ({"record": "companies/a/b", "reason": "BAD_TIME"}, []),
    ],
)
def test_events_are_filtered(query: dict[str, str], expected: list[str]) -> None:
    api = portal_with(
        ("a", refused("s/1", objectType="contacts", objectId=101), "BAD_TIME"),
        ("b", {**refused("s2"), "detail-type": "forms.submited"}, "UNKNOWN_TYPE"),
        ("c", refused(None, objectId="102"), "BAD_TIME"),
        ("d", refused("s4", objectType="COMPANY", objectId="a/b"), "RetriesExhausted"),
    )
    assert ids(api("GET", PATH, query=query)) == expected
    assert api("GET", f"{PATH}/count", query=query).json["count"] == len(expected)


def test_events_are_paginated_newest_first_although_the_queue_has_no_order() -> None:
    api = portal_with(*((f"m{number}", refused(), "R") for number in range(7)))
    queue = api.world.unprocessed_queue
    found: list[str] = []
    query = {"limit": "3"}
    while True:
        queue.messages.reverse()
        answer = api("GET", PATH, query=query)
        found += ids(answer)
        if "paging" not in answer.json:
            break
        query["after"] = answer.json["paging"]["next"]["after"]
    assert found == [f"m{number}" for number in range(6, -1, -1)]
    assert queue.scans == 3


def test_answer_says_that_not_all_messages_were_read() -> None:
    api = portal_with(("a", refused(), "R"), ("b", refused(), "R"))
    api.world.unprocessed_queue.held = {"a"}
    answer = api("GET", PATH)
    assert (ids(answer), answer.json["isComplete"]) == (["b"], False)
    assert api("GET", f"{PATH}/count").json == {"count": 1, "isExact": False}
    unread = api("GET", f"{PATH}/a")
    assert (unread.status, "another reader" in unread.text) == (404, True)


def test_count_ends_at_a_hundred() -> None:
    api = portal_with(*((f"m{number}", refused(), "R") for number in range(100)))
    assert api("GET", f"{PATH}/count").json == {"count": 100, "isExact": True}
    api.world.unprocessed_queue.put("more", NOW, refused(), "R")
    assert api("GET", f"{PATH}/count").json == {"count": 100, "isExact": False}


def test_empty_queue_is_counted_without_being_read() -> None:
    api = portal_with()
    assert api("GET", f"{PATH}/count").json == {"count": 0, "isExact": True}
    assert api.world.unprocessed_queue.scans == 0
    assert api("GET", PATH).json == {"results": [], "isComplete": True}


def test_texts_of_a_list_are_cut_so_that_its_size_is_bounded() -> None:
    long = "é" * 300_000
    api = portal_with(*((f"m{number}", refused(long, occurredAt=long), long) for number in range(100)))
    answer = api("GET", PATH, query={"limit": "100"})
    assert len(answer.text) < 1_000_000
    assert answer.json["results"][0]["eventId"] == long[:1_000]


def test_truncated_event_is_marked_and_shown_with_its_beginning() -> None:
    api = portal_with(("m", refused(), "DETAIL_TOO_LARGE"))
    queue = api.world.unprocessed_queue
    (message,) = queue.messages
    queue.messages = [
        replace(message, unprocessed=replace(message.unprocessed, truncated={"bytes": 9, "beginning": "{"}))
    ]
    assert api("GET", PATH).json["results"][0]["isTruncated"] is True
    assert api("GET", f"{PATH}/m").json["truncated"] == {"bytes": 9, "beginning": "{"}


def test_event_that_json_cannot_hold_is_shown_as_text() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    hostile = {"infinite": refused(properties={"n": float("inf")}), "deep": refused(properties=deep)}
    hostile["surrogate"] = refused(properties={"text": "\ud800</script>"})
    api = portal_with(*((name, envelope, "R") for name, envelope in hostile.items()))
    assert len(ids(api("GET", PATH))) == 3
    for name in ("infinite", "deep"):
        shown = api("GET", f"{PATH}/{name}")
        assert shown.status == 200
        assert isinstance(json.loads(shown.text, parse_constant=pytest.fail)["event"], str)
    assert api("GET", f"{PATH}/surrogate").json["event"]["detail"]["properties"]["text"] == "\ud800</script>"


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ({"limit": "101"}, ("limit", "WRONG_LENGTH")),
        ({"after": "x"}, ("after", "BAD_CURSOR")),
        ({"record": "101"}, ("record", "WRONG_TYPE")),
        ({"record": "person/101"}, ("objectType", "UNKNOWN_OBJECT_TYPE")),
        ({"record": "contact/"}, ("record", "WRONG_LENGTH")),
        ({"reason": "x" * 129}, ("reason", "WRONG_LENGTH")),
        ({"eventId": "x" * 129}, ("eventId", "WRONG_LENGTH")),
        ({"eventType": ""}, ("eventType", "WRONG_LENGTH")),
    ],
)
def test_invalid_queries_are_rejected(query: dict[str, str], fault: tuple[str, str]) -> None:
    answer = example_portal()("GET", PATH, query=query)
    assert (answer.status, answer.faults) == (400, [fault])


def test_token_without_the_read_scope_is_rejected() -> None:
    for path in (PATH, f"{PATH}/count", f"{PATH}/m1"):
        assert example_portal()("GET", path, authorizer=token("enroll/flows.write")).status == 403
