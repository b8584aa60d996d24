"""The simulation's arithmetic and its rules; not the quotas."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from enrollment.adapters import clients
from tests.benchmarks.at_size import (
    ATTEMPTS,
    LIMITS,
    TRAFFIC_SECONDS,
    Bucket,
    Limit,
    Pipe,
    Scenario,
    Simulation,
    Stream,
    reached,
    taken,
)
from tests.benchmarks.counts import ANNOUNCEMENT, ENROLLS, NOT_MATCHED, Kind

LOOKS = Kind(
    NOT_MATCHED,
    True,
    calls={"GetItem": 1},
    reads={"flows": 1},
    writes={},
    sends=0,
    announces=0,
    bus_bytes=500,
    log_bytes=0,
    kept_bytes=0,
    history_bytes=0,
    cpu_ms=1,
)
COUNTED: Mapping[tuple[str, bool], Kind] = {
    (NOT_MATCHED, True): LOOKS,
    (ANNOUNCEMENT, True): replace(LOOKS, name=ANNOUNCEMENT),
    (ENROLLS, True): replace(LOOKS, name=ENROLLS, writes={"enrollments": 5, "by-flow": 1}, sends=1, announces=1),
}
LOOKING = Scenario("a portal's events of one type", [Stream("looking", 1.0, NOT_MATCHED, "website", of_type=1.0)])


def limited(**a_second: float) -> Mapping[str, Limit]:
    return {name: replace(one, a_second=a_second.get(name, one.a_second)) for name, one in LIMITS.items()}


def test_a_limit_is_met_when_what_events_take_is_what_there_is() -> None:
    assert taken(LOOKING, COUNTED)["version"] == 1
    assert reached(LOOKING, COUNTED)[0] == ("version", 3_000)


def test_only_what_shares_a_place_takes_of_its_limit() -> None:
    tenth = Scenario("", [replace(LOOKING.streams[0], of_type=0.1)])
    assert taken(tenth, COUNTED)["version"] == pytest.approx(0.1)
    assert taken(tenth, COUNTED)["flows, reads"] == 1


def test_an_enrollment_takes_its_own_and_its_announcement() -> None:
    one = taken(Scenario("", [Stream("", 1.0, ENROLLS, "forms", of_flow=0.5)]), COUNTED)
    assert one["rules"] == 2
    assert one["PutEvents"] == pytest.approx(1.1)
    assert one["flows, reads"] == 2
    assert one["enrollments, writes"] == 5
    assert one["by-flow"] == 0.5


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
