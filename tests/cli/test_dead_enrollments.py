"""`enroll queue list`, `redrive` and `discard`: they lose no enrollment, and keep the order of a record."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import botocore.client
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from typer.testing import CliRunner

from enroll.commands import dead_enrollments as commands
from enroll.dead_letters import queue as dead_letter_queue
from enroll.dead_letters.enrollments import CALL_BYTES, calls, read_dead_enrollment
from enroll.dead_letters.message import read_unprocessed
from enroll.dead_letters.queue import QueueMessage
from enroll.main import app
from enroll.output import LineConsole
from enroll.stack import Stack
from tests.support.aws import REGION
from tests.support.command_line import MESSAGE, answer, run


def message(enrollment_id: str, record: str = "101", flow: str = "1") -> dict[str, Any]:
    return {**MESSAGE, "enrollmentId": enrollment_id, "objectId": record, "flowId": flow}


@dataclass
class Queues:
    sqs: Any
    url: str
    dead_url: str

    def send(self, url: str, body: str, group: str, deduplication_id: str) -> None:
        self.sqs.send_message(
            QueueUrl=url,
            MessageBody=body,
            MessageGroupId=group,
            MessageDeduplicationId=deduplication_id,
            MessageAttributes={"flowId": {"DataType": "String", "StringValue": "1"}},
        )

    def put_dead(self, *enrollments: Mapping[str, Any]) -> None:
        """Put messages into the dead-letter queue, as SQS does after the last receive."""
        for number, enrollment in enumerate(enrollments):
            self.send(self.dead_url, json.dumps(enrollment), f"p1/0-1/{enrollment['objectId']}", f"dead-{number}")

    def consume(self, url: str) -> list[dict[str, Any]]:
        """Receive and delete all messages."""
        found = []
        while messages := self.sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["All"], MessageAttributeNames=["All"]
        ).get("Messages"):
            for message in messages:
                found.append({**message, "enrollment": json.loads(message["Body"])})
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return found

    def delivered(self) -> list[str]:
        return [message["enrollment"]["enrollmentId"] for message in self.consume(self.url)]

    def dead(self) -> list[str]:
        return [message["enrollment"]["enrollmentId"] for message in self.consume(self.dead_url)]


@pytest.fixture
def queues(monkeypatch: pytest.MonkeyPatch) -> Iterator[Queues]:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setattr(dead_letter_queue, "WAIT_SECONDS", 0)
    with mock_aws():
        sqs = boto3.client("sqs", region_name=REGION)
        fifo = {"FifoQueue": "true", "DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId"}
        url = sqs.create_queue(QueueName="enroll-enrollments.fifo", Attributes=fifo)["QueueUrl"]
        dead_url = sqs.create_queue(QueueName="enroll-enrollments-dead.fifo", Attributes={"FifoQueue": "true"})
        outputs = {"EnrollmentsQueueUrl": url, "EnrollmentsDeadLetterQueueUrl": dead_url["QueueUrl"]}
        monkeypatch.setattr(commands, "open_stack", lambda _: Stack("enroll", outputs, lambda _: sqs))
        yield Queues(sqs, url, dead_url["QueueUrl"])


def patch_call(monkeypatch: pytest.MonkeyPatch, name: str, replacement: Any) -> None:
    """Replace one call to AWS. The replacement gets the arguments and the original call."""
    make = botocore.client.BaseClient._make_api_call

    def patched(client: Any, called: str, arguments: Any) -> Any:
        if called != name:
            return make(client, called, arguments)
        return replacement(arguments, lambda: make(client, called, arguments))

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", patched)


def test_listing_shows_each_enrollment_and_keeps_all(queues: Queues) -> None:
    queues.put_dead(*(message(f"01K{number:02}", record=str(number)) for number in range(25)))
    for receives in (1, 2):
        found = answer("queue", "list")
        assert [message["enrollmentId"] for message in found] == [f"01K{number:02}" for number in range(25)]
        assert {message["receives"] for message in found} == {receives}
    first = found[0]
    assert (first["groupId"], first["record"], first["flowId"], first["portalId"]) == ("p1/0-1/0", "0-1/0", "1", "p1")
    assert first["message"] == message("01K00", record="0")
    assert set(first) == {
        *("enrollmentId", "portalId", "flowId", "record", "groupId", "messageId", "deadSince", "receives", "message"),
    }
    assert len(queues.dead()) == 25


def test_list_fits_80_columns_and_cuts_no_id(queues: Queues, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LineConsole, "is_terminal", True)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    ids = [f"01KAV3W8ZJ6W5R5Y0Q3S1N7T{number:02}" for number in range(3)]
    queues.put_dead(*(message(id_, record=f"10000000{index}", flow="585051946") for index, id_ in enumerate(ids)))
    lines = run("queue", "list").stdout.splitlines()
    assert max(map(len, lines)) <= 80
    for enrollment_id in ids:
        assert sum(enrollment_id in line for line in lines) == 1
    assert lines[-1] == "Enrollments: 3 (flow 585051946: 3)."


def test_empty_queue_and_filter_without_match_are_stated(queues: Queues) -> None:
    assert "There are no enrollments in the dead-letter queue." in run("queue", "list").stdout
    assert "No enrollments match." in run("queue", "list", "--flow", "7").stdout
    assert answer("queue", "redrive") == {"redriven": 0, "byFlow": {}, "skipped": 0, "left": []}
    assert answer("queue", "discard") == {"discarded": 0, "kept": None}


@pytest.mark.parametrize("command", ["redrive", "discard"])
def test_unknown_enrollment_has_exit_code_4(queues: Queues, command: str) -> None:
    queues.put_dead(message("01K1"))
    options = ["--yes"] if command == "discard" else []
    result = run("queue", command, "--enrollment", "01K2", *options, code=4)
    assert "there is no matching enrollment 01K2 in the queue enroll-enrollments-dead.fifo" in result.stderr
    assert queues.dead() == ["01K1"]


def test_redriven_messages_are_unchanged_and_in_the_order_of_their_record(queues: Queues) -> None:
    sent = [message(f"{record}-{number:02}", record=record) for number in range(12) for record in ("a", "b")]
    queues.put_dead(*sent)
    assert answer("queue", "redrive", "--rate", "1000") == {
        "redriven": 24,
        "byFlow": {"1": 24},
        "skipped": 0,
        "left": [],
    }
    found = queues.consume(queues.url)
    for record in ("a", "b"):
        expected = [message for message in sent if message["objectId"] == record]
        assert [message["enrollment"] for message in found if message["enrollment"]["objectId"] == record] == expected
    assert {message["Attributes"]["MessageGroupId"] for message in found} == {"p1/0-1/a", "p1/0-1/b"}
    assert {message["MessageAttributes"]["flowId"]["StringValue"] for message in found} == {"1"}
    assert queues.dead() == []


DOCUMENT = Path(__file__).parents[2] / "docs" / "consumers.md"
# IAM has one action for a call and for its batch.
ACTIONS = {
    "GetQueueAttributes": "sqs:GetQueueAttributes",
    "ReceiveMessage": "sqs:ReceiveMessage",
    "ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
    "DeleteMessageBatch": "sqs:DeleteMessage",
    "SendMessageBatch": "sqs:SendMessage",
}


def test_commands_make_only_the_calls_whose_permissions_are_documented(
    queues: Queues, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = dict(
        re.findall(r"^\| `enroll queue (list|discard|redrive)` \| (.*?) \|", DOCUMENT.read_text(), re.MULTILINE)
    )
    granted: dict[str, set[str]] = {"dead": set(), "enrollments": set()}
    make = botocore.client.BaseClient._make_api_call
    for command in ("list", "discard", "redrive"):
        allowed = set(re.findall(r"sqs:\w+", rows[command]))
        granted["dead"] |= allowed - {"sqs:SendMessage"}
        granted["enrollments"] |= allowed & {"sqs:SendMessage"}
        queues.put_dead(message("01K1", "1"), message("01K2", "2", flow="2"))
        made: dict[str, set[str]] = {"dead": set(), "enrollments": set()}

        def noted(client: Any, name: str, arguments: Any, made: dict[str, set[str]] = made) -> Any:
            made["dead" if arguments["QueueUrl"] == queues.dead_url else "enrollments"].add(ACTIONS[name])
            return make(client, name, arguments)

        with monkeypatch.context() as patch:
            patch.setattr(botocore.client.BaseClient, "_make_api_call", noted)
            answer("queue", command, "--flow", "2", *(["--yes"] if command == "discard" else []))
        assert made == granted
        queues.dead()


@pytest.mark.parametrize(("records", "moves"), [(30, 3), (10, 3), (1, 30)])
def test_redrive_moves_messages_of_several_records_in_one_call(
    queues: Queues, monkeypatch: pytest.MonkeyPatch, records: int, moves: int
) -> None:
    queues.put_dead(*(message(f"01K{number:02}", record=str(number % records)) for number in range(30)))
    counts: Counter[str] = Counter()
    make = botocore.client.BaseClient._make_api_call

    def counted(client: Any, name: str, arguments: Any) -> Any:
        counts[name] += 1
        return make(client, name, arguments)

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", counted)
    assert answer("queue", "redrive", "--rate", "1000")["redriven"] == 30
    # The last two receives return nothing.
    assert counts == {
        "GetQueueAttributes": 1,
        "ReceiveMessage": 5,
        "SendMessageBatch": moves,
        "DeleteMessageBatch": moves,
    }


def test_command_that_ends_before_the_deletion_loses_no_message(
    queues: Queues, monkeypatch: pytest.MonkeyPatch
) -> None:
    queues.put_dead(message("01K1"), message("01K2"))

    def fail(arguments: Any, call: Any) -> Any:
        raise ClientError({"Error": {"Code": "InternalError", "Message": "gone"}}, "DeleteMessageBatch")

    with monkeypatch.context() as patch:
        patch_call(patch, "DeleteMessageBatch", fail)
        assert "a call to AWS failed" in run("queue", "redrive", code=1).stderr
    assert [message["enrollmentId"] for message in answer("queue", "list")] == ["01K1", "01K2"]
    assert answer("queue", "redrive")["redriven"] == 2
    # The repetition has the same deduplication ID, so SQS delivers 01K1 once.
    assert queues.delivered() == ["01K1", "01K2"]


def test_refused_message_stays_with_the_later_messages_of_its_record(
    queues: Queues, monkeypatch: pytest.MonkeyPatch
) -> None:
    queues.put_dead(message("a1", "a"), message("a2", "a"), message("b1", "b"), message("a3", "a"), message("b2", "b"))

    def refuse(arguments: Any, call: Any) -> Any:
        refused = [entry for entry in arguments["Entries"] if '"a2"' in entry["MessageBody"]]
        arguments["Entries"] = [entry for entry in arguments["Entries"] if entry not in refused]
        response = call() if arguments["Entries"] else {}
        failed = [{"Id": entry["Id"], "Code": "InternalError", "Message": "try again"} for entry in refused]
        return {**response, "Failed": failed}

    with monkeypatch.context() as patch:
        patch_call(patch, "SendMessageBatch", refuse)
        result = run("queue", "redrive", "--json", code=1)
    report = json.loads(result.stdout)
    assert (report["redriven"], [(message["enrollmentId"], message["why"]) for message in report["left"]]) == (
        3,
        [("a2", "InternalError try again"), ("a3", "an earlier message of its record is left")],
    )
    assert "messages that SQS refused, still in the queue enroll-enrollments-dead.fifo: 1" in result.stderr
    assert sorted(queues.delivered()) == ["a1", "b1", "b2"]
    assert queues.dead() == ["a2", "a3"]


def test_message_that_returns_during_the_run_is_not_redriven_again(
    queues: Queues, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The consumer fails at once, again and again."""
    queues.put_dead(message("01K1"))
    moved = []

    def fail_again(arguments: Any, call: Any) -> Any:
        response = call()
        if len(moved) < 5:
            moved.append(arguments)
            queues.send(queues.dead_url, json.dumps(message("01K1")), "p1/0-1/101", f"again-{len(moved)}")
        return response

    with monkeypatch.context() as patch:
        patch_call(patch, "SendMessageBatch", fail_again)
        report = answer("queue", "redrive")
    assert report["redriven"] == 1
    assert [message["why"] for message in report["left"]] == ["came back during the run"]
    assert queues.dead() == ["01K1"]


