"""The stored record: properties, list memberships, and what a change says about them.

Every value carries the time of its change, and the later change wins whatever the order of arrival; of two changes
at the same millisecond the greater text wins, so that any order of arrival and any redelivery ends the same.

A deleted record keeps the time of its deletion and nothing else: what occurred until then changes nothing any more, so
that neither a late event nor a replay brings its data back; what creates it later begins anew.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from enrollment.domain.event_types import RecordEffect
from enrollment.domain.events import Event, InvalidEvent
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.values import Instant, Properties, Value, as_text, fold, is_missing

# Bytes of the record as JSON in ASCII, which is how it is stored. A DynamoDB item holds 400 KB.
MAX_RECORD_BYTES = 350_000


@dataclass(frozen=True, slots=True)
class Dated:
    """A value and when it became so."""

    value: Value
    changed_at: Instant

    def supersedes(self, other: "Dated | None") -> bool:
        if other is None:
            return True
        return (self.changed_at, as_text(self.value)) > (other.changed_at, as_text(other.value))


@dataclass(frozen=True, slots=True)
class Record:
    """``memberships``: list id to whether the record is a member. ``firsts``: for the events of which only the first
    counts, "<event type>/<value>" to the id of the event that was first. ``version`` counts the stored changes;
    0: not stored yet. ``deleted_at``: when it was last deleted."""

    key: RecordKey
    created_at: Instant
    properties: Mapping[str, Dated] = field(default_factory=dict)
    memberships: Mapping[str, Dated] = field(default_factory=dict)
    firsts: Mapping[str, str] = field(default_factory=dict)
    version: int = 0
    deleted_at: Instant | None = None

    @property
    def is_deleted(self) -> bool:
        """Deleted, and not created again since."""
        return self.deleted_at is not None and self.created_at <= self.deleted_at

    @property
    def updated_at(self) -> Instant:
        """The latest change that is known of it."""
        dated = (*self.properties.values(), *self.memberships.values())
        return max([self.created_at, *(one.changed_at for one in dated)])

    def values(self) -> dict[str, Value]:
        return {name: dated.value for name, dated in self.properties.items()}

    def existed_at(self, instant: Instant) -> bool:
        return self.created_at <= instant


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes known of a record as of an instant. ``memberships``: list id to whether it is a member from then.
    ``creates``: the record exists from then at the latest. ``first``: the key and the id of an event of which only the
    first counts."""

    at: Instant
    properties: Properties = field(default_factory=dict)
    memberships: Mapping[str, bool] = field(default_factory=dict)
    creates: bool = False
    first: tuple[str, str] | None = None


def changed(record: Record | None, key: RecordKey, change: Change) -> Record | None:
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
    after = replace(
        before,
        created_at=min(before.created_at, change.at) if change.creates else before.created_at,
        properties=_merged(before.properties, change.properties, change.at),
        memberships=_merged(before.memberships, change.memberships, change.at),
        firsts=_with_first(before.firsts, change.first),
    )
    if after == record:
        return record
    _check_size(after)
    return after


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


def applied(record: Record | None, event: Event) -> Record | None:
    """As ``changed``, by what the event says."""
    key = event.record_key
    return None if key is None else changed(record, key, _change_of(event))


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
        changes[as_text(event.properties["hs_name"])] = event.properties.get("hs_value")
    return changes


def _changed_memberships(event: Event) -> Mapping[str, bool]:
    if event.event_type.effect is not RecordEffect.CHANGES_MEMBERSHIP:
        return {}
    added = fold(as_text(event.properties["hs_membership_change"])) == "added"
    return {as_text(event.properties["hs_list_id"]): added}


def _merged(current: Mapping[str, Dated], changes: Mapping[str, Value], at: Instant) -> Mapping[str, Dated]:
    winners = {
        name: dated
        for name, value in changes.items()
        if (dated := Dated(None if is_missing(value) else value, at)).supersedes(current.get(name))
    }
    return {**current, **winners} if winners else current


def _with_first(firsts: Mapping[str, str], first: tuple[str, str] | None) -> Mapping[str, str]:
    if first is None or first[0] in firsts:
        return firsts
    key, event_id = first
    return {**firsts, key: event_id}


def _check_size(record: Record) -> None:
    dated = (*record.properties.items(), *record.memberships.items())
    size = len(json.dumps([[name, one.value, one.changed_at] for name, one in dated])) + len(json.dumps(record.firsts))
    if size > MAX_RECORD_BYTES:
        raise InvalidEvent(
            "RECORD_TOO_LARGE",
            "detail.record.properties",
            f"the record would hold {size:,} bytes, allowed are {MAX_RECORD_BYTES:,}; "
            "send only the properties that flows refer to",
        )
