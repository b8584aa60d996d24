"""The effect of one portal's import on another portal: the figures of docs/operations.md, `make storm`.

Start the embedded AWS on separate ports, once with the default delivery and once with a buffer in front of the storm's
category. `make storm ARGS=buffered` runs the latter alone. One portal sends a few events a second, first alone, then
while another portal's records are imported as fast as boto3 can. Half of these are created and enrolled; half change a
property that has no candidate flow. The latency of an event is the time from before it is put on the bus until its
decision, as the functions log it. Every event must get its one decision, and every enrollment one message.
"""

import json
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import boto3

from enrollment.config import Config
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.record import Record
from tests.benchmarks.measure import PORT, ROOT, embedded
from tests.support.fakes import store
from tests.support.scenario import event, flow
from tests.support.stores import stores as open_stores

STORM = 6_000
ALONE_SECONDS = 30
DRAINED_WITHIN_SECONDS = 600
SAMPLES = 10

# How events are delivered, and the template parameters for it. Four concurrent batches have 40 events in flight, which
# is enough for a fair queue to identify the busy portal.
WAYS = {
    "direct": (),
    "buffered": ("--parameter", "CrmDelivery=buffered", "--parameter", "CrmConcurrency=4"),
}

# An event of another category than the storm, and one of the same category.
TRICKLE = ("forms.submitted", "crm.property_changed")


