"""The settings with which another shell uses a local run: `make run` and `enroll env` print the same lines."""

from __future__ import annotations

import fcntl
import json
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from enroll.local.settings import ACCESS_KEY, DEMO_PORTAL, LAMBDA_PORT_VARIABLE, REGION, Settings

FILE = "shell.json"
"""A file in the folder of the run's logs. The run locks it, so that a run that was killed does not count as alive."""

UNSET = ("AWS_PROFILE", "AWS_REGION", "AWS_SESSION_TOKEN", "ENROLL_API_TOKEN", "ENROLL_STACK")
"""Variables of other accounts and stacks, which would have effect beside those of the run."""


@dataclass(frozen=True)
class AliveRun:
    """A local run that is up. `port`: of the embedded AWS. `variables`: those with which a shell uses it."""

    port: int
    variables: Mapping[str, str]


def shell_variables(settings: Settings) -> dict[str, str]:
    """Return the variables with which a shell uses the local run."""
    return {
        "AWS_ENDPOINT_URL": settings.endpoint,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": ACCESS_KEY,
        "ENROLL_API": settings.api_url,
        "ENROLL_PORTAL": DEMO_PORTAL,
        LAMBDA_PORT_VARIABLE: str(settings.lambda_port),
    }


def shell_lines(variables: Mapping[str, str]) -> list[str]:
    """Return the lines for a POSIX shell that set the variables."""
    return [
        f"unset {' '.join(UNSET)}",
        *(f"export {name}={shlex.quote(value)}" for name, value in variables.items()),
    ]


@contextmanager
def announced(settings: Settings) -> Iterator[None]:
    """Let `enroll env` find the run while the context lasts."""
    path = settings.run_folder / FILE
    settings.run_folder.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        json.dump({"port": settings.port, "variables": shell_variables(settings)}, file)
        file.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def alive_runs(project: Path) -> list[AliveRun]:
    """Return the runs of a project that are up, by port."""
    runs = [_alive_run(path) for path in (project / ".enroll").glob(f"*/{FILE}")]
    return sorted((run for run in runs if run is not None), key=lambda run: run.port)


def _alive_run(path: Path) -> AliveRun | None:
    try:
        with path.open(encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                document = json.load(file)
                return AliveRun(int(document["port"]), dict(document["variables"]))
    except (OSError, ValueError, KeyError, TypeError):
        # The run ends or starts at this moment, or another version wrote the file.
        return None
    return None
