"""The routes of backfills, and `enrollExisting` on the routes of flows."""

from typing import Any
from unittest.mock import Mock

import pytest

from enrollment.application.ports import Throttled
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.record import Record, TimestampedValue
from tests.support.fakes import World
from tests.support.portal import Answer, Api, token
from tests.support.scenario import flow

DUBLIN = {"id": 1, "filters": [["city", "IS_EQUAL_TO", "Dublin"]]}
BACKFILLS = "/enrollment/v1/flows/1/backfills"


@pytest.fixture
def api() -> Api:
    """A flow whose criteria 2 of 3 contacts meet."""
    world = World()
    world.put_flow(flow(DUBLIN))
    for object_id, city in (("101", "Dublin"), ("102", "Dublin"), ("103", "Cork")):
        key = RecordKey("p1", "0-1", object_id)
        world.put_record(key, Record(key, 1_000, {"city": TimestampedValue(city, 1_000)}))
    return Api(world)


def work(api: Api) -> None:
    list(api.world.run_worker.work(api.world.now + 60_000))


def test_dry_run_then_backfill(api: Api) -> None:
    started = api("POST", BACKFILLS, {"dryRun": True, "recordsPerSecond": 50})
    assert started.status == 201
    run = started.json
    expected = {
        "kind": "BACKFILL",
        "flowId": "1",
        "flowRevisionId": "1",
        "objectTypeId": "0-1",
        "isDryRun": True,
        "status": "RUNNING",
        "because": "",
        "recordsPerSecond": 50,
        "records": 3,
        "evaluated": 0,
        "decisions": {},
        "startedBy": "arn:aws:iam::123456789012:user/ada",
        "endedAt": None,
    }
    assert {name: run[name] for name in expected} == expected
    work(api)
    done = api("GET", f"{BACKFILLS}/{run['id']}").json
    assert (done["status"], done["evaluated"], done["decisions"]) == ("DONE", 3, {"ENROLLED": 2, "NOT_MATCHED": 1})
    assert done["endedAt"] is not None
    second = api("POST", BACKFILLS, {"dryRun": False, "dryRunId": run["id"]})
    assert second.status == 201
    work(api)
    assert len(api.world.queue.messages) == 2
    listed = api("GET", BACKFILLS).json["results"]
    assert [(backfill["id"], backfill["status"]) for backfill in listed] == [
        (second.json["id"], "DONE"),
        (run["id"], "DONE"),
    ]
    page = api("GET", BACKFILLS, query={"limit": "1"}).json
    after = page["paging"]["next"]["after"]
    assert [result["id"] for result in api("GET", BACKFILLS, query={"limit": "1", "after": after}).json["results"]] == [
        run["id"]
    ]


def test_request_that_is_repeated_with_its_key_returns_the_run_that_it_started(api: Api) -> None:
    headers = {"Idempotency-Key": "k1"}
    first = api("POST", BACKFILLS, {"dryRun": False, "confirm": 3}, headers=headers)
    work(api)
    api.world.pass_time(api.world.now + 60_000)
    repeated = api("POST", BACKFILLS, {"dryRun": False, "confirm": 3}, headers=headers)
    assert (first.status, repeated.status) == (201, 201)
    assert (repeated.json["id"], repeated.json["status"]) == (first.json["id"], "DONE")
    assert repeated.json["decisions"] == {"ENROLLED": 2, "NOT_MATCHED": 1}
    assert len(api.world.runs.runs) == 1


def test_key_of_another_request_is_refused(api: Api) -> None:
    headers = {"Idempotency-Key": "k1"}
    first = api("POST", BACKFILLS, {"dryRun": True}, headers=headers).json
    for body in ({"dryRun": True, "recordsPerSecond": 5}, {"dryRun": False, "confirm": 3}):
        answer = api("POST", BACKFILLS, body, headers=headers)
        assert (answer.status, answer.faults) == (409, [("Idempotency-Key", "KEY_REUSED")])
        assert f"started run {first['id']} of flow 1" in answer.json["message"]
    refused = api("POST", BACKFILLS, {"dryRun": True}, headers={"Idempotency-Key": "k" * 101})
    assert (refused.status, refused.faults) == (400, [("Idempotency-Key", "WRONG_LENGTH")])


def test_request_without_a_key_is_a_new_one(api: Api) -> None:
    first = api("POST", BACKFILLS, {"dryRun": True}).json
    conflict(api, {"dryRun": True})
    work(api)
    assert api("POST", BACKFILLS, {"dryRun": True}).json["id"] != first["id"]


