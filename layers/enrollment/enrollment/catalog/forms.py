"""Forms: seen, touched, submitted."""

from enrollment.catalog.pages import PAGE_URL, UTM
from enrollment.domain.event_types import CONTACTS, Category, EventType, EventTypeId, Property, PropertyType
from enrollment.domain.urls import page_url_parts

_FORM = (
    Property("hs_form_id", "Form", PropertyType.ENUMERATION),
    Property("hs_form_type", "Form type", PropertyType.ENUMERATION),
    Property("hs_form_title", "Form title"),
    *PAGE_URL,
    Property("hs_page_id", "Page", PropertyType.ENUMERATION),
    Property("hs_page_title", "Page title"),
    Property("hs_referrer", "Referrer"),
    *UTM,
)

CATEGORY = Category(
    "forms",
    "Forms",
    (
        # A click into a field: it comes before a submission, and may come without one.
        EventType(
            "forms.interaction",
            "Form interaction",
            CONTACTS,
            (*_FORM, Property("hs_field_name", "Field name")),
            ids=(EventTypeId("4-1639799"),),
            derivations=(page_url_parts,),
        ),
        EventType(
            "forms.submitted",
            "Form submission",
            CONTACTS,
            _FORM,
            ids=(EventTypeId("4-1639801"),),
            derivations=(page_url_parts,),
            may_create_record=True,
        ),
        EventType(
            "forms.viewed",
            "Form view",
            CONTACTS,
            _FORM,
            ids=(EventTypeId("4-1639797"),),
            derivations=(page_url_parts,),
        ),
    ),
)
