"""Faults in a batch of events. The process ends before or after any call to AWS, of any event, or a call gets any other
response, and the batch is delivered again. The result of each event must be the same as without the fault
(docs/guarantees.md)."""

import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse

from enrollment.adapters.coalescing.call_coalescer import CallCoalescer
from enrollment.entrypoints import event_handlers as handler
from tests.proofs.faults import fail, faults_of
from tests.proofs.processes import Call, Forward, Interference, Outcome, crash
from tests.proofs.stage import NotDone, Play, Stage, State
from tests.proofs.stories import AGAIN, ONCE, SUBMITTED, Story
from tests.support.functions import CONTEXT, batch, function

pytestmark = [pytest.mark.verify, pytest.mark.xdist_group("proofs")]

SEED = 5
# Of the short proof.
POINTS_TRIED = 4
PAIRS_TRIED = 3
FAULTS_TRIED = 4
# Of the whole proof: pairs for each first point; faults at each call, once and lasting.
SECONDS_TRIED = 4
FAULTS_OF_A_CALL = 12
# Deliveries of a message, by the buffer's event source mapping.
DELIVERIES = 5

# Events of four records: several events of one record, one that creates its record, and one about an unknown record.
EVENTS: Sequence[Mapping[str, Any]] = [
    {**SUBMITTED, "id": "e1"},
    {**SUBMITTED, "id": "e2", "record": {"city": "Cork"}},
    {**SUBMITTED, "id": "e3"},
    {**SUBMITTED, "forms.submitted": "102", "id": "e4"},
    {**SUBMITTED, "forms.submitted": "102", "id": "e5", "record": {"city": "Bray"}},
    {**SUBMITTED, "forms.submitted": "103", "id": "e6", "record": {"city": "Cork"}},
    {**SUBMITTED, "forms.submitted": "104", "id": "e7"},
]
RECORDS = {"contact/101": {"city": "Dublin"}, "contact/102": {"city": "Dublin"}}
# Flow 1 enrolls each known record once. Flow 2 enrolls by every event except the last, whose record is unknown.
ENROLLS = ["1"] * 3 + ["2"] * 6
STORY = Story("a batch", SUBMITTED, [ONCE, AGAIN], ENROLLS, RECORDS)


class Batch(Play):
    def __init__(self, stage: Stage, events: Sequence[Mapping[str, Any]] = EVENTS) -> None:
        super().__init__(stage, STORY)
        self.event = None
        self.events = [self._envelope(event) for event in events]
        self.keys |= {self._key(f"contact/{event['detail']['objectId']}") for event in self.events}

    def act(self) -> Any:
        answer = function("forms").handler(batch(*self.events), CONTEXT)
        if answer["batchItemFailures"]:
            raise NotDone(str(answer))
        return answer

    def crash(self, at: int, *, before: bool) -> Outcome:
        """The number of calls differs each time, because it depends on which calls are coalesced."""
        outcome = self.deliver(crash(at, before=before))
        assert outcome.has_crashed != outcome.is_done
        assert outcome.has_crashed or len(outcome.calls) < at
        return outcome


@pytest.fixture(scope="module")
def undisturbed(on: Stage) -> tuple[int, State]:
    play = Batch(on)
    outcome = play.deliver()
    assert outcome.is_done, outcome.errors
    end = play.state()
    assert play.enrolled() == ENROLLS
    return len(outcome.calls), end


