"""What the events of a batch do together, and that each fails for itself."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from enrollment.batches import QueueOfBatch, in_groups
from enrollment.domain.enrollments import Enrollment
from enrollment.together import Together
from tests.fakes import World
from tests.scenarios.scenario import event, flow

SECONDS = 10


def test_items_of_a_group_come_one_after_the_other_and_groups_at_the_same_time() -> None:
    met = threading.Barrier(3, timeout=SECONDS)
    seen: dict[str, list[int]] = {"a": [], "b": [], "c": []}

    def work(item: tuple[str, int]) -> None:
        group, number = item
        met.wait()
        seen[group].append(number)

    with ThreadPoolExecutor(3) as executor:
        in_groups([(group, n) for n in range(20) for group in "abc"], lambda item: item[0], work, executor)
    assert seen == {group: list(range(20)) for group in "abc"}


class Asked:
    """Answers a call only when `until` others ask too, but for those that were asked together."""

    def __init__(self, fails: Callable[[Sequence[int]], bool] = lambda _: False) -> None:
        self.calls: list[list[int]] = []
        self.first_is_asking = threading.Event()
        self.others_are_there = threading.Event()
        self._fails = fails

    def __call__(self, questions: Sequence[int]) -> Iterator[int]:
        self.calls.append(list(questions))
        self.first_is_asking.set()
        assert self.others_are_there.wait(SECONDS)
        for one in questions:
            if self._fails(questions) and one == 3:
                raise ConnectionError(one)
            yield one


def ask_in_turn(together: Together[int, int], asked: Asked) -> dict[int, Sequence[int] | Exception]:
    """1 asks; while its call is under way 2, 3 and 4 do."""
    answers: dict[int, Sequence[int] | Exception] = {}

    def ask(number: int) -> None:
        try:
            answers[number] = sorted(together([number]))
        except ConnectionError as error:
            answers[number] = error

    threads = [threading.Thread(target=ask, args=(number,)) for number in (1, 2, 3, 4)]
    threads[0].start()
    assert asked.first_is_asking.wait(SECONDS)
    for one in threads[1:]:
        one.start()
    while len(together._gathered) < 3:
        pass
    asked.others_are_there.set()
    for one in threads:
        one.join(SECONDS)
    return answers


def test_those_that_come_during_a_call_are_one_call() -> None:
    asked = Asked()
    answers = ask_in_turn(Together(asked), asked)
    assert [sorted(one) for one in asked.calls] == [[1], [2, 3, 4]]
    assert answers == {1: [1], 2: [2, 3, 4], 3: [2, 3, 4], 4: [2, 3, 4]}


def test_a_call_that_fails_answers_what_came_before() -> None:
    asked = Asked(fails=lambda questions: len(questions) > 1)
    answers = ask_in_turn(Together(asked), asked)
    before = sorted(asked.calls[1][: asked.calls[1].index(3)])
    assert answers == {1: [1], 2: before, 3: before, 4: before}


def test_what_came_before_a_failure_is_known_and_who_asks_again_meets_it() -> None:
    def take(numbers: Sequence[int]) -> Iterator[int]:
        yield from numbers[:2]
        raise ConnectionError

    assert Together(take)([3, 4, 5]) == [3, 4]
    assert Together(take)([]) == []


def test_what_is_not_begun_in_time_is_left() -> None:
    begun: list[str] = []
    goes_on = threading.Event()

    def work(item: str) -> None:
        begun.append(item)
        assert goes_on.wait(SECONDS)

    with ThreadPoolExecutor(2) as executor:
        in_groups(["a1", "a2", "b1", "c1"], lambda item: item[0], work, executor, seconds=0.05)
        assert sorted(begun) == ["a1", "b1"]
        goes_on.set()
    assert sorted(begun) == ["a1", "b1"]


class RefusingQueue:
    """Fails for good on what holds a record `bad`, as SQS does on a batch that it can't read."""

    def __init__(self) -> None:
        self.published: Counter[str] = Counter()

    def publish(self, enrollments: Sequence[Enrollment]) -> Iterator[str]:
        if any(one.record_key.object_id == "bad" for one in enrollments):
            raise ConnectionError
        for one in enrollments:
            self.published[one.id] += 1
            yield one.id


def test_what_the_queue_does_not_take_fails_its_own_event_only() -> None:
    world = World()
    world.put_flow(flow({"id": 1, "event": "forms.submitted"}))
    for name in ("good", "bad", "better"):
        world.deliver(event({"forms.submitted": name, "id": name, "record": {}}))
    enrollments = {one.record_key.object_id: one for one in world.queue.messages}
    assert set(enrollments) == {"good", "bad", "better"}

    queue, met, outcomes = RefusingQueue(), threading.Barrier(3, timeout=SECONDS), dict[str, list[str] | str]()
    of_batch = QueueOfBatch(queue)

    def publish(name: str) -> None:
        met.wait()
        try:
            outcomes[name] = list(of_batch.publish([enrollments[name]]))
        except ConnectionError:
            outcomes[name] = "failed"

    with ThreadPoolExecutor(3) as executor:
        list(executor.map(publish, enrollments))
    ids = {name: one.id for name, one in enrollments.items()}
    assert outcomes == {"good": [ids["good"]], "bad": "failed", "better": [ids["better"]]}
    assert set(queue.published) == {ids["good"], ids["better"]}
    assert list(of_batch.publish([])) == []
