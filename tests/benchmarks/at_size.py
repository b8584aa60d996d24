"""1, 10 and 100 thousand events a second: which limit is met first, what lifts it, and what happens beyond it.

``reached`` is arithmetic: what an event consumes of each limit (``counts``), against the limit. ``simulated`` plays a
minute of traffic, event by event, with what the functions and AWS do when something is refused: DynamoDB's client waits
and asks again while it holds an execution, Lambda or the buffer delivers again, and at last the event is kept as
unprocessed.

Not in it: starts of functions, DynamoDB's burst capacity, failures, and that Lambda's queue tries an event for which
there is no execution again after some seconds. Functions get free executions in turns, which Lambda does not promise.
Rates above SIMULATED are played at that rate, with every limit made as much smaller.
"""

import heapq
import itertools
import random
from collections import Counter, deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from enrollment.adapters import enrollments, history
from tests.benchmarks.counts import ANNOUNCEMENT, CHANGES_RECORD, ENROLLS, NOT_MATCHED, Kind, kinds
from tests.benchmarks.durations import TEMPLATE, duration_ms, processor_share, waits_ms
from tests.benchmarks.tables import Found, Plot, Table

RATES = (1_000, 10_000, 100_000)
SIMULATED = 1_000
TRAFFIC_SECONDS = 60
# What is not decided by then is still waiting.
ENDS_AFTER_SECONDS = 1_800
SAMPLE_SECONDS = 5

# Of one call to DynamoDB (adapters/clients.py).
ATTEMPTS = 7
TIMEOUT: int = TEMPLATE["Globals"]["Function"]["Timeout"]
# Lambda delivers an event that failed again after one and two minutes; the buffer four times, after its visibility
# timeout.
DIRECT_RETRIES = (60, 120)
BUFFER_RETRIES = (6 * TIMEOUT,) * 4
BATCH = 10

# The buffer's mapping: batches at once in the beginning, and more of them a second (300 a minute).
MAPPING_FIRST, MAPPING_MORE, MAPPING_MOST = 5, 5, 1_000
# Executions that a function may have more, every ten seconds.
RAMP_EXECUTIONS, RAMP_SECONDS = 1_000, 10

PARTITION_READS, PARTITION_WRITES = 3_000, 1_000


@dataclass(frozen=True)
class Limit:
    """``a_second``: units; of executions, how many there are at once."""

    a_second: float
    of: str
    lifted_by: str


# Quotas of US East (N. Virginia) and Europe (Ireland), as AWS's documentation has them; other regions have less.
LIMITS: Mapping[str, Limit] = {
    "PutEvents": Limit(10_000, "requests, the sources' of ten events each", "quota of EventBridge"),
    "rules": Limit(18_750, "invocations of rules", "quota of EventBridge; what is more is delayed, not lost"),
    "executions": Limit(
        1_000, "executions at once in the account", "quota of Lambda; a buffer in front of the category"
    ),
    "version": Limit(
        PARTITION_READS,
        "reads of one portal's version of one event type",
        "a buffer, which reads it once a batch",
    ),
    "flows, reads": Limit(40_000, "read units of the table", "quota of DynamoDB"),
    "records, reads": Limit(40_000, "read units of the table", "quota of DynamoDB"),
    "records, writes": Limit(40_000, "write units of the table", "quota of DynamoDB; EventHistoryDays=0"),
    "enrollments, reads": Limit(40_000, "read units of the table", "quota of DynamoDB"),
    "enrollments, writes": Limit(40_000, "write units of the table", "quota of DynamoDB"),
    "record, reads": Limit(PARTITION_READS, "read units of one record", "none: one item has one place"),
    "record, writes": Limit(PARTITION_WRITES, "write units of one record", "EventHistoryDays=0 halves them; else none"),
    "record's enrollments, writes": Limit(PARTITION_WRITES, "write units of one record's enrollments", "none"),
    "by-flow": Limit(
        enrollments.SHARDS * PARTITION_WRITES, "entries of one flow in the index", "SHARDS in adapters/enrollments.py"
    ),
    "by-event-type": Limit(
        history.SHARDS * PARTITION_WRITES,
        "entries of one portal's event type in the index",
        "SHARDS in adapters/history.py; EventHistoryDays=0",
    ),
    "queue": Limit(70_000, "requests to the enrollments queue", "quota of SQS"),
    "queue, one record": Limit(300, "requests to the queue for one record", "none: its messages are in order"),
}

