"""Rules about the criteria, the suppression and the goal of a flow."""

from collections.abc import Iterator, Mapping

from enrollment.domain.criteria.criteria import AllOf, RecordFilter
from enrollment.domain.criteria.record_operators import EventOperation
from enrollment.domain.flows.flow_lint.contradictions import contradictory_criteria
from enrollment.domain.flows.flow_lint.criteria_parts import CriteriaPart
from enrollment.domain.flows.flow_lint.flow_warning import FlowWarning
from enrollment.domain.flows.flow_lint.operand_rules import (
    name_warnings,
    operand_warnings,
    separator_warnings,
    time_zone_warnings,
)
from enrollment.domain.values import read_name


def criteria_warnings(part: CriteriaPart, default_properties: Mapping[str, frozenset[str]]) -> Iterator[FlowWarning]:
    """Warnings about a branch or a filter. ``default_properties``: HubSpot's properties, by object type."""
    known_properties = default_properties.get(part.object_type, frozenset())
    match part.criteria:
        case RecordFilter():
            yield from name_warnings(part.criteria.property, known_properties, f"{part.path}.property")
            compared = part.criteria.operation.given.get("comparisonPropertyName")
            if isinstance(compared, str):
                at = f"{part.path}.operation.comparisonPropertyName"
                yield from name_warnings(read_name(compared), known_properties, at)
            if isinstance(part.criteria.operation, EventOperation):
                yield from separator_warnings(part.criteria.operation.operation, part.criteria.property, part.path)
            yield from operand_warnings(part.criteria.property, part.criteria.operation, f"{part.path}.operation")
            yield from time_zone_warnings(part.criteria.operation.given, f"{part.path}.operation")
        case AllOf():
            yield from contradictory_criteria(part.criteria, part.path)
