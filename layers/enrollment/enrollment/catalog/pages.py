"""Properties that the events of several categories share: the page on which something happened."""

from enrollment.domain.event_types import Property

PAGE_URL = (
    Property("hs_url", "URL"),
    Property("hs_base_url", "URL without scheme, query and fragment"),
    Property("hs_url_domain", "Domain"),
    Property("hs_url_path", "Path"),
    Property("hs_query_params", "Query parameters"),
)

UTM = (
    Property("hs_utm_source", "UTM source"),
    Property("hs_utm_medium", "UTM medium"),
    Property("hs_utm_campaign", "UTM campaign"),
    Property("hs_utm_content", "UTM content"),
    Property("hs_utm_term", "UTM term"),
)
