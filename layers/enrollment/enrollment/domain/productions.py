"""What a change made here puts on the bus: the events that any producer would have sent of it."""

from collections.abc import Iterator
from dataclasses import dataclass

from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records import Change, Record
from enrollment.domain.values import Instant, Properties


@dataclass(frozen=True, slots=True)
class Production:
    """An event to be put on the bus; ``record_properties``: the snapshot that travels with it."""

    event_type: str
    record_key: RecordKey
    occurred_at: Instant
    properties: Properties
    record_properties: Properties | None = None


def productions(before: Record | None, after: Record, change: Change) -> Iterator[Production]:
    """A record's creation is one event with all that is known of it; else one event for each property and membership
    that is another now. A value that is older than the stored one changes nothing, and is no event."""
    key, at = after.key, change.at
    if before is None or before.is_deleted:
        if not after.is_deleted:
            yield Production("crm.object_created", key, at, {}, dict(change.properties))
    else:
        for name in change.properties:
            was, now = before.properties.get(name), after.properties.get(name)
            if now is not None and now != was and (was.value if was else None) != now.value:
                properties = {"hs_name": name, "hs_value": now.value, "hs_previous_value": was.value if was else None}
                yield Production("crm.property_changed", key, at, properties)
    for list_id in change.memberships:
        was_member, is_member = _is_member(before, list_id), _is_member(after, list_id)
        if was_member != is_member:
            properties = {"hs_list_id": list_id, "hs_membership_change": "ADDED" if is_member else "REMOVED"}
            yield Production("lists.membership_changed", key, at, properties)


def _is_member(record: Record | None, list_id: str) -> bool:
    found = record.memberships.get(list_id) if record is not None else None
    return found is not None and found.value is True
