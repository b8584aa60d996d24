"""The screen of the local run shows foreign text on the developer's terminal."""

import io
import json
import re
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from enroll import output
from enroll.local import run
from enroll.local.demonstration import Demonstration, Enrollee
from enroll.local.lambda_service import CompletedAttempt
from enroll.output import LineConsole
from tests.support.hostile_text import ID, MARK, TEXT, unprintable

MESSAGE = {
    "enrollmentId": ID,
    "flowId": ID,
    "flowName": TEXT,
    "objectTypeId": "0-1",
    "objectId": ID,
    "trigger": {"eventType": TEXT, "eventId": ID, "occurredAt": TEXT},
}


class Stopped:
    """An emulator that has ended."""

    running = False


class Screen(io.StringIO):
    """Stdout that is a terminal or a pipe."""

    def __init__(self, *, is_terminal: bool) -> None:
        super().__init__()
        self.is_terminal = is_terminal

    def isatty(self) -> bool:
        return self.is_terminal


@pytest.fixture(params=[False, True], ids=["pipe", "terminal"])
def screen(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[LineConsole, Callable[[], str]]:
    """A console, and what it has shown without its own colors."""
    file = Screen(is_terminal=request.param)
    monkeypatch.setattr(output.LineConsole, "file", file)
    monkeypatch.setenv("COLUMNS", "80")
    return output.console, lambda: re.sub(r"\x1b\[[0-9;]*m", "", file.getvalue())


def test_the_table_of_enrollments(screen: Any) -> None:
    _, shown = screen
    received = run.Received(Demonstration([], [], Counter()).enrollee)
    received.add(MESSAGE)
    received.add({**MESSAGE, "enrollmentId": "01K", "flowName": "Second"})
    received.print()
    assert MARK in shown()
    assert "[/x]" in shown()
    assert "Second" in shown()
    assert unprintable(shown()) - {"\t"} == set()


@pytest.mark.parametrize(
    "finished",
    [
        CompletedAttempt(TEXT, {"decisions": [], "eventId": TEXT}, False, True),
        CompletedAttempt(TEXT, {"batchItemFailures": [TEXT]}, False, True),
        CompletedAttempt("forms", {"errorMessage": TEXT}, True, True),
        CompletedAttempt("forms", TEXT, True, False),
        CompletedAttempt("api", {"statusCode": TEXT}, False, True),
    ],
)
def test_output_that_is_not_a_log_line_is_shown(screen: Any, finished: CompletedAttempt, tmp_path: Path) -> None:
    console, shown = screen
    observer = run.Observer()
    run._stay(Stopped(), observer, console, tmp_path)  # type: ignore[arg-type]
    observer(finished)
    assert "u202e" in shown()
    _, *rest = shown().splitlines()
    # The rest of a line that is wider than the terminal is indented: it does not imitate a line.
    assert all(line.startswith("  ") for line in rest)
    assert unprintable(shown()) == set()


@pytest.mark.parametrize(
    ("method", "path", "status", "is_shown"),
    [
        ("GET", "/automation/v4/flows", 200, False),
        ("GET", "/automation/v4/flows/9", 404, False),
        ("GET", "/enrollment/v1/explain", 400, True),
        ("GET", "/automation/v4/flows", 500, True),
        ("POST", "/enrollment/v1/preview", 200, False),
        ("POST", "/enrollment/v1/records/0-1/enrollments", 200, False),
        ("POST", "/enrollment/v1/flows/1/enrollments", 200, True),
        ("PUT", "/automation/v4/flows/1", 200, True),
        ("PUT", "/automation/v4/flows/1", 409, True),
        ("DELETE", "/automation/v4/flows/1", 204, True),
    ],
)
def test_requests_are_shown_if_they_change_something_or_are_refused(
    screen: Any, tmp_path: Path, method: str, path: str, status: int, is_shown: bool
) -> None:
    console, shown = screen
    observer = run.Observer()
    run._stay(Stopped(), observer, console, tmp_path)  # type: ignore[arg-type]
    observer(CompletedAttempt("api", {"statusCode": status}, False, True, (method, path)))
    assert (f"{method} {path} answered {status}" in shown()) == is_shown
    assert bool(shown()) == is_shown


def test_requests_that_are_not_shown_are_counted(screen: Any, tmp_path: Path) -> None:
    console, shown = screen
    observer = run.Observer()
    run._stay(Stopped(), observer, console, tmp_path)  # type: ignore[arg-type]
    for method in ("GET", "GET", "PUT", "PUT"):
        observer(CompletedAttempt("api", {"statusCode": 200}, False, True, (method, "/automation/v4/flows/1")))
    assert shown().count("requests answered that changed nothing: 2") == 1
    assert len(shown().splitlines()) == 3


def test_decisions_are_shown_as_they_are_logged(screen: Any, tmp_path: Path) -> None:
    console, shown = screen
    log = tmp_path / "forms.log"
    log.write_text(json.dumps({"message": "decision", "eventId": "before the screen"}) + "\n", encoding="utf-8")
    decision = {"message": "decision", "code": TEXT, "flowId": ID, "eventId": ID, "because": TEXT}

    class Emulator:
        """Logs a decision, and ends."""

        running = property(lambda self: self.log())

        def log(self) -> bool:
            if "u202e" in log.read_text(encoding="utf-8"):
                return False
            with log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(decision) + "\n")
            return True

    run._stay(Emulator(), run.Observer(), console, tmp_path)  # type: ignore[arg-type]
    assert MARK in shown()
    assert "before the screen" not in shown()
    assert unprintable(shown()) == set()


@pytest.mark.parametrize(
    ("function", "name"),
    [
        ("enroll-FormsFunction-1A2B3C", "forms"),
        ("enroll-dev-SalesDocumentsFunction-1A2B", "sales_documents"),
        ("other", "other"),
    ],
)
def test_functions_are_named_as_their_categories(function: str, name: str) -> None:
    assert run.short_name(function) == name


def test_the_printed_command_puts_an_event_that_occurs_when_it_runs() -> None:
    script = 'aws() { printf "%s|" "$@"; }; ' + run.put_events_command("enroll-events")
    before = time.time_ns() // 1_000_000
    done = subprocess.run(["sh", "-c", script], check=True, capture_output=True, text=True, timeout=30)
    service, operation, option, entries, rest = done.stdout.split("|")
    assert (service, operation, option, rest) == ("events", "put-events", "--entries", "")
    (entry,) = json.loads(entries)
    assert entry["EventBusName"] == "enroll-events"
    occurred_at = json.loads(entry["Detail"])["occurredAt"]
    assert before <= occurred_at <= time.time_ns() // 1_000_000


def test_differences_of_the_demonstration(screen: Any) -> None:
    console, shown = screen
    for line in Demonstration([], [], Counter([Enrollee(ID, "0-1", ID, TEXT)])).differences(Counter()):
        console.print(line)
    assert MARK in shown()
    assert unprintable(shown()) == set()
