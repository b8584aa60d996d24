"""Criteria: trees of filters on a record as it was at a moment.

Refinement criteria, suppression and goals of flows are criteria. ``holds`` is for decisions and stops at the first part
that determines the result. ``result`` is for explanations and evaluates all parts.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from msgspec import Struct

from enrollment.domain.criteria.record_operators import RecordOperation
from enrollment.domain.operators.filters import AssociatedFailure, Failure
from enrollment.domain.records.associations import AssociationType
from enrollment.domain.records.record_snapshot import (
    MAX_ASSOCIATED,
    AssociatedRecords,
    AssociationRequirement,
    RecordSnapshot,
)
from enrollment.domain.values import Value, iso

# Associated records that the result of a filter names. Bounds the lines of logs.
MAX_ASSOCIATED_FAILURES = 3


class FilterResult(Struct, frozen=True):
    """The result of a filter.

    ``property``: the property, or a description of what was evaluated. ``operation``: the filter as the flow JSON has
    it. ``found``: the value. ``because``: why the value could not be compared, or not completely.
    ``associated``: the first associated records because of which the filter fails. ``is_complete``: False if the result
    could be another one with data that is not evaluated; ``because`` says which.
    """

    property: str
    operation: Mapping[str, Any]
    found: Value
    holds: bool
    because: str | None = None
    associated: tuple[AssociatedFailure, ...] = ()
    is_complete: bool = True


class BranchResult(Struct, frozen=True):
    """The result of a branch. ``kind``: AND, OR, NOT_ALL or NOT_ANY."""

    kind: str
    parts: tuple["Result", ...]
    holds: bool


Result = FilterResult | BranchResult


class RecordFilter(Struct, frozen=True):
    """An operation on a property of the record."""

    property: str
    operation: RecordOperation

    def holds(self, snapshot: RecordSnapshot) -> bool:
        """Whether the record passes the filter. Memoized for the snapshot."""
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
    """The record is a member of a list (``is_member``), or is not."""

    list_id: str
    is_member: bool

    def holds(self, snapshot: RecordSnapshot) -> bool:
        return snapshot.is_member(self.list_id) == self.is_member

    def result(self, snapshot: RecordSnapshot) -> FilterResult:
        """Return the result; ``found`` is whether the record is a member."""
        operator = "IN_LIST" if self.is_member else "NOT_IN_LIST"
        operation = {"filterType": "IN_LIST", "operator": operator, "listId": self.list_id}
        return FilterResult(f"list {self.list_id}", operation, snapshot.is_member(self.list_id), self.holds(snapshot))


class ConstantFilter(Struct, frozen=True):
    """A filter that accepts every record, or none."""

    accepts: bool

    def holds(self, snapshot: RecordSnapshot) -> bool:
        return self.accepts

    def result(self, snapshot: RecordSnapshot) -> FilterResult:
        return FilterResult("constant", {"filterType": "CONSTANT", "shouldAccept": self.accepts}, None, self.accepts)


class AllOf(Struct, frozen=True):
    """An AND branch: all filters and branches in it must hold."""

    parts: tuple["Criteria", ...]

    def holds(self, snapshot: RecordSnapshot) -> bool:
        return all(part.holds(snapshot) for part in self.parts)

    def result(self, snapshot: RecordSnapshot) -> BranchResult:
        """Return the results of all parts, including those after the first that fails."""
        return BranchResult("AND", tuple(part.result(snapshot) for part in self.parts), self.holds(snapshot))


class AnyOf(Struct, frozen=True):
    """An OR branch: at least one of its branches must hold."""

    parts: tuple["Criteria", ...]

    def holds(self, snapshot: RecordSnapshot) -> bool:
        return any(part.holds(snapshot) for part in self.parts)

    def result(self, snapshot: RecordSnapshot) -> BranchResult:
        return BranchResult("OR", tuple(part.result(snapshot) for part in self.parts), self.holds(snapshot))


class Not(Struct, frozen=True):
    """A NOT_ALL branch: not all of its parts may hold. Or a NOT_ANY branch: none of its parts may hold."""

    part: AllOf | AnyOf

    @property
    def kind(self) -> str:
        """The ``filterBranchType`` of the flow JSON."""
        return "NOT_ALL" if isinstance(self.part, AllOf) else "NOT_ANY"

    @property
    def parts(self) -> tuple["Criteria", ...]:
        """The filters and branches in the branch."""
        return self.part.parts

    def holds(self, snapshot: RecordSnapshot) -> bool:
        return not self.part.holds(snapshot)

    def result(self, snapshot: RecordSnapshot) -> BranchResult:
        return BranchResult(self.kind, self.part.result(snapshot).parts, self.holds(snapshot))


class AssociatedWith(Struct, frozen=True):
    """An ASSOCIATION branch: at least one associated record must meet ``criteria``, or none may (``is_in`` False).

    Criteria without parts accept every record, so the branch is about the existence of an associated record.
    """

    object_type_id: str
    kind: AssociationType
    criteria: AllOf
    is_in: bool = True

    @property
    def need(self) -> AssociationRequirement:
        """The associated records that must be loaded before the evaluation."""
        return self.object_type_id, self.kind

    def holds(self, snapshot: RecordSnapshot) -> bool:
        return self._is_met(snapshot) == self.is_in

    def _is_met(self, snapshot: RecordSnapshot) -> bool:
        return any(self.criteria.holds(associate) for associate in self._associates(snapshot).snapshots)

    def result(self, snapshot: RecordSnapshot) -> FilterResult:
        """Return the result; ``found`` is the number of associated records that were loaded."""
        operation = {
            "filterBranchType": "ASSOCIATION",
            "objectTypeId": self.object_type_id,
            "associationCategory": self.kind.category,
            "associationTypeId": self.kind.type_id,
            **({} if self.is_in else {"operator": "NOT_IN_LIST"}),
        }
        associates = self._associates(snapshot)
        reason = _why_incomplete(associates)
        label, holds = f"associated {self.object_type_id}", self.holds(snapshot)
        failures = () if holds else tuple(islice(self._failures(associates), MAX_ASSOCIATED_FAILURES))
        # One record that meets the criteria is enough, whatever the others are.
        is_complete = reason is None or self._is_met(snapshot)
        return FilterResult(label, operation, len(associates.snapshots), holds, reason, failures, is_complete)

    def _failures(self, associates: AssociatedRecords) -> Iterator[AssociatedFailure]:
        """Yield the associated records because of which the filter fails: all, or those that meet the criteria."""
        for associate in associates.snapshots:
            if self.is_in or self.criteria.holds(associate):
                key = associate.record.key
                failure = first_failure(self.criteria.result(associate))
                yield AssociatedFailure(f"{key.object_type_id}/{key.object_id}", failure)

    def _associates(self, snapshot: RecordSnapshot) -> AssociatedRecords:
        return snapshot.associates.get(self.need, AssociatedRecords())


def _why_incomplete(associates: AssociatedRecords) -> str | None:
    """Return why some associated records are not evaluated. None: all are."""
    if not associates.is_complete:
        return f"only {MAX_ASSOCIATED:,} associated records are evaluated, and there are more"
    if not associates.deleted:
        return None
    (key, at), *others = associates.deleted
    more = f" (and {len(others):,} other associated records were deleted)" if others else ""
    return (
        f"{key.object_type_id}/{key.object_id} was deleted at {iso(at)}{more}, so its values before that are not stored"
    )


Criteria = RecordFilter | ListFilter | ConstantFilter | AllOf | AnyOf | Not | AssociatedWith


def first_failure(result: Result) -> Failure | None:
    """Return the first filter, in the order of the flow JSON, that makes the criteria fail. None: the criteria hold.
    For an OR branch, it is the first failing filter of the first branch."""
    if result.holds:
        return None
    if isinstance(result, FilterResult):
        return Failure(result.property, result.operation, result.found, result.because, result.associated)
    if result.kind.startswith("NOT_"):
        return _satisfied_part(result)
    return next((failure for part in result.parts if (failure := first_failure(part)) is not None), None)


def _satisfied_part(result: BranchResult) -> Failure | None:
    """Return the first filter of the part by which a NOT_ALL or NOT_ANY branch fails."""
    part: Result | None = next((each for each in result.parts if each.holds), None)
    while isinstance(part, BranchResult):
        part = next((each for each in part.parts if each.holds), next(iter(part.parts), None))
    if part is None:
        return Failure(result.kind, {"filterBranchType": result.kind}, None)
    limit = "none of the filters" if result.kind == "NOT_ANY" else "not all of the filters"
    return Failure(part.property, part.operation, part.found, f"in a {result.kind} branch, {limit} may hold")


def needs(criteria: Criteria | None) -> Iterator[AssociationRequirement]:
    """Yield the associated records that the criteria depend on."""
    match criteria:
        case AssociatedWith():
            yield criteria.need
        case AllOf() | AnyOf() | Not():
            for part in criteria.parts:
                yield from needs(part)
