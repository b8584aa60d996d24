"""A batch of events: several at a time, those of one record one after the other, which would else stand in each
other's way (docs/decisions/0014-buffer.md)."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, wait
from contextlib import suppress
from threading import Event, Lock
from typing import Generic, TypeVar

from enrollment.domain.enrollments import Announcement, Enrollment
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records import Record
from enrollment.ports import Bus, Queue, Records

T = TypeVar("T")
A = TypeVar("A")


def in_groups(
    items: Iterable[T],
    group: Callable[[T], Hashable],
    work: Callable[[T], None],
    executor: Executor,
    seconds: float | None = None,
) -> None:
    """Groups at the same time, each in order, until all is done; or until so many seconds are over: then no more is
    begun, and nobody waits for what is under way. ``work`` deals with its own failures."""
    groups: dict[Hashable, list[T]] = {}
    for item in items:
        groups.setdefault(group(item), []).append(item)

    is_over = Event()

    def one_by_one(of_group: list[T]) -> None:
        for item in of_group:
            if is_over.is_set():
                return
            work(item)

    done = wait([executor.submit(one_by_one, one) for one in groups.values()], timeout=seconds).done
    is_over.set()
    for one in done:
        one.result()  # raises what work did not deal with


class Together(Generic[T, A]):
    """One call for all that ask at the same time: while one's call is under way the others gather, and the first of
    them calls for all. It answers what came of it before it failed, if it did: who misses something asks again for
    itself, so that a failure is that of the event to which it belongs, and what was taken before it is known."""

    def __init__(self, ask: Callable[[Sequence[T]], Iterable[A]]) -> None:
        self._ask = ask
        self._gathered: list[T] = []
        self._answers: list[A] = []
        self._lock = Lock()
        self._calling = Lock()

    def __call__(self, questions: Sequence[T]) -> Sequence[A]:
        with self._lock:
            gathering, answers = self._gathered, self._answers
            gathering.extend(questions)
        with self._calling:
            with self._lock:
                is_first = gathering is self._gathered
                if is_first:
                    self._gathered, self._answers = [], []
            if is_first:
                # One by one, so that what came before a failure is there; who asks again meets it.
                with suppress(Exception):
                    for one in self._ask(gathering):
                        answers.append(one)
        return answers


class RecordsOfBatch:
    def __init__(self, records: Records) -> None:
        self._records = records
        self._read = Together[RecordKey, Mapping[RecordKey, Record]](self._read_all)

    def _read_all(self, keys: Sequence[RecordKey]) -> Iterable[Mapping[RecordKey, Record]]:
        # Each once: DynamoDB refuses to be asked for an item twice.
        yield self._records.get_many(list(dict.fromkeys(keys)))

    def get(self, key: RecordKey) -> Record | None:
        found = self._read([key])
        return found[0].get(key) if found else self._records.get(key)

    def get_many(self, keys: Sequence[RecordKey]) -> Mapping[RecordKey, Record]:
        return self._records.get_many(keys)

    def save(self, record: Record) -> Record:
        return self._records.save(record)


class QueueOfBatch:
    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._publish = Together[Enrollment, str](queue.publish)

    def publish(self, enrollments: Sequence[Enrollment]) -> Iterator[str]:
        published = frozenset(self._publish(enrollments)) if enrollments else frozenset()
        yield from (one.id for one in enrollments if one.id in published)
        if missing := [one for one in enrollments if one.id not in published]:
            yield from self._queue.publish(missing)


class BusOfBatch:
    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._announce = Together[Announcement, str](bus.announce)

    def announce(self, announcements: Sequence[Announcement]) -> Iterator[str]:
        announced = frozenset(self._announce(announcements)) if announcements else frozenset()
        yield from (one.enrollment.id for one in announcements if one.enrollment.id in announced)
        if missing := [one for one in announcements if one.enrollment.id not in announced]:
            yield from self._bus.announce(missing)
