"""Any response of AWS to any call is handled: processing recovers, or the event is stored unprocessed as a whole and is
recovered later (docs/guarantees.md).

Each fault of faults.py replaces each call of each story: once, and for as long as Lambda delivers an event, which is
three times. An event that failed each time is in the unprocessed-events queue and is delivered once more when the fault
is over. In all cases the final state is that of the undisturbed story.
"""

import random
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.proofs.faults import Fault, fail, faults_of
from tests.proofs.stage import Known, Play, Stage, known
from tests.proofs.stories import STORIES, Story

pytestmark = [pytest.mark.verify, pytest.mark.xdist_group("proofs")]

# Deliveries of an asynchronous invocation: the first, and two retries.
DELIVERIES = 3

SEED = 24
# Of the short proof: stories, and the faults of each.
STORIES_TRIED = 4
FAULTS_TRIED = 2

# test_crashes plays the stories with changes by an author.
STEADY = [story for story in STORIES if story.between is None]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "story" in metafunc.fixturenames:
        is_whole = metafunc.config.getoption("--prove")
        stories = STEADY if is_whole else random.Random(SEED).sample(STEADY, STORIES_TRIED)
        metafunc.parametrize("story", stories, ids=lambda story: story.name)


@pytest.fixture(scope="module")
def counts() -> Iterator[Counter[str]]:
    found: Counter[str] = Counter()
    yield found
    assert found["faults"] == sum(found[name] for name in (WITHIN, BY_REDELIVERY, KEPT))
    print("", *(f"{name:36}{count:6}" for name, count in found.items()), sep="\n")


WITHIN = "recovered within the invocation"
BY_REDELIVERY = "recovered by a redelivery"
KEPT = "kept, and recovered by redriving"


def test_any_response_to_any_call_does_not_change_the_final_state(
    on: Stage, story: Story, prove: bool, counts: Counter[str]
) -> None:
    expected = known(on, story)
    faults = [
        (number, fault, lasts)
        for number, call in enumerate(expected.calls, 1)
        for fault in faults_of(call)
        for lasts in (False, True)
    ]
    for number, fault, lasts in faults if prove else random.Random(SEED).sample(faults, FAULTS_TRIED):
        ended = outcome_of(Play(on, story), expected, number, fault, lasts)
        counts["faults"] += 1
        counts[ended] += 1
    counts["stories"] += 1
    counts["calls"] += len(expected.calls)


def outcome_of(play: Play, expected: Known, number: int, fault: Fault, lasts: bool) -> str:
    context = (expected.calls[number - 1], fault.name, "lasting" if lasts else "once")
    outcome = play.deliver(fail(number, fault, lasts=lasts), attempts=DELIVERIES)
    assert outcome.calls[number - 1].operation == expected.calls[number - 1].operation, context
    assert not outcome.has_crashed, context
    if not outcome.is_done:
        assert len(outcome.errors) == DELIVERIES, context
        play.give_up()
        play.redrive()
    assert expected.difference(play.state()) == [], (context, outcome.errors)
    if not outcome.is_done:
        return KEPT
    return BY_REDELIVERY if outcome.errors else WITHIN
