"""The functions as Lambda calls them, with the adapters on an AWS in memory."""

import json
import sys
import time
from hashlib import sha256
from types import SimpleNamespace
from typing import Any

import botocore.client
import pytest

from enrollment.adapters import aws_clients as clients
from enrollment.adapters.dynamodb import portal_settings as portals_adapter
from enrollment.adapters.dynamodb.portal_settings import DynamoPortals
from enrollment.catalog import CATEGORIES
from enrollment.config import NAMES, MissingConfiguration, from_environment
from enrollment.domain.enrollment.portal_settings import PortalSettings
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.record import Record
from enrollment.domain.values import CLOCK_SKEW_MS, iso
from enrollment.entrypoints import bootstrap
from enrollment.serialization.envelopes import read_event
from enrollment.serialization.redeliveries import write_redelivery
from tests.support.fakes import store, switch
from tests.support.flow_sizes import event_types, large_flow
from tests.support.functions import CONTEXT, Stack, counted, function, invoke, put
from tests.support.scenario import event, flow
from tests.support.stores import open_tables


def test_event_publishes_an_enrollment_message(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    put(stack, id=585051946, event="4-1639801")
    envelope = event({"forms.submitted": "101", "id": "e-1", "record": {"a": 1}, "properties": {"hs_form_id": "f-1"}})

    answer = invoke(envelope)

    (decision,) = answer["decisions"]
    assert answer["eventId"] == "e-1"
    assert (decision["code"], decision["flowId"]) == ("ENROLLED", "585051946")
    (message,) = stack.enrollments()
    body = json.loads(message["Body"])
    assert body.pop("enrolledAt").endswith("Z")
    assert body == {
        "schemaVersion": "1.0",
        "enrollmentId": decision["enrollmentId"],
        "idempotencyKey": "p1/585051946/0-1/101",
        "portalId": "p1",
        "flowId": "585051946",
        "flowName": "Flow 585051946",
        "flowRevisionId": "1",
        "objectTypeId": "0-1",
        "objectId": "101",
        "isReEnrollment": False,
        "trigger": {
            "groupIndex": 0,
            "eventType": "forms.submitted",
            "eventTypeId": "4-1639801",
            "eventId": "e-1",
            "occurredAt": "2026-11-23T10:00:00.000Z",
            "source": "acme",
            "properties": {"hs_form_id": "f-1"},
        },
    }
    assert message["Attributes"]["MessageGroupId"] == "p1/0-1/101"
    assert message["Attributes"]["MessageDeduplicationId"] == sha256(b"p1/585051946/0-1/101").hexdigest()
    attributes = {name: attribute["StringValue"] for name, attribute in message["MessageAttributes"].items()}
    assert attributes == {
        "portalId": "p1",
        "flowId": "585051946",
        "objectTypeId": "0-1",
        "eventType": "forms.submitted",
    }
    (line,) = [
        entry for entry in map(json.loads, capsys.readouterr().out.splitlines()) if entry.get("message") == "decision"
    ]
    assert (line["code"], line["flowId"], line["eventId"], line["category"]) == (
        "ENROLLED",
        "585051946",
        "e-1",
        "forms",
    )


def test_second_delivery_publishes_nothing(stack: Stack) -> None:
    put(stack, id=1)
    envelope = event({"forms.submitted": "101", "id": "e-1", "record": {}})
    assert [decision["code"] for decision in invoke(envelope)["decisions"]] == ["ENROLLED"]
    assert len(stack.enrollments()) == 1
    assert [decision["code"] for decision in invoke(envelope)["decisions"]] == ["DUPLICATE_EVENT"]
    assert stack.enrollments() == []


def test_rejection_names_the_filter_that_failed(stack: Stack) -> None:
    put(stack, id=1, where=[["hs_form_id", "IS_ANY_OF", ["f-2"]]])
    put(stack, id=2, criteria=[["city", "IS_EQUAL_TO", "Dublin"]])
    answer = invoke(
        event({"forms.submitted": "101", "id": "e", "record": {"city": "Cork"}, "properties": {"hs_form_id": "f-1"}})
    )
    not_matched, filtered_out = answer["decisions"]
    (group,) = not_matched["groups"]
    assert (group["groupIndex"], group["property"], group["found"]) == (0, "hs_form_id", "f-1")
    assert group["operation"]["values"] == ["f-2"]
    assert filtered_out["code"] == "FILTERED_OUT"
    assert filtered_out["filter"]["found"] == "Cork"
    assert filtered_out["filter"]["operation"]["value"] == "Dublin"


def test_decision_truncates_a_long_value(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    put(stack, id=1, where=[["hs_form_id", "IS_ANY_OF", ["f-2"]]])
    put(stack, id=2, event="crm.property_changed")
    long = "x" * 8_000
    (not_matched,) = invoke(
        event(
            {"forms.submitted": "101", "id": "e", "record": {}, "properties": {"hs_form_id": long, "hs_url": "secret"}}
        )
    )["decisions"]
    assert not_matched["groups"][0]["found"] == "x" * 200 + "…"
    same = {"hs_name": "city", "hs_value": long, "hs_previous_value": long}
    (not_eligible,) = invoke(event({"crm.property_changed": "101", "id": "f", "properties": same}), "crm")["decisions"]
    assert "are both 'xxx" in not_eligible["because"]
    logged = capsys.readouterr().out
    assert "x" * 201 not in logged
    assert "secret" not in logged


DEEP: Any = {}
for _ in range(400):
    DEEP = {"d": DEEP}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"portalId": True}, "WRONG_TYPE"),
        ({"properties": {"x": float("nan")}}, "BAD_NUMBER"),
        ({"properties": {"x": "\ud800"}}, "BAD_CHARACTERS"),
        ({"unknown": DEEP}, "DETAIL_TOO_DEEP"),
        ({"unknown": "\u4e2d" * 80_000}, "DETAIL_TOO_LARGE"),
        ({"properties": {f"p{n}": n for n in range(10_000)}}, "TOO_MANY_PROPERTIES"),
    ],
)
def test_invalid_event_is_stored_completely_with_its_reason(stack: Stack, change: Any, reason: str) -> None:
    envelope = event({"forms.submitted": "101", "id": "e-1"})
    envelope["detail"].update(change)

    answer = invoke(envelope)

    assert answer["unprocessed"]["reason"] == reason
    (kept,) = stack.unprocessed()
    assert (kept["reason"], kept["message"]) == (reason, answer["unprocessed"]["message"])
    assert json.dumps(kept["event"]) == json.dumps(envelope)
    assert stack.enrollments() == []


