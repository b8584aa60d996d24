"""The local Lambda service, which runs the functions of the stack.

It accepts invocations from the embedded bus and from `enroll invoke`, and runs them in a bounded number of sandboxes.
As in AWS, an asynchronous invocation is accepted at once, retried twice if it fails, and then sent to the on-failure
destination.

Start reading at `Function.work`, which runs an invocation.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import unquote

from enroll.local import gateway
from enroll.local.code_changes import CodeChanges
from enroll.local.console_site import ConsoleSite
from enroll.local.emulator import refuse_taken_port
from enroll.local.loopback_http import Answer, HttpRequest, Response, listen, port_of
from enroll.local.sandbox import FunctionConfiguration, Invocation, Outcome, Sandbox, failure, lambda_environment
from enroll.local.settings import DEMO_PORTAL, HOST, LAMBDA_PORT

T = TypeVar("T")

logger = logging.getLogger(__name__)

INVOKE_API = "/2015-03-31/functions/"
EVENTS_PATH = "/events"
"""Path to which the embedded AWS sends events of its bus and batches of its queues. A header names the function. For a
batch it waits for the response, which says which messages failed."""
FUNCTION_HEADER = "x-amzn-lambda-function-name"

QUEUED_BYTES = 256 * 1024 * 1024
"""Limit for the payloads of waiting and running asynchronous invocations. Beyond it, accepting an invocation waits."""

BACKLOG_PER_SANDBOX = 10
"""A function gets another sandbox when this many events wait for each of its sandboxes."""

DESTINATION_ATTEMPTS = 5

CODE_POLLED_SECONDS = 1.0

CLOCKED_FUNCTION = "runs"
"""A function that a schedule invokes each minute. Here it is also invoked every CLOCK_SECONDS, one invocation at a
time, so that its work begins soon."""
CLOCK_SECONDS = 3.0

Destination = Callable[[str, str], None]
"""Sends a record (JSON text) to an ARN. It may block, because it is called outside the event loop."""


@dataclass(frozen=True)
class CompletedAttempt:
    """A completed attempt of an invocation, for an observer of the service."""

    function: str
    payload: Any
    failed: bool
    final: bool
    """Whether no retry follows."""
    request: tuple[str, str] | None = None
    """The method and the path of the HTTP request that invoked the function. None: another event invoked it."""


@dataclass(order=True)
class QueuedInvocation:
    """An invocation in a function's queue. Synchronous invocations run before asynchronous ones."""

    priority: int
    number: int
    invocation: Invocation = field(compare=False)
    answer: asyncio.Future[Outcome] | None = field(compare=False)
    """Receives the outcome of a synchronous invocation. None for an asynchronous one."""
    events: int = field(compare=False)


class ByteLimiter:
    """Limits the total size of queued payloads."""

    def __init__(self, size: int) -> None:
        self._free = self._size = size
        self._changed = asyncio.Condition()

    async def take(self, size: int) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self._free >= min(size, self._size))
            self._free -= size

    async def give_back(self, size: int) -> None:
        async with self._changed:
            self._free += size
            self._changed.notify_all()


