"""A process that ends before or after any of its calls to AWS changes nothing in the end (docs/guarantees.md).

Each story is played undisturbed, which tells its calls and how it ends; then once for each point at which the process
can end, and once for each two of them, one in the first delivery and one in the second.
"""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest

from tests.proofs.processes import Call, Outcome, crash
from tests.proofs.stage import Known, Play, Stage, known
from tests.proofs.stories import STORIES, Story

pytestmark = [pytest.mark.verify, pytest.mark.xdist_group("proofs")]

SEED = 5
# Of the short proof: stories, and of each points and pairs of points.
STORIES_TRIED = 4
POINTS_TRIED = 2
PAIRS_TRIED = 1


@dataclass(frozen=True)
class Point:
    """Where a process ends: before or after its call of a number."""

    call: int
    before: bool

    def made(self, outcome: Outcome) -> Sequence[Call]:
        """What the process did of what it called."""
        return outcome.calls[: self.call - self.before]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "story" in metafunc.fixturenames:
        is_whole = metafunc.config.getoption("--prove")
        stories = STORIES if is_whole else random.Random(SEED).sample(STORIES, STORIES_TRIED)
        metafunc.parametrize("story", stories, ids=lambda story: story.name)


@pytest.fixture(scope="module")
def counts() -> Iterator[Counter[str]]:
    found: Counter[str] = Counter()
    yield found
    print("", *(f"{name:26}{count:6}" for name, count in found.items()), sep="\n")


def points_of(calls: Sequence[Call]) -> list[Point]:
    return [Point(number, before) for number in range(1, len(calls) + 1) for before in (True, False)]


def distinct(points: Sequence[Point]) -> list[Point]:
    """After a call and before the next, the world is the same."""
    return [point for point in points if point.call == 1 or not point.before]


def drawn(points: Sequence[Point], count: int) -> Sequence[Point]:
    return random.Random(SEED).sample(points, min(len(points), count))


def crashed(play: Play, point: Point) -> Outcome:
    outcome = play.deliver(crash(point.call, before=point.before))
    assert outcome.has_crashed
    assert len(outcome.calls) == point.call
    assert not outcome.is_done
    assert outcome.errors == []
    return outcome


def ended(play: Play, story: Story, expected: Known, *crashes: Sequence[Call]) -> Outcome:
    """The last delivery, which nothing disturbs, and what must hold after it."""
    last = play.deliver()
    assert last.is_done
    assert expected.difference(play.state()) == []
    if story.between is None:
        to_send, confirmed = sent(expected.calls), 0
        for made in (*crashes, last.calls):
            assert sent(made) <= max(to_send - confirmed, 0), "what was confirmed is sent again"
            confirmed += confirmations(made)
    return last


def confirmations(calls: Sequence[Call]) -> int:
    """The updates that follow what was sent; those before are of a flow's limit."""
    operations = [call.operation for call in calls]
    firsts = [operations.index(operation) for operation in ("SendMessageBatch", "PutEvents") if operation in operations]
    return operations[min(firsts) :].count("UpdateItem") if firsts else 0


def sent(calls: Sequence[Call]) -> int:
    return sum(len(call.parts) for call in calls if call.operation == "SendMessageBatch")


def test_a_crash_at_any_point_changes_nothing_in_the_end(
    on: Stage, story: Story, prove: bool, counts: Counter[str]
) -> None:
    expected = known(on, story)
    points = points_of(expected.calls)
    assert len(points) == 2 * len(expected.calls)
    for point in points if prove else drawn(points, POINTS_TRIED):
        play = Play(on, story)
        made = point.made(crashed(play, point))
        play.change()
        ended(play, story, expected, made)
        counts["crash points"] += 1
    counts["stories"] += 1
    counts["calls"] += len(expected.calls)
    if prove:
        assert counts["crash points"] == 2 * counts["calls"]


def test_two_crashes_in_a_row_change_nothing_in_the_end(
    on: Stage, story: Story, prove: bool, counts: Counter[str]
) -> None:
    expected = known(on, story)
    firsts = distinct(points_of(expected.calls))
    for first in firsts if prove else drawn(firsts, PAIRS_TRIED):
        alone = Play(on, story)
        made = first.made(crashed(alone, first))
        alone.change()
        again = ended(alone, story, expected, made)
        seconds = distinct(points_of(again.calls))
        for second in seconds if prove else drawn(seconds, PAIRS_TRIED):
            play = Play(on, story)
            made_first = first.made(crashed(play, first))
            play.change()
            made_second = second.made(crashed(play, second))
            ended(play, story, expected, made_first, made_second)
            counts["pairs of crash points"] += 1