def test_filters_choose_enrollments(queues: Queues) -> None:
    queues.put_dead(message("01K1", "1"), message("01K2", "2", flow="2"), {**message("01K3", "3"), "portalId": "p2"})
    for options, ids in (
        (["--enrollment", "01K2"], ["01K2"]),
        (["--flow", "1"], ["01K1", "01K3"]),
        (["--flow", "1", "--portal", "p2"], ["01K3"]),
        (["--limit", "2"], ["01K1", "01K2"]),
    ):
        assert [message["enrollmentId"] for message in answer("queue", "list", *options)] == ids
    report = answer("queue", "redrive", "--flow", "2")
    assert (report["redriven"], report["skipped"]) == (1, 2)
    assert queues.delivered() == ["01K2"]
    assert answer("queue", "redrive", "--limit", "1")["redriven"] == 1
    assert queues.dead() == ["01K3"]


@pytest.mark.parametrize("command", [["list"], ["redrive"], ["discard", "--yes"]])
def test_filter_that_no_message_can_match_names_the_known_flows_and_portals(queues: Queues, command: list[str]) -> None:
    queues.put_dead(message("01K1"), message("01K2", "2", flow="2"))
    warnings = run("queue", *command, "--flow", "Welcome", "--portal", "nope").stderr
    assert "--flow: no message of the queue has 'Welcome'. The queue has: 1 (Welcome), 2 (Welcome)." in warnings
    assert "--portal: no message of the queue has 'nope'. The queue has: p1." in warnings


