"""The local run as a black box under chaos: processes of its functions are killed and stopped at random.

The same traffic is processed in an undisturbed run and in disturbed runs, each in a separate local run (`enroll local
run`, with the template, the bus, the queues and AWS's runtime client). The results are compared exactly.

Three rules make the comparison exact. Each event has its own time of occurrence, to the millisecond. A fact never makes
a criterion true and then false again, because a criterion that a late fact would make false is decided by the known
facts (docs/decisions/0009-tolerance.md). The tolerance is longer than the longest outage.
"""

import itertools
import json
import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from enroll.dead_letters.queue import QueueScan
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.record import Record, TimestampedValue
from tests.support.embedded import ROOT, Embedded, start
from tests.support.emulated import free_port
from tests.support.scenario import event

PORTAL = "chaos"
CATEGORIES = ("Calls", "Crm", "Email", "Forms", "Lists", "Website", "Workflows")
MODES = ("direct", "buffered")

# The visibility timeout of failed messages, instead of 180 s, so that a run takes minutes. It is longer than the
# timeout of a function, as Lambda requires.
VISIBILITY_SECONDS = 40

# Events a second.
RATE = 40.0
# Seconds in which a run settles after its traffic and the longest tolerance.
SETTLED_WITHIN_SECONDS = 420
QUIET_SECONDS = 6
SHOWN_LINES = 12

# Reasons that Enroll itself never gives. An event with such a reason failed because of the chaos and is redriven.
FAILURES = {"RetriesExhausted", "EventAgeExceeded", "BATCH_FAILED", "REDELIVERY_FAILED"}

ONCE_ONLY = {"once", "member", "late-once"}


def flows(tolerance_minutes: float) -> list[dict[str, Any]]:
    ready = [["ready", "IS_EQUAL_TO", "yes"]]
    late = {"event": "website.page_visited", "criteria": ready, "tolerance": tolerance_minutes}
    # Longer than an outage too: an event that is first evaluated after the end of its tolerance waits 15 more minutes.
    unknown = {"record_tolerance": round(tolerance_minutes * 60)}
    return [
        {"id": "once", "event": "forms.submitted", **unknown},
        {"id": "each", "event": "calls.ended", "re_enroll": True, **unknown},
        {"id": "late", "re_enroll": True, **late},
        {"id": "late-once", **late},
        {
            "id": "changed",
            "event": "crm.property_changed",
            "re_enroll": True,
            "where": [["hs_name", "IS_EQUAL_TO", "ready"]],
        },
        {"id": "member", "lists": [["IN_LIST", "42"]]},
        {"id": "limited", "event": "email.opened", "re_enroll": True, "limit": {"count": 20, "period": "SECOND"}},
        {
            "id": "chain",
            "event": "workflows.enrolled",
            "re_enroll": True,
            "where": [["hs_flow_id", "IS_ANY_OF", ["each"]]],
        },
    ]


@dataclass(frozen=True)
class Plan:
    """Events in the order in which they occur. Their times are set when a run begins. ``copies``: indexes of events
    that their source sends twice."""

    events: Sequence[Mapping[str, Any]]
    copies: Sequence[int]
    records: int

    def timed(self, began_ms: int) -> list[dict[str, Any]]:
        step = 1000 / RATE
        made = [event({**fields, "at": began_ms + int(number * step)}) for number, fields in enumerate(self.events)]
        for envelope, fields in zip(made, self.events, strict=True):
            if "broken" in fields:
                del envelope["detail"]["objectType"]
        for place in self.copies:
            made.append(made[place])
        made.sort(key=lambda envelope: int(envelope["detail"]["occurredAt"]))
        return made


