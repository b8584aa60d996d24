"""How fast records may enter a flow. What exceeds the limit is delayed, never dropped.

The limit is kept by one number for each flow, its horizon: the time at which all that has entered would have entered
at an even pace. Of a burst the first ``count`` enter at once, the others as the pace allows, so that in no period of
the limit more than twice ``count`` enter, and ``count`` in the long run. A changed limit begins with a horizon of its
own; what the one before delayed keeps its time.
"""

from msgspec import Struct

from enrollment.domain.values import Instant

PERIODS = {"SECOND": 1_000, "MINUTE": 60_000, "HOUR": 3_600_000, "DAY": 86_400_000}
"""Milliseconds of each."""


class RateLimit(Struct, frozen=True):
    """``count`` enrollments in a ``period`` of milliseconds."""

    count: int
    period: int

    @property
    def pace(self) -> int:
        """Microseconds from one enrollment to the next."""
        return max(1, self.period * 1_000 // self.count)

    def enters_at(self, horizon: int) -> Instant:
        """When an enrollment enters that moved the horizon (microseconds) to where it is."""
        return horizon // 1_000 - self.period
