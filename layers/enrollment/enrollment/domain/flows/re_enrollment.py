"""Re-enrollment triggers of filter-based flows (``reEnrollmentTriggersFilterBranches``)."""

from msgspec import Struct

from enrollment.domain.criteria.criteria import AllOf, AnyOf, Criteria, RecordFilter
from enrollment.domain.criteria.record_operators import EventOperation
from enrollment.domain.criteria.transitions import Mentions, Transition, becomes_true, mentions
from enrollment.domain.operators.filters import PropertyFilter
from enrollment.domain.values import Properties, Value, as_text, is_missing, read_name


class PropertyChange(Struct, frozen=True):
    """A change of one property of a record."""

    name: str
    value: Value
    previous: Value

    @property
    def changes_value(self) -> bool:
        """Whether the value differs from the previous one. Two missing values are equal."""
        if is_missing(self.value) or is_missing(self.previous):
            return is_missing(self.value) != is_missing(self.previous)
        return as_text(self.value) != as_text(self.previous)

    @property
    def properties(self) -> Properties:
        """The properties of ``crm.property_changed``."""
        return {"hs_name": self.name, "hs_value": self.value, "hs_previous_value": self.previous}


class ChangeTrigger(Struct, frozen=True):
    """A trigger in the form of an event: a property that ``hs_name`` accepts changed.

    A filter on ``hs_value`` refines the new value. Unless it is IS_KNOWN, the previous value must not satisfy it: the
    record goes from not matching to matching.
    """

    filters: tuple[PropertyFilter, ...]

    def occurs(self, change: PropertyChange) -> bool:
        """Whether the change is the trigger."""
        if not change.changes_value:
            return False
        if any(refinement.failure(change.properties) is not None for refinement in self.filters):
            return False
        refined = [
            refinement.operation
            for refinement in self.filters
            if refinement.property == "hs_value" and refinement.operation.operator != "IS_KNOWN"
        ]
        return not refined or not all(operation.holds(change.previous) for operation in refined)

    @property
    def mentions(self) -> Mentions:
        """The properties whose change can be the trigger."""
        named = [
            refinement.operation
            for refinement in self.filters
            if refinement.property == "hs_name" and refinement.operation.operator in ("IS_ANY_OF", "IS_EQUAL_TO")
        ]
        if not named:
            return Mentions(any_change=True)
        given = named[0].given
        names = given["values"] if "values" in given else [given["value"]]
        return Mentions(frozenset(map(read_name, names)))


class CriteriaTrigger(Struct, frozen=True):
    """A trigger in the form of criteria: the record starts to meet them. If they are a single IS_KNOWN filter, a change
    to another known value is the trigger too."""

    criteria: Criteria

    def occurs(self, transition: Transition) -> bool:
        """Whether the trigger occurs at a change of the record."""
        if becomes_true(self.criteria, transition):
            return True
        name = _known_property(self.criteria)
        if name is None or transition.before is None:
            return False
        change = PropertyChange(name, transition.after.value(name), transition.before.value(name))
        return change.changes_value and not is_missing(change.value)

    @property
    def mentions(self) -> Mentions:
        """What the criteria depend on."""
        return mentions(self.criteria)


ReEnrollmentTrigger = ChangeTrigger | CriteriaTrigger


def _known_property(criteria: Criteria) -> str | None:
    """Return the property of criteria that are a single IS_KNOWN filter. None: they are other criteria."""
    while isinstance(criteria, AllOf | AnyOf) and len(criteria.parts) == 1:
        criteria = criteria.parts[0]
    if not isinstance(criteria, RecordFilter) or not isinstance(criteria.operation, EventOperation):
        return None
    return criteria.property if criteria.operation.operation.operator == "IS_KNOWN" else None
