"""Lambda functions on an AWS in memory: set-up, invocations, and calls to AWS that are counted, failed or blocked."""

import importlib.util
import json
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import boto3
import pytest
from moto.core.botocore_stubber import BotocoreStubber as MotoResponder

import enrollment.entrypoints.batch_executor
from enrollment.config import NAMES, Config
from enrollment.domain.enrollment.late_data_tolerance import DeferredEvent
from enrollment.domain.identifiers import RecordKey
from enrollment.entrypoints import bootstrap
from enrollment.entrypoints.bootstrap import application
from tests.support.aws import BASE_CLIENT, REGION, aws
from tests.support.fakes import store
from tests.support.scenario import event, flow
from tests.support.stores import stores as open_stores

ROOT = Path(__file__).parents[2]


CONTEXT = SimpleNamespace(aws_request_id="r-1", function_name="FormsFunction")


class Stack:
    def __init__(self, config: Config) -> None:
        self.config = config
        self.stores = open_stores(config)
        self.sqs = boto3.client("sqs", region_name=REGION)
        self.events = boto3.client("events", region_name=REGION)

    def enrollments(self) -> list[dict[str, Any]]:
        return self._messages(self.config.enrollments_queue_url)

    def waiting(self) -> Sequence[DeferredEvent]:
        return self.stores.deferred_events.of(RecordKey("p1", "0-1", "101"), 10)

    def unprocessed(self) -> list[dict[str, Any]]:
        return [json.loads(message["Body"]) for message in self._messages(self.config.unprocessed_queue_url)]

    def _messages(self, url: str) -> list[dict[str, Any]]:
        answer: Any = self.sqs.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=10,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["All"],
        )
        messages: list[dict[str, Any]] = answer.get("Messages", [])
        return messages


@contextmanager
def open_stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """Set up an AWS in memory and the environment of its functions, until the context ends."""
    with aws(monkeypatch) as config:
        values = [
            config.flows_table,
            config.records_table,
            config.enrollments_table,
            config.enrollments_queue_url,
            config.unprocessed_queue_url,
            config.redeliveries_queue_url,
            config.event_bus_name,
        ]
        for name, value in zip(NAMES, values, strict=True):
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Enroll")
        # With the same name, Powertools would keep the logger with the stdout of the previous test.
        monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", f"enroll-{uuid.uuid4()}")
        bootstrap.application.cache_clear()
        yield Stack(config)
        bootstrap.application.cache_clear()


def function(category: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"function_{category}", ROOT / "functions" / category / "app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def invoke(envelope: Any, category: str = "forms") -> dict[str, Any]:
    answer = function(category).handler(envelope, CONTEXT)
    result: dict[str, Any] = json.loads(json.dumps(answer))
    return result


def put(stack: Stack, portal: str = "p1", **fields: Any) -> None:
    document = flow({"event": "forms.submitted", **fields})
    store(stack.stores.authoring, portal, document, 0)


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    calls: Counter[str] = Counter()
    call = BASE_CLIENT._make_api_call

    def counting(client: Any, name: str, arguments: Any) -> Any:
        calls[name] += 1
        return call(client, name, arguments)

    with monkeypatch.context() as patched:
        patched.setattr(BASE_CLIENT, "_make_api_call", counting)
        yield calls


MakeCall = Callable[[Any, str, Any], Any]


def batch(*bodies: Any) -> dict[str, Any]:
    """Return a batch as Lambda passes it. A text is used as a message's body without change."""
    return {
        "Records": [
            {
                "messageId": f"m{number}",
                "body": body if isinstance(body, str) else json.dumps(body),
                "eventSource": "aws:sqs",
                "attributes": {"MessageGroupId": "p1", "ApproximateReceiveCount": "1"},
            }
            for number, body in enumerate(bodies)
        ]
    }


def failed(answer: dict[str, Any]) -> list[str]:
    assert set(answer) == {"batchItemFailures"}
    return sorted(failure["itemIdentifier"] for failure in answer["batchItemFailures"])


def submitted(object_id: str, event_id: str, **fields: Any) -> dict[str, Any]:
    return event({"forms.submitted": object_id, "id": event_id, "record": {}, **fields})


def calls(monkeypatch: pytest.MonkeyPatch, fails: Callable[[str, Any], bool] = lambda *_: False) -> list[str]:
    """Return a list that collects the calls to AWS made from now on. Calls that match `fails` always fail."""
    made: list[str] = []
    make: MakeCall = BASE_CLIENT._make_api_call

    def noted(client: Any, operation: str, arguments: Any) -> Any:
        made.append(operation)
        if fails(operation, arguments):
            raise ConnectionError(operation)
        return make(client, operation, arguments)

    monkeypatch.setattr(BASE_CLIENT, "_make_api_call", noted)
    return made


def published(stack: Stack) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    while messages := stack.enrollments():
        for message in messages:
            body = json.loads(message["Body"])
            found[body["objectId"], body["trigger"]["eventId"]] += 1
            stack.sqs.delete_message(
                QueueUrl=stack.config.enrollments_queue_url, ReceiptHandle=message["ReceiptHandle"]
            )
    return found


class Hanging:
    """Blocks the first call to AWS that matches `hangs`. `writes`: the operations that reach AWS afterwards."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, hangs: Callable[[str, Any], bool]) -> None:
        self._goes_on = threading.Event()
        self._hung = threading.Event()
        self.writes: list[str] = []
        make: MakeCall = BASE_CLIENT._make_api_call
        answer = MotoResponder.__call__

        def held(client: Any, operation: str, arguments: Any) -> Any:
            if not self._hung.is_set() and hangs(operation, arguments):
                self._hung.set()
                assert self._goes_on.wait(120)
            return make(client, operation, arguments)

        def answered(stubber: Any, event_name: str, request: Any, **rest: Any) -> Any:
            operation = event_name.rpartition(".")[2]
            if self._goes_on.is_set() and not operation.startswith(("Get", "BatchGet", "Query", "Receive")):
                self.writes.append(operation)
            return answer(stubber, event_name, request, **rest)

        monkeypatch.setattr(BASE_CLIENT, "_make_api_call", held)
        monkeypatch.setattr(MotoResponder, "__call__", answered)
        reach_deadline_when(monkeypatch, self._hung)

    def thaw(self) -> None:
        """Let the blocked thread continue to its end, as if Lambda used the sandbox again."""
        assert self._hung.is_set()
        self._goes_on.set()
        application().executor.shutdown()


def reach_deadline_when(monkeypatch: pytest.MonkeyPatch, hung: threading.Event) -> None:
    """Let a batch with a deadline reach it when a call hangs and all other groups are done, however slow the machine
    is."""

    def reached(futures: Sequence[Future[None]], timeout: float | None = None) -> Any:
        if timeout is None:
            return wait(futures)
        assert hung.wait(60)
        until = time.monotonic() + 60
        while sum(future.done() for future in futures) < len(futures) - 1:
            assert time.monotonic() < until
            time.sleep(0.01)
        return wait(futures, timeout=0)

    monkeypatch.setattr(enrollment.entrypoints.batch_executor, "wait", reached)


def has(text: str) -> Callable[[str, Any], bool]:
    """Match the calls of an operation whose arguments contain a text, for example ``PutItem p1/0-1/slow``."""
    operation, _, name = text.partition(" ")
    return lambda made, arguments: made == operation and name in json.dumps(arguments, default=str)


def left(milliseconds: int) -> SimpleNamespace:
    return SimpleNamespace(aws_request_id="r", get_remaining_time_in_millis=lambda: milliseconds)
