"""A backfill of a portal with a million contacts, whose workers end anywhere, with live events beside it.

The contacts are generated when they are read, and the clock moves by the time that a page takes. Each minute a worker
begins. It ends by itself, or before or after any call, as a process that is killed: it makes no further call.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

import pytest
from msgspec.structs import replace

from enrollment.application.backfills import BackfillRequest
from enrollment.application.run_worker import RunWorker
from enrollment.domain.enrollment.decisions import Code
from enrollment.domain.enrollment.runs import RunStatus
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.record import Record, TimestampedValue
from enrollment.domain.values import iso
from tests.support.fakes import World
from tests.support.scenario import event, flow

RECORDS, RECORDS_IN_VERIFY = 1_000_000, 100_000
SHARDS = 16
PAGE_MS = 150
MINUTE = 60_000
WORKER_MS = 50_000
LIVE_EVENTS_A_MINUTE = 5
# Of ten contacts one lives in Dublin.
CITIES = ("Dublin", *(f"City {number}" for number in range(1, 10)))


class Killed(BaseException):
    """The process has ended. No handler of exceptions sees it."""


class People(dict[RecordKey, Record]):
    """Contacts that are generated when they are read. Those that an event changed are stored."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def __missing__(self, key: RecordKey) -> Record:
        number = int(key.object_id)
        return Record(key, 1_000, {"city": TimestampedValue(CITIES[number % 10], 1_000)}, version=1)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, RecordKey) and int(key.object_id) < self.count

    def get(self, key: RecordKey, default: Any = None) -> Any:
        if key not in self:
            return default
        return self[key]


def keys_of(count: int, shard: int, after: str | None) -> Iterator[RecordKey]:
    first = shard if after is None else int(after) + SHARDS
    return (RecordKey("p1", "0-1", f"{number:07}") for number in range(first, count, SHARDS))


class Process:
    """The ports of one worker, which is killed at its ``calls``-th call. None: it is not killed."""

    def __init__(self, calls: int | None, *, after_the_call: bool) -> None:
        self._calls = calls
        self._after_the_call = after_the_call
        self.is_killed = False

    def port(self, port: Any) -> Any:
        return Port(port, self)

    def call(self, method: Callable[[], Any]) -> Any:
        if self.is_killed:
            raise Killed
        if self._calls is None:
            return method()
        self._calls -= 1
        self.is_killed = self._calls <= 0
        if self.is_killed and not self._after_the_call:
            raise Killed
        answer = method()
        if self.is_killed:
            raise Killed
        return answer


class Port:
    def __init__(self, port: Any, process: Process) -> None:
        self._port = port
        self._process = process

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)
        return lambda *arguments, **named: self._process.call(lambda: method(*arguments, **named))


class Portal:
    """A world with ``count`` contacts, and a flow for those in Dublin."""

    def __init__(self, count: int, seed: int) -> None:
        self.random = random.Random(seed)
        self.count = count
        self.world = World()
        self.world.records.records = People(count)
        self.world.listing.page = self._page  # type: ignore[method-assign]
        self.world.listing.count = lambda portal_id, object_type_id: count  # type: ignore[method-assign]
        self.world.put_flow(flow({"id": 1, "filters": [["city", "IS_EQUAL_TO", "Dublin"]]}))
        self.moved_to_dublin: set[str] = set()
        self.killed = 0

    def _page(
        self, portal_id: str, object_type_id: str, shard: int, limit: int, after: str | None = None
    ) -> Sequence[RecordKey]:
        self.world.now += PAGE_MS
        return list(islice(keys_of(self.count, shard, after), limit))

    def worker(self, process: Process) -> RunWorker:
        """Return a worker whose calls are those of the process."""
        worker = self.world.run_worker
        enrollments, runs = process.port(self.world.enrollments), process.port(self.world.runs)
        publisher = replace(
            worker.publisher,
            enrollments=enrollments,
            queue=process.port(self.world.queue),
            bus=process.port(self.world.bus),
        )
        return replace(
            worker,
            runs=runs,
            listing=process.port(self.world.listing),
            records=process.port(self.world.records),
            first_enrollments=enrollments,
            claims=replace(worker.claims, enrollments=enrollments),
            publisher=publisher,
        )

    def work_a_minute(self) -> None:
        """Let a worker begin. Every second one is killed."""
        begun = self.world.now
        calls = self.random.randint(1, 2_000) if self.random.random() < 0.5 else None
        process = Process(calls, after_the_call=self.random.random() < 0.5)
        try:
            for result in self.worker(process).work(begun + WORKER_MS):
                assert result.error is None, result.error
        except Killed:
            self.killed += 1
        self.world.now = max(self.world.now, begun + MINUTE)

    def change_contacts(self) -> None:
        """Let some contacts move to Dublin, each by an event, which enrolls a contact that was elsewhere."""
        for _ in range(LIVE_EVENTS_A_MINUTE):
            contact = f"{self.random.randrange(self.count):07}"
            changed = {"hs_name": "city", "hs_value": "Dublin"}
            self.world.now += 10
            self.world.deliver(
                event(
                    {
                        "crm.property_changed": contact,
                        "id": f"{contact}-{self.world.now}",
                        "at": iso(self.world.now),
                        "properties": changed,
                    }
                )
            )
            self.moved_to_dublin.add(contact)


@pytest.mark.verify
def test_a_million_records_are_each_enrolled_once(prove: bool) -> None:
    portal = Portal(RECORDS if prove else RECORDS_IN_VERIFY, seed=20_261_128)
    world = portal.world
    run = world.backfills.start(BackfillRequest("p1", "1", False, "arn:ada", confirm=portal.count), world.now)

    minutes = 0
    while world.runs.runs[run.id].status is RunStatus.RUNNING:
        portal.work_a_minute()
        portal.change_contacts()
        minutes += 1
        assert minutes < portal.count, "the run makes no progress"
    world.pass_time(world.now + 60 * MINUTE)

    progress = world.backfills.progress(world.runs.runs[run.id])
    in_dublin = {f"{number:07}" for number in range(0, portal.count, 10)}
    entered = Counter(key.object_id for key, _, _ in world.enrollments.items)
    assert set(entered) == in_dublin | portal.moved_to_dublin
    assert set(entered.values()) == {1}
    assert all(stored.is_confirmed for stored in world.enrollments.items.values())

    by_run = sum(
        stored.enrollment.cause.event_type == "workflows.backfill" for stored in world.enrollments.items.values()
    )
    assert sum(progress.counts.values()) == portal.count
    assert progress.counts[Code.ENROLLED] == by_run
    assert progress.counts.get(Code.ALREADY_ENROLLED, 0) <= len(entered) - by_run

    messages = Counter(message.id for message in world.queue.messages)
    assert set(messages) == {stored.enrollment.id for stored in world.enrollments.items.values()}
    # A worker that is killed leaves at most the batch that it was publishing.
    assert sum(messages.values()) - len(messages) <= 10 * portal.killed
    assert portal.killed > 0
    print(
        f"{portal.count:,} records in {minutes} minutes, {portal.killed} of the workers killed; "
        f"{by_run:,} enrolled by the run, {len(entered) - by_run:,} by live events beside it, "
        f"{sum(messages.values()) - len(messages)} messages twice; {dict(progress.counts)}"
    )
