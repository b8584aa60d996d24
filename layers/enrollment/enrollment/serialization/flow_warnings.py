"""Warnings about a valid flow that its author probably did not intend."""

from collections.abc import Iterable, Iterator, Sequence

from enrollment.catalog import EVENT_TYPES
from enrollment.catalog.record_properties import DEFAULT_PROPERTIES
from enrollment.domain.criteria.criteria import AllOf, AnyOf, AssociatedWith, Criteria, RecordFilter
from enrollment.domain.enrollment.loop_detection import find_enrollment_loop
from enrollment.domain.flows.flow import Flow
from enrollment.domain.operators.property_operators import OPERATION_TYPES
from enrollment.domain.values import as_text, fold, read_name
from enrollment.serialization.validation_errors import format_value, nearest


def warnings(flow: Flow, others: Iterable[Flow] = ()) -> Sequence[str]:
    """Return warnings as sentences without a full stop. ``others``: the flows of the portal and the object type, for
    the detection of loops."""
    return [*_misspelt(flow), *_unknown_options(flow), *_loops(flow, others)]


def _loops(flow: Flow, others: Iterable[Flow]) -> Iterator[str]:
    loop = find_enrollment_loop(flow, others)
    if loop is not None:
        yield (
            f"it closes a loop of flows that enroll one another: {' > '.join(loop)}. "
            "A record goes round it once, and is then stopped (LOOP_STOPPED)"
        )


def _unknown_options(flow: Flow) -> Iterator[str]:
    """Yield warnings for options that HubSpot does not document. HubSpot may add options, so they are not faults."""
    for group in flow.groups:
        event_type = EVENT_TYPES[group.event_type]
        for refinement in group.filters:
            known, document = event_type.property(refinement.property), refinement.operation.given
            if known is None or not known.options or refinement.operation.operator not in _WHOLE_VALUES:
                continue
            options = {fold(option): option for option in known.options}
            for value in (
                document["values"]
                if "values" in OPERATION_TYPES[document["operationType"]].keys
                else [document["value"]]
            ):
                if read_name(value) not in options:
                    near = nearest(fold(as_text(value)), options)
                    hint = f" - did you mean {options[near]}?" if near else ""
                    yield (
                        f"{format_value(value)} is no option of {known.name} ({', '.join(known.options)}){hint} "
                        f"No {event_type.name} has this value, unless its source knows more options"
                    )


_WHOLE_VALUES = frozenset(
    {
        *("IS_ANY_OF", "IS_NONE_OF", "IS_EQUAL_TO", "IS_NOT_EQUAL_TO"),
        *("CONTAINS_EXACTLY", "DOES_NOT_CONTAIN_EXACTLY"),
    }
)


def _misspelt(flow: Flow) -> Sequence[str]:
    """Return warnings for properties that look like a misspelt default property. Without a warning, a filter on a
    property that no record has would never hold and never be reported."""
    named = {
        name for tree in (flow.criteria, flow.suppression, flow.goal) for name in _properties(tree, flow.object_type_id)
    }
    misspelt = []
    for object_type, name in sorted(named):
        known = DEFAULT_PROPERTIES.get(object_type, frozenset())
        near = nearest(name, known) if name not in known else None
        if near is not None:
            misspelt.append(
                f"{format_value(name)} is no default property of {object_type} - did you mean {near}? "
                "A filter on a property that no record has never holds"
            )
    return misspelt


def _properties(criteria: Criteria | None, object_type: str) -> Iterator[tuple[str, str]]:
    match criteria:
        case RecordFilter():
            yield object_type, criteria.property
            compared = criteria.operation.given.get("comparisonPropertyName")
            if isinstance(compared, str):
                yield object_type, compared
        case AssociatedWith():
            yield from _properties(criteria.criteria, criteria.object_type_id)
        case AllOf() | AnyOf():
            for part in criteria.parts:
                yield from _properties(part, object_type)
