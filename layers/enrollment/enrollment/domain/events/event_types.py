"""The types of which the catalog of events is made. Its 35 rows are data in ``enrollment.catalog``."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType

from msgspec import Struct, field

from enrollment.domain.operators.filters import PropertyFilter
from enrollment.domain.operators.urls import UrlPart
from enrollment.domain.values import Properties, Value, as_text, fold, is_missing, read_bool, read_name


class PropertyType(StrEnum):
    """HubSpot's types of event properties. The type determines the operations that a refinement may use."""

    STRING = "STRING"
    ENUMERATION = "ENUMERATION"
    NUMBER = "NUMBER"
    BOOL = "BOOL"
    DATETIME = "DATETIME"


_TEXT_OPERATIONS = frozenset({"ALL_PROPERTY", "STRING", "MULTISTRING", "ENUMERATION"})

# The operation types that a refinement may use on a property of each type. HubSpot's exports write IDs both as STRING
# and as ENUMERATION, so these two have the same operations.
OPERATIONS_OF: Mapping[PropertyType, frozenset[str]] = MappingProxyType(
    {
        PropertyType.STRING: _TEXT_OPERATIONS,
        PropertyType.ENUMERATION: _TEXT_OPERATIONS,
        PropertyType.NUMBER: frozenset({"ALL_PROPERTY", "NUMBER", "NUMBER_RANGED"}),
        PropertyType.BOOL: frozenset({"ALL_PROPERTY", "BOOL"}),
        PropertyType.DATETIME: frozenset({"ALL_PROPERTY", "DATETIME", "DATE", "RANGED_DATE"}),
    }
)
EVERY_OPERATION = frozenset().union(*OPERATIONS_OF.values())


class Property(Struct, frozen=True):
    """A property of an event type.

    ``label``: the name in HubSpot's editor. ``options``: the values that HubSpot documents; empty for an ENUMERATION of
    the account's own objects (forms, emails, lists). ``holds_any_type``: the value is that of a record property of any
    type, so all operations are allowed. ``url_part``: the part of a URL that it holds; None: it holds none.
    """

    name: str
    label: str
    type: PropertyType = PropertyType.STRING
    options: tuple[str, ...] = ()
    holds_any_type: bool = False
    url_part: UrlPart | None = None

    @property
    def operations(self) -> frozenset[str]:
        """The operation types that a refinement may use on the property."""
        return EVERY_OPERATION if self.holds_any_type else OPERATIONS_OF[self.type]


class ObjectTypes(Struct, frozen=True):
    """The object types whose flows may use an event. ``ids`` None: all. ``custom``: custom objects (2-<n>) too."""

    ids: frozenset[str] | None
    custom: bool
    label: str

    def allow(self, object_type_id: str) -> bool:
        """Whether flows of this object type may use the event."""
        return self.ids is None or object_type_id in self.ids or (self.custom and object_type_id.startswith("2-"))


CONTACTS = ObjectTypes(frozenset({"0-1"}), custom=False, label="contact (0-1)")
ALL_OBJECTS = ObjectTypes(None, custom=True, label="any object type")
LISTED_OBJECTS = ObjectTypes(
    frozenset({"0-1", "0-2", "0-3"}),
    custom=True,
    label="contact (0-1), company (0-2), deal (0-3), custom objects (2-…)",
)


class RecordEffect(StrEnum):
    """How an event changes the stored record, in addition to the snapshot that any event may carry.

    A change of an association is stored before its event is published, so the event only announces it. So does an
    event about a change of an associated record.
    """

    NOTHING = "nothing"
    CREATES = "creates"
    CHANGES_PROPERTY = "changes a property"
    CHANGES_MEMBERSHIP = "changes a membership"
    CHANGES_ASSOCIATION = "changes an association"
    CHANGES_ASSOCIATED_RECORD = "changes an associated record"


class Trigger(StrEnum):
    """Where a flow refers to the event: in ``eventFilterBranches`` or in ``listMembershipFilterBranches``."""

    EVENT = "event"
    LIST_MEMBERSHIP = "list membership"


# An event's own rule -----------------------------------------------------------------------------------------------


class IsNotTrue(Struct, frozen=True):
    """The event is eligible unless the property is true. ``because``: the reason that a rejection is logged with."""

    property: str
    because: str

    def rejection_reason(self, properties: Properties) -> str | None:
        """Return why the event is not eligible. None: it is eligible."""
        return self.because if read_bool(properties.get(self.property)) is True else None


