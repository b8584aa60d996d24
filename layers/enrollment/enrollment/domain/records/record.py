"""The stored record: properties, list memberships, what they were before, and what a change does to them.

Every value keeps the time of its change, the time of its arrival, and the id of the event that brought it. Changes are
ordered by the time of the change. Where two times do not tell the order (they are equal, or one is known to the second
only and both are in that second), the change that arrived later counts as the later one. The values before the current
one are kept, so that the record can be seen as it was when an event occurred: the latest ones of each property, and
fewer when the record grows too large.

A record that does not exist yet can have changes already: those that arrived before its creation. They count from its
creation on. They are kept for 30 days, and at most 100 of them.

A deleted record keeps the time of its deletion, and changes that are dated after it. Earlier changes are ignored, so
that neither a late event nor a replay brings its data back. A later creation starts a new record.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from enrollment.domain.events.event import Event, InvalidEvent, Occurrence, occurrences
from enrollment.domain.events.event_types import EventType, RecordEffect
from enrollment.domain.events.moments import Moment, as_of, last_instant, moment_of
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.values import LATEST, Instant, Properties, Value, as_text, fold, is_missing, iso, read_name

K = TypeVar("K")

# Bytes of the record as JSON in UTF-8, which is how it is stored. A DynamoDB item holds 400 KB.
MAX_RECORD_BYTES = 350_000

# Earlier values kept of each property and membership, unless the stack says otherwise.
HISTORY_LENGTH = 20

# Changes that cannot be ordered by their times against the current value are kept beyond the history's length, up to
# this number: they tell a redelivered event from a new one.
MAX_UNORDERED = 20

NOT_CREATED: Instant = LATEST + 1
"""``created_at`` of a record that does not exist yet: later than every instant."""

DAY = 24 * 3600 * 1000
MAX_EARLY_CHANGES = 100
# Bytes of these changes, so that there is room for what the creation brings.
MAX_EARLY_BYTES = 100_000
EARLY_CHANGES_KEPT_MS = 30 * DAY

# Bytes that a change takes in the stored record beside its value, its time and its origin.
STAMP_BYTES = 10


class Stamp(Struct, frozen=True):
    """When something changed, when the change arrived here, and which event brought it ("": none).

    ``is_to_second``: the time of the change is known to the second only.
    """

    changed_at: Instant
    arrived_at: Instant | None = None
    event_id: str = ""
    is_to_second: bool = False


class TimestampedValue(Struct, frozen=True):
    """A value with its stamp. ``arrived_at`` None: it was stored before arrivals were, and arrived when it changed."""

    value: Value
    changed_at: Instant
    arrived_at: Instant | None = None
    event_id: str = ""
    is_to_second: bool = False

    @property
    def arrival(self) -> Instant:
        return self.changed_at if self.arrived_at is None else self.arrived_at

    @property
    def latest(self) -> Instant:
        return last_instant(self.changed_at, is_to_second=self.is_to_second)

    def is_before(self, other: "TimestampedValue") -> bool:
        """Whether the times of the changes alone tell that this one came first."""
        return self.latest < other.changed_at

    def precedes(self, other: "TimestampedValue") -> bool:
        """By the times of the changes, or where they do not tell, by arrival."""
        if self.is_before(other):
            return True
        return not other.is_before(self) and self.arrival < other.arrival

    def is_repeated_by(self, other: "TimestampedValue") -> bool:
        """Whether the other is the same change, delivered again."""
        return (
            self.changed_at == other.changed_at
            and self.is_to_second == other.is_to_second
            and (self.event_id == other.event_id or not self.event_id or not other.event_id)
            and _text(self) == _text(other)
        )

    def is_seen_at(self, moment: Moment) -> bool:
        return moment.sees(self.changed_at, self.arrival, self.event_id, is_to_second=self.is_to_second)


ValueHistory = Mapping[str, tuple[TimestampedValue, ...]]
"""By name, the values before the current one, oldest first."""


class Record(Struct, frozen=True):
    """``memberships``: list id to whether the record is a member. ``firsts``: for the events of which only the first
    counts, "<event type>/<value>" to the id of the event that was first. ``version`` counts the stored changes;
    0: not stored yet. ``created_at``: NOT_CREATED for a record that does not exist yet. ``known_at``: when its creation
    arrived here. ``deleted_at``: when it was last deleted. ``earlier_…``: what the values were before.
    ``awaited_until``: until when events wait for a change of the record; None or a time in the past: none does."""

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
        """Whether it was deleted and not created again."""
        return self.deleted_at is not None and (self.created_at <= self.deleted_at or self.created_at == NOT_CREATED)

    @property
    def exists(self) -> bool:
        return self.created_at != NOT_CREATED and not self.is_deleted

    @property
    def updated_at(self) -> Instant:
        """The time of the latest change."""
        return self._changed_by(as_of(LATEST))

    @property
    def changes(self) -> Sequence[TimestampedValue]:
        """Every change that is kept, in no order."""
        current = (*self.properties.values(), *self.memberships.values())
        earlier = (*self.earlier_properties.values(), *self.earlier_memberships.values())
        return [*current, *(dated for history in earlier for dated in history)]

    def values_at(self, moment: Moment) -> dict[str, Value]:
        """The properties as they were; those that had no value yet are missing."""
        changes = ((name, self.property_changes(name, moment)) for name in self.properties)
        return {name: history[-1].value for name, history in changes if history}

    def property_changes(self, name: str, moment: Moment) -> tuple[TimestampedValue, ...]:
        """The values that the property had until a moment, oldest first, as far as they are kept."""
        changes = until(self.properties.get(name), self.earlier_properties.get(name, ()), moment)
        if name in SYSTEM_PROPERTIES and self.exists and not (changes and not is_missing(changes[-1].value)):
            return (*changes, self._system_property(name, moment))
        return changes

    def _system_property(self, name: str, moment: Moment) -> TimestampedValue:
        if name in _CREATION:
            return TimestampedValue(iso(self.created_at), self.created_at)
        if name in _MODIFICATION:
            changed_at = self._changed_by(moment)
            return TimestampedValue(iso(changed_at), changed_at)
        return TimestampedValue(self.key.object_id, self.created_at)

    def _changed_by(self, moment: Moment) -> Instant:
        seen = (dated.changed_at for dated in self.changes if dated.is_seen_at(moment))
        # Changes that arrived before the creation do not make the record older than it is.
        return max([self.created_at, *seen])

    def property_before(self, name: str, event: Event) -> Value:
        """The value just before the event's own place in the history, without what the event itself stored."""
        return _value_before(
            self.properties.get(name), self.earlier_properties.get(name, ()), self.moment(event), event
        )

    def was_member_before(self, list_id: str, event: Event) -> bool:
        """As ``property_before``, of a membership."""
        earlier = self.earlier_memberships.get(list_id, ())
        return _value_before(self.memberships.get(list_id), earlier, self.moment(event), event) is True

    def has_lost(self, name: str, moment: Moment, history_length: int) -> bool:
        """Whether the property may have had a value at a moment that is not kept any more."""
        if name not in self.properties or self.property_changes(name, moment):
            return False
        return len(self.earlier_properties.get(name, ())) >= history_length

    def is_member(self, list_id: str, moment: Moment) -> bool:
        name = read_name(list_id)
        changes = until(self.memberships.get(name), self.earlier_memberships.get(name, ()), moment)
        return bool(changes) and changes[-1].value is True

    def changed_between(self, after: Moment, until: Instant) -> Sequence[Instant]:
        """The times, each once and in order, of the changes that are not seen at ``after`` and are not later than
        ``until``."""
        return sorted({one.changed_at for one in self.changes if one.changed_at <= until and not one.is_seen_at(after)})

    def with_deferral_until(self, until: Instant) -> "Record":
        """With the note that events wait for it. The same object when that is noted already."""
        if self.awaited_until is not None and self.awaited_until >= until:
            return self
        return replace(self, awaited_until=until)

    def existed_at(self, instant: Instant) -> bool:
        return self.created_at <= instant

    def moment(self, event: Event) -> Moment:
        """What the event sees of the record.

        An event that may come before its record's creation sees the record as it was created. An event that arrived
        before its record sees what was known when the record became known.
        """
        moment = event.moment
        if self.known_at is not None and self.known_at > moment.known_until:
            moment = replace(moment, known_until=self.known_at)
        if self.exists and self.created_at > moment.latest:
            creation = moment_of(self.created_at, is_to_second=True, known_until=moment.known_until, event_id=event.id)
            # Of the creation's second too, what arrived later is not seen.
            moment = replace(creation, exact_until=self.created_at)
        return moment


