"""A record as criteria see it: as it was at a moment, with the records that it was associated with."""

from collections.abc import Callable, Hashable, Mapping
from datetime import UTC, tzinfo

from msgspec import Struct, field

from enrollment.domain.events.moments import Moment, as_of
from enrollment.domain.records.associations import AssociationType
from enrollment.domain.records.record import Record, TimestampedValue
from enrollment.domain.values import Instant, Value, as_text

# Of which object type, and as what.
AssociationRequirement = tuple[str, AssociationType]

# Associated records that are looked at.
MAX_ASSOCIATED = 1_000


class AssociatedRecords(Struct, frozen=True):
    """``is_complete``: there are no more than these."""

    snapshots: tuple["RecordSnapshot", ...] = ()
    is_complete: bool = True


class RecordSnapshot(Struct, frozen=True, eq=False):
    """``at``: the current time of operations that compare with it. ``moment``: which changes are seen; None: all until
    ``at``. ``zone`` is the portal's.
    Results of filters are memoized, so that equal filters of several flows are evaluated once."""

    record: Record
    at: Instant
    zone: tzinfo = UTC
    associates: Mapping[AssociationRequirement, AssociatedRecords] = field(default_factory=dict)
    moment: Moment | None = None
    _results: dict[Hashable, bool] = field(default_factory=dict)

    @property
    def seen(self) -> Moment:
        return as_of(self.at) if self.moment is None else self.moment

    def changes(self, name: str) -> tuple[TimestampedValue, ...]:
        """What the property has been until then, oldest first."""
        return self.record.property_changes(name, self.seen)

    def value(self, name: str) -> Value:
        changes = self.changes(name)
        return changes[-1].value if changes else None

    def updated_at(self, name: str) -> Instant | None:
        """Return since when the property has had its value. Writing the same value again is not an update."""
        changes = self.changes(name)
        updated_at = None
        for change in reversed(changes):
            if updated_at is not None and as_text(change.value) != as_text(changes[-1].value):
                break
            updated_at = change.changed_at
        return updated_at

    def is_member(self, list_id: str) -> bool:
        return self.record.is_member(list_id, self.seen)

    def memoized(self, key: Hashable, evaluate: Callable[[], bool]) -> bool:
        """Return the result for this key; it is evaluated once for each snapshot."""
        result = self._results.get(key)
        if result is None:
            result = self._results[key] = evaluate()
        return result
