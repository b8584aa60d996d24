"""The settings of a local run: its ports, paths and names."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

HOST = "127.0.0.1"
"""All servers of a local run listen here only. With `--bind`, the embedded AWS also listens at another address."""

STACK_NAME = "enroll"
REGION = "eu-west-1"
ACCESS_KEY = "test"
"""The access key and the secret. The embedded AWS accepts any. This value cannot be mistaken for real credentials."""

DEMO_PORTAL = "demo"
"""The portal of the demonstration, and of the commands in a shell that uses the local run."""

EMULATOR_PORT = 4566
LAMBDA_PORT = 4567
LAMBDA_PORT_VARIABLE = "ENROLL_LAMBDA_PORT"
"""The variable by which `enroll invoke` finds the local Lambda service."""
API_PORT = 4568

PROJECT = Path(__file__).resolve().parents[3]


class LocalRunError(Exception):
    """The local run cannot start or continue. The message says why, and what the user can do."""


@dataclass(frozen=True)
class Settings:
    """The options of `enroll local run`, and the paths that follow from the project's folder."""

    port: int = EMULATOR_PORT
    lambda_port: int = LAMBDA_PORT
    api_port: int = API_PORT
    retry_delays: tuple[float, ...] = (1.0, 2.0)
    allowed_hosts: tuple[str, ...] = ()
    """Names that the Host header may have, in addition to those of the loopback interface (see `guard.py`)."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Parameters of the template that differ from its defaults."""
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
        """The URL of the embedded AWS for a function in a container."""
        return f"http://host.docker.internal:{self.port}"

    @property
    def lambda_endpoint(self) -> str:
        return f"http://{HOST}:{self.lambda_port}"

    @property
    def api_url(self) -> str:
        return f"http://{HOST}:{self.api_port}"

    @property
    def run_folder(self) -> Path:
        """The folder for logs. It may be deleted between runs. Each port has its own, so that two runs can be up."""
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
