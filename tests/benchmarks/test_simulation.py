"""The rules of the simulation, without the quotas."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from enrollment.adapters import aws_clients as clients
from tests.benchmarks.limits import LIMITS, Limit
from tests.benchmarks.round_counts import COUNTED, LOOKING
from tests.benchmarks.simulation import ATTEMPTS, TRAFFIC_SECONDS, Bucket, Pipe, Simulation


def limited(**a_second: float) -> Mapping[str, Limit]:
    return {name: replace(limit, a_second=a_second.get(name, limit.a_second)) for name, limit in LIMITS.items()}


def test_bucket_throttles_calls_above_its_rate() -> None:
    bucket = Bucket(10)
    assert [bucket.take(0, 1) for _ in range(11)] == [True] * 10 + [False]
    assert bucket.take(0.1, 1)
    assert not bucket.take(0.1, 1)


def test_pipe_delays_events_above_its_rate() -> None:
    pipe = Pipe(10)
    assert [pipe.wait(0, 1) for _ in range(3)] == pytest.approx([0, 0.1, 0.2])
    assert pipe.wait(5, 1) == 0


@pytest.mark.parametrize("is_buffered", [False, True])
def test_no_event_waits_below_the_limits(is_buffered: bool) -> None:
    outcome = Simulation(LOOKING, 100, COUNTED, is_buffered=is_buffered).run()
    assert not outcome.refused
    assert max(outcome.latencies["looking"]) < 0.5


@pytest.mark.parametrize("is_buffered", [False, True])
def test_every_event_is_decided_unprocessed_or_waiting(is_buffered: bool) -> None:
    outcome = Simulation(LOOKING, 100, COUNTED, is_buffered=is_buffered, limits=limited(version=20)).run()
    decided = len(outcome.latencies["looking"])
    waiting = outcome.backlog[-1][1]
    assert outcome.refused["version"]
    assert decided + outcome.given_up["looking"] + waiting == pytest.approx(100 * TRAFFIC_SECONDS, rel=0.05)


def test_reads_of_the_version_limit_single_events_but_not_batches() -> None:
    limits = limited(version=10, executions=20)
    direct = Simulation(LOOKING, 100, COUNTED, limits=limits).run()
    batches = Simulation(LOOKING, 100, COUNTED, is_buffered=True, limits=limits).run()
    assert len(direct.latencies["looking"]) <= 10 * (direct.ended + 1)
    assert batches.ended < direct.ended / 2


def test_high_rate_is_simulated_with_rate_and_limits_scaled_down() -> None:
    direct = Simulation(LOOKING, 2_000, COUNTED, limits=limited(version=3_000)).run()
    assert len(direct.latencies["looking"]) == pytest.approx(1_000 * TRAFFIC_SECONDS, rel=0.05)
    assert not direct.refused


def test_simulation_is_deterministic() -> None:
    assert Simulation(LOOKING, 50, COUNTED).run() == Simulation(LOOKING, 50, COUNTED).run()


def test_attempts_match_the_client_of_the_functions() -> None:
    client = clients.dynamodb(clients.open_session(), region_name="eu-west-1")
    assert client.meta.config.retries["total_max_attempts"] == ATTEMPTS
