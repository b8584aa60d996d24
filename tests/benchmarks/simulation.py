"""What happens beyond the limits. Simulate a minute of traffic, event by event, with the reactions of the functions and
AWS when a call is throttled: DynamoDB's client waits and retries while it occupies an execution, Lambda or the buffer
delivers the event again, and finally the event is stored as unprocessed.

Not simulated: starts of functions, DynamoDB's burst capacity, failures, and that Lambda's queue retries an event some
seconds later if there is no free execution. Functions get free executions in turns, which Lambda does not guarantee.
Rates above SIMULATED are simulated at that rate, with every limit reduced by the same factor.
"""

import heapq
import itertools
import random
from collections import Counter, deque
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.benchmarks.counts import ANNOUNCEMENT, Kind, kinds
from tests.benchmarks.durations import TEMPLATE, processor_share, waits_ms
from tests.benchmarks.limits import LIMITS, Limit, Scenario, Stream, demand

SIMULATED = 1_000
TRAFFIC_SECONDS = 60
# Events that are not decided by then count as waiting.
ENDS_AFTER_SECONDS = 1_800
SAMPLE_SECONDS = 5

# Attempts of one call to DynamoDB (adapters/clients.py).
ATTEMPTS = 7
TIMEOUT: int = TEMPLATE["Globals"]["Function"]["Timeout"]
# Lambda delivers a failed event again after one and after two minutes. The buffer delivers it four times, each after
# its visibility timeout.
DIRECT_RETRIES = (60, 120)
BUFFER_RETRIES = (6 * TIMEOUT,) * 4
BATCH = 10

# The buffer's event source mapping: concurrent batches at the start, and more of them each second (300 a minute).
MAPPING_FIRST, MAPPING_MORE, MAPPING_MOST = 5, 5, 1_000
# Additional concurrent executions that a function can have every ten seconds.
RAMP_EXECUTIONS, RAMP_SECONDS = 1_000, 10

# A process yields the seconds that it waits, or the function of which it needs an execution.
SimulatedProcess = Generator["float | Execution", None, bool]


@dataclass(frozen=True)
class Execution:
    function: str


class Bucket:
    """A token bucket that refills at a rate and has the capacity of one second."""

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
    """Handle items one after the other at a rate. Items that come too early wait."""

    def __init__(self, a_second: float) -> None:
        self._rate = a_second
        self._free = 0.0

    def wait(self, now: float, units: float) -> float:
        begins = max(now, self._free)
        self._free = begins + units / self._rate
        return begins - now


@dataclass
class Outcome:
    """Seconds from put to decided, by stream. ``backlog``: times, and the number of events that were put and are not
    decided."""

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
        self._heap: list[tuple[float, int, SimulatedProcess]] = []
        self._numbers = itertools.count()
        self._now = 0.0
        self._waiting: dict[str, deque[SimulatedProcess]] = {}
        self._running = Counter[str]()
        # The buffer, by function and stream, because it serves quiet portals first.
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

    def _at(self, time: float, process: SimulatedProcess) -> None:
        heapq.heappush(self._heap, (time, next(self._numbers), process))

    def _step(self, process: SimulatedProcess) -> None:
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

    def _source(self, stream: Stream) -> SimulatedProcess:
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

    def _handed_over(self, message: "Message") -> SimulatedProcess:
        yield self._rules.wait(self._now, 1)
        if self._is_buffered:
            self._buffer.setdefault(message.function, {}).setdefault(message.name, deque()).append(message)
            self._start()
        else:
            self._at(self._now, self._invoked(message))
        return True

    # Functions

    def _start(self) -> None:
        """Give free executions to the waiting functions, in turns."""
        for function in sorted({*self._waiting, *self._buffer}, key=lambda name: (self._running[name], name)):
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

    def _invoked(self, message: "Message") -> SimulatedProcess:
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
        # A fair queue delivers the messages of the stream with the shortest backlog first.
        for queue in sorted((queue for queue in queues.values() if queue), key=len):
            while queue and len(batch) < BATCH:
                batch.append(queue.popleft())
        return batch

    def _batch(self, function: str, batch: "Sequence[Message]") -> SimulatedProcess:
        """Handle all messages at the same time, after the version that they share is read. The execution is occupied
        until the last message is done."""
        self._outcome.invocations += 1
        cpu_ms = sum(message.kind.cpu_ms for message in batch)
        left = len(batch)
        is_read = True
        if any("version" in message.wanted for message in batch):
            is_read = yield from self._taken("version", 1, self._now)

        def member(message: Message) -> SimulatedProcess:
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

    def _handled(self, message: "Message", cpu_ms: float, *, is_read: bool | None = None) -> SimulatedProcess:
        """Return whether the event was decided. ``is_read``: whether its batch could read the version; None: the event
        reads it itself."""
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

    def _taken(self, name: str, units: float, began: float) -> SimulatedProcess:
        """Take units of a limit. A throttled call is retried after a random time of up to 1, 2, 4, … 20 seconds, as
        AWS's client does, until the function times out."""
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

    def _observer(self) -> SimulatedProcess:
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
