"""The moments just before and after a change of a record, and those of the changes that are stored for a later time.

A change that arrives late can alter what a later change meant. So criteria are evaluated at its own place in the
history, and at each later change.
"""

from collections.abc import Collection, Sequence

from msgspec import Struct

from enrollment.domain.events.event import Event
from enrollment.domain.events.moments import Moment
from enrollment.domain.records.record import Record, TimestampedValue
from enrollment.domain.values import LATEST, Instant

# Later changes at which criteria are evaluated; the latest ones. Bounds the work of one event.
MAX_LATER_CHANGES = 200


class ChangeMoment(Struct, frozen=True):
    """The moments around a change.

    ``at``: when it happened. ``latest``: the last millisecond at which it can have happened. ``before``: the moment
    just before the change; None: the record did not exist. ``after``: the moment that sees the change.
    """

    at: Instant
    latest: Instant
    before: Moment | None
    after: Moment


def change_moments(
    record: Record,
    event: Event,
    properties: Collection[str],
    lists: Collection[str],
    *,
    any_change: bool = False,
    known_until: Instant = LATEST,
    associated: Sequence[TimestampedValue] = (),
    max_later: int = MAX_LATER_CHANGES,
) -> Sequence[ChangeMoment]:
    """Return the moments of the event's own change, then those of the later changes of the record, in order of time.

    ``properties`` and ``lists``: later changes of others are left out. ``any_change``: none are left out.
    ``known_until``: later changes that arrived after this time are left out. ``associated``: changes of associations
    and of associated records. ``max_later``: the number of later changes, from 1. The record has the event's change,
    and exists.
    """
    moment = record.moment(event)
    own = ChangeMoment(
        at=record.created_at if record.created_at > event.latest else event.occurred_at,
        latest=max(event.latest, record.created_at),
        before=moment.just_before() if record.existed_before(event) else None,
        after=moment,
    )
    changes = (*record.changes_mentioned(properties, lists, any_change=any_change), *associated)
    later = sorted({each.changed_at for each in changes if each.arrival <= known_until and not each.is_seen_at(moment)})
    return [
        own,
        *(ChangeMoment(at, at, moment.until(at - 1), moment.until(at)) for at in later[-max_later:]),
    ]
