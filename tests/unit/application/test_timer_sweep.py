"""A sweep sends what is due soon, once in the normal case, and never loses an item."""

from collections.abc import Iterable, Sequence

import pytest
from msgspec.structs import replace

from enrollment.application.timer_sweep import BATCH_SIZE, MAX_FAILED_BATCHES, SweepBatch, TimerSweep
from enrollment.domain.timers.due_item import DUE_SHARDS, LOOK_AHEAD_MS, DueItem, DueKind, due_item
from tests.support.fakes import FakeDueItems, FakeWorkQueue

NOW = 1_764_000_000_000


class Timers:
    """A sweep in memory, with a clock that the test moves."""

    def __init__(self) -> None:
        self.now = NOW
        self.due_items, self.queue = FakeDueItems(), FakeWorkQueue()
        self.sweep = TimerSweep(self.due_items, self.queue, lambda: self.now)

    def save(self, *items: DueItem) -> None:
        for each in items:
            self.due_items.save(each)

    def run(self, *, until: int | None = None) -> list[SweepBatch]:
        end = self.now + 50_000 if until is None else until
        return [batch for shard in range(DUE_SHARDS) for batch in self.sweep.sweep(shard, end)]

    @property
    def left(self) -> set[DueItem]:
        return {each for shard in range(DUE_SHARDS) for each in self.due_items.due_before(shard, 2**45)}


@pytest.fixture
def timers() -> Timers:
    return Timers()


def item(name: object, due_at: int = NOW) -> DueItem:
    return due_item(DueKind.EVENT, due_at, f"message {name}", str(name))


def one_shard(count: int) -> list[DueItem]:
    """Items of one shard, in the order of their times."""
    made = [item(number, NOW - 100_000 + number) for number in range(count * 30)]
    return [each for each in made if each.shard == 0][:count]


def test_item_that_is_due_within_the_look_ahead_is_sent_and_deleted(timers: Timers) -> None:
    overdue, soon, later = item("a", NOW - 5), item("b", NOW + LOOK_AHEAD_MS - 1), item("c", NOW + LOOK_AHEAD_MS)
    timers.save(overdue, soon, later)

    batches = timers.run()

    assert set(timers.queue.sent) == {overdue, soon}
    assert timers.left == {later}
    assert sum(batch.sent for batch in batches) == 2
    assert min(batch.oldest_due_at for batch in batches) == NOW - 5
    timers.now += 60_000
    assert [batch.sent for batch in timers.run()] == [1]


def test_every_item_is_sent_before_it_is_due_if_sweeps_start_up_to_half_a_minute_late(timers: Timers) -> None:
    """An item of which the sweep knows is due later than LOOK_AHEAD_MS after it was saved."""
    for offset in range(0, 600_000, 7_000):
        timers.save(item(offset, NOW + LOOK_AHEAD_MS + 1 + offset))
    while timers.now < NOW + 900_000:
        sent = len(timers.queue.sent)
        timers.run()
        assert all(each.due_at >= timers.now for each in timers.queue.sent[sent:])
        timers.now += 90_000
    assert len(timers.queue.sent) == len(range(0, 600_000, 7_000))


def test_cancelled_item_is_never_sent(timers: Timers) -> None:
    cancelled, other = item("a"), item("b")
    timers.save(cancelled, other)
    timers.due_items.delete([cancelled])
    timers.run()
    assert timers.queue.sent == [other]


def test_item_that_the_queue_rejects_stays_for_the_next_sweep(timers: Timers) -> None:
    rejected, other = item("a"), item("b")
    timers.save(rejected, other)
    timers.queue.refuses = {rejected.id}

    batches = timers.run()

    assert (timers.queue.sent, timers.left) == ([other], {rejected})
    assert sum(batch.left for batch in batches) == 1
    timers.queue.refuses = set()
    timers.run()
    assert (timers.queue.sent, timers.left) == ([other, rejected], set())


