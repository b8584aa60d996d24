"""The command line, against the embedded AWS's stand-in in memory."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from typer.testing import CliRunner

from enroll.api import Api as ApiClient
from enroll.api import ApiError
from enroll.commands import send as sending
from enroll.commands.send import put
from enroll.main import app
from enroll.record_import import RecordImport
from enrollment.catalog import EVENT_TYPES
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.values import iso, read_instant
from enrollment.entrypoints.bootstrap import now
from tests.support.aws import REGION, aws
from tests.support.command_line import answer, run
from tests.support.portal import Api
from tests.support.scenario import event, flow

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


def file(folder: Path, *documents: Any, name: str = "flows.json") -> str:
    path = folder / name
    path.write_text(json.dumps(list(documents) if len(documents) != 1 else documents[0]), encoding="utf-8")
    return str(path)


def test_the_life_of_a_flow(portal: Api, tmp_path: Path) -> None:
    document = {**flow({"id": 1, "event": "forms.submitted"}), "name": "First", "actions": [{"kept": True}]}
    path = file(tmp_path, document)

    (stored,) = answer("flows", "put", path)
    assert (stored["id"], stored["revisionId"], stored["outcome"]) == ("1", "1", "created")
    assert [result["outcome"] for result in answer("flows", "put", path)] == ["unchanged"]
    assert answer("flows", "show", "1")["actions"] == [{"kept": True}]
    assert [result["isEnabled"] for result in answer("flows", "off", "1")] == [False]
    assert [result["revisionId"] for result in answer("flows", "on", "1")] == ["3"]
    assert [(result["revisionId"], result["outcome"]) for result in answer("flows", "on", "1")] == [("3", "on already")]
    assert "Nothing was changed: flow 1 was on already." in run("flows", "on", "1").stderr
    assert "First" in run("flows", "list").stdout
    assert answer("flows", "list", "--portal", "p2") == []
    assert run("flows", "list", "--portal", "p2").stderr == "There are no flows in portal p2.\n"
    run("flows", "delete", "1", "--yes")
    assert [flow["id"] for flow in answer("flows", "list")] == ["1001", "1002"]
    for command in ("show", "on", "off", "delete"):
        run("flows", command, "1", code=4)


def test_flows_are_kept_as_files(portal: Api, tmp_path: Path) -> None:
    folder = tmp_path / "flows"
    assert {flow["id"] for flow in answer("flows", "pull", str(folder))} == {"1001", "1002"}
    assert run("flows", "diff", str(folder), "--exit-code").stdout == ""
    assert {result["outcome"] for result in answer("flows", "put", str(folder))} == {"unchanged"}

    (path,) = folder.glob("1001*.json")
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "name": "Renamed"}))
    shown = run("flows", "diff", str(folder), "--exit-code", code=1).stdout
    assert '+  "name": "Renamed"' in shown
    assert "1002" not in shown
    outcomes = {result["id"]: result["outcome"] for result in answer("flows", "put", str(folder))}
    assert outcomes == {"1001": "changed", "1002": "unchanged"}

    portal.world.authoring.delete("p1", "1002", portal.world.now)
    pulled = run("flows", "pull", str(folder))
    assert "flow 1002 is not in portal p1" in pulled.stderr
    assert path.read_text() == json.dumps({**document, "name": "Renamed"}), "the same flow: the file is left as it was"


def test_differences_are_listed_as_json(portal: Api, tmp_path: Path) -> None:
    folder = tmp_path / "flows"
    run("flows", "pull", str(folder))
    assert {(flow["id"], flow["state"]) for flow in answer("flows", "diff", str(folder), "--exit-code")} == {
        ("1001", "unchanged"),
        ("1002", "unchanged"),
    }
    (path,) = folder.glob("1001*.json")
    document = json.loads(path.read_text())
    document["name"] = "Renamed"
    document["x-note"] = [1]
    filters = document["enrollmentCriteria"]["eventFilterBranches"][0]["filters"]
    filters[0]["operation"]["values"] = ["f-2", "f-3"]
    path.write_text(json.dumps(document))
    file(folder, flow({"id": 1003, "event": "workflows.enrolled"}), name="new.json")

    shown = run("flows", "diff", str(folder), "--exit-code", "--json", code=1)
    changed, unchanged, new = json.loads(shown.stdout)
    values = "$.enrollmentCriteria.eventFilterBranches[0].filters[0].operation.values"
    assert changed == {
        "file": str(path),
        "id": "1001",
        "revisionId": "1",
        "state": "changed",
        "changes": [
            {"path": f"{values}[0]", "change": "changed", "before": "f-1", "after": "f-2"},
            {"path": f"{values}[1]", "change": "added", "before": None, "after": "f-3"},
            {"path": "$.name", "change": "changed", "before": "Flow 1001", "after": "Renamed"},
            {"path": "$['x-note']", "change": "added", "before": None, "after": [1]},
        ],
        "warnings": [],
    }
    assert (unchanged["state"], unchanged["changes"]) == ("unchanged", [])
    assert (new["state"], new["revisionId"], new["changes"][0]["change"]) == ("new", None, "added")
    assert "closes a loop" in new["warnings"][0]


def test_old_triggers_are_replaced_only_on_request(portal: Api, tmp_path: Path) -> None:
    filters = {
        "type": "LIST_BASED",
        "listFilterBranch": {"filterBranchType": "OR", "filterBranches": [], "filters": []},
    }
    document = {"id": "5", "type": "CONTACT_FLOW", "isEnabled": False, "enrollmentCriteria": filters}
    run("flows", "put", file(tmp_path, document, name="old.json"))
    path = file(tmp_path, {**flow({"id": 5, "event": "forms.submitted"})}, name="new.json")

    refused = run("flows", "put", path, code=5)
    assert "$.enrollmentCriteria.listFilterBranch" in refused.stderr
    assert [result["outcome"] for result in answer("flows", "put", path, "--replace-triggers")] == ["changed"]


def test_fault_in_one_flow_stores_no_flow_and_reports_all_faults(portal: Api, tmp_path: Path) -> None:
    good = flow({"id": 1, "event": "forms.submitted"})
    bad = flow({"id": 2, "event": "forms.submited", "where": [["hs_form_id", "IS_KNOWN"]]}) | {"goalFilterBranch": "x"}
    nameless = {key: value for key, value in good.items() if key != "id"}

    result = run("flows", "put", file(tmp_path, good, bad, nameless, good), code=2)

    assert "did you mean forms.submitted?" in result.stderr
    for part in ("$.goalFilterBranch", "got no value", "expected each ID once; got 1 2 times"):
        assert part in result.stderr
    assert [flow["id"] for flow in answer("flows", "list")] == ["1001", "1002"]


def test_faults_of_all_files_are_reported_when_one_file_is_not_json(portal: Api, tmp_path: Path) -> None:
    bad = flow({"id": 2, "event": "forms.submitted"})
    bad["enrolmentCriteria"] = bad.pop("enrollmentCriteria")
    file(tmp_path, bad, name="1-bad.json")
    file(tmp_path, flow({"id": 3, "event": "forms.submitted"}), name="3-good.json")
    (tmp_path / "2-broken.json").write_text("{", encoding="utf-8")
    (tmp_path / "4-bytes.json").write_bytes(b"\xff")

    result = run("flows", "check", str(tmp_path), "--json", code=2)
    faults = {Path(report["file"]).name: report["faults"] for report in json.loads(result.stdout)}
    assert {name for name, messages in faults.items() if messages} == {"1-bad.json", "2-broken.json", "4-bytes.json"}
    assert faults["2-broken.json"][0].startswith("expected JSON; ")
    assert "did you mean enrollmentCriteria?" in faults["1-bad.json"][0]
    shown = run("flows", "check", str(tmp_path), code=2).stdout
    assert "2-broken.json: not a flow" in shown

    for command in (("put", str(tmp_path), "--strict"), ("diff", str(tmp_path))):
        refused = run("flows", *command, code=2).stderr.replace("\n", "")
        assert "2-broken.json: expected JSON" in refused
        assert "4-bytes.json: expected UTF-8" in refused
    strict = run("flows", "put", str(tmp_path), "--strict", code=2)
    assert "did you mean enrollmentCriteria?" in strict.stderr.replace("\n", "")
    assert [flow["id"] for flow in answer("flows", "list")] == ["1001", "1002"]


SCHEDULED = {
    "name": "Every Monday",
    "type": "CONTACT_FLOW",
    "isEnabled": True,
    "enrollmentCriteria": {"type": "LIST_BASED", "shouldReEnroll": False},
    "enrollmentSchedule": {"type": "WEEKLY", "daysOfWeek": ["MONDAY"]},
}


def test_flows_that_cannot_run_are_stored_turned_off_with_a_report(portal: Api, tmp_path: Path) -> None:
    good = flow({"id": 3, "event": "forms.submitted"})
    custom = flow({"id": 5, "event": "forms.submitted"}) | {"isEnabled": False}
    custom["enrollmentCriteria"]["eventFilterBranches"][0]["eventTypeId"] = "6-12"
    misspelled = flow({"id": 6, "event": "forms.submited"})
    file(tmp_path, good, {**SCHEDULED, "id": "4"}, custom, misspelled, name="flows.json")
    (tmp_path / "broken.json").write_text("{", encoding="utf-8")

    assert "nothing was stored" in run("flows", "put", str(tmp_path), "--strict", code=2).stderr
    assert [flow["id"] for flow in answer("flows", "list")] == ["1001", "1002"]

    shown = run("flows", "put", str(tmp_path), code=1).stdout
    for line in (
        "Stored, but they cannot run and are off:",
        "  4 Every Monday (LIST_BASED)",
        "    $.enrollmentSchedule: enrollmentSchedule is not supported yet (it enrolls records at times). Remove it",
        "Not stored:",
        "did you mean forms.submitted?",
        "5 flows: 1 stored as they are, 2 stored turned off, 2 not stored.",
    ):
        assert line in shown
    assert {flow["id"]: flow["isEnabled"] for flow in answer("flows", "list")} == {
        **{"1001": True, "1002": True, "3": True},
        **{"4": False, "5": False},
    }
    assert answer("flows", "show", "4")["enrollmentSchedule"] == SCHEDULED["enrollmentSchedule"]
    run("flows", "on", "4", code=2)


def test_report_as_json_names_the_kind_and_the_reasons_of_each_flow(portal: Api, tmp_path: Path) -> None:
    path = file(tmp_path, flow({"id": 3, "event": "forms.submitted"}), {**SCHEDULED, "id": "4"})
    for outcome in ("created", "unchanged"):
        on, off = json.loads(run("flows", "put", path, "--json", code=1).stdout)
        assert (on["outcome"], on["isEnabled"], on["reasons"]) == (outcome, True, [])
        assert (off["outcome"], off["isEnabled"], off["isTurnedOff"]) == (outcome, False, True)
        assert (off["name"], off["kind"]) == ("Every Monday", "LIST_BASED")
        assert [(reason["path"], reason["code"]) for reason in off["reasons"]] == [
            ("$.enrollmentSchedule", "NOT_YET_SUPPORTED"),
            ("$.enrollmentCriteria.listFilterBranch", "NO_CRITERIA"),
        ]
    run("flows", "put", file(tmp_path, {**SCHEDULED, "id": "4", "isEnabled": False}))


def test_difference_of_a_flow_that_cannot_run_is_that_of_the_flow_turned_off(portal: Api, tmp_path: Path) -> None:
    path = file(tmp_path, {**SCHEDULED, "id": "4"})
    (new,) = json.loads(run("flows", "diff", path, "--json").stdout)
    assert [text.partition(": ")[0] for text in new["warnings"]] == [
        "the flow cannot be turned on; $.enrollmentSchedule",
        "the flow cannot be turned on; $.enrollmentCriteria.listFilterBranch",
    ]
    run("flows", "put", path, code=1)
    assert run("flows", "diff", path, "--exit-code").stdout == ""


def test_an_enrollment_is_tested(portal: Api) -> None:
    found = answer("flows", "test", "1001", "101")
    assert found["passed"] is True
    assert "city is any of" in run("flows", "test", "1001", "101").stdout
    run("flows", "test", "1001", "999", code=4)


def test_an_enrollment_is_tested_for_a_record_with_its_type(portal: Api) -> None:
    for record in ("contact/101", "0-1/101", "101"):
        assert answer("flows", "test", "1001", record)["objectId"] == "101"
    refused = run("flows", "test", "1001", "deal/101", code=2).stderr
    assert "expected a record of the flow's type, for example 0-1/101; got 'deal/101'" in refused


def test_a_flow_is_found_by_its_name(portal: Api, tmp_path: Path) -> None:
    documents = [
        {**flow({"id": flow_id, "event": "calls.ended"}), "name": name}
        for flow_id, name in (("31", "A/B test"), ("32", "Calls"), ("33", "calls "), ("34", "32"))
    ]
    run("flows", "put", file(tmp_path, *documents))

    assert answer("flows", "show", "flow 1001")["id"] == "1001"
    assert answer("flows", "off", "A/B test")[0]["id"] == "31"
    assert answer("flows", "test", " FLOW 1001", "contact/101")["flowId"] == "1001"
    assert answer("flows", "show", "32")["name"] == "Calls", "an ID comes before a name"
    assert answer("flows", "on", "a/b TEST")[0]["id"] == "31"

    refused = run("flows", "off", "CALLS", code=2).stderr
    assert "2 flows have the name 'CALLS'" in refused
    assert "32  Calls" in refused
    assert "33  calls" in refused
    for text, similar in (("flow", "1002  Flow 1002"), ("Flow 101", "1001  Flow 1001")):
        missing = run("flows", "show", text, code=4).stderr
        assert f"there is no flow with the ID or the name '{text}' in portal p1. Similar flows:" in missing
        assert similar in missing
    assert "Similar" not in run("flows", "show", "zzz", code=4).stderr
    run("flows", "show", "", code=4)


def test_a_repeated_deletion_does_not_delete_the_flow_that_is_named_like_the_id(portal: Api, tmp_path: Path) -> None:
    documents = [
        {**flow({"id": flow_id, "event": "calls.ended"}), "name": name}
        for flow_id, name in (("32", "Calls"), ("34", "32"))
    ]
    run("flows", "put", file(tmp_path, *documents))
    run("flows", "delete", "32", "--yes")
    run("flows", "delete", "32", "--yes", code=4)
    assert answer("flows", "show", "34")["name"] == "32"


def test_a_deletion_names_the_flow_and_asks(portal: Api) -> None:
    asked = run("flows", "delete", "1001", code=1)
    text = " ".join(asked.stderr.split())
    assert "This deletes the flow 1001, Flow 1001, of the portal p1. It is on, and stops enrolling records." in text
    assert "Delete flow 1001? [y/N]" in text
    assert answer("flows", "show", "1001")["id"] == "1001"

    assert CliRunner().invoke(app, ["flows", "delete", "1001"], input="y\n").stdout.endswith("Deleted flow 1001.\n")
    run("flows", "show", "1001", code=4)


def test_an_explanation_of_a_flow_has_only_events_that_can_trigger_it(portal: Api) -> None:
    world = portal.world
    for number in range(30):
        world.deliver(event({"calls.ended": "101", "id": f"c{number}", "at": iso(world.now + number)}))
    world.put_flow(flow({"id": 3, "event": "meetings.booked"}) | {"name": "Meetings"})
    world.put_flow(flow({"id": 4, "event": "calls.ended"}))

    explained = answer("explain", "--record", "contact/101", "--flow", "Flow 1001", "--last", "5")
    assert [result["event"]["id"] for result in explained["results"]] == ["e1"]
    assert explained["eventTypes"] == ["forms.submitted"]
    calls = answer("explain", "--record", "contact/101", "--flow", "4", "--last", "3")
    assert [result["event"]["id"] for result in calls["results"]] == ["c29", "c28", "c27"]

    shown = run("explain", "--record", "contact/101", "--flow", "meetings").stderr
    assert shown.startswith("No such event of contact/101 since 2026-10-2")
    assert "flow 3 is triggered by meetings.booked." in shown
    assert "No event of contact/103 since" in run("explain", "--record", "contact/103").stderr
    # An event that is named is explained, even if it does not trigger the flow.
    named = answer("explain", "--record", "contact/101", "--flow", "3", "--event", "c1")
    assert "has no trigger" in named["results"][0]["decisions"][0]["because"]
    # The decisions of a deleted flow are explained on all events.
    run("flows", "delete", "3", "--yes")
    assert len(answer("explain", "--record", "contact/101", "--flow", "3")["results"]) == 10
    run("explain", "--record", "contact/101", "--flow", "9", code=4)


def test_who_one_is(portal: Api) -> None:
    found = answer("portal", "show")
    assert found["portalId"] == "p1"
    assert found["flows"] == {"on": 2, "off": 0}
    assert "enroll/flows.write" in run("portal", "show").stdout


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"{", "line 1, column 2"), (b"\xff", "expected UTF-8"), (b"[1]", "element 0 is int"), (b"[" * 99_999, "nested")],
)
def test_a_broken_file_is_named(stack: Any, tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "broken.json"
    path.write_bytes(content)
    result = run("flows", "put", str(path), "--portal", "p1", code=2)
    assert str(path) in result.stderr.replace("\n", "")
    assert expected in result.stderr


def test_missing_or_foreign_stack_is_reported(stack: Any) -> None:
    assert "--stack" in run("flows", "list", "--portal", "p", "--stack", "nope", code=3).stderr
    assert "no output FlowsTableName" in run("flows", "list", "--portal", "p", "--stack", "other", code=3).stderr


def test_the_catalog() -> None:
    assert len(answer("catalog")) == len(EVENT_TYPES)
    assert {event_type["category"] for event_type in answer("catalog", "--category", "email")} == {"email"}
    submitted = answer("catalog", "--event", "4-1639801")
    assert submitted["eventType"] == "forms.submitted"
    assert "hs_form_id" in {property_["name"] for property_ in submitted["properties"]}
    assert "Form submission" in run("catalog").stdout
    assert "did you mean forms.submitted?" in run("catalog", "--event", "forms.submited", code=4).stderr
    run("catalog", "--category", "nope", code=4)


def test_a_record_with_its_enrollments(portal: Api) -> None:
    run("records", "show", "contact/101")
    found = answer("records", "show", "0-1/101")

    assert found["properties"]["city"] == {"value": "Dublin", "changedAt": "1970-01-01T00:00:01.000Z"}
    assert [enrollment["flowId"] for enrollment in found["enrollments"]] == ["1001"]
    run("records", "show", "contact/101", "--portal", "p2", code=4)
    run("records", "show", "contact", code=2)


UNUSUAL_IDS = ("a/b", "a?b", "50%", "50%25", "a#b", "a+b", "a b", "日本", "..", "a/")


@pytest.fixture
def requested(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that the commands ask the API for, as they stand on the wire."""
    paths: list[str] = []
    send = ApiClient._send

    def noted(api: ApiClient, method: str, path: str, *rest: Any) -> Any:
        paths.append(path)
        return send(api, method, path, *rest)

    monkeypatch.setattr(ApiClient, "_send", noted)
    return paths


