"""The definitions of record properties: their types, as HubSpot names them, and the operations that suit each type.

Criteria can use every operation on every property. The definitions only tell an editor what to offer.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from msgspec import Struct


class RecordPropertyType(StrEnum):
    """HubSpot's types of record properties."""

    STRING = "string"
    NUMBER = "number"
    DATE = "date"
    DATETIME = "datetime"
    ENUMERATION = "enumeration"
    BOOL = "bool"
    PHONE_NUMBER = "phone_number"


class RecordProperty(Struct, frozen=True):
    """A property of the records of a type. ``label``: its name in HubSpot's editor. ``options``: the values that
    HubSpot documents, each with its label; empty if the account defines them."""

    name: str
    label: str
    type: RecordPropertyType = RecordPropertyType.STRING
    options: tuple[tuple[str, str], ...] = ()


_ON_UPDATES = ("ROLLING_PROPERTY_UPDATED", "COMPARATIVE_PROPERTY_UPDATED")
_TEXT_OPERATIONS = ("STRING", "MULTISTRING", "ALL_PROPERTY", "COMPARATIVE_STRING", *_ON_UPDATES)
_DATE_OPERATIONS = (
    "DATE",
    "DATETIME",
    "RANGED_DATE",
    "ROLLING_DATE_RANGE",
    "CALENDAR_DATE",
    "TIME_POINT",
    "TIME_RANGED",
    "COMPARATIVE_DATE",
    "ALL_PROPERTY",
    *_ON_UPDATES,
)

# The operation types that an editor offers for a property of each type, the most usual first.
RECORD_OPERATIONS_OF: Mapping[RecordPropertyType, tuple[str, ...]] = MappingProxyType(
    {
        RecordPropertyType.STRING: _TEXT_OPERATIONS,
        RecordPropertyType.PHONE_NUMBER: _TEXT_OPERATIONS,
        RecordPropertyType.NUMBER: ("NUMBER", "NUMBER_RANGED", "ALL_PROPERTY", *_ON_UPDATES),
        RecordPropertyType.DATE: _DATE_OPERATIONS,
        RecordPropertyType.DATETIME: _DATE_OPERATIONS,
        RecordPropertyType.ENUMERATION: ("ENUMERATION", "ALL_PROPERTY", "COMPARATIVE_STRING", *_ON_UPDATES),
        RecordPropertyType.BOOL: ("BOOL", "ALL_PROPERTY", *_ON_UPDATES),
    }
)