# What these are limits of; the others are limits of all events together.
HOT: Mapping[str, str] = {
    "version": "type",
    "by-event-type": "type",
    "by-flow": "flow",
    "record, reads": "record",
    "record, writes": "record",
    "record's enrollments, writes": "record",
    "queue, one record": "record",
}


@dataclass(frozen=True)
class Stream:
    """``of_type``, ``of_flow``, ``of_record``: the part of its events that share the busiest portal and event type,
    flow, record; what the others share is too little to be a limit."""

    name: str
    share: float
    kind: str
    function: str
    of_type: float = 0.0
    of_flow: float = 0.0
    of_record: float = 0.0


@dataclass(frozen=True)
class Scenario:
    name: str
    streams: Sequence[Stream]


def _even(**hot: float) -> list[Stream]:
    """A tenth enrolls. The busiest portal has a fiftieth of the events of one type."""
    return [
        Stream("not matched", 0.9, NOT_MATCHED, "website", of_type=0.02, **hot),
        Stream("enrolling", 0.1, ENROLLS, "forms", of_type=0.02, of_flow=0.01, **hot),
    ]


IMPORT = Scenario(
    "one portal imports",
    [
        Stream("the import", 0.9, CHANGES_RECORD, "crm", of_type=1.0),
        Stream("other portals, same category", 0.05, CHANGES_RECORD, "crm"),
        Stream("other categories", 0.05, NOT_MATCHED, "forms"),
    ],
)
SCENARIOS = (
    Scenario("even", _even()),
    Scenario("one flow takes all", [Stream("enrolling", 1.0, ENROLLS, "forms", of_type=1.0, of_flow=1.0)]),
    Scenario("one record has 10 %", _even(of_record=0.1)),
    IMPORT,
)


# Arithmetic ----------------------------------------------------------------------------------------------------------


def demand(kind: Kind, *, hot_type: bool, hot_flow: bool, hot_record: bool) -> Mapping[str, float]:
    """What one event takes of the limits of DynamoDB and of the queue."""
    wanted: dict[str, float] = {}
    for table in ("flows", "records", "enrollments"):
        wanted[f"{table}, reads"] = kind.reads.get(table, 0)
        wanted[f"{table}, writes"] = kind.writes.get(table, 0)
    if hot_type:
        wanted["version"] = kind.reads.get("flows", 0)
        wanted["by-event-type"] = kind.writes.get("by-event-type", 0)
    if hot_flow:
        wanted["by-flow"] = kind.writes.get("by-flow", 0)
    if hot_record:
        wanted["record, reads"] = kind.reads.get("records", 0)
        wanted["record, writes"] = kind.writes.get("records", 0)
        wanted["record's enrollments, writes"] = kind.writes.get("enrollments", 0)
        wanted["queue, one record"] = kind.sends
    wanted["queue"] = kind.sends
    return {name: units for name, units in wanted.items() if units and name in LIMITS}


def taken(scenario: Scenario, counted: Mapping[tuple[str, bool], Kind]) -> Mapping[str, float]:
    """What one event of the traffic takes of each limit, on average, with the event that announces an enrollment."""
    total = Counter[str]()
    for stream in scenario.streams:
        kind, announcement = counted[stream.kind, True], counted[ANNOUNCEMENT, True]
        seconds = (duration_ms(kind) + kind.announces * duration_ms(announcement)) / 1000
        own: dict[str, float] = {
            "PutEvents": 0.1 + (kind.announces > 0),
            "rules": 1 + kind.announces,
            "executions": seconds,
        }
        total.update(_times(own, stream.share))
        # The announcements of the busiest portal are of another event type than its events.
        for one, number, of_type in ((kind, 1, stream.of_type), (announcement, kind.announces, 0.0)):
            parts = {"type": of_type, "flow": stream.of_flow, "record": stream.of_record}
            for name, units in demand(one, hot_type=True, hot_flow=True, hot_record=True).items():
                total[name] += stream.share * number * units * parts.get(HOT.get(name, ""), 1.0)
    return {name: units for name, units in total.items() if units}


