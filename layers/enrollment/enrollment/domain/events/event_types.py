"""What the catalog says of an event: its vocabulary. The 35 rows themselves are data, in ``enrollment.catalog``."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType

from msgspec import Struct, field

from enrollment.domain.operators.filters import PropertyFilter
from enrollment.domain.operators.urls import UrlPart
from enrollment.domain.values import Properties, Value, as_text, fold, is_missing, read_bool, read_name


class PropertyType(StrEnum):
    STRING = "STRING"
    ENUMERATION = "ENUMERATION"
    NUMBER = "NUMBER"
    BOOL = "BOOL"
    DATETIME = "DATETIME"


_TEXT_OPERATIONS = frozenset({"ALL_PROPERTY", "STRING", "MULTISTRING", "ENUMERATION"})

# The operation types that a refinement may use on a property of each type. HubSpot's exports write ids now as
# texts, now as options, so these two share their operations.
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
    """``options`` are the values that the platform knows; none for an ENUMERATION whose values are the account's own
    objects (forms, emails, lists). ``holds_any_type``: the value of some other property, whose type decides.
    ``url_part``: what of a URL it holds, if it holds any."""

    name: str
    label: str
    type: PropertyType = PropertyType.STRING
    options: tuple[str, ...] = ()
    holds_any_type: bool = False
    url_part: UrlPart | None = None

    @property
    def operations(self) -> frozenset[str]:
        return EVERY_OPERATION if self.holds_any_type else OPERATIONS_OF[self.type]


class ObjectTypes(Struct, frozen=True):
    """Which object types' flows may use an event. ``ids`` None: all."""

    ids: frozenset[str] | None
    custom: bool
    label: str

    def allow(self, object_type_id: str) -> bool:
        return self.ids is None or object_type_id in self.ids or (self.custom and object_type_id.startswith("2-"))


CONTACTS = ObjectTypes(frozenset({"0-1"}), custom=False, label="contact (0-1)")
ALL_OBJECTS = ObjectTypes(None, custom=True, label="any object type")
LISTED_OBJECTS = ObjectTypes(
    frozenset({"0-1", "0-2", "0-3"}),
    custom=True,
    label="contact (0-1), company (0-2), deal (0-3), custom objects (2-…)",
)


class RecordEffect(StrEnum):
    """What an event says about the stored record, beside the snapshot that any event may carry."""

    NOTHING = "nothing"
    CREATES = "creates"
    CHANGES_PROPERTY = "changes a property"
    CHANGES_MEMBERSHIP = "changes a membership"


class Trigger(StrEnum):
    """Where a flow names the event: in ``eventFilterBranches`` or in ``listMembershipFilterBranches``."""

    EVENT = "event"
    LIST_MEMBERSHIP = "list membership"


# An event's own rule -----------------------------------------------------------------------------------------------


class IsNotTrue(Struct, frozen=True):
    """Not eligible when the property is true."""

    property: str
    because: str

    def rejection_reason(self, properties: Properties) -> str | None:
        return self.because if read_bool(properties.get(self.property)) is True else None


class IsOneOf(Struct, frozen=True):
    """Eligible only when the property holds one of the options; ``or_missing``: or when the source says nothing."""

    property: str
    options: tuple[str, ...]
    because: str
    or_missing: bool = False

    def rejection_reason(self, properties: Properties) -> str | None:
        found = properties.get(self.property)
        if is_missing(found):
            accepted = self.or_missing
        else:
            accepted = read_name(found) in {fold(option) for option in self.options}
        if accepted:
            return None
        return f"{self.because} ({self.property}: found {_shown(found)}, allowed is {' or '.join(self.options)})"


class Differs(Struct, frozen=True):
    """Eligible only when the two properties hold different values (both missing counts as the same)."""

    before: str
    after: str
    because: str

    def rejection_reason(self, properties: Properties) -> str | None:
        before, after = properties.get(self.before), properties.get(self.after)
        same = as_text(before) == as_text(after)
        return f"{self.because} ({self.before} and {self.after} are both {_shown(after)})" if same else None


Rule = IsNotTrue | IsOneOf | Differs


def _shown(value: Value) -> str:
    """For a sentence that is logged: enough to recognise it."""
    return repr(value)[:80]


# A row -------------------------------------------------------------------------------------------------------------


class EventTypeId(Struct, frozen=True):
    """HubSpot's id. ``implies``: refinements that naming the event by this id stands for."""

    id: str
    implies: tuple[PropertyFilter, ...] = ()


class AlsoSatisfies(Struct, frozen=True):
    """The bus event is one of ``event_type`` too, when ``when`` holds; there it has the properties ``adds`` as well
    (those that the source sent win)."""

    event_type: str
    when: PropertyFilter | None = None
    adds: Mapping[str, Value] = field(default_factory=dict)


class RequiredFilter(Struct, frozen=True):
    """A trigger with a refinement on one of the properties is held to ``implies`` too."""

    on_properties: frozenset[str]
    implies: PropertyFilter


Derivation = Callable[[Properties], Mapping[str, Value]]


class EventType(Struct, frozen=True):
    """One of the catalog's rows (docs/events.md).

    ``may_create_record``: the event may be what made its record known, so the record may be created a moment after it.
    ``required`` properties: an event without one is invalid. ``derivations`` give the properties that the source did
    not send. ``first_of``: only the first event of this type with a value of that property is eligible, for a record.
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
        return self.name.partition(".")[0]

    @property
    def event_type_id(self) -> str | None:
        """The id under which HubSpot shows it; None where no public one exists."""
        return self.ids[0].id if self.ids else None

    @property
    def changes_properties(self) -> bool:
        """Whether it tells of properties of the record: others may have changed together with these."""
        return self.effect in (RecordEffect.CREATES, RecordEffect.CHANGES_PROPERTY)

    def property(self, name: str) -> Property | None:
        return next((one for one in self.properties if one.name == name), None)


class Category(Struct, frozen=True):
    name: str
    label: str
    event_types: tuple[EventType, ...]
