"""Who is let in, to which portal, and to do what."""

import pytest

from enrollment.entrypoints.http_api.endpoint import Endpoint, Scope
from enrollment.entrypoints.http_api.routes import ENDPOINTS
from tests.support.api_document import filled
from tests.support.portal import portal_of_examples, token
from tests.support.scenario import event

OF_A_PORTAL = [one for one in ENDPOINTS if one.concerns_a_portal]
SCOPED = [one for one in ENDPOINTS if one.scope is not None]


def named(operation: Endpoint) -> str:
    return operation.name


@pytest.mark.parametrize("operation", ENDPOINTS, ids=named)
def test_every_route_requires_authorization(operation: Endpoint) -> None:
    """Were API Gateway's authorizer ever left out, the function would refuse."""
    answer = portal_of_examples()(
        operation.method, filled(operation.path, operation.example.path), operation.example.body, authorizer=None
    )
    assert (answer.status, answer.json["category"]) == (401, "INVALID_AUTHENTICATION")


@pytest.mark.parametrize("operation", OF_A_PORTAL, ids=named)
def test_an_operator_names_the_portal(operation: Endpoint) -> None:
    answer = portal_of_examples()(
        operation.method,
        filled(operation.path, operation.example.path),
        operation.example.body,
        headers={"x-portal-id": None},
    )
    assert (answer.status, answer.faults) == (400, [("X-Portal-Id", "MISSING_PORTAL")])


@pytest.mark.parametrize("operation", SCOPED, ids=named)
def test_token_requires_the_scope_of_the_operation(operation: Endpoint) -> None:
    assert operation.scope is not None
    path, body = filled(operation.path, operation.example.path), operation.example.body
    others = " ".join(one for one in Scope if one != operation.scope)

    refused = portal_of_examples()(
        operation.method, path, body, authorizer=token(others), headers={"x-portal-id": None}
    )
    assert (refused.status, refused.json["category"]) == (403, "MISSING_SCOPES")
    assert operation.scope in refused.json["message"]
    allowed = portal_of_examples()(
        operation.method,
        path,
        body,
        authorizer=token(operation.scope),
        headers={"x-portal-id": None},
        query=dict(operation.example.query),
    )
    assert allowed.status in operation.replies


def test_scopes_separate_reading_writing_flows_and_writing_records() -> None:
    for one in SCOPED:
        questions = ("batch/read", "/test", "/check", "/simulate", "/preview", "/impact", "/enrollments", "/summaries")
        reads = one.method == "GET" or one.path.endswith(questions)
        enrolls = one.name in ("enrollRecords", "enrollContact", "removeContact")
        if enrolls or (one.method == "POST" and one.name.endswith("Backfill")):
            assert one.scope == Scope.WRITE_ENROLLMENTS
            continue
        writes = Scope.WRITE_FLOWS if {"flows", "portal", "replays"} & set(one.path.split("/")) else Scope.WRITE_RECORDS
        assert one.scope == (Scope.READ if reads else writes), one.name


@pytest.mark.parametrize("operation", OF_A_PORTAL, ids=named)
def test_token_cannot_read_another_portal(operation: Endpoint) -> None:
    """By the header that names another: 404. By ids alone: as if they did not exist."""
    path, body = filled(operation.path, operation.example.path), operation.example.body
    crossing = portal_of_examples()(operation.method, path, body, authorizer=token(portal_id="p2"))
    assert (crossing.status, crossing.json["category"]) == (404, "OBJECT_NOT_FOUND")

    api = portal_of_examples()
    before = repr((api.world.flows.list("p1", 100), api.world.records.records))
    api(operation.method, path, body, authorizer=token(portal_id="p2"), headers={"x-portal-id": "p2"})
    mine = {key: one for key, one in api.world.records.records.items() if key.portal_id == "p1"}
    assert repr((api.world.flows.list("p1", 100), mine)) == before
    assert not [one for one in api.world.bus.produced.values() if one.record_key.portal_id != "p2"]


@pytest.mark.parametrize(
    "path",
    [
        "/automation/v4/flows/1001",
        "/enrollment/v1/enrollments/01TEST00000000000000000001",
        "/crm/v3/objects/contacts/101",
        "/enrollment/v1/records/contact/101",
        "/crm/v4/objects/contact/101/associations/company",
    ],
)
def test_data_of_another_portal_is_not_found(path: str) -> None:
    api = portal_of_examples()
    assert api("GET", path).status == 200
    assert api("GET", path, headers={"x-portal-id": "p2"}).status == 404


def test_token_without_a_portal_is_rejected() -> None:
    answer = portal_of_examples()("GET", "/automation/v4/flows", authorizer=token(portal_id=""))
    assert (answer.status, answer.json["category"]) == (403, "MISSING_SCOPES")
    assert "portal_id" in answer.json["message"]


@pytest.mark.parametrize(
    "claims", [{"scope": "openid enroll/read"}, {"scope": "", "scp": "[enroll/read other]"}, {"scp": "enroll/read"}]
)
def test_scopes_are_read_in_every_format_of_issuers(claims: dict[str, str]) -> None:
    api = portal_of_examples()
    assert api("GET", "/automation/v4/flows", authorizer=token(**claims)).status == 200


@pytest.mark.parametrize("scope", ["enroll/readx", "enroll/flows.write", "", "xenroll/read"])
def test_scope_must_match_completely(scope: str) -> None:
    assert portal_of_examples()("GET", "/automation/v4/flows", authorizer=token(scope)).status == 403


