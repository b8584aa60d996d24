"""The cost of an event: the AWS calls of a warm handler, and its CPU time in comparison with a bare function.

The bare function makes the same calls with the same arguments through unmodified boto3 clients. It parses nothing and
decides nothing. One variant does not log, the other logs the event as a line of JSON, as any function does. All
variants get the same recorded responses at the HTTP layer and take turns.
"""

import json
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import boto3
from botocore import xform_name

from enrollment.config import Config
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.record import Record
from enrollment.domain.values import iso
from enrollment.entrypoints import bootstrap
from enrollment.entrypoints.event_handlers import handler_for
from tests.benchmarks.replayed import Call, Recording, silenced
from tests.support.fakes import store
from tests.support.scenario import event, flow
from tests.support.stores import stores as open_stores

# The number of rounds of each variant, and the events of a round.
TURNS = 60
EVENTS = 40


@dataclass(frozen=True)
class Cost:
    """CPU time in milliseconds an event, median over the rounds."""

    event: str
    calls: str
    handler: float
    bare: float
    bare_that_logs: float


def costs(config: Config) -> list[Cost]:
    """``config`` is that of this process' environment."""
    with silenced():
        _prepare(config)
        return [_cost(*case) for case in _cases()]


def _prepare(config: Config) -> None:
    stores = open_stores(config)
    for fields in (
        {"id": 1, "event": "forms.submitted", "where": [["hs_form_id", "IS_ANY_OF", ["f-1"]]]},
        {"id": 2, "event": "calls.ended"},
        {"id": 3, "event": "calls.ended"},
        {"id": 4, "event": "calls.ended"},
    ):
        store(stores.authoring, "p1", flow(fields), 0)
    stores.records.save(Record(RecordKey("p1", "0-1", "101"), 0))
    # Events are sent after the flows were written, which is the usual case.
    time.sleep(0.1)


def _cases() -> Iterator[tuple[str, str, dict[str, Any], dict[str, Any]]]:
    """Yield a name, a category, an event that fills the function's caches, and the measured event."""
    sent = {"sent": iso(bootstrap.now())}

    def submitted(event_id: str, form: str) -> dict[str, Any]:
        return event({"forms.submitted": "101", "id": event_id, "properties": {"hs_form_id": form}, **sent})

    def opened(event_id: str) -> dict[str, Any]:
        return event({"email.opened": "101", "id": event_id, **sent})

    def called(event_id: str, record: str) -> dict[str, Any]:
        return event({"calls.ended": record, "id": event_id, **sent})

    yield "no candidate", "email", opened("n1"), opened("n2")
    yield "candidate not matched", "forms", submitted("m1", "f-2"), submitted("m2", "f-2")
    yield "enrolled in one flow", "forms", submitted("x", "f-2"), submitted("e1", "f-1")
    yield "duplicate", "forms", submitted("e1", "f-1"), submitted("e1", "f-1")
    yield "enrolled in three flows", "calls", called("w", "999"), called("c1", "101")


def _cost(name: str, category: str, first: dict[str, Any], envelope: dict[str, Any]) -> Cost:
    handler = handler_for(category)
    handler(first, None)
    recording = Recording()
    with recording.made():
        handler(envelope, None)
    counted = Counter(call.operation for call in recording.calls)
    bare = _bare(recording.calls)
    with recording.replayed():
        times = _by_turns(lambda: handler(envelope, None), bare, lambda: (bare(), _log(envelope)))
    return Cost(name, ", ".join(f"{count} {call}" for call, count in sorted(counted.items())), *times)


def _log(envelope: dict[str, Any]) -> None:
    line = {"level": "INFO", "message": "done", "timestamp": iso(bootstrap.now()), "id": envelope["id"]}
    print(json.dumps(line | {"type": envelope["detail-type"], "source": envelope["source"]}))


def _bare(calls: list[Call]) -> Callable[[], None]:
    session: Any = boto3.session.Session()
    clients = {service: session.client(service) for service in {call.service for call in calls}}
    made = [(getattr(clients[call.service], xform_name(call.operation)), call.arguments) for call in calls]

    def function() -> None:
        for call, arguments in made:
            call(**arguments)

    return function


def _by_turns(*functions: Callable[[], object]) -> list[float]:
    times: list[list[float]] = [[] for _ in functions]
    for turn in range(TURNS + 1):
        for function, durations in zip(functions, times, strict=True):
            started = time.process_time()
            for _ in range(EVENTS):
                function()
            if turn:  # the first round fills the caches
                durations.append((time.process_time() - started) / EVENTS * 1e3)
    return [statistics.median(durations) for durations in times]
