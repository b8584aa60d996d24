"""Count the enrollments of a flow in windows of time, from a bounded number of index entries.

The index by flow has shards, and each record is in one of them by a hash. A shard with few entries is counted exactly.
Of the shards with many entries, one is counted, and stands for the others. With at least 60 entries in a shard, the
standard deviation of such an estimate is 13% at most, because a hash distributes records like independent draws.
"""

from collections.abc import Sequence
from datetime import timedelta, tzinfo

from msgspec import Struct

from enrollment.domain.enrollment.enrollments import StoredEnrollment
from enrollment.domain.operators.calendar import local, midnight
from enrollment.domain.values import Instant

DAYS = 7
DAY_MS = 24 * 3600 * 1000


class RecentEnrollments(Struct, frozen=True):
    """The newest enrollments of a flow. ``instants``: for each shard the times of its newest entries, newest first.
    ``latest``: the newest enrollment of all shards; None: the flow has none."""

    instants: Sequence[Sequence[Instant]]
    latest: StoredEnrollment | None


class Window(Struct, frozen=True):
    """A range of time: ``since`` is part of it, ``until`` is not."""

    since: Instant
    until: Instant

    def contains(self, instant: Instant) -> bool:
        """Whether the instant is in the window."""
        return self.since <= instant < self.until


class ShardCount(Struct, frozen=True):
    """The entries of a shard in a window, as far as they were read. ``oldest``: the time of the oldest entry that was
    read, if there may be older ones in the window; None: all were read."""

    entries: int
    oldest: Instant | None = None

    def estimate(self, window: Window) -> float:
        """Return the number of entries of the window, as if they were evenly distributed."""
        if self.oldest is None:
            return self.entries
        # At least a millisecond, for entries of one instant.
        covered = max(window.until - self.oldest, 1)
        return self.entries * (window.until - window.since) / covered


class EnrollmentCounts(Struct, frozen=True):
    """``days``: the enrollments of each of the last seven days, the current day last. ``since``: when the first of them
    began. ``is_exact``: False if some numbers are estimated."""

    last_24_hours: int
    days: tuple[int, ...]
    since: Instant
    is_exact: bool


def windows(now: Instant, zone: tzinfo) -> tuple[Window, ...]:
    """Return the last 24 hours, and then the last DAYS days of a time zone, the current day last."""
    end = now + 1
    today = local(now, zone).date()
    starts = [midnight(today - timedelta(days=days), zone) for days in reversed(range(DAYS))]
    days = [Window(start, until) for start, until in zip(starts, [*starts[1:], end], strict=True)]
    return (Window(end - DAY_MS, end), *days)


def count_exactly(instants: Sequence[Instant], window: Window) -> int:
    """Return how many of the times are in the window."""
    return sum(map(window.contains, instants))
