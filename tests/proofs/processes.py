"""Functions in separate processes whose calls to AWS can be replaced or interrupted.

A process is forked, so that it has all imports and clients, and no open connection. It can end itself at any point, and
its code cannot detect that. Its calls are known nevertheless, because each is reported before it is made.
"""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.httpsession import URLLib3Session

# Seconds after which a process is ended, because it would wait forever.
LONGEST = 60

CRASHED = 70


@dataclass(frozen=True)
class Call:
    """An HTTP request. ``resource``: the tables, the queue or the bus. ``parts``: names of the entries or keys that the
    response reports on individually."""

    service: str
    operation: str
    resource: str
    parts: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.operation} {self.resource}"


Forward = Callable[[AWSPreparedRequest], AWSResponse]
Interference = Callable[[int, Call, AWSPreparedRequest, Forward], AWSResponse]
"""Replaces a call. Arguments: its number, from 1; the call; the request; and a function that makes the request."""


def undisturbed(number: int, call: Call, request: AWSPreparedRequest, forward: Forward) -> AWSResponse:
    return forward(request)


@dataclass
class Outcome:
    """The outcome of a process: its calls in order, the errors that its work raised, and whether it succeeded."""

    calls: list[Call] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    is_done: bool = False
    has_crashed: bool = False


def run(work: Callable[[], Any], interference: Interference = undisturbed, attempts: int = 1) -> Outcome:
    """Run the work in a new process. If it raises, it is repeated there, up to this number of attempts: Lambda also
    keeps a function's process after an error."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            _work(work, interference, attempts, writing)
            os._exit(0)
        finally:
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as lines:
        messages = [json.loads(line) for line in lines]
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    outcome = Outcome(has_crashed=status == CRASHED)
    for kind, content in messages:
        if kind == "call":
            outcome.calls.append(Call(**{**content, "parts": tuple(content["parts"])}))
        elif kind == "error":
            outcome.errors.append(content)
        else:
            outcome.is_done = True
    assert status in (0, CRASHED), (status, outcome)
    return outcome


def _work(work: Callable[[], Any], interference: Interference, attempts: int, writing: int) -> None:
    signal.alarm(LONGEST)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    # The waits of production are requested, but take no time.
    time.sleep = lambda _: None  # type: ignore[assignment]
    forward = URLLib3Session.send
    count, lock = 0, threading.Lock()

    def report(kind: str, content: Any) -> None:
        line = json.dumps([kind, content]).encode() + b"\n"
        while line:
            line = line[os.write(writing, line) :]

    def send(session: URLLib3Session, request: AWSPreparedRequest) -> AWSResponse:
        nonlocal count
        call = call_of(request)
        # The events of a batch make calls at the same time.
        with lock:
            count += 1
            number = count
            report("call", asdict(call))
        return interference(number, call, request, lambda sent: forward(session, sent))

    URLLib3Session.send = send
    for _ in range(attempts):
        try:
            work()
            report("done", None)
            return
        except Exception as error:
            report("error", f"{type(error).__name__}: {error}")


def crash(at: int, *, before: bool) -> Interference:
    """End the process before or after the call with this number."""

    def interfere(number: int, call: Call, request: AWSPreparedRequest, forward: Forward) -> AWSResponse:
        if number == at and before:
            os._exit(CRASHED)
        response = forward(request)
        if number == at:
            os._exit(CRASHED)
        return response

    return interfere


def crash_before(operation: str) -> Interference:
    """End the process before its first call of an operation."""

    def interfere(number: int, call: Call, request: AWSPreparedRequest, forward: Forward) -> AWSResponse:
        if call.operation == operation:
            os._exit(CRASHED)
        return forward(request)

    return interfere


def call_of(request: AWSPreparedRequest) -> Call:
    target = request.headers["X-Amz-Target"]
    service, operation = (target.decode() if isinstance(target, bytes) else target).split(".")
    body = json.loads(request.body)
    return Call(
        service.split("_")[0],
        operation,
        _resource(body).rpartition("/")[2],
        tuple(name_of(part) for part in parts_of(operation, body)),
    )


def _resource(body: Mapping[str, Any]) -> str:
    if "TransactItems" in body:
        return ",".join(sorted({action["TableName"] for item in body["TransactItems"] for action in item.values()}))
    if "RequestItems" in body:
        return ",".join(body["RequestItems"])
    if "Statements" in body:
        return ",".join(sorted({statement["Statement"].split('"')[1] for statement in body["Statements"]}))
    if "QueueUrl" in body or "TableName" in body:
        return str(body.get("QueueUrl") or body["TableName"])
    return str(body["Entries"][0]["EventBusName"])


def parts_of(operation: str, body: Mapping[str, Any]) -> list[Any]:
    """Return the parts of a batch that the response reports on individually."""
    if operation == "BatchGetItem":
        ((_, request),) = body["RequestItems"].items()
        return list(request["Keys"])
    if operation == "BatchWriteItem":
        ((_, requests),) = body["RequestItems"].items()
        return list(requests)
    if operation == "BatchExecuteStatement":
        return list(body["Statements"])
    return list(body["Entries"]) if operation in ("SendMessageBatch", "PutEvents") else []


def name_of(part: Mapping[str, Any]) -> str:
    """Return a name that is the same each time the part is sent."""
    if "MessageDeduplicationId" in part:
        return str(part["MessageDeduplicationId"])
    return str(json.loads(part["Detail"])["id"]) if "Detail" in part else json.dumps(part, sort_keys=True)
