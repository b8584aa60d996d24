"""Ids in paths, as AWS passes them: API Gateway decodes a path, and cuts it at a decoded question mark. No request may
change or show a record other than the one that it names."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import pytest

from enroll.local import gateway
from enroll.local.loopback_http import HttpRequest
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.record import Record, TimestampedValue
from enrollment.entrypoints.http_api.endpoint import Endpoint
from enrollment.entrypoints.http_api.routes import ENDPOINTS
from tests.support.portal import Api, example_portal

CONTACTS = "/crm/v3/objects/contacts"

ADDRESSABLE = (
    "a+b",
    "a b",
    " a",
    "a ",
    "ä",
    "日本",
    "🜁",
    "a;b",
    "a,b",
    "a&b=c",
    "a:b",
    "a@b",
    "~a",
    "a'b",
    '"',
    "(a)",
    "a.b",
    "...",
)
ONLY_IN_BODIES = (
    "a/b",
    "a/",
    "/a",
    "/",
    "a#b",
    "#",
    "50%",
    "50%25",
    "%",
    "a%2Fb",
    "a%3Fb",
    "%2E",
    "a%",
    ".",
    "..",
    "a\ufffd",
)
CUT = ("a?b", "a?", "50%?x", "101?archived=true")
"""What API Gateway loses a part of before the function runs."""
NEIGHBOURS = ("a", "b", "50", "2F")
IDS = (*ADDRESSABLE, *ONLY_IN_BODIES, *CUT, *NEIGHBOURS)


def portal() -> Api:
    """With a record of each id, which bears its id as its name too."""
    api = example_portal()
    for object_type in ("0-1", "0-2"):
        for one in dict.fromkeys(IDS):
            key = RecordKey("p1", object_type, one)
            api.world.put_record(key, Record(key, 1_000, {"name": TimestampedValue(one, 1_000)}))
    return api


def through_the_gateway(api: Api, method: str, path: str, body: Any = None, query: str = "") -> tuple[int, Any]:
    """A request as it stands on the wire."""
    raw = b"" if body is None else json.dumps(body).encode()
    headers = {"x-portal-id": "p1", "content-type": "application/json", "host": "localhost"}
    event = json.loads(gateway.to_event(HttpRequest(method, path + query, headers, raw)))
    answer = api.server.answer(event, None)
    text = answer["body"] or ""
    return answer["statusCode"], json.loads(text) if text.startswith("{") else text


def state(api: Api) -> dict[RecordKey, Record]:
    return dict(api.world.records.records)


def changed(before: Mapping[RecordKey, Record], api: Api) -> set[str]:
    after = state(api)
    return {key.object_id for key in before.keys() | after.keys() if before.get(key) != after.get(key)}


def escaped(text: str) -> str:
    return quote(text, safe="")


def paths(operation: Endpoint, name: str, value: str) -> str:
    """The operation's example, with one id of its path replaced."""
    values = {**operation.example.path, name: value}
    return re.sub(r"{(\w+)}", lambda found: escaped(values[found.group(1)]), operation.path)


WITH_AN_ID = [
    (operation, name)
    for operation in ENDPOINTS
    for name in re.findall(r"{(\w+)}", operation.path)
    if name not in ("objectType", "toObjectType")
]
NAMES = [f"{operation.name}-{name}" for operation, name in WITH_AN_ID]


@pytest.mark.parametrize("one", ADDRESSABLE)
def test_encoded_id_in_a_path_addresses_its_record(one: str) -> None:
    api = portal()
    path = f"{CONTACTS}/{escaped(one)}"
    status, found = through_the_gateway(api, "GET", path)
    assert (status, found["id"], found["properties"]["name"]) == (200, one, one)
    status, found = through_the_gateway(api, "GET", f"/enrollment/v1/records/contacts/{escaped(one)}")
    assert (status, found["objectId"]) == (200, one)

    before = state(api)
    assert through_the_gateway(api, "PATCH", path, {"properties": {"city": "Cork"}})[0] == 200
    assert changed(before, api) == {one}
    before = state(api)
    associations = f"/crm/v4/objects/contacts/{escaped(one)}/associations"
    assert through_the_gateway(api, "PUT", f"{associations}/default/companies/{escaped(one)}")[0] == 200
    _, found = through_the_gateway(api, "GET", f"{associations}/companies")
    assert [each["toObjectId"] for each in found["results"]] == [one]
    assert through_the_gateway(api, "DELETE", f"{associations}/companies/{escaped(one)}")[0] == 204
    assert through_the_gateway(api, "DELETE", path)[0] == 204
    assert changed(before, api) == {one}
    assert through_the_gateway(api, "GET", path)[0] == 404