def test_portal_settings_include_caller_and_scopes() -> None:
    api = portal_of_examples()
    operator = api("GET", "/enrollment/v1/portal").json
    assert operator["portalId"] == "p1"
    assert operator["caller"].endswith("user/ada")
    assert operator["scopes"] == sorted(Scope)
    holder = api("GET", "/enrollment/v1/portal", authorizer=token("enroll/read")).json
    assert holder == {
        "portalId": "p1",
        "caller": "user-1",
        "scopes": ["enroll/read"],
        "timeZone": "UTC",
        "criteriaTolerance": 0,
        "recordTolerance": 60,
        "allowedSources": [],
        "stack": "enroll",
        "region": "eu-west-1",
        "isLocal": False,
        "historyDays": 30,
        "historyLength": 20,
        "features": ["eventHistory", "findEventsById"],
    }


def test_portal_time_zone_is_stored() -> None:
    api = portal_of_examples()
    assert api("PATCH", "/enrollment/v1/portal", {"timeZone": "Pacific/Apia"}).json["timeZone"] == "Pacific/Apia"
    assert api("GET", "/enrollment/v1/portal").json["timeZone"] == "Pacific/Apia"
    assert api("GET", "/enrollment/v1/portal", headers={"x-portal-id": "p2"}).json["timeZone"] == "UTC"
    for wrong in ("Europe/Atlantis", "../../etc/passwd", "", None, 3):
        assert api("PATCH", "/enrollment/v1/portal", {"timeZone": wrong}).faults == [("$.timeZone", "INVALID_OPERAND")]


def test_portal_tolerance_is_stored() -> None:
    api = portal_of_examples()
    api("PATCH", "/enrollment/v1/portal", {"timeZone": "Pacific/Apia"})
    assert api("PATCH", "/enrollment/v1/portal", {"criteriaTolerance": 7.5}).json["criteriaTolerance"] == 7.5
    assert api("GET", "/enrollment/v1/portal").json["timeZone"] == "Pacific/Apia"
    for wrong in (-1, 31, "5", None, True):
        answer = api("PATCH", "/enrollment/v1/portal", {"criteriaTolerance": wrong})
        assert answer.faults == [("$.criteriaTolerance", "INVALID_OPERAND")]


def test_portal_allowed_sources_are_stored() -> None:
    api = portal_of_examples()
    path = "/enrollment/v1/portal"
    given = ["acme.website", "acme.crm", "acme.website"]
    assert api("PATCH", path, {"allowedSources": given}).json["allowedSources"] == ["acme.website", "acme.crm"]
    assert api("PATCH", path, {"timeZone": "Europe/Dublin"}).json["allowedSources"] == ["acme.website", "acme.crm"]
    assert api("GET", path, headers={"x-portal-id": "p2"}).json["allowedSources"] == []
    for wrong in ("acme", {}, None, 3, [3], [["acme"]], ["x"] * 51):
        assert api("PATCH", path, {"allowedSources": wrong}).faults == [("$.allowedSources", "WRONG_TYPE")]
    for wrong in ("", "x" * 257):
        assert api("PATCH", path, {"allowedSources": ["a", wrong]}).faults == [("$.allowedSources[1]", "WRONG_LENGTH")]
    assert api("PATCH", path, {"allowedSources": []}).json["allowedSources"] == []


def test_simulation_reports_a_source_that_is_not_allowed() -> None:
    api = portal_of_examples()
    api("PATCH", "/enrollment/v1/portal", {"allowedSources": ["acme.crm"]})
    envelope = event({"forms.submitted": "101", "id": "x", "properties": {"hs_form_id": "f-1"}})
    simulate = "/enrollment/v1/simulate"
    assert api("POST", simulate, {"event": envelope}).json["unprocessed"]["reason"] == "SOURCE_NOT_ALLOWED"
    assert "decisions" in api("POST", simulate, {"event": envelope | {"source": "acme.crm"}}).json


PORTAL_IDS = ["x" * 65, "x" * 5_000, "a\nb", "\x00"]


@pytest.mark.parametrize("portal_id", PORTAL_IDS, ids=["65 characters", "5,000", "a line break", "zero"])
def test_invalid_portal_id_is_rejected_in_tokens_and_headers(portal_id: str) -> None:
    for method, path, body in (
        ("GET", "/automation/v4/flows", None),
        ("POST", "/crm/v3/objects/contacts", {"properties": {"a": "1"}}),
        ("GET", "/enrollment/v1/events", None),
    ):
        api = portal_of_examples()
        before = set(api.world.records.records)
        by_token = api(method, path, body, authorizer=token(portal_id=portal_id), headers={"x-portal-id": None})
        by_header = api(method, path, body, headers={"x-portal-id": portal_id})
        assert (by_token.status, by_header.status) == (400, 400)
        assert by_token.json["errors"][0]["code"] == by_header.json["errors"][0]["code"]
        assert "portal_id" in by_token.json["errors"][0]["in"]
        assert set(api.world.records.records) == before


def test_longest_portal_id_of_a_token_is_accepted() -> None:
    longest = "ü" * 64
    answer = portal_of_examples()(
        "GET", "/enrollment/v1/portal", authorizer=token(portal_id=longest), headers={"x-portal-id": None}
    )
    assert (answer.status, answer.json["portalId"]) == (200, longest)
