"""The API's function as Lambda calls it, with the adapters on an AWS in memory."""

import json

import pytest

from enrollment.adapters.dynamodb.portal_settings import DynamoPortals
from enrollment.domain.enrollment.portal_settings import PortalSettings
from enrollment.domain.values import iso
from enrollment.entrypoints import bootstrap
from tests.support.api_function import CONTACTS, call, example_portal, play_examples
from tests.support.functions import Stack, counted
from tests.support.scenario import event, flow, property_filter
from tests.support.stores import open_tables

pytestmark = pytest.mark.usefixtures("fresh_api")


def test_every_example_works_on_dynamodb(stack: Stack) -> None:
    play_examples(example_portal())


def test_a_simulation_makes_no_call_that_writes(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
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
    posted = event({"forms.submitted": "101", "id": "e2", "at": iso(bootstrap.now()), "record": {"city": "Cork"}})
    posted["time"] = iso(bootstrap.now())
    with counted(monkeypatch) as calls:
        for body in ({"event": posted}, {"event": posted, "flows": drafts}):
            status, answer = call("POST", "/enrollment/v1/simulate", body)
            assert status == 200
            assert answer["decisions"]
    assert [decision["code"] for decision in answer["decisions"]] == ["ENROLLED", "WAITING", "ENROLLED"]
    assert set(calls) == {"GetItem", "Query", "BatchGetItem"}


def test_ids_with_special_characters_stay_distinct(stack: Stack) -> None:
    ids = ["a/b", "a%2Fb", "a", "%", "ä", "日本", "x" * 128, "a#b", "a?b"]
    inputs = [{"id": id_, "properties": {"name": id_}} for id_ in ids]
    assert call("POST", f"{CONTACTS}/batch/upsert", {"inputs": inputs})[0] == 200
    _, found = call("POST", f"{CONTACTS}/batch/read", {"inputs": [{"id": id_} for id_ in ids]})
    assert [(result["id"], result["properties"]["name"]) for result in found["results"]] == [(id_, id_) for id_ in ids]
    for record_id in ("ä", "日本", "x" * 128):
        status, found = call("GET", f"{CONTACTS}/{record_id}")
        assert (status, found["id"]) == (200, record_id)
    # Of the others API Gateway may have changed the path: see tests/api/test_paths.py.
    assert call("GET", f"{CONTACTS}/a%2Fb")[0] == 400
    assert call("POST", f"{CONTACTS}/batch/archive", {"inputs": [{"id": id_} for id_ in ids if id_ != "a"]})[0] == 204
    _, found = call("POST", f"{CONTACTS}/batch/read", {"inputs": [{"id": id_} for id_ in ids]})
    assert [result["id"] for result in found["results"]] == ["a"]


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


def test_concurrent_settings_changes_are_kept(stack: Stack) -> None:
    assert call("PATCH", "/enrollment/v1/portal", {"timeZone": "Europe/Dublin"})[0] == 200
    DynamoPortals(open_tables(stack.config)).save("p1", PortalSettings("Pacific/Apia", 60_000))
    assert call("GET", "/enrollment/v1/portal")[1]["timeZone"] == "Pacific/Apia"
    changed = call("PATCH", "/enrollment/v1/portal", {"timeZone": "Europe/Rome"})[1]
    assert (changed["timeZone"], changed["criteriaTolerance"]) == ("Europe/Rome", 1)


def test_each_request_writes_one_log_line_and_one_metric(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    call("GET", "/automation/v4/flows/77")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (line,) = (entry for entry in lines if entry.get("message") == "request")
    assert (line["operation"], line["status"], line["portalId"]) == ("readFlow", 404, "p1")
    assert (line["category"], line["correlationId"]) == ("OBJECT_NOT_FOUND", "r")
    (metrics,) = (entry for entry in lines if "_aws" in entry)
    assert metrics["ApiRefused"] == 1
