"""The stored record: its properties and list memberships, their history, and how a change is applied to them.

Every value is stored with the time of its change, the time of its arrival, and the ID of its event. Changes are ordered
by the time of the change. If two times do not determine the order, the change that arrived later is the later one. That
is so if the times are equal, or if one of them is known to the second only and both are in that second.

The latest previous values of each property are kept, so that criteria can see the record as it was when an event
occurred. If the record grows too large, fewer are kept.

Changes can arrive before the creation of their record. At most 100 of them are stored, for 30 days, and they take
effect when the record is created.

A deleted record keeps the time of its deletion and the changes that are dated after it. Earlier changes are ignored, so
that neither a late event nor a replay restores its data. A later creation starts a new record.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from enrollment.domain.events.event import Event, InvalidEvent, Occurrence, occurrences
from enrollment.domain.events.event_types import EventType, RecordEffect
from enrollment.domain.events.moments import Moment, as_of, last_instant, moment_of
from enrollment.domain.identifiers import RecordKey, object_type_id
from enrollment.domain.values import LATEST, Instant, Properties, Value, as_text, fold, is_missing, iso, read_name

K = TypeVar("K")

# The record is stored as JSON in UTF-8. The limit leaves a margin below DynamoDB's 400 KB for an item.
MAX_RECORD_BYTES = 350_000

# Previous values that are kept of each property and membership, unless the stack's parameters set another number.
HISTORY_LENGTH = 20

# Changes whose times do not determine whether they precede the current value are kept beyond the history's length, up
# to this number. A redelivered event is recognized by them.
MAX_UNORDERED = 20

NOT_CREATED: Instant = LATEST + 1
"""``created_at`` of a record that does not exist yet: later than every instant."""

DAY = 24 * 3600 * 1000
MAX_EARLY_CHANGES = 100
# Bytes of these changes. The rest of the record's limit is left for the properties of the creation.
MAX_EARLY_BYTES = 100_000
EARLY_CHANGES_KEPT_MS = 30 * DAY

# Bytes that a change takes in the stored record in addition to its value, its time and its origin.
STAMP_BYTES = 10


class Stamp(Struct, frozen=True):
    """The time and the origin of a change.

    ``changed_at``: when it happened. ``is_to_second``: that time is known to the second only. ``arrived_at``: when its
    event was first evaluated; None: when it happened. ``event_id``: the ID of its event; empty if it has none.
    """

    changed_at: Instant
    arrived_at: Instant | None = None
    event_id: str = ""
    is_to_second: bool = False


class TimestampedValue(Struct, frozen=True):
    """A value with the time and the origin of its change, as in ``Stamp``. None or an empty value: it was removed."""

    value: Value
    changed_at: Instant
    arrived_at: Instant | None = None
    event_id: str = ""
    is_to_second: bool = False

    @property
    def arrival(self) -> Instant:
        """When the change arrived. Records of an older version have no arrival; the time of the change replaces it."""
        return self.changed_at if self.arrived_at is None else self.arrived_at

    @property
    def latest(self) -> Instant:
        """The last millisecond at which the change can have happened."""
        return last_instant(self.changed_at, is_to_second=self.is_to_second)

    def is_before(self, other: "TimestampedValue") -> bool:
        """Whether the times of the changes determine that this one happened first, without the order of arrival."""
        return self.latest < other.changed_at

    def precedes(self, other: "TimestampedValue") -> bool:
        """Whether this change is ordered first: by the times of the changes, or by arrival if these do not decide."""
        if self.is_before(other):
            return True
        return not other.is_before(self) and self.arrival < other.arrival

    def is_repeated_by(self, other: "TimestampedValue") -> bool:
        """Whether the other is the same change, delivered again: same time, value and event."""
        return (
            self.changed_at == other.changed_at
            and self.is_to_second == other.is_to_second
            and (self.event_id == other.event_id or not self.event_id or not other.event_id)
            and _text(self) == _text(other)
        )

    def is_seen_at(self, moment: Moment) -> bool:
        """Whether an observer at this moment sees the change (``moments``)."""
        return moment.sees(self.changed_at, self.arrival, self.event_id, is_to_second=self.is_to_second)


ValueHistory = Mapping[str, tuple[TimestampedValue, ...]]
"""The values before the current one, by the name of the property or the ID of the list; oldest first."""


class Record(Struct, frozen=True):
    """A record as it is stored. Immutable; a change returns a new record.

    ``properties``: the current values by name. ``memberships``: whether the record is a member, by list ID.
    ``earlier_properties`` and ``earlier_memberships``: the previous values.
    ``created_at``: NOT_CREATED if the record does not exist yet. ``known_at``: when its creation arrived.
    ``deleted_at``: when it was last deleted; None: never.
    ``firsts``: the ID of the first event by "<event type>/<value>", for event types of which only the first counts.
    ``version``: the number of stored changes, for optimistic locking; 0: not stored yet.
    ``awaited_until``: until when events wait for a change of the record. None or a past time: no event waits.
    """

    key: RecordKey
    created_at: Instant
    properties: Mapping[str, TimestampedValue] = field(default_factory=dict)
    memberships: Mapping[str, TimestampedValue] = field(default_factory=dict)
    firsts: Mapping[str, str] = field(default_factory=dict)
    version: int = 0
    deleted_at: Instant | None = None
    earlier_properties: ValueHistory = field(default_factory=dict)
    earlier_memberships: ValueHistory = field(default_factory=dict)
    awaited_until: Instant | None = None
    known_at: Instant | None = None

    @property
    def is_deleted(self) -> bool:
        """Whether the record was deleted and not created again."""
        return self.deleted_at is not None and (self.created_at <= self.deleted_at or self.created_at == NOT_CREATED)

    @property
    def exists(self) -> bool:
        """Whether the record was created and is not deleted."""
        return self.created_at != NOT_CREATED and not self.is_deleted

    @property
    def updated_at(self) -> Instant:
        """The time of the latest change, or of the creation if that is later."""
        return self._changed_by(as_of(LATEST))

    @property
    def changes(self) -> Sequence[TimestampedValue]:
        """All changes that are kept, in no particular order."""
        current = (*self.properties.values(), *self.memberships.values())
        earlier = (*self.earlier_properties.values(), *self.earlier_memberships.values())
        return [*current, *(dated for history in earlier for dated in history)]

    def values_at(self, moment: Moment) -> dict[str, Value]:
        """Return the properties as they were at a moment, without those that had no value yet."""
        changes = ((name, self.property_changes(name, moment)) for name in self.properties)
        return {name: history[-1].value for name, history in changes if history}

    def property_changes(self, name: str, moment: Moment) -> tuple[TimestampedValue, ...]:
        """Return the values that the property had until a moment, oldest first, as far as they are kept.

        A system property without a value of a source has one that is derived from the record.
        """
        changes = until(self.properties.get(name), self.earlier_properties.get(name, ()), moment)
        if name in SYSTEM_PROPERTIES and self.exists and not (changes and not is_missing(changes[-1].value)):
            return (*changes, self._system_property(name, moment))
        return changes

    def _system_property(self, name: str, moment: Moment) -> TimestampedValue:
        if name in _CREATION:
            return TimestampedValue(iso(self.created_at), self.created_at)
        if name in MODIFICATION_PROPERTIES:
            changed_at = self._changed_by(moment)
            return TimestampedValue(iso(changed_at), changed_at)
        return TimestampedValue(self.key.object_id, self.created_at)

    def _changed_by(self, moment: Moment) -> Instant:
        seen = (dated.changed_at for dated in self.changes if dated.is_seen_at(moment))
        # Changes that arrived before the creation do not make the record older than it is.
        return max([self.created_at, *seen])

    def property_before(self, name: str, event: Event) -> Value:
        """Return the value of a property just before the change that the event made. None if it had no value."""
        return _value_before(
            self.properties.get(name), self.earlier_properties.get(name, ()), self.moment(event), event
        )

    def was_member_before(self, list_id: str, event: Event) -> bool:
        """Return whether the record was a member of a list just before the change that the event made."""
        earlier = self.earlier_memberships.get(list_id, ())
        return _value_before(self.memberships.get(list_id), earlier, self.moment(event), event) is True

    def has_lost(self, name: str, moment: Moment, history_length: int) -> bool:
        """Whether the value at a moment may have been removed, because only ``history_length`` values are kept."""
        if name not in self.properties or self.property_changes(name, moment):
            return False
        return len(self.earlier_properties.get(name, ())) >= history_length

    def is_member(self, list_id: str, moment: Moment) -> bool:
        """Whether the record was a member of a list at a moment. ``list_id`` may have any spelling."""
        name = read_name(list_id)
        changes = until(self.memberships.get(name), self.earlier_memberships.get(name, ()), moment)
        return bool(changes) and changes[-1].value is True

    def values_from(self, name: str, moment: Moment) -> tuple[Value, ...]:
        """Return the value of a property at a moment and all later values."""
        values = _all_values(name, self.properties, self.earlier_properties)
        seen = self.property_changes(name, moment)
        later = tuple(dated.value for dated in values if not dated.is_seen_at(moment))
        return (seen[-1].value, *later) if seen else later

    def memberships_from(self, moment: Moment) -> frozenset[str]:
        """Return the IDs of the lists of which the record was a member at a moment, or later."""
        later = {
            list_id
            for list_id in self.memberships
            for dated in _all_values(list_id, self.memberships, self.earlier_memberships)
            if dated.value is True and not dated.is_seen_at(moment)
        }
        return frozenset(later | {list_id for list_id in self.memberships if self.is_member(list_id, moment)})

    def changes_of(self, properties: Collection[str], lists: Collection[str]) -> Sequence[TimestampedValue]:
        """Return the changes of some properties and lists that are kept, in no particular order. ``lists``: list IDs,
        as ``read_name`` returns them."""
        return [
            *(dated for name in properties for dated in _all_values(name, self.properties, self.earlier_properties)),
            *(dated for name in lists for dated in _all_values(name, self.memberships, self.earlier_memberships)),
        ]

    def changes_mentioned(
        self, properties: Collection[str], lists: Collection[str], *, any_change: bool
    ) -> Sequence[TimestampedValue]:
        """Return what ``changes_of`` returns, or all ``changes`` if ``any_change``."""
        return self.changes if any_change else self.changes_of(properties, lists)

    def changed_between(self, after: Moment, until: Instant) -> Sequence[Instant]:
        """Return the times of the changes until ``until`` that are not seen at ``after``, ascending, without
        duplicates."""
        return sorted(
            {
                change.changed_at
                for change in self.changes
                if change.changed_at <= until and not change.is_seen_at(after)
            }
        )

    def has_changed_since(self, event: Event) -> bool:
        """Whether another change arrived after the event was first evaluated.

        If it occurred before the event, an earlier delivery of the event may have been decided differently.
        """
        evaluated_at = event.evaluated_at
        if evaluated_at is None:
            return False
        return any(change.arrival >= evaluated_at and change.event_id != event.id for change in self.changes)

    def with_deferral_until(self, until: Instant) -> "Record":
        """Return the record with ``awaited_until`` at ``until`` or later. The same object if that is so already."""
        if self.awaited_until is not None and self.awaited_until >= until:
            return self
        return replace(self, awaited_until=until)

    def creation_at(self, occurred_at: Instant) -> Instant:
        """Return when the record is created by an event that occurred at this time. A creation that arrives after a
        deletion, and is not certainly older, is dated after it."""
        return occurred_at if self.deleted_at is None else max(occurred_at, self.deleted_at + 1)

    def existed_at(self, instant: Instant) -> bool:
        """Whether the record was created until an instant. Does not consider its deletion."""
        return self.created_at <= instant

    def existed_at_moment(self, moment: Moment) -> bool:
        """Whether the record was created until a moment, or before the change that a moment precedes. Does not consider
        its deletion."""
        if not moment.is_before:
            return self.created_at <= moment.latest
        if self.created_at <= moment.exact_until:
            return True
        created = TimestampedValue(True, self.created_at, self.known_at)
        return self.known_at is not None and self.known_at < moment.known_until and created.is_seen_at(moment)

    def existed_before(self, event: Event) -> bool:
        """Return whether the record existed just before the change that the event made. A record that was created in
        the same millisecond did not."""
        if self.created_at < event.occurred_at:
            return True
        if not event.is_to_second or self.created_at > event.latest or self.known_at is None:
            return False
        # The times do not determine the order, so the order of arrival does.
        return event.evaluated_at is not None and self.known_at < event.evaluated_at

    def moment(self, event: Event) -> Moment:
        """Return the moment at which the event's criteria see the record.

        If the event occurred before the creation, the criteria see the record as it was created: changes until the
        time of the creation. If the event arrived before the record, they see what was known when the creation arrived.
        """
        moment = event.moment
        if self.known_at is not None and self.known_at > moment.known_until:
            moment = replace(moment, known_until=self.known_at)
        if self.exists and self.created_at > moment.latest:
            return moment_of(self.created_at, is_to_second=False, known_until=moment.known_until, event_id=event.id)
        return moment


_CREATION = frozenset({"createdate", "hs_createdate"})
MODIFICATION_PROPERTIES = frozenset({"lastmodifieddate", "hs_lastmodifieddate"})
"""HubSpot's properties with the time of the latest change."""