def test_messages_behind_10_of_a_record_are_counted_and_redriven(queues: Queues) -> None:
    queues.put_dead(*(message(f"01K{number:02}") for number in range(13)))
    result = run("queue", "list")
    assert "01K09" in result.stdout
    assert "01K10" not in result.stdout
    assert "About 3 messages are not shown: they wait behind 10 others of their record" in result.stderr
    assert "About 3 messages could not be read" in run("queue", "redrive", "--enrollment", "01K11", code=4).stderr
    assert answer("queue", "redrive")["redriven"] == 13
    assert queues.delivered() == [f"01K{number:02}" for number in range(13)]


def test_discard_names_what_it_deletes_and_asks_first(queues: Queues) -> None:
    queues.put_dead(message("01K1", "1"), message("01K2", "2"), message("01K3", "3", flow="2"))
    result = CliRunner().invoke(app, ["queue", "discard"], input="n\n")
    assert result.exit_code == 1
    assert "Queue enroll-enrollments-dead.fifo; flow 1: 2, flow 2: 1." in result.stderr
    assert "Discard 3 messages?" in result.stderr
    assert "the workflows that they start do not run" in result.stderr
    assert CliRunner().invoke(app, ["queue", "discard", "--enrollment", "01K2"], input="y\n").exit_code == 0
    assert [message["enrollmentId"] for message in answer("queue", "list")] == ["01K1", "01K3"]


