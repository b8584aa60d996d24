"""The stored record: properties, list memberships, what they were before, and what a change says about them.

Every value carries the time of its change, and the later change wins whatever the order of arrival; of two changes
at the same millisecond the greater text wins, so that any order of arrival and any redelivery ends the same. The values
before are kept, so that the record can be seen as it was when an event occurred; of each property the latest ones,
and fewer when the record grows too large.

A deleted record keeps the time of its deletion and nothing else: what occurred until then changes nothing any more, so
that neither a late event nor a replay brings its data back; what creates it later begins anew.
"""

import json
from collections.abc import Mapping, Sequence
from typing import TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from enrollment.domain.event_types import RecordEffect
from enrollment.domain.events import Event, InvalidEvent
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.values import Instant, Properties, Value, as_text, fold, is_missing, read_name

K = TypeVar("K")

# Bytes of the record as JSON in ASCII, which is how it is stored. A DynamoDB item holds 400 KB.
MAX_RECORD_BYTES = 350_000

# Earlier values kept of each property and membership, unless the stack says otherwise.
HISTORY_LENGTH = 20


class Dated(Struct, frozen=True):
    """A value and when it became so."""

    value: Value
    changed_at: Instant

    def supersedes(self, other: "Dated | None") -> bool:
        if other is None:
            return True
        return _order(self) > _order(other)


Earlier = Mapping[str, tuple[Dated, ...]]
"""By name, the values before the current one, oldest first."""


class Record(Struct, frozen=True):
    """``memberships``: list id to whether the record is a member. ``firsts``: for the events of which only the first
    counts, "<event type>/<value>" to the id of the event that was first. ``version`` counts the stored changes;
    0: not stored yet. ``deleted_at``: when it was last deleted. ``earlier_…``: what the values were before.
    ``awaited_until``: until when events wait for a change of it; None, or a time that has passed: none does."""

    key: RecordKey
    created_at: Instant
    properties: Mapping[str, Dated] = field(default_factory=dict)
    memberships: Mapping[str, Dated] = field(default_factory=dict)
    firsts: Mapping[str, str] = field(default_factory=dict)
    version: int = 0
    deleted_at: Instant | None = None
    earlier_properties: Earlier = field(default_factory=dict)
    earlier_memberships: Earlier = field(default_factory=dict)
    awaited_until: Instant | None = None

    @property
    def is_deleted(self) -> bool:
        """Deleted, and not created again since."""
        return self.deleted_at is not None and self.created_at <= self.deleted_at

    @property
    def updated_at(self) -> Instant:
        """The latest change that is known of it."""
        dated = (*self.properties.values(), *self.memberships.values())
        return max([self.created_at, *(one.changed_at for one in dated)])

    def values_at(self, instant: Instant) -> dict[str, Value]:
        """The properties as they were; those that had no value yet are missing."""
        changes = ((name, self.property_changes(name, instant)) for name in self.properties)
        return {name: many[-1].value for name, many in changes if many}

    def property_changes(self, name: str, instant: Instant) -> tuple[Dated, ...]:
        """What the property has been until an instant, oldest first, as far as it is kept."""
        return until(self.properties.get(name), self.earlier_properties.get(name, ()), instant)

    def has_lost(self, name: str, instant: Instant, history_length: int) -> bool:
        """Whether the property may have had a value at an instant that is not kept any more."""
        if name not in self.properties or self.property_changes(name, instant):
            return False
        return len(self.earlier_properties.get(name, ())) >= history_length

    def is_member(self, list_id: str, instant: Instant) -> bool:
        """As it was at an instant."""
        name = read_name(list_id)
        changes = until(self.memberships.get(name), self.earlier_memberships.get(name, ()), instant)
        return bool(changes) and changes[-1].value is True

    def changed_between(self, after: Instant, until: Instant) -> Sequence[Instant]:
        """When properties or memberships changed, each moment once, in order; without ``after``, with ``until``."""
        current = (*self.properties.values(), *self.memberships.values())
        earlier = (*self.earlier_properties.values(), *self.earlier_memberships.values())
        moments = {one.changed_at for one in (*current, *(one for many in earlier for one in many))}
        return sorted(moment for moment in moments if after < moment <= until)

    def awaited(self, until: Instant) -> "Record":
        """Noted that events wait for it until then. The same object when that is noted already."""
        if self.awaited_until is not None and self.awaited_until >= until:
            return self
        return replace(self, awaited_until=until)

    def existed_at(self, instant: Instant) -> bool:
        return self.created_at <= instant


