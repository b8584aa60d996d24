"""Filters on properties and the trees that refinement criteria are made of."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from enrollment.domain.operations import Operation, operation
from enrollment.domain.values import Properties, Value


@dataclass(frozen=True, slots=True)
class Failure:
    """A filter that did not hold: which, what it found, and the operation as the flow wrote it."""

    property: str
    operation: Mapping[str, Any]
    found: Value


@dataclass(frozen=True, slots=True)
class FilterResult:
    """What a filter found, and whether it holds."""

    property: str
    operation: Mapping[str, Any]
    found: Value
    holds: bool


@dataclass(frozen=True, slots=True)
class BranchResult:
    """``kind``: AND or OR."""

    kind: str
    parts: tuple["Result", ...]
    holds: bool


Result = FilterResult | BranchResult


@dataclass(frozen=True, slots=True)
class PropertyFilter:
    property: str
    operation: Operation

    def result(self, properties: Properties) -> FilterResult:
        found = properties.get(self.property)
        return FilterResult(self.property, self.operation.given, found, self.operation.holds(found))

    def failure(self, properties: Properties) -> Failure | None:
        """None: the filter holds."""
        found = properties.get(self.property)
        return None if self.operation.holds(found) else Failure(self.property, self.operation.given, found)


@dataclass(frozen=True, slots=True)
class AllOf:
    """An AND branch: every filter and every branch under it must hold."""

    parts: tuple["Criteria", ...]

    def result(self, properties: Properties) -> BranchResult:
        """Of every part, those after the first that fails included."""
        results = tuple(part.result(properties) for part in self.parts)
        return BranchResult("AND", results, all(one.holds for one in results))

    def failure(self, properties: Properties) -> Failure | None:
        """The first part that fails, in the order in which the flow wrote them."""
        for part in self.parts:
            failure = part.failure(properties)
            if failure is not None:
                return failure
        return None


@dataclass(frozen=True, slots=True)
class AnyOf:
    """An OR branch: one of its branches is enough."""

    parts: tuple["Criteria", ...]

    def result(self, properties: Properties) -> BranchResult:
        results = tuple(part.result(properties) for part in self.parts)
        return BranchResult("OR", results, any(one.holds for one in results))

    def failure(self, properties: Properties) -> Failure | None:
        """When no branch holds, the failure of the first one."""
        first: Failure | None = None
        for part in self.parts:
            failure = part.failure(properties)
            if failure is None:
                return None
            first = first or failure
        return first


Criteria = PropertyFilter | AllOf | AnyOf


def any_of(name: str, *options: str) -> PropertyFilter:
    """``name`` is one of ``options``."""
    given = {"operationType": "ENUMERATION", "operator": "IS_ANY_OF", "values": list(options)}
    return PropertyFilter(name, operation(given | {"includeObjectsWithNoValueSet": False}))