@pytest.mark.parametrize("record", UNUSUAL_IDS)
def test_a_record_of_any_id_is_shown_and_explained(
    portal: Api, requested: list[str], tmp_path: Path, record: str
) -> None:
    rows = [{"id": record_id, "properties": {"name": record_id}} for record_id in (record, "a", "50", "50%")]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows if rows.index(row) == 0 or row["id"] != record))
    run("records", "import", str(path))

    found = answer("records", "show", f"contact/{record}")
    assert (found["objectId"], found["properties"]["name"]["value"]) == (record, record)
    assert found["enrollments"] == []
    run("explain", "--record", f"contact/{record}")
    run("flows", "test", "1001", record)
    run("records", "show", f"contact/{record}x", code=4)

    assert requested
    for url in requested:
        assert not {"%2F", "%3F", "%23", "%25"} & {url[at : at + 3] for at in range(len(url))}, url
        assert ".." not in url.split("/")


def test_a_portal_allows_sources(portal: Api) -> None:
    found = answer("portal", "set", "--allow-source", "acme.website", "--allow-source", "acme.crm")
    assert found["allowedSources"] == ["acme.website", "acme.crm"]
    assert "acme.website, acme.crm" in run("portal", "show").stdout
    assert answer("portal", "set", "--time-zone", "Europe/Dublin")["allowedSources"] == ["acme.website", "acme.crm"]
    run("portal", "set", "--allow-source", "x", "--allow-any-source", code=2)
    assert "every source" in run("portal", "set", "--allow-any-source").stdout
    assert answer("portal", "show")["allowedSources"] == []


