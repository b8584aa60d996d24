"""The catalog: 35 events in 11 categories, one module a category (docs/events.md).

To add a category: a module here, its line in CATEGORIES, a function folder, a block in template.yaml, samples.
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
    {one.name: one for category in CATEGORIES.values() for one in category.event_types}
)

# HubSpot's ids, each with the event that it names.
EVENT_TYPE_IDS: Mapping[str, tuple[EventType, EventTypeId]] = MappingProxyType(
    {alias.id: (one, alias) for one in EVENT_TYPES.values() for alias in one.ids}
)
