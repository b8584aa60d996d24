"""`enroll unprocessed`: every message is read, shown without being taken, and redriven as the same event."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import botocore.client
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from msgspec.structs import replace
from typer.testing import CliRunner

from enroll.commands import send as sending
from enroll.commands import unprocessed as commands
from enroll.dead_letters import queue as dead_letter_queue
from enroll.dead_letters.message import UnprocessedEvent, read_unprocessed
from enroll.dead_letters.queue import NotDeleted, QueueScan
from enroll.main import app
from enroll.stack import Stack
from enrollment.domain.events.associated_change import AssociatedChange, ChangedParts
from enrollment.domain.events.backfill import backfill_event
from enrollment.domain.events.event import Event, InvalidEvent
from enrollment.domain.events.manual import manual_event
from enrollment.domain.identifiers import RecordKey
from enrollment.serialization.envelopes import read_event, read_routed_event, replay_name
from enrollment.serialization.redeliveries import write_associated_change, write_redelivery
from enrollment.serialization.unprocessed import write_unprocessed
from tests.support.aws import REGION
from tests.support.command_line import answer, run
from tests.support.portal import example_portal
from tests.support.scenario import event
from tests.support.serving import served


def submitted(event_id: str = "e1", record: str = "103", **fields: Any) -> dict[str, Any]:
    properties = {"hs_form_id": "f-1"}
    return event({"forms.submitted": record, "id": event_id, "at": "2026-11-24T09:00:00.000Z"} | fields) | {
        "detail": {
            **event({"forms.submitted": record, "id": event_id, "at": "2026-11-24T09:00:00.000Z"} | fields)["detail"],
            "properties": properties,
        }
    }


def refused(envelope: Any, reason: str = "WRONG_TYPE") -> str:
    return json.dumps({"reason": reason, "message": "detail.x: found 7", "field": "detail.x", "event": envelope})


def failed(envelope: Any) -> str:
    """As Lambda writes it for an on-failure destination."""
    return json.dumps(
        {
            "version": "1.0",
            "timestamp": "2026-11-23T10:03:05.123Z",
            "requestContext": {
                "requestId": "3cf0a3f1-8b1f-4f3a-9a86-3d6b0c1b6c0e",
                "functionArn": "arn:aws:lambda:eu-west-1:123456789012:function:enroll-FormsFunction-1A2B:$LATEST",
                "condition": "RetriesExhausted",
                "approximateInvokeCount": 3,
            },
            "requestPayload": envelope,
            "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
            "responsePayload": {
                "errorMessage": "event e1: the queue or the bus did not accept 1 of 1 enrollments (01K)",
                "errorType": "NotDelivered",
                "requestId": "3cf0a3f1-8b1f-4f3a-9a86-3d6b0c1b6c0e",
                "stackTrace": [],
            },
        }
    )


UNROUTED = refused({**submitted(), "detail-type": "weather.changed"}, "UNKNOWN_CATEGORY")
DEAD_LETTER = {
    "ERROR_CODE": "NO_PERMISSIONS",
    "ERROR_MESSAGE": "not allowed to invoke",
    "RULE_ARN": "arn:aws:events:eu-west-1:123456789012:rule/enroll-events/enroll-forms",
    "TARGET_ARN": "arn:aws:lambda:eu-west-1:123456789012:function:enroll-FormsFunction-1A2B",
}
REDELIVERY = write_redelivery(read_event(submitted(), "forms"), ["2", "1"], 0)
ASSOCIATED = write_associated_change(AssociatedChange(read_event(submitted(), "forms"), ChangedParts(), "0-2"))


@pytest.mark.parametrize(
    ("body", "attributes", "reason", "explanation"),
    [
        (refused(submitted()), {}, "WRONG_TYPE", "found 7"),
        (UNROUTED, {}, "UNKNOWN_CATEGORY", "found 7"),
        (failed(submitted()), {}, "RetriesExhausted", "NotDelivered: event e1"),
        (json.dumps(submitted()), DEAD_LETTER, "NO_PERMISSIONS", "enroll-forms"),
        (json.dumps(submitted()), {"RULE_ARN": "arn"}, "NOT_DELIVERED", "could not deliver"),
        (json.dumps(submitted()), {}, "BATCH_FAILED", "buffer"),
        (REDELIVERY, {}, "REDELIVERY_FAILED", "flows 1, 2"),
        (ASSOCIATED, {}, "REDELIVERY_FAILED", "associated records of type 0-2"),
    ],
)
def test_each_message_shape_is_recognized(
    body: str, attributes: Mapping[str, str], reason: str, explanation: str
) -> None:
    found = read_unprocessed(body, attributes)
    assert found.reason == reason
    assert explanation in found.message
    assert (found.event_id, found.portal_id) == ("e1", "p1")
    assert found.record in ("contact/103", "0-1/103")
    assert found.occurred_at == 1_795_510_800_000


@pytest.mark.parametrize("body", ["no JSON", "[" * 100_000, "[1]", '{"what": "ever"}', "null"])
def test_unknown_message_is_kept_unchanged(body: str) -> None:
    found = read_unprocessed(body, {})
    assert found.reason == "UNKNOWN_MESSAGE"
    assert (found.complete_event, found.entry("bus")) == (None, None)
    assert found.event == body or json.dumps(found.event) == body


def delivered(entry: Mapping[str, Any]) -> dict[str, Any]:
    """As the bus makes an envelope of it."""
    return {
        "id": "another",
        "source": entry["Source"],
        "detail-type": entry["DetailType"],
        # The bus' own time when none is given.
        "time": int(entry.get("Time", 4_000_000_000) * 1000),
        "detail": json.loads(entry["Detail"]),
    }


@pytest.mark.parametrize(
    "without", [(), ("id",), ("occurredAt",), ("id", "occurredAt")], ids=lambda keys: "+".join(keys) or "none"
)
@pytest.mark.parametrize("shape", [refused, failed, json.dumps])
def test_the_event_that_is_redriven_is_the_same(shape: Any, without: tuple[str, ...]) -> None:
    """By its id and its times, whether its source gave them or the bus did."""
    envelope = submitted(sent="2026-11-24T09:30:00.000Z", record="ü\U0001f701/103")
    for key in without:
        del envelope["detail"][key]
    entry = read_unprocessed(shape(envelope), {}).entry("bus")
    assert entry is not None

    before, after = (read_event(raw_event, "forms") for raw_event in (envelope, delivered(entry)))

    assert after == before
    assert entry["EventBusName"] == "bus"


def cut(event_id: str = "e-cut") -> str:
    """A message of an event that was too large for it."""
    envelope = {**submitted(event_id), "id": "bus-cut"}
    envelope["detail"]["properties"] = {"message": "ж" * 400_000}
    invalid = InvalidEvent("DETAIL_TOO_LARGE", "detail", "found 800,000 bytes")
    return write_unprocessed(envelope, invalid, bus="enroll-events", max_bytes=256 * 1024)


def test_truncated_event_has_its_identity_and_cannot_be_redriven() -> None:
    found = read_unprocessed(cut(), {})
    assert (found.event_id, found.portal_id, found.record) == ("e-cut", "p1", "contact/103")
    assert (found.event_type, found.occurred_at) == ("forms.submitted", 1_795_510_800_000)
    assert (found.complete_event, found.entry("bus")) == (None, None)
    obstacle = str(found.obstacle)
    for part in ("bus enroll-events", "event bus-cut", submitted()["time"], "docs/unprocessed.md"):
        assert part in obstacle


def test_all_faults_of_an_event_are_in_its_message() -> None:
    first, second = InvalidEvent("BAD_TIME", "time", "wrong"), InvalidEvent("WRONG_TYPE", "detail.id", "wrong too")
    first.further = (second,)
    body = write_unprocessed({"id": "e"}, first, bus="bus", max_bytes=100_000)
    found = read_unprocessed(body, {})
    assert (found.reason, found.field, found.message) == ("BAD_TIME", "time", "time: wrong; detail.id: wrong too")


def test_a_failed_redelivery_is_redriven_as_the_same_event() -> None:
    entry = read_unprocessed(REDELIVERY, {}).entry("bus")
    assert entry is not None
    assert read_event(delivered(entry), "forms") == read_event(submitted(), "forms")


def test_an_event_of_a_replay_stays_one() -> None:
    replayed = {**submitted(), "replay-name": "enroll-01K"}
    entry = read_unprocessed(failed(replayed), {}).entry("bus")
    assert entry is not None
    again = delivered(entry)
    assert replay_name(again) == replay_name(replayed) == "enroll-01K"
    # The archive has it now as it is; who replays that, means another replay.
    assert replay_name({**again, "replay-name": "enroll-01L"}) == "enroll-01L"
    assert replay_name({**again, "replay-name": "by-hand"}) is None
    assert replay_name(submitted()) is None


@pytest.mark.parametrize(
    "broken",
    [None, "text", [], {}, {"detail": "x"}, {**submitted(), "source": 3}, {**submitted(), "detail-type": ""}],
)
def test_message_without_an_event_is_not_redriven(broken: Any) -> None:
    assert UnprocessedEvent("R", "m", broken).entry("bus") is None


# The commands ---------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    monkeypatch.setattr(dead_letter_queue, "WAIT_SECONDS", 0)


REDRIVE_ROLE = "arn:aws:iam::123456789012:role/enroll-RedriveRole-1A2B"


class Queue:
    def __init__(self, sqs: Any, url: str) -> None:
        self.sqs = sqs
        self.url = url

    def send(self, *bodies: str) -> None:
        for body in bodies:
            self.sqs.send_message(QueueUrl=self.url, MessageBody=body)

    @property
    def visible(self) -> int:
        names = ["ApproximateNumberOfMessages"]
        found = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)
        return int(found["Attributes"][names[0]])


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue]:
    """Of an opened stack."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        clients = {name: boto3.client(name, region_name=REGION) for name in ("sqs", "events", "sts")}
        clients["events"].create_event_bus(Name="bus")
        url = clients["sqs"].create_queue(QueueName="unprocessed")["QueueUrl"]
        redeliveries = clients["sqs"].create_queue(QueueName="redeliveries")["QueueUrl"]
        outputs = {"EventBusName": "bus", "UnprocessedEventsQueueUrl": url, "RedriveRoleArn": REDRIVE_ROLE}
        outputs["RedeliveriesQueueUrl"] = redeliveries
        monkeypatch.setattr(commands, "open_stack", lambda _: Stack("enroll", outputs, clients.__getitem__))
        yield Queue(clients["sqs"], url)