def test_all_faults_of_an_event_are_stored_logged_and_returned(stack: Stack, capsys: Any) -> None:
    envelope = event({"forms.submitted": "101", "id": "e-1"})
    envelope["detail"].update({"portalId": True, "objectType": "contakt"})

    faults = invoke(envelope)["unprocessed"]["faults"]

    assert [(fault["reason"], fault["field"]) for fault in faults] == [
        ("UNKNOWN_OBJECT_TYPE", "detail.objectType"),
        ("WRONG_TYPE", "detail.portalId"),
    ]
    (kept,) = stack.unprocessed()
    assert (kept["reason"], kept["faults"]) == ("UNKNOWN_OBJECT_TYPE", faults)
    assert faults[1]["message"] in capsys.readouterr().out


def test_unknown_names_are_logged_and_counted(stack: Stack, capsys: Any) -> None:
    envelope = event({"forms.submitted": "101", "id": "e-1", "properties": {"hs_formid": "f-1"}})
    invoke(envelope)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (logged,) = [line for line in lines if line.get("message") == "unknown names"]
    assert (logged["eventId"], logged["names"]) == ("e-1", ["detail.properties.hs_formid"])
    assert [line["EventsWithUnknownNames"] for line in lines if "EventsWithUnknownNames" in line] == [1]