def plan(size: int, seed: str) -> Plan:
    """Plan ``size`` events. Events that wait come first, so that their tolerance ends soon after the traffic."""
    chance = random.Random(seed)
    records = max(8, size // 10)
    names = [f"r{number:03d}" for number in range(records)]
    becoming_ready = chance.sample(names, records // 2)

    def of(kind: str, share: float, **fields: Any) -> list[dict[str, Any]]:
        return [
            {kind: chance.choice(names), "id": f"{kind}-{number}", "portal": PORTAL, **fields}
            for number in range(max(1, round(size * share)))
        ]

    visits = of("website.page_visited", 0.25)
    ready = [
        {
            "crm.property_changed": name,
            "id": f"ready-{name}",
            "portal": PORTAL,
            "properties": {"hs_name": "ready", "hs_value": "yes", "hs_previous_value": "no"},
        }
        for name in becoming_ready
    ]
    city = {"hs_name": "city", "hs_value": "Cork", "hs_previous_value": "Bray"}
    # A record is added to the list once: whether a second ADDED is a change depends on the order of arrival.
    joining = [
        {
            "lists.membership_changed": name,
            "id": f"joining-{name}",
            "portal": PORTAL,
            "properties": {"hs_list_id": "42", "hs_membership_change": "ADDED"},
        }
        for name in chance.sample(names, records // 2)
    ]
    early = [*visits, *ready]
    late = [
        *of("forms.submitted", 0.15),
        *of("calls.ended", 0.23),
        *of("email.opened", 0.12),
        *of("crm.property_changed", 0.12, properties=city),
        *joining,
        *({**fields, "id": f"broken-{fields['id']}", "broken": True} for fields in of("forms.submitted", 0.01)),
        *({**fields, "calls.ended": "nobody", "id": f"unknown-{fields['id']}"} for fields in of("calls.ended", 0.02)),
    ]
    chance.shuffle(early)
    chance.shuffle(late)
    ordered = [*early, *late]
    ids = Counter(str(fields["id"]) for fields in ordered)
    assert max(ids.values()) == 1
    return Plan(ordered, sorted(chance.sample(range(len(ordered)), max(1, size // 30))), records)


@dataclass(frozen=True)
class Disturbance:
    """``at``: seconds after the traffic began."""

    at: float
    pid: int
    action: str


class Chaos:
    """Kills and stops the processes of functions whose parent is this local run, and no other process."""

    def __init__(self, run: int, seed: str, mean_seconds: float, hangs: int) -> None:
        self._run = run
        self._chance = random.Random(seed)
        self._mean_seconds = mean_seconds
        self._hangs = hangs
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._disturb, name="chaos")
        self._began = 0.0
        self.done: list[Disturbance] = []

    def __enter__(self) -> "Chaos":
        self._began = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _disturb(self) -> None:
        while not self._over.wait(self._chance.expovariate(1 / self._mean_seconds)):
            if pids := runtimes(self._run):
                self._act(self._chance.choice(pids))

    def _act(self, pid: int) -> None:
        kind = self._chance.random()
        if kind < 0.35:
            self._signal(pid, signal.SIGKILL, "killed")
        elif kind < 0.65:
            # Stop the process for a moment, so that it has an invocation when it is killed.
            self._signal(pid, signal.SIGSTOP, "stopped")
            self._over.wait(self._chance.uniform(0.05, 0.5))
            self._signal(pid, signal.SIGKILL, "killed")
        elif kind < 0.97 or not self._hangs:
            seconds = self._chance.uniform(0.05, 4)
            self._signal(pid, signal.SIGSTOP, f"stopped for {seconds:.1f} s")
            self._over.wait(seconds)
            self._signal(pid, signal.SIGCONT, "continued")
        else:
            # The process hangs until Lambda ends it at the function's timeout.
            self._hangs -= 1
            self._signal(pid, signal.SIGSTOP, "stopped for good")

    def _signal(self, pid: int, number: signal.Signals, action: str) -> None:
        if pid in runtimes(self._run):
            os.kill(pid, number)
            self.done.append(Disturbance(time.monotonic() - self._began, pid, action))


def runtimes(run: int) -> list[int]:
    """Return the processes of functions that a local run has started. ``run``: its process id."""
    # Request the full width: a command line that is cut off at 80 columns would not be recognized.
    command = ["ps", "-A", "-ww", "-o", "pid=,ppid=,args="]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    fields = (line.split(None, 2) for line in listed.splitlines())
    return [int(pid) for pid, parent, command in fields if parent == str(run) and " awslambdaric " in command]


@dataclass(frozen=True)
class Line:
    """A line of a function's log."""

    at: str
    function: str
    content: Mapping[str, Any]

    @property
    def outcome(self) -> str:
        return str(self.content.get("code", self.content.get("reason", "")))

    def __str__(self) -> str:
        shown = {
            key: self.content[key] for key in ("message", "code", "flowId", "because", "reason") if key in self.content
        }
        return f"{self.at} {self.function} {json.dumps(shown)}"


@dataclass
class Left:
    """The results of a run.

    ``outcomes``: the last decision, by event and flow. ``enrollments``: their number, by record and flow. ``items``:
    record and flow of each enrollment, by its id. ``messages``: how often each enrollment was received.
    ``unprocessed``: how often an event was stored unprocessed for a reason. ``lines``: what the functions logged, by
    event.
    """

    outcomes: dict[tuple[str, str], str] = field(default_factory=dict)
    enrollments: Counter[tuple[str, str]] = field(default_factory=Counter)
    items: dict[str, tuple[str, str]] = field(default_factory=dict)
    messages: Counter[str] = field(default_factory=Counter)
    unprocessed: Counter[tuple[str, str]] = field(default_factory=Counter)
    unconfirmed: list[str] = field(default_factory=list)
    lines: Mapping[str, Sequence[Line]] = field(default_factory=dict)
    records: dict[str, str] = field(default_factory=dict)
    disturbances: Sequence[Disturbance] = ()
    redriven: Counter[str] = field(default_factory=Counter)
    longest_outage: float = 0.0
    seconds: float = 0.0
    is_settled: bool = True

    def __str__(self) -> str:
        kinds = Counter(disturbance.action.partition(" for ")[0] for disturbance in self.disturbances)
        return (
            f"{self.seconds:.0f} s, {len(self.outcomes):,} outcomes, {sum(self.enrollments.values()):,} enrollments, "
            f"{self.messages.total() - len(self.messages)} messages received twice, {dict(kinds)}, "
            f"redriven {dict(self.redriven)}, longest time from an event to its first decision "
            f"{self.longest_outage:.1f} s"
        )


@dataclass(frozen=True)
class Difference:
    description: str
    event: str
    record: str
    flow: str
    expected: str
    found: str
    lines: Sequence[Line] = ()

    def __str__(self) -> str:
        head = (
            f"{self.description}: event {self.event or '-'}, record {self.record or '-'}, flow {self.flow or '-'}: "
            f"expected {self.expected}, found {self.found}"
        )
        return "\n    ".join([head, *map(str, self.lines[-SHOWN_LINES:])])


def differences(expected: Left, found: Left) -> Iterator[Difference]:
    """Yield the differences of a disturbed run from the undisturbed run. A message may be received again for each time
    that a process was disturbed between the response of the queue and the confirmation. Everything else must be equal.
    """

    def lines(event_id: str = "", record: str = "", flow: str = "") -> Sequence[Line]:
        if event_id:
            return found.lines.get(event_id, ())
        all_lines = itertools.chain.from_iterable(found.lines.values())
        return sorted(
            (
                line
                for line in all_lines
                if line.content.get("objectId") == record and line.content.get("flowId") == flow
            ),
            key=lambda line: line.at,
        )

    for key in sorted(expected.outcomes.keys() | found.outcomes.keys()):
        was, now = expected.outcomes.get(key, "none"), found.outcomes.get(key, "none")
        if was != now:
            event_id, flow = key
            record = found.records.get(event_id) or expected.records.get(event_id, "")
            yield Difference("outcome", event_id, record, flow, was, now, lines(event_id))
    for record, flow in sorted(expected.enrollments.keys() | found.enrollments.keys()):
        counts = expected.enrollments[record, flow], found.enrollments[record, flow]
        if counts[0] != counts[1]:
            yield Difference("enrollments", "", record, flow, *map(str, counts), lines("", record, flow))
    for enrollment_id in sorted(found.items.keys() - found.messages.keys()):
        record, flow = found.items[enrollment_id]
        yield Difference("message lost", "", record, flow, enrollment_id, "no message", lines("", record, flow))
    for enrollment_id in sorted(found.messages.keys() - found.items.keys()):
        yield Difference("message without an enrollment", "", "", "", "none", enrollment_id)
    for enrollment_id in found.unconfirmed:
        record, flow = found.items[enrollment_id]
        yield Difference("unconfirmed", "", record, flow, "confirmed", enrollment_id, lines("", record, flow))
    doubles = found.messages.total() - len(found.messages)
    if doubles > len(found.disturbances):
        yield Difference("doubles", "", "", "", f"at most {len(found.disturbances)}", str(doubles))
    for event_id, reason in sorted(expected.unprocessed.keys() | found.unprocessed.keys()):
        counts = expected.unprocessed[event_id, reason], found.unprocessed[event_id, reason]
        # A refused event is stored once more if its function died before it responded.
        if (counts[0] == 0) != (counts[1] == 0):
            record = found.records.get(event_id, "")
            yield Difference(f"unprocessed {reason}", event_id, record, "", *map(str, counts), lines(event_id))
    if not found.is_settled:
        yield Difference("not at rest", "", "", "", f"rest within {SETTLED_WITHIN_SECONDS} s", "work is left")


@contextmanager
def local_run(mode: str) -> "Iterator[tuple[Embedded, int, Path]]":
    """Start a local run. Yield it, its process id and the folder of its logs."""
    ports = (free_port(), free_port(), free_port())
    parameters = [f"{name}Delivery={mode}" for name in CATEGORIES] if mode != "direct" else []
    options = itertools.chain.from_iterable(("--parameter", parameter) for parameter in parameters)
    process = start("--no-demo", "--retry-delay", "1", "--retry-delay", "2", *options, ports=ports)
    assert process.stdout is not None
    try:
        head = list(itertools.takewhile(lambda line: "Ctrl-C" not in line, process.stdout))
        assert process.poll() is None, "".join(head)
        threading.Thread(target=process.stdout.read, daemon=True).start()
        yield Embedded(*ports), process.pid, ROOT / ".enroll" / str(ports[0])
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


@dataclass
class Run:
    embedded: Embedded
    logs: Path
    plan: Plan
    left: Left = field(default_factory=Left)
    sent_at: dict[str, float] = field(default_factory=dict)

    def prepare(self, tolerance_minutes: float) -> None:
        self.sqs = self.embedded.client("sqs")
        for url in self._queues():
            self.sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": str(VISIBILITY_SECONDS)})
        for fields in flows(tolerance_minutes):
            self.embedded.put_flow(PORTAL, **fields)
        for number in range(self.plan.records):
            key = RecordKey(PORTAL, "0-1", f"r{number:03d}")
            self.embedded.stores.records.save(
                Record(key, 0, {"ready": TimestampedValue("no", 0), "city": TimestampedValue("Bray", 0)})
            )

    def _queues(self) -> list[str]:
        """Return the queues from which functions receive batches."""
        urls = self.sqs.list_queues().get("QueueUrls", [])
        return [url for url in urls if url.endswith("-buffer") or url.endswith("-redeliveries")]

    def send(self) -> None:
        """Send each event when it occurs, or a moment later."""
        bus = self.embedded.client("events")
        envelopes = self.plan.timed(int(time.time() * 1000))
        for start_at in range(0, len(envelopes), 10):
            batch = envelopes[start_at : start_at + 10]
            time.sleep(max(0.0, int(batch[-1]["detail"]["occurredAt"]) / 1000 - time.time()))
            answer = bus.put_events(
                Entries=[
                    {
                        "EventBusName": self.embedded.outputs["EventBusName"],
                        "Source": "chaos",
                        "DetailType": envelope["detail-type"],
                        "Detail": json.dumps(envelope["detail"]),
                    }
                    for envelope in batch
                ]
            )
            assert answer["FailedEntryCount"] == 0
            for envelope in batch:
                self.sent_at.setdefault(envelope["detail"]["id"], time.time())
                self.left.records[envelope["detail"]["id"]] = str(envelope["detail"]["objectId"])

    def settle(self, deadline: float) -> None:
        """Wait until all work is done, and redrive failed events as an operator would."""
        quiet_since, before = time.monotonic(), ""
        while time.monotonic() < deadline:
            self._redrive()
            state = self._state()
            if state != before or self._is_busy():
                quiet_since, before = time.monotonic(), state
            elif time.monotonic() - quiet_since >= QUIET_SECONDS:
                return
            time.sleep(1)
        self.left.is_settled = False

    def _state(self) -> str:
        return json.dumps([(str(path), path.stat().st_size) for path in sorted(self.logs.glob("*.log"))])

    def _is_busy(self) -> bool:
        names = [
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
        ]
        for url in self._queues():
            counts = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
            if any(int(count) for count in counts.values()):
                return True
        outcomes = outcomes_of(self._lines())
        decided = {event_id for event_id, _ in outcomes}
        return "WAITING" in outcomes.values() or not set(self._named()) <= decided

    def _named(self) -> Iterator[str]:
        """Yield the ids of the events in the logs. The logs have EventBridge's id of a refused event."""
        return (text for text in self.sent_at if not text.startswith("broken-"))

    def _redrive(self) -> None:
        bus, url = self.embedded.outputs["EventBusName"], self.embedded.outputs["UnprocessedEventsQueueUrl"]
        with QueueScan(self.sqs, url) as messages:
            for message in messages:
                unprocessed_event = message.unprocessed
                entry = unprocessed_event.entry(bus)
                if unprocessed_event.reason in FAILURES and entry is not None:
                    answer = self.embedded.client("events").put_events(Entries=[entry])
                    assert answer["FailedEntryCount"] == 0
                    messages.delete([message])
                    self.left.redriven[unprocessed_event.reason] += 1

    def look(self) -> Left:
        left = self.left
        left.lines = self._lines()
        left.outcomes = outcomes_of(left.lines)
        for number in range(self.plan.records):
            record = f"r{number:03d}"
            for stored in self.embedded.stores.enrollments.of_record(RecordKey(PORTAL, "0-1", record), 10_000):
                enrollment = stored.enrollment
                left.enrollments[record, enrollment.flow_id] += 1
                left.items[enrollment.id] = (record, enrollment.flow_id)
                if not stored.is_confirmed:
                    left.unconfirmed.append(enrollment.id)
        left.messages = Counter(message["enrollmentId"] for message in self._receive("EnrollmentsQueueUrl"))
        with QueueScan(self.sqs, self.embedded.outputs["UnprocessedEventsQueueUrl"]) as messages:
            for message in messages:
                left.unprocessed[message.unprocessed.event_id or message.id, message.unprocessed.reason] += 1
        decided = {
            event_id: [line.at for line in lines if line.content["message"] == "decision"]
            for event_id, lines in left.lines.items()
        }
        first = {event_id: min(times) for event_id, times in decided.items() if times}
        left.longest_outage = max(
            (_seconds(first[event_id]) - at for event_id, at in self.sent_at.items() if event_id in first), default=0.0
        )
        return left

    def _receive(self, queue: str) -> list[Any]:
        url, found = self.embedded.outputs[queue], list[Any]()
        while messages := self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            found += [json.loads(message["Body"]) for message in messages]
            entries = [{"Id": str(n), "ReceiptHandle": message["ReceiptHandle"]} for n, message in enumerate(messages)]
            self.sqs.delete_message_batch(QueueUrl=url, Entries=entries)
        return found

    def _lines(self) -> Mapping[str, Sequence[Line]]:
        """Return the log lines by event, for events that this run's source sent."""
        found = defaultdict[str, list[Line]](list)
        for log in self.logs.glob("*.log"):
            for document in documents(log.read_text(encoding="utf-8", errors="replace")):
                event_id = str(document.get("eventId"))
                if document.get("message") in ("decision", "refused", "failed") and event_id in self.sent_at:
                    found[event_id].append(Line(str(document.get("timestamp")), log.stem, document))
        for lines in found.values():
            lines.sort(key=lambda line: line.at)
        return found


def _seconds(timestamp: str) -> float:
    return datetime.strptime(timestamp, "%Y-%m-%d %H:%M:%S,%f%z").timestamp()


def documents(text: str) -> Iterator[dict[str, Any]]:
    """Yield the JSON documents of a log. Several processes write to it, and a killed process leaves a partial line."""
    decoder = json.JSONDecoder()
    at = text.find('{"level"')
    while at >= 0:
        try:
            document, end = decoder.raw_decode(text, at)
            yield document
        except ValueError:
            end = at + 1
        at = text.find('{"level"', end)


def outcomes_of(lines: Mapping[str, Sequence[Line]]) -> dict[tuple[str, str], str]:
    """Return the last decision on each event by each flow. DUPLICATE_EVENT counts as ENROLLED, because either
    the first delivery or a later one can report the enrollment. So does ALREADY_ENROLLED in a once-only flow, because
    any event of the record can be the one that enrolls it."""
    found: dict[tuple[str, str], str] = {}
    for event_id, event_lines in lines.items():
        for line in event_lines:
            if line.content["message"] != "decision":
                continue
            flow, code = str(line.content["flowId"]), line.outcome
            if code == "DUPLICATE_EVENT" or (code == "ALREADY_ENROLLED" and flow in ONCE_ONLY):
                code = "ENROLLED"
            if found.get((event_id, flow)) != "ENROLLED":
                found[event_id, flow] = code
    return found


def play(
    mode: str,
    traffic: Plan,
    tolerance_minutes: float,
    seed: str | None = None,
    mean_seconds: float = 1.0,
    hangs: int = 1,
    report: Callable[[str], None] = lambda text: None,
) -> Left:
    """Play the plan in a separate local run. Without a seed, the run is undisturbed."""
    began = time.monotonic()
    with local_run(mode) as (embedded, process, logs):
        run = Run(embedded, logs, traffic)
        run.prepare(tolerance_minutes)
        report(f"{mode}: prepared after {time.monotonic() - began:.0f} s")
        if seed is None:
            run.send()
        else:
            with Chaos(process, seed, mean_seconds, hangs) as chaos:
                run.send()
                # Continue until the last waiting event is decided.
                waited = [at for event_id, at in run.sent_at.items() if event_id.startswith("website.page_visited-")]
                time.sleep(max(0.0, max(waited) + tolerance_minutes * 60 + 5 - time.time()))
            run.left.disturbances = chaos.done
        report(f"{mode}: sent after {time.monotonic() - began:.0f} s")
        run.settle(time.monotonic() + tolerance_minutes * 60 + SETTLED_WITHIN_SECONDS)
        left = run.look()
    left.seconds = time.monotonic() - began
    return left