@pytest.mark.parametrize("flow_id", ["a/b", "a?b", "50%", "a#b", ".."])
def test_a_flow_whose_id_no_path_can_carry_is_not_sent(
    portal: Api, requested: list[str], tmp_path: Path, flow_id: str
) -> None:
    before = repr(portal.world.flows.list("p1", 100))
    good, bad = (flow({"id": id_, "event": "forms.submitted"}) for id_ in ("2001", flow_id))
    run("flows", "put", file(tmp_path, good, bad), code=2)
    assert "expected an ID for a URL path" in run("flows", "delete", flow_id, code=2).output
    assert "there is no flow with the ID or the name" in run("flows", "test", flow_id, "101", code=4).output
    assert repr(portal.world.flows.list("p1", 100)) == before
    run("flows", "show", flow_id, code=4)
    assert not [url for url in requested if "%" in url or ".." in url]


def test_api_that_does_not_respond_is_reported() -> None:
    errors = run("flows", "list", "--portal", "p", "--api", "http://127.0.0.1:1", code=3).stderr
    assert "--api" in errors
    assert "--api" in run("flows", "list", "--portal", "p", "--api", "nonsense", code=2).stderr


def test_records_are_imported_and_refused_rows_reported(portal: Api, tmp_path: Path) -> None:
    lines = [f"n{number},city {number}," for number in range(230)]
    lines[7] = "n7,,3"
    lines[150] = ",no id,"
    lines[151] = "n151,too,many,cells"
    lines[152] = "n152," + "x" * 9000 + ","
    lines.append("n0,again,")
    path = tmp_path / "contacts.csv"
    path.write_text("id,city,age\n" + "\n".join(lines) + "\n", encoding="utf-8")

    result = run("records", "import", str(path), "--json", code=1)

    counts = json.loads(result.stdout)
    assert {**counts, "report": None} == {"rows": 231, "created": 227, "changed": 1, "refused": 3, "report": None}
    refused = [json.loads(line) for line in Path(counts["report"]).read_text(encoding="utf-8").splitlines()]
    assert [fault["line"] for fault in refused] == [152, 153, 154]
    assert "8,192" in refused[2]["refused"]
    assert not (tmp_path / "contacts.csv.progress.json").exists()
    stored = answer("records", "show", "contact/n0")
    assert stored["properties"]["city"]["value"] == "again"
    assert set(answer("records", "show", "contact/n7")["properties"]) == {"age"}


