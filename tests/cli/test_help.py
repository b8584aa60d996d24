"""Help, version, examples, and what starting the command line imports."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from enroll import output
from enroll.examples import EXAMPLES
from enroll.main import EnrollCommands, app
from tests.support.portal import Api

DOCS = Path(__file__).parents[2] / "docs" / "command-line.md"


def walk(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every group and every command by its path. The path of the root is empty."""
    yield " ".join(path), command
    for name, inner in getattr(command, "commands", {}).items():
        yield from walk(inner, (*path, name))


ALL = dict(walk(typer.main.get_command(app)))
SINGLE = {path: command for path, command in ALL.items() if not hasattr(command, "commands")}


@pytest.mark.parametrize("path", ALL)
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_has_a_description_and_examples(path: str, option: str) -> None:
    result = CliRunner().invoke(app, [*path.split(), option], prog_name="enroll")
    assert result.exit_code == 0
    usage, description, *_ = re.split(r"\n\n+", result.stdout)
    assert usage.startswith("Usage: enroll")
    assert description.strip().endswith((".", "?"))
    _, _, examples = result.stdout.partition("\nExamples:\n")
    # A backslash continues a command that is wider than the terminal.
    commands = re.sub(r" \\\n *", " ", examples).splitlines()
    assert [line.strip() for line in commands] == list(EXAMPLES[path])
    assert max(len(line) for line in result.stdout.splitlines()) <= 80


def test_every_example_is_of_a_command() -> None:
    assert set(EXAMPLES) == set(ALL)


@pytest.mark.parametrize(("path", "example"), [(path, line) for path, lines in EXAMPLES.items() for line in lines])
def test_example_parses(path: str, example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = shlex.split(re.split(r" [|>]", example)[0])
    assert words[0] == "enroll"
    assert " ".join(words[1:]).startswith(path)
    command, arguments = ALL[""], words[1:]
    while hasattr(command, "commands"):
        command = command.commands[arguments.pop(0)]
    assert command.make_context("enroll", arguments)


def test_summaries_of_the_root_are_those_of_the_commands() -> None:
    assert set(EnrollCommands.summaries) == set(EnrollCommands.sources)
    for name, summary in EnrollCommands.summaries.items():
        text = " ".join(ALL[name].help.split())
        assert text.startswith(summary.rstrip(".")), f"{name}: {text[:80]}"


def test_version_is_that_of_the_package() -> None:
    assert CliRunner().invoke(app, ["--version"]).stdout == f"enroll {version('enroll')}\n"


def test_commands_print_json() -> None:
    without = {path for path, command in SINGLE.items() if not any("--json" in param.opts for param in command.params)}
    assert without == set()


def test_documented_exit_codes_are_those_of_the_code() -> None:
    documented = re.findall(r"^\| (\d+) \|", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    codes = [output.FAILED, output.INVALID, output.NOT_REACHED, output.NOT_FOUND, output.CONFLICT]
    assert documented == ["0", *map(str, codes), str(output.UNDECIDED), "130"]


def test_documentation_names_every_command_that_prints_json() -> None:
    text = DOCS.read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `([a-z ]+)` \|", text, re.MULTILINE))
    assert documented == set(SINGLE)


# Importing these takes longer than the rest of the help.
SLOW = {"boto3", "botocore", "rich", "enrollment", "pydantic", "msgspec", "yaml"}


def imported(*arguments: str) -> set[str]:
    """The packages that a run of the command line imports."""
    program = (
        "import json, sys\n"
        "from enroll.main import app\n"
        "try:\n    app()\n"
        "finally:\n    print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    return set(json.loads(done.stderr.splitlines()[-1]))


def test_help_imports_no_command() -> None:
    assert imported("--help") & SLOW == set()


def test_help_of_a_command_imports_no_aws_client() -> None:
    assert imported("unprocessed", "list", "--help") & {"boto3", "rich", "pydantic"} == set()


def test_a_command_imports_no_boto3_and_no_rich(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    packages = imported("unprocessed", "list")
    assert "botocore" in packages
    assert packages & {"boto3", "rich", "pydantic", "msgspec"} == set()


@pytest.mark.parametrize(
    "command",
    [
        "catalog",
        "flows list",
        "flows off 1001",
        "flows on 1001",
        "flows test 1001 101",
        "flows delete 1001 --yes",
        "portal show",
        "portal set --time-zone UTC",
        "records show contact/101",
        "explain --record contact/101",
    ],
)
def test_documented_keys_are_those_of_the_output(command: str, portal: Api) -> None:
    document = json.loads(CliRunner().invoke(app, [*command.split(), "--json"]).stdout)
    keys = set(document[0] if isinstance(document, list) else document)
    path = next(path for path in SINGLE if f"{command} ".startswith(f"{path} "))
    rows = dict(re.findall(r"^\| `([a-z ]+)` \| [^|]+ \| (.*) \|$", DOCS.read_text(encoding="utf-8"), re.MULTILINE))
    text = rows["portal set"] + rows[path] if path == "portal show" else rows[path]
    assert keys <= set(re.findall(r"`(\w+)`", text))
