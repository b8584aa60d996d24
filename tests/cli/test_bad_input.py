"""No command shows Python's own words, whatever it is given: each error says what is wrong, with an exit code."""

import http.server
import json
import re
import threading
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from enroll.main import app
from enroll.output import CONFLICT, FAILED, INVALID, NOT_FOUND, NOT_REACHED, UNDECIDED
from tests.support.portal import Api
from tests.support.scenario import event, flow

EXIT_CODES = {0, FAILED, INVALID, NOT_REACHED, NOT_FOUND, CONFLICT, UNDECIDED}
PYTHON_WORDS = re.compile(
    r"\bNone\b|Traceback|a fault in enroll|\b(?:Key|Type|Value|Attribute|Index|Recursion|UnicodeDecode)Error\b|<class '"
)

FILE = "{file}"
"""Stands for the path of a file in the arguments of a command."""

ARGUMENTS: dict[str, Sequence[Sequence[str]]] = {
    "adopt": [["--template", FILE]],
    "catalog": [["--event", FILE], ["--event", "forms.submitted", "--property", FILE], ["--category", FILE]],
    # With valid options the command is a server, which tests/cli/test_console_server.py starts.
    "console": [["--port", FILE], ["--api", FILE]],
    "doctor": [[], ["--check-update", "--config-file", FILE], ["--check-update", "--parameter", "x"]],
    "env": [[], ["--project", FILE], ["--port", FILE]],
    "event": [["e1"], [FILE]],
    "explain": [
        ["--event", "e1"],
        ["--record", "contact/101"],
        ["--record", FILE],
        ["--record", "contact/101", "--event", FILE],
    ],
    "flows backfills": [["1001"], [FILE], ["1001", FILE], ["1001", "pause", FILE]],
    "flows check": [[FILE]],
    "flows delete": [["1001"], [FILE]],
    "flows diff": [[FILE]],
    "flows impact": [[FILE], [FILE, "--last", "0d"]],
    "flows list": [[]],
    "flows off": [["1001"]],
    "flows on": [["1001"], ["1001", "--enroll-existing"], ["1001", "--records-per-second", FILE]],
    "flows enroll": [["1001", "101"], ["1001", FILE], ["1001", "--file", FILE], ["1001", "101", "--key", FILE]],
    "flows preview": [[FILE]],
    "flows pull": [[FILE]],
    "flows put": [[FILE]],
    "flows relist": [[], ["--dry-run"]],
    "flows show": [["1001"], [FILE]],
    "flows test": [["1001", "101"], ["1001", FILE]],
    "invoke": [["forms", "--event", FILE, "--lambda-port", "1"]],
    "local run": [["--project", FILE], ["--parameter", FILE]],
    "portal set": [["--time-zone", FILE], ["--tolerance", "1e999"], ["--tolerance", "nan"]],
    "portal show": [[]],
    "queue discard": [["--yes"], ["--yes", "--enrollment", FILE, "--keep", FILE]],
    "queue list": [[], ["--flow", FILE]],
    "queue receive": [["--yes"]],
    "queue redrive": [[], ["--enrollment", FILE]],
    "records import": [[FILE], [FILE, "--type", "nonsense"]],
    "records index": [[], ["--after", FILE], ["--rate", FILE]],
    "records show": [["contact/101"], [FILE]],
    "replay": [["--from", "2026-11-23T10:00:00Z"], ["--from", FILE]],
    "send": [[FILE]],
    "simulate": [
        [FILE],
        ["{event}", "--flow", FILE],
        ["{event}", "--record", FILE],
        ["--manual", "101", "--in-flow", FILE],
        ["--manual", FILE, "--in-flow", "1001"],
    ],
    "tail": [
        ["--enrollments", "--timeout", "0"],
        ["--timeout", "0"],
        ["--timeout", "0", "--logs", FILE],
        ["--timeout", "0", "--record", FILE],
        ["--timeout", "0", "--flow", FILE, "--portal", "demo"],
    ],
    "trigger": [["forms.submitted"], [FILE], ["forms.submitted", FILE], ["forms.submitted", "--record", FILE]],
    "unprocessed discard": [["--yes"], ["--yes", "--keep", FILE], ["--since", FILE]],
    "unprocessed list": [[], ["--since", FILE]],
    "unprocessed redrive": [[], ["--dry-run"]],
    "unprocessed show": [["e1"]],
}

EVENT = event({"forms.submitted": "101", "id": "e1", "at": "2026-11-24T09:00:00.000Z"})
FLOW = flow({"id": "1", "event": "forms.submitted"})

