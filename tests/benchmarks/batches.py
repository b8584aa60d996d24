"""Invocations and CPU time of a burst, event by event and in batches: `make bench ARGS=batches`.

Each variant has a new process of AWS's runtime client, as in Lambda, which uses the Runtime API of the local run and
the embedded AWS. It processes a few events to warm up, and then EVENTS more. The figure is the CPU time of that process
alone, read from its CPU clock: the handler, the runtime client, logs and metrics, and the client's side of each call to
AWS. The servers that answer run in other processes, whose time is not measured.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from enroll.local.sandbox import FunctionConfiguration, Invocation, Outcome, Sandbox, lambda_environment
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.record import Record
from enrollment.domain.values import iso
from enrollment.entrypoints import bootstrap
from tests.benchmarks.measure import ROOT
from tests.support.emulated import Emulated, emulated_aws
from tests.support.fakes import store
from tests.support.scenario import event, flow
from tests.support.stores import stores as open_stores

EVENTS = 600
WARM = 50
SIZES = (1, 2, 5, 10, 100)
ROUNDS = 2

NEVER = [["hs_form_id", "IS_EQUAL_TO", "never"]]
FLOWS = ({"id": 1, "event": "crm.object_created"}, {"id": 2, "event": "forms.submitted", "where": NEVER})


@dataclass(frozen=True)
class Cost:
    """`batch`: events in a batch; None: events are delivered one by one. `cpu_ms`: CPU time of an event."""

    burst: str
    batch: int | None
    invocations: int
    cpu_ms: float

    @property
    def events_a_second(self) -> float:
        return 1e3 / self.cpu_ms


# The name of a burst, the function, and a builder that returns an event for its number and its variant.
BURSTS: Mapping[str, tuple[str, Any]] = {
    # An import: each record is written, enrolled, published, announced and stored in the history.
    "each enrolls": ("crm", lambda n, way: {"crm.object_created": f"{way}-{n}", "record": {"n": n}}),
    # The record is read, and the event is stored in the history.
    "none enrolls": ("forms", lambda n, _: {"forms.submitted": f"known-{n % 100}"}),
    # The record is read and does not exist.
    "no flow waits": ("email", lambda n, _: {"email.opened": f"unknown-{n}"}),
}


def run() -> Sequence[Cost]:
    with emulated_aws() as emulated:
        stores = open_stores(emulated.config)
        for fields in FLOWS:
            document = flow(fields)
            store(stores.authoring, "p1", document, 0)
        for number in range(100):
            stores.records.save(Record(RecordKey("p1", "0-1", f"known-{number}"), 0))
        return asyncio.run(_run(emulated))


async def _run(emulated: Emulated) -> Sequence[Cost]:
    """Measure the variants in turns, so that other load on the machine affects them equally. The result is the minimum
    of each."""
    found: dict[tuple[str, int | None], Cost] = {}
    for round_ in range(ROUNDS):
        for burst, (category, fields_of) in BURSTS.items():
            for size in (None, *SIZES):
                # Each variant has its own events and, if they create records, its own records.
                way = f"{round_}-{size}"
                events = [
                    event({**fields_of(number, way), "id": f"{way}-{number}", "sent": iso(bootstrap.now())})
                    for number in range(WARM + EVENTS)
                ]
                with TemporaryDirectory() as folder:
                    cost = await _measure(emulated, burst, category, size, events, Path(folder) / "log")
                best = found.setdefault((burst, size), cost)
                if cost.cpu_ms < best.cpu_ms:
                    found[burst, size] = cost
    return list(found.values())


async def _measure(
    emulated: Emulated, burst: str, category: str, size: int | None, events: Sequence[dict[str, Any]], log: Path
) -> Cost:
    function = FunctionConfiguration(
        category,
        f"arn:aws:lambda:eu-west-1:000000000000:function:{category}",
        "app.handler",
        ROOT / "functions" / category,
        timeout=30,
        environment=dict(emulated.environment),
    )
    environment = lambda_environment(
        function, [ROOT / "layers" / "enrollment"], emulated.environment["AWS_ENDPOINT_URL"]
    )
    sandbox = await Sandbox.start(function, environment, log, Path(sys.executable))
    try:
        assert await sandbox.ready() is None
        invocations = 0
        for payload in _payloads(events[:WARM], size):
            _check(await sandbox.invoke(Invocation(payload)))
        began = cpu_seconds(sandbox.pid)
        for payload in _payloads(events[WARM:], size):
            _check(await sandbox.invoke(Invocation(payload)))
            invocations += 1
        return Cost(burst, size, invocations, (cpu_seconds(sandbox.pid) - began) / EVENTS * 1e3)
    finally:
        await sandbox.stop()
        # Cancel the remaining connections of the process, which wait for another invocation.
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)


def _payloads(events: Sequence[dict[str, Any]], size: int | None) -> Iterator[bytes]:
    if size is None:
        yield from (json.dumps(event).encode() for event in events)
        return
    for start in range(0, len(events), size):
        records = [
            {
                "messageId": envelope["detail"]["id"],
                "receiptHandle": "A" * 400,
                "body": json.dumps(envelope),
                "attributes": {
                    "ApproximateReceiveCount": "1",
                    "SentTimestamp": "1700000000000",
                    "SenderId": "AIDAEXAMPLE",
                    "ApproximateFirstReceiveTimestamp": "1700000000001",
                    "MessageGroupId": "p1",
                },
                "messageAttributes": {},
                "md5OfBody": "0" * 32,
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:eu-west-1:000000000000:enroll-buffer",
                "awsRegion": "eu-west-1",
            }
            for envelope in events[start : start + size]
        ]
        yield json.dumps({"Records": records}).encode()


def _check(outcome: Outcome) -> None:
    answer = json.loads(outcome.payload)
    assert not outcome.failed, answer
    assert not answer.get("batchItemFailures"), answer


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of another process. Linux derives the id of its clock this way (clock_getcpuclockid)."""
    return time.clock_gettime((~pid << 3) | 2)


def main() -> None:
    costs = run()
    print("| burst | batch | invocations | CPU an event, ms | events a CPU second | against direct |")
    print("| --- | --- | --- | --- | --- | --- |")
    for cost in costs:
        direct = next(other for other in costs if other.burst == cost.burst and other.batch is None)
        print(
            f"| {cost.burst} | {cost.batch or 'direct'} | {cost.invocations:,} | {cost.cpu_ms:.2f} | "
            f"{cost.events_a_second:,.0f} | {direct.cpu_ms / cost.cpu_ms:.1f} × |"
        )


if __name__ == "__main__":
    main()