class Function:
    """A deployed function with its queue and its sandboxes. Handles retries and the on-failure destination."""

    def __init__(self, configuration: FunctionConfiguration, service: LambdaService) -> None:
        self.configuration = configuration
        self._service = service
        self._waiting: asyncio.PriorityQueue[QueuedInvocation] = asyncio.PriorityQueue()
        self._numbers = itertools.count()
        self._events_waiting = 0
        self._workers = 0
        self._log = service.log_folder / f"{configuration.name}.log"
        self._environment = lambda_environment(configuration, service.search_path, service.aws_endpoint)
        self._code_version = 0

    def use_new_code(self) -> None:
        """Make every sandbox start again before its next invocation. An invocation in progress ends first."""
        self._code_version += 1

    async def invoke(self, payload: bytes, events: int = 1) -> Outcome:
        """Run a synchronous invocation: one attempt. `events`: number of events in the payload."""
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._enqueue(Invocation(payload), answer, events)
        return await answer

    def accept(self, invocation: Invocation) -> None:
        """Queue an asynchronous invocation or a retry of one."""
        self._enqueue(invocation, None)

    def _enqueue(self, invocation: Invocation, answer: asyncio.Future[Outcome] | None, events: int = 1) -> None:
        priority = 1 if answer is None else 0
        self._waiting.put_nowait(QueuedInvocation(priority, next(self._numbers), invocation, answer, events))
        self._events_waiting += events
        backlog = self._events_waiting >= BACKLOG_PER_SANDBOX * self._workers
        if self._workers == 0 or (backlog and self._service.take_extra_sandbox()):
            self._add_worker()

    def _add_worker(self) -> None:
        self._workers += 1
        self._service.spawn(self.work())

    async def work(self) -> None:
        """Run invocations one after the other in one sandbox. Replace it if its process ended or the code changed."""
        sandbox: Sandbox | None = None
        code_version = self._code_version
        try:
            while True:
                waiting = await self._waiting.get()
                self._events_waiting -= waiting.events
                waiting.invocation.attempts += 1
                try:
                    if sandbox is not None and code_version != self._code_version:
                        await sandbox.stop()
                    if sandbox is None or not sandbox.alive:
                        # Read before the start: a change during the start must start the sandbox again.
                        code_version = self._code_version
                        sandbox, broken = await self._start_sandbox()
                        outcome = broken or await sandbox.invoke(waiting.invocation)
                    else:
                        outcome = await sandbox.invoke(waiting.invocation)
                except OSError as error:
                    # The process could not be started, or no port was free. A retry may succeed.
                    outcome = failure(waiting.invocation.request_id, "Runtime.NotStarted", str(error))
                await self._conclude(waiting, outcome)
        finally:
            if sandbox is not None:
                await sandbox.stop()

    async def _start_sandbox(self) -> tuple[Sandbox, Outcome | None]:
        async with self._service.cold_starts:
            sandbox = await Sandbox.start(self.configuration, self._environment, self._log, self._service.python)
            try:
                broken = await sandbox.ready()
            except BaseException:
                await sandbox.stop()
                raise
        if broken:
            await sandbox.stop()
        return sandbox, broken

    async def _conclude(self, waiting: QueuedInvocation, outcome: Outcome) -> None:
        invocation = waiting.invocation
        if waiting.answer is not None:
            if not waiting.answer.done():
                waiting.answer.set_result(outcome)
            self._report(outcome, invocation, final=True)
            return
        if not outcome.failed:
            self._report(outcome, invocation, final=True)
            await self._service.forget(invocation)
            return
        retries_left = invocation.attempts <= self.configuration.maximum_retries
        delay = self._service.retry_delay(invocation.attempts)
        young = time.time() + delay - invocation.accepted_at < self.configuration.maximum_age
        self._report(outcome, invocation, final=not (retries_left and young))
        logger.warning("%s failed, attempt %d: %s", self.configuration.name, invocation.attempts, _shown(outcome))
        if retries_left and young:
            asyncio.get_running_loop().call_later(delay, self.accept, invocation)
        else:
            condition = "EventAgeExceeded" if retries_left else "RetriesExhausted"
            self._service.spawn(self._give_up(invocation, outcome, condition))

    async def _give_up(self, invocation: Invocation, outcome: Outcome, condition: str) -> None:
        """Send a failure record in AWS's format to the on-failure destination, with retries."""
        try:
            if self.configuration.on_failure is None:
                logger.error("%s gave up %s; it has no destination", self.configuration.name, invocation.request_id)
                return
            record = json.dumps(destination_record(self.configuration, invocation, outcome, condition))
            for attempt in range(1, DESTINATION_ATTEMPTS + 1):
                try:
                    await asyncio.to_thread(self._service.destination, self.configuration.on_failure, record)
                    return
                except Exception:  # any error of the destination's client: the record must not be lost
                    logger.exception("Destination of %s, attempt %d", self.configuration.name, attempt)
                    await asyncio.sleep(0.2 * 2**attempt)
            logger.error("Lost: no destination took the record %s", record)
        finally:
            await self._service.forget(invocation)

    def _report(self, outcome: Outcome, invocation: Invocation, *, final: bool) -> None:
        payload, request = _parsed(outcome.payload), None
        if isinstance(payload, dict) and "statusCode" in payload:
            request = gateway.request_of(_parsed(invocation.payload))
        self._service.watch(CompletedAttempt(self.configuration.name, payload, outcome.failed, final, request))


