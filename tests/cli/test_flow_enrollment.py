"""`enroll flows enroll`: one record, and the records of a file, which resumes."""

import json
from pathlib import Path
from typing import Any

import pytest

from enroll.api import Api as ApiClient
from enroll.api import ApiError
from enroll.enrollment_import import BATCH_ROWS
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.record import Record
from tests.support.command_line import answer, run
from tests.support.portal import Api
from tests.support.scenario import flow

ADA = RecordKey("p1", "0-1", "101")


@pytest.fixture(autouse=True)
def flows(portal: Api) -> None:
    """A flow that enrolls each record once, and one that enrolls again."""
    for flow_id, re_enroll in (("7", False), ("8", True)):
        criteria = {"type": "MANUAL", "shouldReEnroll": re_enroll}
        document = {"id": flow_id, "name": f"By hand {flow_id}", "type": "CONTACT_FLOW", "isEnabled": True}
        portal.world.put_flow({**document, "enrollmentCriteria": criteria})


def records(portal: Api, count: int) -> list[str]:
    ids = [f"n{number}" for number in range(count)]
    for object_id in ids:
        key = RecordKey("p1", "0-1", object_id)
        portal.world.put_record(key, Record(key, 1_000))
    return ids


def csv(folder: Path, *lines: str) -> Path:
    path = folder / "contacts.csv"
    path.write_text("\n".join(("id,city", *lines)) + "\n", encoding="utf-8")
    return path


def test_record_is_enrolled_by_its_id_and_by_the_name_of_the_flow(portal: Api) -> None:
    shown = run("flows", "enroll", "by HAND 7", "contact/103").stdout
    assert shown.startswith("Enrolled record contact/103 in flow 7: enrollment 01TEST")
    assert "ALREADY_ENROLLED: enrolled before, by event manual:cli-" in run("flows", "enroll", "7", "103").stdout
    assert "UNKNOWN_RECORD" in run("flows", "enroll", "7", "999", code=1).stdout


def test_explanation_of_a_flow_without_events_shows_the_manual_enrollment(portal: Api) -> None:
    run("flows", "enroll", "7", "103")
    assert "workflows.manual" in run("explain", "--record", "contact/103", "--flow", "7").stdout
    requested = answer("explain", "--record", "contact/103", "--flow", "7")["requested"]
    assert [(result["event"]["eventType"], result["decisions"][0]["flowId"]) for result in requested] == [
        ("workflows.manual", "7")
    ]
    assert answer("explain", "--record", "contact/103", "--flow", "1001")["requested"] == []


def test_explanation_of_a_flow_without_events_says_how_records_enter_it(portal: Api) -> None:
    assert "records enter it by hand" in run("explain", "--record", "contact/103", "--flow", "7").stderr


def test_key_names_the_request(portal: Api) -> None:
    decisions = [answer("flows", "enroll", "8", "103", "--key", key) for key in ("k1", "k1", "k2")]
    assert [decision["code"] for decision in decisions] == ["ENROLLED"] * 3
    assert len({decision["enrollmentId"] for decision in decisions}) == 2


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["7"], 2, "expected a record, for example contact/101, or --file; got neither"),
        (["7", "103", "--file", "x.csv"], 2, "got both"),
        (["7", "--file", "x.csv", "--key", "k"], 2, "--key: expected it with one record"),
        (["7", "--file", "none.csv"], 2, "No such file"),
        (["7", "deal/103"], 2, "expected a record of the flow's type, for example 0-1/103"),
        (["nothing", "103"], 4, "there is no flow"),
    ],
)
def test_wrong_arguments_are_explained(portal: Api, arguments: list[str], code: int, message: str) -> None:
    assert message in run("flows", "enroll", *arguments, code=code).stderr.replace("\n", " ")


def test_flow_that_is_off_is_a_conflict(portal: Api) -> None:
    run("flows", "off", "7")
    assert "flow 7 is off. Turn it on" in run("flows", "enroll", "7", "103", code=5).stderr


def test_records_of_a_file_are_enrolled_and_the_others_reported(portal: Api, tmp_path: Path) -> None:
    ids = records(portal, 230)
    path = csv(tmp_path, *(f"{object_id},Cork" for object_id in ids), ",no id", "999,Cork", "n0,again", "x" * 129 + ",")

    counts = json.loads(run("flows", "enroll", "7", "--file", str(path), "--json", code=1).stdout)

    assert counts["rows"] == 234
    assert counts["codes"] == {"ENROLLED": 231, "INVALID": 2, "UNKNOWN_RECORD": 1}
    report = [json.loads(line) for line in Path(counts["report"]).read_text(encoding="utf-8").splitlines()]
    assert [(line["line"], line["code"]) for line in report] == [
        (232, "INVALID"),
        (233, "UNKNOWN_RECORD"),
        (235, "INVALID"),
    ]
    assert len(portal.world.enrollments.items) == 231, "with the one of the example portal"
    again = run("flows", "enroll", "7", "--file", str(path), code=1).stdout
    assert "234 rows: 231 ALREADY_ENROLLED, 2 INVALID, 1 UNKNOWN_RECORD." in again