@pytest.mark.parametrize(("operation", "name"), WITH_AN_ID, ids=NAMES)
def test_id_that_a_path_cannot_contain_is_rejected(operation: Endpoint, name: str) -> None:
    """By every route, and before anything is read or changed."""
    api = portal()
    before, flows = state(api), repr(api.world.flows.list("p1", 100))
    for one in ONLY_IN_BODIES:
        status, found = through_the_gateway(api, operation.method, paths(operation, name, one), operation.example.body)
        assert status in (400, 404, 405), one
        if status == 400:
            assert found["errors"][0]["code"] in ("NOT_IN_A_PATH", "WRONG_LENGTH", "UNKNOWN_OBJECT_TYPE"), found
        assert changed(before, api) == set(), one
    assert repr(api.world.flows.list("p1", 100)) == flows
    assert not api.world.bus.produced


def test_rejection_suggests_an_alternative() -> None:
    status, found = through_the_gateway(portal(), "DELETE", f"{CONTACTS}/50%25")
    assert (status, found["errors"][0]["in"]) == (400, "objectId")
    assert "batch" in found["message"]
    assert "'50%'" in found["message"]


def test_a_path_is_decoded_once() -> None:
    """`/50%2525` names the record `50%25`; decoded twice it would be `50%`."""
    api = portal()
    before = state(api)
    for one in ("50%2525", "a%252Fb", "50%25", "a%2Fb"):
        assert through_the_gateway(api, "DELETE", f"{CONTACTS}/{one}")[0] in (400, 404)
    assert changed(before, api) == set()
    status, found = through_the_gateway(api, "GET", f"{CONTACTS}/a%2Bb")
    assert (status, found["id"]) == (200, "a+b")


def test_path_bytes_that_are_not_utf8_are_rejected() -> None:
    status, found = through_the_gateway(portal(), "GET", f"{CONTACTS}/a%FF")
    assert (status, found["errors"][0]["code"]) == (400, "NOT_IN_A_PATH")


def test_a_slash_after_an_id_belongs_to_the_id() -> None:
    api = portal()
    before = state(api)
    assert through_the_gateway(api, "DELETE", f"{CONTACTS}/a/")[0] == 404
    assert through_the_gateway(api, "DELETE", f"{CONTACTS}/a%2F")[0] == 404
    assert changed(before, api) == set()
    assert through_the_gateway(api, "POST", f"{CONTACTS}/", {"properties": {}})[0] == 201
    assert through_the_gateway(api, "PUT", "/crm/v3/lists/42/memberships/add/", ["a"])[0] == 200


@pytest.mark.parametrize("one", CUT)
def test_local_gateway_truncates_a_path_as_aws_does(one: str) -> None:
    """Why such ids go into bodies only: no function can know that something was cut. docs/api.md warns of it."""
    event = json.loads(gateway.to_event(HttpRequest("GET", f"{CONTACTS}/{escaped(one)}?limit=1", {}, b"")))
    assert event["rawPath"] == event["requestContext"]["http"]["path"] == f"{CONTACTS}/{one.partition('?')[0]}"
    assert event["queryStringParameters"] == {"limit": "1"}


@pytest.mark.parametrize("one", [*ADDRESSABLE, *ONLY_IN_BODIES, *CUT])
def test_every_id_is_accepted_in_a_body(one: str) -> None:
    api = portal()
    inputs = {"inputs": [{"id": one}]}
    status, found = through_the_gateway(api, "POST", f"{CONTACTS}/batch/read", inputs)
    assert (status, [each["id"] for each in found["results"]]) == (200, [one])
    status, found = through_the_gateway(api, "POST", "/enrollment/v1/records/contacts/batch/read", inputs)
    assert (status, [each["objectId"] for each in found["results"]]) == (200, [one])
    body = {"objectId": one, "limit": 1}
    assert through_the_gateway(api, "POST", "/enrollment/v1/records/contacts/enrollments", body) == (
        200,
        {"results": []},
    )
    query = f"?objectType=contact&objectId={escaped(one)}"
    assert through_the_gateway(api, "GET", "/events/v3/events", query=query)[0] == 200
    assert through_the_gateway(api, "GET", "/enrollment/v1/explain", query=query)[0] == 200

    before = state(api)
    body = {"inputs": [{"id": one, "properties": {"city": "Cork"}}]}
    assert through_the_gateway(api, "POST", f"{CONTACTS}/batch/upsert", body)[0] == 200
    assert through_the_gateway(api, "PUT", "/crm/v3/lists/42/memberships/add", [one])[0] == 200
    assert changed(before, api) == {one}
    before = state(api)
    assert through_the_gateway(api, "POST", f"{CONTACTS}/batch/archive", inputs) == (204, "")
    assert changed(before, api) == {one}
    assert through_the_gateway(api, "POST", f"{CONTACTS}/batch/read", inputs)[0] == 207