class Change(Struct, frozen=True):
    """What becomes known of a record as of an instant. ``memberships``: list id to whether it is a member from then.
    ``creates``: the record exists from then at the latest. ``first``: the key and the id of an event of which only the
    first counts."""

    at: Instant
    properties: Properties = field(default_factory=dict)
    memberships: Mapping[str, bool] = field(default_factory=dict)
    creates: bool = False
    first: tuple[str, str] | None = None


def changed(
    record: Record | None, key: RecordKey, change: Change, history_length: int = HISTORY_LENGTH
) -> Record | None:
    """The record after the change; the same object when nothing changed. None: there is no such record, and the change
    doesn't create it. Raises InvalidEvent when the record would outgrow what can be stored."""
    if record is None and not change.creates:
        return None
    if record is not None and _tells_of_what_was_deleted(record, change):
        return record
    if record is None:
        before = Record(key, change.at)
    elif record.is_deleted:
        before = Record(key, change.at, version=record.version, deleted_at=record.deleted_at)
    else:
        before = record
    properties, earlier_properties = merged(
        before.properties, before.earlier_properties, change.properties, change.at, history_length
    )
    memberships, earlier_memberships = merged(
        before.memberships, before.earlier_memberships, change.memberships, change.at, history_length
    )
    after = replace(
        before,
        created_at=min(before.created_at, change.at) if change.creates else before.created_at,
        properties=properties,
        memberships=memberships,
        firsts=_with_first(before.firsts, change.first),
        earlier_properties=earlier_properties,
        earlier_memberships=earlier_memberships,
    )
    return record if after == record else _fitted(after)


def deleted(record: Record, at: Instant) -> Record:
    """What is kept of a deleted record. The same object when it was deleted already, or created again later."""
    if record.is_deleted or record.created_at > at:
        return record
    return Record(record.key, record.created_at, version=record.version, deleted_at=at)


def says_something(event: Event) -> bool:
    """Whether the event tells of the stored record, so that it must be read and perhaps changed."""
    return event.object_id is not None and (
        event.event_type.effect is not RecordEffect.NOTHING
        or event.record_properties is not None
        or event.event_type.first_of is not None
    )


def applied(record: Record | None, event: Event, history_length: int = HISTORY_LENGTH) -> Record | None:
    """As ``changed``, by what the event says."""
    key = event.record_key
    return None if key is None else changed(record, key, _change_of(event), history_length)


def with_companions(record: Record, event: Event) -> Record:
    """The record as the event's criteria see it: with what changed together with what the event tells. Not to be
    stored, for the events of those changes do that."""
    # Nothing that is kept is left out of sight, and nothing is too large to be seen.
    properties, earlier_properties = merged(
        record.properties, record.earlier_properties, event.changed_with, event.occurred_at, MAX_RECORD_BYTES
    )
    return replace(record, properties=properties, earlier_properties=earlier_properties)


def _tells_of_what_was_deleted(record: Record, change: Change) -> bool:
    if record.deleted_at is None:
        return False
    return change.at <= record.deleted_at or (record.is_deleted and not change.creates)


