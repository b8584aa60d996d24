"""The embedded AWS: MiniStack in its own environment, as a child process on the loopback interface."""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType

from enroll.local import child
from enroll.local.settings import ACCESS_KEY, HOST, REGION, LocalRunError, Settings

EMBEDDED_AWS = Path(child.__file__).with_name("embedded_aws.py")
"""The program that runs MiniStack with the guard and the additions of the local run."""

READY_WITHIN_SECONDS = 60
STOPPED_WITHIN_SECONDS = 5
VERSION_WITHIN_SECONDS = 30
SAVED_WITHIN_SECONDS = 60
"""MiniStack writes its state while it stops."""

STATE_ERRORS = (
    "Persistence: failed to load",
    "refusing to load",
    "Failed to restore persisted state",
    "Persistence: failed to save",
    "Persistence: error getting state",
)
"""Parts of the log lines with which MiniStack reports a state that it could not read or write. It continues then."""


def refuse_taken_port(port: int, option: str, host: str = HOST) -> None:
    """Raise LocalRunError, with the port and the option to change, if the port is in use."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Without this option, a port that a server has just closed would count as in use for a while.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise LocalRunError(
                f"Port {port} on {host} cannot be used: {error.strerror}. If it is another local run, stop that one; "
                + (
                    f"otherwise choose another port with {option}, for example {option} {port + 100}."
                    if host == HOST
                    else f"otherwise check that {host}, given with {option}, is an address of this machine."
                )
            ) from error


def refuse_missing_emulator(python: Path) -> None:
    """Raise LocalRunError if the environment of the embedded AWS is not installed."""
    if not python.exists():
        raise LocalRunError(
            f"The embedded AWS is not installed: {python} does not exist. "
            "Start the local run with `make run`, which installs it, or give an interpreter that has MiniStack "
            "with --emulator-python."
        )


def ministack_version(python: Path) -> str:
    """Return the version of MiniStack that the environment of this interpreter has."""
    refuse_missing_emulator(python)
    command = [str(python), "-c", "from importlib import metadata; print(metadata.version('ministack'))"]
    try:
        output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=VERSION_WITHIN_SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        raise LocalRunError(f"{python} cannot report the version of MiniStack: {error}") from error
    return output.stdout.strip()


class Emulator:
    """MiniStack as a child process, which `with` starts and stops. It cannot outlive this process (see `child.py`)."""

    def __init__(self, settings: Settings, state_folder: Path | None = None) -> None:
        """`state_folder`: MiniStack reads its state there at the start, and writes it there at an orderly stop."""
        self._settings = settings
        self._state_folder = state_folder
        self._process: subprocess.Popen[bytes] | None = None
        self.log = settings.run_folder / "emulator.log"

    def __enter__(self) -> Emulator:
        settings = self._settings
        refuse_missing_emulator(settings.emulator_python)
        refuse_taken_port(settings.port, "--port")
        settings.run_folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [settings.emulator_python, Path(child.__file__), EMBEDDED_AWS, *settings.allowed_hosts],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment(),
                cwd=settings.run_folder,
                # Ctrl-C must reach only this process, which stops its children in order.
                start_new_session=True,
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        process = self._process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(SAVED_WITHIN_SECONDS if self._state_folder else STOPPED_WITHIN_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdin:
            process.stdin.close()
        self._process = None

    def state_problem(self) -> str | None:
        """Return MiniStack's first report that it could not read or write its state; None if there is none."""
        lines = self.log.read_text(errors="replace").splitlines()
        return next((line for line in lines if any(error in line for error in STATE_ERRORS)), None)

    def _environment(self) -> dict[str, str]:
        """Return the complete environment of MiniStack: the AWS settings and proxies of the shell must not apply."""
        state = {"PERSIST_STATE": "1", "STATE_DIR": str(self._state_folder)} if self._state_folder else {}
        return {
            **state,
            "PATH": os.environ.get("PATH", os.defpath),
            "TMPDIR": str(self._settings.run_folder),
            "BIND_HOST": HOST,
            "GATEWAY_PORT": str(self._settings.port),
            "MINISTACK_HOST": HOST,
            "MINISTACK_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": ACCESS_KEY,
            # No limit on concurrent invocations: the local Lambda service has its own queue and limits concurrency
            # itself, and an event beyond this limit would be lost.
            "LAMBDA_ACCOUNT_CONCURRENCY": "0",
            # These services would open further ports.
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "LOG_LEVEL": "WARNING",
        }

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_WITHIN_SECONDS
        while time.monotonic() < deadline:
            if not self.running:
                raise LocalRunError(f"The embedded AWS ended while starting:\n{self._last_lines()}")
            if self._answers():
                return
            time.sleep(0.05)
        raise LocalRunError(f"The embedded AWS was not ready in {READY_WITHIN_SECONDS} s:\n{self._last_lines()}")

    def _answers(self) -> bool:
        # A proxy from the shell's environment cannot reach this machine's loopback interface.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"{self._settings.endpoint}/_ministack/ready", timeout=1) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def _last_lines(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-15:]
        return "\n".join([*lines, f"Complete log: {self.log}"])
