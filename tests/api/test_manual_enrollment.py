"""Manual enrollment over HTTP: our route, HubSpot's v2 routes, and what they refuse."""

from typing import Any

import pytest

from tests.support.portal import Api, example_portal, token

PATH = "/enrollment/v1/flows/7/enrollments"
V2 = "/automation/v2/workflows/7/enrollments/contacts"


def manual_portal(**keys: Any) -> Api:
    api = example_portal()
    document = {"id": "7", "type": "CONTACT_FLOW", "isEnabled": True, "enrollmentCriteria": {"type": "MANUAL"}}
    api.world.put_flow({**document, **keys})
    return api


def test_record_is_enrolled_with_the_caller_as_the_source() -> None:
    api = manual_portal()
    answer = api("POST", PATH, {"objectId": 103}, headers={"Idempotency-Key": "k1"})
    assert answer.status == 201
    assert (answer.json["code"], answer.json["flowId"], answer.json["objectId"]) == ("ENROLLED", "7", "103")
    stored = api("GET", f"/enrollment/v1/enrollments/{answer.json['enrollmentId']}").json
    assert stored["trigger"] == {
        "groupIndex": None,
        "eventType": "workflows.manual",
        "eventTypeId": None,
        "eventId": "manual:k1",
        "occurredAt": stored["trigger"]["occurredAt"],
        "source": "arn:aws:iam::123456789012:user/ada",
        "properties": {},
    }
    assert stored["isPublished"] is stored["isAnnounced"] is True

    repeated = api("POST", PATH, {"objectId": "103"}, headers={"idempotency-key": "k1"})
    assert (repeated.status, repeated.json) == (201, answer.json)
    other = api("POST", PATH, {"objectId": "103"})
    assert (other.status, other.json["code"]) == (200, "ALREADY_ENROLLED")


def test_requests_without_a_key_are_different_requests() -> None:
    api = manual_portal(enrollmentCriteria={"type": "MANUAL", "shouldReEnroll": True})
    assert [api("POST", PATH, {"objectId": "103"}).status for _ in range(2)] == [201, 201]
    keys = [enrollment.idempotency_key for enrollment in api.world.queue.messages[-2:]]
    assert len(set(keys)) == 2
    assert all("//manual:" in key for key in keys)


def test_batch_has_the_decision_on_each_record_once() -> None:
    api = manual_portal()
    body = {"inputs": [{"objectId": one} for one in ("103", "999", "103", 104)], "chain": ["1001"], "override": False}
    answer = api("POST", PATH, body)
    assert answer.status == 200
    assert [(one["objectId"], one["code"]) for one in answer.json["results"]] == [
        ("103", "ENROLLED"),
        ("999", "UNKNOWN_RECORD"),
        ("104", "ENROLLED"),
    ]
    assert [announcement.chain for announcement in api.world.bus.announcements[-2:]] == [("1001", "7")] * 2


def test_flow_that_is_off_or_unknown_is_refused() -> None:
    api = manual_portal(isEnabled=False)
    answer = api("POST", PATH, {"objectId": "103"})
    assert (answer.status, answer.faults) == (409, [("flowId", "FLOW_IS_OFF")])
    assert api("POST", "/enrollment/v1/flows/8/enrollments", {"objectId": "103"}).status == 404


@pytest.mark.parametrize(
    ("body", "faults"),
    [
        ([], [("$", "WRONG_TYPE")]),
        ({}, [("$", "WRONG_TYPE")]),
        ({"objectId": "1", "inputs": [{"objectId": "1"}]}, [("$", "WRONG_TYPE")]),
        ({"objectId": None}, [("$.objectId", "WRONG_TYPE")]),
        ({"objectId": ""}, [("$.objectId", "WRONG_LENGTH")]),
        ({"inputs": []}, [("$.inputs", "WRONG_LENGTH")]),
        ({"inputs": [{"objectId": str(n)} for n in range(101)]}, [("$.inputs", "WRONG_LENGTH")]),
        ({"inputs": ["101", {"objectID": "1"}]},
         [("$.inputs[0]", "WRONG_TYPE"), ("$.inputs[1].objectID", "UNKNOWN_KEY"),
          ("$.inputs[1].objectId", "WRONG_TYPE")]),
        ({"objectId": "1", "override": True}, [("$.override", "NOT_YET_SUPPORTED")]),
        ({"objectId": "1", "override": "no", "chain": 7, "x": 1},
         [("$.x", "UNKNOWN_KEY"), ("$.chain", "WRONG_TYPE"), ("$.override", "WRONG_TYPE")]),
    ],
)  # fmt: skip
def test_all_faults_of_a_request_are_reported(body: Any, faults: list[tuple[str, str]]) -> None:
    answer = manual_portal()("POST", PATH, body)
    assert (answer.status, answer.faults) == (400, faults)


@pytest.mark.parametrize("key", ["", "x" * 101, "a\tb"])
def test_invalid_idempotency_key_is_refused(key: str) -> None:
    answer = manual_portal()("POST", PATH, {"objectId": "103"}, headers={"Idempotency-Key": key})
    assert answer.status == 400
    assert [place for place, _ in answer.faults] == ["Idempotency-Key"]


def test_enrollment_needs_its_own_scope() -> None:
    api = manual_portal()
    for scope, status in (("enroll/flows.write enroll/records.write", 403), ("enroll/enrollments.write", 201)):
        headers = {"x-portal-id": None}
        assert api("POST", PATH, {"objectId": "103"}, authorizer=token(scope), headers=headers).status == status
    assert api.world.queue.messages[-1].cause.source == "user-1"


def test_hubspot_v2_route_enrolls_a_contact_by_its_id() -> None:
    api = manual_portal()
    for code in ("ENROLLED", "ALREADY_ENROLLED"):
        answer = api("POST", f"{V2}/103")
        assert (answer.status, answer.text, answer.headers["X-Enroll-Decision"]) == (204, "", code)
    assert api("POST", f"{V2}/999").status == 404


def test_hubspot_v2_route_enrolls_no_record_of_another_type() -> None:
    api = manual_portal(type="PLATFORM_FLOW", objectTypeId="0-2")
    assert api("POST", f"{V2}/201").status == 404
    assert api("POST", PATH, {"objectId": "201"}).status == 201


def test_hubspot_v2_routes_that_need_tracked_enrollments_are_not_supported_yet() -> None:
    api = manual_portal()
    for method, path in (("DELETE", f"{V2}/103"), ("GET", "/automation/v2/workflows/enrollments/contacts/103")):
        answer = api(method, path)
        assert (answer.status, answer.faults) == (400, [("contactId", "NOT_YET_SUPPORTED")])


def test_manual_flow_takes_a_test_of_its_suppression() -> None:
    api = manual_portal(suppressionListIds=[12])
    result = api("POST", "/enrollment/v1/flows/7/test", {"objectId": "103"}).json
    assert (result["passed"], result["refinementCriteria"]) == (True, None)
