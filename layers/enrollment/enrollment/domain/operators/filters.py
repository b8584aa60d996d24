"""Refinements on event properties, and the failures of filters."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from enrollment.domain.operators.property_operators import Operation, operation
from enrollment.domain.values import Properties, Value


class Failure(Struct, frozen=True):
    """A filter that does not hold.

    ``operation``: as the flow JSON has it. ``found``: the value. ``because``: why it could not be compared, if so.
    ``associated``: for a filter on associated records, the first of the records because of which it fails.
    """

    property: str
    operation: Mapping[str, Any]
    found: Value
    because: str | None = None
    associated: tuple["AssociatedFailure", ...] = ()


class AssociatedFailure(Struct, frozen=True):
    """An associated record because of which a filter fails.

    ``record``: its object type ID and its ID, for example 0-2/900. ``failure``: its first filter that does not hold.
    None: it meets all filters, and no record may.
    """

    record: str
    failure: Failure | None


class PropertyFilter(Struct, frozen=True):
    """An operation on a property of the event."""

    property: str
    operation: Operation

    def failure(self, properties: Properties) -> Failure | None:
        """Return the failure for an event with these properties. None: the filter holds."""
        value = properties.get(self.property)
        return None if self.operation.holds(value) else Failure(self.property, self.operation.given, value)


def any_of(name: str, *options: str) -> PropertyFilter:
    """Return a filter that holds if the property ``name`` has one of the options."""
    document = {"operationType": "ENUMERATION", "operator": "IS_ANY_OF", "values": list(options)}
    return PropertyFilter(name, operation(document | {"includeObjectsWithNoValueSet": False}))