def test_other_keys_of_a_line_of_json_are_ignored(portal: Api, tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    path.write_text('{"id": "103", "city": "Cork"}\n', encoding="utf-8")
    assert "1 row: 1 ENROLLED." in run("flows", "enroll", "8", "--file", str(path)).stdout


def test_interrupted_file_resumes_and_enrolls_no_record_twice(
    portal: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = csv(tmp_path, *(f"{object_id}," for object_id in records(portal, 3 * BATCH_ROWS)))
    call, sent = ApiClient.call, []

    def cut_off(api: ApiClient, method: str, path: str, body: Any = None, *more: Any, **options: Any) -> Any:
        response = call(api, method, path, body, *more, **options)
        if method == "POST":
            sent.append(len(body["inputs"]))
            if len(sent) == 2:
                raise ApiError(500, {"message": "the response was lost"})
        return response

    monkeypatch.setattr(ApiClient, "call", cut_off)
    assert "the response was lost" in run("flows", "enroll", "8", "--file", str(path), code=1).stderr
    shown = run("flows", "enroll", "8", "--file", str(path)).stdout

    assert "Resuming after 100 rows." in shown
    assert "300 rows: 300 ENROLLED." in shown
    assert sent == [100, 100, 100, 100]
    manual = [one for one in portal.world.queue.messages if one.flow_id == "8"]
    assert len(manual) == len({one.record_key for one in manual}) == 300
    assert not list(tmp_path.glob("*.enrolling.*"))
    # A new run is another request.
    assert "300 ENROLLED" in run("flows", "enroll", "8", "--file", str(path)).stdout
    assert len([one for one in portal.world.queue.messages if one.flow_id == "8"]) == 600


def test_simulate_shows_the_decision_on_a_manual_enrollment(portal: Api) -> None:
    run("flows", "enroll", "7", "contact/101")
    shown = run("simulate", "--manual", "contact/103", "--manual", "101", "--in-flow", "by HAND 7")
    assert "ENROLLED" in shown.stdout
    assert "the record would enter the flow" in shown.stdout
    assert "ALREADY_ENROLLED" in shown.stdout
    assert "Nothing was written" in shown.stderr

    decisions = answer("simulate", "--manual", "103", "--in-flow", "7")["results"]
    assert [(decision["code"], decision["objectId"]) for decision in decisions] == [("ENROLLED", "103")]
    assert [one for one in portal.world.enrollments.items if one[1] == "7"] == [(ADA, "7", None)]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "expected a file with an event, or --manual RECORD --in-flow FLOW; got neither"),
        (["--manual", "103"], 2, "expected both --manual and --in-flow"),
        (["--in-flow", "7"], 2, "expected both --manual and --in-flow"),
        (["event.json", "--manual", "103", "--in-flow", "7", "--now"], 2, "expected --manual without EVENT, --now"),
        (["--manual", "deal/103", "--in-flow", "7"], 2, "expected a record of the flow's type"),
        (["--manual", "103", "--in-flow", "nothing"], 4, "there is no flow"),
        (["--in-flow", "7", *(["--manual", "103"] * 101)], 2, "expected at most 100 records; got 101"),
    ],
)
def test_wrong_arguments_of_a_simulated_enrollment_are_explained(
    portal: Api, arguments: list[str], code: int, message: str
) -> None:
    assert message in run("simulate", *arguments, code=code).stderr.replace("\n", " ")


def test_simulated_enrollment_in_a_flow_that_is_off_is_a_conflict(portal: Api) -> None:
    run("flows", "off", "7")
    assert "flow 7 is off. Turn it on" in run("simulate", "--manual", "103", "--in-flow", "7", code=5).stderr


def test_explain_shows_manual_enrollments_among_the_events(portal: Api) -> None:
    run("flows", "enroll", "7", "contact/101", "--key", "k1")
    shown = run("explain", "--record", "contact/101", "--flow", "7").stdout
    assert "workflows.manual" in shown
    assert "manual:k1" in shown
    assert "ENROLLED" in shown
    assert answer("explain", "--record", "contact/101", "--flow", "7")["requested"][0]["event"]["id"] == "manual:k1"
    assert "manual:k1" in run("explain", "--record", "contact/101", "--event", "manual:k1").stdout


def test_explain_says_what_is_known_of_a_backfill(portal: Api) -> None:
    portal.world.put_flow(flow({"id": 9, "filters": [["city", "IS_EQUAL_TO", "Dublin"]]}))
    answered = portal("POST", "/enrollment/v1/flows/9/backfills", {"dryRun": True})
    assert answered.status == 201
    shown = run("explain", "--record", "contact/103", "--flow", "9").stderr.replace("\n", " ")
    assert f"Dry run {answered.json['id']} of " in shown
    assert "RUNNING: a dry run enrolls no record" in shown
    assert "A backfill of flow 9 would decide now: " in shown