def test_calls_of_a_batch_are_coalesced(on: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten events create a record each and enroll it in two flows."""
    monkeypatch.setattr(handler, "CallCoalescer", partial(CallCoalescer, max_wait_seconds=10))
    story = [
        {**SUBMITTED, "forms.submitted": f"{number}", "id": f"e{number}", "record": {"n": number}}
        for number in range(10)
    ]
    play = Batch(on, story)
    outcome = play.deliver()
    assert outcome.is_done
    play.state()
    assert Counter(map(str, outcome.calls)) == {
        # The portal's settings.
        "GetItem flows": 1,
        # The flows of the event type, and the filter-based flows, because the events have snapshots.
        "BatchGetItem flows": 1,
        "Query flows": 2,
        "PutItem records": 10,
        "PutItem enrollments": 20,
        "BatchGetItem records": 1,
        "BatchGetItem enrollments": 1,
        # The history.
        "BatchExecuteStatement records": 1,
        # At most ten entries a call.
        "SendMessageBatch enrollments.fifo": 2,
        "PutEvents bus": 2,
        "BatchExecuteStatement enrollments": 2,
    }


def points(calls: int) -> list[tuple[int, bool]]:
    return [(number, before) for number in range(1, calls + 1) for before in (True, False)]


def test_redelivered_batch_changes_nothing(on: Stage, undisturbed: tuple[int, State]) -> None:
    play = Batch(on)
    for _ in range(3):
        assert play.deliver().is_done
    assert play.state() == undisturbed[1]


def test_crash_at_any_call_of_a_batch_does_not_change_the_final_state(
    on: Stage, undisturbed: tuple[int, State], prove: bool
) -> None:
    calls, end = undisturbed
    counts: Counter[str] = Counter()
    every = points(calls)
    for at, before in every if prove else random.Random(SEED).sample(every, POINTS_TRIED):
        play = Batch(on)
        counts["crashes"] += play.crash(at, before=before).has_crashed
        assert play.deliver().is_done
        assert play.state() == end
        counts["points"] += 1
    print("\na batch:", dict(counts))
    assert counts["crashes"] >= 0.8 * counts["points"]


def test_two_successive_crashes_of_a_batch_do_not_change_the_final_state(
    on: Stage, undisturbed: tuple[int, State], prove: bool
) -> None:
    calls, end = undisturbed
    draw = random.Random(SEED)
    every = points(calls)
    firsts = every if prove else draw.sample(every, PAIRS_TRIED)
    for at, before in firsts:
        for _ in range(SECONDS_TRIED if prove else 1):
            play = Batch(on)
            play.crash(at, before=before)
            play.crash(draw.randint(1, calls), before=draw.random() < 0.5)
            assert play.deliver().is_done
            assert play.state() == end


def test_any_response_to_any_call_of_a_batch_does_not_change_the_final_state(
    on: Stage, undisturbed: tuple[int, State], prove: bool
) -> None:
    calls, end = undisturbed
    draw = random.Random(SEED)
    every = [(at, lasts) for at in range(1, calls + 1) for lasts in (False, True) for _ in range(FAULTS_OF_A_CALL)]
    counts: Counter[str] = Counter()
    for at, lasts in every if prove else draw.sample(every, FAULTS_TRIED):
        play = Batch(on)
        drawn = Drawn(at, draw.random(), lasts=lasts)
        outcome = play.deliver(drawn, attempts=DELIVERIES)
        counts["faults"] += 1
        counts["recovered within the invocation"] += not outcome.errors
        counts["recovered by a redelivery"] += outcome.is_done and bool(outcome.errors)
        counts["kept, and recovered by redriving"] += not outcome.is_done
        assert outcome.is_done or play.deliver().is_done, drawn.description
        difference = overtaken(play.state()) ^ overtaken(end)
        assert not difference, (drawn.description, outcome.errors, sorted(difference))
    print("\na batch:", dict(counts))


def overtaken(state: State) -> State:
    """Return the state without the differences that remain when an event of a record failed and later events overtook
    it: which event enrolled first (in a once-only flow, the only one), and the number of writes of the record."""
    found: list[Any] = [json.loads(item) for item in state]
    for item in found:
        item.pop("version", None)
        if "place" in item:
            del item["place"], item["message"]["isReEnrollment"]
            if item["message"]["flowId"] == ONCE["id"]:
                del item["message"]["trigger"]
    return frozenset(json.dumps(item, sort_keys=True) for item in found)


class Drawn:
    """A fault that is drawn when its call is made, because only then it is known which responses are possible."""

    def __init__(self, at: int, chance: float, *, lasts: bool) -> None:
        self._at = at
        self._chance = chance
        self._lasts = lasts
        self._fails: Interference | None = None
        self.description = f"call {at}, chance {chance}, {'lasting' if lasts else 'once'}"

    def __call__(self, number: int, call: Call, request: AWSPreparedRequest, forward: Forward) -> AWSResponse:
        if number == self._at:
            faults = list(faults_of(call))
            self._fails = fail(self._at, faults[int(self._chance * len(faults))], lasts=self._lasts)
        return forward(request) if self._fails is None else self._fails(number, call, request, forward)
