"""Names of options: earlier names still work, one name has one meaning, and usage errors fit the terminal."""

import io
import sys
from typing import Any

import pytest
import typer

from enroll.durations import read_timeout
from enroll.main import app
from enroll.old_options import CURRENT_NAMES, with_current_names
from tests.cli.test_help import walk
from tests.support.command_line import answer, run
from tests.support.portal import Api

COMMANDS = dict(walk(typer.main.get_command(app)))


@pytest.mark.parametrize("command", CURRENT_NAMES)
def test_earlier_names_are_not_in_the_help_and_their_current_names_are(command: str) -> None:
    names = {name for param in COMMANDS[command].params for name in param.opts}
    for earlier, current in CURRENT_NAMES[command].items():
        assert earlier not in names
        assert current in names


def test_earlier_names_are_replaced_up_to_the_end_of_the_options() -> None:
    assert with_current_names("explain", ["--last", "1", "--last=2", "--", "--last"]) == [
        *("--limit", "1", "--limit=2", "--", "--last")
    ]
    assert with_current_names("flows impact", ["--last", "7d"]) == ["--last", "7d"]


def test_earlier_name_of_a_limit_works(portal: Api) -> None:
    for name in ("--limit", "--last", "-n"):
        assert len(answer("explain", "--record", "contact/101", name, "1")["results"]) <= 1


@pytest.mark.parametrize("command", COMMANDS)
def test_one_name_of_an_option_has_one_meaning(command: str) -> None:
    for param in COMMANDS[command].params:
        if "--last" in param.opts:
            assert "Period" in param.help
        if "--limit" in param.opts:
            assert "umber" in param.help
        if "--timeout" in param.opts:
            assert "for example" in param.help


@pytest.mark.parametrize(
    ("text", "unit", "seconds"),
    [("30", "s", 30), ("30s", "s", 30), ("0.5", "s", 0.5), ("5m", "s", 300), ("2h", "m", 7200), ("60", "m", 3600)],
)
def test_timeouts_have_units(text: str, unit: str, seconds: float) -> None:
    assert read_timeout(text, default_unit=unit) == seconds


@pytest.mark.parametrize("text", ["", "x", "-1", "1d", "nan", "1e9", "٣s"])
def test_other_timeouts_are_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended:
        read_timeout(text)
    assert ended.value.exit_code == 2
    assert "for example 30s, 5m or 1h" in capsys.readouterr().err


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    "arguments",
    [
        ["explain", "--no-such-option-of-explain-that-is-quite-long-and-does-not-fit-into-a-line-of-80-columns"],
        ["explain", "--limit", "a number that is a text and does not fit into a line of eighty columns either"],
        ["--no-such-option-of-enroll-that-is-quite-long-and-does-not-fit-into-a-line-of-80-columns"],
        ["flows", "no such command"],
        ["trigger"],
    ],
)
def test_usage_errors_fit_80_columns(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    terminal: Any = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    with pytest.raises(SystemExit) as ended:
        app(arguments)
    assert ended.value.code == 2
    lines = terminal.getvalue().splitlines()
    assert lines[0].startswith("Usage: ")
    assert any(line.startswith("Error: ") for line in lines)
    longest_word = max(len(word) for argument in arguments for word in argument.split())
    assert max(map(len, lines)) <= max(80, longest_word + 12)


def test_usage_error_in_a_pipe_is_one_line() -> None:
    error = run("explain", "--limit", "many", code=2).stderr.splitlines()[-1]
    assert error.startswith("Error: Invalid value for '--limit'")
