"""A record as criteria see it: as it was at a moment, with its associated records."""

from collections.abc import Callable, Hashable, Mapping
from datetime import UTC, tzinfo

from msgspec import Struct, field

from enrollment.domain.events.moments import Moment, as_of
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.associations import AssociationType
from enrollment.domain.records.record import Record, TimestampedValue
from enrollment.domain.values import Instant, Value, as_text

# The object type and the association type of the associated records.
AssociationRequirement = tuple[str, AssociationType]

# Associated records that are evaluated for each requirement. Bounds the reads of one event.
MAX_ASSOCIATED = 1_000


class AssociatedRecords(Struct, frozen=True):
    """The associated records of one requirement. ``is_complete``: False if there are more than MAX_ASSOCIATED.
    ``deleted``: those that were deleted after the moment, with the time. They are evaluated as if they had not existed,
    because only the time of the deletion is stored of a deleted record."""

    snapshots: tuple["RecordSnapshot", ...] = ()
    is_complete: bool = True
    deleted: tuple[tuple[RecordKey, Instant], ...] = ()


class RecordSnapshot(Struct, frozen=True, eq=False):
    """A record at a moment, for the evaluation of criteria.

    ``at``: the current time for operations relative to now. ``moment``: which changes are seen; None: all until ``at``.
    ``zone``: the portal's time zone. ``associates``: the records that were loaded for each requirement.
    Results of filters are memoized, so that equal filters of several flows are evaluated once.
    """

    record: Record
    at: Instant
    zone: tzinfo = UTC
    associates: Mapping[AssociationRequirement, AssociatedRecords] = field(default_factory=dict)
    moment: Moment | None = None
    _results: dict[Hashable, bool] = field(default_factory=dict)

    @property
    def seen(self) -> Moment:
        """The moment at which the record is seen."""
        return as_of(self.at) if self.moment is None else self.moment

    def changes(self, name: str) -> tuple[TimestampedValue, ...]:
        """Return the values of a property until the moment, oldest first. Empty if it had none."""
        return self.record.property_changes(name, self.seen)

    def value(self, name: str) -> Value:
        """Return the value of a property at the moment. None if it had none."""
        changes = self.changes(name)
        return changes[-1].value if changes else None

    def updated_at(self, name: str) -> Instant | None:
        """Return since when the property has its value. None: it has none. Writing the same value is not an update."""
        changes = self.changes(name)
        updated_at = None
        for change in reversed(changes):
            if updated_at is not None and as_text(change.value) != as_text(changes[-1].value):
                break
            updated_at = change.changed_at
        return updated_at

    def is_member(self, list_id: str) -> bool:
        """Whether the record is a member of a list at the moment."""
        return self.record.is_member(list_id, self.seen)

    def memoized(self, key: Hashable, evaluate: Callable[[], bool]) -> bool:
        """Return the result for this key. ``evaluate`` is called at most once for each snapshot and key."""
        result = self._results.get(key)
        if result is None:
            result = self._results[key] = evaluate()
        return result
