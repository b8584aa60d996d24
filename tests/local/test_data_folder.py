"""The folder of `--data`: the state that one local run saves and the next one uses."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from enroll.api import Api
from enroll.local.data_folder import MANIFEST, REQUIRED_FILES, DataFolder, Origin
from enroll.local.deployment import client
from enroll.local.settings import LocalRunError, Settings
from tests.local.test_lifetime import ENROLL, GONE_WITHIN_SECONDS, started
from tests.support.emulated import free_port

ORIGIN = Origin("1.5.33", {"--port": 4566})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


def write_state(data: DataFolder, content: str) -> None:
    """What MiniStack does when it stops."""
    for name in REQUIRED_FILES:
        (data.working_folder / name).write_text(content)


def save(folder: Path, content: str, origin: Origin = ORIGIN) -> None:
    with DataFolder(folder, origin) as data:
        write_state(data, content)
        data.save_after_stop(time.time(), lambda: None)


def restored(folder: Path, origin: Origin = ORIGIN) -> str | None:
    with DataFolder(folder, origin) as data:
        return (data.working_folder / "sqs.json").read_text() if data.restored_from else None


def problem(folder: Path, origin: Origin = ORIGIN) -> str:
    with pytest.raises(LocalRunError) as error, DataFolder(folder, origin):
        pass
    assert str(folder) in str(error.value)
    return str(error.value)


def test_a_new_folder_has_no_state(folder: Path) -> None:
    assert restored(folder) is None
    assert restored(folder) is None


def test_the_next_run_gets_the_saved_state(folder: Path) -> None:
    save(folder, "1")
    assert restored(folder) == "1"
    save(folder, "2")
    assert restored(folder) == "2"


def test_run_that_was_killed_does_not_change_the_saved_state(folder: Path) -> None:
    save(folder, "1")
    with DataFolder(folder, ORIGIN) as data:
        assert not data.interrupted
        write_state(data, "half of 2")
    with DataFolder(folder, ORIGIN) as data:
        assert data.interrupted
        assert (data.working_folder / "sqs.json").read_text() == "1"


@pytest.mark.parametrize("step", ["before the exchange", "between its steps", "before the end"])
def test_a_save_that_was_killed_is_completed(folder: Path, step: str) -> None:
    save(folder, "2")
    new = folder / "state"
    old = shutil.copytree(new, folder / "state.old")
    (old / "sqs.json").write_text("1")
    if step != "before the end":
        new.rename(folder / "state.next")
    if step == "before the exchange":
        old.rename(new)
    assert restored(folder) == "2"
    assert not old.exists()


def test_a_state_that_ministack_did_not_write_completely_is_not_saved(folder: Path) -> None:
    save(folder, "1")
    unwritten = DataFolder(folder, ORIGIN).__enter__()
    write_state(unwritten, "2")
    os.utime(unwritten.working_folder / "sqs.json", (0, 0))
    unwritten.save_after_stop(time.time(), lambda: None)
    with pytest.raises(LocalRunError, match=r"not saved: MiniStack did not write sqs\.json"):
        unwritten.__exit__(None, None, None)
    failed = DataFolder(folder, ORIGIN).__enter__()
    write_state(failed, "2")
    failed.save_after_stop(time.time(), lambda: "disk full")
    with pytest.raises(LocalRunError, match="not saved: disk full"):
        failed.__exit__(None, None, None)
    assert restored(folder) == "1"


def test_a_state_of_another_version_is_refused(folder: Path) -> None:
    save(folder, "1", Origin("1.4.0", ORIGIN.ports))
    message = problem(folder)
    assert "MiniStack 1.4.0 wrote it, but MiniStack 1.5.33 is installed" in message
    assert "delete it to start without state" in message
    assert restored(folder, Origin("1.4.0", ORIGIN.ports)) == "1"


def test_a_state_of_other_ports_is_refused_with_the_options_to_use(folder: Path) -> None:
    save(folder, "1", Origin("1.5.33", {"--port": 5566, "--api-port": 5568}))
    assert "Start the local run with --port 5566 --api-port 5568, or choose another folder." in problem(folder)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("dynamodb.json", "{", "the file dynamodb.json was changed or is damaged"),
        ("dynamodb.json", None, "the file dynamodb.json is missing"),
        (MANIFEST, "{", f"the file {MANIFEST} cannot be read"),
        (MANIFEST, None, f"the file {MANIFEST} cannot be read"),
        (MANIFEST, "[]", f"the file {MANIFEST} is damaged"),
        (MANIFEST, '{"format": 1}', f"the file {MANIFEST} is damaged"),
    ],
)
def test_a_damaged_state_is_refused(folder: Path, name: str, content: str | None, expected: str) -> None:
    save(folder, "1")
    file = folder / "state" / name
    file.unlink() if content is None else file.write_text(content)
    assert expected in problem(folder)


def test_a_state_of_another_format_is_refused(folder: Path) -> None:
    save(folder, "1")
    manifest = json.loads((folder / "state" / MANIFEST).read_text())
    (folder / "state" / MANIFEST).write_text(json.dumps({**manifest, "format": 99}))
    assert "it has format 99, but this version of Enroll expects format 1" in problem(folder)


def test_a_folder_with_other_files_is_refused(folder: Path) -> None:
    folder.mkdir()
    (folder / "thesis.txt").write_text("")
    assert "expected a new or empty folder" in problem(folder)
    assert [file.name for file in folder.iterdir()] == ["thesis.txt"]


def test_two_runs_cannot_use_a_folder_at_the_same_time(folder: Path) -> None:
    with DataFolder(folder, ORIGIN):
        assert "another local run uses" in problem(folder)
    assert restored(folder) is None


def records_of(settings: Settings) -> list[dict[str, Any]]:
    found = Api(settings.api_url, "demo").call("POST", "/crm/v3/objects/contacts/batch/read", {
        "properties": ["email"], "inputs": [{"id": "101"}],
    })  # fmt: skip
    return [result["properties"] for result in found["results"]]


@pytest.fixture
def settings(folder: Path) -> Settings:
    return Settings(port=free_port(), lambda_port=free_port(), api_port=free_port(), data=folder)


def command(settings: Settings) -> list[str]:
    ports = {"--port": settings.port, "--lambda-port": settings.lambda_port, "--api-port": settings.api_port}
    options = [text for option, port in ports.items() for text in (option, str(port))]
    return [str(ENROLL), "local", "run", "--no-demo", "--data", str(settings.data), *options]


@pytest.mark.verify
@pytest.mark.xdist_group("embedded")
def test_records_and_messages_are_there_after_a_restart_and_an_update(settings: Settings, tmp_path: Path) -> None:
    outputs = []
    queue_urls = set()
    for number, parameters in enumerate([[], [], ["--parameter", "EventHistoryDays=7"]]):
        output = tmp_path / f"output{number}"
        with started([*command(settings), *parameters], output) as (run, _):
            queues = client(settings, "sqs")
            url = next(line.split()[1] for line in output.read_text().splitlines() if line.startswith("Queue "))
            queue_urls.add(url)
            if number == 0:
                Api(settings.api_url, "demo").call("POST", "/crm/v3/objects/contacts/batch/upsert", {
                    "inputs": [{"id": "101", "properties": {"email": "ann@example.com"}}],
                })  # fmt: skip
                queues.send_message(QueueUrl=url, MessageBody="kept", MessageGroupId="1", MessageDeduplicationId="1")
            else:
                assert [record["email"] for record in records_of(settings)] == ["ann@example.com"]
                [message] = queues.receive_message(QueueUrl=url, VisibilityTimeout=0)["Messages"]
                assert message["Body"] == "kept"
            functions = client(settings, "lambda").list_functions()["Functions"]
            days = {function["Environment"]["Variables"].get("EVENT_HISTORY_DAYS") for function in functions}
            assert days - {None} == {"7" if parameters else "30"}
            run.send_signal(signal.SIGINT)
            assert run.wait(GONE_WITHIN_SECONDS) == 0, output.read_text()
        outputs.append(output.read_text())
    assert len(queue_urls) == 1
    for text in outputs:
        assert "Saving the state in" in text
        assert text.rstrip().endswith("Stopped.")
    assert "Using the state in" not in outputs[0]
    assert re.search(r"Using the state in \S+, saved at 20", outputs[1])


@pytest.mark.verify
@pytest.mark.xdist_group("embedded")
def test_a_run_that_is_killed_leaves_the_state_before_it(settings: Settings, tmp_path: Path) -> None:
    for number in range(3):
        output = tmp_path / f"output{number}"
        with started(command(settings), output) as (run, _):
            records = records_of(settings)
            if number < 2:
                email = f"{number}@example.com"
                Api(settings.api_url, "demo").call("POST", "/crm/v3/objects/contacts/batch/upsert", {
                    "inputs": [{"id": "101", "properties": {"email": email}}],
                })  # fmt: skip
            if number == 1:
                run.kill()
            else:
                run.send_signal(signal.SIGINT)
            run.wait(GONE_WITHIN_SECONDS)
    assert [record["email"] for record in records] == ["0@example.com"]
    assert "did not stop in order: its changes are lost" in output.read_text()
