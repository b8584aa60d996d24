"""Changing records: each change goes onto the bus as the events that any producer would have sent of it, and into the
store.

The bus comes first. When this stops half-way, the handlers of those events make the same change, for an event tells of
its record too; a change that were stored first could be lost to every flow. Each event makes its own part of the change
only, so that what the bus did not take is not made, and asking again sends it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from enrollment.application.ports import Associations, ConcurrentModification, EventPublisher, Records
from enrollment.domain.events.event import InvalidEvent
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.associations import Association, AssociationType, associated, inverse
from enrollment.domain.records.change_events import OutboundEvent, change_events
from enrollment.domain.records.record import HISTORY_LENGTH, Record, RecordUpdate, changed, deleted
from enrollment.domain.values import Instant

# Attempts of a change that others are making at the same time; each lost one means that another made progress. Many,
# for the bus has the change already when the store is busy.
ATTEMPTS = 50

# Of two records, those that were removed included: an item of DynamoDB bounds it.
MAX_TYPES = 200


class UnknownRecord(LookupError):
    pass


class EventsNotAccepted(Exception):
    """The bus did not take all events of a change, after retries. The whole can be asked for again: what is changed
    already is then no change, and the rest is."""


class RecordAlreadyExists(Exception):
    """There is a record of this id already."""


class StaleChange(Exception):
    """The change occurred before the record was deleted, and so changes nothing."""


ChangeError = InvalidEvent | EventsNotAccepted | StaleChange | UnknownRecord | ConcurrentModification


class RecordChange(Struct, frozen=True):
    """A record after a change. ``was``: before it; None: it did not exist."""

    record: Record
    was: Record | None

    @property
    def is_new(self) -> bool:
        return self.was is None or not self.was.exists


class RecordService(Struct, frozen=True):
    """``check`` raises InvalidEvent for an event that the bus' functions would refuse."""

    records: Records
    associations: Associations
    producer: EventPublisher
    check: Callable[[OutboundEvent], None]
    history_length: int = HISTORY_LENGTH

    def get(self, key: RecordKey) -> Record:
        """Raises UnknownRecord."""
        return _existing(self.records.get(key), key)

    def get_many(self, keys: Sequence[RecordKey]) -> Mapping[RecordKey, Record]:
        """Those that exist."""
        return {key: one for key, one in self.records.get_many(keys).items() if one.exists}

    def create(self, key: RecordKey, change: RecordUpdate) -> RecordChange:
        """Raises Taken when there is a record of this id; else as ``change``."""
        stored = self.records.get(key)
        if stored is not None and (stored.exists or stored.is_deleted):
            raise RecordAlreadyExists(f"record {key.object_type_id}/{key.object_id} exists")
        return self.change(key, change)

    def change(self, key: RecordKey, change: RecordUpdate) -> RecordChange:
        """Raises UnknownRecord when it does not exist and the change does not create it, InvalidEvent, NotTaken,
        DeletedLater, or Conflict when others go on changing it."""
        outcome = self.change_many([(key, change)])[0]
        if isinstance(outcome, RecordChange):
            return outcome
        raise outcome

    def change_many(
        self, changes: Sequence[tuple[RecordKey, RecordUpdate]], *, all_or_none: bool = False
    ) -> Sequence[RecordChange | ChangeError]:
        """The outcome of each, in order; no two of one record. ``all_or_none``: raises the first refusal, before
        anything is changed, unless it is that a record is unknown. What the bus does not take is seen only then."""
        stored = self.records.get_many([key for key, _ in changes])
        outcomes: dict[RecordKey, RecordChange | ChangeError] = {}
        events: dict[RecordKey, list[OutboundEvent]] = {}
        for key, change in changes:
            try:
                after = _after(stored.get(key), key, change, (), self.history_length)
                events[key] = list(change_events(stored.get(key), after, change))
                for one in events[key]:
                    self.check(one)
            except (InvalidEvent, StaleChange, UnknownRecord) as refusal:
                if all_or_none and not isinstance(refusal, UnknownRecord):
                    raise
                outcomes[key] = refusal

        waiting = [one for key, mine in events.items() if key not in outcomes for one in mine]
        taken = self.producer.publish(waiting) if waiting else frozenset()
        for key, change in changes:
            if key in outcomes:
                continue
            lost = [one for one in events[key] if one.id not in taken]
            try:
                kept = self._store(stored.get(key), key, _without(change, lost), events[key])
                outcomes[key] = RecordChange(kept, stored.get(key)) if not lost else _not_taken(key, lost)
            except (InvalidEvent, StaleChange, UnknownRecord, ConcurrentModification) as refusal:
                outcomes[key] = _not_taken(key, lost) if lost else refusal
        return [outcomes[key] for key, _ in changes]

    def delete(self, key: RecordKey, now: Instant) -> None:
        """Forgets all that is known of it. Does nothing when there is none."""
        for _ in range(ATTEMPTS):
            stored = self.records.get(key)
            if stored is None or (stored.is_deleted and not stored.changes):
                return
            # A producer's clock may be ahead of ours: its record is deleted all the same.
            # The time of a change that is known to the second only can lie in the future when its second ends.
            changes = [dated.changed_at for dated in stored.changes]
            at = max([now, *changes, *([stored.created_at] if stored.exists else [])])
            try:
                self.records.save(deleted(stored, at))
                return
            except ConcurrentModification:
                continue
        raise ConcurrentModification(f"record {key} was changed by others {ATTEMPTS} times while it was deleted")

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

    def associated(
        self, record: RecordKey, object_type_id: str, limit: int, after: str = ""
    ) -> tuple[Sequence[tuple[RecordKey, Sequence[AssociationType]]], str | None]:
        """Each record with the types that hold, and where the next page begins. Raises UnknownRecord."""
        mine = self.get(record)
        found = self.associations.of(record, object_type_id, limit + 1, after)
        following = found[limit - 1].other.object_id if len(found) > limit else None
        others = self.records.get_many([one.other for one in found[:limit]])
        held = [
            (one.other, one.held_since(max(mine.deleted_at or -1, others[one.other].deleted_at or -1)))
            for one in found[:limit]
            if one.other in others and others[one.other].exists
        ]
        return [(other, kinds) for other, kinds in held if kinds], following

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
            if holds and max(len(one.types) for one in (after, after_back)) > MAX_TYPES:
                message = f"$: the two records would have more than {MAX_TYPES} types of association"
                raise InvalidEvent("TOO_MANY_TYPES", "$", message)
            if not changes:
                return after
            try:
                self.associations.save(changes)
                return after
            except ConcurrentModification:
                continue
        raise ConcurrentModification(f"the association of {record} with {other} was changed by others {ATTEMPTS} times")

    def _store(
        self, stored: Record | None, key: RecordKey, change: RecordUpdate, events: Sequence[OutboundEvent]
    ) -> Record:
        for attempt in range(ATTEMPTS):
            current = stored if attempt == 0 else self.records.get(key)
            after = _after(current, key, change, events, self.history_length)
            if after is current:
                return after
            try:
                return self.records.save(after)
            except ConcurrentModification:
                continue
        raise ConcurrentModification(f"record {key} was changed by others {ATTEMPTS} times")


