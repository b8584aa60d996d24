"""What a change made here puts on the bus: the events that any producer would have sent of it."""

import hashlib
import json
from collections.abc import Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from enrollment.domain.identifiers import RecordKey
from enrollment.domain.json_text import byte_length, json_text
from enrollment.domain.records.record import Record, RecordUpdate, TimestampedValue
from enrollment.domain.values import Instant, Properties, as_text, is_missing

# Bytes of JSON that the events of one change carry together of the whole change.
MAX_CARRIED = 1_000_000


class OutboundEvent(Struct, frozen=True):
    """An event to be put on the bus; ``record_properties``: the snapshot that travels with it; ``changed_with``: the
    properties that changed together with what it tells.

    ``id`` is made of what was and what is, so that the same change, asked for again or by two at once, is one event.
    It is made of the last deletion too, because a record that is created anew can change in the same way again, and of
    the event that brought what was, because within one second a value can change back and forth.
    """

    id: str
    event_type: str
    record_key: RecordKey
    occurred_at: Instant
    properties: Properties
    record_properties: Properties | None = None
    changed_with: Properties | None = None
    is_to_second: bool = False


def change_events(before: Record | None, after: Record, change: RecordUpdate) -> Iterator[OutboundEvent]:
    """Yield the events of a change: for a new record one event with all its properties, else one event for each
    property whose value changed; then one event for each membership that changed. A value that is older than the stored
    one changes nothing, so it yields no event."""
    if before is not None and before.exists:
        events = _property_events(before, after, change)
    else:
        events = _creation_events(before, after, change)
    for event in (*events, *_membership_events(before, after, change)):
        yield replace(event, is_to_second=change.is_to_second)


def _creation_events(before: Record | None, after: Record, change: RecordUpdate) -> Iterator[OutboundEvent]:
    if after.exists:
        event_id = _id(after.key, "created", _deleted_at(before))
        yield OutboundEvent(event_id, "crm.object_created", after.key, change.at, {}, dict(change.properties))


def _property_events(before: Record, after: Record, change: RecordUpdate) -> Iterator[OutboundEvent]:
    """Each event carries the whole change, unless that exceeds MAX_CARRIED. So a flow that is triggered by one property
    sees the others, whichever event is processed first.

    The whole change is there to be seen by criteria, not to be stored. If the event of one property stored the others,
    a repeated request would find no change, and events that the bus has not accepted yet would never be sent.
    """
    names = [name for name in change.properties if _differs(before.properties.get(name), after.properties.get(name))]
    whole = dict(change.properties)
    carried = whole if len(names) > 1 and len(names) * byte_length(json_text(whole)) <= MAX_CARRIED else None
    for name in names:
        was, value = before.properties.get(name), after.properties[name].value
        properties = {"hs_name": name, "hs_value": value, "hs_previous_value": was.value if was else None}
        event_id = _id(after.key, "property", before.deleted_at, name, _origin(was), as_text(value))
        yield OutboundEvent(event_id, "crm.property_changed", after.key, change.at, properties, changed_with=carried)


def _membership_events(before: Record | None, after: Record, change: RecordUpdate) -> Iterator[OutboundEvent]:
    for list_id in change.memberships:
        was, now = _membership(before, list_id), _membership(after, list_id)
        if _is_member(was) != _is_member(now):
            properties = {"hs_list_id": list_id, "hs_membership_change": "ADDED" if _is_member(now) else "REMOVED"}
            event_id = _id(after.key, "membership", _deleted_at(before), list_id, _origin(was), str(_is_member(now)))
            yield OutboundEvent(event_id, "lists.membership_changed", after.key, change.at, properties)


def _deleted_at(record: Record | None) -> Instant | None:
    return None if record is None else record.deleted_at


def _differs(was: TimestampedValue | None, now: TimestampedValue | None) -> bool:
    """``3`` and ``"3"`` are one value, as are null and empty."""
    if now is None or now == was:
        return False
    if was is None or is_missing(was.value) or is_missing(now.value):
        return is_missing(was.value if was else None) != is_missing(now.value)
    return as_text(was.value) != as_text(now.value)


def _membership(record: Record | None, list_id: str) -> TimestampedValue | None:
    return record.memberships.get(list_id) if record is not None else None


def _is_member(membership: TimestampedValue | None) -> bool:
    return membership is not None and membership.value is True


def _origin(dated: TimestampedValue | None) -> Sequence[object]:
    return () if dated is None else (dated.changed_at, dated.event_id, as_text(dated.value))


def _id(key: RecordKey, *parts: object) -> str:
    return hashlib.sha256(json.dumps([str(key), *parts]).encode()).hexdigest()[:40]
