"""Sales documents: views and shares."""

from enrollment.domain.events.event_types import CONTACTS, Category, EventType, Property, PropertyType

_DOCUMENT = (
    Property("hs_document_id", "Document", PropertyType.ENUMERATION),
    Property("hs_presentation_id", "Presentation", PropertyType.ENUMERATION),
    Property("hs_document_name", "Document name"),
    Property("hs_user_id", "User", PropertyType.ENUMERATION),
)

CATEGORY = Category(
    "sales_documents",
    "Sales documents",
    (
        # The viewer closed the document.
        EventType(
            "sales_documents.view_finished",
            "Document view finished",
            CONTACTS,
            (
                *_DOCUMENT,
                Property("hs_view_duration", "View duration (ms)", PropertyType.NUMBER),
                Property("hs_pages_viewed", "Pages viewed", PropertyType.NUMBER),
            ),
        ),
        # The first view of a document by a contact, whether or not it is finished.
        EventType(
            "sales_documents.viewed",
            "Document viewed",
            CONTACTS,
            _DOCUMENT,
            required=("hs_document_id",),
            first_of="hs_document_id",
        ),
        EventType("sales_documents.shared", "Document shared", CONTACTS, _DOCUMENT),
    ),
)