def test_run_is_paused_resumed_and_cancelled(api: Api) -> None:
    run = api("POST", BACKFILLS, {"dryRun": False, "confirm": 3}).json
    place = f"{BACKFILLS}/{run['id']}"
    for action, status in (("pause", "PAUSED"), ("pause", "PAUSED"), ("resume", "RUNNING"), ("cancel", "CANCELLED")):
        answer = api("POST", f"{place}/{action}")
        assert (answer.status, answer.json["status"]) == (200, status)
    refused = api("POST", f"{place}/resume")
    assert (refused.status, refused.faults) == (409, [("runId", "RUN_FINISHED")])
    work(api)
    assert api.world.queue.messages == []


@pytest.mark.parametrize(
    ("body", "faults"),
    [
        ([], [("$", "WRONG_TYPE")]),
        ({}, [("$.dryRun", "WRONG_TYPE")]),
        ({"dryRun": "yes"}, [("$.dryRun", "WRONG_TYPE")]),
        ({"dryRun": False}, [("$", "CONFIRMATION_REQUIRED")]),
        ({"dryRun": True, "recordsPerSecond": 0}, [("$.recordsPerSecond", "WRONG_TYPE")]),
        ({"dryRun": True, "recordsPerSecond": 1.5}, [("$.recordsPerSecond", "WRONG_TYPE")]),
        ({"dryRun": True, "recordsPerSecond": True}, [("$.recordsPerSecond", "WRONG_TYPE")]),
        ({"dryRun": False, "confirm": -1}, [("$.confirm", "WRONG_TYPE")]),
        ({"dryRun": False, "dryRunId": ["x"]}, [("$.dryRunId", "WRONG_TYPE")]),
        ({"dryRun": True, "pace": 5}, [("$.pace", "UNKNOWN_KEY")]),
    ],
)
def test_malformed_request_is_refused_with_its_faults(api: Api, body: Any, faults: list[tuple[str, str]]) -> None:
    answer = api("POST", BACKFILLS, body)
    assert (answer.status, answer.faults) == (400, faults)
    assert api.world.runs.runs == {}


def conflict(api: Api, body: dict[str, Any], flow_id: str = "1") -> Answer:
    answer = api("POST", f"/enrollment/v1/flows/{flow_id}/backfills", body)
    assert answer.status == 409
    return answer


def test_conflicts_have_a_stable_code_and_say_what_to_do(api: Api) -> None:
    answer = conflict(api, {"dryRun": False, "confirm": 2})
    assert answer.faults == [("confirm", "NOT_CONFIRMED")]
    assert "expected the number of records that are evaluated, 3; got 2" in answer.json["message"]
    assert conflict(api, {"dryRun": False, "dryRunId": "01X"}).faults == [("confirm", "NOT_CONFIRMED")]
    api.world.put_flow(flow({"id": 2, "event": "forms.submitted"}))
    assert conflict(api, {"dryRun": True}, "2").faults == [("flowId", "NOT_FILTER_BASED")]
    api.world.put_flow(flow({**DUBLIN, "id": 3, "enabled": False}))
    assert conflict(api, {"dryRun": False, "confirm": 3}, "3").faults == [("flowId", "FLOW_IS_OFF")]
    assert api("POST", BACKFILLS, {"dryRun": True}).status == 201
    assert conflict(api, {"dryRun": True}).faults == [("flowId", "RUN_IN_PROGRESS")]


@pytest.mark.parametrize("path", [BACKFILLS.replace("1/", "9/", 1), f"{BACKFILLS}/01X", f"{BACKFILLS}/01X/pause"])
def test_unknown_flow_or_run_is_not_found(api: Api, path: str) -> None:
    method, body = ("POST", None) if path.endswith("pause") else ("GET", None)
    assert api(method, path, body).status == 404


def test_token_needs_the_scope_of_enrollments(api: Api) -> None:
    reader = token("enroll/read")
    assert api("GET", BACKFILLS, authorizer=reader).status == 200
    assert api("POST", BACKFILLS, {"dryRun": True}, authorizer=reader).status == 403
    author = token("enroll/read enroll/flows.write")
    query = {"enrollExisting": "true", "confirm": "3"}
    document = flow({**DUBLIN, "id": 5})
    assert api("PUT", "/automation/v4/flows/5", document, query=query, authorizer=author).status == 403
    assert api("GET", "/automation/v4/flows/5").status == 404


