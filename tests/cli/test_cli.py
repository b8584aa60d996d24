"""The command line, against the embedded AWS's stand-in in memory."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from typer.testing import CliRunner

from enroll.commands.send import put
from enroll.main import app
from enrollment import bootstrap
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records import Dated, Record
from tests.aws import REGION, aws
from tests.scenarios.scenario import event, flow

OUTPUTS = (
    "FlowsTableName",
    "RecordsTableName",
    "EnrollmentsTableName",
    "EnrollmentsQueueUrl",
    "UnprocessedEventsQueueUrl",
    "EventBusName",
)


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A CloudFormation stack `enroll` whose outputs name the resources."""
    with aws(monkeypatch) as config:
        values = [
            config.flows_table,
            config.records_table,
            config.enrollments_table,
            config.enrollments_queue_url,
            config.unprocessed_queue_url,
            config.event_bus_name,
        ]
        template = {
            "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
            "Outputs": {name: {"Value": value} for name, value in zip(OUTPUTS, values, strict=True)},
        }
        cloudformation = boto3.client("cloudformation", region_name=REGION)
        cloudformation.create_stack(StackName="enroll", TemplateBody=json.dumps(template))
        template["Outputs"] = {}
        cloudformation.create_stack(StackName="other", TemplateBody=json.dumps(template))
        yield config


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def run(*arguments: str, code: int = 0) -> Any:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == code, result.output
    return result


