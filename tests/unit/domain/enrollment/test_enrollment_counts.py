"""Windows of time in a time zone, and numbers of enrollments that are estimated from a part of them."""

import itertools
import random
from zoneinfo import ZoneInfo

import pytest

from enrollment.domain.enrollment.enrollment_counts import DAY_MS, DAYS, ShardCount, Window, count_exactly, windows
from enrollment.domain.values import iso, read_instant

NOW = read_instant("2026-11-28T13:30:00Z") or 0


def test_windows_are_the_last_24_hours_and_the_last_seven_days() -> None:
    last_24_hours, *days = windows(NOW, ZoneInfo("UTC"))
    assert (last_24_hours.until - last_24_hours.since, last_24_hours.contains(NOW)) == (DAY_MS, True)
    assert [iso(day.since)[:10] for day in days] == [f"2026-11-{day}" for day in range(22, 29)]
    assert (len(days), days[-1].contains(NOW), days[-1].contains(NOW + 1)) == (DAYS, True, False)


@pytest.mark.parametrize(
    ("now", "zone", "first", "hours"),
    [
        # Two hours after midnight UTC, it is still the day before in New York.
        ("2026-11-28T02:00:00Z", "America/New_York", "2026-11-21T05:00:00.000Z", [24] * 6),
        # Clocks go back on 25 October, so that day has 25 hours.
        ("2026-10-28T12:00:00Z", "Europe/Dublin", "2026-10-21T23:00:00.000Z", [24, 24, 24, 25, 24, 24]),
    ],
)
def test_days_are_those_of_the_time_zone(now: str, zone: str, first: str, hours: list[int]) -> None:
    _, *days = windows(read_instant(now) or 0, ZoneInfo(zone))
    assert iso(days[0].since) == first
    assert [(day.until - day.since) // 3_600_000 for day in days[:-1]] == hours
    assert all(day.until == following.since for day, following in itertools.pairwise(days))


def test_a_window_has_its_beginning_and_not_its_end() -> None:
    assert count_exactly([9, 10, 19, 20], Window(10, 20)) == 2


def test_a_shard_that_was_read_completely_is_not_estimated() -> None:
    assert ShardCount(7).estimate(Window(0, DAY_MS)) == 7


def test_a_shard_is_estimated_by_the_part_of_the_window_that_was_read() -> None:
    assert ShardCount(500, oldest=DAY_MS - DAY_MS // 4).estimate(Window(0, DAY_MS)) == 2_000
    # All of one instant, the last of the window.
    assert ShardCount(500, oldest=99).estimate(Window(0, 100)) == 50_000


def test_an_estimate_from_one_of_16_shards_is_near_the_number() -> None:
    """As docstring and docs/costs.md say: 13% is one standard deviation with 60 entries in a shard."""
    chance = random.Random(7)
    window = Window(0, DAY_MS)
    errors = []
    for _ in range(300):
        entries = [chance.randrange(16) for _ in range(16 * 60)].count(0)
        errors.append(ShardCount(entries).estimate(window) * 16 / (16 * 60) - 1)
    deviation = (sum(error**2 for error in errors) / len(errors)) ** 0.5
    assert 0.10 < deviation < 0.15