def test_discarded_messages_are_kept_in_a_file(queues: Queues, tmp_path: Path) -> None:
    queues.put_dead(*(message(f"01K{number:02}", record=str(number)) for number in range(12)))
    run("queue", "discard", "--yes", "--keep", str(tmp_path / "no" / "file"), code=2)
    file = tmp_path / "discarded.jsonl"
    assert answer("queue", "discard", "--yes", "--keep", str(file)) == {"discarded": 12, "kept": str(file)}
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert [line["message"] for line in lines] == [message(f"01K{number:02}", str(number)) for number in range(12)]
    assert queues.dead() == []


@pytest.mark.parametrize("body", ["text", "[1]", '{"enrollmentId": 7, "flowId": {}}', "[" * 100_000, "null"])
def test_message_that_is_not_an_enrollment_can_be_listed_redriven_and_discarded(queues: Queues, body: str) -> None:
    queues.send(queues.dead_url, body, "group", "1")
    (found,) = answer("queue", "list")
    assert (found["enrollmentId"], found["flowId"], found["record"]) == (None, None, None)
    assert "not an enrollment" in run("queue", "list").stdout
    assert answer("queue", "redrive")["byFlow"] == {"?": 1}
    queues.send(queues.dead_url, body, "group", "2")
    assert answer("queue", "discard", "--yes")["discarded"] == 1


def test_a_call_stays_within_the_limits_of_sqs_and_has_one_message_of_a_record() -> None:
    large = "x" * (CALL_BYTES // 3)
    dead = [
        read_dead_enrollment(QueueMessage(str(number), 0, body, read_unprocessed(body, {}), group_id=group))
        for number, (body, group) in enumerate([(large, "a"), (large, "b"), (large, "c"), ("x", "d"), ("x", "d")])
    ]
    found = [[enrollment.message.id for enrollment in call] for call in calls(dead, 10)]
    assert found == [["0", "1"], ["2", "3"], ["4"]]
