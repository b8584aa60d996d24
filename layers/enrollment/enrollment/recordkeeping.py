"""Changing records: each change goes onto the bus as the events that any producer would have sent of it, and into the
store.

The bus comes first. When this stops half-way, the handlers of those events make the same change, for an event tells of
its record too; a change that were stored first could be lost to every flow.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from enrollment.domain.associations import Association, AssociationType, associated, inverse
from enrollment.domain.events import InvalidEvent
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.productions import Production, productions
from enrollment.domain.records import Change, Record, changed, deleted
from enrollment.domain.values import Instant
from enrollment.ports import Associations, Conflict, NewId, Producer, Records

# Attempts of a change that others are making at the same time; each lost one means that another made progress. Many,
# for the bus has the change already when the store is busy.
ATTEMPTS = 50


class UnknownRecord(LookupError):
    pass


class NotTaken(Exception):
    """The bus did not take the events of a change: nothing is changed, and it can be asked for again."""


class DeletedLater(Exception):
    """The change occurred before the record was deleted, and so changes nothing."""


Refusal = InvalidEvent | NotTaken | DeletedLater | UnknownRecord | Conflict


@dataclass(frozen=True, slots=True)
class Kept:
    """A record after a change. ``was``: before it; None: it did not exist."""

    record: Record
    was: Record | None

    @property
    def is_new(self) -> bool:
        return self.was is None or self.was.is_deleted


@dataclass(frozen=True, slots=True)
class Recordkeeping:
    """``check`` raises InvalidEvent for an event that the bus' functions would refuse."""

    records: Records
    associations: Associations
    producer: Producer
    check: Callable[[str, Production], None]
    new_id: NewId

    def get(self, key: RecordKey) -> Record:
        """Raises UnknownRecord."""
        return _existing(self.records.get(key), key)

    def get_many(self, keys: Sequence[RecordKey]) -> Mapping[RecordKey, Record]:
        """Those that exist."""
        return {key: one for key, one in self.records.get_many(keys).items() if not one.is_deleted}

    def change(self, key: RecordKey, change: Change, now: Instant) -> Kept:
        """Raises UnknownRecord when it does not exist and the change does not create it, InvalidEvent, NotTaken,
        DeletedLater, or Conflict when others go on changing it."""
        outcome = self.change_many([(key, change)], now)[0]
        if isinstance(outcome, Kept):
            return outcome
        raise outcome

    def change_many(self, changes: Sequence[tuple[RecordKey, Change]], now: Instant) -> Sequence[Kept | Refusal]:
        """The outcome of each, in order; no two of one record."""
        stored = self.records.get_many([key for key, _ in changes])
        outcomes: dict[RecordKey, Kept | Refusal] = {}
        events: dict[RecordKey, dict[str, Production]] = {}
        for key, change in changes:
            try:
                after = _after(stored.get(key), key, change)
                events[key] = {self.new_id(now): one for one in productions(stored.get(key), after, change)}
                for event_id, one in events[key].items():
                    self.check(event_id, one)
            except (InvalidEvent, DeletedLater, UnknownRecord) as refusal:
                outcomes[key] = refusal

        waiting = {
            event_id: one for key, mine in events.items() if key not in outcomes for event_id, one in mine.items()
        }
        taken = self.producer.produce(waiting) if waiting else frozenset()
        for key, change in changes:
            if key in outcomes:
                continue
            if not taken.issuperset(events[key]):
                outcomes[key] = NotTaken(f"record {key}: the event bus did not take its change; ask for it again")
                continue
            try:
                outcomes[key] = Kept(self._store(stored.get(key), key, change), stored.get(key))
            except (InvalidEvent, DeletedLater, UnknownRecord, Conflict) as refusal:
                outcomes[key] = refusal
        return [outcomes[key] for key, _ in changes]

    def delete(self, key: RecordKey, now: Instant) -> None:
        """Forgets all that is known of it. Does nothing when there is none."""
        for _ in range(ATTEMPTS):
            stored = self.records.get(key)
            if stored is None or stored.is_deleted:
                return
            try:
                # Whatever was known of it until now is deleted, by whose clock ever it is dated.
                self.records.save(deleted(stored, max(now, stored.created_at)))
                return
            except Conflict:
                continue
        raise Conflict(f"record {key} was changed by others {ATTEMPTS} times while it was deleted")

    def associate(
        self, record: RecordKey, other: RecordKey, kinds: Sequence[AssociationType], at: Instant
    ) -> Association:
        """Sets the types, and seen from the other record those whose id there is known. Raises UnknownRecord,
        Conflict."""
        found = self.records.get_many([record, other])
        for key in (record, other):
            _existing(found.get(key), key)
        return self._associate(record, other, kinds, at, holds=True)

    def dissociate(self, record: RecordKey, other: RecordKey, at: Instant) -> None:
        """Removes every type, both ways. Raises Conflict."""
        there, back = self.associations.get(record, other), self.associations.get(other, record)
        kinds = {*there.held, *_inverses(other, record, back.held)}
        if kinds or back.held:
            self._associate(record, other, sorted(kinds), at, holds=False, also=back.held)

    def associated(self, record: RecordKey, object_type_id: str, limit: int, after: str = "") -> Sequence[Association]:
        """Raises UnknownRecord. With records that were deleted since, too."""
        self.get(record)
        return self.associations.of(record, object_type_id, limit, after)

    def _associate(
        self,
        record: RecordKey,
        other: RecordKey,
        kinds: Sequence[AssociationType],
        at: Instant,
        *,
        holds: bool,
        also: Sequence[AssociationType] = (),
    ) -> Association:
        back_kinds = sorted({*_inverses(record, other, kinds), *also})
        for _ in range(ATTEMPTS):
            there, back = self.associations.get(record, other), self.associations.get(other, record)
            after = associated(there, kinds, at, holds=holds)
            after_back = associated(back, back_kinds, at, holds=holds)
            if record == other:  # one item, seen from both sides
                after, after_back = associated(after, back_kinds, at, holds=holds), back
            changes = [one for one, was in ((after, there), (after_back, back)) if one is not was]
            if not changes:
                return after
            try:
                self.associations.save(changes)
                return after
            except Conflict:
                continue
        raise Conflict(f"the association of {record} with {other} was changed by others {ATTEMPTS} times")

    def _store(self, stored: Record | None, key: RecordKey, change: Change) -> Record:
        for attempt in range(ATTEMPTS):
            current = stored if attempt == 0 else self.records.get(key)
            after = _after(current, key, change)
            if after is current:
                return after
            try:
                return self.records.save(after)
            except Conflict:
                continue
        raise Conflict(f"record {key} was changed by others {ATTEMPTS} times")


def _after(stored: Record | None, key: RecordKey, change: Change) -> Record:
    after = changed(stored, key, change)
    if after is None:
        raise UnknownRecord(f"no record {key.object_type_id}/{key.object_id} in this portal")
    if after.is_deleted:
        if change.creates:
            raise DeletedLater(f"record {key.object_type_id}/{key.object_id} was deleted after the change occurred")
        raise UnknownRecord(f"no record {key.object_type_id}/{key.object_id} in this portal")
    return after


def _existing(stored: Record | None, key: RecordKey) -> Record:
    if stored is None or stored.is_deleted:
        raise UnknownRecord(f"no record {key.object_type_id}/{key.object_id} in this portal")
    return stored


def _inverses(record: RecordKey, other: RecordKey, kinds: Sequence[AssociationType]) -> Sequence[AssociationType]:
    found = (inverse(record.object_type_id, other.object_type_id, one) for one in kinds)
    return [one for one in found if one is not None]
