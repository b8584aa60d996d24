"""Which changes of a record an observer sees.

Some times are known to the second only: EventBridge's ``time`` has whole seconds, and many sources write times without
a fraction. A time in whole seconds stands for the whole second. Where two times do not tell which came first, the order
of arrival does (docs/events.md, "Time and order").
"""

from msgspec import Struct

from enrollment.domain.values import LATEST, Instant

SECOND = 1000
"""Milliseconds."""


def last_instant(at: Instant, *, is_to_second: bool) -> Instant:
    """The last millisecond that a time can mean."""
    return at - at % SECOND + SECOND - 1 if is_to_second else at


class Moment(Struct, frozen=True):
    """A point in the history of a record.

    A change is seen if its time is exact and not after ``exact_until``, or known to the second and not after
    ``second_until``. Up to ``latest`` its order is unknown: then it is seen if it arrived until ``known_until``, or if
    the event ``event_id`` brought it. All times are in milliseconds.
    """

    exact_until: Instant
    second_until: Instant
    latest: Instant
    known_until: Instant = LATEST
    event_id: str | None = None

    def sees(self, changed_at: Instant, arrived_at: Instant, event_id: str, *, is_to_second: bool) -> bool:
        if changed_at <= (self.second_until if is_to_second else self.exact_until):
            return True
        if changed_at > self.latest:
            return False
        return arrived_at <= self.known_until or (self.event_id is not None and event_id == self.event_id)

    def until(self, instant: Instant) -> "Moment":
        """The same observer at a later instant: all that changed by then is seen too, whenever it arrived."""
        return Moment(
            max(self.exact_until, instant),
            max(self.second_until, instant),
            max(self.latest, instant),
            self.known_until,
            self.event_id,
        )


def as_of(instant: Instant) -> Moment:
    """All that changed until an instant, whenever it arrived."""
    return Moment(instant, instant, instant)


def moment_of(at: Instant, *, is_to_second: bool, known_until: Instant, event_id: str) -> Moment:
    """What an event sees: all that changed before it, and of what may have changed before or after it, that which
    arrived before its first evaluation."""
    before = at - at % SECOND - 1
    latest = last_instant(at, is_to_second=is_to_second)
    return Moment(before if is_to_second else at, before, latest, known_until, event_id)
