"""The API's function as Lambda calls it, with the adapters on an AWS in memory."""

import json
from collections.abc import Iterator
from typing import Any

import botocore.client
import pytest

from enrollment import bootstrap
from enrollment.api import handler
from enrollment.api.operations import Operation
from enrollment.api.routes import OPERATIONS
from enrollment.domain.values import iso
from tests.api.portal import IAM
from tests.api.test_examples import conforms, filled
from tests.functions.test_handlers import CONTEXT, Stack, function, invoke
from tests.functions.test_handlers import stack as stack  # the fixture
from tests.scenarios.scenario import event, flow, property_filter
from tests.template.test_template import FUNCTIONS, allowed

CONTACTS = "/crm/v3/objects/contacts"


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("EVENT_HISTORY_DAYS", "30")
    handler._parts.cache_clear()
    yield
    handler._parts.cache_clear()


def call(method: str, path: str, body: Any = None, portal: str = "p1", **query: str) -> tuple[int, Any]:
    answer = function("api").handler(
        {
            "version": "2.0",
            "rawPath": path,
            "headers": {"x-portal-id": portal, "content-type": "application/json"},
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
    ):
        assert call("PUT", f"/automation/v4/flows/{document['id']}", document)[0] == 201
    for kind, ids in (("contacts", ("101", "103", "104")), ("companies", ("201",))):
        inputs = [{"id": one, "properties": {"city": "Dublin"}} for one in ids]
        assert call("POST", f"/crm/v3/objects/{kind}/batch/upsert", {"inputs": inputs})[0] == 200
    submitted = event({"forms.submitted": "101", "id": "e1", "at": "2030-01-01T00:00:00Z"})
    (decision,) = invoke(submitted)["decisions"]
    return {"enrollmentId": decision["enrollmentId"]}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, stack: Stack) -> list[tuple[str, str]]:
    """Resource and action of every call to AWS, as the template's policies write them."""
    found: list[tuple[str, str]] = []
    make = botocore.client.BaseClient._make_api_call
    tables = {
        stack.config.flows_table: "FlowsTable",
        stack.config.records_table: "RecordsTable",
        stack.config.enrollments_table: "EnrollmentsTable",
    }

    def noted(client: Any, name: str, arguments: Any) -> Any:
        if name == "TransactWriteItems":
            for item in arguments["TransactItems"]:
                ((kind, one),) = item.items()
                found.append((tables[one["TableName"]], f"dynamodb:{kind}Item"))
        elif name == "PutEvents":
            found.append(("EventBus", "events:PutEvents"))
        elif name == "BatchGetItem":
            found.extend((tables[table], "dynamodb:BatchGetItem") for table in arguments["RequestItems"])
        elif "TableName" in arguments:
            index = f"/index/{arguments['IndexName']}" if "IndexName" in arguments else ""
            found.append((tables[arguments["TableName"]] + index, f"dynamodb:{name}"))
        return make(client, name, arguments)

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", noted)
    return found


def test_every_example_works_on_dynamodb_by_what_the_function_may_do(calls: list[tuple[str, str]]) -> None:
    names = example_portal()
    calls.clear()
    # What deletes comes last, so that one portal serves all.
    for operation in sorted(OPERATIONS, key=lambda one: one.method == "DELETE"):
        example = operation.example
        path = filled(
            operation.path, {**example.path, **{key: one for key, one in names.items() if key in example.path}}
        )
        status, content = call(operation.method, path, example.body, **example.query)
        assert status in operation.replies, (operation.name, content)
        check(operation, status, content)
    policy = FUNCTIONS["ApiFunction"]["Policies"][0]
    assert set(calls) == set(allowed(policy)), "what is called, and what is allowed"


