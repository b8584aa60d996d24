"""The function of the HTTP API on an AWS in memory, with the example portal."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import pytest

from enrollment.adapters import unprocessed_queue
from enrollment.domain.values import iso
from enrollment.entrypoints import bootstrap
from enrollment.entrypoints.http_api import handler
from enrollment.entrypoints.http_api.endpoint import Endpoint
from enrollment.entrypoints.http_api.routes import ENDPOINTS
from tests.support.api_document import conforms, filled
from tests.support.functions import CONTEXT, function, invoke
from tests.support.portal import IAM
from tests.support.scenario import event, flow

CONTACTS = "/crm/v3/objects/contacts"


@contextmanager
def without_cached_parts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Build the parts of the API anew for this test: they keep clients of the AWS that they were built with."""
    monkeypatch.setenv("EVENT_HISTORY_DAYS", "30")
    # A queue in memory has all its messages at once, and each long poll would take a second.
    monkeypatch.setattr(unprocessed_queue, "WAIT_SECONDS", 0)
    handler._parts.cache_clear()
    yield
    handler._parts.cache_clear()


def call(
    method: str,
    path: str,
    body: Any = None,
    portal: str = "p1",
    headers: Mapping[str, str] = MappingProxyType({}),
    /,
    **query: str,
) -> tuple[int, Any]:
    answer = function("api").handler(
        {
            "version": "2.0",
            "rawPath": path,
            "headers": {"x-portal-id": portal, "content-type": "application/json", **headers},
            "queryStringParameters": query,
            "requestContext": {"requestId": "r", "stage": "$default", "http": {"method": method}, "authorizer": IAM},
            **({} if body is None else {"body": json.dumps(body)}),
            "isBase64Encoded": False,
        },
        CONTEXT,
    )
    assert json.loads(json.dumps(answer)) == answer
    text = answer["body"]
    is_json = answer["headers"].get("Content-Type") == "application/json"
    return answer["statusCode"], json.loads(text) if text and is_json else text


def example_portal() -> dict[str, str]:
    """As that of tests/api, on DynamoDB; answers what an example's path says by another name."""
    criteria = [["city", "IS_ANY_OF", ["Dublin", "Cork"]]]
    for document in (
        flow({"id": 1001, "event": "forms.submitted", "criteria": criteria}),
        flow({"id": 1002, "event": "crm.property_changed", "re_enroll": True}),
        flow({"id": 1003, "filters": [["city", "IS_EQUAL_TO", "Dublin"]]}),
        flow({"id": 1004, "filters": [["city", "IS_EQUAL_TO", "Dublin"]]}),
    ):
        assert call("PUT", f"/automation/v4/flows/{document['id']}", document)[0] == 201
    for kind, ids in (("contacts", ("101", "103", "104")), ("companies", ("201",))):
        inputs = [{"id": one, "properties": {"city": "Dublin"}} for one in ids]
        assert call("POST", f"/crm/v3/objects/{kind}/batch/upsert", {"inputs": inputs})[0] == 200
    submitted = event({"forms.submitted": "101", "id": "e1", "at": iso(bootstrap.now())})
    (decision,) = invoke(submitted)["decisions"]
    invoke(event({"forms.submitted": "101", "id": "no-zone", "at": "2026-11-24T10:00:00"}))
    _, unprocessed = call("GET", "/enrollment/v1/unprocessed")
    status, replay = call("POST", "/enrollment/v1/replays", {"isDryRun": True})
    assert status == 201
    status, run = call("POST", "/enrollment/v1/flows/1004/backfills", {"dryRun": True})
    assert status == 201
    return {
        "enrollmentId": decision["enrollmentId"],
        "replayName": replay["name"],
        "runId": run["id"],
        "messageId": unprocessed["results"][0]["id"],
    }


def play_examples(names: dict[str, str]) -> None:
    """`names`: those of the portal, by what the examples call them."""
    # What deletes comes last, so that one portal serves all.
    for operation in sorted(ENDPOINTS, key=lambda one: one.method == "DELETE"):
        example = operation.example
        path = filled(
            operation.path, {**example.path, **{key: one for key, one in names.items() if key in example.path}}
        )
        status, content = call(operation.method, path, example.body, **example.query)
        assert status in operation.replies, (operation.name, content)
        check(operation, status, content)


def check(operation: Endpoint, status: int, content: Any) -> None:
    schema = operation.replies[status]
    if schema is not None and "/" not in schema:
        conforms(content, schema)
