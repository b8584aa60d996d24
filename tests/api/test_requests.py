"""Bad input, on every route: precise and stable answers, and nothing written."""

import base64
import json
from typing import Any

import pytest

from enrollment.application.ports import Throttled
from enrollment.entrypoints.http_api.endpoint import Endpoint
from enrollment.entrypoints.http_api.routes import ENDPOINTS
from enrollment.entrypoints.http_api.server import MAX_BODY_BYTES
from enrollment.serialization.requests import write_cursor
from tests.support.api_document import conforms, filled
from tests.support.portal import Answer, Api, portal_of_examples

WITH_BODY = [endpoint for endpoint in ENDPOINTS if endpoint.body is not None]


def named(operation: Endpoint) -> str:
    return operation.name


def send(api: Api, operation: Endpoint, **request_parts: Any) -> Answer:
    return api(operation.method, filled(operation.path, operation.example.path), **request_parts)


def state(api: Api) -> str:
    return repr((api.world.flows.list("p1", 100), api.world.records.records, api.world.bus.produced))


@pytest.mark.parametrize("operation", WITH_BODY, ids=named)
@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (None, "MALFORMED_JSON"),
        ("", "MALFORMED_JSON"),
        ("{", "MALFORMED_JSON"),
        ('{"a": NaN}', "MALFORMED_JSON"),
        ('{"a": -Infinity}', "MALFORMED_JSON"),
        ("[" * 200_000, "MALFORMED_JSON"),
        ("9" * 5000, "MALFORMED_JSON"),
        ('{"a": ' + "[" * 100 + "]" * 100 + "}", "TOO_DEEP"),
        ("null", None),
        ("17", None),
        ('"text"', None),
        ("[]", None),
        ('{"inputs": 3, "properties": 3, "type": 3}', None),
        ('{"inputs": [3], "properties": [], "type": []}', None),
    ],
    ids=repr,
)
def test_body_that_is_not_json_is_rejected(operation: Endpoint, raw: str | None, code: str | None) -> None:
    api = portal_of_examples()
    before = state(api)

    answer = send(api, operation, raw=raw)

    assert answer.status == 400
    conforms(answer.json, "Error")
    assert answer.faults
    if code is not None:
        assert [found for _, found in answer.faults] == [code]
    assert state(api) == before


@pytest.mark.parametrize("operation", WITH_BODY, ids=named)
@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", None, "application/jsonx"])
def test_body_of_another_content_type_is_rejected(operation: Endpoint, content_type: str | None) -> None:
    api = portal_of_examples()
    before = state(api)
    raw = json.dumps(operation.example.body)
    answer = send(api, operation, raw=raw, headers={"content-type": content_type})
    assert answer.status == 415
    assert "application/json" in answer.json["message"]
    assert state(api) == before


@pytest.mark.parametrize("operation", WITH_BODY, ids=named)
def test_huge_body_is_rejected(operation: Endpoint) -> None:
    answer = send(portal_of_examples(), operation, raw=json.dumps({"a": "x" * MAX_BODY_BYTES}))
    assert answer.status == 413
    assert f"{MAX_BODY_BYTES:,}" in answer.json["message"]


@pytest.mark.parametrize("operation", WITH_BODY, ids=named)
def test_a_body_that_the_gateway_encoded(operation: Endpoint) -> None:
    """A body that is not UTF-8 is read as bytes."""
    encoded = base64.b64encode(json.dumps(operation.example.body).encode()).decode()
    assert send(portal_of_examples(), operation, raw=encoded, base64=True).status in operation.replies
    for raw in (base64.b64encode(b'{"a": "\xff"}').decode(), "no base64!"):
        answer = send(portal_of_examples(), operation, raw=raw, base64=True)
        assert (answer.status, [code for _, code in answer.faults]) == (400, ["MALFORMED_JSON"])


@pytest.mark.parametrize("operation", ENDPOINTS, ids=named)
def test_method_that_is_not_allowed_is_rejected(operation: Endpoint) -> None:
    answer = portal_of_examples()("TRACE", filled(operation.path, operation.example.path))
    assert (answer.status, answer.json["category"]) == (405, "METHOD_NOT_ALLOWED")
    assert operation.method in answer.headers["Allow"]


@pytest.mark.parametrize("path", ["/", "/nope", "/automation/v4/flow", "/automation/v4/flows/1/2", "/crm/v3/objects"])
def test_unknown_route_is_not_found(path: str) -> None:
    answer = portal_of_examples()("GET", path)
    assert (answer.status, answer.json["category"]) == (404, "OBJECT_NOT_FOUND")
    assert "/openapi.json" in answer.json["message"]


