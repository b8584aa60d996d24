"""The arithmetic of the bill, without the prices."""

from dataclasses import replace

import pytest

from tests.benchmarks import money
from tests.benchmarks.counts import ENROLLS
from tests.benchmarks.money import cost, of_share, traced_part, usage, with_announcements
from tests.benchmarks.prices import PRICES
from tests.benchmarks.round_counts import COUNTED, READS_ONCE

WAITS_ONLY = replace(READS_ONCE, cpu_ms=0)


def test_event_pays_for_its_invocation_its_units_and_the_bus() -> None:
    used = usage(WAITS_ONLY, traced=0)
    assert used["Lambda, requests"] == used["DynamoDB, reads"] == used["EventBridge, events"] == 1
    assert used["Lambda, GB-seconds"] == pytest.approx(0.5 * 0.005)
    expected = (0.20 + 0.125 + 1.00) / 1e6 + 0.5 * 0.005 * 0.0000133334 + 1e-6 * (0.10 + 3 * 0.023)
    expected += money.LAMBDA_LINES / 1e9 * 0.50
    assert cost(used) == pytest.approx(expected)


def test_each_64_kb_of_an_event_is_paid_rounded_up() -> None:
    assert usage(replace(READS_ONCE, bus_bytes=65_536))["EventBridge, events"] == 1
    assert usage(replace(READS_ONCE, bus_bytes=65_537))["EventBridge, events"] == 2


def test_buffer_needs_a_tenth_of_the_invocations_and_1_2_requests() -> None:
    used = usage(READS_ONCE, is_buffered=True)
    assert used["Lambda, requests"] == 0.1
    assert used["SQS, standard"] == pytest.approx(1.2)


def test_batch_waits_once_for_all_its_events() -> None:
    direct, buffered = usage(WAITS_ONLY), usage(WAITS_ONLY, is_buffered=True)
    assert buffered["Lambda, GB-seconds"] == pytest.approx(direct["Lambda, GB-seconds"] / 10)


def test_announcement_of_an_enrollment_costs_as_much_as_an_event() -> None:
    used = with_announcements(COUNTED, ENROLLS, has_history=True)
    assert used["EventBridge, events"] == used["Lambda, requests"] == used["DynamoDB, reads"] == 2
    assert used["DynamoDB, writes"] == 6
    assert used["SQS, FIFO"] == 3


def test_cost_of_mixed_traffic_is_between_the_costs_of_its_kinds() -> None:
    none, some, all_ = (cost(of_share(COUNTED, share, has_history=True)) for share in (0, 0.25, 1))
    assert some == pytest.approx(0.75 * none + 0.25 * all_)


def test_x_ray_traces_one_request_a_second_and_5_percent_of_the_others() -> None:
    assert traced_part(0.5) == 1
    assert traced_part(1) == 1
    assert traced_part(21) == pytest.approx(2 / 21)


def test_everything_that_is_counted_has_a_price() -> None:
    assert set(usage(READS_ONCE)) == set(PRICES)
