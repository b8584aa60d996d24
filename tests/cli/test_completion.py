"""Completion of flows, event types, properties and records when Tab is pressed in bash or zsh."""

import subprocess
import time
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from enroll import completion
from enroll.main import app
from tests.support.hostile_text import unprintable
from tests.support.portal import Api
from tests.support.scenario import flow

PROGRAM = "enroll"


def completed(words: str) -> list[str]:
    """The completions of bash for the last word."""
    environment = {
        "_ENROLL_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }
    result = CliRunner().invoke(app, [], prog_name="enroll", env=environment)
    assert result.stderr == ""
    return result.stdout.split()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (f"{PROGRAM} unp", ["unprocessed"]),
        (f"{PROGRAM} flows pr", ["preview"]),
        ("enroll unprocessed list --e", ["--event-type", "--event"]),
        ("enroll catalog --event forms.s", ["forms.submitted"]),
        ("enroll catalog --category form", ["forms"]),
        ("enroll catalog --event forms.submitted --property hs_form_", ["hs_form_id", "hs_form_type", "hs_form_title"]),
        ("enroll invoke form", ["forms"]),
        ("enroll explain --record lis", ["listing/"]),
    ],
)
def test_names_of_the_program_and_of_the_catalog_are_completed(words: str, expected: list[str]) -> None:
    assert completed(words) == expected


def test_flows_of_the_portal_are_completed(portal: Api) -> None:
    assert completed("enroll flows show 10") == ["1001", "1002"]
    assert completed("enroll tail --flow 1001") == ["1001"]


def test_records_that_were_enrolled_are_completed(portal: Api) -> None:
    assert completed("enroll records show contact/1") == ["contact/101"]
    assert completed("enroll explain --record 0-1/1") == ["0-1/101"]


@pytest.mark.parametrize("flow_id", ["$(id)", "`id`", "a b", "a;b", "-x", "é", "'x'", "a\\b"])
def test_value_that_the_shell_would_interpret_is_not_offered(flow_id: str, portal: Api) -> None:
    portal.world.put_flow(flow({"id": flow_id, "event": "forms.submitted"}))
    assert completed("enroll flows show ") == ["1001", "1002"]


def test_description_has_no_character_that_zsh_would_interpret(portal: Api) -> None:
    portal.world.put_flow(flow({"id": "7", "event": "forms.submitted"}) | {"name": "a\"$(id)`id`\x1b[31m'\n:b"})
    environment = {"_ENROLL_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": "enroll flows show 7"}
    shown = CliRunner().invoke(app, [], prog_name="enroll", env=environment).stdout
    assert '"7":"aidid31mb"' in shown
    assert unprintable(shown) == set()


@pytest.mark.parametrize("api", ["http://127.0.0.1:1", "nonsense", "http://example.com"])
def test_without_an_api_nothing_is_completed_or_printed(api: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENROLL_API", api)
    monkeypatch.setenv("ENROLL_PORTAL", "p1")
    monkeypatch.setattr("enroll.api.FIRST_WAIT_SECONDS", 0)
    assert completed("enroll flows show 1") == []


def test_without_a_portal_nothing_is_completed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ENROLL_PORTAL", raising=False)
    assert completed("enroll flows show 1") == []


def test_slow_api_does_not_block_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completion, "MAX_SECONDS", 0.05)

    def slow() -> Any:
        yield "first", ""
        time.sleep(2)
        yield "second", ""

    started = time.monotonic()
    assert completion._offered("", slow) == [("first", "")]
    assert time.monotonic() - started < 1.5


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_script_of_the_shell_is_printed(shell: str) -> None:
    environment = {"_ENROLL_COMPLETE": f"source_{shell}"}
    script = CliRunner().invoke(app, [], prog_name="enroll", env=environment).stdout
    assert f"complete_{shell}" in script
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=script, text=True, check=True, timeout=10)


def test_every_parameter_of_a_flow_or_a_record_is_completed() -> None:
    def walk(command: Any, path: str) -> Any:
        for name, inner in getattr(command, "commands", {}).items():
            yield from walk(inner, f"{path} {name}")
        yield from ((path, param) for param in command.params)

    missing = [
        f"{path} {param.name}"
        for path, param in walk(typer.main.get_command(app), "enroll")
        if param.name in ("flow", "flow_id", "record", "event_type", "category")
        and param._custom_shell_complete is None
        and "path" not in str(param.type_descriptor.annotation).lower()
    ]
    assert missing == []