WRONG_VALUES: Sequence[Any] = [None, True, 7, -1, 1e300, "text", "", [], {}, [None], [[]], [{}], {"a": None}]
RECORD = {"id": "101", "occurredAt": "2026-11-24T09:00:00.000Z", "email": "ada@example.com"}


def with_wrong_values(kind: str, document: dict[str, Any], keys: Sequence[str]) -> dict[str, bytes]:
    """Copies of the document, each with a wrong value at one of the keys. ``detail.id`` is a key inside ``detail``."""
    contents = {}
    for key in keys:
        outer, _, inner = key.rpartition(".")
        for value in WRONG_VALUES:
            copied = {**document, outer: {**document[outer], inner: value}} if outer else {**document, key: value}
            contents[f"{kind} with {key} {json.dumps(value)}"] = json.dumps(copied).encode()
    return contents


OTHER_CONTENTS: dict[str, bytes] = {
    "empty": b"",
    "not JSON": b"{'id': 1}",
    "not UTF-8": b'{"id": "\xff\xfe"}',
    "byte order mark": b"\xef\xbb\xbf{}",
    "too deep": b"[" * 100_000,
    "not a number": b'{"id": NaN}',
    "a large number": b'{"id": ' + b"9" * 5_000 + b"}",
    "half a character": b'{"id": "\\ud800"}',
    "zero byte": b'{"id": "\\u0000"}',
    **{f"value {json.dumps(value)}": json.dumps(value).encode() for value in WRONG_VALUES},
    "an event": json.dumps(EVENT).encode(),
    "a flow": json.dumps(FLOW).encode(),
}
# To a command that reads flows, an event is an object with other keys, whatever their values. So each command gets the
# wrong values of what it reads, and one document of each other kind.
EVENTS = OTHER_CONTENTS | with_wrong_values(
    "event",
    EVENT,
    [
        *("detail", "detail-type", "source", "time", "id"),
        *(f"detail.{key}" for key in ("id", "objectType", "objectId", "occurredAt", "properties", "portalId")),
    ],
)
FLOWS = OTHER_CONTENTS | with_wrong_values(
    "flow", FLOW, ["id", "name", "type", "isEnabled", "objectTypeId", "revisionId", "enrollmentCriteria", "actions"]
)
RECORDS = OTHER_CONTENTS | with_wrong_values("record", RECORD, ["id", "occurredAt", "email"])

# The contents of a file, and a command with the arguments with which it reads the file.
FILE_READERS: list[tuple[str, list[str], dict[str, bytes]]] = [
    ("flows check", [FILE], FLOWS),
    ("flows diff", [FILE], FLOWS),
    ("flows enroll", ["1001", "--file", FILE], RECORDS),
    ("flows impact", [FILE], FLOWS),
    ("flows preview", [FILE], FLOWS),
    ("flows put", [FILE], FLOWS),
    ("records import", [FILE], RECORDS),
    ("simulate", [FILE], EVENTS),
    ("simulate", ["{event}", "--flow", FILE], FLOWS),
]
FILE_READERS_WITHOUT_API: list[tuple[str, list[str], dict[str, bytes]]] = [
    ("send", [FILE], EVENTS),
    ("invoke", ["forms", "--event", FILE, "--lambda-port", "1"], EVENTS),
    ("adopt", ["--template", FILE], OTHER_CONTENTS),
    ("doctor", ["--check-update", "--config-file", FILE], OTHER_CONTENTS),
]