def test_a_simulation_makes_no_call_that_writes(calls: list[tuple[str, str]]) -> None:
    """By an event that would change its record, enroll, wait, and be announced."""
    example_portal()
    associated = {
        "filterBranchType": "ASSOCIATION",
        "objectTypeId": "0-2",
        "associationCategory": "HUBSPOT_DEFINED",
        "associationTypeId": 1,
        "operator": "IN_LIST",
        "filters": [property_filter(["city", "IS_EQUAL_TO", "Dublin"])],
    }
    drafts = [
        flow({"id": 1, "event": "forms.submitted", "re_enroll": True, "limit": {"count": 1, "period": "DAY"}}),
        flow({"id": 2, "event": "forms.submitted", "criteria": [["city", "IS_EQUAL_TO", "Bray"]], "tolerance": 30}),
        flow({"id": 3, "event": "forms.submitted"})
        | {"goalFilterBranch": {"filterBranchType": "AND", "filters": [], "filterBranches": [associated]}},
    ]
    given = event({"forms.submitted": "101", "id": "e2", "at": "2030-01-01T00:00:00Z", "record": {"city": "Cork"}})
    given["time"] = iso(bootstrap.now())
    calls.clear()
    for body in ({"event": given}, {"event": given, "flows": drafts}):
        status, answer = call("POST", "/enrollment/v1/simulate", body)
        assert status == 200
        assert answer["decisions"]
    assert [one["code"] for one in answer["decisions"]] == ["ENROLLED", "WAITING", "ENROLLED"]
    assert {action for _, action in calls} == {"dynamodb:GetItem", "dynamodb:Query", "dynamodb:BatchGetItem"}


def check(operation: Operation, status: int, content: Any) -> None:
    schema = operation.replies[status]
    if schema is not None and "/" not in schema:
        conforms(content, schema)


def test_ids_of_any_characters_are_kept_apart(stack: Stack) -> None:
    ids = ["a/b", "a%2Fb", "a", "%", "ä", "日本", "x" * 128, "a#b", "a?b"]
    inputs = [{"id": one, "properties": {"name": one}} for one in ids]
    assert call("POST", f"{CONTACTS}/batch/upsert", {"inputs": inputs})[0] == 200
    _, found = call("POST", f"{CONTACTS}/batch/read", {"inputs": [{"id": one} for one in ids]})
    assert [(one["id"], one["properties"]["name"]) for one in found["results"]] == [(one, one) for one in ids]
    status, found = call("GET", f"{CONTACTS}/a%2Fb")
    assert (status, found["properties"]["name"]) == (200, "a/b")
    status, found = call("GET", f"{CONTACTS}/日本")
    assert (status, found["id"]) == (200, "日本")


def test_the_longest_ids_fit_dynamodb_keys(stack: Stack) -> None:
    """Of characters of four bytes each."""
    portal, flow_id, record = "🜁" * 64, "🜂" * 64, "🜃" * 128
    document = flow({"id": flow_id, "event": "forms.submitted"})
    assert call("PUT", f"/automation/v4/flows/{flow_id}", document, portal)[0] == 201
    status, _ = call("POST", f"{CONTACTS}/batch/upsert", {"inputs": [{"id": record}]}, portal)
    assert status == 200
    other = "🜄" * 128
    call("POST", "/crm/v3/objects/companies/batch/upsert", {"inputs": [{"id": other}]}, portal)
    status, _ = call(
        "PUT", f"{CONTACTS.replace('v3', 'v4')}/{record}/associations/default/companies/{other}", None, portal
    )
    assert status == 200
    assert call("GET", f"/enrollment/v1/records/contacts/{record}/enrollments", None, portal) == (200, {"results": []})
    assert call("GET", f"/enrollment/v1/flows/{record}/enrollments", None, portal) == (200, {"results": []})
    assert call("GET", f"/enrollment/v1/enrollments/{record}", None, portal)[0] == 404
    assert call("GET", f"/automation/v4/flows/{record}", None, portal)[0] == 404


def test_one_line_and_one_metric_a_request(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    call("GET", "/automation/v4/flows/77")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (line,) = (one for one in lines if one.get("message") == "request")
    assert (line["operation"], line["status"], line["portalId"]) == ("readFlow", 404, "p1")
    assert (line["category"], line["correlationId"]) == ("OBJECT_NOT_FOUND", "r")
    (metrics,) = (one for one in lines if "_aws" in one)
    assert metrics["ApiRefused"] == [1.0]