class _FailingQueue(FakeWorkQueue):
    """Raises an error after this number of accepted items."""

    def __init__(self, accepts: int) -> None:
        super().__init__()
        self.accepts = accepts

    def send(self, items: Sequence[DueItem]) -> Iterable[DueItem]:
        for each in items:
            if not self.accepts:
                raise ConnectionError("SendMessageBatch")
            self.accepts -= 1
            self.sent.append(each)
            yield each


def test_errors_of_the_queue_end_the_shard_and_what_was_accepted_is_deleted(timers: Timers) -> None:
    items = one_shard(BATCH_SIZE * 6)
    timers.save(*items)
    timers.queue = _FailingQueue(BATCH_SIZE + 7)
    timers.sweep = replace(timers.sweep, work_queue=timers.queue)

    batches = timers.run()

    failed = [(0, BATCH_SIZE)] * (MAX_FAILED_BATCHES - 1)
    assert [(batch.sent, batch.left) for batch in batches] == [(BATCH_SIZE, 0), (7, BATCH_SIZE - 7), *failed]
    assert isinstance(batches[-1].error, ConnectionError)
    assert timers.queue.sent == items[: BATCH_SIZE + 7]
    assert timers.left == set(items[BATCH_SIZE + 7 :])


class _QueueWithPoison(FakeWorkQueue):
    """Fails for a batch that has one of these items."""

    def __init__(self, poison: set[str]) -> None:
        super().__init__()
        self.poison = poison

    def send(self, items: Sequence[DueItem]) -> Iterable[DueItem]:
        for each in items:
            if each.id in self.poison:
                raise ValueError("BatchRequestTooLong")
            self.sent.append(each)
            yield each


def test_item_that_the_queue_never_accepts_does_not_block_the_later_batches(timers: Timers) -> None:
    items = one_shard(BATCH_SIZE * 6)
    timers.save(*items)
    poison = {items[0].id, items[BATCH_SIZE].id, items[BATCH_SIZE * 3].id}
    timers.queue = _QueueWithPoison(poison)
    timers.sweep = replace(timers.sweep, work_queue=timers.queue)

    timers.run()

    assert set(items[BATCH_SIZE * 4 :]) <= set(timers.queue.sent)
    assert items[0] in timers.left


def test_item_that_was_sent_and_not_deleted_is_sent_again(timers: Timers, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that ends between the two calls leaves this state."""
    items = one_shard(3)
    timers.save(*items)
    with monkeypatch.context() as patch:
        patch.setattr(timers.due_items, "delete", lambda _: 1 / 0)
        (batch,) = timers.run()
    assert isinstance(batch.error, ZeroDivisionError)
    assert (timers.queue.sent, timers.left) == (items, set(items))
    timers.run()
    assert (timers.queue.sent, timers.left) == (items * 2, set())


def test_two_sweeps_at_once_send_each_item_at_least_once_and_at_most_twice(timers: Timers) -> None:
    items = one_shard(BATCH_SIZE * 4)
    timers.save(*items)
    first, second = (timers.sweep.sweep(0, NOW + 50_000) for _ in range(2))
    for _ in range(4):
        next(first, None)
        next(second, None)
    assert timers.left == set()
    numbers = {each: timers.queue.sent.count(each) for each in items}
    assert set(numbers.values()) <= {1, 2}


def test_no_batch_begins_after_the_end_of_the_working_time(timers: Timers) -> None:
    items = one_shard(BATCH_SIZE * 3)
    timers.save(*items)
    for _ in timers.sweep.sweep(0, NOW + 1):
        timers.now += 1
    assert timers.queue.sent == items[:BATCH_SIZE]
    for _ in timers.sweep.sweep(0, NOW + 10):
        pass
    assert timers.queue.sent == items


def test_item_is_sent_when_the_clock_has_gone_backwards(timers: Timers) -> None:
    timers.save(item("a"))
    timers.now -= 600_000
    assert timers.run() == []
    timers.now += 600_000
    timers.run()
    assert timers.queue.sent == [item("a")]