SYSTEM_PROPERTIES = _CREATION | MODIFICATION_PROPERTIES | {"hs_object_id"}
"""Properties that HubSpot gives every record. A value that a source sent takes precedence."""


CREATION_CHANGE: Properties = MappingProxyType({"hs_name": "createdate"})
"""A creation is also matched as a change of this property."""


def absent(key: RecordKey) -> Record:
    """Return a record that does not exist and has no stored changes."""
    return Record(key, NOT_CREATED)


class RecordUpdate(Struct, frozen=True):
    """A change of a record, dated ``at``.

    ``properties``: new values by name. ``memberships``: whether the record is a member, by list ID. ``creates``: the
    record exists from ``at`` at the latest. ``first``: the key of ``Record.firsts`` and the event's ID, for an event
    type of which only the first event counts. ``arrived_at``, ``event_id``, ``is_to_second``: as in ``Stamp``.
    """

    at: Instant
    properties: Properties = field(default_factory=dict)
    memberships: Mapping[str, bool] = field(default_factory=dict)
    creates: bool = False
    first: tuple[str, str] | None = None
    arrived_at: Instant | None = None
    event_id: str = ""
    is_to_second: bool = False

    @property
    def stamp(self) -> Stamp:
        """The time and the origin that are stored with each value."""
        return Stamp(self.at, self.arrived_at, self.event_id, self.is_to_second)

    @property
    def latest(self) -> Instant:
        """The last millisecond at which the change can have happened."""
        return last_instant(self.at, is_to_second=self.is_to_second)

    @property
    def arrival(self) -> Instant:
        """When the change arrived; ``at`` if that is not known."""
        return self.at if self.arrived_at is None else self.arrived_at


