"""A local run ends with what started it, and leaves no process."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.emulated import free_port

pytestmark = [pytest.mark.verify, pytest.mark.xdist_group("embedded")]

ROOT = Path(__file__).parents[2]
ENROLL = Path(sys.executable).with_name("enroll")
UP_WITHIN_SECONDS = 120
GONE_WITHIN_SECONDS = 20


def processes() -> dict[int, tuple[int, str]]:
    """The parent and the command of each that runs; zombies do not."""
    listing = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,ppid=,stat=,args="], capture_output=True, text=True, check=True
    )
    found = {}
    for line in listing.stdout.splitlines():
        pid, parent, state, command = line.split(None, 3)
        if not state.startswith("Z"):
            found[int(pid)] = (int(parent), command)
    return found


def family(root: int) -> set[int]:
    """A process and all that it started, directly or not."""
    running = processes()
    members = {root} & running.keys()
    while grown := {pid for pid, (parent, _) in running.items() if parent in members} - members:
        members |= grown
    return members


def wait_until_gone(pids: set[int]) -> None:
    deadline = time.monotonic() + GONE_WITHIN_SECONDS
    while left := pids & processes().keys():
        assert time.monotonic() < deadline, {pid: processes().get(pid) for pid in left}
        time.sleep(0.1)


@contextmanager
def started(command: list[str], output: Path) -> Iterator[tuple[subprocess.Popen[bytes], set[int]]]:
    """Yield the process, and its child processes once the local run has started. Kill the remaining ones at the end."""
    with output.open("wb") as file:
        process = subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, start_new_session=True)
    pids: set[int] = set()
    try:
        deadline = time.monotonic() + UP_WITHIN_SECONDS
        while "Ctrl-C stops it" not in output.read_text():
            assert process.poll() is None, output.read_text()
            assert time.monotonic() < deadline, output.read_text()
            time.sleep(0.2)
        pids = family(process.pid)
        assert [number for number in pids if "embedded_aws.py" in processes()[number][1]], processes()
        yield process, pids
    finally:
        process.kill()
        process.wait()
        for pid in pids & processes().keys():
            os.kill(pid, signal.SIGKILL)


def options() -> list[str]:
    ports = zip(("--port", "--lambda-port", "--api-port"), (free_port(), free_port(), free_port()), strict=True)
    return ["--no-demo", *(text for name, port in ports for text in (name, str(port)))]


def test_it_ends_when_make_is_killed(tmp_path: Path) -> None:
    arguments = ["make", "-s", "run", f"PYTHON={sys.executable}", f"ARGS={shlex.join(options())}"]
    with started(arguments, tmp_path / "output") as (make, pids):
        assert len(pids) >= 3, processes()
        make.kill()
        make.wait()
        wait_until_gone(pids)


def test_it_ends_by_sigint_although_a_script_started_it_in_the_background(tmp_path: Path) -> None:
    """A shell without job control has it ignore SIGINT."""
    script = f"{shlex.join([str(ENROLL), 'local', 'run', *options()])} & echo $! > {tmp_path}/pid; wait $!; exit $?"
    with started(["/bin/sh", "-c", script], tmp_path / "output") as (shell, pids):
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGINT)
        assert shell.wait(GONE_WITHIN_SECONDS) == 0
        wait_until_gone(pids)
    assert "Stopped." in (tmp_path / "output").read_text()


def test_it_leaves_no_process_when_it_is_killed(tmp_path: Path) -> None:
    with started([str(ENROLL), "local", "run", *options()], tmp_path / "output") as (run, pids):
        run.kill()
        run.wait()
        wait_until_gone(pids)
