"""Properties that are derived from URLs (contract/events.md, "Page URL parts" and "Email link")."""

from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit, urlunsplit

from enrollment.domain.values import Properties, Value

# What the email platform appends to a link to recognise the click. The user's own parameters stay.
TRACKING_PARAMETERS = frozenset({"_hsenc", "_hsmi", "__hstc", "__hssc", "__hsfp", "hsctatracking"})


def page_url_parts(properties: Properties) -> Mapping[str, Value]:
    url = properties.get("hs_url")
    parts = _split(url)
    if parts is None:
        return {}
    host = _host(parts)
    derived: dict[str, Value] = {
        "hs_base_url": f"{host}{parts.path}",
        "hs_url_domain": host.partition(":")[0].removeprefix("www."),
        "hs_url_path": parts.path or "/",
    }
    if parts.query:
        derived["hs_query_params"] = parts.query
    return derived


def original_url(properties: Properties) -> Mapping[str, Value]:
    parts = _split(properties.get("hs_click_raw_url"))
    if parts is None:
        return {}
    kept = [one for one in parts.query.split("&") if one.partition("=")[0].lower() not in TRACKING_PARAMETERS]
    return {"hs_click_original_url": urlunsplit(parts._replace(query="&".join(kept)))}


def _split(url: Value) -> SplitResult | None:
    """None: no URL, or one that can't be taken apart; then nothing is derived and its parts are missing values."""
    if not isinstance(url, str) or not url.strip():
        return None
    text = url.strip()
    try:
        return urlsplit(text if "//" in text.partition("?")[0] else f"//{text}")
    except ValueError:
        return None


def _host(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[2].lower()
