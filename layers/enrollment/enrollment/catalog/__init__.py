"""The catalog: 36 events in 11 categories, one module for each category (docs/events.md).

CONTRIBUTING.md has the steps by which a category is added.
"""

from collections.abc import Mapping
from types import MappingProxyType

from enrollment.catalog import (
    ads,
    calls,
    crm,
    email,
    forms,
    lists,
    meetings,
    sales_documents,
    sequences,
    website,
    workflows,
)
from enrollment.domain.events.event_types import Category, EventType, EventTypeId

CATEGORIES: Mapping[str, Category] = MappingProxyType(
    {
        module.CATEGORY.name: module.CATEGORY
        for module in (
            ads,
            calls,
            crm,
            email,
            forms,
            lists,
            meetings,
            sales_documents,
            sequences,
            website,
            workflows,
        )
    }
)

EVENT_TYPES: Mapping[str, EventType] = MappingProxyType(
    {event_type.name: event_type for category in CATEGORIES.values() for event_type in category.event_types}
)

# Event types by HubSpot's ID, with what the ID implies. Some event types have several IDs.
EVENT_TYPE_IDS: Mapping[str, tuple[EventType, EventTypeId]] = MappingProxyType(
    {alias.id: (event_type, alias) for event_type in EVENT_TYPES.values() for alias in event_type.ids}
)
