"""Properties of the page on which an event happened, which several categories share."""

from enrollment.domain.events.event_types import Property
from enrollment.domain.operators.urls import UrlPart, page_url_parts, utm_parameters

PAGE_URL = (
    Property("hs_url", "URL", url_part=UrlPart.URL),
    Property("hs_base_url", "URL without scheme, query and fragment", url_part=UrlPart.BASE_URL),
    Property("hs_url_domain", "Domain", url_part=UrlPart.DOMAIN),
    Property("hs_url_path", "Path", url_part=UrlPart.PATH),
    Property("hs_query_params", "Query parameters"),
)

UTM = (
    Property("hs_utm_source", "UTM source"),
    Property("hs_utm_medium", "UTM medium"),
    Property("hs_utm_campaign", "UTM campaign"),
    Property("hs_utm_content", "UTM content"),
    Property("hs_utm_term", "UTM term"),
)

REFERRER = Property("hs_referrer", "Referrer", url_part=UrlPart.URL)

# For events with the properties of both.
DERIVED_FROM_URL = (page_url_parts, utm_parameters)