@pytest.mark.parametrize(("method", "path"), [("PUT", "/automation/v4/flows/5"), ("POST", "/automation/v4/flows")])
def test_flow_that_is_turned_on_enrolls_existing_records(api: Api, method: str, path: str) -> None:
    answer = api(method, path, flow({**DUBLIN, "id": 5}), query={"enrollExisting": "true", "confirm": "3"})
    assert answer.status == 201
    place = f"/enrollment/v1/flows/{answer.json['id']}/backfills/{answer.headers['X-Enroll-Backfill']}"
    assert api("GET", place).json["status"] == "RUNNING"
    work(api)
    assert api("GET", place).json["decisions"] == {"ENROLLED": 2, "NOT_MATCHED": 1}


@pytest.mark.parametrize("revision_id", [None, "1"], ids=["a new flow", "a flow that was off"])
def test_put_that_is_repeated_starts_one_backfill(api: Api, revision_id: str | None) -> None:
    path, query = "/automation/v4/flows/5", {"enrollExisting": "true", "confirm": "3"}
    document = flow({**DUBLIN, "id": 5})
    if revision_id is not None:
        api.world.put_flow({**document, "isEnabled": False})
        document["revisionId"] = revision_id
    answers = [api("PUT", path, document, query=query) for _ in range(2)]
    work(api)
    answers.append(api("PUT", path, document, query=query))
    assert len({(answer.status, answer.headers["X-Enroll-Backfill"]) for answer in answers}) == 1
    assert len({answer.json["revisionId"] for answer in answers}) == 1
    assert len(api.world.runs.runs) == 1


def test_put_that_is_repeated_starts_the_backfill_that_was_not_started(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, query = "/automation/v4/flows/5", {"enrollExisting": "true", "confirm": "3"}
    document = flow({**DUBLIN, "id": 5})
    with monkeypatch.context() as patch:
        patch.setattr(api.world.runs, "create", Mock(side_effect=Throttled("DynamoDB did not accept the run")))
        assert api("PUT", path, document, query=query).status == 503
    assert api.world.runs.runs == {}
    repeated = api("PUT", path, document, query=query)
    assert repeated.status == 201
    assert list(api.world.runs.runs) == [repeated.headers["X-Enroll-Backfill"]]


def test_put_is_refused_if_the_flow_has_changed_since(api: Api) -> None:
    path, query = "/automation/v4/flows/5", {"enrollExisting": "true", "confirm": "3"}
    document = flow({**DUBLIN, "id": 5})
    assert api("PUT", path, document, query=query).status == 201
    work(api)
    assert api("PUT", path, {**document, "isEnabled": False, "revisionId": "1"}).status == 200
    answer = api("PUT", path, document, query=query)
    assert (answer.status, answer.faults) == (400, [("$.revisionId", "REVISION_REQUIRED")])
    other = api("PUT", "/automation/v4/flows/1", {**flow(DUBLIN), "name": "Other"}, query=query)
    assert (other.status, other.faults) == (400, [("enrollExisting", "NOT_TURNED_ON")])


@pytest.mark.parametrize(
    ("document", "query", "status", "fault"),
    [
        (DUBLIN, {}, 409, ("confirm", "NOT_CONFIRMED")),
        (DUBLIN, {"confirm": "4"}, 409, ("confirm", "NOT_CONFIRMED")),
        (DUBLIN, {"confirm": "many"}, 400, ("confirm", "WRONG_TYPE")),
        ({**DUBLIN, "enabled": False}, {"confirm": "3"}, 400, ("enrollExisting", "NOT_TURNED_ON")),
        ({"event": "forms.submitted"}, {"confirm": "3"}, 409, ("flowId", "NOT_FILTER_BASED")),
    ],
)
def test_flow_is_not_stored_if_its_backfill_cannot_start(
    api: Api, document: dict[str, Any], query: dict[str, str], status: int, fault: tuple[str, str]
) -> None:
    answer = api(
        "PUT", "/automation/v4/flows/5", flow({**document, "id": 5}), query={"enrollExisting": "true", **query}
    )
    assert (answer.status, answer.faults) == (status, [fault])
    assert api("GET", "/automation/v4/flows/5").status == 404


def test_flow_that_is_on_already_is_not_turned_on(api: Api) -> None:
    document = {**flow(DUBLIN), "revisionId": "1"}
    answer = api("PUT", "/automation/v4/flows/1", document, query={"enrollExisting": "true", "confirm": "3"})
    assert (answer.status, answer.faults) == (400, [("enrollExisting", "NOT_TURNED_ON")])