_CREATION = frozenset({"createdate", "hs_createdate"})
_MODIFICATION = frozenset({"lastmodifieddate", "hs_lastmodifieddate"})
SYSTEM_PROPERTIES = _CREATION | _MODIFICATION | {"hs_object_id"}
"""HubSpot's names of what every record has. A value that a source sent wins."""


CREATION_CHANGE: Properties = MappingProxyType({"hs_name": "createdate"})
"""As which change of a property a creation is matched."""


def absent(key: RecordKey) -> Record:
    """A record that does not exist, with nothing stored."""
    return Record(key, NOT_CREATED)


class RecordUpdate(Struct, frozen=True):
    """What becomes known of a record as of an instant. ``memberships``: list id to whether it is a member from then.
    ``creates``: the record exists from then at the latest. ``first``: the key and the id of an event of which only the
    first counts. ``arrived_at`` None: the change arrived when it happened. ``event_id``: of the event that brings it.
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
        return Stamp(self.at, self.arrived_at, self.event_id, self.is_to_second)

    @property
    def latest(self) -> Instant:
        return last_instant(self.at, is_to_second=self.is_to_second)

    @property
    def arrival(self) -> Instant:
        return self.at if self.arrived_at is None else self.arrived_at


def changed(
    record: Record | None, key: RecordKey, change: RecordUpdate, history_length: int = HISTORY_LENGTH
) -> Record | None:
    """The record after the change; the same object when nothing changed. None: nothing is stored, and the change stores
    nothing. Raises InvalidEvent when the record would exceed what can be stored."""
    before = absent(key) if record is None else record
    if _concerns_deleted_data(before, change):
        return record
    if change.creates and not before.exists:
        before = _created(before, change)
    stamp = change.stamp
    properties, earlier_properties = merged(
        before.properties, before.earlier_properties, change.properties, stamp, history_length
    )
    memberships, earlier_memberships = merged(
        before.memberships, before.earlier_memberships, change.memberships, stamp, history_length
    )
    after = replace(
        before,
        created_at=min(before.created_at, _creation(before, change)) if change.creates else before.created_at,
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
    """A record that exists from now on, with the changes that arrived before its creation and are not expired."""
    kept_since = change.arrival - EARLY_CHANGES_KEPT_MS
    recent = _filtered(record, lambda dated: dated.arrival >= kept_since)
    return replace(recent, created_at=_creation(record, change), known_at=change.arrival)


def _creation(record: Record, change: RecordUpdate) -> Instant:
    """The time of a creation. It comes after a deletion in the same second if it arrived after it."""
    return change.at if record.deleted_at is None else max(change.at, record.deleted_at + 1)


def _with_latest_arrivals(record: Record) -> Record:
    """A record that does not exist yet, with as many of its latest arrivals as are kept and fit."""
    arrivals = sorted(record.changes, key=lambda dated: dated.arrival, reverse=True)
    most = min(len(arrivals), MAX_EARLY_CHANGES)
    kept = record if most == len(arrivals) else _with_changes(record, arrivals[:most])
    while _size(kept) > MAX_EARLY_BYTES:
        most //= 2
        kept = _with_changes(record, arrivals[:most])
    return kept


def _with_changes(record: Record, changes: Sequence[TimestampedValue]) -> Record:
    """With these of its changes alone."""
    kept = {id(dated) for dated in changes}
    return _filtered(record, lambda dated: id(dated) in kept)


def _filtered(record: Record, keeps: Callable[[TimestampedValue], bool]) -> Record:
    """With the changes for which ``keeps`` returns true."""
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
    kept = {
        name: [dated for dated in (*earlier.get(name, ()), dated_now) if keeps(dated)]
        for name, dated_now in current.items()
    }
    return (
        {name: history[-1] for name, history in kept.items() if history},
        {name: tuple(history[:-1]) for name, history in kept.items() if len(history) > 1},
    )


def deleted(record: Record, at: Instant) -> Record:
    """What is kept of a deleted record: the time of the deletion, and until when events wait for a change. The same
    object when it was deleted already and no change arrived since, or when it was created again later."""
    if (record.is_deleted and not record.changes) or (record.exists and record.created_at > at):
        return record
    return Record(
        record.key, record.created_at, version=record.version, deleted_at=at, awaited_until=record.awaited_until
    )


def affects_record(event: Event) -> bool:
    """Whether the event changes the stored record, so that it must be read and perhaps written."""
    return changes_record(event) or (event.object_id is not None and event.event_type.first_of is not None)


def changes_record(event: Event) -> bool:
    """Whether the event creates the record or changes its data."""
    return event.object_id is not None and (
        event.event_type.effect is not RecordEffect.NOTHING or event.record_properties is not None
    )


def apply_event(record: Record | None, event: Event, history_length: int = HISTORY_LENGTH) -> Record | None:
    """As ``changed``, by the change that the event brings."""
    key = event.record_key
    return None if key is None else changed(record, key, _change_of(event), history_length)


def with_co_changed_properties(record: Record, event: Event) -> Record:
    """The record as the event's criteria see it: with the properties that changed together with it. Not to be stored,
    because each of those changes has an event of its own that stores it."""
    if not event.changed_with:
        return record
    # All history is kept, and no size limits apply, because the result is only read.
    stamp = Stamp(event.occurred_at, event.evaluated_at, "", event.is_to_second)
    properties, earlier_properties = merged(
        record.properties, record.earlier_properties, event.changed_with, stamp, MAX_RECORD_BYTES
    )
    return replace(record, properties=properties, earlier_properties=earlier_properties)


def occurrences_of(event: Event, event_types: Mapping[str, EventType], record: Record | None) -> tuple[Occurrence, ...]:
    """The catalog rows that the event satisfies. The previous value of a changed property is taken from the record's
    history where the source did not send it. A creation is also a change of the creation date."""
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
    """Why a change of a membership is no change. None: it is one, or the event is not about a membership."""
    for list_id, is_added in _changed_memberships(event).items():
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
        properties=_changed_properties(event),
        memberships=_changed_memberships(event),
        creates=event.event_type.effect is RecordEffect.CREATES or event.record_properties is not None,
        first=None if key is None else (key, event.id),
        arrived_at=event.evaluated_at,
        event_id=event.id,
        is_to_second=event.is_to_second,
    )


def first_of(event: Event) -> str | None:
    """The key under which the record remembers which event was the first of its kind."""
    name = event.event_type.first_of
    if name is None:
        return None
    return f"{event.event_type.name}/{fold(as_text(event.properties.get(name)))}"


def _changed_properties(event: Event) -> Properties:
    changes = dict(event.record_properties or {})
    if event.event_type.effect is RecordEffect.CHANGES_PROPERTY:
        changes[read_name(event.properties["hs_name"])] = event.properties.get("hs_value")
    return changes


def _changed_memberships(event: Event) -> Mapping[str, bool]:
    if event.event_type.effect is not RecordEffect.CHANGES_MEMBERSHIP:
        return {}
    added = fold(as_text(event.properties["hs_membership_change"])) == "added"
    return {read_name(event.properties["hs_list_id"]): added}


def merged(
    current: Mapping[K, TimestampedValue],
    earlier: Mapping[K, tuple[TimestampedValue, ...]],
    changes: Mapping[K, Value],
    stamp: Stamp,
    history_length: int,
) -> tuple[Mapping[K, TimestampedValue], Mapping[K, tuple[TimestampedValue, ...]]]:
    """The values and those before them, after changes; the same objects when nothing changed.

    A change is put after all changes that its time tells to be earlier, and before the first later one. A change that
    is known already is not stored again.
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
        was = current.get(name)
        history = [*earlier.get(name, ()), was] if was is not None else []
        if any(dated.is_repeated_by(change) for dated in history):
            continue
        history.insert(_place(change, history), change)
        *before, values[name] = history
        if was is not None:
            histories[name] = tuple(_trim_history(before, values[name], history_length))
    news = {name: history for name, history in histories.items() if history != earlier.get(name, ())}
    changed_values = {name: dated for name, dated in values.items() if dated is not current.get(name)}
    return (
        {**current, **changed_values} if changed_values else current,
        {**earlier, **news} if news else earlier,
    )