def _after(
    stored: Record | None, key: RecordKey, change: RecordUpdate, events: Sequence[OutboundEvent], history_length: int
) -> Record:
    """``events``: those that announce the change. Each part of it is stored with the id of its event, so that the event
    does not make the same change again."""
    after = stored
    if change.creates or (stored is not None and stored.exists):
        for part in _parts(change, events):
            after = changed(after, key, part, history_length)
    if after is not None and after.is_deleted and change.creates:
        raise StaleChange(f"record {key.object_type_id}/{key.object_id} was deleted after the change occurred")
    return _existing(after, key)


def _parts(change: RecordUpdate, events: Sequence[OutboundEvent]) -> Iterator[RecordUpdate]:
    """The change in parts, each with the id of the event that announces it, if one does."""
    ids = {
        (one.event_type, one.properties.get("hs_name") or one.properties.get("hs_list_id")): one.id for one in events
    }
    created = ids.get(("crm.object_created", None), "")
    announced = {name for name in change.properties if ("crm.property_changed", name) in ids}
    together = {name: value for name, value in change.properties.items() if name not in announced}
    yield replace(change, properties=together, memberships={}, event_id=created)
    for name in announced:
        event_id = ids["crm.property_changed", name]
        yield replace(change, properties={name: change.properties[name]}, memberships={}, event_id=event_id)
    for list_id, is_member in change.memberships.items():
        event_id = ids.get(("lists.membership_changed", list_id), "")
        yield replace(change, properties={}, memberships={list_id: is_member}, event_id=event_id)


def _without(change: RecordUpdate, lost: Sequence[OutboundEvent]) -> RecordUpdate:
    """What remains of a change when some of its events did not reach the bus."""
    names = {one.properties.get("hs_name") for one in lost}
    lists = {one.properties.get("hs_list_id") for one in lost}
    is_created = not any(one.event_type == "crm.object_created" for one in lost)
    return replace(
        change,
        properties={name: one for name, one in change.properties.items() if name not in names} if is_created else {},
        memberships={name: one for name, one in change.memberships.items() if name not in lists},
        creates=change.creates and is_created,
    )


def _not_taken(key: RecordKey, lost: Sequence[OutboundEvent]) -> EventsNotAccepted:
    return EventsNotAccepted(
        f"record {key.object_type_id}/{key.object_id}: the event bus did not take {len(lost)} of the changes; "
        "these are not made. Ask for all of them again"
    )


def _existing(stored: Record | None, key: RecordKey) -> Record:
    if stored is None or not stored.exists:
        raise UnknownRecord(f"no record {key.object_type_id}/{key.object_id} in this portal")
    return stored


def _inverses(record: RecordKey, other: RecordKey, kinds: Sequence[AssociationType]) -> Sequence[AssociationType]:
    found = (inverse(record.object_type_id, other.object_type_id, one) for one in kinds)
    return [one for one in found if one is not None]
