"""`enroll flows on --enroll-existing` and `enroll flows backfills`."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from enroll.commands import flow_backfills
from enroll.main import app
from enrollment.domain.enrollment.runs import Run, RunStatus
from tests.support.command_line import answer, run
from tests.support.portal import NOW, Api
from tests.support.scenario import flow


@pytest.fixture(autouse=True)
def flows(portal: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A filter-based flow that is off, whose criteria 3 contacts of the portal meet. Workers run while the command
    waits."""
    portal.world.put_flow(flow({"id": 1004, "filters": [["city", "IS_EQUAL_TO", "Dublin"]], "enabled": False}))
    monkeypatch.setattr(
        flow_backfills.time, "sleep", lambda _: list(portal.world.run_worker.work(portal.world.now + 60_000))
    )


def entered(portal: Api) -> list[str]:
    return sorted(message.record_key.object_id for message in portal.world.queue.messages if message.flow_id == "1004")


def is_on(portal: Api) -> bool:
    return portal.world.authoring.get("p1", "1004").is_enabled


def test_flow_is_turned_on_and_enrolls_existing_records(portal: Api) -> None:
    result = CliRunner().invoke(app, ["flows", "on", "1004", "--enroll-existing"], input="y\n")
    assert result.exit_code == 0, result.output
    assert "Turn flow 1004 on and enroll 3 existing records?" in result.output
    lines = [line for line in result.output.splitlines() if line.startswith(("Dry run", "Backfill"))]
    assert [line.split(": ")[1] for line in lines] == ["3 ENROLLED.", "3 ENROLLED."]
    assert is_on(portal)
    assert entered(portal) == ["101", "103", "104"]


def test_answer_no_leaves_the_flow_off(portal: Api) -> None:
    assert CliRunner().invoke(app, ["flows", "on", "1004", "--enroll-existing"], input="n\n").exit_code == 1
    assert not is_on(portal)
    assert entered(portal) == []


def test_json_has_the_flow_the_dry_run_and_the_backfill(portal: Api) -> None:
    found: Any = answer("flows", "on", "1004", "--enroll-existing", "--yes", "--records-per-second", "50", "--json")
    assert found["flow"]["isEnabled"] is True
    assert [found[name]["decisions"] for name in ("dryRun", "backfill")] == [{"ENROLLED": 3}] * 2
    assert [found[name]["recordsPerSecond"] for name in ("dryRun", "backfill")] == [50, 50]


def test_flow_that_is_on_already_enrolls_existing_records_too(portal: Api) -> None:
    run("flows", "on", "1004")
    run("flows", "on", "1004", "--enroll-existing", "--yes")
    assert entered(portal) == ["101", "103", "104"]


@pytest.mark.parametrize("option", [["--yes"], ["--records-per-second", "5"]])
def test_options_of_the_backfill_need_it(portal: Api, option: list[str]) -> None:
    result = run("flows", "on", "1004", *option, code=2)
    assert not is_on(portal)
    assert f"{option[0]}: expected it with --enroll-existing" in result.output


def test_flow_of_another_type_has_no_backfill(portal: Api) -> None:
    result = run("flows", "on", "1001", "--enroll-existing", "--yes", code=5)
    message = " ".join(result.output.split())
    assert "--enroll-existing: expected a filter-based flow" in message
    assert "enroll flows enroll 1001 contact/101" in message
    assert "POST" not in message


def test_flow_without_backfills_is_reported(portal: Api) -> None:
    assert run("flows", "backfills", "1004").stderr == "There are no backfills of flow 1004 in the last 90 days.\n"
    assert answer("flows", "backfills", "1004") == []


def test_backfill_is_paused_resumed_and_cancelled(portal: Api) -> None:
    portal.world.runs.create(Run("01B", "p1", "1004", "0-1", 1, "", NOW, True, 3, "ada", NOW))
    for action, status in (("pause", "PAUSED"), ("resume", "RUNNING"), ("cancel", "CANCELLED")):
        (found,) = answer("flows", "backfills", "1004", action)
        assert (found["id"], found["status"]) == ("01B", status)
    run("flows", "backfills", "1004", "pause", code=4)
    run("flows", "backfills", "1004", "pause", "01B", code=5)
    run("flows", "backfills", "1004", "pause", "01X", code=4)
    run("flows", "backfills", "1004", "stop", code=2)
    listed = run("flows", "backfills", "1004")
    assert "01B\tCANCELLED\tyes\t0/3\t0\t" in listed.output


def test_command_that_waits_says_that_the_backfill_was_paused(portal: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def pause(_: float) -> None:
        (current,) = [backfill for backfill in portal.world.runs.runs.values() if not backfill.is_finished]
        portal.world.runs.save(current.moved(RunStatus.PAUSED, portal.world.now, "the flow was turned off"))

    monkeypatch.setattr(flow_backfills.time, "sleep", pause)
    result = run("flows", "on", "1004", "--enroll-existing", "--yes", code=1)
    assert "was paused (the flow was turned off)" in " ".join(result.output.split())
    assert json.loads(run("flows", "backfills", "1004", "--json").stdout)[0]["status"] == "PAUSED"
