"""Properties that are derived from URLs (docs/events.md, "Page URL parts" and "Email link")."""

import re
from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

from enrollment.domain.values import Properties, Value

# What the email platform appends to a link to recognise the click. The user's own parameters stay.
TRACKING_PARAMETERS = frozenset({"_hsenc", "_hsmi", "__hstc", "__hssc", "__hsfp", "hsctatracking"})

_HAS_HOST_MARK = re.compile(r"([a-z][a-z0-9+.-]*:)?//", re.ASCII | re.IGNORECASE)


def page_url_parts(properties: Properties) -> Mapping[str, Value]:
    parts = _split(properties.get("hs_url"))
    if parts is None:
        return {}
    host = parts.netloc.rpartition("@")[2].lower()
    domain = (parts.hostname or "").removeprefix("www.")
    derived: dict[str, Value] = {"hs_base_url": f"{host}{parts.path}", "hs_url_path": parts.path or "/"}
    if domain:
        derived["hs_url_domain"] = domain
    if parts.query:
        derived["hs_query_params"] = parts.query
    return derived


def original_url(properties: Properties) -> Mapping[str, Value]:
    raw = properties.get("hs_click_raw_url")
    if not isinstance(raw, str) or not raw.strip():
        return {}
    # By hand, because taking a URL apart and putting it together again changes more of it than its parameters.
    page, hash_mark, fragment = raw.strip().partition("#")
    address, query_mark, query = page.partition("?")
    given = query.split("&")
    kept = [one for one in given if one.partition("=")[0].lower() not in TRACKING_PARAMETERS]
    if len(kept) != len(given):
        query_mark, query = "?" if kept else "", "&".join(kept)
    return {"hs_click_original_url": f"{address}{query_mark}{query}{hash_mark}{fragment}"}


def _split(url: Value) -> SplitResult | None:
    """None: no URL, or one that can't be taken apart; then nothing is derived and its parts are missing values."""
    if not isinstance(url, str) or not url.strip():
        return None
    text = url.strip()
    try:
        # A URL without scheme is one too: www.hubspot.com/search.
        return urlsplit(text if _HAS_HOST_MARK.match(text) else f"//{text}")
    except ValueError:
        return None