@pytest.mark.parametrize("operation", [endpoint for endpoint in ENDPOINTS if "{" in endpoint.path], ids=named)
@pytest.mark.parametrize("value", ["x" * 129, "%00", "a%0Ab", "%ED%A0%80"], ids=["long", "null", "line", "surrogate"])
def test_invalid_ids_in_the_path_are_rejected(operation: Endpoint, value: str) -> None:
    path = filled(operation.path, dict.fromkeys(operation.example.path, value))
    answer = portal_of_examples()(operation.method, path, operation.example.body)
    assert answer.status in (400, 404) or (answer.status, operation.method) == (204, "DELETE")


@pytest.mark.parametrize(
    ("path", "query", "parameter"),
    [
        ("/automation/v4/flows", {"limit": "0"}, "limit"),
        ("/automation/v4/flows", {"limit": "101"}, "limit"),
        ("/automation/v4/flows", {"limit": "ten"}, "limit"),
        ("/automation/v4/flows", {"limit": "²"}, "limit"),
        ("/automation/v4/flows", {"after": "!"}, "after"),
        ("/automation/v4/flows", {"after": ""}, "after"),
        ("/enrollment/v1/flows/1001/enrollments", {"after": "_w"}, "after"),
        ("/automation/v4/flows", {"after": write_cursor("\N{GRINNING FACE}" * 137)}, "after"),
        ("/enrollment/v1/events", {"category": "form"}, "category"),
        ("/enrollment/v1/events", {"flowType": "CONTACT"}, "flowType"),
        ("/enrollment/v1/events", {"objectTypeId": "nothing"}, "objectType"),
        ("/crm/v3/objects/contract/1", {}, "objectType"),
    ],
)
def test_parameters(path: str, query: dict[str, str], parameter: str) -> None:
    answer = portal_of_examples()("GET", path, query=query)
    assert answer.status == 400
    assert [where for where, _ in answer.faults] == [parameter]


def test_misspelled_names_get_a_suggestion() -> None:
    answer = portal_of_examples()("GET", "/crm/v3/objects/contakt/1")
    assert answer.json["errors"][0]["context"] == {"didYouMean": ["contact"]}


def test_the_correlation_id_is_that_of_the_request() -> None:
    assert portal_of_examples()("GET", "/nope").json["correlationId"] == "request-1"


def test_unexpected_error_is_reported_without_internals(monkeypatch: pytest.MonkeyPatch) -> None:
    api = portal_of_examples()

    def broken(*_: object) -> None:
        raise RuntimeError("a secret of the inside")

    monkeypatch.setattr(api.world.flows, "get", broken)
    answer = api("GET", "/automation/v4/flows/1001")
    assert (answer.status, answer.json["category"]) == (500, "INTERNAL_ERROR")
    assert "secret" not in answer.text


def test_response_larger_than_the_lambda_limit_is_rejected() -> None:
    api = portal_of_examples()
    document = {"type": "CONTACT_FLOW", "isEnabled": False, "padding": "x" * 250_000}
    ids = [str(number) for number in range(24)]
    for id_ in ids:
        assert api("PUT", f"/automation/v4/flows/{id_}", document).status == 201
    answer = api("POST", "/automation/v4/flows/batch/read", {"inputs": [{"flowId": id_} for id_ in ids]})
    assert answer.status == 400
    assert "Request fewer items" in answer.json["message"]


@pytest.mark.parametrize("unit", ["x", "ж", "𝄞"])
def test_a_flow_and_an_answer_are_measured_by_their_bytes(unit: str) -> None:
    api, text = portal_of_examples(), unit * (250_000 // len(unit.encode()))
    for number in range(20):
        document = {"type": "CONTACT_FLOW", "isEnabled": False, "padding": text}
        assert api("PUT", f"/automation/v4/flows/{number}", document).status == 201
    inputs = [{"flowId": str(number)} for number in range(20)]
    answer = api("POST", "/automation/v4/flows/batch/read", {"inputs": inputs})
    assert answer.status == 200
    assert answer.json["results"][0]["padding"] == text
    assert len(answer.text.encode()) < 20 * 251_000


@pytest.mark.parametrize("raw", ['{"x": 1e999}', '{"x": "\\ud800"}', '{"\\udfff": 1}'])
def test_values_that_json_cannot_express_are_rejected(raw: str) -> None:
    answer = portal_of_examples()("POST", "/automation/v4/flows", raw=raw)
    assert (answer.status, answer.faults[0][0]) == (400, "$")


def test_path_is_not_treated_as_a_pattern() -> None:
    assert portal_of_examples()("GET", "/openapiXjson").status == 404


def test_throttling_is_reported_as_throttling(monkeypatch: pytest.MonkeyPatch) -> None:
    api = portal_of_examples()

    def throttled(*_: object) -> None:
        raise Throttled("DynamoDB left 3 keys unread")

    monkeypatch.setattr(api.world.flows, "get", throttled)
    answer = api("GET", "/automation/v4/flows/1001")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
