"""Which changes of a record an event sees.

Some times are known to the second only: EventBridge's ``time`` has whole seconds, and many sources send times without
a fraction. A time in whole seconds stands for any instant of that second. If two times do not determine which change
was first, the order of arrival does (docs/events.md, "Time and order").
"""

from msgspec import Struct
from msgspec.structs import replace

from enrollment.domain.values import LATEST, Instant

SECOND = 1000
"""Milliseconds."""


def last_instant(at: Instant, *, is_to_second: bool) -> Instant:
    """Return the last millisecond that a time can stand for."""
    return at - at % SECOND + SECOND - 1 if is_to_second else at


class Moment(Struct, frozen=True):
    """A point in the history of a record.

    A change with an exact time is seen until ``exact_until``; one that is known to the second, until ``second_until``.
    A change after that and until ``latest`` may be before or after the moment. It is seen if it arrived until
    ``known_until``, or if the event ``event_id`` made it. All times are in milliseconds.
    ``is_before``: the moment just before the change that the event made (``just_before``).
    """

    exact_until: Instant
    second_until: Instant
    latest: Instant
    known_until: Instant = LATEST
    event_id: str | None = None
    is_before: bool = False

    def sees(self, changed_at: Instant, arrived_at: Instant, event_id: str, *, is_to_second: bool) -> bool:
        """Whether a change is seen. ``event_id``: the ID of the event that made it; empty: not known."""
        if self.is_before and event_id and event_id == self.event_id:
            return False
        if changed_at <= (self.second_until if is_to_second else self.exact_until):
            return True
        if changed_at > self.latest:
            return False
        if self.is_before:
            return self._arrived_before(arrived_at, event_id, is_to_second=is_to_second)
        return arrived_at <= self.known_until or (self.event_id is not None and event_id == self.event_id)

    def until(self, instant: Instant) -> "Moment":
        """Return the moment extended to a later instant: all changes until then are seen too, whenever they arrived."""
        return Moment(
            max(self.exact_until, instant),
            max(self.second_until, instant),
            max(self.latest, instant),
            self.known_until,
            self.event_id,
        )

    def _arrived_before(self, arrived_at: Instant, event_id: str, *, is_to_second: bool) -> bool:
        """Whether a change of an undecided order arrived before the change that the event made. Events that arrived in
        the same millisecond are ordered by their IDs, so that one of them is the first."""
        if self._is_exact and not is_to_second:
            return False  # a change of the same millisecond, which counts as the same change
        return arrived_at < self.known_until or (arrived_at == self.known_until and event_id < (self.event_id or ""))

    @property
    def _is_exact(self) -> bool:
        """Whether the event's own time is known to the millisecond."""
        return self.latest == self.exact_until + 1

    def just_before(self) -> "Moment":
        """Return the moment just before the change that the event made, without this change.

        Changes with the same exact time are one change. Of changes whose times do not determine the order, it sees
        those that arrived before the event.
        """
        is_exact = self.exact_until == self.latest
        return replace(self, exact_until=self.exact_until - 1 if is_exact else self.exact_until, is_before=True)


def as_of(instant: Instant) -> Moment:
    """Return the moment that sees all changes until an instant, whenever they arrived."""
    return Moment(instant, instant, instant)


def moment_of(at: Instant, *, is_to_second: bool, known_until: Instant, event_id: str) -> Moment:
    """Return the moment at which an event sees a record.

    The event sees all changes before it. Of changes that may be before or after it, it sees those that arrived until
    ``known_until``, the time of its first evaluation, and its own.
    """
    before = at - at % SECOND - 1
    latest = last_instant(at, is_to_second=is_to_second)
    return Moment(before if is_to_second else at, before, latest, known_until, event_id)
