"""Website: page visits and calls to action."""

from enrollment.catalog.pages import DERIVED_FROM_URL, PAGE_URL, REFERRER, UTM
from enrollment.domain.events.event_types import CONTACTS, Category, EventType, EventTypeId, Property, PropertyType
from enrollment.domain.operators.urls import page_url_parts

_CTA = (
    Property("hs_cta_id", "CTA", PropertyType.ENUMERATION),
    Property("hs_cta_name", "CTA name"),
    Property("hs_cta_type", "CTA type", PropertyType.ENUMERATION),
    *PAGE_URL,
)


def _cta(name: str, label: str, *ids: EventTypeId) -> EventType:
    return EventType(name, label, CONTACTS, _CTA, ids=ids, derivations=(page_url_parts,))


CATEGORY = Category(
    "website",
    "Website",
    (
        _cta("website.cta_clicked", "CTA or interactive web page clicked", EventTypeId("4-1555805")),
        _cta("website.cta_viewed", "CTA or interactive web page viewed", EventTypeId("4-1555804")),
        _cta("website.legacy_cta_clicked", "Legacy CTA clicked"),
        _cta("website.legacy_cta_viewed", "Legacy CTA viewed"),
        EventType(
            "website.page_visited",
            "Page visited",
            CONTACTS,
            (
                *PAGE_URL,
                Property("hs_page_id", "Page", PropertyType.ENUMERATION),
                Property("hs_page_title", "Page title"),
                Property("hs_page_content_type", "Page content type", PropertyType.ENUMERATION),
                REFERRER,
                Property("hs_device_type", "Device type", PropertyType.ENUMERATION),
                Property("hs_browser", "Browser"),
                Property("hs_country", "Country"),
                Property("hs_region", "Region"),
                Property("hs_city", "City"),
                *UTM,
            ),
            ids=(EventTypeId("4-96000"),),
            derivations=DERIVED_FROM_URL,
        ),
    ),
)