def apply_change(
    record: Record | None, key: RecordKey, change: RecordUpdate, history_length: int = HISTORY_LENGTH
) -> Record | None:
    """Return the record after a change. The same object, or None for no record, if the change has no effect.

    ``record`` None: nothing is stored under ``key``. ``history_length``: previous values that are kept of each name.
    Raises InvalidEvent with reason RECORD_TOO_LARGE if the record would exceed MAX_RECORD_BYTES without its history.
    """
    before = absent(key) if record is None else record
    if _concerns_deleted_data(before, change):
        return record
    if change.creates and not before.exists:
        before = _created(before, change)
    stamp = change.stamp
    properties, earlier_properties = merge_values(
        before.properties, before.earlier_properties, change.properties, stamp, history_length
    )
    memberships, earlier_memberships = merge_values(
        before.memberships, before.earlier_memberships, change.memberships, stamp, history_length
    )
    after = replace(
        before,
        created_at=min(before.created_at, before.creation_at(change.at)) if change.creates else before.created_at,
        properties=properties,
        memberships=memberships,
        earlier_properties=earlier_properties,
        earlier_memberships=earlier_memberships,
    )
    if after.exists and after.existed_at(change.latest):
        after = replace(after, firsts=_with_first(after.firsts, change.first))
    if after == (absent(key) if record is None else record):
        return record
    return _trim_to_size(after) if after.exists else _with_latest_arrivals(after)


