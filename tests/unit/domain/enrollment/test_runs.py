"""The transitions of a run and of its shards."""

import itertools

import pytest
from msgspec.structs import replace

from enrollment.domain.enrollment.decisions import Code
from enrollment.domain.enrollment.runs import (
    DRY_RUN_VALID_MS,
    LEASE_MS,
    Page,
    Run,
    RunFinished,
    RunShard,
    RunStatus,
    next_page_at,
    page_size,
    total,
)

NOW = 1_764_000_000_000
RUN = Run("01B", "p1", "7", "0-1", 3, "digest", NOW, True, 12, "ada", NOW)


@pytest.mark.parametrize("to", [status for status in RunStatus if status is not RunStatus.RUNNING])
def test_running_run_takes_every_other_status(to: RunStatus) -> None:
    moved = RUN.moved(to, NOW + 1, "why")
    assert (moved.status, moved.because) == (to, "why")
    assert moved.ended_at == (None if to is RunStatus.PAUSED else NOW + 1)
    assert moved.is_finished is (to is not RunStatus.PAUSED)


def test_paused_run_continues_and_forgets_the_reason() -> None:
    resumed = RUN.moved(RunStatus.PAUSED, NOW, "the flow was turned off").moved(RunStatus.RUNNING, NOW)
    assert resumed == RUN


@pytest.mark.parametrize(
    ("status", "to"),
    [
        (status, to)
        for status, to in itertools.product((RunStatus.DONE, RunStatus.CANCELLED, RunStatus.FAILED), RunStatus)
        if status is not to
    ],
)
def test_finished_run_keeps_its_status(status: RunStatus, to: RunStatus) -> None:
    with pytest.raises(RunFinished, match=f"run 01B is {status}: expected a run that is RUNNING or PAUSED"):
        RUN.moved(status, NOW).moved(to, NOW)


@pytest.mark.parametrize("status", list(RunStatus))
def test_repeated_status_does_not_change_a_run(status: RunStatus) -> None:
    run = RUN.moved(status, NOW)
    assert run.moved(status, NOW + 1, "again") is run


def test_dry_run_confirms_the_same_flow_for_a_day() -> None:
    done = RUN.moved(RunStatus.DONE, NOW + 5)
    assert done.confirms("digest", NOW + DRY_RUN_VALID_MS)
    assert not done.confirms("digest", NOW + DRY_RUN_VALID_MS + 1)
    assert not done.confirms("other", NOW)
    assert not RUN.confirms("digest", NOW)
    assert not replace(done, is_dry_run=False).confirms("digest", NOW)


def test_shard_is_taken_for_the_time_of_a_lease() -> None:
    shard = RunShard("01B", 3)
    assert shard.is_free(NOW)
    taken = shard.taken(NOW)
    assert (taken.attempts, taken.is_free(NOW + LEASE_MS - 1), taken.is_free(NOW + LEASE_MS)) == (1, False, True)


def test_page_moves_the_position_and_adds_to_the_counts() -> None:
    shard = RunShard("01B", 3).taken(NOW)
    first = shard.evaluated(Page({Code.ENROLLED: 2, Code.NOT_MATCHED: 3}, "k", False), NOW + 5)
    assert (first.after, first.attempts, first.free_at, first.is_done) == ("k", 0, NOW + 5 + LEASE_MS, False)
    last = first.evaluated(Page({Code.ENROLLED: 1}, None, True), NOW + 6)
    assert (last.after, last.counts, last.is_done) == ("k", {Code.ENROLLED: 3, Code.NOT_MATCHED: 3}, True)
    assert not last.is_free(NOW + 2 * LEASE_MS)


def test_page_that_names_the_time_of_the_next_one_frees_the_shard_then() -> None:
    shard = RunShard("01B", 3).taken(NOW).evaluated(Page({}, "k", False, NOW + 70), NOW)
    assert [shard.is_free(NOW + 69), shard.is_free(NOW + 70)] == [False, True]


def test_counts_are_added_in_the_order_of_the_codes() -> None:
    sums = total([{Code.NOT_MATCHED: 1}, {Code.ENROLLED: 2, Code.NOT_MATCHED: 4}, {Code.GOAL_MET: 0}])
    assert list(sums.items()) == [(Code.ENROLLED, 2), (Code.NOT_MATCHED, 5)]


@pytest.mark.parametrize(
    ("pace", "size", "due_ms"), [(None, 100, None), (1, 1, 16_000), (50, 50, 16_000), (800, 100, 2_000)]
)
def test_pace_bounds_the_page_and_delays_the_next_one(pace: int | None, size: int, due_ms: int | None) -> None:
    assert page_size(pace) == size
    assert next_page_at(NOW, size, pace, 16) == (None if due_ms is None else NOW + due_ms)
