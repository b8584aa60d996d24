"""What a list of flows shows over HTTP: descriptions, warnings, triggers, authors and revisions."""

import base64
import gzip
import json
from typing import Any

import pytest
from msgspec.structs import replace

from enrollment.entrypoints.http_api.compression import MIN_COMPRESSED_BYTES, accepts_gzip, compressed
from enrollment.serialization.requests import write_cursor
from tests.support.api_document import conforms
from tests.support.portal import Api, example_portal, portal_of_examples, token
from tests.support.scenario import flow

FLOWS = "/enrollment/v1/flows"
STORED = "/automation/v4/flows"


def listed(api: Api, **query: str) -> dict[str, Any]:
    answer = api("GET", FLOWS, query=query)
    assert answer.status == 200, answer.text
    conforms(answer.json, "FlowOverviewPage")
    return {one["id"]: one for one in answer.json["results"]}


def put(api: Api, document: dict[str, Any], **given: Any) -> dict[str, Any]:
    answer = api("PUT", f"{STORED}/{document['id']}", document, **given)
    assert answer.status in (200, 201), answer.text
    stored: dict[str, Any] = answer.json
    return stored


def test_each_flow_has_its_description_triggers_and_author() -> None:
    api = portal_of_examples()
    document = flow({"id": 1005, "event": "forms.submitted"})
    groups = document["enrollmentCriteria"]["eventFilterBranches"]
    groups += [groups[0] | {"eventTypeId": "crm.property_changed"}, groups[0]]
    put(api, document)
    found = listed(api)
    assert list(found) == ["1001", "1002", "1003", "1004", "1005"]
    assert found["1005"]["changedBy"] == "arn:aws:iam::123456789012:user/ada"
    assert (found["1005"]["eventTypes"], found["1005"]["categories"]) == (
        ["forms.submitted", "crm.property_changed"],
        ["forms", "crm"],
    )
    assert found["1001"]["explanation"][0].startswith("Enrolls a contact the first time this happens: ")
    assert (found["1001"]["changedBy"], found["1001"]["canRun"]) == (None, True)
    assert (found["1003"]["enrollmentType"], found["1003"]["eventTypes"]) == ("LIST_BASED", [])
    assert found["1003"]["explanation"][0].startswith("Enrolls a contact when it starts to meet these criteria")
    summaries = api("GET", STORED).json["results"]
    assert [{key: found[one["id"]][key] for key in one} for one in summaries] == summaries


def test_a_flow_that_cannot_run_has_the_reasons_as_warnings() -> None:
    api = example_portal()
    unsupported = {"filterBranchType": "AND", "filters": [{"filterType": "SURVEY_MONKEY"}]}
    put(api, flow({"id": 1005, "event": "forms.submitted", "enabled": False}) | {"goalFilterBranch": unsupported})
    found = listed(api)["1005"]
    assert (found["canRun"], found["explanation"], found["eventTypes"]) == (False, [], [])
    assert "$.goalFilterBranch.filters[0].filterType" in found["warnings"][0]


def test_flows_that_form_a_loop_are_warned_about() -> None:
    api = example_portal()
    for flow_id, other in (("2001", "2002"), ("2002", "2001")):
        where = [["hs_flow_id", "IS_ANY_OF", [other]]]
        put(api, flow({"id": flow_id, "event": "workflows.enrolled", "where": where, "re_enroll": True}))
    found = listed(api)
    assert [len([text for text in found[one]["warnings"] if "loop" in text]) for one in ("1001", "2001", "2002")] == [
        0,
        1,
        1,
    ]


def test_overviews_are_paged() -> None:
    api = portal_of_examples()
    first = api("GET", FLOWS, query={"limit": "3"}).json
    assert [one["id"] for one in first["results"]] == ["1001", "1002", "1003"]
    assert list(listed(api, limit="3", after=first["paging"]["next"]["after"])) == ["1004"]
    assert api("GET", FLOWS, query={"limit": "101"}).faults == [("limit", "WRONG_LENGTH")]
    too_long_for_a_key = write_cursor("%" * 400)
    for cursor in ("?", too_long_for_a_key):
        assert api("GET", FLOWS, query={"after": cursor}).faults == [("after", "BAD_CURSOR")]


def test_another_portal_has_no_flows() -> None:
    api = example_portal()
    assert api("GET", FLOWS, headers={"x-portal-id": "p2"}).json == {"results": []}
    for path in (f"{FLOWS}/1001/revisions", f"{FLOWS}/1001/revisions/1"):
        assert api("GET", path, headers={"x-portal-id": "p2"}).status == 404


def revisions_of(api: Api, flow_id: str, **query: str) -> dict[str, Any]:
    answer = api("GET", f"{FLOWS}/{flow_id}/revisions", query=query)
    assert answer.status == 200, answer.text
    conforms(answer.json, "FlowRevisionPage")
    page: dict[str, Any] = answer.json
    return page