def test_interrupted_import_is_resumed(portal: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "deals.jsonl"
    rows = [{"id": str(number), "properties": {"amount": number}} for number in range(250)]
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    sent: list[int] = []
    call = ApiClient.call

    def counting(api: ApiClient, method: str, path: str, body: Any = None, query: Any = None) -> Any:
        if len(sent) == 2:
            sent.append(0)
            raise ApiError(500, {"message": "cut off"})
        sent.append(len(body["inputs"]))
        return call(api, method, path, body, query)

    monkeypatch.setattr(ApiClient, "call", counting)
    assert "cut off" in run("records", "import", str(path), "--type", "deal", code=1).stderr
    result = run("records", "import", str(path), "--type", "deal")

    assert sent == [100, 100, 0, 50]
    assert "Resuming after 200 rows" in result.stdout
    assert "250 rows: 250 created, 0 changed, 0 refused" in result.stdout


def test_import_refuses_a_line_whose_properties_are_beside_the_id(portal: Api, tmp_path: Path) -> None:
    path = tmp_path / "flat.jsonl"
    path.write_text('{"id": "flat-1", "email": "ann@example.com"}\n', encoding="utf-8")

    result = run("records", "import", str(path), code=1)

    assert "1 row: 0 created, 0 changed, 1 refused." in result.stdout
    (refused,) = (tmp_path / "flat.jsonl.refused.jsonl").read_text(encoding="utf-8").splitlines()
    assert "got the keys email beside the ID" in json.loads(refused)["refused"]
    run("records", "show", "contact/flat-1", code=4)


def test_import_of_ids_alone_creates_records_without_properties(portal: Api, tmp_path: Path) -> None:
    path = tmp_path / "ids.jsonl"
    path.write_text('{"id": "bare-1"}\n', encoding="utf-8")
    assert "1 row: 1 created, 0 changed, 0 refused." in run("records", "import", str(path)).stdout
    assert answer("records", "show", "contact/bare-1")["properties"] == {}


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("x.txt", "", ".csv or .jsonl"),
        ("x.csv", "a,b\n1,2\n", "--id-column"),
        ("x.csv", "id,a,a\n1,2,3\n", "twice"),
        ("none.csv", None, "No such file"),
    ],
)
def test_file_that_cannot_be_imported_is_reported(
    portal: Api, tmp_path: Path, name: str, content: str | None, expected: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_text(content, encoding="utf-8")
    assert expected in run("records", "import", str(path), code=2).stderr


def test_sent_events_are_on_the_bus(stack: Any, tmp_path: Path) -> None:
    path = file(tmp_path, *[event({"forms.submitted": "101", "id": f"e{n}"}) for n in range(23)])
    assert answer("send", path, "--now", "--new-id", "--portal", "p9") == {"sent": 23, "refused": []}
    run("send", file(tmp_path, {"detail": {}}, name="none.json"), code=2)


@pytest.mark.parametrize("detail_fields", [{}, {"occurredAt": None}, {"occurredAt": "2026-11-23T10:00:00Z"}])
@pytest.mark.parametrize("options", [[], ["--now"]])
def test_sent_event_gets_a_time_with_milliseconds_if_it_has_none(
    stack: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, detail_fields: dict[str, Any], options: list[str]
) -> None:
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(sending, "put_batch", lambda _, batch: sent.extend(batch) or {})
    envelope = event({"forms.submitted": "101", "id": "e"})
    del envelope["detail"]["occurredAt"]
    before = now()

    run("send", file(tmp_path, {**envelope, "detail": {**envelope["detail"], **detail_fields}}), *options)

    occurred_at = json.loads(sent[0]["Detail"])["occurredAt"]
    if detail_fields.get("occurredAt") and not options:
        assert occurred_at == detail_fields["occurredAt"]
    else:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", occurred_at)
        found = read_instant(occurred_at)
        assert found is not None
        assert before <= found <= now()


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


def test_entries_that_the_bus_refuses_are_retried_and_finally_reported() -> None:
    entries = [{"DetailType": f"forms.{n}", "Detail": "{}"} for n in range(3)]
    patient = Refusing(2)
    assert put(patient, entries) == []
    assert patient.calls == [3, 1, 1]
    assert put(Refusing(99), entries) == ["forms.0: ThrottlingException slow down"]


def test_large_events_share_no_call_that_would_be_too_large() -> None:
    bus = Refusing(0)
    entries = [{"DetailType": "forms.submitted", "Detail": "\u4e2d" * 40_000} for _ in range(5)]
    assert put(bus, entries) == []
    assert bus.calls == [2, 2, 1]


def test_invoke_without_a_local_run_says_what_to_do(tmp_path: Path) -> None:
    path = file(tmp_path, event({"forms.submitted": "101", "id": "e"}), name="event.json")
    assert "make run" in run("invoke", "forms", "-e", path, "--lambda-port", "1", code=3).stderr
    run("invoke", "nope", "-e", path, code=2)


def test_rows_of_an_import_that_no_request_can_carry_together(portal: Api, tmp_path: Path) -> None:
    lines = [json.dumps({"id": f"w{n}", "properties": {"a": "x" * 8000, "b": "x" * 4000}}) for n in range(100)]
    lines[3] = '{"id": "w3", "properties": {"a": NaN}}'
    lines[5] = '{"id": "w5", "properties": {"a": 1e999}}'
    lines[7] = '{"id": "w7", "properties": {"a": "\\ud800"}}'
    lines[9] = '{"id": "w9", "properties": ' + "[" * 80 + "]" * 80 + "}"
    path = tmp_path / "wide.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")

    counts = json.loads(run("records", "import", str(path), "--json", code=1).stdout)

    assert (counts["created"], counts["refused"]) == (96, 4)
    refused = [json.loads(line)["line"] for line in Path(counts["report"]).read_text().splitlines()]
    assert refused == [4, 6, 8, 10]


