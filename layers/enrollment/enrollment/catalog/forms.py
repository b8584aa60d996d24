"""Forms: views, interactions and submissions."""

from enrollment.catalog.pages import DERIVED_FROM_URL, PAGE_URL, REFERRER, UTM
from enrollment.domain.events.event_types import CONTACTS, Category, EventType, EventTypeId, Property, PropertyType

_FORM = (
    Property("hs_form_id", "Form", PropertyType.ENUMERATION),
    Property("hs_form_type", "Form type", PropertyType.ENUMERATION),
    Property("hs_form_title", "Form title"),
    *PAGE_URL,
    Property("hs_page_id", "Page", PropertyType.ENUMERATION),
    Property("hs_page_title", "Page title"),
    REFERRER,
    *UTM,
)

CATEGORY = Category(
    "forms",
    "Forms",
    (
        # A click into a field. A submission may follow.
        EventType(
            "forms.interaction",
            "Form interaction",
            CONTACTS,
            (*_FORM, Property("hs_field_name", "Field name")),
            ids=(EventTypeId("4-1639799"),),
            derivations=DERIVED_FROM_URL,
        ),
        EventType(
            "forms.submitted",
            "Form submission",
            CONTACTS,
            _FORM,
            ids=(EventTypeId("4-1639801"),),
            derivations=DERIVED_FROM_URL,
            may_create_record=True,
        ),
        EventType(
            "forms.viewed",
            "Form view",
            CONTACTS,
            _FORM,
            ids=(EventTypeId("4-1639797"),),
            derivations=DERIVED_FROM_URL,
        ),
    ),
)
