"""Marketing emails and subscriptions."""

from enrollment.domain.events.event_types import (
    CONTACTS,
    Category,
    Derivation,
    EventType,
    EventTypeId,
    Property,
    PropertyType,
    RequiredFilter,
)
from enrollment.domain.operators.filters import any_of
from enrollment.domain.operators.urls import UrlPart, original_url

_EMAIL = (
    Property("hs_email_campaign_id", "Email campaign", PropertyType.ENUMERATION),
    Property("hs_email_meta_content_id", "Email", PropertyType.ENUMERATION),
    Property("hs_email_subject", "Email subject"),
    Property("hs_email_type", "Email type", PropertyType.ENUMERATION, ("AB_TEST", "AUTOMATED", "BATCH")),
)

# A trigger with a refinement on particular emails matches only A/B tests and automated emails. A trigger without one
# matches all marketing emails, including batch emails.
_PARTICULAR = RequiredFilter(
    frozenset({"hs_email_campaign_id", "hs_email_meta_content_id"}), any_of("hs_email_type", "AB_TEST", "AUTOMATED")
)


def _email(
    name: str, label: str, *ids: EventTypeId, more: tuple[Property, ...] = (), derivations: tuple[Derivation, ...] = ()
) -> EventType:
    return EventType(name, label, CONTACTS, (*_EMAIL, *more), ids=ids, narrowing=_PARTICULAR, derivations=derivations)


CATEGORY = Category(
    "email",
    "Email",
    (
        _email(
            "email.link_clicked",
            "Marketing email link clicked",
            EventTypeId("4-666288"),
            more=(
                Property("hs_click_raw_url", "Clicked URL with every query parameter", url_part=UrlPart.URL),
                Property("hs_click_original_url", "Clicked URL without tracking parameters", url_part=UrlPart.URL),
            ),
            derivations=(original_url,),
        ),
        _email(
            "email.bounced",
            "Marketing email bounced",
            EventTypeId("4-5470331"),
            # HubSpot has a separate ID for hard bounces.
            EventTypeId("4-666439", implies=(any_of("hs_bounce_type", "HARD"),)),
            more=(Property("hs_bounce_type", "Bounce type", PropertyType.ENUMERATION, ("HARD", "SOFT")),),
        ),
        _email("email.delivered", "Marketing email delivered", EventTypeId("4-665536")),
        _email("email.sent", "Marketing email sent", EventTypeId("4-667638")),
        _email("email.opened", "Marketing email opened", EventTypeId("4-666440")),
        _email("email.replied", "Marketing email replied to", EventTypeId("4-665538")),
        EventType(
            "email.subscription_updated",
            "Subscription updated",
            CONTACTS,
            (
                Property("hs_subscription_id", "Subscription type", PropertyType.ENUMERATION),
                Property(
                    "hs_subscription_status",
                    "Subscription status",
                    PropertyType.ENUMERATION,
                    ("SUBSCRIBED", "UNSUBSCRIBED", "NOT_OPTED"),
                ),
                Property("hs_subscription_channel", "Channel", PropertyType.ENUMERATION),
            ),
            ids=(EventTypeId("4-666289"),),
        ),
    ),
)
