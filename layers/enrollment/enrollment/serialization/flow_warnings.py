"""What is allowed in a flow, and probably not meant."""

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
    """Sentences without a full stop. ``others``: the flows that could stand with it in a loop."""
    return [*_misspelt(flow), *_unknown_options(flow), *_loops(flow, others)]


def _loops(flow: Flow, others: Iterable[Flow]) -> Iterator[str]:
    found = find_enrollment_loop(flow, others)
    if found is not None:
        yield (
            f"it closes a loop of flows that enroll one another: {' > '.join(found)}. "
            "A record goes round it once, and is then stopped (LOOP_STOPPED)"
        )


def _unknown_options(flow: Flow) -> Iterator[str]:
    """Refinements on an option that a closed list lacks. HubSpot may add options, so it is no fault."""
    for group in flow.groups:
        event_type = EVENT_TYPES[group.event_type]
        for one in group.filters:
            known, given = event_type.property(one.property), one.operation.given
            if known is None or not known.options or one.operation.operator not in _WHOLE_VALUES:
                continue
            options = {fold(option): option for option in known.options}
            for value in (
                given["values"] if "values" in OPERATION_TYPES[given["operationType"]].keys else [given["value"]]
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
    """Record properties that look like a misspelt default one: a filter on a property that no record has never holds,
    and nothing else would ever say so."""
    named = {
        one for tree in (flow.criteria, flow.suppression, flow.goal) for one in _properties(tree, flow.object_type_id)
    }
    found = []
    for object_type, name in sorted(named):
        known = DEFAULT_PROPERTIES.get(object_type, frozenset())
        near = nearest(name, known) if name not in known else None
        if near is not None:
            found.append(
                f"{format_value(name)} is no default property of {object_type} - did you mean {near}? "
                "A filter on a property that no record has never holds"
            )
    return found


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