def test_too_deeply_nested_event_is_stored_as_text(stack: Stack) -> None:
    limit, depth = sys.getrecursionlimit(), 20_000
    envelope, deep = event({"forms.submitted": "101", "id": "e-1", "properties": {"a": ["é", 1, None]}}), list[Any]()
    for _ in range(depth):
        deep = [deep]
    text = json.dumps({**envelope, "detail": {**envelope["detail"], "unknown": "HERE"}}, ensure_ascii=False)
    envelope["detail"]["unknown"] = deep
    assert invoke(envelope)["unprocessed"]["reason"] == "DETAIL_TOO_DEEP"
    (kept,) = stack.unprocessed()
    assert kept["event"] == text.replace('"HERE"', "[" * (depth + 1) + "]" * (depth + 1))
    # It is of the whole process, and other events are decided meanwhile.
    assert sys.getrecursionlimit() == limit


def test_value_that_is_not_an_event_is_stored(stack: Stack) -> None:
    for nonsense in (None, [], "x", 3, {}, {"detail": {}}):
        assert invoke(nonsense)["unprocessed"]["reason"] == "INVALID_ENVELOPE"
    assert len(stack.unprocessed()) == 6


def test_response_for_an_unencodable_id_is_valid_json(stack: Stack) -> None:
    """Lambda's runtime writes responses as UTF-8, and fails the invocation if it cannot."""
    answer = invoke({**event({"forms.submitted": "101", "id": "e-1"}), "id": "\ud800"})
    assert answer["unprocessed"]["reason"] == "INVALID_ENVELOPE"
    json.dumps(answer, ensure_ascii=False).encode()
    (kept,) = stack.unprocessed()
    assert kept["event"]["id"] == "\ud800"


def test_ids_that_the_queue_does_not_accept_are_still_published(stack: Stack) -> None:
    put(stack, id="flow/ü", portal="p/ö")
    answer = invoke(event({"forms.submitted": "ä b" * 42, "id": "e/%", "portal": "p/ö", "record": {}}))
    assert [decision["code"] for decision in answer["decisions"]] == ["ENROLLED"]
    (message,) = stack.enrollments()
    assert json.loads(message["Body"])["objectId"] == "ä b" * 42
    assert len(message["Attributes"]["MessageGroupId"]) == 64


def test_properties_too_large_for_a_message_are_left_out(stack: Stack) -> None:
    put(stack, id=1)
    # An event of characters that SQS refuses is half as large as its message, in which they are escaped.
    properties = {f"p{n:02d}": "\uffff" * 2_700 for n in range(22)} | {"hs_form_id": "f-1"}
    invoke(event({"forms.submitted": "101", "id": "e", "record": {}, "properties": properties}))
    (message,) = stack.enrollments()
    trigger = json.loads(message["Body"])["trigger"]
    assert trigger["propertiesTruncated"] is True
    assert trigger["properties"]["hs_form_id"] == "f-1"
    assert len(message["Body"]) <= 256_000


def test_every_category_enrolls_through_its_own_function(stack: Stack) -> None:
    stack.stores.records.save(Record(RecordKey("p1", "0-1", "101"), 0))
    for number, (name, category) in enumerate(CATEGORIES.items()):
        event_type = category.event_types[-1]
        fields = {"lists": [["IN_LIST", "42"]]} if name == "lists" else {"event": event_type.name}
        document = flow({"id": number, **fields})
        store(stack.stores.authoring, "p1", document, 0)
        properties = {"hs_list_id": "42", "hs_membership_change": "ADDED", "hs_name": "x", "hs_value": "y"}
        properties |= {"hs_association_change": "ADDED", "hs_to_object_type_id": "0-2", "hs_to_object_id": "201"}
        answer = invoke(event({event_type.name: "101", "id": f"e{number}", "properties": properties}), name)
        assert [decision["code"] for decision in answer["decisions"]] == ["ENROLLED"], name


def test_large_flow_with_many_types_enrolls_and_respects_its_goal(stack: Stack) -> None:
    document = large_flow(186_000, event_types()[:32])
    store(stack.stores.authoring, "p1", document, 0)
    codes = []
    for number, (event_type, properties) in enumerate(
        [
            ("forms.submitted", {"city": "Oslo"}),
            ("website.page_visited", {"city": "Rome"}),
            ("forms.submitted", {"city": "Oslo", "plan": "none"}),
        ]
    ):
        fields = {event_type: str(number), "id": f"e{number}", "record": properties}
        answer = invoke(event(fields), event_type.partition(".")[0])
        codes += [decision["code"] for decision in answer["decisions"]]
    assert codes == ["ENROLLED", "FILTERED_OUT", "GOAL_MET"]


