"""Rules about the triggers of a flow."""

from collections.abc import Iterator

from enrollment.domain.events.event_types import EventType, RecordEffect
from enrollment.domain.flows.flow import TriggerGroup
from enrollment.domain.flows.flow_lint.contradictions import contradictory_refinements
from enrollment.domain.flows.flow_lint.flow_warning import FlowWarning
from enrollment.domain.flows.flow_lint.operand_rules import (
    name_warnings,
    option_warnings,
    separator_warnings,
    time_zone_warnings,
)
from enrollment.domain.flows.flow_lint.operands import WHOLE_VALUES, operand_key, operand_texts
from enrollment.domain.flows.flow_lint.url_rules import url_warnings
from enrollment.domain.operators.property_operators import Operation
from enrollment.domain.values import read_name


def trigger_warnings(
    group: TriggerGroup, event_type: EventType, path: str, known_properties: frozenset[str]
) -> Iterator[FlowWarning]:
    """Warnings about a trigger. ``path``: its JSON path. ``known_properties``: HubSpot's, of the flow's object type."""
    written = group.filters[_implied_count(group, event_type) :]
    if event_type.effect is RecordEffect.CHANGES_PROPERTY and not any(each.property == "hs_name" for each in written):
        yield FlowWarning(
            f"{path}.filters",
            "ANY_PROPERTY_CHANGE",
            f"no filter on hs_name, so a change of any property is a {event_type.name} that triggers the flow",
            "Add a filter on hs_name with the name of the property",
        )
    for index, refinement in enumerate(written):
        at = f"{path}.filters[{index}]"
        known = event_type.property(refinement.property)
        assert known is not None, "a valid flow refines known properties"
        yield from option_warnings(refinement.operation, known, event_type, at)
        yield from separator_warnings(refinement.operation, refinement.property, at)
        if known.url_part is not None:
            yield from url_warnings(refinement.operation, known.name, known.url_part, at)
        yield from time_zone_warnings(refinement.operation.given, f"{at}.operation")
        if known.name == "hs_name":
            yield from _changed_property_warnings(refinement.operation, known_properties, at)
    yield from contradictory_refinements(group.filters, event_type, f"{path}.filters")


def _implied_count(group: TriggerGroup, event_type: EventType) -> int:
    """The number of filters that the event type adds in front of those that the author wrote."""
    count = next((len(alias.implies) for alias in event_type.ids if alias.id == group.event_type_id), 0)
    narrowing, rest = event_type.narrowing, group.filters[count:]
    if narrowing is not None and any(refinement.property in narrowing.on_properties for refinement in rest):
        count += 1
    return count


def _changed_property_warnings(
    operation: Operation, known_properties: frozenset[str], path: str
) -> Iterator[FlowWarning]:
    if operation.operator in WHOLE_VALUES:
        for name in operand_texts(operation):
            at = f"{path}.operation.{operand_key(operation)}"
            yield from name_warnings(read_name(name), known_properties, at)
