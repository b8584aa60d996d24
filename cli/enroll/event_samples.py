"""Make a valid event of the catalog, with plausible values for what the event needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from enrollment.domain.events.event_types import Differs, EventType, IsOneOf, Property, PropertyType

# Values of required properties that have no options.
SAMPLES = {"hs_name": "city", "hs_list_id": "1", "hs_document_id": "document-1"}
# Values of further properties without which the event would not be eligible.
CHANGED_VALUE = "Dublin"


def sample_properties(event_type: EventType, given: Mapping[str, str]) -> dict[str, Any]:
    """Return the given properties, and values for those that a valid and eligible event needs besides."""
    needed = {name: _sample(event_type.property(name), name) for name in event_type.required}
    for rule in event_type.rules:
        if isinstance(rule, IsOneOf) and not rule.or_missing:
            needed[rule.property] = rule.options[0]
        elif isinstance(rule, Differs):
            needed[rule.after] = CHANGED_VALUE
    return needed | dict(given)


def _sample(known: Property | None, name: str) -> str:
    if known is not None and known.options:
        return known.options[0]
    if known is not None and known.type is PropertyType.NUMBER:
        return "1"
    return SAMPLES.get(name, f"{name}-1")