def _created(record: Record, change: RecordUpdate) -> Record:
    """Return the created record, with the changes that arrived before its creation and are not expired."""
    kept_since = change.arrival - EARLY_CHANGES_KEPT_MS
    recent = _filtered(record, lambda dated: dated.arrival >= kept_since)
    return replace(recent, created_at=record.creation_at(change.at), known_at=change.arrival)


def _with_latest_arrivals(record: Record) -> Record:
    """Return a record that does not exist yet with as many of the latest arrivals as its two limits allow."""
    arrivals = sorted(record.changes, key=lambda dated: dated.arrival, reverse=True)
    most = min(len(arrivals), MAX_EARLY_CHANGES)
    kept = record if most == len(arrivals) else _with_changes(record, arrivals[:most])
    while _size(kept) > MAX_EARLY_BYTES:
        most //= 2
        kept = _with_changes(record, arrivals[:most])
    return kept


def _with_changes(record: Record, changes: Sequence[TimestampedValue]) -> Record:
    """Return the record with only these of its changes."""
    kept = {id(dated) for dated in changes}
    return _filtered(record, lambda dated: id(dated) in kept)


def _filtered(record: Record, keeps: Callable[[TimestampedValue], bool]) -> Record:
    """Return the record with the changes for which ``keeps`` returns true."""
    properties, earlier_properties = _filtered_values(record.properties, record.earlier_properties, keeps)
    memberships, earlier_memberships = _filtered_values(record.memberships, record.earlier_memberships, keeps)
    return replace(
        record,
        properties=properties,
        earlier_properties=earlier_properties,
        memberships=memberships,
        earlier_memberships=earlier_memberships,
    )