def _change_of(event: Event) -> Change:
    key = first_of(event)
    return Change(
        at=event.occurred_at,
        properties=_changed_properties(event),
        memberships=_changed_memberships(event),
        creates=event.event_type.effect is RecordEffect.CREATES or event.record_properties is not None,
        first=None if key is None else (key, event.id),
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
    current: Mapping[K, Dated],
    earlier: Mapping[K, tuple[Dated, ...]],
    changes: Mapping[K, Value],
    at: Instant,
    history_length: int,
) -> tuple[Mapping[K, Dated], Mapping[K, tuple[Dated, ...]]]:
    """The values and those before them, after changes at an instant; the same objects when nothing changed."""
    winners: dict[K, Dated] = {}
    histories: dict[K, tuple[Dated, ...]] = {}
    for name, value in changes.items():
        change, was = Dated(None if is_missing(value) else value, at), current.get(name)
        if change.supersedes(was):
            winners[name] = change
            superseded = was
        else:
            superseded = None if was is None or _order(change) == _order(was) else change
        before = earlier.get(name, ())
        if superseded is not None and all(_order(superseded) != _order(one) for one in before) and history_length:
            kept = sorted((*before, superseded), key=_order)
            histories[name] = tuple(_shortened(kept, winners.get(name, was), history_length))
    has_news = any(earlier.get(name) != one for name, one in histories.items())
    return ({**current, **winners} if winners else current, {**earlier, **histories} if has_news else earlier)


def _shortened(history: list[Dated], current: Dated | None, length: int) -> list[Dated]:
    """Without what is too much: first what only repeats the value between two that are the same, then the oldest."""
    while len(history) > length:
        following = [*history[1:], current]
        repeated = (
            number
            for number in range(1, len(history))
            if _text(history[number - 1]) == _text(history[number]) == _text(following[number])
        )
        del history[next(repeated, 0)]
    return history


def _text(dated: Dated | None) -> str | None:
    return None if dated is None else json.dumps(dated.value)


def until(current: Dated | None, earlier: tuple[Dated, ...], instant: Instant) -> tuple[Dated, ...]:
    """What something has been until an instant, oldest first, as far as it is kept."""
    if current is None:
        return ()
    return tuple(one for one in (*earlier, current) if one.changed_at <= instant)


def _order(dated: Dated) -> tuple[Instant, str, str]:
    """Of any two different values one is the greater: ``"a;b"`` and ``["a", "b"]`` read the same and are not."""
    return dated.changed_at, as_text(dated.value), json.dumps(dated.value)


def _with_first(firsts: Mapping[str, str], first: tuple[str, str] | None) -> Mapping[str, str]:
    if first is None or first[0] in firsts:
        return firsts
    key, event_id = first
    return {**firsts, key: event_id}


def _fitted(record: Record) -> Record:
    """With as much of its history as fits."""
    while (size := _size(record)) > MAX_RECORD_BYTES:
        longest = max(map(len, (*record.earlier_properties.values(), *record.earlier_memberships.values())), default=0)
        if longest == 0:
            raise InvalidEvent(
                "RECORD_TOO_LARGE",
                "detail.record.properties",
                f"the record would hold {size:,} bytes, allowed are {MAX_RECORD_BYTES:,}; "
                "send only the properties that flows refer to",
            )
        kept = longest // 2
        record = replace(
            record,
            earlier_properties=_cut(record.earlier_properties, kept),
            earlier_memberships=_cut(record.earlier_memberships, kept),
        )
    return record


def _cut(earlier: Earlier, kept: int) -> Earlier:
    return {name: one[-kept:] for name, one in earlier.items()} if kept else {}


def _size(record: Record) -> int:
    current = (*record.properties.items(), *record.memberships.items())
    earlier = (*record.earlier_properties.items(), *record.earlier_memberships.items())
    return (
        len(json.dumps([[name, one.value, one.changed_at] for name, one in current]))
        + len(json.dumps([[name, [[one.value, one.changed_at] for one in many]] for name, many in earlier]))
        + len(json.dumps(record.firsts))
    )
