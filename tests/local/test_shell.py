"""`enroll env` finds the running local run, and prints what a shell needs to use it."""

import json
import subprocess
from pathlib import Path

import pytest

from enroll.commands import invoke as invoking
from enroll.local.invocation import FunctionAnswer
from enroll.local.settings import Settings
from enroll.local.shell import FILE, UNSET, announced, shell_variables
from tests.support.command_line import answer, run
from tests.support.embedded import ROOT


def test_no_run_that_is_up_is_a_plain_error(tmp_path: Path) -> None:
    stderr = run("env", "--project", str(tmp_path), code=3).stderr
    assert stderr == "Error: no local run is up. Start it in another terminal with `make run`\n"


def test_run_of_another_terminal_is_found(tmp_path: Path) -> None:
    settings = Settings(port=5566, lambda_port=5567, api_port=5568, project=tmp_path)
    with announced(settings):
        assert answer("env", "--project", str(tmp_path)) == shell_variables(settings)
    run("env", "--project", str(tmp_path), code=3)


def test_run_that_was_killed_does_not_count(tmp_path: Path) -> None:
    settings = Settings(port=5566, project=tmp_path)
    settings.run_folder.mkdir(parents=True)
    document = {"port": 5566, "variables": shell_variables(settings)}
    (settings.run_folder / FILE).write_text(json.dumps(document), encoding="utf-8")
    run("env", "--project", str(tmp_path), code=3)


def test_one_of_several_runs_is_chosen_by_its_port(tmp_path: Path) -> None:
    first, second = (Settings(port=port, project=tmp_path) for port in (4566, 5566))
    with announced(first), announced(second):
        assert "4566, 5566" in run("env", "--project", str(tmp_path), code=2).stderr
        found = answer("env", "--project", str(tmp_path), "--port", "5566")
        assert found["AWS_ENDPOINT_URL"] == "http://127.0.0.1:5566"
        assert "4566, 5566" in run("env", "--project", str(tmp_path), "--port", "1", code=3).stderr


def test_shell_gets_the_variables_of_the_run_and_loses_those_of_another_account(tmp_path: Path) -> None:
    settings = Settings(port=5566, lambda_port=5567, api_port=5568, project=tmp_path)
    with announced(settings):
        lines = run("env", "--project", str(tmp_path)).stdout
    before = {**dict.fromkeys(UNSET, "of another account"), "PATH": "/usr/bin:/bin"}
    script = 'eval "$LINES_OF_ENROLL"; env'
    shell = subprocess.run(
        ["/bin/sh", "-c", script], env={**before, "LINES_OF_ENROLL": lines}, capture_output=True, text=True, check=True
    )
    after = dict(line.partition("=")[::2] for line in shell.stdout.splitlines())
    assert shell_variables(settings).items() <= after.items()
    assert not set(UNSET) & set(after)


def test_invoke_finds_the_run_by_one_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    ports: list[int] = []

    def invoke(category: str, envelope: object, settings: Settings) -> FunctionAnswer:
        ports.append(settings.lambda_port)
        return FunctionAnswer({"eventId": "e1", "decisions": []}, failed=False)

    monkeypatch.setattr(invoking, "invoke", invoke)
    event = ("forms", "-e", str(ROOT / "events" / "forms" / "submitted.json"))
    monkeypatch.setenv("ENROLL_LAMBDA_PORT", "5567")
    run("invoke", *event)
    run("invoke", *event, "--lambda-port", "6567")
    assert ports == [5567, 6567]