def _filtered_values(
    current: Mapping[str, TimestampedValue], earlier: ValueHistory, keeps: Callable[[TimestampedValue], bool]
) -> tuple[Mapping[str, TimestampedValue], ValueHistory]:
    # Where a removed change determined the order of two others, their order changes.
    kept = {
        name: _in_known_order(tuple(dated for dated in (*earlier.get(name, ()), dated_now) if keeps(dated)), None)
        for name, dated_now in current.items()
    }
    return (
        {name: history[-1] for name, history in kept.items() if history},
        {name: history[:-1] for name, history in kept.items() if len(history) > 1},
    )


def deleted(record: Record, at: Instant) -> Record:
    """Return the record after its deletion. It keeps only its key, version, ``created_at`` and ``awaited_until``.

    The same object if the record was deleted before and no change arrived since, or if it was created after ``at``.
    """
    if (record.is_deleted and not record.changes) or (record.exists and record.created_at > at):
        return record
    return Record(
        record.key, record.created_at, version=record.version, deleted_at=at, awaited_until=record.awaited_until
    )


def affects_record(event: Event) -> bool:
    """Whether the event can change the stored record: its data, or which event was the first of its kind."""
    return changes_record(event) or (event.object_id is not None and event.event_type.first_of is not None)


def changes_record(event: Event) -> bool:
    """Whether the event creates the record or changes its properties or memberships."""
    return event.object_id is not None and (
        event.event_type.effect is not RecordEffect.NOTHING or event.record_properties is not None
    )


def apply_event(record: Record | None, event: Event, history_length: int = HISTORY_LENGTH) -> Record | None:
    """Apply the change that the event makes, as ``apply_change`` does. None if the event has no record."""
    key = event.record_key
    return None if key is None else apply_change(record, key, _change_of(event), history_length)


def with_co_changed_properties(record: Record, event: Event) -> Record:
    """Return the record with the properties that changed together with the event (``changedWith``), for its criteria.

    Do not store the result: each of these changes has its own event, which stores it.
    """
    if not event.changed_with:
        return record
    # The result is not stored, so it keeps all history and no size limit applies.
    stamp = Stamp(event.occurred_at, event.evaluated_at, "", event.is_to_second)
    properties, earlier_properties = merge_values(
        record.properties, record.earlier_properties, event.changed_with, stamp, MAX_RECORD_BYTES
    )
    return replace(record, properties=properties, earlier_properties=earlier_properties)


def occurrences_of(event: Event, event_types: Mapping[str, EventType], record: Record | None) -> tuple[Occurrence, ...]:
    """Return the catalog rows that the event satisfies, its own first.

    If the source did not send the previous value of a changed property, it is taken from the record's history. A
    creation is also a change of the creation date. ``record`` None: the history is not known.
    """
    if event.event_type.effect is RecordEffect.CREATES:
        derived = {**CREATION_CHANGE, "hs_value": iso(event.occurred_at)}
        return occurrences(replace(event, properties={**derived, **event.properties}), event_types)
    if event.event_type.effect is not RecordEffect.CHANGES_PROPERTY or record is None:
        return occurrences(event, event_types)
    if not is_missing(event.properties.get("hs_previous_value")):
        return occurrences(event, event_types)
    previous = record.property_before(as_text(event.properties["hs_name"]), event)
    return occurrences(replace(event, properties={**event.properties, "hs_previous_value": previous}), event_types)


def membership_rejection_reason(event: Event, record: Record) -> str | None:
    """Return why an event about a list membership changed nothing. None if it did, or if the event is another."""
    for list_id, is_added in changed_memberships(event).items():
        if record.was_member_before(list_id, event) == is_added:
            return f"the record was {'already' if is_added else 'not'} a member of list {list_id}"
    return None


