"""The commands print what the sessions in the documents show. byexample replays them on a terminal of 80 columns."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from threading import Thread

import pytest

from enroll.local.settings import Settings
from enroll.local.shell import shell_variables
from tests.support.embedded import ENROLL, ROOT, start
from tests.support.emulated import free_port

pytestmark = [pytest.mark.verify, pytest.mark.xdist_group("transcripts")]

BYEXAMPLE = ROOT / ".venv-transcripts" / "bin" / "byexample"
# Some commands wait until a decision is final.
SECONDS_PER_COMMAND = 60
FLOWS = ROOT / "build" / "flows"
"""The folder that the session of the marketing engineer writes."""


@pytest.fixture(scope="module")
def variables() -> Iterator[Mapping[str, str]]:
    """The variables of a shell that uses a local run with the demonstration. One run serves all sessions."""
    ports = (free_port(), free_port(), free_port())
    process = start(ports=ports)
    assert process.stdout is not None
    try:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "Ctrl-C" in line:
                break
        assert process.poll() is None, "".join(lines)
        # Read the output to the end. Otherwise the run would block when the pipe is full.
        Thread(target=process.stdout.read, daemon=True).start()
        yield shell_variables(Settings(port=ports[0], lambda_port=ports[1], api_port=ports[2]))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


@pytest.fixture
def _no_flow_files() -> Iterator[None]:
    shutil.rmtree(FLOWS, ignore_errors=True)
    yield
    shutil.rmtree(FLOWS, ignore_errors=True)


@pytest.mark.usefixtures("_no_flow_files")
def test_first_ten_minutes_of_each_role_are_as_documented(variables: Mapping[str, str]) -> None:
    if not BYEXAMPLE.exists():
        pytest.skip("make .venv-transcripts/.ready")
    replayed = subprocess.run(
        [
            *(str(BYEXAMPLE), "-l", "shell", "--timeout", str(SECONDS_PER_COMMAND), "-d", "unified"),
            *("--no-progress-bar", "docs/first-ten-minutes.md"),
        ],
        cwd=ROOT,
        env={**os.environ, **variables, "PATH": f"{ENROLL.parent}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "80"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr
