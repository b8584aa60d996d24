"""`enroll tail`: decisions from the logs of functions, each once, with what was expected and found."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from enroll import decision_stream
from enroll.decision_stream import FILTER, REFUSAL_REASONS, LogFiles, LogGroups, StreamFilter
from tests.support.command_line import run
from tests.support.functions import Stack, invoke, open_stack, put
from tests.support.portal import Api
from tests.support.scenario import event, flow, property_filter

DECISION = {
    "message": "decision",
    "timestamp": "2026-11-23 10:00:00,123+0000",
    "code": "ENROLLED",
    "flowId": "1",
    "because": "the record enters the flow",
    "portalId": "p1",
    "objectTypeId": "0-1",
    "objectId": "101",
    "eventId": "e1",
    "eventType": "forms.submitted",
}
REFUSED = {"message": "refused", "eventId": "e2", "reason": "BAD_TIME", "explanation": "detail.occurredAt: wrong"}


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decision_stream, "CALL_SECONDS", 0)
    monkeypatch.setattr(decision_stream, "LOCAL_POLL_SECONDS", 0)


def write(path: Path, *lines: Any) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.writelines(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines)


def ids(lines: Any) -> list[str]:
    return [line["eventId"] for line in lines]


# Sources -------------------------------------------------------------------------------------------------------------


def test_lines_of_files_are_returned_once_in_order_of_time(tmp_path: Path) -> None:
    source = LogFiles(tmp_path)
    later = DECISION | {"timestamp": "2026-11-23 10:00:01,000+0000", "eventId": "later"}
    write(tmp_path / "a.log", later, "START", {"message": "request"}, "[" * 10_000)
    write(tmp_path / "b.log", DECISION)
    assert ids(source.read()) == ["e1", "later"]
    assert source.read() == []
    write(tmp_path / "c.log", REFUSED)
    assert ids(source.read()) == ["e2"]


def test_line_is_read_when_it_is_complete(tmp_path: Path) -> None:
    source, path = LogFiles(tmp_path), tmp_path / "a.log"
    text = json.dumps(DECISION | {"because": "ü"})
    path.write_text(text[:20], encoding="utf-8")
    assert source.read() == []
    path.write_text(f"{text}\n", encoding="utf-8")
    assert ids(source.read()) == ["e1"]


def test_file_that_begins_anew_is_read_from_its_beginning(tmp_path: Path) -> None:
    source, path = LogFiles(tmp_path), tmp_path / "a.log"
    write(path, DECISION, DECISION)
    source.read()
    path.write_text(json.dumps(REFUSED) + "\n", encoding="utf-8")
    assert ids(source.read()) == ["e2"]


class CloudWatch:
    """The logs of one group, in pages of two lines.

    tests/contract/test_log_groups.py reads the same lines from the emulator. The emulator has no pages and applies no
    pattern of JSON, so these two parts of the fake follow AWS's documentation of FilterLogEvents only.
    """

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.requests: list[dict[str, Any]] = []

    def log(self, at: int, line: Any) -> None:
        number = len(self.events)
        self.events.append({"eventId": str(number), "timestamp": at, "message": json.dumps(line)})

    def filter_log_events(self, **request: Any) -> dict[str, Any]:
        self.requests.append(request)
        start = int(request.get("nextToken", 0))
        found = [one for one in self.events if one["timestamp"] >= request["startTime"]]
        more = {"nextToken": str(start + 2)} if len(found) > start + 2 else {}
        return {"events": found[start : start + 2], **more}


def test_lines_of_a_log_group_are_returned_once() -> None:
    client = CloudWatch()
    source = LogGroups(client, ["/enroll/enroll/forms"], since_ms=1_000)
    client.log(500, DECISION | {"eventId": "before"})
    for number in range(5):
        client.log(1_000 + number, DECISION | {"eventId": f"e{number}"})
    assert ids(source.read()) == [f"e{number}" for number in range(5)]
    assert source.read() == []
    # CloudWatch shows a line later than a newer one.
    client.log(1_002, DECISION | {"eventId": "late"})
    assert ids(source.read()) == ["late"]
    client.log(200_000, DECISION | {"eventId": "new"})
    assert ids(source.read()) == ["new"]
    source.read()
    assert client.requests[-1]["startTime"] == 200_000 - decision_stream.OVERLAP_MS
    assert client.requests[-1]["filterPattern"] == FILTER


# Filters -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "decision", "refused"),
    [
        (StreamFilter(), True, True),
        (StreamFilter(portal="p1"), True, True),
        (StreamFilter(portal="p2"), False, True),
        (StreamFilter(record=("0-1", "101")), True, False),
        (StreamFilter(record=("0-2", "101")), False, False),
        (StreamFilter(flows=["2", "1"]), True, False),
        (StreamFilter(flows=["2"]), False, False),
        (StreamFilter(event_types=["forms.submitted"]), True, False),
        (StreamFilter(event_types=["forms.viewed"]), False, False),
        (StreamFilter(codes=["ENROLLED"]), True, False),
        (StreamFilter(codes=["BAD_TIME"]), False, True),
    ],
)
def test_filters(wanted: StreamFilter, decision: bool, refused: bool) -> None:
    assert (wanted.accepts(DECISION), wanted.accepts(REFUSED)) == (decision, refused)


# The command ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    with open_stack(monkeypatch) as opened:
        yield opened


@pytest.fixture
def logs(tmp_path: Path, stack: Stack, capsys: pytest.CaptureFixture[str]) -> str:
    """The log that the function of forms writes about some events."""
    put(stack, id=1, where=[["hs_form_id", "IS_EQUAL_TO", "f-1"]])
    put(stack, id=2)
    invoke(event({"forms.submitted": "101", "id": "e1", "record": {}, "properties": {"hs_formid": "f-1"}}))
    broken = event({"forms.submitted": "101", "id": "e2"})
    broken["detail"] |= {"objectType": "contakt", "portalId": True}
    invoke(broken)
    (tmp_path / "forms.log").write_text(capsys.readouterr().out, encoding="utf-8")
    return str(tmp_path)


def test_decisions_are_shown_with_what_was_expected_and_found(logs: str) -> None:
    shown = run("tail", "--logs", logs, "--timeout", "0").stdout
    assert "p1  0-1/101  forms.submitted e1  ENROLLED  flow 2" in shown
    assert "forms.submitted e1  NOT_MATCHED  flow 1" in shown
    assert 'hs_form_id: expected that it is "f-1", found no value' in shown
    assert "did you mean hs_form_id?" in shown


def test_failed_association_is_shown_with_the_number_of_associated_records(tmp_path: Path) -> None:
    failed = {"property": "associated 0-2", "found": 1, "operation": {"filterBranchType": "ASSOCIATION"}}
    line = {"message": "decision", "portalId": "p1", "flowId": "1", "code": "NOT_MATCHED", "filter": failed}
    (tmp_path / "crm.log").write_text(json.dumps(line) + "\n", encoding="utf-8")
    shown = run("tail", "--logs", str(tmp_path), "--timeout", "0").stdout
    assert (
        "associated 0-2: expected that it has at least one record that meets the filters, found 1 associated record"
        in shown
    )


def test_failed_association_is_shown_with_the_failing_filter_of_each_record(tmp_path: Path) -> None:
    operation = property_filter(["city", "IS_EQUAL_TO", "Cork"])["operation"]
    company = {"record": "0-2/7", "failure": {"property": "city", "found": "Galway", "operation": operation}}
    failed = {"property": "associated 0-2", "found": 2, "operation": {"filterBranchType": "ASSOCIATION"}}
    line = {"message": "decision", "portalId": "p1", "flowId": "1", "code": "NOT_MATCHED"}
    (tmp_path / "crm.log").write_text(
        json.dumps(line | {"filter": failed | {"associated": [company]}}) + "\n", encoding="utf-8"
    )
    shown = run("tail", "--logs", str(tmp_path), "--timeout", "0").stdout
    assert 'found 2 associated records; 0-2/7: city is "Cork", found "Galway"; and 1 more' in shown


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--code", "NOT_MATCHD", "got 'NOT_MATCHD' - did you mean NOT_MATCHED?"),
        ("--code", "NOPE", "Decision codes: ENROLLED, DUPLICATE_EVENT,"),
        ("--event-type", "form.submitted", "got 'form.submitted' - did you mean forms.submitted?"),
    ],
)
def test_values_that_no_line_can_have_are_refused(logs: str, option: str, value: str, message: str) -> None:
    assert message in run("tail", "--logs", logs, "--timeout", "0", option, value, code=2).stderr


def test_manual_enrollments_can_be_chosen(logs: str) -> None:
    assert run("tail", "--logs", logs, "--timeout", "0", "--event-type", "workflows.manual").stdout == ""


def test_reasons_of_refusals_are_those_of_the_documentation() -> None:
    text = Path("docs/events.md").read_text(encoding="utf-8").partition("## Reasons of unprocessed events")[2]
    rows = [line.split("|")[1] for line in text.partition("\n## ")[0].splitlines() if line.startswith("| `")]
    assert re.findall("[A-Z_]+", " ".join(rows)) == list(REFUSAL_REASONS)


def test_refused_events_are_shown_with_all_faults(logs: str) -> None:
    shown = run("tail", "--logs", logs, "--timeout", "0", "--code", "UNKNOWN_OBJECT_TYPE").stdout
    assert "unprocessed: UNKNOWN_OBJECT_TYPE" in shown
    assert "did you mean contact?" in shown
    assert "detail.portalId" in shown


def test_json_has_a_log_line_in_each_line(logs: str) -> None:
    options = ("--timeout", "0", "--json", "--code", "NOT_MATCHED", "--record", "contact/101")
    (line,) = run("tail", "--logs", logs, *options).stdout.splitlines()
    found = json.loads(line)
    assert (found["code"], found["flowId"], found["groups"][0]["property"]) == ("NOT_MATCHED", "1", "hs_form_id")


def test_latest_lines_are_shown_first(logs: str) -> None:
    assert len(run("tail", "--logs", logs, "--timeout", "0", "--json", "-n", "2").stdout.splitlines()) == 2
    assert run("tail", "--logs", logs, "--timeout", "0", "-n", "0").stdout == ""


def test_flow_is_named_by_its_name_in_a_portal(logs: str, portal: Api) -> None:
    portal.world.put_flow(flow({"id": 2, "event": "forms.submitted"}))
    options = ("--logs", logs, "--timeout", "0")
    assert "flow 2" in run("tail", *options, "--flow", "Flow 2").stdout
    assert "flow 1" not in run("tail", *options, "--flow", "Flow 2").stdout


def test_flow_that_is_not_stored_is_used_as_an_id_with_a_warning(logs: str, portal: Api) -> None:
    result = run("tail", "--logs", logs, "--timeout", "0", "--flow", "1")
    assert "flow 1" in result.stdout
    assert "no flow has the ID or the name '1' in portal p1" in result.stderr


def test_flow_is_an_id_without_a_portal(logs: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No API is needed, which would need the portal to find a name."""
    monkeypatch.delenv("ENROLL_PORTAL", raising=False)
    assert "flow 1" in run("tail", "--logs", logs, "--timeout", "0", "--flow", "1").stdout


def test_logs_of_the_local_run_are_found_by_its_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    assert ".enroll/1" in run("tail", "--timeout", "0", code=3).stderr


def test_enrollments_need_a_portal_and_no_filter_of_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ENROLL_PORTAL", raising=False)
    assert "--portal" in run("tail", "--enrollments", code=2).stderr
    assert "--code" in run("tail", "--enrollments", "--portal", "p1", "--code", "ENROLLED", code=2).stderr