def answer(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json").stdout)


def file(folder: Path, *documents: Any, name: str = "flows.json") -> str:
    path = folder / name
    path.write_text(json.dumps(list(documents) if len(documents) != 1 else documents[0]), encoding="utf-8")
    return str(path)


def test_the_life_of_a_flow(stack: Any, tmp_path: Path) -> None:
    document = {**flow({"id": 1, "event": "forms.submitted"}), "actions": [{"kept": True}]}

    (stored,) = answer("flows", "put", file(tmp_path, document), "--portal", "p1")
    assert (stored["id"], stored["revisionId"], stored["isEnabled"]) == ("1", "1", True)
    assert answer("flows", "show", "1", "--portal", "p1")["actions"] == [{"kept": True}]
    assert [one["isEnabled"] for one in answer("flows", "off", "1", "--portal", "p1")] == [False]
    assert [one["revisionId"] for one in answer("flows", "on", "1", "--portal", "p1")] == ["3"]
    assert "forms.submitted" in run("flows", "list", "--portal", "p1").stdout
    assert answer("flows", "list", "--portal", "p2") == []
    run("flows", "delete", "1", "--portal", "p1")
    assert answer("flows", "list", "--portal", "p1") == []
    for command in ("show", "on", "off", "delete"):
        run("flows", command, "1", "--portal", "p1", code=4)


def test_with_a_fault_in_one_flow_none_is_stored_and_all_faults_are_told(stack: Any, tmp_path: Path) -> None:
    good = flow({"id": 1, "event": "forms.submitted"})
    bad = flow({"id": 2, "event": "forms.submited", "where": [["hs_form_id", "IS_KNOWN"]]}) | {
        "goalFilterBranch": {"x": 1}
    }
    nameless = {key: value for key, value in good.items() if key != "id"}

    result = run("flows", "put", file(tmp_path, good, bad, nameless, good), "--portal", "p1", code=2)

    assert "did you mean forms.submitted?" in result.stderr
    for part in ("$.goalFilterBranch", "$.id: found None", "found 1 a second time"):
        assert part in result.stderr
    assert answer("flows", "list", "--portal", "p1") == []


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"{", "line 1, column 2"), (b"\xff", "not UTF-8"), (b"[1]", "element 0 is int"), (b"[" * 99_999, "nested")],
)
def test_a_broken_file_is_named(stack: Any, tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "broken.json"
    path.write_bytes(content)
    result = run("flows", "put", str(path), "--portal", "p1", code=2)
    assert str(path) in result.stderr.replace("\n", "")
    assert told in result.stderr


def test_a_stack_that_is_not_there_or_another_is_told(stack: Any) -> None:
    assert "--stack" in run("flows", "list", "--portal", "p", "--stack", "nope", code=3).stderr
    assert "no output FlowsTableName" in run("flows", "list", "--portal", "p", "--stack", "other", code=3).stderr


def test_the_catalogue() -> None:
    assert len(answer("catalog")) == 35
    assert {one["category"] for one in answer("catalog", "--category", "email")} == {"email"}
    submitted = answer("catalog", "--event", "4-1639801")
    assert submitted["eventType"] == "forms.submitted"
    assert "hs_form_id" in {one["name"] for one in submitted["properties"]}
    assert "Form submission" in run("catalog").stdout
    assert "did you mean forms.submitted?" in run("catalog", "--event", "forms.submited", code=4).stderr
    run("catalog", "--category", "nope", code=4)


def test_a_record_with_its_enrollments(stack: Any) -> None:
    stores = bootstrap.stores(stack)
    stores.records.save(Record(RecordKey("p1", "0-1", "101"), 0, {"city": Dated("Cork", 5)}, {"42": Dated(True, 6)}))

    found = answer("records", "show", "contact/101", "--portal", "p1")

    assert found["properties"] == {"city": {"value": "Cork", "changedAt": "1970-01-01T00:00:00.005Z"}}
    assert (found["lists"], found["enrollments"]) == (["42"], [])
    assert "Cork" in run("records", "show", "0-1/101", "--portal", "p1").stdout
    run("records", "show", "contact/101", "--portal", "p2", code=4)
    run("records", "show", "contact", "--portal", "p1", code=2)


def test_sent_events_are_on_the_bus(stack: Any, tmp_path: Path) -> None:
    path = file(tmp_path, *[event({"forms.submitted": "101", "id": f"e{n}"}) for n in range(23)])
    assert answer("send", path, "--now", "--new-id", "--portal", "p9") == {"sent": 23, "refused": []}
    run("send", file(tmp_path, {"detail": {}}, name="none.json"), code=2)


class Refusing:
    """A bus that refuses each entry the first few times."""

    def __init__(self, times: int) -> None:
        self.left = times
        self.calls: list[int] = []

    def put_events(self, Entries: list[dict[str, str]]) -> dict[str, Any]:
        self.calls.append(len(Entries))
        refuse, self.left = self.left > 0, self.left - 1
        results: list[dict[str, str]] = [{"EventId": "x"} for _ in Entries]
        if refuse:
            results[0] = {"ErrorCode": "ThrottlingException", "ErrorMessage": "slow down"}
        return {"FailedEntryCount": int(refuse), "Entries": results}


def test_what_the_bus_refuses_is_sent_again_and_told_in_the_end() -> None:
    entries = [{"DetailType": f"forms.{n}"} for n in range(3)]
    patient = Refusing(2)
    assert put(patient, entries) == []
    assert patient.calls == [3, 1, 1]
    assert put(Refusing(99), entries) == ["forms.0: ThrottlingException slow down"]


def test_enrollments_are_shown_as_they_arrive(stack: Any) -> None:
    sqs = boto3.client("sqs", region_name=REGION)
    message = {
        "enrollmentId": "01K",
        "portalId": "p1",
        "flowId": "1",
        "flowName": "Welcome",
        "objectTypeId": "0-1",
        "objectId": "101",
        "isReEnrollment": False,
        "enrolledAt": "2026-11-23T10:00:00.000Z",
        "trigger": {"eventType": "forms.submitted", "eventId": "e1"},
    }
    for number in range(2):
        sqs.send_message(
            QueueUrl=stack.enrollments_queue_url,
            MessageBody=json.dumps({**message, "enrollmentId": f"01K{number}"}),
            MessageGroupId="p1/0-1/101",
            MessageDeduplicationId=str(number),
        )
    lines = run("watch", "--timeout", "1", "--json").stdout.splitlines()
    assert [json.loads(line)["enrollmentId"] for line in lines] == ["01K0", "01K1"]
    assert run("watch", "--timeout", "1", "--json").stdout == ""


def test_invoke_without_a_local_run_says_what_to_do(tmp_path: Path) -> None:
    path = file(tmp_path, event({"forms.submitted": "101", "id": "e"}), name="event.json")
    assert "make run" in run("invoke", "forms", "-e", path, "--lambda-port", "1", code=3).stderr
    run("invoke", "nope", "-e", path, code=2)
