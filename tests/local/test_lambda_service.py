"""The local Lambda service with real runtime processes, and functions written for the test."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from enroll.local.lambda_service import LambdaService
from enroll.local.sandbox import FunctionConfiguration

DESTINATION = "arn:aws:sqs:eu-west-1:000000000000:unprocessed"

FUNCTION = """
import json, os, subprocess, sys, time
from pathlib import Path

TRACES = Path(os.environ["TRACES"])

def note(event):
    with (TRACES / "runs").open("a") as runs:
        runs.write(f"{event.get('number', 0)} {os.getpid()}\\n")

def handler(event, context):
    note(event)
    match event.get("do"):
        case "fail": raise ValueError("no such thing")
        case "fail once" if len((TRACES / "runs").read_text().splitlines()) == 1: raise ValueError("not yet")
        case "exit": os._exit(7)
        case "hang": time.sleep(600)
        case "hang with a child":
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            (TRACES / "child").write_text(str(child.pid))
            time.sleep(600)
    return {"echo": event, "function": context.function_name, "greeting": os.environ["GREETING"], "pid": os.getpid()}
"""


class Destination:
    """Collects the records that it receives, and can refuse the first ones."""

    def __init__(self, refusals: int = 0) -> None:
        self.records: list[tuple[str, dict[str, Any]]] = []
        self._refusals = refusals

    def __call__(self, arn: str, record: str) -> None:
        if self._refusals:
            self._refusals -= 1
            raise ConnectionError("the destination is away")
        self.records.append((arn, json.loads(record)))


def function_in(folder: Path, source: str = FUNCTION, timeout: float = 10.0) -> FunctionConfiguration:
    code = folder / "forms"
    code.mkdir(exist_ok=True)
    (code / "app.py").write_text(source)
    return FunctionConfiguration(
        name="enroll-FormsFunction",
        arn="arn:aws:lambda:eu-west-1:000000000000:function:enroll-FormsFunction",
        handler="app.handler",
        code=code,
        timeout=timeout,
        environment={"TRACES": str(folder), "GREETING": "hello"},
        on_failure=DESTINATION,
    )


@contextmanager
def running(function: FunctionConfiguration, destination: Destination, sandboxes: int = 2) -> Iterator[LambdaService]:
    service = LambdaService(
        log_folder=function.code.parent / "logs",
        port=0,
        retry_delays=(0.05, 0.1),
        destination=destination,
        extra_sandboxes=sandboxes - 1,
    )
    with service:
        service.deploy({"forms": function})
        yield service


def post(service: LambdaService, event: dict[str, Any], *, kind: str = "RequestResponse", name: str = "forms") -> Any:
    request = urllib.request.Request(
        f"{service.endpoint}/2015-03-31/functions/{name}/invocations",
        data=json.dumps(event).encode(),
        headers={"X-Amz-Invocation-Type": kind},
    )
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as response:
        body = response.read()
        return response.status, response.headers.get("X-Amz-Function-Error"), json.loads(body) if body else None


def runs(folder: Path) -> list[tuple[int, int]]:
    lines = (folder / "runs").read_text().splitlines() if (folder / "runs").exists() else []
    return [(int(number), int(process)) for number, process in (line.split() for line in lines)]


def eventually(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    # A process whose parent was killed may stay as a zombie until the machine's first process takes note of it.
    listing = subprocess.run(["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True, check=False)
    state = listing.stdout
    return not state.strip() or state.strip().startswith("Z")


def test_synchronous_invocation_returns_the_result_of_the_function(tmp_path: Path) -> None:
    with running(function_in(tmp_path), Destination()) as service:
        status, error, answer = post(service, {"number": 1})
        assert (status, error) == (200, None)
        assert answer["echo"] == {"number": 1}
        assert answer["function"] == "enroll-FormsFunction"
        assert answer["greeting"] == "hello"
        warm = post(service, {"number": 2}, name="enroll-FormsFunction")[2]
        assert warm["pid"] == answer["pid"]


def test_a_synchronous_failure_is_an_answer_and_is_not_retried(tmp_path: Path) -> None:
    destination = Destination()
    with running(function_in(tmp_path), destination) as service:
        status, error, answer = post(service, {"do": "fail"})
        assert (status, error) == (200, "Unhandled")
        assert (answer["errorType"], answer["errorMessage"]) == ("ValueError", "no such thing")
        assert len(runs(tmp_path)) == 1
    assert destination.records == []


def test_an_asynchronous_failure_is_retried_twice_then_sent_to_the_destination(tmp_path: Path) -> None:
    destination = Destination(refusals=2)
    function = function_in(tmp_path)
    with running(function, destination) as service:
        assert post(service, {"do": "fail", "number": 3}, kind="Event") == (202, None, None)
        eventually(lambda: len(destination.records) == 1)
        eventually(lambda: service.unfinished == 0)
    assert [number for number, _ in runs(tmp_path)] == [3, 3, 3]
    [(arn, record)] = destination.records
    assert arn == DESTINATION
    assert set(record) == {
        "version", "timestamp", "requestContext", "requestPayload", "responseContext", "responsePayload",
    }  # fmt: skip
    assert record["version"] == "1.0"
    assert record["requestContext"].pop("requestId")
    assert record["requestContext"] == {
        "functionArn": f"{function.arn}:$LATEST",
        "condition": "RetriesExhausted",
        "approximateInvokeCount": 3,
    }
    assert record["requestPayload"] == {"do": "fail", "number": 3}
    assert record["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"}
    assert record["responsePayload"]["errorType"] == "ValueError"
    assert record["responsePayload"]["errorMessage"] == "no such thing"
    assert record["responsePayload"]["stackTrace"]


def test_a_retry_that_succeeds_ends_it(tmp_path: Path) -> None:
    destination = Destination()
    with running(function_in(tmp_path), destination) as service:
        post(service, {"do": "fail once"}, kind="Event")
        eventually(lambda: len(runs(tmp_path)) == 2 and service.unfinished == 0)
    assert destination.records == []


def test_a_process_that_ends_mid_invocation_fails_it_and_is_replaced(tmp_path: Path) -> None:
    with running(function_in(tmp_path), Destination(), sandboxes=1) as service:
        _, error, answer = post(service, {"do": "exit"})
        assert (error, answer["errorType"]) == ("Unhandled", "Runtime.ExitError")
        assert answer["errorMessage"].endswith("Runtime exited with error: exit status 7")
        assert post(service, {"number": 2})[1] is None
        (_, first), (_, second) = runs(tmp_path)
        assert first != second


def test_timeout_kills_the_process_and_its_child_processes(tmp_path: Path) -> None:
    with running(function_in(tmp_path, timeout=0.5), Destination(), sandboxes=1) as service:
        began = time.monotonic()
        _, error, answer = post(service, {"do": "hang with a child"})
        assert time.monotonic() - began < 10
        assert (error, answer["errorType"]) == ("Unhandled", "Sandbox.Timedout")
        assert answer["errorMessage"].endswith("Task timed out after 0.50 seconds")
        eventually(lambda: all(gone(process) for _, process in runs(tmp_path)))
        eventually(lambda: gone(int((tmp_path / "child").read_text())))
        assert post(service, {"number": 2})[1] is None


def test_code_that_cannot_be_imported_fails_with_its_reason(tmp_path: Path) -> None:
    destination = Destination()
    with running(function_in(tmp_path, source="import not_a_module"), destination) as service:
        _, error, answer = post(service, {})
        assert (error, answer["errorType"]) == ("Unhandled", "Runtime.ImportModuleError")
        post(service, {}, kind="Event")
        eventually(lambda: len(destination.records) == 1)
    assert "not_a_module" in destination.records[0][1]["responsePayload"]["errorMessage"]


def test_two_hundred_concurrent_asynchronous_invocations_run_exactly_once(tmp_path: Path) -> None:
    destination = Destination()
    with running(function_in(tmp_path), destination) as service, ThreadPoolExecutor(50) as senders:
        answers = list(senders.map(lambda number: post(service, {"number": number}, kind="Event")[0], range(200)))
        assert answers == [202] * 200
        eventually(lambda: service.unfinished == 0, seconds=60)
    assert sorted(number for number, _ in runs(tmp_path)) == list(range(200))
    assert len({process for _, process in runs(tmp_path)}) <= 2
    assert destination.records == []


def test_the_embedded_bus_is_answered_before_the_function_has_run(tmp_path: Path) -> None:
    with running(function_in(tmp_path), Destination()) as service:
        request = urllib.request.Request(
            f"{service.endpoint}/events",
            data=b'{"do": "hang"}',
            headers={"X-Amzn-Lambda-Function-Name": "enroll-FormsFunction"},
        )
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=2) as response:
            assert response.status == 202
        assert service.unfinished == 1


def test_an_unknown_function_is_refused_with_those_that_are_known(tmp_path: Path) -> None:
    with running(function_in(tmp_path), Destination()) as service:
        with pytest.raises(urllib.error.HTTPError) as refused:
            post(service, {}, name="form")
        assert refused.value.code == 404
        assert json.load(refused.value)["Message"] == "Function not found: form. Known: enroll-FormsFunction, forms."


def test_a_payload_that_is_not_json_is_refused(tmp_path: Path) -> None:
    with running(function_in(tmp_path), Destination()) as service:
        request = urllib.request.Request(f"{service.endpoint}/2015-03-31/functions/forms/invocations", data=b"{not")
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10)
        assert refused.value.code == 400


def test_stopping_leaves_no_process_even_of_a_handler_that_hangs(tmp_path: Path) -> None:
    with running(function_in(tmp_path), Destination()) as service:
        post(service, {"do": "hang"}, kind="Event")
        eventually(lambda: len(runs(tmp_path)) == 1)
        began = time.monotonic()
    assert time.monotonic() - began < 5
    assert all(gone(process) for _, process in runs(tmp_path))


def test_no_process_outlives_a_parent_that_is_killed(tmp_path: Path) -> None:
    function_in(tmp_path)
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent("""
            import sys, time
            from pathlib import Path
            sys.path.insert(0, sys.argv[2])
            from test_lambda_service import Destination, function_in, post, running
            with running(function_in(Path(sys.argv[1])), Destination()) as service:
                post(service, {"number": 1})
                time.sleep(600)
        """), str(tmp_path), str(Path(__file__).parent)],
    )  # fmt: skip
    try:
        eventually(lambda: len(runs(tmp_path)) == 1)
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    eventually(lambda: gone(runs(tmp_path)[0][1]), seconds=5)
