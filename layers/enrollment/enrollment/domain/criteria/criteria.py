"""Criteria: trees of filters over a record as it was. What refinement, suppression and goals are made of."""

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from enrollment.domain.criteria.record_operators import RecordOperation
from enrollment.domain.operators.filters import Failure
from enrollment.domain.records.associations import AssociationType
from enrollment.domain.records.record_snapshot import (
    MAX_ASSOCIATED,
    AssociatedRecords,
    AssociationRequirement,
    RecordSnapshot,
)
from enrollment.domain.values import Value


class FilterResult(Struct, frozen=True):
    """What a filter found, and whether it holds. ``property`` says in words what was looked at."""

    property: str
    operation: Mapping[str, Any]
    found: Value
    holds: bool
    because: str | None = None


class BranchResult(Struct, frozen=True):
    """``kind``: AND or OR."""

    kind: str
    parts: tuple["Result", ...]
    holds: bool


Result = FilterResult | BranchResult


class RecordFilter(Struct, frozen=True):
    property: str
    operation: RecordOperation

    def holds(self, snapshot: RecordSnapshot) -> bool:
        return snapshot.memoized(self, lambda: self.operation.holds(snapshot, self.property))

    def result(self, snapshot: RecordSnapshot) -> FilterResult:
        return FilterResult(
            self.property,
            self.operation.given,
            snapshot.value(self.property),
            self.holds(snapshot),
            self.operation.rejection_reason(snapshot, self.property),
        )


class ListFilter(Struct, frozen=True):
    """Whether the record is a member of a list, or is not."""

    list_id: str
    is_member: bool

    def holds(self, snapshot: RecordSnapshot) -> bool:
        return snapshot.is_member(self.list_id) == self.is_member

    def result(self, snapshot: RecordSnapshot) -> FilterResult:
        operator = "IN_LIST" if self.is_member else "NOT_IN_LIST"
        given = {"filterType": "IN_LIST", "operator": operator, "listId": self.list_id}
        return FilterResult(f"list {self.list_id}", given, snapshot.is_member(self.list_id), self.holds(snapshot))


class ConstantFilter(Struct, frozen=True):
    accepts: bool

    def holds(self, snapshot: RecordSnapshot) -> bool:
        return self.accepts

    def result(self, snapshot: RecordSnapshot) -> FilterResult:
        return FilterResult("constant", {"filterType": "CONSTANT", "shouldAccept": self.accepts}, None, self.accepts)


class AllOf(Struct, frozen=True):
    """An AND branch: every filter and every branch under it must hold."""

    parts: tuple["Criteria", ...]

    def holds(self, snapshot: RecordSnapshot) -> bool:
        return all(part.holds(snapshot) for part in self.parts)

    def result(self, snapshot: RecordSnapshot) -> BranchResult:
        """Of every part, those after the first that fails included."""
        return BranchResult("AND", tuple(part.result(snapshot) for part in self.parts), self.holds(snapshot))


class AnyOf(Struct, frozen=True):
    """An OR branch: one of its branches is enough."""

    parts: tuple["Criteria", ...]

    def holds(self, snapshot: RecordSnapshot) -> bool:
        return any(part.holds(snapshot) for part in self.parts)

    def result(self, snapshot: RecordSnapshot) -> BranchResult:
        return BranchResult("OR", tuple(part.result(snapshot) for part in self.parts), self.holds(snapshot))


class AssociatedWith(Struct, frozen=True):
    """An ASSOCIATION branch: accepts when at least one associated record passes."""

    object_type_id: str
    kind: AssociationType
    criteria: AllOf

    @property
    def need(self) -> AssociationRequirement:
        return self.object_type_id, self.kind

    def holds(self, snapshot: RecordSnapshot) -> bool:
        return any(self.criteria.holds(one) for one in self._associates(snapshot).snapshots)

    def result(self, snapshot: RecordSnapshot) -> FilterResult:
        given = {
            "filterBranchType": "ASSOCIATION",
            "objectTypeId": self.object_type_id,
            "associationCategory": self.kind.category,
            "associationTypeId": self.kind.type_id,
        }
        associates = self._associates(snapshot)
        because = None
        if not associates.is_complete:
            because = f"only {MAX_ASSOCIATED:,} associated records are looked at, and there are more"
        what = f"associated {self.object_type_id}"
        return FilterResult(what, given, len(associates.snapshots), self.holds(snapshot), because)

    def _associates(self, snapshot: RecordSnapshot) -> AssociatedRecords:
        return snapshot.associates.get(self.need, AssociatedRecords())


Criteria = RecordFilter | ListFilter | ConstantFilter | AllOf | AnyOf | AssociatedWith


def first_failure(result: Result) -> Failure | None:
    """The first filter, in the order in which the flow wrote them, for which the criteria do not hold; of an OR, that
    of its first branch."""
    if result.holds:
        return None
    if isinstance(result, FilterResult):
        return Failure(result.property, result.operation, result.found, result.because)
    return next((failure for part in result.parts if (failure := first_failure(part)) is not None), None)


def needs(criteria: Criteria | None) -> Iterator[AssociationRequirement]:
    """The associated records that the criteria look at."""
    match criteria:
        case AssociatedWith():
            yield criteria.need
        case AllOf() | AnyOf():
            for part in criteria.parts:
                yield from needs(part)
