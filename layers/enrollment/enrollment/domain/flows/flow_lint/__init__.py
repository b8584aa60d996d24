"""Find parts of a valid flow that its author probably did not intend, most of all what can never match.

Each rule is a generator of ``FlowWarning``. docs/flows.md, "Warnings", lists the rules.
"""

from collections.abc import Mapping, Sequence

from enrollment.domain.events.event_types import EventType, Trigger
from enrollment.domain.flows.flow import Flow
from enrollment.domain.flows.flow_lint.criteria_parts import criteria_parts
from enrollment.domain.flows.flow_lint.criteria_rules import criteria_warnings
from enrollment.domain.flows.flow_lint.entry_rules import entry_warnings
from enrollment.domain.flows.flow_lint.flow_warning import FlowWarning
from enrollment.domain.flows.flow_lint.trigger_rules import trigger_warnings

__all__ = ["FlowWarning", "lint"]


def lint(
    flow: Flow, event_types: Mapping[str, EventType], default_properties: Mapping[str, frozenset[str]]
) -> Sequence[FlowWarning]:
    """Return the warnings about a valid flow, triggers first.

    ``event_types``: the catalog, by name. ``default_properties``: HubSpot's properties, by object type.
    """
    event_count = sum(event_types[group.event_type].trigger is Trigger.EVENT for group in flow.groups)
    warnings: list[FlowWarning] = []
    for group in flow.groups[:event_count]:
        event_type = event_types[group.event_type]
        path = f"$.enrollmentCriteria.eventFilterBranches[{group.index}]"
        warnings += trigger_warnings(group, event_type, path, default_properties.get(flow.object_type_id, frozenset()))
    warnings += entry_warnings(flow)
    for part in criteria_parts(flow):
        warnings += criteria_warnings(part, default_properties)
    return warnings
