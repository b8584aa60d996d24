"""Rate limits of flows. An enrollment that exceeds the limit is delayed, never dropped.

The algorithm is a leaky bucket with one number for each flow, the horizon: the time until which the enrollments so far
would take at an even pace. The first ``count`` enrollments of a burst enter at once, the others at the pace of the
limit. So at most twice ``count`` records enter in any period, and ``count`` on average. A changed limit starts with a
new horizon; enrollments that the previous limit delayed keep their time.
"""

from msgspec import Struct

from enrollment.domain.values import Instant

PERIODS = {"SECOND": 1_000, "MINUTE": 60_000, "HOUR": 3_600_000, "DAY": 86_400_000}
"""Milliseconds of each."""


class RateLimit(Struct, frozen=True):
    """``count`` enrollments in each ``period`` (milliseconds)."""

    count: int
    period: int

    @property
    def pace(self) -> int:
        """Microseconds from one enrollment to the next."""
        return max(1, self.period * 1_000 // self.count)

    def enters_at(self, horizon: int) -> Instant:
        """Return when an enrollment enters, in milliseconds. ``horizon``: after this enrollment, in microseconds."""
        return horizon // 1_000 - self.period