def test_a_batch_is_deleted_as_a_whole_and_again() -> None:
    api = portal()
    before = state(api)
    inputs = {"inputs": [{"id": one} for one in ("a", "b", "unknown", "a")]}
    for _ in range(2):
        assert through_the_gateway(api, "POST", f"{CONTACTS}/batch/archive", inputs) == (204, "")
    assert changed(before, api) == {"a", "b"}


@pytest.mark.parametrize(
    ("body", "faults"),
    [
        ({}, [("$.inputs", "WRONG_TYPE")]),
        ({"inputs": []}, [("$.inputs", "WRONG_LENGTH")]),
        ({"inputs": [{"id": "1"}] * 101}, [("$.inputs", "WRONG_LENGTH")]),
        (
            {"inputs": [{"id": ""}, 7]},
            [("$.inputs[0].id", "WRONG_LENGTH"), ("$.inputs[1]", "WRONG_TYPE"), ("$.inputs[1].id", "WRONG_TYPE")],
        ),
        ({"inputs": [{"id": "a", "idProperty": "email"}]}, [("$.inputs[0].idProperty", "NOT_SUPPORTED")]),
    ],
)
def test_batch_with_an_error_deletes_nothing(body: Any, faults: list[tuple[str, str]]) -> None:
    api = portal()
    before = state(api)
    answer = api("POST", f"{CONTACTS}/batch/archive", body)
    assert (answer.status, answer.faults) == (400, faults)
    assert changed(before, api) == set()


def test_enrollments_of_a_record_in_a_body_are_paginated() -> None:
    api = example_portal()
    path = "/enrollment/v1/records/contacts/enrollments"
    assert (
        api("POST", path, {"objectId": 101}).json == api("GET", "/enrollment/v1/records/contacts/101/enrollments").json
    )
    for body, faults in (
        ({}, [("$.objectId", "WRONG_TYPE")]),
        ({"objectId": "1", "limit": 0}, [("$.limit", "WRONG_LENGTH")]),
        ({"objectId": "1", "limit": True}, [("$.limit", "WRONG_LENGTH")]),
        ({"objectId": "1", "after": 3}, [("$.after", "BAD_CURSOR")]),
        ({"objectId": "1", "after": "x"}, [("after", "BAD_CURSOR")]),
    ):
        answer = api("POST", path, body)
        assert (answer.status, answer.faults) == (400, faults)


# idProperty ----------------------------------------------------------------------------------------------------------

OF_HUBSPOT = [one for one in ENDPOINTS if one.path.startswith("/crm/")]


@pytest.mark.parametrize("operation", OF_HUBSPOT, ids=lambda one: one.name)
def test_other_id_property_in_a_query_is_rejected(operation: Endpoint) -> None:
    """Ignored, it would have the value of another property taken for an id."""
    api = example_portal()
    before = state(api)
    path = re.sub(r"{(\w+)}", lambda found: operation.example.path[found.group(1)], operation.path)
    query = dict(operation.example.query)
    other = "vat" if operation.name == "readRecord" else "email"
    answer = api(operation.method, path, operation.example.body, query={**query, "idProperty": other})
    assert (answer.status, answer.faults) == (400, [("idProperty", "NOT_SUPPORTED")])
    assert f"'{other}'" in answer.json["message"]
    assert changed(before, api) == set()
    answer = api(operation.method, path, operation.example.body, query={**query, "idProperty": "hs_object_id"})
    assert answer.status in operation.replies


@pytest.mark.parametrize("route", ["read", "upsert", "archive"])
def test_other_id_property_in_a_body_is_rejected(route: str) -> None:
    api = example_portal()
    before = state(api)
    one = {"id": "101", "properties": {}} if route == "upsert" else {"id": "101"}
    other = "vat" if route == "read" else "email"
    answer = api("POST", f"{CONTACTS}/batch/{route}", {"idProperty": other, "inputs": [one]})
    assert (answer.status, answer.faults) == (400, [("$.idProperty", "NOT_SUPPORTED")])
    answer = api("POST", f"{CONTACTS}/batch/{route}", {"inputs": [{**one, "idProperty": "email"}]})
    assert (answer.status, answer.faults) == (400, [("$.inputs[0].idProperty", "NOT_SUPPORTED")])
    assert changed(before, api) == set()