def _place(change: TimestampedValue, history: Sequence[TimestampedValue]) -> int:
    after = next((number for number in range(len(history), 0, -1) if history[number - 1].is_before(change)), 0)
    return next((number for number in range(after, len(history)) if change.precedes(history[number])), len(history))


def _trim_history(history: list[TimestampedValue], current: TimestampedValue, length: int) -> list[TimestampedValue]:
    """Without what exceeds the length: first what only repeats the value between two that are the same, then the
    oldest. What cannot be ordered against the current value by its time is kept longer."""
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


def until(
    current: TimestampedValue | None, earlier: tuple[TimestampedValue, ...], moment: Moment
) -> tuple[TimestampedValue, ...]:
    """What something has been until a moment, oldest first, as far as it is kept."""
    if current is None:
        return ()
    return _ordered(tuple(dated for dated in (*earlier, current) if dated.is_seen_at(moment)), moment.event_id)


def _ordered(history: tuple[TimestampedValue, ...], event_id: str | None) -> tuple[TimestampedValue, ...]:
    """In the order that these changes have among themselves, whichever others exist and whenever each was stored.

    Exact times have one order. A change that is known to the second can follow two others of which it precedes one, so
    the order of some changes does not follow from that of all.
    """
    if not any(dated.is_to_second for dated in history):
        return history
    ordered: list[TimestampedValue] = []
    # Of changes that arrived in one millisecond, the observing event's own comes last.
    for dated in sorted(history, key=lambda dated: (dated.arrival, dated.event_id == event_id)):
        ordered.insert(_place(dated, ordered), dated)
    return tuple(ordered)