def test_an_interrupted_import_reports_no_row_twice(
    portal: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "c.csv"
    path.write_text("id,a\n" + "\n".join(f"r{n},{n}" if n % 90 else ",x" for n in range(1, 250)), encoding="utf-8")
    note, noted = RecordImport._save_progress, []

    def interrupted(work: RecordImport) -> None:
        noted.append(work.done)
        if len(noted) == 2:
            raise KeyboardInterrupt
        note(work)

    monkeypatch.setattr(RecordImport, "_save_progress", interrupted)
    CliRunner().invoke(app, ["records", "import", str(path)])
    counts = json.loads(run("records", "import", str(path), "--json", code=1).stdout)
    lines = [json.loads(line)["line"] for line in Path(counts["report"]).read_text().splitlines()]
    assert lines == [91, 181]


def test_file_is_rejected_if_its_revision_is_not_current(portal: Api, tmp_path: Path) -> None:
    document = flow({"id": 1, "event": "forms.submitted"}) | {"revisionId": "77", "name": "a"}
    path = file(tmp_path, document)
    assert [result["outcome"] for result in answer("flows", "put", path)] == ["created"]
    run("flows", "put", file(tmp_path, document | {"name": "b"}), code=5)
    run("flows", "put", file(tmp_path, document | {"name": "b", "revisionId": "1"}))


def test_keys_that_a_flow_keeps_are_not_a_difference(portal: Api, tmp_path: Path) -> None:
    document = flow({"id": 1, "event": "forms.submitted"})
    run("flows", "put", file(tmp_path, document | {"dataSources": [{"name": "x"}]}))
    path = file(tmp_path, document)
    assert [result["outcome"] for result in answer("flows", "put", path)] == ["unchanged"]
    assert run("flows", "diff", path, "--exit-code").stdout == ""


def test_each_flow_is_pulled_into_its_own_file(portal: Api, tmp_path: Path) -> None:
    ids = ["a/b", "a:b", "日" * 64]
    for id_ in ids:
        portal.world.put_flow(flow({"id": id_, "event": "forms.submitted"}) | {"name": "n" * 100})
    answer("flows", "pull", str(tmp_path / "all"))
    found = {json.loads(path.read_text(encoding="utf-8"))["id"] for path in (tmp_path / "all").glob("*.json")}
    assert found == {"1001", "1002", *ids}

    (tmp_path / "some").mkdir()
    several = file(tmp_path / "some", {"id": "1001"}, {"id": "99"})
    assert "a list of flows" in run("flows", "pull", str(tmp_path / "some"), code=2).stderr
    assert len(json.loads(Path(several).read_text())) == 2
    run("flows", "pull", several, code=2)


@pytest.mark.parametrize("content", ['"a"b,id\n1,2\n', 'id,a\n"1"x,2\n'])
def test_malformed_heading_is_reported(portal: Api, tmp_path: Path, content: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(content, encoding="utf-8")
    assert "line" in run("records", "import", str(path), code=2).stderr
    (tmp_path / "x.csv.progress.json").write_text("[1]")
    run("flows", "list", "--api", "http://[", code=2)


def test_flows_are_explained_without_a_stack(tmp_path: Path) -> None:
    good = file(tmp_path, flow({"id": 1, "event": "forms.submitted"}), name="good.json")
    (found,) = answer("flows", "check", good)
    assert found["explanation"] == ["Enrolls a contact the first time this happens: form submission (forms.submitted)."]
    assert "Enrolls a contact" in run("flows", "check", good).stdout
    bad = file(tmp_path, flow({"id": 2, "event": "forms.submited"}), name="bad.json")
    assert "did you mean forms.submitted?" in run("flows", "check", good, bad, code=2).stdout.replace("\n", "")


def test_loop_of_flows_is_reported_by_put_diff_and_check(portal: Api, tmp_path: Path) -> None:
    def after(flow_id: int, before: int) -> dict[str, Any]:
        where = [["hs_flow_id", "IS_ANY_OF", [str(before)]]]
        return flow({"id": flow_id, "event": "workflows.enrolled", "where": where})

    first, second = file(tmp_path, after(1, 2), name="1.json"), file(tmp_path, after(2, 1), name="2.json")
    assert "1 > 2 > 1" in run("flows", "check", first, second).stdout
    assert "Warning" not in run("flows", "check", first).stdout
    assert "Warning" not in run("flows", "put", first).stderr
    assert "flow 2: it closes a loop" in run("flows", "diff", second).stderr
    assert "2 > 1 > 2" in run("flows", "put", second).stderr
    run("flows", "off", "1")
    assert "1 > 2 > 1" in run("flows", "on", "1").stderr
    assert run("flows", "diff", first).stderr == "", "what is the same is not told again"


# Decisions ------------------------------------------------------------------------------------------------------------


def test_an_event_is_simulated_against_drafts_for_a_record_of_a_file(
    portal: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The clock of the portal in memory stands still.
    monkeypatch.setattr("enroll.commands.simulate.now", lambda: portal.world.now)
    sent = event({"forms.submitted": "101", "id": "e-9", "portal": "other", "properties": {"hs_form_id": "f-1"}})
    path = file(tmp_path, sent, name="event.json")
    draft = file(tmp_path, flow({"id": 7, "event": "forms.submitted", "criteria": [["city", "IS_EQUAL_TO", "Cork"]]}))
    record = file(tmp_path, {"properties": {"city": "Bray"}}, name="record.json")

    shown = run("simulate", path, "--flow", draft, "--record", record, "--details").stdout
    assert "Flow 7 (7)" in shown
    assert "FILTERED_OUT" in shown
    assert 'city is "Cork", found "Bray"' in shown
    assert '✗ city is "Cork": found "Bray"' in shown
    assert answer("simulate", path, "--flow", draft)["decisions"][0]["code"] == "FILTERED_OUT"
    assert [decision["flowId"] for decision in answer("simulate", path, "--now")["decisions"]] == ["1001"]
    called = file(tmp_path, event({"calls.ended": "101", "id": "e"}), name="call.json")
    assert "no flow of its object type is triggered by it" in run("simulate", called).stdout
    refused = file(tmp_path, {**sent, "source": 3}, name="bad.json")
    assert "INVALID_ENVELOPE" in run("simulate", refused, code=2).stderr
    assert portal.world.enrollments.items.keys() == {(RecordKey("p1", "0-1", "101"), "1001", None)}


def test_why_a_record_did_not_enroll(portal: Api) -> None:
    world = portal.world
    for number in range(3):
        at = iso(world.now + number)
        world.deliver(
            event({"forms.submitted": "101", "id": f"s{number}", "at": at, "properties": {"hs_form_id": "f-9"}})
        )
    result = run("explain", "--record", "contact/101")
    shown = result.stdout
    assert shown.index("s2") < shown.index("s0") < shown.index("e1")
    assert 'form is "f-1", found "f-9"' in shown
    assert "its message is published" in shown
    assert "4 events of contact/101; the history reaches back to" in result.stderr
    explanation = run("explain", "--record", "0-1/101", "--event", "s1", "--flow", "1001").stdout
    assert "✗ trigger group 0: forms.submitted" in explanation
    assert '✗ hs_form_id is "f-1": found "f-9"' in explanation
    assert '✓ city is any of "Dublin" or "Cork": found "Dublin"' in explanation
    assert [result["event"]["id"] for result in answer("explain", "--record", "0-1/101", "--last", "2")["results"]] == [
        "s2",
        "s1",
    ]
    run("explain", "--record", "0-1/101", "--event", "none", code=4)
    run("explain", "--record", "101", code=2)


def test_whom_a_draft_would_have_enrolled(portal: Api, tmp_path: Path) -> None:
    world = portal.world
    for number in range(150):
        fields = {"id": f"s{number}", "at": iso(world.now + number), "record": {"town": f"Town {number % 3}"}}
        world.deliver(event({"forms.submitted": str(500 + number % 6), **fields}))
    draft = file(tmp_path, flow({"id": 9, "event": "forms.submitted", "criteria": [["town", "IS_EQUAL_TO", "Town 1"]]}))
    result = run("flows", "preview", draft, "--last", "130")
    shown = result.stdout
    assert "2 records would have been enrolled, by 130 events from" in result.stderr
    assert 'town is "Town 1", found "Town 2"' in shown
    assert "by an earlier event" in shown
    whole = answer("flows", "preview", draft)
    assert (sorted(whole["records"]), len(whole["decisions"])) == (["0-1/501", "0-1/504"], 151)
    called = file(tmp_path, flow({"id": 9, "event": "calls.ended"}), name="calls.json")
    assert "no event that could trigger the flow" in run("flows", "preview", called).stdout
    run("flows", "preview", file(tmp_path, flow({"id": 1}), flow({"id": 2}), name="two.json"), code=2)


def test_the_impact_of_a_draft_is_shown(portal: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The clock of the portal in memory stands still.
    monkeypatch.setattr("enroll.commands.flow_impact.now", lambda: portal.world.now)
    world = portal.world
    for number in range(150):
        fields = {"id": f"s{number}", "at": iso(world.now + number), "record": {"town": f"Town {number % 3}"}}
        world.deliver(event({"forms.submitted": str(500 + number % 6), **fields}))
    old = event({"forms.submitted": "500", "id": "old", "at": iso(world.now - 8 * 86_400_000)})
    world.deliver(old)
    saved = {"id": 9, "event": "forms.submitted", "criteria": [["town", "IS_ANY_OF", ["Town 0", "Town 1"]]]}
    run("flows", "put", file(tmp_path, flow(saved), name="saved.json"))
    changed = {**saved, "re_enroll": True, "criteria": [["town", "IS_ANY_OF", ["Town 1", "Town 2"]]], "enabled": False}
    draft = file(tmp_path, flow(changed), name="draft.json")

    whole = answer("flows", "impact", draft)
    assert (sorted(whole["gained"]), sorted(whole["lost"])) == (["0-1/502", "0-1/505"], ["0-1/500", "0-1/503"])
    entries = {record["record"]: (record["saved"], record["draft"], record["change"]) for record in whole["records"]}
    assert entries == {
        "0-1/500": (1, 0, "lost"),
        "0-1/501": (1, 25, "more"),
        "0-1/502": (0, 25, "gained"),
        "0-1/503": (1, 0, "lost"),
        "0-1/504": (1, 25, "more"),
        "0-1/505": (0, 25, "gained"),
    }
    assert (whole["events"], whole["savedRevisionId"]) == (151, "1")
    lost = next(record for record in whole["records"] if record["record"] == "0-1/500")
    assert lost["because"] == 'draft: town is any of "Town 1" or "Town 2", found "Town 0"'

    result = run("flows", "impact", draft, "--last", "2w")
    shown = result.stderr
    assert "2 records gained, 2 records lost, by 152 events since" in shown
    assert "Saved flow: 4 records, 4 entries." in shown
    assert "Draft: 4 records, 100 entries." in shown
    assert "The draft is off. It is compared as if it were on." in shown
    header, *rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert header == ["record", "change", "saved", "draft", "why"]
    assert [row[1] for row in rows] == ["lost"] * 2 + ["gained"] * 2 + ["more"] * 2

    new = file(tmp_path, flow({**saved, "id": 10}), name="new.json")
    assert "Flow 10 is not saved, so every entry is gained." in run("flows", "impact", new).stderr
    called = file(tmp_path, flow({"id": 10, "event": "calls.ended"}), name="calls.json")
    assert "No event since" in run("flows", "impact", called).stderr
    for period in ("7", "0d", "d", "7y", "-1d", "999999d"):
        assert "for example 30m, 12h, 7d or 2w; got" in run("flows", "impact", draft, f"--last={period}", code=2).stderr
    assert answer("flows", "show", "9")["revisionId"] == "1", "nothing is stored"


def test_relist_lists_the_flows_that_an_earlier_version_stored(portal: Api) -> None:
    assert run("flows", "relist").stdout == "All flows are listed as needed.\n"
    portal.world.flows.forget("p1", "1001", "forms.submitted")

    shown = run("flows", "relist", "--dry-run", code=1)
    assert "1001" in shown.stdout
    assert "1 flow to be listed again" in shown.stderr
    before = portal.world.flows.get("p1", "1001")
    assert [flow["flowId"] for flow in answer("flows", "relist")["results"]] == ["1001"]

    assert portal.world.flows.get("p1", "1001") == before
    assert "1001" in {flow.id for flow in portal.world.flows.candidates("p1", "0-1", ["forms.submitted"])}
    assert answer("flows", "relist") == {"results": []}
