"""A refinement on an event's own properties, and what is said of a filter that did not hold."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from enrollment.domain.operators.property_operators import Operation, operation
from enrollment.domain.values import Properties, Value


class Failure(Struct, frozen=True):
    """A filter that did not hold: which, what it found, and the operation as the flow wrote it. ``because``: why it
    could not be compared at all."""

    property: str
    operation: Mapping[str, Any]
    found: Value
    because: str | None = None


class PropertyFilter(Struct, frozen=True):
    property: str
    operation: Operation

    def failure(self, properties: Properties) -> Failure | None:
        """None: the filter holds."""
        found = properties.get(self.property)
        return None if self.operation.holds(found) else Failure(self.property, self.operation.given, found)


def any_of(name: str, *options: str) -> PropertyFilter:
    """``name`` is one of ``options``."""
    given = {"operationType": "ENUMERATION", "operator": "IS_ANY_OF", "values": list(options)}
    return PropertyFilter(name, operation(given | {"includeObjectsWithNoValueSet": False}))