@dataclass
class Run:
    """`sent`: when each event was put. `messages`: the received enrollments, by id."""

    config: Config
    bus: Any = field(default_factory=lambda: boto3.client("events"))
    sent: dict[str, float] = field(default_factory=dict)
    messages: Counter[str] = field(default_factory=Counter)
    depths: list[tuple[float, int]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def put(self, events: Sequence[dict[str, Any]]) -> None:
        entries = [
            {
                "EventBusName": self.config.event_bus_name,
                "Source": "storm",
                "DetailType": envelope["detail-type"],
                "Detail": json.dumps(envelope["detail"]),
            }
            for envelope in events
        ]
        now = time.time()
        self.sent |= {envelope["detail"]["id"]: now for envelope in events}
        answer = self.bus.put_events(Entries=entries)
        assert answer["FailedEntryCount"] == 0

    def consume(self) -> None:
        """Receive and delete messages as a consumer does, and record the queue depth."""
        sqs, url = boto3.client("sqs"), self.config.enrollments_queue_url
        while not self.over.is_set():
            answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
            received = answer.get("Messages", [])
            self.messages.update(json.loads(message["Body"])["enrollmentId"] for message in received)
            if received:
                entries: Any = [
                    {"Id": str(n), "ReceiptHandle": message["ReceiptHandle"]} for n, message in enumerate(received)
                ]
                sqs.delete_message_batch(QueueUrl=url, Entries=entries)
            self.depths.append((time.time(), depth(url)))


def depth(url: str) -> int:
    name: Any = "ApproximateNumberOfMessages"
    return int(boto3.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"][name])


def decisions() -> Iterator[Mapping[str, Any]]:
    """Yield the logged decisions. Several processes write to one log, so two documents can share a line."""
    decoder = json.JSONDecoder()
    for log in (ROOT / ".enroll" / str(PORT)).glob("*.log"):
        for line in log.read_text(encoding="utf-8").splitlines():
            at = 0
            while line.startswith("{", at):
                document, at = decoder.raw_decode(line, at)
                if document.get("message") == "decision":
                    yield document


def decided_at(line: Mapping[str, Any]) -> float:
    return datetime.strptime(line["timestamp"], "%Y-%m-%d %H:%M:%S,%f%z").timestamp()


def trickle(run: Run, name: str, until: threading.Event) -> None:
    """Send two events a second of a portal that is not part of the storm."""
    number = 0
    while not until.is_set():
        for event_type in TRICKLE:
            run.put([quiet(event_type, f"{name}-{event_type}-{number}")])
        number += 1
        until.wait(1)


def import_records(run: Run) -> float:
    """Import the records. Return the seconds that putting STORM events took."""

    def imported(number: int) -> dict[str, Any]:
        if number % 2 == 0:
            return event(
                {"crm.object_created": f"r{number}", "portal": "busy", "id": f"storm-{number}", "record": {"a": 1}}
            )
        properties = {"hs_name": "a", "hs_value": "2", "hs_previous_value": "1"}
        named = {"crm.property_changed": f"r{number}", "portal": "busy", "id": f"storm-{number}", "record": {}}
        return event(named | {"properties": properties})

    started = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        starts = range(0, STORM, 10)
        list(pool.map(lambda start: run.put([imported(n) for n in range(start, start + 10)]), starts))
    return time.monotonic() - started


def wait_until_decided(ids: Collection[str]) -> None:
    deadline = time.monotonic() + DRAINED_WITHIN_SECONDS
    while time.monotonic() < deadline:
        time.sleep(5)
        if set(ids) <= {line["eventId"] for line in decisions()}:
            return
    raise SystemExit(f"after {DRAINED_WITHIN_SECONDS} s events had no decision yet")


def show_latencies(run: Run, name: str, decided: Mapping[str, float]) -> None:
    for event_type in TRICKLE:
        prefix = f"{name}-{event_type}-"
        latencies = sorted((at - run.sent[text]) * 1e3 for text, at in decided.items() if text.startswith(prefix))
        p95 = latencies[int(len(latencies) * 0.95)]
        middle = statistics.median(latencies)
        print(f"| {event_type}, {name} | {len(latencies)} | {middle:,.0f} | {p95:,.0f} | {latencies[-1]:,.0f} |")


def show_backlog(run: Run, decided: Mapping[str, float]) -> None:
    """Print the backlog of the crm function and of the enrollments queue over the time of the storm."""
    storm = {text: at for text, at in run.sent.items() if text.startswith("storm-")}
    began, ended = min(storm.values()), max(decided[text] for text in storm)
    print("\n| seconds | events waiting | the oldest for, s | enrollments waiting |\n| --- | --- | --- | --- |")
    for number in range(SAMPLES + 1):
        now = began + (ended - began) * number / SAMPLES
        waiting = [at for text, at in storm.items() if at <= now < decided[text]]
        oldest = now - min(waiting) if waiting else 0.0
        deep = next((deep for at, deep in reversed(run.depths) if at <= now), 0)
        print(f"| {now - began:.0f} | {len(waiting):,} | {oldest:.0f} | {deep:,} |")


def main(ways: Sequence[str]) -> None:
    for way in ways or WAYS:
        print(f"\n## {way}\n")
        storm(WAYS[way])


def storm(options: Sequence[str]) -> None:
    with embedded(*options) as config:
        run = Run(config)
        opened = open_stores(config)
        for portal, fields in (
            ("busy", {"id": 1, "event": "crm.object_created"}),
            ("busy", {"id": 2, "event": "crm.property_changed", "where": [["hs_name", "IS_EQUAL_TO", "never"]]}),
            ("quiet", {"id": 3, "event": "forms.submitted", "re_enroll": True}),
            ("quiet", {"id": 4, "event": "crm.property_changed", "re_enroll": True}),
        ):
            store(opened.authoring, portal, flow(fields), 0)
        opened.records.save(Record(RecordKey("quiet", "0-1", "101"), 0))
        consumer = threading.Thread(target=run.consume)
        consumer.start()
        try:
            measure(run)
        finally:
            run.over.set()
            consumer.join()


def measure(run: Run) -> None:
    run.put([quiet(event_type, f"cold-{event_type}") for event_type in TRICKLE])
    time.sleep(5)
    for name in ("alone", "in the storm"):
        until = threading.Event()
        trickling = threading.Thread(target=trickle, args=(run, name, until))
        trickling.start()
        try:
            if name == "alone":
                until.wait(ALONE_SECONDS)
            else:
                put_in = import_records(run)
                wait_until_decided([text for text in run.sent if text.startswith("storm-")])
        finally:
            until.set()
            trickling.join()
    wait_until_decided(run.sent)
    report(run, put_in)


def quiet(event_type: str, event_id: str) -> dict[str, Any]:
    """Return an event of the other portal, which enrolls."""
    properties = {"hs_name": "city", "hs_value": event_id, "hs_previous_value": ""}
    return event({event_type: "101", "portal": "quiet", "id": event_id, "properties": properties})


def report(run: Run, put_in: float) -> None:
    found = [line for line in decisions() if line["eventId"] in run.sent]
    decided = {line["eventId"]: decided_at(line) for line in found}
    storm_over = max(at for text, at in decided.items() if text.startswith("storm-"))
    began = min(at for text, at in run.sent.items() if text.startswith("storm-"))
    rate, lasted = STORM / put_in, storm_over - began
    print(f"{STORM:,} events put in {put_in:.0f} s, {rate:.0f} a second; decided after {lasted:.0f} s.\n")
    print("| trickle | events | p50, ms | p95, ms | max, ms |\n| --- | --- | --- | --- | --- |")
    for name in ("alone", "in the storm"):
        show_latencies(run, name, decided)
    show_backlog(run, decided)
    codes = Counter(line["code"] for line in found)
    enrolled = {line["enrollmentId"] for line in found if line["code"] == "ENROLLED"}
    print(f"\n{len(run.sent):,} events, {len(found):,} decisions: {dict(codes)}.")
    print(f"{len(enrolled):,} enrollments, {len(run.messages):,} messages, {sum(run.messages.values()):,} receipts.")
    print(f"Unprocessed events: {depth(run.config.unprocessed_queue_url)}.")


if __name__ == "__main__":
    main(sys.argv[1:])
