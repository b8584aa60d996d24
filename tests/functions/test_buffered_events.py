"""A function that takes a batch of its category's buffer: event by event, as of the bus."""

import itertools
import json
import threading
import time
from typing import Any

import botocore.client
import pytest
from botocore.exceptions import EndpointConnectionError
from moto.core.botocore_stubber import BotocoreStubber as MotoResponder

from enrollment.domain.events.associated_change import AssociatedChange, ChangedParts
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.record import Record
from enrollment.domain.values import iso
from enrollment.entrypoints.bootstrap import application, now
from enrollment.entrypoints.event_handlers import COALESCED_CALL_FAILED
from enrollment.serialization.envelopes import read_event
from enrollment.serialization.redeliveries import write_associated_change, write_redelivery
from tests.support.fakes import switch
from tests.support.functions import (
    CONTEXT,
    Hanging,
    MakeCall,
    Stack,
    batch,
    calls,
    failed,
    function,
    has,
    invoke,
    left,
    published,
    put,
    reach_deadline_when,
    submitted,
)
from tests.support.scenario import event


def test_every_event_of_a_batch_is_decided(stack: Stack) -> None:
    put(stack, id=1, re_enroll=True)
    put(stack, portal="p2", id=2, where=[["hs_form_id", "IS_EQUAL_TO", "never"]])
    events = [submitted(f"{number}", f"e{number}") for number in range(8)]
    assert failed(invoke(batch(*events, submitted("9", "other", portal="p2")))) == []
    assert published(stack) == {(f"{number}", f"e{number}"): 1 for number in range(8)}
    assert stack.unprocessed() == []


def test_redelivered_batch_does_not_enroll_twice(stack: Stack) -> None:
    put(stack, id=1, re_enroll=True)
    invocation = batch(*(submitted(f"{number % 3}", f"e{number}") for number in range(9)))
    for _ in range(3):
        assert failed(invoke(invocation)) == []
    assert published(stack) == {(f"{number % 3}", f"e{number}"): 1 for number in range(9)}


def test_record_enrolls_once_within_a_batch(stack: Stack) -> None:
    put(stack, id=1)
    assert failed(invoke(batch(*(submitted("101", f"e{number}") for number in range(6))))) == []
    assert published(stack) == {("101", "e0"): 1}


