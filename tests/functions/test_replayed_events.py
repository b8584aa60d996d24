"""Events that are delivered again to the functions on an AWS in memory: redriven events, and those of replays."""

import json
from typing import Any

import botocore.client
import pytest

from enroll.dead_letters.message import UnprocessedEvent
from enrollment.adapters.dynamodb.replays import DynamoReplays
from enrollment.application.ports import REPLAY_PARTS
from enrollment.domain.enrollment.decisions import Code
from enrollment.domain.enrollment.replays import Replay, tally
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.record import Record
from enrollment.domain.values import iso
from enrollment.entrypoints import bootstrap
from tests.support.fakes import store, switch
from tests.support.functions import Stack, invoke, put
from tests.support.permissions import Permission, granted, needed
from tests.support.scenario import event, flow
from tests.support.stores import open_tables

ADA = RecordKey("p1", "0-1", "101")


@pytest.fixture
def calls(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> list[Permission]:
    """What every call to AWS needs to be allowed."""
    found: list[Permission] = []
    make = botocore.client.BaseClient._make_api_call

    def noted(client: Any, name: str, arguments: Any) -> Any:
        found.extend(needed(client.meta.service_model.service_name, name, arguments, stack.config))
        return make(client, name, arguments)

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", noted)
    return found


def order(stack: Stack, *flow_ids: str, is_dry_run: bool = False, name: str = "enroll-1") -> Replay:
    types = frozenset(["forms.submitted"])
    made = Replay(name, "p1", frozenset(flow_ids) or None, types, is_dry_run, bootstrap.now())
    replays(stack).save(made)
    return made


def replays(stack: Stack) -> DynamoReplays:
    return DynamoReplays(open_tables(stack.config))


def past(object_id: str = "101", event_id: str = "e", **fields: Any) -> dict[str, Any]:
    """Before every flow that is stored now."""
    return event({"forms.submitted": object_id, "id": event_id, "at": "2024-01-01T00:00:00Z"} | fields)


def put_new(stack: Stack, flow_id: int, **fields: Any) -> None:
    store(stack.stores.authoring, "p1", flow({"event": "forms.submitted", "id": flow_id} | fields), bootstrap.now())


def codes(answer: dict[str, Any]) -> list[tuple[str, str]]:
    return sorted((decision["flowId"], decision["code"]) for decision in answer["decisions"])


def lines(capsys: pytest.CaptureFixture[str], message: str) -> list[dict[str, Any]]:
    return [line for line in map(json.loads, capsys.readouterr().out.splitlines()) if line.get("message") == message]


def test_replay_reaches_only_the_requested_flows(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    stack.stores.records.save(Record(ADA, 0))
    for number in (1, 2):
        put_new(stack, number)
    assert codes(invoke(past())) == [("1", "BEFORE_ACTIVATION"), ("2", "BEFORE_ACTIVATION")]
    capsys.readouterr()
    order(stack, "2")

    answer = invoke({**past(), "replay-name": "enroll-1"})

    assert codes(answer) == [("2", "ENROLLED")]
    assert [json.loads(message["Body"])["flowId"] for message in stack.enrollments()] == ["2"]
    (line,) = lines(capsys, "decision")
    assert (line["flowId"], line["replay"]) == ("2", "enroll-1")
    # Redriven, it stays part of the replay.
    assert codes(invoke(redriven({**past(), "replay-name": "enroll-1"}))) == [("2", "DUPLICATE_EVENT")]
    assert stack.enrollments() == []


def test_replay_started_outside_the_api_is_an_ordinary_delivery(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    put(stack, id=1)
    replayed = {**past(record={}), "replay-name": "by-hand"}
    assert codes(invoke(replayed)) == [("1", "ENROLLED")]
    assert codes(invoke(replayed)) == [("1", "DUPLICATE_EVENT")]
    assert all("replay" not in line for line in lines(capsys, "decision"))


@pytest.mark.parametrize("name", ["enroll-" + "x" * 3_000, "enroll-\ud800", "enroll-", "enroll-a b"], ids=ascii)
def test_unknown_replay_name_in_an_event_is_ignored(stack: Stack, name: str) -> None:
    put(stack, id=1)
    envelope = past(record={})
    assert codes(invoke({**envelope, "detail": {**envelope["detail"], "replay-name": name}})) == [("1", "ENROLLED")]


def test_events_outside_a_replay_are_skipped_and_logged(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    put(stack, id=1, portal="p2")
    put(stack, id=2, event="forms.viewed")
    order(stack)
    for envelope in (
        past(portal="p2", record={}),
        event({"forms.viewed": "101", "id": "v", "record": {}}),
    ):
        answer = invoke({**envelope, "replay-name": "enroll-1"})
        assert answer == {"eventId": envelope["detail"]["id"], "skipped": "enroll-1"}
    logged = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [entry["eventType"] for entry in logged if entry.get("message") == "skipped"] == [
        "forms.submitted",
        "forms.viewed",
    ]
    assert [entry["EventsSkipped"] for entry in logged if "EventsSkipped" in entry] == [1, 1]
    assert stack.stores.records.get(ADA) is None


def test_dry_run_writes_only_counts_with_existing_permissions(
    stack: Stack, calls: list[Permission], capsys: pytest.CaptureFixture[str]
) -> None:
    for record in ("a", "b"):
        stack.stores.records.save(Record(RecordKey("p1", "0-1", record), 0))
    put_new(stack, 1)
    put_new(stack, 2, re_enroll=True, limit={"count": 1, "period": "DAY"})
    put_new(stack, 3, criteria=[["city", "IS_EQUAL_TO", "Cork"]], tolerance=30)
    made = order(stack, "1", "2", "3", is_dry_run=True)
    calls.clear()

    for number in (0, 1, 2, 3, 0):
        fields = {"record": {"city": "Cork"} if number < 2 else {}}
        invoke({**past("ab"[number % 2], f"e{number}", **fields), "replay-name": "enroll-1"})

    # The order and the portal's settings once; the version of the candidates at each event but the first. A snapshot
    # that changes the record reads the version of the list of filter-based flows with it, also when both are loaded.
    assert calls.count(Permission("FlowsTable", "dynamodb:GetItem")) == 1 + 1 + 2
    assert calls.count(Permission("FlowsTable", "dynamodb:BatchGetItem")) == 3
    writes = [call for call in calls if not call.action.endswith(("GetItem", "Query"))]
    assert set(writes) == {Permission("RecordsTable", "dynamodb:PutItem")}
    assert set(calls) <= granted("FormsFunction")
    assert lines(capsys, "rehearsed")[0]["codes"] == {"1": "ENROLLED", "2": "ENROLLED", "3": "ENROLLED"}
    rehearsals = [result for part in range(REPLAY_PARTS) for result in replays(stack).counted(made, part)]
    assert tally(rehearsals, {"2"}) == {
        "1": {Code.ENROLLED: 2, Code.ALREADY_ENROLLED: 2},
        "2": {Code.ENROLLED: 4},
        "3": {Code.ENROLLED: 2, Code.FILTERED_OUT: 2},
    }
    assert stack.enrollments() == []
    assert all(not stack.stores.records.get(RecordKey("p1", "0-1", record_id)).properties for record_id in "ab")  # type: ignore[union-attr]


def test_unknown_replay_is_stored_as_unprocessed_but_invalid_dry_run_event_is_not(stack: Stack) -> None:
    answer = invoke({**past(), "replay-name": "enroll-nobody"})
    assert answer["unprocessed"]["reason"] == "UNKNOWN_REPLAY"
    (kept,) = stack.unprocessed()
    assert (kept["reason"], kept["event"]["replay-name"]) == ("UNKNOWN_REPLAY", "enroll-nobody")

    order(stack, is_dry_run=True)
    order(stack, name="enroll-2")
    invalid = past(portal="x" * 65)
    assert invoke({**invalid, "replay-name": "enroll-1"})["unprocessed"]["reason"] == "WRONG_LENGTH"
    assert stack.unprocessed() == []
    invoke({**invalid, "replay-name": "enroll-2"})
    assert [message["reason"] for message in stack.unprocessed()] == ["WRONG_LENGTH"]


def redriven(envelope: dict[str, Any]) -> dict[str, Any]:
    """As the bus delivers what `enroll unprocessed redrive` puts on it."""
    entry = UnprocessedEvent("", "", envelope).entry("bus")
    assert entry is not None
    return {
        "id": "another",
        "source": entry["Source"],
        "detail-type": entry["DetailType"],
        "time": iso(int(entry["Time"] * 1000)),
        "detail": json.loads(entry["Detail"]),
    }


@pytest.mark.parametrize("has_id", [True, False], ids=["its own id", "the bus' id"])
def test_redriven_event_completes_an_enrollment_after_the_flow_is_off(stack: Stack, has_id: bool) -> None:
    put(stack, id=1)
    sent = iso(bootstrap.now())
    envelope = event({"forms.submitted": "101", "id": "e", "record": {}, "at": sent, "sent": sent})
    if not has_id:
        del envelope["detail"]["id"]
    stack.sqs.delete_queue(QueueUrl=stack.config.enrollments_queue_url)
    with pytest.raises(Exception, match="NonExistentQueue"):
        invoke(envelope)
    switch(stack.stores.authoring, "p1", "1", bootstrap.now(), on=False)
    fifo = {"FifoQueue": "true", "DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId"}
    stack.sqs.create_queue(QueueName="enrollments.fifo", Attributes=fifo)

    assert codes(invoke(redriven(envelope))) == [("1", "DUPLICATE_EVENT")]

    (message,) = stack.enrollments()
    assert json.loads(message["Body"])["trigger"]["eventId"] == ("e" if has_id else envelope["id"])
    assert codes(invoke(redriven(envelope))) == [("1", "DUPLICATE_EVENT")]
    assert stack.enrollments() == []
