"""An execution environment of a function: a process of AWS's runtime client, and the Runtime API that it calls.

The process runs one invocation at a time, as in Lambda. Each process has its own Runtime API on its own port, because
the protocol does not identify the calling process.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from enroll.local import child
from enroll.local.loopback_http import HttpRequest, Response, listen, port_of
from enroll.local.settings import ACCESS_KEY, HOST, REGION

RUNTIME_API = "/2018-06-01/runtime"
INIT_SECONDS = 60.0
"""Lambda allows 10 seconds. In the local run, cold starts share a few cores with the embedded AWS."""


@dataclass(frozen=True)
class FunctionConfiguration:
    """The settings of a deployed function that are needed to run it. Times are in seconds, memory in MB."""

    name: str
    arn: str
    handler: str
    code: Path
    timeout: float = 3.0
    memory: int = 128
    environment: Mapping[str, str] = field(default_factory=dict)
    maximum_retries: int = 2
    maximum_age: float = 6 * 60 * 60
    on_failure: str | None = None
    """ARN of the destination for asynchronous invocations that failed after all retries."""


@dataclass
class Invocation:
    """An event for a function. A retry is the same invocation, with the same request ID."""

    payload: bytes
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    accepted_at: float = field(default_factory=time.time)
    attempts: int = 0


@dataclass(frozen=True)
class Outcome:
    """The result of a function, or its error."""

    payload: bytes
    failed: bool = False


def failure(request_id: str, error_type: str, message: str) -> Outcome:
    """Return the outcome of a failure that the function could not report, in Lambda's format."""
    content = {"errorType": error_type, "errorMessage": f"RequestId: {request_id} Error: {message}"}
    return Outcome(Response.of(200, content).body, failed=True)