class IsOneOf(Struct, frozen=True):
    """The event is eligible if the property has one of the options, in any case. ``or_missing``: or has no value.
    ``because``: the reason that a rejection is logged with."""

    property: str
    options: tuple[str, ...]
    because: str
    or_missing: bool = False

    def rejection_reason(self, properties: Properties) -> str | None:
        """Return why the event is not eligible. None: it is eligible."""
        value = properties.get(self.property)
        if is_missing(value):
            accepted = self.or_missing
        else:
            accepted = read_name(value) in {fold(option) for option in self.options}
        if accepted:
            return None
        return f"{self.because} ({self.property}: expected {' or '.join(self.options)}; got {_shown(value)})"


class Differs(Struct, frozen=True):
    """The event is eligible if the values of two properties differ. Two missing values are equal."""

    before: str
    after: str
    because: str

    def rejection_reason(self, properties: Properties) -> str | None:
        """Return why the event is not eligible. None: it is eligible."""
        before, after = properties.get(self.before), properties.get(self.after)
        if as_text(before) != as_text(after):
            return None
        if is_missing(after):
            return f"{self.because} ({self.before} and {self.after} have no value)"
        return f"{self.because} ({self.before} and {self.after} are both {_shown(after)})"


Rule = IsNotTrue | IsOneOf | Differs


def _shown(value: Value) -> str:
    """Return the value for a log line, limited in length."""
    return "no value" if is_missing(value) else repr(value)[:80]


# A row -------------------------------------------------------------------------------------------------------------


class EventTypeId(Struct, frozen=True):
    """HubSpot's ID of an event type. ``implies``: refinements that a trigger with this ID has in addition."""

    id: str
    implies: tuple[PropertyFilter, ...] = ()


class AlsoSatisfies(Struct, frozen=True):
    """The event also satisfies ``event_type``, if ``when`` holds (None: always). There it has the properties ``adds``
    too. A value that the source sent takes precedence."""

    event_type: str
    when: PropertyFilter | None = None
    adds: Mapping[str, Value] = field(default_factory=dict)


class RequiredFilter(Struct, frozen=True):
    """A trigger with a refinement on one of ``on_properties`` has the refinement ``implies`` too."""

    on_properties: frozenset[str]
    implies: PropertyFilter


Derivation = Callable[[Properties], Mapping[str, Value]]


class EventType(Struct, frozen=True):
    """A row of the catalog (docs/events.md).

    ``ids``: HubSpot's IDs, the one that HubSpot shows first. ``required``: an event without one of these properties is
    invalid. ``rules``: conditions for the event to be eligible. ``first_of``: for each record and value of this
    property, only the first event is eligible. ``derivations``: functions that compute properties that the source did
    not send. ``also``: other rows that the event can satisfy. ``may_create_record``: such an event can lead to the
    creation of its record, so the record may be created after the event (record tolerance).
    """

    name: str
    label: str
    object_types: ObjectTypes
    properties: tuple[Property, ...]
    ids: tuple[EventTypeId, ...] = ()
    trigger: Trigger = Trigger.EVENT
    required: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    first_of: str | None = None
    derivations: tuple[Derivation, ...] = ()
    also: tuple[AlsoSatisfies, ...] = ()
    narrowing: RequiredFilter | None = None
    effect: RecordEffect = RecordEffect.NOTHING
    may_create_record: bool = False

    @property
    def category(self) -> str:
        """The part of the name before the dot: the category's name."""
        return self.name.partition(".")[0]

    @property
    def event_type_id(self) -> str | None:
        """The ID that HubSpot shows for the event type. None: it has no public ID."""
        return self.ids[0].id if self.ids else None

    @property
    def changes_properties(self) -> bool:
        """Whether the event is about properties of the record, so that it may carry ``changedWith``."""
        return self.effect in (RecordEffect.CREATES, RecordEffect.CHANGES_PROPERTY)

    def property(self, name: str) -> Property | None:
        """Return the property with this name. None: the event type does not have it."""
        return next((known for known in self.properties if known.name == name), None)


class Category(Struct, frozen=True):
    """Event types that one function processes. ``name`` is the first part of their names."""

    name: str
    label: str
    event_types: tuple[EventType, ...]