def _times(one: Mapping[str, float], factor: float) -> dict[str, float]:
    return {name: units * factor for name, units in one.items()}


def reached(scenario: Scenario, counted: Mapping[tuple[str, bool], Kind]) -> list[tuple[str, float]]:
    """The limits, and at how many events a second each is met; the first one first."""
    rates = [(name, LIMITS[name].a_second / units) for name, units in taken(scenario, counted).items()]
    return sorted(rates, key=lambda one: one[1])


# Simulation ----------------------------------------------------------------------------------------------------------

# A process yields seconds to wait for, or what it waits for an execution of.
Process = Generator["float | Execution", None, bool]


@dataclass(frozen=True)
class Execution:
    function: str


class Bucket:
    """Tokens that come at a rate, at most those of a second."""

    def __init__(self, a_second: float) -> None:
        self._rate = a_second
        self._tokens = max(a_second, 1)
        self._at = 0.0

    def take(self, now: float, units: float) -> bool:
        self._tokens = min(self._tokens + (now - self._at) * self._rate, max(self._rate, units))
        self._at = now
        if self._tokens < units:
            return False
        self._tokens -= units
        return True


class Pipe:
    """Takes one after the other, at a rate; those that come too soon wait."""

    def __init__(self, a_second: float) -> None:
        self._rate = a_second
        self._free = 0.0

    def wait(self, now: float, units: float) -> float:
        begins = max(now, self._free)
        self._free = begins + units / self._rate
        return begins - now


@dataclass
class Outcome:
    """Seconds from put to decided, by stream; ``backlog``: time and events that were put and not yet decided."""

    latencies: dict[str, list[float]] = field(default_factory=dict)
    given_up: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    backlog: list[tuple[float, float]] = field(default_factory=list)
    ended: float = 0.0
    invocations: int = 0