@pytest.fixture
def bus(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> list[Event]:
    """What is put on the bus, as it is understood there."""
    found: list[Event] = []
    make = botocore.client.BaseClient._make_api_call

    def noted(client: Any, name: str, arguments: Any) -> Any:
        if name == "PutEvents":
            found.extend(read_routed_event(delivered(entry)) for entry in arguments["Entries"])
        return make(client, name, arguments)

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", noted)
    return found


def fill(queue: Queue, count: int = 25) -> None:
    queue.send(*(failed(submitted(f"e{number}", record=str(number))) for number in range(count)))
    queue.send(refused(submitted("bad", portal="p2")), "no JSON")


def test_listing_shows_each_once_and_takes_none(queue: Queue) -> None:
    fill(queue)
    for _ in range(2):
        found = answer("unprocessed", "list")
        assert sorted(str(event["eventId"]) for event in found) == sorted(
            [*(f"e{number}" for number in range(25)), "bad", "None"]
        )
        assert queue.visible == 27
    result = run("unprocessed", "list")
    shown = result.stdout
    assert "27 events: RetriesExhausted 25" in result.stderr
    assert "The filters skipped 27 events: RetriesExhausted 25" in run("unprocessed", "list", "--reason", "NOPE").stderr
    assert "NotDelivered: event e1" in shown


def test_filters(queue: Queue) -> None:
    fill(queue, 2)
    queue.send(failed(event({"calls.ended": "1", "id": "call", "at": "2026-11-24T09:30:00.000Z"})))
    for options, ids in (
        (["--reason", "WRONG_TYPE"], ["bad"]),
        (["--portal", "p2"], ["bad"]),
        (["--event", "e1"], ["e1"]),
        (["--event-type", "calls.ended"], ["call"]),
        (["--since", "2026-11-24T09:00:01Z", "--portal", "p1"], ["call"]),
        (["--until", "2026-11-24T09:00:01Z", "--reason", "RetriesExhausted"], ["e0", "e1"]),
    ):
        assert sorted(event["eventId"] for event in answer("unprocessed", "list", *options)) == ids


def test_invalid_time_is_reported(queue: Queue) -> None:
    assert "--since" in run("unprocessed", "list", "--since", "soon", code=2).stderr
    assert "There are no unprocessed events." in run("unprocessed", "list").stdout


def test_event_is_shown_corrected_and_sent(
    queue: Queue, bus: list[Event], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = submitted()
    del broken["detail"]["id"]
    broken["detail"]["chain"] = "7"
    queue.send(refused(broken))

    shown = run("unprocessed", "show", broken["id"])
    assert "WRONG_TYPE" in shown.stderr
    mended = json.loads(shown.stdout)
    mended["detail"]["chain"] = []
    path = tmp_path / "event.json"
    path.write_text(json.dumps(mended))
    monkeypatch.setattr(sending, "open_stack", commands.open_stack)
    assert answer("send", str(path)) == {"sent": 1, "refused": []}
    (sent,) = bus
    assert (sent.id, sent.chain) == (broken["id"], ())
    assert answer("unprocessed", "show", broken["id"])["event"] == broken
    run("unprocessed", "show", "nope", code=4)


def test_redriven_events_are_on_the_bus_once_and_leave_the_queue(queue: Queue, bus: list[Event]) -> None:
    fill(queue)
    report = answer("unprocessed", "redrive", "--reason", "RetriesExhausted", "--rate", "1000")
    assert report == {"redriven": 25, "byReason": {"RetriesExhausted": 25}, "skipped": 2, "left": []}
    assert sorted(event.id for event in bus) == sorted(f"e{number}" for number in range(25))
    assert queue.visible == 2
    assert answer("unprocessed", "redrive", "--reason", "RetriesExhausted")["redriven"] == 0


def own_event(event_id: str) -> dict[str, Any]:
    return event({"workflows.enrolled": "1", "id": event_id, "at": "2030-01-01T00:00:00Z"})


def test_the_stacks_own_events_are_redriven_by_its_role(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bus' policy denies their source to everyone else."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    put_by: dict[str, set[str]] = {}
    sessions: list[Mapping[str, Any]] = []
    make = botocore.client.BaseClient._make_api_call

    def noted(client: Any, name: str, arguments: Any) -> Any:
        if name == "PutEvents":
            key = client._request_signer._credentials.get_frozen_credentials().access_key
            put_by.setdefault(key, set()).update(entry["Source"] for entry in arguments["Entries"])
        if name == "AssumeRole":
            sessions.append(arguments)
        return make(client, name, arguments)

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", noted)
    for number in range(12):
        queue.send(failed(own_event(f"own-{number}")), failed(submitted(f"e{number}")))

    assert answer("unprocessed", "redrive")["redriven"] == 24
    assert queue.visible == 0
    # Each source by credentials of its own.
    assert sorted(map(sorted, put_by.values())) == [["acme"], ["enroll"]]
    assert [session["RoleArn"] for session in sessions] == [REDRIVE_ROLE]


def test_an_operator_who_may_not_assume_the_role_redrives_all_other_events(
    queue: Queue, bus: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(client: Any, name: str, arguments: Any, make: Any = botocore.client.BaseClient._make_api_call) -> Any:
        if name == "AssumeRole":
            error = {"Error": {"Code": "AccessDenied", "Message": "not authorized to perform: sts:AssumeRole"}}
            raise ClientError(error, name)
        return make(client, name, arguments)

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", denied)
    queue.send(failed(own_event("own")), failed(submitted("other")))
    found = run("unprocessed", "redrive", code=1)
    assert [event.id for event in bus] == ["other"]
    assert "sts:AssumeRole" in found.output
    assert "RedriveRoleArn" in found.output
    assert queue.visible == 1


def test_interrupted_redrive_is_resumed(queue: Queue, bus: list[Event]) -> None:
    fill(queue)
    assert answer("unprocessed", "redrive", "--portal", "p1", "--limit", "15", "--rate", "1000")["redriven"] == 15
    assert answer("unprocessed", "redrive", "--portal", "p1", "--rate", "1000")["redriven"] == 10
    assert len({event.id for event in bus}) == len(bus) == 25


def test_message_without_an_event_stays_in_the_queue(queue: Queue, bus: list[Event]) -> None:
    fill(queue, 1)
    report = answer("unprocessed", "redrive", "--rate", "1000")
    assert report["redriven"] == 2
    assert [event["why"] for event in report["left"]] == ["no event"]
    assert queue.visible == 1


def test_a_cut_event_is_shown_and_stays(
    queue: Queue, bus: list[Event], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue.send(cut(), failed(submitted()))
    listed = {event["eventId"]: event for event in answer("unprocessed", "list")}
    assert listed["e-cut"]["truncated"]["archive"]["eventId"] == "bus-cut"
    assert "truncated" not in listed["e1"]
    assert "(truncated) detail: found 800,000 bytes" in run("unprocessed", "list").stdout

    shown = run("unprocessed", "show", "e-cut")
    assert "archive of the bus enroll-events" in shown.stderr
    path = tmp_path / "event.json"
    path.write_text(shown.stdout)
    monkeypatch.setattr(sending, "open_stack", commands.open_stack)
    assert "got one that was truncated" in run("send", str(path), code=2).stderr

    (fate,) = answer("unprocessed", "redrive", "--event", "e-cut", "--dry-run")["events"]
    assert "archive of the bus enroll-events" in fate["left"]
    report = answer("unprocessed", "redrive", "--rate", "1000")
    assert report["redriven"] == 1
    assert [event["eventId"] for event in report["left"]] == ["e-cut"]
    assert "archive of the bus enroll-events" in report["left"][0]["why"]
    assert [event.id for event in bus] == ["e1"]
    assert queue.visible == 1


def test_messages_that_return_during_the_run_do_not_prolong_it(
    queue: Queue, bus: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    queue.send(*(refused(submitted(f"e{number}")) for number in range(11)))
    put = commands.put

    def refused_again(client: Any, entries: Any) -> Any:
        queue.send(*(refused({**submitted(), "detail": json.loads(entry["Detail"])}) for entry in entries))
        return put(client, entries)

    monkeypatch.setattr(commands, "put", refused_again)
    report = answer("unprocessed", "redrive", "--rate", "1000")
    assert report["redriven"] == len(bus) == 11
    assert {event["why"] for event in report["left"]} == {"came back during the run"}
    assert queue.visible == 11


def test_events_that_the_bus_refuses_stay_in_the_queue(
    queue: Queue, bus: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(queue, 3)
    monkeypatch.setattr(commands, "put", lambda client, entries: {0: "TooLarge"})
    result = run("unprocessed", "redrive", "--reason", "RetriesExhausted", "--rate", "1000", "--json", code=1)
    report = json.loads(result.stdout)
    assert (report["redriven"], [event["why"] for event in report["left"]]) == (2, ["TooLarge"])
    assert queue.visible == 3


def test_event_stays_in_the_queue_if_the_process_dies_before_the_deletion(
    queue: Queue, bus: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    queue.send(failed(submitted()))

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(QueueScan, "delete", die)
        CliRunner().invoke(app, ["unprocessed", "redrive"])
    assert queue.visible == 1
    assert answer("unprocessed", "redrive")["redriven"] == 1
    assert [event.id for event in bus] == ["e1", "e1"]


def test_two_concurrent_redrives_send_each_event_once(queue: Queue, bus: list[Event]) -> None:
    """What one of them holds the other does not see."""
    fill(queue, 22)
    with QueueScan(queue.sqs, queue.url) as held:
        taken = [message.unprocessed.event_id for _, message in zip(range(20), held, strict=False)]
        answer("unprocessed", "redrive", "--rate", "1000")
    assert len(bus) == 24 - 20 - 1
    assert not {event.id for event in bus} & set(taken)


class Stubborn:
    """Deletes nothing."""

    def receive_message(self, **_: Any) -> dict[str, Any]:
        return {"Messages": [{"MessageId": "m", "ReceiptHandle": "r", "Body": "x"}]}

    def delete_message_batch(self, QueueUrl: str, Entries: list[dict[str, str]]) -> dict[str, Any]:
        return {"Failed": [{"Id": entry["Id"], "Code": "Internal"} for entry in Entries]}

    def change_message_visibility_batch(self, **_: Any) -> dict[str, Any]:
        return {}


def test_failed_deletion_of_a_message_is_reported() -> None:
    with QueueScan(Stubborn(), "url") as messages, pytest.raises(NotDeleted, match="still in the queue"):
        messages.delete(list(messages))


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with served(example_portal()) as url:
        monkeypatch.setenv("ENROLL_API", url)
        yield


def test_dry_run_reports_the_result_of_a_redrive(queue: Queue, bus: list[Event], api: None) -> None:
    queue.send(
        failed(submitted("e1", record="103")),
        failed(submitted("e2", record="104")),
        failed(submitted("e3", record="999")),
        refused({**submitted("e4"), "detail-type": "forms.vanished"}),
        failed({**submitted("e5"), "replay-name": "enroll-01K"}),
        "no JSON",
    )
    found = answer("unprocessed", "redrive", "--dry-run")
    fates = {event["eventId"]: event for event in found["events"]}
    assert found["wouldEnroll"] == {"1001": 2}
    assert [decision["code"] for decision in fates["e1"]["decisions"]] == ["ENROLLED"]
    assert [decision["code"] for decision in fates["e3"]["decisions"]] == ["WAITING"]
    assert fates["e4"]["unprocessed"]["reason"] == "UNKNOWN_EVENT_TYPE"
    assert fates["e5"]["replay"] == "enroll-01K"
    assert fates[None]["left"] == "no event"
    shown = run("unprocessed", "redrive", "--dry-run").output
    for text in ("1001 ENROLLED", "rejected again: UNKNOWN_EVENT_TYPE", "part of the replay enroll-01K", "1001 2"):
        assert text in shown
    assert (bus, queue.visible) == ([], 6)


def test_discarding_asks_and_keeps(queue: Queue, tmp_path: Path) -> None:
    fill(queue, 12)
    file = tmp_path / "discarded.jsonl"
    result = CliRunner().invoke(app, ["unprocessed", "discard"], input="n\n")
    assert (result.exit_code, queue.visible) == (1, 14)
    assert (
        "deletes 14 events from the unprocessed-events queue of the stack enroll: RetriesExhausted 12" in result.output
    )
    assert "To save them first, use --keep FILE." in result.output
    assert "Discard 14 events?" in result.output
    assert "does not cancel enrollments that these events have already claimed" in result.output

    found = answer("unprocessed", "discard", "--reason", "RetriesExhausted", "--yes", "--keep", str(file))

    assert found == {"discarded": 12, "kept": str(file)}
    kept = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert sorted(line["eventId"] for line in kept) == sorted(f"e{number}" for number in range(12))
    assert kept[0]["event"]["detail"]["portalId"] == "p1"
    assert queue.visible == 2
    run("unprocessed", "discard", "--yes", "--keep", str(tmp_path / "no" / "where"), code=2)
    assert queue.visible == 2


def redelivered(queue: Queue) -> list[str]:
    """Return the messages that are in the redeliveries queue."""
    url = queue.sqs.get_queue_url(QueueName="redeliveries")["QueueUrl"]
    bodies: list[str] = []
    while messages := queue.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        bodies += [message["Body"] for message in messages]
    return sorted(bodies)


def associated_messages() -> list[str]:
    """Return two parts of one change with too many names to state, and delayed enrollments by events that are never on
    the bus."""
    change = AssociatedChange(read_event(submitted(), "forms"), ChangedParts(), "0-2").reduced()
    parts = [write_associated_change(replace(change, object_ids=(object_id,))) for object_id in ("7", "8")]
    manual = manual_event(RecordKey("p1", "0-1", "103"), "k1", caller="ada", chain=(), now=0)
    requested = [manual, backfill_event(RecordKey("p1", "0-1", "103"), "01RUN", caller="ada", now=0)]
    delayed = [write_redelivery(each, ["1"], 0) for each in (change.event_about("7"), *requested)]
    return [*parts, *delayed]


def test_messages_that_only_the_redeliveries_function_can_process_go_to_its_queue(
    queue: Queue, bus: list[Event]
) -> None:
    queue.send(*associated_messages(), REDELIVERY)

    report = answer("unprocessed", "redrive", "--rate", "1000")

    assert report == {"redriven": 6, "byReason": {"REDELIVERY_FAILED": 6}, "skipped": 0, "left": []}
    assert redelivered(queue) == sorted(associated_messages())
    assert [one.id for one in bus] == ["e1"]
    assert queue.visible == 0


def test_message_for_the_redeliveries_function_stays_if_its_queue_refuses_it_or_is_not_known(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue.send(ASSOCIATED)
    opened = commands.open_stack("enroll")
    outputs = {**opened.outputs, "RedeliveriesQueueUrl": "https://sqs.eu-west-1.amazonaws.com/123456789012/none"}
    monkeypatch.setattr(commands, "open_stack", lambda _: Stack("enroll", outputs, opened.client))
    shown = run("unprocessed", "redrive", code=1)
    assert "it needs sqs:SendMessage on the queue of the output RedeliveriesQueueUrl" in shown.stdout
    assert "the bus or a queue rejected 1 events" in shown.stderr
    del outputs["RedeliveriesQueueUrl"]
    assert "only the function redeliveries can process it" in run("unprocessed", "redrive", code=1).stdout
    assert queue.visible == 1


def test_message_for_the_redeliveries_function_is_not_simulated(queue: Queue) -> None:
    queue.send(ASSOCIATED)
    assert answer("unprocessed", "redrive", "--dry-run")["events"] == [
        {"eventId": "e1", "reason": "REDELIVERY_FAILED", "isRedelivered": True}
    ]
    assert "decided again by the function redeliveries" in run("unprocessed", "redrive", "--dry-run").stdout
    assert redelivered(queue) == []


def test_message_for_the_redeliveries_function_that_comes_back_is_redriven_once(queue: Queue) -> None:
    queue.send(ASSOCIATED, ASSOCIATED)
    report = answer("unprocessed", "redrive", "--rate", "1000")
    assert report["redriven"] == 1
    assert [one["why"] for one in report["left"]] == ["came back during the run"]