def _concerns_deleted_data(record: Record, change: RecordUpdate) -> bool:
    if record.deleted_at is None:
        return False
    if change.at > record.deleted_at:
        return False
    return change.latest <= record.deleted_at or change.arrival <= record.deleted_at


def _change_of(event: Event) -> RecordUpdate:
    key = first_of(event)
    return RecordUpdate(
        at=event.occurred_at,
        properties=changed_properties(event),
        memberships=changed_memberships(event),
        creates=event.event_type.effect is RecordEffect.CREATES or event.record_properties is not None,
        first=None if key is None else (key, event.id),
        arrived_at=event.evaluated_at,
        event_id=event.id,
        is_to_second=event.is_to_second,
    )


def first_of(event: Event) -> str | None:
    """Return the event's key in ``Record.firsts``. None: every event of its type counts."""
    name = event.event_type.first_of
    if name is None:
        return None
    return f"{event.event_type.name}/{fold(as_text(event.properties.get(name)))}"


def changed_properties(event: Event) -> Properties:
    """Return the properties that the event sets, by name: its own and those of its snapshot."""
    changes = dict(event.record_properties or {})
    if event.event_type.effect is RecordEffect.CHANGES_PROPERTY:
        changes[read_name(event.properties["hs_name"])] = event.properties.get("hs_value")
    return changes


def changed_memberships(event: Event) -> Mapping[str, bool]:
    """Return whether the record is a member now, for the list that the event is about."""
    if event.event_type.effect is not RecordEffect.CHANGES_MEMBERSHIP:
        return {}
    added = fold(as_text(event.properties["hs_membership_change"])) == "added"
    return {read_name(event.properties["hs_list_id"]): added}


def changed_association_types(event: Event) -> frozenset[str]:
    """Return the object types of the associations that the event is about."""
    if event.event_type.effect is not RecordEffect.CHANGES_ASSOCIATION:
        return frozenset()
    other_type = as_text(event.properties["hs_to_object_type_id"])
    return frozenset({object_type_id(other_type) or other_type})


def merge_values(
    current: Mapping[K, TimestampedValue],
    earlier: Mapping[K, tuple[TimestampedValue, ...]],
    changes: Mapping[K, Value],
    stamp: Stamp,
    history_length: int,
) -> tuple[Mapping[K, TimestampedValue], Mapping[K, tuple[TimestampedValue, ...]]]:
    """Return the current and the previous values after changes. The same objects if nothing changed.

    A change is inserted after all changes that its time determines to be earlier, and before the first later one. A
    change that is stored already is not stored again. ``history_length``: previous values that are kept of each name.
    """
    values: dict[K, TimestampedValue] = {}
    histories: dict[K, tuple[TimestampedValue, ...]] = {}
    for name, value in changes.items():
        change = TimestampedValue(
            None if is_missing(value) else value,
            stamp.changed_at,
            stamp.arrived_at,
            stamp.event_id,
            stamp.is_to_second,
        )
        previous = current.get(name)
        history = [*earlier.get(name, ()), previous] if previous is not None else []
        if any(dated.is_repeated_by(change) for dated in history):
            continue
        history.insert(_insertion_index(change, history), change)
        *before, values[name] = history
        if previous is not None:
            histories[name] = tuple(_trim_history(before, values[name], history_length))
    news = {name: history for name, history in histories.items() if history != earlier.get(name, ())}
    changed_values = {name: dated for name, dated in values.items() if dated is not current.get(name)}
    return (
        {**current, **changed_values} if changed_values else current,
        {**earlier, **news} if news else earlier,
    )


def _insertion_index(change: TimestampedValue, history: Sequence[TimestampedValue]) -> int:
    """Return where the change belongs in a history that is ordered, oldest first."""
    after = next((number for number in range(len(history), 0, -1) if history[number - 1].is_before(change)), 0)
    return next((number for number in range(after, len(history)) if change.precedes(history[number])), len(history))