def destination_record(
    function: FunctionConfiguration, invocation: Invocation, outcome: Outcome, condition: str
) -> dict[str, Any]:
    """Return the record that an on-failure destination of Lambda receives."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {
        "version": "1.0",
        "timestamp": now,
        "requestContext": {
            "requestId": invocation.request_id,
            "functionArn": f"{function.arn}:$LATEST",
            "condition": condition,
            "approximateInvokeCount": invocation.attempts,
        },
        "requestPayload": _parsed(invocation.payload),
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "responsePayload": _parsed(outcome.payload),
    }


def _parsed(payload: bytes) -> Any:
    try:
        return json.loads(payload)
    except (ValueError, RecursionError):
        return payload.decode("utf-8", "replace")


def _shown(outcome: Outcome) -> str:
    return outcome.payload[:500].decode("utf-8", "replace")


def _nowhere(arn: str, record: str) -> None:
    raise LookupError(f"This Lambda service has no destination, so it cannot send a record to {arn}.")


def _unwatched(finished: CompletedAttempt) -> None:
    pass


def _unannounced(files: list[Path]) -> None:
    pass


class LambdaService:
    """The service: its thread, its HTTP interface and the resources that its functions share."""

    def __init__(
        self,
        *,
        log_folder: Path,
        port: int = LAMBDA_PORT,
        aws_endpoint: str = "",
        search_path: Iterable[Path] = (),
        retry_delays: tuple[float, ...] = (1.0, 2.0),
        destination: Destination = _nowhere,
        watch: Callable[[CompletedAttempt], None] = _unwatched,
        python: Path = Path(sys.executable),
        extra_sandboxes: int | None = None,
        api_port: int | None = None,
        console: ConsoleSite | None = None,
        allowed_hosts: Collection[str] = (),
        code_folders: Iterable[Path] = (),
        code_changed: Callable[[list[Path]], None] = _unannounced,
        code_polled_seconds: float = CODE_POLLED_SECONDS,
    ) -> None:
        """Prepare the service; `with` starts it.

        `api_port`: the port of the HTTP API. None: the API is not served. 0: the operating system chooses.
        `console`: the web console, which is served beside the HTTP API.
        `code_folders`: when a Python file under one of them changes, the functions start again at their next
        invocation, and `code_changed` receives the changed files on the service's thread.
        """
        self.port = port
        self.api_port = api_port
        self._console = console
        self._allowed_hosts = allowed_hosts
        self.log_folder = log_folder
        self.aws_endpoint = aws_endpoint
        self.search_path = list(search_path)
        self.destination = destination
        self.watch = watch
        self.python = python
        self._code_folders = list(code_folders)
        self._code_changed = code_changed
        self._code_polled_seconds = code_polled_seconds
        self._retry_delays = retry_delays
        cores = os.cpu_count() or 2
        # Every function may have one sandbox. The number of cores limits further sandboxes, for all functions together.
        self._extra_sandboxes = cores if extra_sandboxes is None else extra_sandboxes
        self.cold_starts = asyncio.Semaphore(cores)
        self._room = ByteLimiter(QUEUED_BYTES)
        self._functions: dict[str, Function] = {}
        self._names: dict[str, str] = {}
        self._unfinished = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._servers: list[asyncio.Server] = []
        self._thread = threading.Thread(target=self._run, name="local-lambda", daemon=True)

    def __enter__(self) -> LambdaService:
        if self.port:
            refuse_taken_port(self.port, "--lambda-port")
        if self.api_port:
            refuse_taken_port(self.api_port, "--api-port")
        self.log_folder.mkdir(parents=True, exist_ok=True)
        self._thread.start()
        self.port = self._listen(self._answer, self.port)
        if self.api_port is not None:
            self.api_port = self._listen(self._answer_api, self.api_port)
        self._loop.call_soon_threadsafe(lambda: self.spawn(self._invoke_by_clock()))
        if self._code_folders:
            changes = CodeChanges(self._code_folders)
            self._loop.call_soon_threadsafe(lambda: self.spawn(self._watch_code(changes)))
        return self

    def _listen(self, answer: Answer, port: int) -> int:
        server = self._call(listen(answer, port, self._allowed_hosts))
        self._servers.append(server)
        return port_of(server)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        if not self._thread.is_alive():
            return
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def endpoint(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def unfinished(self) -> int:
        """Number of asynchronous invocations and batches that are waiting, running or between two attempts."""
        return self._unfinished

    def deploy(self, functions: Mapping[str, FunctionConfiguration]) -> None:
        """Add functions. Each can be invoked by its name and by its key in `functions`."""

        async def deploy() -> None:
            for alias, configuration in functions.items():
                (self.log_folder / f"{configuration.name}.log").unlink(missing_ok=True)
                self._functions[configuration.name] = Function(configuration, self)
                self._names[alias] = self._names[configuration.name] = configuration.name

        self._call(deploy())

    # Called by functions, on the thread of the service only.

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def take_extra_sandbox(self) -> bool:
        if self._extra_sandboxes == 0:
            return False
        self._extra_sandboxes -= 1
        return True

    def retry_delay(self, attempts: int) -> float:
        return self._retry_delays[min(attempts, len(self._retry_delays)) - 1] if self._retry_delays else 0.0

    async def forget(self, invocation: Invocation) -> None:
        self._unfinished -= 1
        await self._room.give_back(len(invocation.payload))

    async def _invoke_by_clock(self) -> None:
        while True:
            await asyncio.sleep(CLOCK_SECONDS)
            function = self._function(CLOCKED_FUNCTION)
            if function is not None:
                await function.invoke(b"{}")

    async def _watch_code(self, changes: CodeChanges) -> None:
        while True:
            await asyncio.sleep(self._code_polled_seconds)
            files = await asyncio.to_thread(changes.changed_files)
            if not files:
                continue
            code_of_functions = {function.configuration.code: function for function in self._functions.values()}
            for file in files:
                # A file outside the folders of all functions belongs to a layer, which all functions use.
                users = [function for code, function in code_of_functions.items() if file.is_relative_to(code)]
                for function in users or code_of_functions.values():
                    function.use_new_code()
            self._code_changed(files)

    # HTTP

    async def _answer(self, request: HttpRequest) -> Response:
        path = request.path.partition("?")[0]
        if request.method == "POST" and path == EVENTS_PATH:
            return await self._take_events(request)
        if request.method == "POST" and path.startswith(INVOKE_API) and path.endswith("/invocations"):
            name = unquote(path.removeprefix(INVOKE_API).removesuffix("/invocations"))
            wait = request.headers.get("x-amz-invocation-type", "RequestResponse") != "Event"
            return await self._take(request, name, wait=wait)
        return Response.of(
            404, {"message": f"There is no {request.method} {path}. Use POST {INVOKE_API}NAME/invocations."}
        )

    async def _answer_api(self, request: HttpRequest) -> Response:
        if request.method == "GET" and request.path in ("/", gateway.DOCS):
            # The API has no resource at "/". The page gets the portal of the demonstration, so that requests work.
            return Response(302, headers={"Location": f"{gateway.DOCS}?portal={DEMO_PORTAL}"})
        if self._console is not None and (page := self._console.answer(request)) is not None:
            return page
        function = self._function(gateway.FUNCTION)
        if function is None:
            return Response.of(503, {"message": "The HTTP API is not deployed yet."})
        return gateway.to_response(await function.invoke(gateway.to_event(request)))

    async def _take_events(self, request: HttpRequest) -> Response:
        name, payload = request.headers.get(FUNCTION_HEADER, ""), _parsed(request.body)
        if not isinstance(payload, dict) or "Records" not in payload:
            return await self._take(request, name, wait=False)
        function = self._function(name)
        if function is None:
            return Response.of(503, {"message": "The function is not deployed yet."})
        self._unfinished += 1
        try:
            outcome = await function.invoke(request.body, events=len(payload["Records"]))
        finally:
            self._unfinished -= 1
        return Response(500 if outcome.failed else 200, outcome.payload)

    async def _take(self, request: HttpRequest, name: str, *, wait: bool) -> Response:
        function = self._function(name)
        if function is None:
            known = ", ".join(sorted(self._names)) or "none yet"
            message = f"Function not found: {name}. Known: {known}."
            return Response.of(
                404, {"Type": "User", "Message": message}, {"X-Amzn-ErrorType": "ResourceNotFoundException"}
            )
        payload = request.body or b"{}"
        try:
            json.loads(payload)
        except (ValueError, RecursionError) as error:
            message = f"Could not parse request body into json: {error}"
            return Response.of(
                400, {"Type": "User", "Message": message}, {"X-Amzn-ErrorType": "InvalidRequestContentException"}
            )
        if wait:
            outcome = await function.invoke(payload)
            error_header = {"X-Amz-Function-Error": "Unhandled"} if outcome.failed else {}
            return Response(200, outcome.payload, {"X-Amz-Executed-Version": "$LATEST", **error_header})
        await self._room.take(len(payload))
        self._unfinished += 1
        function.accept(Invocation(payload))
        return Response(202)

    def _function(self, name: str) -> Function | None:
        """Return the function with this name, ARN or alias, or None."""
        if name.startswith("arn:"):
            name = name.split(":")[6] if name.count(":") >= 6 else name
        return self._functions.get(self._names.get(name, ""))

    # The thread

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _stop(self) -> None:
        for server in self._servers:
            server.close()
        # Stop the workers first: they need the loop's other tasks to stop their sandboxes. Then stop the connections.
        for tasks in (list(self._tasks), [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]):
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("The local Lambda service failed", exc_info=error)
