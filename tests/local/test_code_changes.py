"""Changes of the functions' code: their detection, and the restart of real runtime processes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from enroll.local.code_changes import CodeChanges
from enroll.local.lambda_service import LambdaService
from enroll.local.run import code_changed_message
from enroll.local.settings import Settings
from tests.local.test_lambda_service import Destination, eventually, function_in, gone, post

SOURCE = """
import os, time
from pathlib import Path

import shared

def handler(event, context):
    if event.get("slow"):
        Path(os.environ["TRACES"], "started").touch()
        time.sleep(2)
    return {"pid": os.getpid(), "code": 1, "layer": shared.VALUE, "number": event.get("number")}
"""


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    folder = tmp_path / "layers" / "enrollment"
    folder.mkdir(parents=True)
    (folder / "shared.py").write_text("VALUE = 1\n")
    return folder


@contextmanager
def running(folder: Path, layer: Path, announced: list[list[Path]], sandboxes: int = 1) -> Iterator[LambdaService]:
    service = LambdaService(
        log_folder=folder / "logs",
        port=0,
        search_path=[layer],
        retry_delays=(0.2, 0.2),
        destination=Destination(),
        extra_sandboxes=sandboxes - 1,
        code_folders=[layer, folder / "forms"],
        code_changed=announced.append,
        code_polled_seconds=0.05,
    )
    function = function_in(folder, SOURCE)
    with service:
        service.deploy({"forms": function})
        yield service


def test_added_changed_and_removed_python_files_are_reported_once(layer: Path) -> None:
    changes = CodeChanges([layer])
    assert changes.changed_files() == []
    (layer / "added.py").write_text("")
    (layer / "notes.md").write_text("not code")
    assert changes.changed_files() == [layer / "added.py"]
    (layer / "shared.py").write_text("VALUE = 22\n")
    (layer / "added.py").unlink()
    assert changes.changed_files() == [layer / "added.py", layer / "shared.py"]
    assert changes.changed_files() == []


def test_compiled_files_are_not_reported_and_those_of_changed_files_are_deleted(layer: Path) -> None:
    changes = CodeChanges([layer])
    compiled = layer / "__pycache__" / "shared.cpython-311.pyc"
    compiled.parent.mkdir()
    compiled.write_text("")
    (layer / "__pycache__" / "generated.py").write_text("")
    assert changes.changed_files() == []
    (layer / "shared.py").write_text("VALUE = 2\n")
    os.utime(layer / "shared.py", ns=(0, 1))
    assert changes.changed_files() == [layer / "shared.py"]
    assert not compiled.exists()


def test_a_broken_link_of_an_editor_is_no_change(layer: Path) -> None:
    changes = CodeChanges([layer])
    (layer / ".#shared.py").symlink_to("nobody@nowhere.1234")
    assert changes.changed_files() == []


def test_a_scan_of_the_project_is_cheap() -> None:
    changes = CodeChanges(Settings().code_folders)
    started = time.process_time()
    for _ in range(10):
        changes.changed_files()
    assert (time.process_time() - started) / 10 < 0.1


def test_the_message_names_the_first_file_and_counts_the_others(tmp_path: Path) -> None:
    files = [tmp_path / "layers" / "a.py", tmp_path / "layers" / "b.py"]
    ending = "; functions restart at their next invocation"
    assert code_changed_message(files[:1], tmp_path) == f"code changed: layers/a.py{ending}"
    assert code_changed_message(files, tmp_path) == f"code changed: layers/a.py and 1 more{ending}"


def test_a_change_of_the_layer_replaces_the_process_at_the_next_invocation(tmp_path: Path, layer: Path) -> None:
    announced: list[list[Path]] = []
    with running(tmp_path, layer, announced) as service:
        before = post(service, {})[2]
        assert post(service, {})[2] == before
        (layer / "shared.py").write_text("VALUE = 2\n")  # same size: only the modification time differs
        eventually(lambda: announced == [[layer / "shared.py"]])
        after = post(service, {})[2]
        assert (before["layer"], after["layer"]) == (1, 2)
        assert after["pid"] != before["pid"]
        assert gone(before["pid"])
        assert post(service, {})[2] == after


def test_a_change_of_a_functions_own_code_restarts_only_that_function(tmp_path: Path, layer: Path) -> None:
    announced: list[list[Path]] = []
    with running(tmp_path, layer, announced) as service:
        calls = tmp_path / "calls"
        calls.mkdir()
        (calls / "app.py").write_text(SOURCE)
        service.deploy({"calls": replace(function_in(tmp_path, SOURCE), name="enroll-CallsFunction", code=calls)})
        eventually(lambda: len(announced) > 0)  # function_in wrote the code of forms again
        before = [post(service, {}, name=name)[2] for name in ("forms", "calls")]
        announced.clear()
        (tmp_path / "forms" / "app.py").write_text(SOURCE.replace('"code": 1', '"code": 2'))
        eventually(lambda: len(announced) == 1)
        after = [post(service, {}, name=name)[2] for name in ("forms", "calls")]
        assert (before[0]["code"], after[0]["code"]) == (1, 2)
        assert after[1] == before[1]


def test_an_invocation_in_progress_ends_with_the_old_code(tmp_path: Path, layer: Path) -> None:
    announced: list[list[Path]] = []
    with running(tmp_path, layer, announced) as service, ThreadPoolExecutor(1) as caller:
        slow = caller.submit(post, service, {"slow": True})
        eventually((tmp_path / "started").exists)
        (tmp_path / "forms" / "app.py").write_text(SOURCE.replace('"code": 1', '"code": 2'))
        eventually(lambda: len(announced) == 1)
        assert not slow.done()
        status, error, answer = slow.result()
        assert (status, error, answer["code"]) == (200, None, 1)
        assert post(service, {})[2]["code"] == 2


def test_a_syntax_error_is_the_functions_error_and_the_next_change_recovers(tmp_path: Path, layer: Path) -> None:
    announced: list[list[Path]] = []
    with running(tmp_path, layer, announced) as service:
        post(service, {})
        (layer / "shared.py").write_text("VALUE = \n")
        eventually(lambda: len(announced) == 1)
        _, error, answer = post(service, {})
        assert (error, answer["errorType"]) == ("Unhandled", "Runtime.UserCodeSyntaxError")
        (layer / "shared.py").write_text("VALUE = 3\n")
        eventually(lambda: len(announced) == 2)
        assert post(service, {})[2]["layer"] == 3


def test_no_invocation_is_lost_when_code_changes_under_load(tmp_path: Path, layer: Path) -> None:
    announced: list[list[Path]] = []
    with running(tmp_path, layer, announced, sandboxes=2) as service, ThreadPoolExecutor(10) as callers:
        answers = [callers.submit(post, service, {"number": number}) for number in range(200)]
        for value in range(2, 5):
            (layer / "shared.py").write_text(f"VALUE = {value}\n")
            eventually(lambda count=value - 1: len(announced) >= count)  # type: ignore[misc]
        results = [answer.result() for answer in answers]
    assert [error for _, error, _ in results if error] == []
    assert [answer["number"] for _, _, answer in results] == list(range(200))
    assert results[-1][2]["layer"] in (1, 2, 3, 4)