def test_each_change_is_a_revision_with_its_author() -> None:
    api = example_portal()
    document = flow({"id": 1005, "event": "forms.submitted"}) | {"name": "First"}
    put(api, document)
    author = token(sub="user-7")
    put(api, document | {"name": "Second", "revisionId": "1"}, authorizer=author)
    assert api("DELETE", f"{STORED}/1005", authorizer=author).status == 204
    found = revisions_of(api, "1005")["results"]
    assert [(one["revisionId"], one["name"], one["changedBy"], one["isDeleted"]) for one in found] == [
        ("3", None, "user-7", True),
        ("2", "Second", "user-7", False),
        ("1", "First", "arn:aws:iam::123456789012:user/ada", False),
    ]
    assert (found[0]["explanation"], found[0]["enrollmentType"]) == ([], None)
    assert found[1]["explanation"][0].startswith("Enrolls a contact the first time")
    created = api("POST", STORED, document, authorizer=author).json
    assert revisions_of(api, created["id"])["results"][0]["changedBy"] == "user-7"


def test_a_revision_is_restored_with_its_document() -> None:
    api = example_portal()
    document = flow({"id": 1005, "event": "forms.submitted"}) | {"name": "First", "actions": [{"actionId": "7"}]}
    first = put(api, document)
    second = put(api, document | {"name": "Second", "actions": [], "revisionId": "1"})
    answer = api("GET", f"{FLOWS}/1005/revisions/1")
    conforms(answer.json, "FlowRevision")
    assert answer.json["flow"] == first
    restored = put(api, answer.json["flow"] | {"revisionId": second["revisionId"]})
    assert (restored["name"], restored["actions"], restored["revisionId"]) == ("First", [{"actionId": "7"}], "3")


def test_the_revision_of_a_deletion_has_no_flow() -> None:
    api = example_portal()
    api("DELETE", f"{STORED}/1002")
    assert api("GET", f"{FLOWS}/1002/revisions/2").json["flow"] is None


def test_revisions_are_paged() -> None:
    api = example_portal()
    for number in range(1, 5):
        put(api, flow({"id": 1001, "event": "forms.submitted"}) | {"revisionId": str(number)})
    first = revisions_of(api, "1001", limit="2")
    assert [one["revisionId"] for one in first["results"]] == ["5", "4"]
    second = revisions_of(api, "1001", limit="2", after=first["paging"]["next"]["after"])
    assert [one["revisionId"] for one in second["results"]] == ["3", "2"]
    last = revisions_of(api, "1001", limit="2", after=second["paging"]["next"]["after"])
    assert ([one["revisionId"] for one in last["results"]], "paging" in last) == (["1"], False)
    wrong = base64.urlsafe_b64encode(b"x").decode().rstrip("=")
    assert api("GET", f"{FLOWS}/1001/revisions", query={"after": wrong}).faults == [("after", "BAD_CURSOR")]


@pytest.mark.parametrize("revision", ["7", "x", "0", "-1", "1" * 30, "²"])
def test_an_unknown_revision_is_not_found(revision: str) -> None:
    answer = example_portal()("GET", f"{FLOWS}/1001/revisions/{revision}")
    assert (answer.status, answer.json["category"]) == (404, "OBJECT_NOT_FOUND")


def test_a_flow_that_never_existed_has_no_revisions() -> None:
    assert example_portal()("GET", f"{FLOWS}/77/revisions").status == 404


def test_a_revision_that_this_version_cannot_read_is_listed() -> None:
    api = example_portal()
    revision = api.world.flows.get("p1", "1001")
    assert revision is not None
    refused = replace(revision, revision=2, document={"enrollmentCriteria": {"type": "EVENT_BASED"}})
    api.world.flows._revisions["p1", "1001"].append(refused)
    assert [one["explanation"] == [] for one in revisions_of(api, "1001")["results"]] == [True, False]


# Compression -----------------------------------------------------------------------------------------------------


def test_a_large_response_is_compressed_if_the_client_accepts_it() -> None:
    api = example_portal()
    plain = api("GET", "/enrollment/v1/events")
    assert "Content-Encoding" not in plain.headers
    small = api("GET", STORED, headers={"accept-encoding": "gzip"})
    assert "Content-Encoding" not in small.headers
    answer = api("GET", "/enrollment/v1/events", headers={"Accept-Encoding": "br, gzip;q=0.8"})
    assert (answer.headers["Content-Encoding"], answer.headers["Vary"]) == ("gzip", "Accept-Encoding")
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json == plain.json


def test_a_compressed_response_is_base64() -> None:
    text = json.dumps(["ü" * MIN_COMPRESSED_BYTES])
    answer = compressed({"statusCode": 200, "headers": {}, "body": text}, {"headers": {"accept-encoding": "gzip"}})
    assert answer["isBase64Encoded"] is True
    assert gzip.decompress(base64.b64decode(answer["body"], validate=True)).decode() == text
    assert len(answer["body"]) < 1_000


@pytest.mark.parametrize(
    ("accept", "accepted"),
    [
        ("gzip", True),
        ("GZIP, br", True),
        ("deflate, gzip;q=1.0, *;q=0.5", True),
        ("*", True),
        ("gzip;q=0", False),
        ("gzip; q=0, *", False),
        ("identity", False),
        ("gzip;q=x", False),
        ("", False),
    ],
)
def test_gzip_is_used_only_if_the_header_allows_it(accept: str, accepted: bool) -> None:
    assert accepts_gzip(accept) is accepted
