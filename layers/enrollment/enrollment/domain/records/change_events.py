"""The events that a change through the records API publishes: the same that another producer would have sent."""

import hashlib
import json
from collections.abc import Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from enrollment.domain.identifiers import RecordKey
from enrollment.domain.json_text import byte_length, json_text
from enrollment.domain.records.associations import Association, AssociationType
from enrollment.domain.records.record import Record, RecordUpdate, TimestampedValue
from enrollment.domain.values import Instant, Properties, Value, as_text, is_missing

# Bytes of JSON that ``changedWith`` may add to all events of one change together.
MAX_CARRIED = 1_000_000


class OutboundEvent(Struct, frozen=True):
    """An event to be published on the bus.

    ``record_properties``: a snapshot of the record; None: the event has none. ``changed_with``: the properties that
    changed together with the event's own; None: no others. ``is_to_second``: ``occurred_at`` is known to the second.

    ``id`` is a hash of the previous and the new value, so that a repeated or concurrent request yields the same event.
    The time of the last deletion is part of it, because a record that is created again can change in the same way. The
    event that set the previous value is part of it, because a value can change back and forth within a second.
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
    """Yield the events of a change.

    A new record yields one event with all properties. Otherwise each property whose value changed yields one. Each
    membership that changed yields another. A value that is older than the stored one changes nothing and yields none.
    ``before`` None: nothing was stored. ``after``: the record with the change applied.
    """
    if before is not None and before.exists:
        events = _property_events(before, after, change)
    else:
        events = _creation_events(before, after, change)
    for event in (*events, *_membership_events(before, after, change)):
        yield replace(event, is_to_second=change.is_to_second)


def association_events(association: Association, kinds: Sequence[AssociationType]) -> Iterator[OutboundEvent]:
    """Yield an event for each of these types, about its last change, seen from ``association.record``.

    The ID is a hash of that change. So a repeated request, which changes nothing, yields the same events.
    """
    for kind in kinds:
        state = association.last_change(kind)
        if state is None:
            continue
        properties: dict[str, Value] = {
            "hs_association_change": "ADDED" if state.value is True else "REMOVED",
            "hs_association_category": kind.category,
            "hs_association_type_id": str(kind.type_id),
            "hs_to_object_type_id": association.other.object_type_id,
            "hs_to_object_id": association.other.object_id,
        }
        parts = ("association", str(association.other), kind.category, kind.type_id, state.changed_at, state.value)
        event_id = _id(association.record, *parts)
        yield OutboundEvent(event_id, "crm.association_changed", association.record, state.changed_at, properties)


def _creation_events(before: Record | None, after: Record, change: RecordUpdate) -> Iterator[OutboundEvent]:
    if after.exists:
        event_id = _id(after.key, "created", _deleted_at(before))
        yield OutboundEvent(event_id, "crm.object_created", after.key, change.at, {}, dict(change.properties))


def _property_events(before: Record, after: Record, change: RecordUpdate) -> Iterator[OutboundEvent]:
    """Each event carries the whole change, unless that exceeds MAX_CARRIED. So the criteria of a flow that one property
    triggers see the others too, whichever event is processed first.

    Criteria see the whole change, but the event stores only its own property. If it stored the others, a repeated
    request would find no change, and events that the bus has not accepted yet would never be sent.
    """
    names = [name for name in change.properties if _differs(before.properties.get(name), after.properties.get(name))]
    whole = dict(change.properties)
    carried = whole if len(names) > 1 and len(names) * byte_length(json_text(whole)) <= MAX_CARRIED else None
    for name in names:
        previous, value = before.properties.get(name), after.properties[name].value
        properties = {"hs_name": name, "hs_value": value, "hs_previous_value": previous.value if previous else None}
        event_id = _id(after.key, "property", before.deleted_at, name, _origin(previous), as_text(value))
        yield OutboundEvent(event_id, "crm.property_changed", after.key, change.at, properties, changed_with=carried)


def _membership_events(before: Record | None, after: Record, change: RecordUpdate) -> Iterator[OutboundEvent]:
    for list_id in change.memberships:
        previous, current = _membership(before, list_id), _membership(after, list_id)
        if _is_member(previous) != _is_member(current):
            properties = {"hs_list_id": list_id, "hs_membership_change": "ADDED" if _is_member(current) else "REMOVED"}
            event_id = _id(
                after.key, "membership", _deleted_at(before), list_id, _origin(previous), str(_is_member(current))
            )
            yield OutboundEvent(event_id, "lists.membership_changed", after.key, change.at, properties)


def _deleted_at(record: Record | None) -> Instant | None:
    return None if record is None else record.deleted_at


def _differs(previous: TimestampedValue | None, current: TimestampedValue | None) -> bool:
    """Whether two values differ. ``3`` and ``"3"`` are equal, and so are null and empty."""
    if current is None or current == previous:
        return False
    if previous is None or is_missing(previous.value) or is_missing(current.value):
        return is_missing(previous.value if previous else None) != is_missing(current.value)
    return as_text(previous.value) != as_text(current.value)


def _membership(record: Record | None, list_id: str) -> TimestampedValue | None:
    return record.memberships.get(list_id) if record is not None else None


def _is_member(membership: TimestampedValue | None) -> bool:
    return membership is not None and membership.value is True


def _origin(dated: TimestampedValue | None) -> Sequence[object]:
    return () if dated is None else (dated.changed_at, dated.event_id, as_text(dated.value))


def _id(key: RecordKey, *parts: object) -> str:
    return hashlib.sha256(json.dumps([str(key), *parts]).encode()).hexdigest()[:40]