@pytest.mark.parametrize("unit", ["x", "ж", "𝄞", "\uffff", "\ud800", "\x00"])
@pytest.mark.parametrize("count", [50_000, 200_000, 900_000])
def test_large_event_is_stored_at_the_first_attempt(stack: Stack, unit: str, count: int) -> None:
    """It is refused, and must not fail the invocation: that would be repeated with the same result."""
    envelope = event({"forms.submitted": "101", "id": "e-1", "properties": {"message": unit * count}})

    answer = invoke(envelope)

    reasons = {answer["unprocessed"]["reason"]}
    assert reasons <= {"WRONG_LENGTH", "BAD_CHARACTERS", "DETAIL_TOO_LARGE"}
    (kept,) = stack.unprocessed()
    assert kept["reason"] == answer["unprocessed"]["reason"]
    if "truncated" in kept:
        assert kept["truncated"]["archive"] == {"bus": "bus", "eventId": envelope["id"], "time": envelope["time"]}
    else:
        assert kept["event"] == envelope


def test_message_size_that_no_queue_accepts_is_rejected(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in ("1024", "1048577", "1 MiB"):
        monkeypatch.setenv("UNPROCESSED_MESSAGE_BYTES", wrong)
        with pytest.raises(MissingConfiguration, match=r"UNPROCESSED_MESSAGE_BYTES: .* 262144 to 1048576"):
            invoke(event({"forms.submitted": "101", "id": "e"}))


def test_error_lists_all_missing_configuration(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLOWS_TABLE")
    monkeypatch.setenv("EVENT_BUS_NAME", "")
    with pytest.raises(MissingConfiguration, match=r"FLOWS_TABLE, EVENT_BUS_NAME"):
        invoke(event({"forms.submitted": "101", "id": "e"}))
    with pytest.raises(MissingConfiguration, match=", ".join(NAMES)):
        from_environment({})


def test_a_function_that_sam_runs_locally_never_calls_the_real_aws(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SAM gives it the developer's own credentials; without an endpoint they would be used."""
    monkeypatch.setenv("AWS_SAM_LOCAL", "true")
    for endpoint in ("", None):
        monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
        if endpoint is not None:
            monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        with pytest.raises(MissingConfiguration, match=r"AWS_ENDPOINT_URL: expected .* --env-vars"):
            invoke(event({"forms.submitted": "101", "id": "e"}))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://host.docker.internal:4566")
    assert from_environment().flows_table == stack.config.flows_table


def test_an_empty_endpoint_means_aws_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """The template declares AWS_ENDPOINT_URL empty; the AWS SDK must read that as not set."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "")
    session = clients.open_session()
    place = {"region_name": "eu-west-1", "aws_access_key_id": "x", "aws_secret_access_key": "x"}
    made = (clients.dynamodb(session, **place), clients.sqs(session, **place), clients.events(session, **place))
    assert [client.meta.endpoint_url for client in made] == [
        f"https://{service}.eu-west-1.amazonaws.com" for service in ("dynamodb", "sqs", "events")
    ]


def test_a_failure_of_aws_fails_the_invocation(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    put(stack, id=1)
    stack.sqs.delete_queue(QueueUrl=stack.config.enrollments_queue_url)
    envelope = event({"forms.submitted": "101", "id": "e", "record": {}})
    with pytest.raises(Exception, match="NonExistentQueue"):
        invoke(envelope)
    (stored,) = stack.stores.enrollments.of_record(RecordKey("p1", "0-1", "101"), 10)
    assert not stored.is_published


def test_redeliveries_function_decides_a_deferred_event(
    stack: Stack, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    at = bootstrap.now()
    monkeypatch.setattr(bootstrap, "now", lambda: at)
    put(stack, id=1, criteria=[["city", "IS_EQUAL_TO", "Cork"]], tolerance=0.01)
    put(stack, id=2, re_enroll=True, limit={"count": 1, "period": "SECOND"})
    sent = {"at": at, "sent": at}
    envelope = event({"forms.submitted": "101", "id": "e", "record": {"city": "Bray"}, **sent})
    assert [decision["code"] for decision in invoke(envelope)["decisions"]] == ["WAITING", "ENROLLED"]
    again = invoke(event({"forms.submitted": "101", "id": "e2", **sent}))["decisions"]
    assert [decision["code"] for decision in again] == ["WAITING", "ENROLLED"]
    assert again[1]["dueAt"] > iso(at)
    assert len(stack.enrollments()) == 1

    queue, record = stack.config.redeliveries_queue_url, RecordKey("p1", "0-1", "101")
    deadline = time.monotonic() + 30

    def confirmed() -> list[bool]:
        return [enrollment.is_confirmed for enrollment in stack.stores.enrollments.of_record(record, 9)]

    assert sorted(confirmed()) == [False, True]
    at += 10_000
    while (
        confirmed() != [True, True] or any(deferred_event.flows for deferred_event in stack.waiting())
    ) and time.monotonic() < deadline:
        for message in stack.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
            batch = {"Records": [{"messageId": message["MessageId"], "body": message["Body"]}]}
            assert function("redeliveries").handler(batch, CONTEXT) == {"batchItemFailures": []}
            stack.sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    assert confirmed() == [True, True]
    assert [dict(deferred_event.flows) for deferred_event in stack.waiting()] == [{}, {}]
    logged = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    final = [
        (decision["eventId"], decision["code"])
        for decision in logged
        if decision.get("flowId") == "1" and decision["code"] != "WAITING"
    ]
    assert sorted(final) == [("e", "FILTERED_OUT"), ("e2", "FILTERED_OUT")]


def test_only_failed_messages_of_a_redeliveries_batch_are_redelivered(stack: Stack) -> None:
    put(stack, id=1, criteria=[["city", "IS_EQUAL_TO", "Cork"]], tolerance=5)
    invoke(event({"forms.submitted": "101", "id": "e", "record": {}, "at": 0, "sent": 0}))
    records = [{"messageId": "bad", "body": "{}"}, {"messageId": "worse", "body": "no JSON"}]
    answer = function("redeliveries").handler({"Records": records}, CONTEXT)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "bad"}, {"itemIdentifier": "worse"}]}


def test_budget_of_calls_per_event(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """No candidate: at most one read. Enrolled: at most three reads, two writes a flow, and one send each. The first
    event of a portal reads its settings too, which the function keeps for a minute."""
    put(stack, id=1, where=[["hs_form_id", "IS_ANY_OF", ["f-1"]]])
    put(stack, id=90)
    put(stack, id=91, event="email.opened")
    for off in ("90", "91"):  # flows that have been off for longer than clocks may differ cost nothing
        switch(stack.stores.authoring, "p1", off, bootstrap.now() - CLOCK_SKEW_MS - 1_000, on=False)
    for number in range(2, 7):
        put(stack, id=number, event="calls.ended")
    stack.stores.records.save(Record(RecordKey("p1", "0-1", "101"), 0))
    # Sent after the flows were written, as nearly every event is.
    time.sleep(0.01)
    later = {"sent": iso(bootstrap.now())}

    def submitted(event_id: str, form: str) -> dict[str, Any]:
        return event({"forms.submitted": "101", "id": event_id, "properties": {"hs_form_id": form}, **later})

    def calls_of(envelope: dict[str, Any], category: str = "forms") -> dict[str, int]:
        with counted(monkeypatch) as calls:
            invoke(envelope, category)
        return dict(calls)

    for warm in (False, True):
        assert calls_of(event({"email.opened": "101", "id": f"n{warm}", **later}), "email") == (
            {"GetItem": 1} if warm else {"Query": 1, "GetItem": 1}
        )
    assert calls_of(submitted("cold", "f-2")) == {"Query": 1, "GetItem": 1}
    assert calls_of(submitted("m", "f-2")) == {"GetItem": 2}
    enrolled = {"GetItem": 2, "BatchGetItem": 1, "PutItem": 1, "SendMessageBatch": 1, "PutEvents": 1, "UpdateItem": 1}
    assert calls_of(submitted("e", "f-1")) == enrolled
    assert calls_of(submitted("e", "f-1")) == {"GetItem": 2, "BatchGetItem": 1}
    several = calls_of(event({"calls.ended": "101", "id": "c", **later}), "calls")
    assert several == {
        "Query": 1,
        "GetItem": 1,
        "BatchGetItem": 1,
        "PutItem": 5,
        "SendMessageBatch": 1,
        "PutEvents": 1,
        "UpdateItem": 5,
    }


def test_event_from_a_source_that_the_portal_does_not_allow_is_rejected(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The event changes no record and enrolls no record. It is stored whole with its reason, like any invalid event."""
    put(stack, id=1, event="crm.property_changed", re_enroll=True)
    key = RecordKey("p1", "0-1", "101")
    stack.stores.records.save(Record(key, 0))
    DynamoPortals(open_tables(stack.config)).save("p1", PortalSettings(allowed_sources=("acme.crm", "acme.website")))

    def change(event_id: str, source: str, portal: str = "p1") -> dict[str, Any]:
        properties = {"hs_name": "city", "hs_value": event_id}
        return event(
            {"crm.property_changed": "101", "id": event_id, "properties": properties, "source": source}
            | {"portal": portal}
        )

    forged = change("forged", "evil")
    with counted(monkeypatch) as calls:
        answer = invoke(forged, "crm")
    assert answer["unprocessed"]["reason"] == "SOURCE_NOT_ALLOWED"
    assert answer["unprocessed"]["field"] == "source"
    # The portal's settings, and nothing of the record.
    assert calls == {"GetItem": 1, "SendMessage": 1}
    (message,) = stack.unprocessed()
    assert message["event"] == forged
    assert stack.stores.records.get(key).properties == {}
    assert "SOURCE_NOT_ALLOWED" in capsys.readouterr().out

    assert [decision["code"] for decision in invoke(change("allowed", "acme.crm"), "crm")["decisions"]] == ["ENROLLED"]
    assert [decision["code"] for decision in invoke(change("own", "enroll"), "crm")["decisions"]] == ["ENROLLED"]
    # Another portal's list is its own.
    assert invoke(change("other", "evil", portal="p2"), "crm")["decisions"] == []


def test_portal_settings_are_read_once_a_minute(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """By all events of a function, in batches or not; the criteria use the same ones. The system's own events need
    none."""
    clock = [1_000.0]
    monkeypatch.setattr(portals_adapter, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    put(stack, id=1, criteria=[["city", "IS_EQUAL_TO", "Cork"]], re_enroll=True)
    read: list[str] = []
    make = botocore.client.BaseClient._make_api_call

    def noted(client: Any, name: str, arguments: Any) -> Any:
        if name == "GetItem" and arguments["Key"]["sk"] == {"S": "settings"}:
            read.append(arguments["Key"]["pk"]["S"])
        return make(client, name, arguments)

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", noted)

    def submit(number: int, **fields: Any) -> None:
        invoke(event({"forms.submitted": "101", "id": f"e{number}", "record": {"city": "Cork"}, **fields}))

    for number in range(5):
        submit(number)
    assert read == ["portals/p1"]
    bodies = [json.dumps(event({"forms.submitted": str(n), "id": f"b{n}", "record": {}})) for n in range(5)]
    function("forms").handler({"Records": [{"messageId": body, "body": body} for body in bodies]}, CONTEXT)
    assert read == ["portals/p1"]
    submit(5, portal="p2")
    assert read == ["portals/p1", "portals/p2"]
    clock[0] += 61
    submit(6)
    assert read == ["portals/p1", "portals/p2", "portals/p1"]
    read.clear()
    invoke(event({"workflows.enrolled": "101", "id": "own", "portal": "p3", "record": {}}), "workflows")
    assert read == []


def test_budget_of_calls_of_a_deferred_event(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three writes, for however many flows: the event, the record and the due item. A change that decides none of
    them: four reads. The end: five reads and a write. (One GetItem of the first event is the portal's settings, which
    are remembered.)"""
    for number in range(3):
        put(stack, id=number, criteria=[["city", "IS_EQUAL_TO", "Cork"]], tolerance=5)
    stack.stores.records.save(Record(RecordKey("p1", "0-1", "101"), 0))
    now = bootstrap.now() + 10
    monkeypatch.setattr(bootstrap, "now", lambda: now)
    at = {"at": now, "sent": now}

    def calls_of(category: str, envelope: dict[str, Any]) -> dict[str, int]:
        with counted(monkeypatch) as calls:
            function(category).handler(envelope, CONTEXT)
        return dict(calls)

    waits = {"Query": 1, "GetItem": 2, "BatchGetItem": 1, "PutItem": 3}
    assert calls_of("forms", event({"forms.submitted": "101", "id": "e", **at})) == waits
    changes = {"hs_name": "age", "hs_value": 7}
    change = event({"crm.property_changed": "101", "id": "c", "properties": changes, **at})
    looks = {"Query": 2, "GetItem": 3, "BatchGetItem": 1, "PutItem": 1}
    assert calls_of("crm", change) == looks
    body = write_redelivery(read_event(event({"forms.submitted": "101", "id": "e", **at}), "forms"), "012", now)
    now += 300_000
    ends = {"GetItem": 4, "BatchGetItem": 1, "PutItem": 1}
    assert calls_of("redeliveries", {"Records": [{"messageId": "m", "body": body}]}) == ends


def test_the_history_costs_one_write_and_at_most_one_read(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENT_HISTORY_DAYS", "30")
    bootstrap.application.cache_clear()
    put(stack, id=1, where=[["hs_form_id", "IS_ANY_OF", ["f-1"]]])
    stack.stores.records.save(Record(RecordKey("p1", "0-1", "101"), 0))
    time.sleep(0.01)
    now = bootstrap.now()
    later = {"at": iso(now), "sent": iso(now)}

    def calls_of(category: str, name: str, record: str | None = "101", **fields: Any) -> dict[str, int]:
        with counted(monkeypatch) as calls:
            invoke(event({name: record, "id": "e", **later, **fields}), category)
        return dict(calls)

    for name, category in (("email.opened", "email"), ("forms.submitted", "forms")):
        calls_of(category, name)
    assert calls_of("email", "email.opened") == {"GetItem": 2, "PutItem": 1}
    assert calls_of("email", "email.opened", "102") == {"GetItem": 2}
    assert calls_of("email", "email.opened", None) == {"GetItem": 1}
    assert calls_of("email", "email.opened", at=iso(now - 31 * 86_400_000)) == {"GetItem": 1}
    assert calls_of("forms", "forms.submitted") == {"GetItem": 2, "PutItem": 1}
    enrolled = {"GetItem": 2, "BatchGetItem": 1, "PutItem": 2, "SendMessageBatch": 1, "PutEvents": 1, "UpdateItem": 1}
    assert calls_of("forms", "forms.submitted", id="e2", properties={"hs_form_id": "f-1"}) == enrolled
    created = calls_of("crm", "crm.object_created", "103")
    assert created == {"Query": 1, "GetItem": 1, "PutItem": 2}


def test_tracing_does_not_change_the_response(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in Lambda with active tracing. The daemon's address is on loopback and needs no listener."""
    for name, value in {
        "AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:2000",
        "LAMBDA_TASK_ROOT": "/var/task",
        "_X_AMZN_TRACE_ID": "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1",
        "POWERTOOLS_TRACER_CAPTURE_RESPONSE": "false",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("POWERTOOLS_TRACE_DISABLED", raising=False)
    assert from_environment().is_traced
    put(stack, id=1)
    answer = invoke(event({"forms.submitted": "101", "id": "e", "record": {}}))
    assert [decision["code"] for decision in answer["decisions"]] == ["ENROLLED"]
