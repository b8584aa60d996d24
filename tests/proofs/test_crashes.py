"""A process that ends before or after any of its calls to AWS does not change the final state (docs/guarantees.md).

Each story is played undisturbed, which gives its calls and its end state. Then it is played once for each point at
which the process can end, and once for each pair of points: one in the first delivery, one in the second.
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
# Of the short proof: stories, and the points and pairs of points of each.
STORIES_TRIED = 4
POINTS_TRIED = 2
PAIRS_TRIED = 1


@dataclass(frozen=True)
class Point:
    """The point at which a process ends: before or after the call with this number."""

    call: int
    before: bool

    def made(self, outcome: Outcome) -> Sequence[Call]:
        """Return the calls that took effect."""
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
    """Return the points that differ: after a call and before the next, the state is the same."""
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
    """Make the last, undisturbed delivery, and assert what must hold after it."""
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
    """Return the number of updates after the first message was sent. Earlier updates belong to a rate limit."""
    operations = [call.operation for call in calls]
    firsts = [operations.index(operation) for operation in ("SendMessageBatch", "PutEvents") if operation in operations]
    return operations[min(firsts) :].count("UpdateItem") if firsts else 0


def sent(calls: Sequence[Call]) -> int:
    return sum(len(call.parts) for call in calls if call.operation == "SendMessageBatch")


def test_crash_at_any_point_does_not_change_the_final_state(
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


def test_two_successive_crashes_do_not_change_the_final_state(
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
