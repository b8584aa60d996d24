"""Where a local run lives and what it is called: the only place that knows."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

HOST = "127.0.0.1"
"""Nothing of a local run listens anywhere else, except the embedded AWS where `--bind` says so."""

STACK_NAME = "enroll"
REGION = "eu-west-1"
ACCESS_KEY = "test"
"""Both the key and the secret: the embedded AWS takes any, and these cannot be mistaken for real ones."""

EMULATOR_PORT = 4566
LAMBDA_PORT = 4567
API_PORT = 4568

PROJECT = Path(__file__).resolve().parents[3]


class LocalRunError(Exception):
    """Something stands in the way of the local run; the message says what it is and what to do."""


@dataclass(frozen=True)
class Settings:
    """What the options of `enroll local run` decide, and the paths that follow from the project's root."""

    port: int = EMULATOR_PORT
    lambda_port: int = LAMBDA_PORT
    api_port: int = API_PORT
    retry_delays: tuple[float, ...] = (1.0, 2.0)
    allowed_hosts: tuple[str, ...] = ()
    """Names, beside those of the loopback interface, that a request's Host header may have (see `guard.py`)."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Of the template, where they are not its defaults."""
    bind: str | None = None
    """Another address of this machine at which the embedded AWS is reachable, for functions in containers."""
    data: Path | None = None
    """The folder that keeps the state between runs. None: the state is lost when the run ends."""
    project: Path = PROJECT
    emulator_python: Path = PROJECT / ".venv-emulator" / "bin" / "python"
    python: Path = Path(sys.executable)

    @property
    def endpoint(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def container_endpoint(self) -> str:
        """The embedded AWS, as a function in a container addresses it."""
        return f"http://host.docker.internal:{self.port}"

    @property
    def lambda_endpoint(self) -> str:
        return f"http://{HOST}:{self.lambda_port}"

    @property
    def api_url(self) -> str:
        return f"http://{HOST}:{self.api_port}"

    @property
    def run_folder(self) -> Path:
        """Logs: never committed, free to delete between runs. One for each port, so that two runs can be up at once."""
        return self.project / ".enroll" / str(self.port)

    @property
    def template(self) -> Path:
        return self.project / "template.yaml"

    @property
    def layer(self) -> Path:
        return self.project / "layers" / "enrollment"

    @property
    def code_folders(self) -> list[Path]:
        """Functions start again when a Python file in one of these folders changes."""
        return [self.project / "layers", self.project / "functions"]

    @property
    def events(self) -> Path:
        return self.project / "events"
