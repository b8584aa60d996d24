"""The simulation's rules; not the quotas."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from enrollment.adapters import aws_clients as clients
from tests.benchmarks.limits import LIMITS, Limit
from tests.benchmarks.round_counts import COUNTED, LOOKING
from tests.benchmarks.simulation import ATTEMPTS, TRAFFIC_SECONDS, Bucket, Pipe, Simulation


def limited(**a_second: float) -> Mapping[str, Limit]:
    return {name: replace(limit, a_second=a_second.get(name, limit.a_second)) for name, limit in LIMITS.items()}


def test_a_bucket_refuses_what_exceeds_its_rate() -> None:
    bucket = Bucket(10)
    assert [bucket.take(0, 1) for _ in range(11)] == [True] * 10 + [False]
    assert bucket.take(0.1, 1)
    assert not bucket.take(0.1, 1)


def test_a_pipe_delays_what_exceeds_its_rate() -> None:
    pipe = Pipe(10)
    assert [pipe.wait(0, 1) for _ in range(3)] == pytest.approx([0, 0.1, 0.2])
    assert pipe.wait(5, 1) == 0


@pytest.mark.parametrize("is_buffered", [False, True])
def test_below_the_limits_nothing_waits(is_buffered: bool) -> None:
    outcome = Simulation(LOOKING, 100, COUNTED, is_buffered=is_buffered).run()
    assert not outcome.refused
    assert max(outcome.latencies["looking"]) < 0.5


@pytest.mark.parametrize("is_buffered", [False, True])
def test_every_event_is_decided_kept_or_waiting(is_buffered: bool) -> None:
    outcome = Simulation(LOOKING, 100, COUNTED, is_buffered=is_buffered, limits=limited(version=20)).run()
    decided = len(outcome.latencies["looking"])
    waiting = outcome.backlog[-1][1]
    assert outcome.refused["version"]
    assert decided + outcome.given_up["looking"] + waiting == pytest.approx(100 * TRAFFIC_SECONDS, rel=0.05)


def test_events_are_as_fast_as_their_version_can_be_read_and_batches_are_faster() -> None:
    limits = limited(version=10, executions=20)
    direct = Simulation(LOOKING, 100, COUNTED, limits=limits).run()
    batches = Simulation(LOOKING, 100, COUNTED, is_buffered=True, limits=limits).run()
    assert len(direct.latencies["looking"]) <= 10 * (direct.ended + 1)
    assert batches.ended < direct.ended / 2


def test_a_rate_is_played_at_a_part_of_it_with_limits_as_much_smaller() -> None:
    direct = Simulation(LOOKING, 2_000, COUNTED, limits=limited(version=3_000)).run()
    assert len(direct.latencies["looking"]) == pytest.approx(1_000 * TRAFFIC_SECONDS, rel=0.05)
    assert not direct.refused


def test_a_run_is_like_the_next() -> None:
    assert Simulation(LOOKING, 50, COUNTED).run() == Simulation(LOOKING, 50, COUNTED).run()


def test_a_call_is_made_as_often_as_the_functions_client_makes_it() -> None:
    client = clients.dynamodb(clients.open_session(), region_name="eu-west-1")
    assert client.meta.config.retries["total_max_attempts"] == ATTEMPTS