def _value_before(
    current: TimestampedValue | None, earlier: tuple[TimestampedValue, ...], moment: Moment, event: Event
) -> Value:
    history = until(current, earlier, moment)
    own = next((number for number, dated in enumerate(history) if _is_own(dated, event)), len(history))
    return history[own - 1].value if own else None


def _is_own(dated: TimestampedValue, event: Event) -> bool:
    """Whether the event brought the change. Changes that an earlier version stored have no origin."""
    if dated.event_id:
        return dated.event_id == event.id
    return dated.arrived_at is None and dated.changed_at == event.occurred_at


def _with_first(firsts: Mapping[str, str], first: tuple[str, str] | None) -> Mapping[str, str]:
    if first is None or first[0] in firsts:
        return firsts
    key, event_id = first
    return {**firsts, key: event_id}


def _trim_to_size(record: Record) -> Record:
    """With as much of its history as fits."""
    while (size := _size(record)) > MAX_RECORD_BYTES:
        longest = max(map(len, (*record.earlier_properties.values(), *record.earlier_memberships.values())), default=0)
        if longest == 0:
            raise InvalidEvent(
                "RECORD_TOO_LARGE",
                "detail.record.properties",
                f"expected a record of at most {MAX_RECORD_BYTES:,} bytes, found {size:,} bytes after this change; "
                "send only the properties that flows refer to",
            )
        kept = longest // 2
        record = replace(
            record,
            earlier_properties=_cut(record.earlier_properties, kept),
            earlier_memberships=_cut(record.earlier_memberships, kept),
        )
    return record


def _cut(earlier: ValueHistory, kept: int) -> ValueHistory:
    return {name: one[-kept:] for name, one in earlier.items()} if kept else {}


def _size(record: Record) -> int:
    current = (*record.properties.items(), *record.memberships.items())
    earlier = (*record.earlier_properties.items(), *record.earlier_memberships.items())
    return (
        _json_bytes([[name, one.value, one.changed_at] for name, one in current])
        + _json_bytes([[name, [[one.value, one.changed_at] for one in many]] for name, many in earlier])
        + _json_bytes(record.firsts)
        + _json_bytes(list({(one.event_id, one.arrived_at) for one in record.changes}))
        + STAMP_BYTES * len(record.changes)
    )


def _json_bytes(value: object) -> int:
    return len(json.dumps(value, ensure_ascii=False).encode())
