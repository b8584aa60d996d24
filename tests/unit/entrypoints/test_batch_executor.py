"""Coalesced calls of the events of a batch. Each event fails on its own."""

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from enrollment.adapters.coalescing.call_coalescer import CallCoalescer
from enrollment.adapters.coalescing.publishers import CoalescingQueue
from enrollment.domain.enrollment.enrollments import Enrollment
from enrollment.entrypoints.batch_executor import run_grouped
from tests.support.fakes import World
from tests.support.scenario import event, flow

SECONDS = 10


def test_items_of_a_group_run_in_sequence_and_groups_in_parallel() -> None:
    met = threading.Barrier(3, timeout=SECONDS)
    seen: dict[str, list[int]] = {"a": [], "b": [], "c": []}

    def work(item: tuple[str, int]) -> None:
        group, number = item
        met.wait()
        seen[group].append(number)

    with ThreadPoolExecutor(3) as executor:
        run_grouped([[(group, n) for n in range(20)] for group in "abc"], work, executor, CallCoalescer(3, 3, _ignored))
    assert seen == {group: list(range(20)) for group in "abc"}


def _ignored(failure: Exception) -> None:
    """A retry raises the same error."""


class Calls:
    """Doubles numbers, and records the coalesced calls. It fails at 3 unless 3 is requested individually."""

    def __init__(self) -> None:
        self.made: list[list[int]] = []

    def double(self, numbers: Sequence[int]) -> Iterator[int]:
        self.made.append(sorted(numbers))
        for number in sorted(numbers):
            if number == 3 and len(numbers) > 1:
                raise ConnectionError(number)
            yield 2 * number


def test_concurrent_identical_calls_are_coalesced() -> None:
    calls, meeting = Calls(), CallCoalescer(4, 4, _ignored, max_wait_seconds=SECONDS)
    with ThreadPoolExecutor(4) as executor:
        answers = list(executor.map(lambda n: meeting.call(calls.double, [n]), (1, 2, 4, 5)))
    assert calls.made == [[1, 2, 4, 5]]
    assert answers == [[2, 4, 8, 10]] * 4


def test_concurrent_identical_calls_are_each_made_once() -> None:
    calls, other_calls, meeting = Calls(), Calls(), CallCoalescer(4, 4, _ignored, max_wait_seconds=SECONDS)
    with ThreadPoolExecutor(4) as executor:
        answers = list(
            executor.map(
                lambda n: meeting.call(calls.double if n < 3 else other_calls.double, [n]),
                (1, 2, 4, 5),
            )
        )
    assert (calls.made, other_calls.made) == ([[1, 2]], [[4, 5]])
    assert answers == [[2, 4], [2, 4], [8, 10], [8, 10]]


def test_finished_participant_does_not_delay_a_call() -> None:
    calls, meeting = Calls(), CallCoalescer(2, 2, _ignored, max_wait_seconds=SECONDS)
    with ThreadPoolExecutor(2) as executor:
        future = executor.submit(meeting.call, calls.double, [1])
        while not meeting._pending_calls:
            pass
        meeting.leave()
        assert future.result(SECONDS / 2) == [2]


def test_only_running_groups_delay_a_call() -> None:
    calls, meeting = Calls(), CallCoalescer(20, 1, _ignored, max_wait_seconds=SECONDS)
    assert meeting.call(calls.double, [1]) == [2]


def test_slow_participant_delays_a_call_only_briefly() -> None:
    calls, meeting = Calls(), CallCoalescer(2, 2, _ignored, max_wait_seconds=0.01)
    assert meeting.call(calls.double, [1]) == [2]
    assert meeting.call(calls.double, [2]) == [4]


def test_call_longer_than_the_maximum_wait_is_made_once() -> None:
    made: list[Sequence[int]] = []
    meeting, goes_on = CallCoalescer(2, 2, _ignored, max_wait_seconds=0.5), threading.Event()

    def slow(numbers: Sequence[int]) -> Sequence[int]:
        made.append(sorted(numbers))
        assert goes_on.wait(SECONDS)
        return numbers

    with ThreadPoolExecutor(3) as executor:
        futures = [executor.submit(meeting.call, slow, [n]) for n in (1, 2)]
        while not made:
            pass
        assert not goes_on.wait(0.6)
        goes_on.set()
        assert [sorted(future.result(SECONDS)) for future in futures] == [[1, 2]] * 2
    assert made == [[1, 2]]


def test_results_before_a_failure_are_kept_and_a_retry_raises_it() -> None:
    failures: list[Exception] = []
    calls, meeting = Calls(), CallCoalescer(1, 1, failures.append)
    assert meeting.call(calls.double, [1, 2, 3, 4]) == [2, 4]
    assert [type(failure) for failure in failures] == [ConnectionError]
    assert meeting.call(calls.double, [3]) == [6]


def test_groups_not_started_before_the_deadline_are_skipped() -> None:
    begun: list[str] = []
    goes_on = threading.Event()

    def work(item: str) -> None:
        begun.append(item)
        assert goes_on.wait(SECONDS)

    with ThreadPoolExecutor(2) as executor:
        run_grouped([["a1", "a2"], ["b1"], ["c1"]], work, executor, CallCoalescer(3, 2, _ignored), timeout_seconds=0.05)
        assert sorted(begun) == ["a1", "b1"]
        goes_on.set()
    assert sorted(begun) == ["a1", "b1"]


class RefusingQueue:
    """Always fails if a message is about the record `bad`, as SQS does for a batch that it cannot read."""

    def __init__(self) -> None:
        self.published: Counter[str] = Counter()

    def publish(self, enrollments: Sequence[Enrollment]) -> Iterator[str]:
        if any(enrollment.record_key.object_id == "bad" for enrollment in enrollments):
            raise ConnectionError
        for enrollment in enrollments:
            self.published[enrollment.id] += 1
            yield enrollment.id


def test_message_rejected_by_the_queue_fails_only_its_event() -> None:
    world = World()
    world.put_flow(flow({"id": 1, "event": "forms.submitted"}))
    for name in ("good", "bad", "better"):
        world.deliver(event({"forms.submitted": name, "id": name, "record": {}}))
    enrollments = {message.record_key.object_id: message for message in world.queue.messages}
    assert set(enrollments) == {"good", "bad", "better"}

    queue, outcomes = RefusingQueue(), dict[str, list[str] | str]()
    of_batch = CoalescingQueue(queue, CallCoalescer(3, 3, _ignored, max_wait_seconds=SECONDS))

    def publish(name: str) -> None:
        try:
            outcomes[name] = list(of_batch.publish([enrollments[name]]))
        except ConnectionError:
            outcomes[name] = "failed"

    with ThreadPoolExecutor(3) as executor:
        list(executor.map(publish, enrollments))
    ids = {name: enrollment.id for name, enrollment in enrollments.items()}
    assert outcomes == {"good": [ids["good"]], "bad": "failed", "better": [ids["better"]]}
    assert set(queue.published) == {ids["good"], ids["better"]}
    assert list(of_batch.publish([])) == []