class Simulation:
    def __init__(
        self,
        scenario: Scenario,
        rate: float,
        counted: Mapping[tuple[str, bool], Kind],
        *,
        is_buffered: bool = False,
        limits: Mapping[str, Limit] = LIMITS,
    ) -> None:
        self._scenario, self._rate, self._counted, self._is_buffered = scenario, rate, counted, is_buffered
        self._scale = max(rate / SIMULATED, 1)
        self._random = random.Random(7)
        self._limits = {name: limit.a_second / self._scale for name, limit in limits.items()}
        self._buckets = {name: Bucket(rate) for name, rate in self._limits.items()}
        self._puts, self._rules = Pipe(self._limits["PutEvents"]), Pipe(self._limits["rules"])
        self._heap: list[tuple[float, int, Process]] = []
        self._numbers = itertools.count()
        self._now = 0.0
        self._waiting: dict[str, deque[Process]] = {}
        self._running = Counter[str]()
        # The buffer: by function and stream, since it serves quiet portals first.
        self._buffer: dict[str, dict[str, deque[Message]]] = {}
        self._undecided = 0
        self._outcome = Outcome()

    def run(self) -> Outcome:
        for stream in self._scenario.streams:
            self._at(0, self._source(stream))
        self._at(0, self._observer())
        while self._heap and self._now < ENDS_AFTER_SECONDS:
            self._now, _, process = heapq.heappop(self._heap)
            self._step(process)
        return self._outcome

    def _at(self, time: float, process: Process) -> None:
        heapq.heappush(self._heap, (time, next(self._numbers), process))

    def _step(self, process: Process) -> None:
        try:
            wanted = next(process)
        except StopIteration:
            return
        if isinstance(wanted, Execution):
            self._waiting.setdefault(wanted.function, deque()).append(process)
            self._start()
        else:
            self._at(self._now + wanted, process)

    # Sources and bus

    def _source(self, stream: Stream) -> Process:
        rate = self._rate / self._scale * stream.share
        while self._now < TRAFFIC_SECONDS:
            yield self._random.expovariate(rate)
            self._put(stream, self._counted[stream.kind, True], self._hot(stream), stream.name)
        return True

    def _hot(self, stream: Stream) -> dict[str, bool]:
        draw = self._random.random
        return {
            "hot_type": draw() < stream.of_type,
            "hot_flow": draw() < stream.of_flow,
            "hot_record": draw() < stream.of_record,
        }

    def _put(self, stream: Stream, kind: Kind, hot: Mapping[str, bool], name: str, requests: float = 0.1) -> None:
        is_announcement = kind.name == ANNOUNCEMENT
        function = "workflows" if is_announcement else stream.function
        wanted = demand(kind, **{**hot, "hot_type": hot["hot_type"] and not is_announcement})
        message = Message(stream, kind, hot, name, function, wanted, self._now)
        self._undecided += not is_announcement
        self._at(self._now + self._puts.wait(self._now, requests), self._handed_over(message))

    def _handed_over(self, message: "Message") -> Process:
        yield self._rules.wait(self._now, 1)
        if self._is_buffered:
            self._buffer.setdefault(message.function, {}).setdefault(message.name, deque()).append(message)
            self._start()
        else:
            self._at(self._now, self._invoked(message))
        return True

    # Functions

    def _start(self) -> None:
        """Gives free executions to the functions that wait for one, in turns."""
        for function in sorted({*self._waiting, *self._buffer}, key=lambda one: (self._running[one], one)):
            while self._may_start(function):
                if self._is_buffered and (batch := self._next_batch(function)):
                    self._running[function] += 1
                    self._at(self._now, self._batch(function, batch))
                elif not self._is_buffered and self._waiting.get(function):
                    self._running[function] += 1
                    self._at(self._now, self._waiting[function].popleft())
                else:
                    break

    def _may_start(self, function: str) -> bool:
        most = min(self._limits["executions"], RAMP_EXECUTIONS * (1 + self._now // RAMP_SECONDS) / self._scale)
        if self._is_buffered:
            most = min(
                most, max((MAPPING_FIRST + MAPPING_MORE * self._now) / self._scale, 1), MAPPING_MOST / self._scale
            )
        all_ = self._running.total() + 1 <= max(self._limits["executions"], 1)
        return all_ and self._running[function] + 1 <= max(most, 1)

    def _invoked(self, message: "Message") -> Process:
        for wait in (*DIRECT_RETRIES, None):
            yield Execution(message.function)
            self._outcome.invocations += 1
            is_decided = yield from self._handled(message, message.kind.cpu_ms)
            self._running[message.function] -= 1
            self._start()
            if is_decided:
                return True
            if wait is not None:
                yield float(wait)
        self._give_up(message)
        return False

    def _next_batch(self, function: str) -> "list[Message]":
        queues = self._buffer.get(function, {})
        batch: list[Message] = []
        # A fair queue hands out those first of whom the least waits.
        for queue in sorted((one for one in queues.values() if one), key=len):
            while queue and len(batch) < BATCH:
                batch.append(queue.popleft())
        return batch

    def _batch(self, function: str, batch: "Sequence[Message]") -> Process:
        """All at the same time, once the version that they share was read; the execution is held until the last is
        done."""
        self._outcome.invocations += 1
        cpu_ms = sum(one.kind.cpu_ms for one in batch)
        left = len(batch)
        is_read = True
        if any("version" in one.wanted for one in batch):
            is_read = yield from self._taken("version", 1, self._now)

        def member(message: Message) -> Process:
            nonlocal left
            is_decided = yield from self._handled(message, cpu_ms, is_read=is_read)
            left -= 1
            if not left:
                self._running[function] -= 1
                self._start()
            if is_decided:
                return True
            if message.deliveries > len(BUFFER_RETRIES):
                self._give_up(message)
                return False
            yield BUFFER_RETRIES[message.deliveries - 1]
            self._buffer[function][message.name].append(message)
            self._start()
            return False

        for message in batch:
            self._at(self._now, member(message))
        return True

    def _handled(self, message: "Message", cpu_ms: float, *, is_read: bool | None = None) -> Process:
        """Whether it was decided. ``is_read``: whether its batch could read the version; None: it reads it itself."""
        began = self._now
        message.deliveries += 1
        for name, units in message.wanted.items():
            is_taken = is_read if name == "version" and is_read is not None else None
            if is_taken is None:
                is_taken = yield from self._taken(name, units, began)
            if not is_taken:
                return False
        milliseconds = cpu_ms / processor_share() + waits_ms(message.kind.calls)
        yield milliseconds / 1000 * self._random.uniform(0.7, 1.3)
        if message.kind.name != ANNOUNCEMENT:
            self._undecided -= 1
            self._outcome.latencies.setdefault(message.name, []).append(self._now - message.put_at)
            self._outcome.ended = self._now
        for _ in range(message.kind.announces):
            self._put(message.stream, self._counted[ANNOUNCEMENT, True], message.hot, f"{message.name}, announced", 1.0)
        return True

    def _taken(self, name: str, units: float, began: float) -> Process:
        """A call that is refused is made again after a random time of up to 1, 2, 4, … 20 seconds, as AWS's client
        does, until the function's time is over."""
        for attempt in range(ATTEMPTS):
            if self._buckets[name].take(self._now, units):
                return True
            self._outcome.refused[name] += 1
            yield self._random.random() * min(2**attempt, 20)
            if self._now - began > TIMEOUT:
                break
        return False

    def _give_up(self, message: "Message") -> None:
        if message.kind.name != ANNOUNCEMENT:
            self._undecided -= 1
        self._outcome.given_up[message.name] += 1

    def _observer(self) -> Process:
        while self._now <= TRAFFIC_SECONDS or self._undecided:
            self._outcome.backlog.append((self._now, self._undecided * self._scale))
            yield float(SAMPLE_SECONDS)
        self._outcome.backlog.append((self._now, 0.0))
        return True


@dataclass(eq=False)
class Message:
    stream: Stream
    kind: Kind
    hot: Mapping[str, bool]
    name: str
    function: str
    wanted: Mapping[str, float]
    put_at: float
    deliveries: int = 0


def simulated(
    scenario: Scenario, rate: float, *, is_buffered: bool = False, limits: Mapping[str, Limit] = LIMITS
) -> Outcome:
    return Simulation(scenario, rate, kinds(), is_buffered=is_buffered, limits=limits).run()


# Tables --------------------------------------------------------------------------------------------------------------

RAISED: Mapping[str, Limit] = {
    name: replace(limit, a_second=limit.a_second * 10) if limit.lifted_by.startswith("quota") else limit
    for name, limit in LIMITS.items()
}


def run() -> Found:
    counted = kinds()
    outcomes = {
        (scenario.name, rate, is_buffered): simulated(scenario, rate, is_buffered=is_buffered)
        for scenario in SCENARIOS
        for rate in RATES
        for is_buffered in (False, True)
    }
    raised = {
        (scenario.name, RATES[-1], is_buffered): simulated(scenario, RATES[-1], is_buffered=is_buffered, limits=RAISED)
        for scenario in SCENARIOS
        for is_buffered in (False, True)
    }
    tables = [
        _limits(counted),
        _needed(counted),
        Table("A minute of traffic", PLAYED, _rows(outcomes), NOTE),
        Table("The same with every quota tenfold", PLAYED, _rows(raised)),
    ]
    return Found(tables, [_backlogs(outcomes), _import(outcomes)])


def _limits(counted: Mapping[tuple[str, bool], Kind]) -> Table:
    rows = [
        [scenario.name if not number else "", name, f"{rate:,.0f}", LIMITS[name].of, LIMITS[name].lifted_by]
        for scenario in SCENARIOS
        for number, (name, rate) in enumerate(reached(scenario, counted)[:4])
    ]
    header = ["traffic", "limit", "met at events/s", "a limit of", "what lifts it"]
    return Table("The first limits, events delivered directly, with history", header, rows)


def _needed(counted: Mapping[tuple[str, bool], Kind]) -> Table:
    units = taken(SCENARIOS[0], counted)
    rows = [
        [name, LIMITS[name].of, f"{LIMITS[name].a_second:,.0f}", *(f"{units[name] * rate:,.0f}" for rate in RATES)]
        for name, _ in reached(SCENARIOS[0], counted)
    ]
    return Table("What even traffic takes", ["limit", "of", "there is", *(f"at {rate:,}/s" for rate in RATES)], rows)


PLAYED = [
    "traffic",
    "events/s",
    "way",
    "p50, s",
    "p95, s",
    "p99, s",
    "most waiting",
    "all decided after, s",
    "kept as unprocessed",
    "refused most",
]
NOTE = (
    f"{TRAFFIC_SECONDS} s of traffic; seconds from put to decided. «direct»: Lambda's own queue; «buffer»: batches of "
    f"{BATCH} from a fair queue, whose mapping begins with {MAPPING_FIRST} batches at once and takes "
    f"{MAPPING_MORE} more each second, up to {MAPPING_MOST:,}."
)


Outcomes = Mapping[tuple[str, float, bool], Outcome]


def _rows(outcomes: Outcomes) -> list[list[str]]:
    """One for all of the traffic; of an import, one for each of its streams."""
    return [
        row
        for scenario in SCENARIOS
        for (name, rate, is_buffered), outcome in outcomes.items()
        if name == scenario.name
        for row in _rows_of(scenario, rate, is_buffered, outcome)
    ]


def _rows_of(scenario: Scenario, rate: float, is_buffered: bool, outcome: Outcome) -> Iterator[list[str]]:
    streams = {"": list(itertools.chain.from_iterable(outcome.latencies.values()))}
    if scenario is IMPORT:
        streams = {f": {one.name}": outcome.latencies[one.name] for one in scenario.streams}
    is_over = outcome.backlog[-1][1] == 0
    refused = outcome.refused.most_common(1)
    for name, latencies in streams.items():
        yield [
            f"{scenario.name}{name}",
            f"{rate:,.0f}",
            "buffer" if is_buffered else "direct",
            *(f"{_percentile(latencies, part):,.2f}" for part in (0.5, 0.95, 0.99)),
            f"{max(number for _, number in outcome.backlog):,.0f}",
            f"{outcome.ended:,.0f}" if is_over else f"more than {ENDS_AFTER_SECONDS:,}",
            f"{outcome.given_up.total() * max(rate / SIMULATED, 1):,.0f}",
            refused[0][0] if refused else "",
        ]


def _backlogs(outcomes: Outcomes) -> Plot:
    rate = 10_000
    curves = {
        f"{name}, {'buffer' if is_buffered else 'direct'}": outcome.backlog
        for (name, at, is_buffered), outcome in outcomes.items()
        if at == rate and name != SCENARIOS[0].name
    }
    title = f"A minute of {rate:,} events a second: put and not yet decided"
    return Plot("backlog", title, "seconds", "events", curves)


def _import(outcomes: Outcomes) -> Plot:
    curves = {
        f"{stream.name}, {'buffer' if is_buffered else 'direct'}": [
            (rate, _percentile(outcomes[IMPORT.name, rate, is_buffered].latencies[stream.name], 0.95)) for rate in RATES
        ]
        for stream in IMPORT.streams
        for is_buffered in (False, True)
    }
    title = "An import of one portal: until 95 % of the events are decided"
    return Plot("import", title, "events a second, 90 % of them imported", "seconds", curves, True, True)


def _percentile(latencies: Sequence[float], part: float) -> float:
    return sorted(latencies)[int(len(latencies) * part)]
