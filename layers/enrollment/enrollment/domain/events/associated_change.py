"""A change of a record as an event about each associated record (docs/flows.md, "When a record enters").

A filter-based flow can have criteria about associated records. A change of a company can make each of its contacts
start to meet such criteria, so each of them is decided by an event of its own. The event is never on the bus and not
in the catalog, so no producer can send it. It has the ID and the times of the event that changed the company.
"""

from collections.abc import Collection, Mapping

from msgspec import Struct
from msgspec.structs import replace

from enrollment.domain.events.event import Event
from enrollment.domain.events.event_types import ALL_OBJECTS, EventType, Property, PropertyType, RecordEffect
from enrollment.domain.events.own_types import ASSOCIATED_RECORD_EVENT
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.values import Value

OBJECT_TYPE, OBJECT_ID, PROPERTIES, LISTS = (
    "hs_to_object_type_id",
    "hs_to_object_id",
    "hs_changed_properties",
    "hs_changed_lists",
)

ASSOCIATED_RECORD_CHANGED = EventType(
    ASSOCIATED_RECORD_EVENT,
    "Associated record changed",
    ALL_OBJECTS,
    tuple(Property(name, name, PropertyType.ENUMERATION) for name in (OBJECT_TYPE, OBJECT_ID, PROPERTIES, LISTS)),
    effect=RecordEffect.CHANGES_ASSOCIATED_RECORD,
)

# Bytes of the names that an event states. If more changed, it states none.
MAX_NAMES_BYTES = 4_096


class ChangedParts(Struct, frozen=True):
    """What changed of a record. ``properties``: their names. ``lists``: the IDs of the lists. Both empty: the record
    was created, or more changed than MAX_NAMES_BYTES."""

    properties: frozenset[str] = frozenset()
    lists: frozenset[str] = frozenset()

    def limited(self) -> "ChangedParts":
        """Return the parts without names if these exceed MAX_NAMES_BYTES."""
        named_bytes = sum(len(name.encode()) for name in (*self.properties, *self.lists))
        return self if named_bytes <= MAX_NAMES_BYTES else ChangedParts()


class AssociatedChange(Struct, frozen=True):
    """The records of one object type that a change of an associated record concerns.

    ``event``: the event that changed the record. ``object_type_id``: the type of the records to be decided.
    ``object_ids``: these records; None: all that are associated, from the first one whose ID follows ``after``.
    ``flow_ids``: only these flows are decided; None: all. ``is_replay``: the event was replayed. ``messages_before``:
    the number of messages that listed the associated records before ``after``.
    """

    event: Event
    parts: ChangedParts
    object_type_id: str
    object_ids: tuple[str, ...] | None = None
    after: str = ""
    flow_ids: frozenset[str] | None = None
    is_replay: bool = False
    messages_before: int = 0

    def reduced(self) -> "AssociatedChange":
        """Return the change with the changed properties as its only snapshot. The whole snapshot is stored already. The
        message may have to be delivered as an event again, which then makes the same change."""
        snapshot = self.event.record_properties
        if snapshot is not None:
            snapshot = {name: value for name, value in snapshot.items() if name in self.parts.properties}
        return replace(self, event=replace(self.event, record_properties=snapshot, unknown_names=()))

    def event_about(self, object_id: str) -> Event:
        """Return the event about one of the records."""
        properties: dict[str, Value] = {
            OBJECT_TYPE: self.event.object_type_id,
            OBJECT_ID: self.event.object_id,
            **({PROPERTIES: sorted(self.parts.properties)} if self.parts.properties else {}),
            **({LISTS: sorted(self.parts.lists)} if self.parts.lists else {}),
        }
        return replace(
            self.event,
            event_type=ASSOCIATED_RECORD_CHANGED,
            object_type_id=self.object_type_id,
            object_id=object_id,
            properties=properties,
            record_properties=None,
            changed_with={},
        )


def changed_record(event: Event) -> RecordKey | None:
    """Return the key of the associated record that changed. None: the event is of another type."""
    if event.event_type.effect is not RecordEffect.CHANGES_ASSOCIATED_RECORD:
        return None
    return RecordKey(event.portal_id, str(event.properties[OBJECT_TYPE]), str(event.properties[OBJECT_ID]))


def changed_parts(event: Event) -> ChangedParts:
    """Return what changed of the associated record."""
    return ChangedParts(_names(event.properties, PROPERTIES), _names(event.properties, LISTS))


def _names(properties: Mapping[str, Value], name: str) -> frozenset[str]:
    names = properties.get(name)
    return frozenset(names) if isinstance(names, Collection) and not isinstance(names, str) else frozenset()
