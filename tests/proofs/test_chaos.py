"""Killed and stopped processes leave the same results as an undisturbed run (docs/guarantees.md)."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.proofs.chaos import (
    MODES,
    RATE,
    SHOWN_LINES,
    Disturbance,
    Left,
    Line,
    differences,
    documents,
    outcomes_of,
    plan,
    play,
    runtimes,
)

pytestmark = [pytest.mark.verify, pytest.mark.xdist_group("proofs")]

EVENTS = 2_000
SEEDS = 5
# Longer than the longest outage: a process that hangs for 30 s, and messages that return after 40 s, several times.
TOLERANCE_MINUTES = 4.0

PLAN = plan(EVENTS, "traffic")


def played(seed: str | None) -> Mapping[str, Left]:
    """Play direct and buffered delivery at the same time, because a run mostly waits."""
    with ThreadPoolExecutor(len(MODES)) as pool:
        work = partial(play, traffic=PLAN, tolerance_minutes=TOLERANCE_MINUTES, seed=seed)
        return dict(zip(MODES, pool.map(work, MODES), strict=True))


@pytest.fixture(scope="module")
def undisturbed(prove: bool) -> Mapping[str, Left]:
    if not prove:
        pytest.skip("each run takes minutes: make prove")
    found = played(None)
    for mode, left in found.items():
        print(f"\nundisturbed, {mode}: {left}", flush=True)
        assert left.is_settled
        # Make sure that the comparison is not between two empty results.
        assert set(left.outcomes.values()) == {"ENROLLED", "FILTERED_OUT", "NOT_MATCHED", "UNKNOWN_RECORD"}
        assert len({event_id for event_id, _ in left.outcomes}) == len(PLAN.events) - len(left.unprocessed)
        assert {flow for _, flow in left.enrollments} >= {"once", "each", "late", "late-once", "changed", "chain"}
    assert not list(differences(found["direct"], found["buffered"]))
    return found


@pytest.mark.parametrize("seed", range(1, SEEDS + 1))
def test_killed_and_stopped_processes_do_not_change_the_results(undisturbed: Mapping[str, Left], seed: int) -> None:
    found = {mode: (left, list(differences(undisturbed[mode], left))) for mode, left in played(str(seed)).items()}
    for mode, (left, found_differences) in found.items():
        print(
            f"\nseed {seed}, {mode}: {left}; {len(found_differences)} differences",
            *found_differences,
            sep="\n",
            flush=True,
        )
        if left.longest_outage > TOLERANCE_MINUTES * 60:
            print(f"the longest outage exceeded the tolerance of {TOLERANCE_MINUTES} minutes", flush=True)
    assert not [str(difference) for _, found_differences in found.values() for difference in found_differences]
    for left, _ in found.values():
        assert any(disturbance.action == "killed" for disturbance in left.disturbances)
        assert any(disturbance.action.startswith("stopped") for disturbance in left.disturbances)


# The harness itself --------------------------------------------------------------------------------------------------


def test_each_event_has_its_own_time_and_id() -> None:
    made = PLAN.timed(1_764_000_000_000)
    assert len(PLAN.events) == pytest.approx(EVENTS, rel=0.01)
    assert len(made) == len(PLAN.events) + len(PLAN.copies)
    times = {envelope["detail"]["id"]: envelope["detail"]["occurredAt"] for envelope in made}
    assert len(set(times.values())) == len(times) == len(PLAN.events)
    assert max(times.values()) - min(times.values()) < (EVENTS + 100) / RATE * 1000
    assert plan(EVENTS, "traffic") == PLAN


def test_only_the_processes_of_the_run_are_found(tmp_path: Path) -> None:
    """The width of the terminal does not matter."""
    script = tmp_path / f"{'a' * 100}.py"
    script.write_text("import sys; print('up', flush=True); sys.stdin.read()")
    command = [sys.executable, str(script)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with (
        subprocess.Popen([*command, "awslambdaric", "app.handler"], **pipes) as runtime,
        subprocess.Popen([*command, "another"], **pipes) as other,
    ):
        for process in (runtime, other):
            assert process.stdout is not None
            assert process.stdout.readline() == b"up\n"
        assert runtimes(os.getpid()) == [runtime.pid]
        assert runtimes(runtime.pid) == []


def line(code: str, flow: str = "each", event_id: str = "e1", at: str = "1", record: str = "r1") -> Line:
    content = {"message": "decision", "code": code, "flowId": flow, "eventId": event_id, "objectId": record}
    return Line(at, "calls", content)


@pytest.mark.parametrize(
    ("codes", "flow", "outcome"),
    [
        (["ENROLLED"], "each", "ENROLLED"),
        (["DUPLICATE_EVENT"], "each", "ENROLLED"),
        (["ENROLLED", "NOT_MATCHED"], "each", "ENROLLED"),
        (["WAITING", "ENROLLED"], "late", "ENROLLED"),
        (["WAITING", "FILTERED_OUT"], "late", "FILTERED_OUT"),
        (["FILTERED_OUT", "WAITING"], "late", "WAITING"),
        (["ALREADY_ENROLLED"], "each", "ALREADY_ENROLLED"),
        (["ALREADY_ENROLLED"], "once", "ENROLLED"),
    ],
)
def test_last_decision_is_the_outcome(codes: list[str], flow: str, outcome: str) -> None:
    assert outcomes_of({"e1": [line(code, flow) for code in codes]}) == {("e1", flow): outcome}


def test_log_with_a_partial_line_is_read() -> None:
    whole, other = {"level": "INFO", "code": "x"}, {"level": "INFO", "code": "y"}
    text = json.dumps(whole)[:20] + json.dumps(whole, separators=(",", ":")) + json.dumps(other, separators=(",", ":"))
    assert list(documents(f"noise\n{text}\nnoise {json.dumps(whole)[:9]}")) == [whole, other]


def left(**changes: Any) -> Left:
    same = Left(
        outcomes={("e1", "each"): "ENROLLED"},
        enrollments=Counter({("r1", "each"): 1}),
        items={"01": ("r1", "each")},
        messages=Counter({"01": 1}),
        unprocessed=Counter({("e2", "MISSING_FIELD"): 1}),
        lines={"e1": [line("ENROLLED", at=str(number)) for number in range(50)]},
        records={"e1": "r1"},
        disturbances=[Disturbance(1.0, 7, "killed")],
    )
    return replace(same, **changes)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"outcomes": {}}, "outcome"),
        ({"outcomes": {("e1", "each"): "FILTERED_OUT"}}, "outcome"),
        ({"outcomes": {("e1", "each"): "ENROLLED", ("e1", "once"): "ENROLLED"}}, "outcome"),
        ({"enrollments": Counter()}, "enrollments"),
        ({"enrollments": Counter({("r1", "each"): 2})}, "enrollments"),
        ({"messages": Counter()}, "message lost"),
        ({"messages": Counter({"01": 1, "02": 1})}, "message without an enrollment"),
        ({"messages": Counter({"01": 3})}, "doubles"),
        ({"unconfirmed": ["01"]}, "unconfirmed"),
        ({"unprocessed": Counter()}, "unprocessed MISSING_FIELD"),
        ({"unprocessed": Counter({("e2", "MISSING_FIELD"): 1, ("e1", "RetriesExhausted"): 1})}, "unprocessed Retries"),
        ({"is_settled": False}, "not at rest"),
    ],
)
def test_each_kind_of_difference_is_found(changes: Mapping[str, Any], expected: str) -> None:
    (found,) = differences(left(), left(**changes))
    assert found.description.startswith(expected)


def test_repetitions_that_the_contract_allows_are_not_differences() -> None:
    assert not list(differences(left(), left(messages=Counter({"01": 2}))))
    assert not list(differences(left(), left(unprocessed=Counter({("e2", "MISSING_FIELD"): 2}))))


def test_difference_names_its_event_record_flow_and_log_lines() -> None:
    (found,) = differences(left(), left(outcomes={("e1", "each"): "FILTERED_OUT"}))
    head, *lines = str(found).splitlines()
    assert head == "outcome: event e1, record r1, flow each: expected ENROLLED, found FILTERED_OUT"
    assert len(lines) == SHOWN_LINES
    assert '"code": "ENROLLED"' in lines[0]
    (found,) = differences(left(), left(enrollments=Counter()))
    assert (found.record, found.flow, len(found.lines)) == ("r1", "each", 50)