@cache
def commands() -> dict[str, Any]:
    def walk(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
        if not hasattr(command, "commands"):
            yield " ".join(path), command
            return
        for name, inner in command.commands.items():
            yield from walk(inner, (*path, name))

    return dict(walk(typer.main.get_command(app), ()))


@pytest.fixture(autouse=True)
def _no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without AWS configuration, and a port at which nothing listens."""
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "ENROLL_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("ENROLL_PORTAL", "p1")
    monkeypatch.setattr("enroll.api.FIRST_WAIT_SECONDS", 0)


def check(name: str, arguments: Sequence[str], codes: set[int] = EXIT_CODES) -> None:
    json_option = ["--json"] if any("--json" in param.opts for param in commands()[name].params) else []
    for options in ([], json_option):
        result = CliRunner().invoke(app, [*name.split(), *arguments, *options])
        words = [name, *arguments, *options]
        assert isinstance(result.exception, SystemExit | None), (words, result.exception)
        assert result.exit_code in codes, (words, result.exit_code, result.output)
        assert not PYTHON_WORDS.search(result.output), (words, result.output)
        assert result.exit_code == 0 or result.output, words


def filled(arguments: Sequence[str], path: Path, folder: Path) -> list[str]:
    good = folder / "event.json"
    good.write_text(json.dumps(EVENT), encoding="utf-8")
    return [argument.replace(FILE, str(path)).replace("{event}", str(good)) for argument in arguments]


def test_every_command_has_arguments() -> None:
    assert set(ARGUMENTS) == set(commands())


def check_contents(name: str, arguments: Sequence[str], contents: dict[str, bytes], folder: Path) -> None:
    path = folder / ("input.jsonl" if contents is RECORDS else "input.json")
    for title, content in contents.items():
        path.write_bytes(content)
        try:
            check(name, filled(arguments, path, folder))
        except AssertionError as error:
            raise AssertionError(f"file with {title}: {content[:300]!r}") from error


def id_of(value: Any) -> str:
    """The name of a parameter in the name of a test. Contents have none."""
    return "contents" if isinstance(value, dict) else value if isinstance(value, str) else " ".join(value)


def test_every_reader_of_files_has_known_arguments() -> None:
    for name, arguments, _ in (*FILE_READERS, *FILE_READERS_WITHOUT_API):
        assert arguments in ARGUMENTS[name]


@pytest.mark.verify
@pytest.mark.parametrize(("name", "arguments", "contents"), FILE_READERS, ids=id_of)
def test_file_with_any_content_gives_a_plain_error(
    name: str, arguments: list[str], contents: dict[str, bytes], portal: Api, tmp_path: Path
) -> None:
    check_contents(name, arguments, contents, tmp_path)


@pytest.mark.verify
@pytest.mark.parametrize(("name", "arguments", "contents"), FILE_READERS_WITHOUT_API, ids=id_of)
def test_file_with_any_content_gives_a_plain_error_without_aws(
    name: str, arguments: list[str], contents: dict[str, bytes], tmp_path: Path
) -> None:
    check_contents(name, arguments, contents, tmp_path)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_missing_file_gives_a_plain_error(name: str, portal: Api, tmp_path: Path) -> None:
    for arguments in ARGUMENTS[name]:
        check(name, filled(arguments, tmp_path / "missing" / "file.json", tmp_path))
        check(name, filled(arguments, tmp_path, tmp_path))


@pytest.mark.parametrize("name", ARGUMENTS)
def test_unreachable_endpoint_gives_a_plain_error(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "input.json"
    path.write_text(json.dumps(FLOW), encoding="utf-8")
    monkeypatch.setenv("ENROLL_API", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    for arguments in ARGUMENTS[name]:
        check(name, filled(arguments, path, tmp_path))


@pytest.mark.parametrize("name", ["flows list", "portal show", "records show", "tail", "unprocessed list", "doctor"])
@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:1", None])
def test_stack_or_api_that_is_not_reached_has_exit_code_3(
    name: str, endpoint: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    check(name, ARGUMENTS[name][0], {NOT_REACHED})


@pytest.mark.parametrize("name", ARGUMENTS)
def test_no_credentials_gives_a_plain_error(name: str, tmp_path: Path) -> None:
    path = tmp_path / "input.json"
    path.write_text(json.dumps(FLOW), encoding="utf-8")
    for arguments in ARGUMENTS[name]:
        check(name, filled(arguments, path, tmp_path))


@pytest.mark.parametrize("endpoint", ["nonsense", "http://", "http://[", "http://127.0.0.1:999999"])
def test_malformed_endpoint_gives_a_plain_error(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    check("unprocessed list", [])
    check("portal show", ["--api", endpoint])


class OtherServer(http.server.BaseHTTPRequestHandler):
    """A server that is not the API of Enroll."""

    answer: bytes = b""
    status = 200

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.answer)))
        self.end_headers()
        self.wfile.write(self.answer)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def other_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[OtherServer]]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), OtherServer)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("ENROLL_API", f"http://127.0.0.1:{server.server_address[1]}")
    yield OtherServer
    server.shutdown()
    server.server_close()


ANSWERS = [
    b"",
    b"<html>",
    b"{}",
    b"[]",
    b"null",
    b"7",
    b'{"results": [{}]}',
    b'{"results": [{"id": "1"}]}',
    b"[" * 100_000,
]


@pytest.mark.parametrize("status", [200, 400, 404, 500])
@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer[:30].decode())
def test_answer_of_another_server_gives_a_plain_error(
    answer: bytes, status: int, other_server: type[OtherServer], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(OtherServer, "answer", answer)
    monkeypatch.setattr(OtherServer, "status", status)
    path = tmp_path / "input.json"
    path.write_text(json.dumps(FLOW), encoding="utf-8")
    for name in (
        "flows list",
        "flows show",
        "flows put",
        "flows test",
        "portal show",
        "records show",
        "explain",
        "simulate",
    ):
        check(name, filled(ARGUMENTS[name][0], path, tmp_path))