def _trim_history(history: list[TimestampedValue], current: TimestampedValue, length: int) -> list[TimestampedValue]:
    """Remove values until ``length`` are left: first those between two equal values, then the oldest.

    Values whose times do not determine whether they precede the current one are kept longer (MAX_UNORDERED).
    """
    unordered = sum(not dated.is_before(current) for dated in history)
    while len(history) > max(length, min(unordered, MAX_UNORDERED)):
        following = [*history[1:], current]
        numbers = [number for number, dated in enumerate(history) if dated.is_before(current)] or range(len(history))
        repeated = (
            number
            for number in numbers
            if number and _text(history[number - 1]) == _text(history[number]) == _text(following[number])
        )
        del history[next(repeated, numbers[0])]
    return history


def _text(dated: TimestampedValue) -> str:
    return json.dumps(dated.value)


def _all_values(
    name: str, current: Mapping[str, TimestampedValue], earlier: ValueHistory
) -> tuple[TimestampedValue, ...]:
    return (*earlier.get(name, ()), current[name]) if name in current else ()


def until(
    current: TimestampedValue | None, earlier: tuple[TimestampedValue, ...], moment: Moment
) -> tuple[TimestampedValue, ...]:
    """Return the values that are seen at a moment, oldest first. Empty if there was none yet."""
    if current is None:
        return ()
    return _in_known_order(tuple(dated for dated in (*earlier, current) if dated.is_seen_at(moment)), moment.event_id)


def _in_known_order(history: tuple[TimestampedValue, ...], event_id: str | None) -> tuple[TimestampedValue, ...]:
    """Return the changes in an order that depends on them alone, not on other changes or on the time of storing.

    Exact times have one order. With times that are known to the second, "precedes" is not transitive, so a part of the
    history has to be ordered again by itself.
    """
    if not any(dated.is_to_second for dated in history):
        return history
    ordered: list[TimestampedValue] = []
    # The observing event's change is the last of those that arrived in the same millisecond.
    for dated in sorted(history, key=lambda dated: (dated.arrival, dated.event_id == event_id)):
        ordered.insert(_insertion_index(dated, ordered), dated)
    return tuple(ordered)


def _value_before(
    current: TimestampedValue | None, earlier: tuple[TimestampedValue, ...], moment: Moment, event: Event
) -> Value:
    history = until(current, earlier, moment)
    own = next((number for number, dated in enumerate(history) if _is_own(dated, event)), len(history))
    return history[own - 1].value if own else None


def _is_own(dated: TimestampedValue, event: Event) -> bool:
    """Whether the event made the change. Changes that an older version of this package stored have no event ID."""
    if dated.event_id:
        return dated.event_id == event.id
    return dated.arrived_at is None and dated.changed_at == event.occurred_at


def _with_first(firsts: Mapping[str, str], first: tuple[str, str] | None) -> Mapping[str, str]:
    if first is None or first[0] in firsts:
        return firsts
    key, event_id = first
    return {**firsts, key: event_id}


def _trim_to_size(record: Record) -> Record:
    """Return the record with as much of its history as fits. Raises InvalidEvent if it does not fit without any."""
    while (size := _size(record)) > MAX_RECORD_BYTES:
        longest = max(map(len, (*record.earlier_properties.values(), *record.earlier_memberships.values())), default=0)
        if longest == 0:
            raise InvalidEvent(
                "RECORD_TOO_LARGE",
                "detail.record.properties",
                f"expected a record of at most {MAX_RECORD_BYTES:,} bytes; got {size:,} bytes after this change. "
                "Send only the properties that flows refer to",
            )
        kept = longest // 2
        record = replace(
            record,
            earlier_properties=_latest_values(record.earlier_properties, kept),
            earlier_memberships=_latest_values(record.earlier_memberships, kept),
        )
    return record


def _latest_values(earlier: ValueHistory, kept: int) -> ValueHistory:
    return {name: history[-kept:] for name, history in earlier.items()} if kept else {}


def _size(record: Record) -> int:
    """Return the estimated bytes of the record as it is stored."""
    current = (*record.properties.items(), *record.memberships.items())
    earlier = (*record.earlier_properties.items(), *record.earlier_memberships.items())
    return (
        _json_bytes([[name, dated.value, dated.changed_at] for name, dated in current])
        + _json_bytes([[name, [[dated.value, dated.changed_at] for dated in history]] for name, history in earlier])
        + _json_bytes(record.firsts)
        + _json_bytes(list({(dated.event_id, dated.arrived_at) for dated in record.changes}))
        + STAMP_BYTES * len(record.changes)
    )


def _json_bytes(value: object) -> int:
    return len(json.dumps(value, ensure_ascii=False).encode())
