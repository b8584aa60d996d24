"""Ads: interactions in any ad network."""

from enrollment.domain.events.event_types import CONTACTS, Category, EventType, EventTypeId, Property, PropertyType

CATEGORY = Category(
    "ads",
    "Ads",
    (
        EventType(
            "ads.interaction",
            "Ad interaction",
            CONTACTS,
            (
                Property("hs_ad_network", "Ad network", PropertyType.ENUMERATION, ("LINKEDIN", "ADWORDS", "FACEBOOK")),
                Property("hs_interaction_type", "Interaction type", PropertyType.ENUMERATION),
                Property("hs_ad_account_id", "Ad account", PropertyType.ENUMERATION),
                Property("hs_ad_campaign_id", "Ad campaign", PropertyType.ENUMERATION),
                Property("hs_ad_campaign_name", "Ad campaign name"),
                Property("hs_ad_group_id", "Ad group", PropertyType.ENUMERATION),
                Property("hs_ad_group_name", "Ad group name"),
                Property("hs_ad_id", "Ad", PropertyType.ENUMERATION),
                Property("hs_ad_name", "Ad name"),
                Property("hs_utm_source", "UTM source"),
                Property("hs_utm_medium", "UTM medium"),
                Property("hs_utm_campaign", "UTM campaign"),
            ),
            ids=(EventTypeId("4-1553675"),),
            may_create_record=True,
        ),
    ),
)