class Sandbox:
    """A process and its Runtime API. `start` creates it, and one caller at a time may use it.

    It cannot be used after `stop` or after its process has ended.
    """

    def __init__(self, function: FunctionConfiguration, server: asyncio.Server) -> None:
        self._function = function
        self._server = server
        self._process: asyncio.subprocess.Process | None = None
        self._exit: asyncio.Task[int] | None = None
        self._mailbox: asyncio.Queue[Invocation] = asyncio.Queue()
        self._polled = asyncio.Event()
        self._init_error: bytes | None = None
        self._current: Invocation | None = None
        self._settled: asyncio.Future[Outcome] | None = None

    @classmethod
    async def start(
        cls, function: FunctionConfiguration, environment: Mapping[str, str], log: Path, python: Path
    ) -> Sandbox:
        """Start the process. `ready` waits until it is initialized. Raises OSError if it cannot be started."""
        sandbox: Sandbox

        async def answer(request: HttpRequest) -> Response:
            return await sandbox._answer(request)

        server = await listen(answer)
        sandbox = cls(function, server)
        try:
            with log.open("ab") as output:
                sandbox._process = await asyncio.create_subprocess_exec(
                    python,
                    child.__file__,
                    "awslambdaric",
                    function.handler,
                    stdin=asyncio.subprocess.PIPE,
                    stdout=output,
                    stderr=output,
                    cwd=function.code,
                    env={**environment, "AWS_LAMBDA_RUNTIME_API": f"{HOST}:{port_of(server)}"},
                    start_new_session=True,
                )
        except BaseException:
            server.close()
            raise
        sandbox._exit = asyncio.create_task(sandbox._process.wait())
        return sandbox

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError("Create a sandbox with Sandbox.start.")
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._exit is not None and not self._exit.done()

    async def ready(self) -> Outcome | None:
        """Wait until the runtime requests its first invocation. Return the error if initialization failed, or None."""
        polled = asyncio.create_task(self._polled.wait())
        try:
            ends: set[asyncio.Future[Any]] = {polled, self._exited}
            await asyncio.wait(ends, timeout=INIT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            polled.cancel()
        if self._polled.is_set():
            return None
        if self._init_error is not None:
            return Outcome(self._init_error, failed=True)
        if self._exited.done():
            return failure(str(uuid.uuid4()), "Runtime.ExitError", self._exit_reason())
        return failure(str(uuid.uuid4()), "Sandbox.Timedout", f"Init timed out after {INIT_SECONDS:.2f} seconds")

    async def invoke(self, invocation: Invocation) -> Outcome:
        """Run one attempt. After a timeout or a crash, the sandbox cannot be used."""
        self._current = invocation
        self._settled = asyncio.get_running_loop().create_future()
        self._mailbox.put_nowait(invocation)
        timeout = self._function.timeout
        ends: set[asyncio.Future[Any]] = {self._settled, self._exited}
        await asyncio.wait(ends, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        self._current = None
        if self._settled.done():
            return self._settled.result()
        if self._exited.done():
            return failure(invocation.request_id, "Runtime.ExitError", self._exit_reason())
        await self.stop()
        return failure(invocation.request_id, "Sandbox.Timedout", f"Task timed out after {timeout:.2f} seconds")

    async def stop(self) -> None:
        """Kill the process. A handler that hangs may ignore other signals, and an idle process loses nothing."""
        if self._process is not None and self.alive:
            with suppress(ProcessLookupError):
                # Kill the whole session, which includes processes that a handler started.
                os.killpg(self._process.pid, signal.SIGKILL)
        if self._exit is not None:
            await self._exit
        self._server.close()

    @property
    def _exited(self) -> asyncio.Task[int]:
        if self._exit is None:
            raise RuntimeError("Create a sandbox with Sandbox.start.")
        return self._exit

    def _exit_reason(self) -> str:
        code = self._exited.result()
        reason = f"signal: {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        return f"Runtime exited with error: {reason}"

    async def _answer(self, request: HttpRequest) -> Response:
        path = request.path.removeprefix(RUNTIME_API)
        if request.method == "GET" and path == "/invocation/next":
            self._polled.set()
            return self._handed_over(await self._mailbox.get())
        if request.method == "POST" and path == "/init/error":
            self._init_error = request.body
            return Response.of(202, {"status": "OK"})
        match path.strip("/").split("/"):
            case ["invocation", request_id, "response" | "error" as result] if request.method == "POST":
                return self._settle(request_id, Outcome(request.body, failed=result == "error"))
        return Response.of(
            404, {"errorType": "NotFound", "errorMessage": f"There is no {request.method} {request.path}."}
        )

    def _handed_over(self, invocation: Invocation) -> Response:
        trace = f"Root=1-{int(time.time()):08x}-{secrets.token_hex(12)};Parent={secrets.token_hex(8)};Sampled=0"
        return Response(
            200,
            invocation.payload,
            {
                "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
                "Lambda-Runtime-Deadline-Ms": str(int((time.time() + self._function.timeout) * 1000)),
                "Lambda-Runtime-Invoked-Function-Arn": self._function.arn,
                "Lambda-Runtime-Trace-Id": trace,
            },
        )

    def _settle(self, request_id: str, outcome: Outcome) -> Response:
        current, settled = self._current, self._settled
        if current is None or settled is None or settled.done() or current.request_id != request_id:
            message = f"{request_id} is not the invocation in progress."
            return Response.of(400, {"errorType": "InvalidRequestID", "errorMessage": message})
        settled.set_result(outcome)
        return Response.of(202, {"status": "OK"})


def lambda_environment(function: FunctionConfiguration, search_path: list[Path], aws_endpoint: str) -> dict[str, str]:
    """Return the environment that a function has in Lambda, without variables of the shell."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return {
        # The function's variables come first, so that they cannot replace variables that Lambda reserves.
        **function.environment,
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "PYTHONPATH": os.pathsep.join(str(folder) for folder in [function.code, *search_path]),
        "_HANDLER": function.handler,
        "LAMBDA_TASK_ROOT": str(function.code),
        "AWS_EXECUTION_ENV": f"AWS_Lambda_python{version}",
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": "local",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": ACCESS_KEY,
        "AWS_ENDPOINT_URL": aws_endpoint,
        # The local run has no X-Ray daemon.
        "POWERTOOLS_TRACE_DISABLED": "true",
        "AWS_XRAY_SDK_ENABLED": "false",
    }
