"""The arithmetic of the bill; not the prices."""

from dataclasses import replace

import pytest

from tests.benchmarks import money
from tests.benchmarks.counts import ENROLLS
from tests.benchmarks.money import cost, of_share, traced_part, usage, with_announcements
from tests.benchmarks.prices import PRICES
from tests.benchmarks.round_counts import COUNTED, READS_ONCE

WAITS_ONLY = replace(READS_ONCE, cpu_ms=0)


def test_an_event_pays_its_invocation_its_units_and_its_place_on_the_bus() -> None:
    used = usage(WAITS_ONLY, traced=0)
    assert used["Lambda, requests"] == used["DynamoDB, reads"] == used["EventBridge, events"] == 1
    assert used["Lambda, GB-seconds"] == pytest.approx(0.5 * 0.005)
    expected = (0.20 + 0.125 + 1.00) / 1e6 + 0.5 * 0.005 * 0.0000133334 + 1e-6 * (0.10 + 3 * 0.023)
    expected += money.LAMBDA_LINES / 1e9 * 0.50
    assert cost(used) == pytest.approx(expected)


def test_each_begun_64_kb_of_an_event_is_paid() -> None:
    assert usage(replace(READS_ONCE, bus_bytes=65_536))["EventBridge, events"] == 1
    assert usage(replace(READS_ONCE, bus_bytes=65_537))["EventBridge, events"] == 2


def test_a_buffer_takes_a_tenth_of_the_invocations_and_1_2_requests() -> None:
    used = usage(READS_ONCE, is_buffered=True)
    assert used["Lambda, requests"] == 0.1
    assert used["SQS, standard"] == pytest.approx(1.2)


def test_a_batch_waits_once_for_all_of_its_events() -> None:
    direct, buffered = usage(WAITS_ONLY), usage(WAITS_ONLY, is_buffered=True)
    assert buffered["Lambda, GB-seconds"] == pytest.approx(direct["Lambda, GB-seconds"] / 10)


def test_an_enrollment_is_announced_by_an_event_that_costs_what_one_costs() -> None:
    used = with_announcements(COUNTED, ENROLLS, has_history=True)
    assert used["EventBridge, events"] == used["Lambda, requests"] == used["DynamoDB, reads"] == 2
    assert used["DynamoDB, writes"] == 6
    assert used["SQS, FIFO"] == 3


def test_a_mixed_traffic_costs_between_its_kinds() -> None:
    none, some, all_ = (cost(of_share(COUNTED, share, has_history=True)) for share in (0, 0.25, 1))
    assert some == pytest.approx(0.75 * none + 0.25 * all_)


def test_x_ray_takes_one_a_second_and_a_twentieth_of_the_others() -> None:
    assert traced_part(0.5) == 1
    assert traced_part(1) == 1
    assert traced_part(21) == pytest.approx(2 / 21)


def test_what_is_counted_has_a_price() -> None:
    assert set(usage(READS_ONCE)) == set(PRICES)