def test_events_of_one_record_do_not_conflict_within_a_batch(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each write of the record succeeds at once: it was read after the one before."""
    put(stack, id=1, re_enroll=True)
    changes = [submitted("101", f"e{number}", record={f"p{number}": number}) for number in range(6)]
    written: list[str] = []
    calls(monkeypatch, lambda operation, arguments: operation == "PutItem" and written.append(arguments["TableName"]))
    assert failed(invoke(batch(*changes))) == []
    assert written.count(stack.config.records_table) == len(changes)
    record = stack.stores.records.get(RecordKey("p1", "0-1", "101"))
    assert record is not None
    assert set(record.properties) == {f"p{number}" for number in range(6)}


@pytest.mark.parametrize(
    ("created", "submitted_by"),
    [
        ({"objectType": "0-1"}, {"objectType": "contact"}),
        ({"objectType": "Contact"}, {"objectType": "0-1"}),
        ({"objectType": "contact", "objectId": 7}, {"objectType": "contact", "objectId": "7"}),
        ({"objectType": "0-1", "objectId": 7.0}, {"objectType": "CONTACT", "objectId": 7}),
        ({"objectType": "0-1", "objectId": 0}, {"objectType": "contact", "objectId": "0"}),
    ],
)
def test_events_of_one_record_are_decided_in_order_in_every_spelling_of_its_id(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, created: dict[str, Any], submitted_by: dict[str, Any]
) -> None:
    """The first event creates the record slowly. In a separate thread, the second event would find no record."""
    put(stack, id=1, re_enroll=True)
    make: MakeCall = botocore.client.BaseClient._make_api_call

    def slow(client: Any, operation: str, arguments: Any) -> Any:
        if operation == "PutItem" and arguments["TableName"] == stack.config.records_table:
            time.sleep(0.2)
        return make(client, operation, arguments)

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", slow)
    first, second = submitted("7", "e1"), event({"forms.submitted": "7", "id": "e2"})
    first["detail"].update(created)
    second["detail"].update(submitted_by)
    assert failed(invoke(batch(first, second))) == []
    object_id = str(second["detail"]["objectId"])
    assert published(stack) == {(object_id, "e1"): 1, (object_id, "e2"): 1}


def test_only_failed_events_are_redelivered(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    put(stack, id=1)
    invocation = batch(
        submitted("1", "e1"), {"detail-type": "forms.submitted"}, submitted("2", "e2"), submitted("3", "e3")
    )
    with monkeypatch.context() as patch:
        refused = json.dumps({"S": "p1/0-1/2"})
        calls(patch, lambda operation, arguments: operation == "PutItem" and refused in json.dumps(arguments))
        assert failed(invoke(invocation)) == ["m2"]
    assert published(stack) == {("1", "e1"): 1, ("3", "e3"): 1}
    assert [message["reason"] for message in stack.unprocessed()] == ["INVALID_ENVELOPE"]
    assert failed(invoke(batch(submitted("2", "e2")))) == []
    assert published(stack) == {("2", "e2"): 1}


@pytest.mark.parametrize("body", ["", "{", "[" * 100_000, "null", "[1]", '"text"', '{"detail": ["a"]}'])
def test_invalid_message_is_stored_with_its_reason_and_does_not_block_others(stack: Stack, body: str) -> None:
    put(stack, id=1)
    assert failed(invoke(batch(body, submitted("1", "e1")))) == []
    assert published(stack) == {("1", "e1"): 1}
    (kept,) = stack.unprocessed()
    assert kept["reason"] == "INVALID_ENVELOPE"
    try:
        assert kept["event"] == json.loads(body)
    except (ValueError, RecursionError):
        assert kept["event"] == body


def test_flows_are_read_once_per_batch(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    put(stack, id=1, where=[["hs_form_id", "IS_EQUAL_TO", "never"]])
    invoke(submitted("1", "warm"))
    made = calls(monkeypatch)
    views = [event({"forms.submitted": f"unknown-{number}", "id": f"e{number}"}) for number in range(5)]
    assert failed(invoke(batch(*views))) == []
    # One read of the version of the flows. Records need at most one call for each record, and fewer when calls are
    # coalesced.
    assert made.count("GetItem") == 1
    assert set(made) == {"GetItem", "BatchGetItem"}
    assert made.count("BatchGetItem") <= 5


def test_switching_a_flow_off_takes_effect_at_the_next_batch(stack: Stack) -> None:
    put(stack, id=1)
    assert failed(invoke(batch(submitted("1", "e1")))) == []
    switch(stack.stores.authoring, "p1", "1", 1, on=False)
    assert failed(invoke(batch(submitted("2", "e2"), submitted("3", "e3")))) == []
    assert published(stack) == {("1", "e1"): 1}


def test_replay_is_logged_only_in_the_lines_of_its_events(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    put(stack, id=1)
    unknown = {**submitted("1", "e1"), "replay-name": "enroll-01ARZ3NDEKTSV4RRFFQ69G5FAV"}
    assert failed(invoke(batch(unknown, submitted("2", "e2"), submitted("3", "e3")))) == []
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    replays = {line["message"]: line.get("replay") for line in lines if line.get("message") in ("refused", "decision")}
    assert replays == {"refused": unknown["replay-name"], "decision": None}


def test_failed_coalesced_call_is_logged_and_falls_back_to_individual_calls(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put(stack, id=1)
    with monkeypatch.context() as patch:
        made = calls(patch, fails=lambda name, _: name == "PutEvents" and made.count(name) == 1)
        assert failed(invoke(batch(submitted("1", "e1"), submitted("2", "e2")))) == []
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert "ConnectionError: PutEvents" in [
        line["exception"].splitlines()[-1].rpartition(".")[2]
        for line in lines
        if line.get("message") == COALESCED_CALL_FAILED
    ]
    assert published(stack) == {("1", "e1"): 1, ("2", "e2"): 1}


def test_metrics_count_the_events_of_a_batch(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    put(stack, id=1)
    invoke(batch(submitted("1", "e1"), submitted("2", "e2"), "no event"))
    documents = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (metrics,) = [document for document in documents if "_aws" in document]
    assert (metrics["EventsProcessed"], metrics["Enrolled"], metrics["EventsRefused"]) == (2, 2, 1)


def test_threads_are_reused_between_batches(stack: Stack) -> None:
    for number in range(4):
        invoke(batch(*(submitted(f"{record_id}", f"e{number}-{record_id}") for record_id in range(30))))
    threads = application().executor._threads  # type: ignore[attr-defined]
    assert len(threads) <= 10


@pytest.mark.parametrize(("operation", "noted"), [("SendMessageBatch", "publishedAt"), ("PutEvents", "announcedAt")])
def test_messages_accepted_before_a_failure_are_not_sent_again(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, operation: str, noted: str
) -> None:
    """Fifteen enrollments go in two calls, of which the second fails."""
    for number in range(15):
        put(stack, id=number)
    with monkeypatch.context() as patch:
        made = calls(patch, fails=lambda name, _: name == operation and made.count(operation) > 1)
        assert failed(invoke(batch(submitted("1", "e1")))) == ["m0"]
    dynamodb = stack.stores.enrollments._table._client
    items = dynamodb.scan(TableName=stack.config.enrollments_table)["Items"]
    assert (len(items), sum(noted in item for item in items)) == (15, 10)

    sent: list[Any] = []
    make: MakeCall = botocore.client.BaseClient._make_api_call

    def seen(client: Any, name: str, arguments: Any) -> Any:
        sent.extend(arguments["Entries"] if name == operation else [])
        return make(client, name, arguments)

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", seen)
    assert failed(invoke(batch(submitted("1", "e1")))) == []
    assert len(sent) == 5


def test_only_events_not_processed_before_the_deadline_are_redelivered(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put(stack, id=1)
    hanging = Hanging(monkeypatch, has("PutItem p1/0-1/slow"))
    events = batch(submitted("slow", "s1"), submitted("1", "e1"), submitted("slow", "s2"))
    assert failed(function("forms").handler(events, left(4_000))) == ["m0", "m2"]
    assert published(stack) == {("1", "e1"): 1}
    hanging.thaw()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"failed"' in line]
    assert {(line["messageId"], line["explanation"]) for line in lines} == {
        ("m0", "batch deadline reached"),
        ("m2", "batch deadline reached"),
    }
    assert hanging.writes == []
    assert published(stack) == {}


@pytest.mark.verify
def test_a_thread_of_a_batch_that_timed_out_writes_nothing_afterwards(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever of its calls hangs: the record, the history, a claim, a message, an announcement, a confirmation, a
    rate limit, a waiting event, and the due item or the message that schedules it."""
    monkeypatch.setenv("EVENT_HISTORY_DAYS", "30")

    def prepared(portal: str) -> dict[str, Any]:
        application.cache_clear()
        put(stack, portal, id=1)
        put(stack, portal, id=2, re_enroll=True, limit={"count": 1, "period": "DAY"})
        put(stack, portal, id=3, criteria=[["city", "IS_EQUAL_TO", "Cork"]], tolerance=5)
        put(stack, portal, id=4, criteria=[["city", "IS_EQUAL_TO", "Cork"]], tolerance=1)
        at = iso(now())
        return batch(submitted("101", "e1", portal=portal, record={"n": 1}, at=at, sent=at))

    with monkeypatch.context() as patch:
        made = calls(patch)
        invocation = prepared("undisturbed")
        before = len(made)
        assert failed(invoke(invocation)) == []
        made = made[before:]
    assert {"PutItem", "BatchExecuteStatement", "SendMessage", "SendMessageBatch", "PutEvents", "UpdateItem"} <= set(
        made
    )
    for number, operation in enumerate(made):
        invocation = prepared(f"p{number}")
        with monkeypatch.context() as patch:
            count = itertools.count()
            hanging = Hanging(patch, lambda *_, at=number, count=count: next(count) == at)
            assert failed(function("forms").handler(invocation, left(2_500))) == ["m0"], operation
            hanging.thaw()
            assert hanging.writes == [], operation


def test_client_does_not_retry_a_call_after_the_deadline(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its answer is lost while the sandbox is frozen, and botocore would repeat it."""
    put(stack, id=1)
    goes_on, hung, sent = threading.Event(), threading.Event(), list[str]()
    answer = MotoResponder.__call__

    def lost(stubber: Any, event_name: str, request: Any, **rest: Any) -> Any:
        if event_name.endswith("PutItem") and b"enrollmentId" in request.body:
            sent.append(event_name)
            hung.set()
            assert goes_on.wait(120)
            raise EndpointConnectionError(endpoint_url="dynamodb")
        return answer(stubber, event_name, request, **rest)

    monkeypatch.setattr(MotoResponder, "__call__", lost)
    reach_deadline_when(monkeypatch, hung)
    assert failed(function("forms").handler(batch(submitted("1", "e1")), left(2_400))) == ["m0"]
    goes_on.set()
    application().executor.shutdown()
    assert len(sent) == 1


def test_deadline_of_a_batch_does_not_affect_the_next(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    put(stack, id=1)
    hanging = Hanging(monkeypatch, has("PutItem p1/0-1/slow"))
    assert failed(function("forms").handler(batch(submitted("slow", "s1")), left(2_400))) == ["m0"]
    assert failed(invoke(batch(submitted("slow", "s1"), submitted("1", "e1")))) == []
    assert published(stack) == {("slow", "s1"): 1, ("1", "e1"): 1}
    hanging.thaw()
    assert hanging.writes == []
    assert published(stack) == {}


def test_redeliveries_respond_before_the_timeout(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An invocation that was killed after its work would have all of its messages delivered and done again."""
    put(stack, id=1)
    envelopes = [submitted(record, f"e-{record}") for record in ("slow", "fast")]
    with monkeypatch.context() as patch:
        calls(patch, lambda operation, _: operation == "SendMessageBatch")
        for envelope in envelopes:
            with pytest.raises(ConnectionError):
                invoke(envelope)
    bodies = [write_redelivery(read_event(envelope, "forms"), ["1"], now()) for envelope in envelopes]
    hanging = Hanging(monkeypatch, has("SendMessageBatch p1/0-1/slow"))
    invocation = batch(bodies[0], bodies[1], "no JSON", bodies[0])
    assert failed(function("redeliveries").handler(invocation, left(4_000))) == ["m0", "m2", "m3"]
    assert published(stack) == {("fast", "e-fast"): 1}
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {
        (line["messageId"], line["eventId"]) for line in lines if line.get("explanation") == "batch deadline reached"
    } == {
        ("m0", "e-slow"),
        ("m3", "e-slow"),
    }
    (metrics,) = [line for line in lines if line.get("EventsRedelivered")]
    assert (metrics["EventsRedelivered"], metrics["EventsFailed"]) == (1, 3)
    hanging.thaw()
    assert hanging.writes == []
    application.cache_clear()
    assert failed(function("redeliveries").handler(batch(bodies[0]), CONTEXT)) == []
    assert published(stack) == {("slow", "e-slow"): 1}


def test_messages_about_associated_records_of_one_company_are_independent(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(stack, id=1, filters=[], no_company=[["name", "IS_EQUAL_TO", "Acme"]])
    for key in (RecordKey("p1", "0-2", "7"), RecordKey("p1", "0-1", "slow"), RecordKey("p1", "0-1", "fast")):
        stack.stores.records.save(Record(key, 0))
    fields = {"crm.object_created": "7", "object": "company", "id": "c", "record": {}}
    created = read_event(event({**fields, "at": iso(now()), "sent": iso(now())}), "crm").evaluated(now())
    changes = [AssociatedChange(created, ChangedParts(), "0-1", (object_id,)) for object_id in ("slow", "fast")]
    hanging = Hanging(monkeypatch, has("GetItem p1/0-1/slow"))
    messages = batch(*map(write_associated_change, changes))

    assert failed(function("redeliveries").handler(messages, left(4_000))) == ["m0"]

    hanging.thaw()
