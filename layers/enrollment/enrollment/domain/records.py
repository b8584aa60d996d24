"""The stored record: properties, list memberships, and what an event says about them.

Every value carries the time of its change, and the later change wins whatever the order of arrival; of two changes
at the same millisecond the greater text wins, so that any order of arrival and any redelivery ends the same.
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
    0: not stored yet."""

    key: RecordKey
    created_at: Instant
    properties: Mapping[str, Dated] = field(default_factory=dict)
    memberships: Mapping[str, Dated] = field(default_factory=dict)
    firsts: Mapping[str, str] = field(default_factory=dict)
    version: int = 0

    def values(self) -> dict[str, Value]:
        return {name: dated.value for name, dated in self.properties.items()}

    def existed_at(self, instant: Instant) -> bool:
        return self.created_at <= instant


def says_something(event: Event) -> bool:
    """Whether the event tells of the stored record, so that it must be read and perhaps changed."""
    return event.object_id is not None and (
        event.event_type.effect is not RecordEffect.NOTHING
        or event.record_properties is not None
        or event.event_type.first_of is not None
    )


def applied(record: Record | None, event: Event) -> Record | None:
    """The record after the event; the same object when nothing changed. None: there is no such record, and the event
    doesn't create it. Raises InvalidEvent when the record would outgrow what can be stored."""
    key = event.record_key
    creates = event.event_type.effect is RecordEffect.CREATES or event.record_properties is not None
    if key is None or (record is None and not creates):
        return None
    before = record or Record(key, event.occurred_at)
    after = replace(
        before,
        created_at=min(before.created_at, event.occurred_at) if creates else before.created_at,
        properties=_merged(before.properties, _changed_properties(event), event.occurred_at),
        memberships=_merged(before.memberships, _changed_memberships(event), event.occurred_at),
        firsts=_with_first(before.firsts, event),
    )
    if record is not None and after == before:
        return record
    _check_size(after)
    return after


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


def _changed_memberships(event: Event) -> Mapping[str, Value]:
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


def _with_first(firsts: Mapping[str, str], event: Event) -> Mapping[str, str]:
    key = first_of(event)
    return firsts if key is None or key in firsts else {**firsts, key: event.id}


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
