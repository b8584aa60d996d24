"""Parts of URLs: how they are derived and how they are compared (docs/events.md, "Page URL parts")."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import unquote, unquote_plus, urlsplit

from enrollment.domain.values import Properties, Value, fold, is_missing

# Parameters that HubSpot appends to links in emails. Other parameters are the author's and are kept.
TRACKING_PARAMETERS = frozenset({"_hsenc", "_hsmi", "__hstc", "__hssc", "__hsfp", "hsctatracking"})

# Query parameters and the properties that are derived from them.
UTM_PARAMETERS = MappingProxyType(
    {f"utm_{name}": f"hs_utm_{name}" for name in ("source", "medium", "campaign", "content", "term")}
)


class UrlPart(StrEnum):
    """The part of a URL that a property holds."""

    URL = "URL"
    BASE_URL = "BASE_URL"
    DOMAIN = "DOMAIN"
    PATH = "PATH"


class Page(NamedTuple):
    """The parts of a URL. ``host`` and ``path`` are decoded; ``host`` is empty if the URL begins with its path."""

    scheme: str
    host: str
    port: str
    path: str
    query: str
    fragment: str

    @property
    def domain(self) -> str:
        """The host without ``www.``."""
        rest = self.host.removeprefix("www.")
        return rest if "." in rest else self.host

    @property
    def base(self) -> str:
        """Host, port and path, without scheme, query and fragment."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}{self.port}{self.path}"


# Derivations ---------------------------------------------------------------------------------------------------------


def page_url_parts(properties: Properties) -> Mapping[str, Value]:
    """Derive base URL, path, domain and query from ``hs_url``. Empty if that is not a page's URL."""
    page = _page(properties)
    if page is None:
        return {}
    derived: dict[str, Value] = {"hs_base_url": page.base, "hs_url_path": page.path}
    if page.host:
        derived["hs_url_domain"] = page.domain
    if page.query:
        derived["hs_query_params"] = page.query
    return derived


def utm_parameters(properties: Properties) -> Mapping[str, Value]:
    """Derive the UTM properties from the query of ``hs_url``. If a parameter occurs several times, the first counts."""
    page = _page(properties)
    if page is None or not page.query:
        return {}
    derived: dict[str, Value] = {}
    for parameter in page.query.split("&"):
        name, _, value = parameter.partition("=")
        known = UTM_PARAMETERS.get(unquote_plus(name).lower())
        text = unquote_plus(value).strip() if known else ""
        if known and text:
            derived.setdefault(known, text)
    return derived


def original_url(properties: Properties) -> Mapping[str, Value]:
    """Derive ``hs_click_original_url`` from ``hs_click_raw_url`` by removing TRACKING_PARAMETERS."""
    raw = properties.get("hs_click_raw_url")
    if not isinstance(raw, str) or not raw.strip():
        return {}
    # Without urllib, because urlsplit followed by urlunsplit changes more of a URL than its parameters.
    page, hash_mark, fragment = raw.strip().partition("#")
    address, query_mark, query = page.partition("?")
    parameters = query.split("&")
    kept = [parameter for parameter in parameters if parameter.partition("=")[0].lower() not in TRACKING_PARAMETERS]
    if len(kept) != len(parameters):
        query_mark, query = "?" if kept else "", "&".join(kept)
    return {"hs_click_original_url": f"{address}{query_mark}{query}{hash_mark}{fragment}"}


def _page(properties: Properties) -> Page | None:
    url = properties.get("hs_url")
    return split(url) if isinstance(url, str) and not is_missing(url) else None


# Comparison ----------------------------------------------------------------------------------------------------------


def as_compared(part: UrlPart, text: str) -> str:
    """Return the form of a value or an operand that CONTAINS, STARTS_WITH and ENDS_WITH compare."""
    if part is UrlPart.URL:
        return fold(text)
    decoded = _decoded(text)
    return fold(decoded if part is UrlPart.PATH or "xn--" not in decoded.lower() else _XN_LABEL.sub(_label, decoded))


def equal_form(part: UrlPart) -> Callable[[str], str]:
    """Return the function that converts a result of ``as_compared`` to the form that equality compares."""
    return _EQUAL_FORMS[part]


def _equal_url(text: str) -> str:
    page = split(text)
    if page is None:
        return text.strip()
    scheme = f"{page.scheme}://" if page.scheme else ""
    query, fragment = f"?{page.query}" if page.query else "", f"#{page.fragment}" if page.fragment else ""
    return fold(f"{scheme}{_without_slash(page.base)}{query}{fragment}")


def _equal_base_url(text: str) -> str:
    page = split(text)
    return _without_slash(text.strip() if page is None else fold(page.base))


def _equal_domain(text: str) -> str:
    page = split(text)
    return fold(page.domain) if page is not None and page.host else text.strip()


def _equal_path(text: str) -> str:
    page = split(text) if "://" in text else None
    return _without_slash(text.strip() if page is None else fold(page.path))


def _without_slash(text: str) -> str:
    return text.removesuffix("/") if len(text) > 1 else text


_EQUAL_FORMS: Mapping[UrlPart, Callable[[str], str]] = MappingProxyType(
    {
        UrlPart.URL: _equal_url,
        UrlPart.BASE_URL: _equal_base_url,
        UrlPart.DOMAIN: _equal_domain,
        UrlPart.PATH: _equal_path,
    }
)

# Reading -------------------------------------------------------------------------------------------------------------

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):", re.ASCII | re.IGNORECASE)
_PORT = re.compile(r"[0-9]{1,5}(?![^/?#])", re.ASCII)
_AUTHORITY = re.compile(r"[^/?#]*")
_IPV4 = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3}){3}", re.ASCII)
# Characters that no host has (WHATWG, "forbidden domain code point"), and quotes.
_NO_HOST = re.compile(r"[\x00-\x20\"#%/:<>?@\[\\\]^`{|}\x7f]")
# Limited to the length of a label, because the time to decode punycode grows with the square of it.
_XN_LABEL = re.compile(r"(?<![a-z0-9-])xn--[a-z0-9-]{1,59}(?![a-z0-9-])", re.ASCII | re.IGNORECASE)
_ESCAPES = re.compile(r"(?:%[0-9a-f]{2})+", re.ASCII | re.IGNORECASE)
_DEFAULT_PORTS = {"http": (80,), "https": (443,), "": (80, 443)}
# Host with user, password and port, as it is written. The time to normalize it grows with the square of its length.
MAX_AUTHORITY = 1024
MAX_HOST = 253
MAX_LABEL = 63
# File extensions. A text without a scheme that ends in one is a file name, not a host with a top-level domain.
_FILES = frozenset({"html", "htm", "xhtml", "php", "asp", "aspx", "jsp", "jspx", "cgi", "cfm", "pdf", "xml", "txt"})


@lru_cache(maxsize=128)
def split(text: str) -> Page | None:
    """Return the parts of an http or https URL, with or without its scheme, or of a path that begins with a slash.

    Return None for every other text: ``mailto:``, a relative path like ``../pricing``, a malformed host or port.
    """
    url = text.strip()
    if not url.startswith("/"):
        scheme = _SCHEME.match(url)
        if scheme is None or not url.startswith("//", scheme.end()):
            if not _begins_with_host(url, scheme):
                return None
            url = f"//{url}"
        elif scheme[1].lower() not in ("http", "https"):
            return None
    has_host = url.startswith("//") or not url.startswith("/")
    if has_host:
        authority = _AUTHORITY.match(url, url.index("//") + 2)
        if authority is None or len(authority[0]) > MAX_AUTHORITY:
            return None
    try:
        parts = urlsplit(url)
        number = parts.port
    except ValueError:
        return None
    host = ""
    if has_host:
        known = _host(parts.hostname or "")
        if known is None:
            return None
        host = known
    port = "" if number is None or number in _DEFAULT_PORTS[parts.scheme] else f":{number}"
    return Page(parts.scheme, host, port, _decoded(parts.path) or "/", parts.query, parts.fragment)


def _begins_with_host(text: str, scheme: re.Match[str] | None) -> bool:
    """Whether a text without ``//`` begins with a host: ``acme.com/pricing``, ``localhost:3000``."""
    if scheme is not None and not _PORT.match(text, scheme.end()):
        return False
    authority = _AUTHORITY.match(text)
    host = (authority[0] if authority else "").partition(":")[0].removesuffix(".").lower()
    if "@" in host or host == "localhost" or _IPV4.fullmatch(host):
        return "@" not in host
    name, dot, last = host.rpartition(".")
    is_top_level = last.isalpha() or last.startswith("xn--") or not last.isascii()
    return bool(name and dot) and len(last) > 1 and is_top_level and last not in _FILES


def _host(written: str) -> str | None:
    """Return the host in lower case and in Unicode. None: it is malformed."""
    if ":" in written:
        return written  # IPv6, which urlsplit has checked
    host = unquote(written) if "%" in written else written
    if not host.isascii():
        host = unicodedata.normalize("NFKC", host).replace("\u3002", ".")
    if "xn--" in host:
        host = _XN_LABEL.sub(_label, host)
    host = host.lower().removesuffix(".")
    if not 1 <= len(host) <= MAX_HOST or _NO_HOST.search(host):
        return None
    return host if all(1 <= len(label) <= MAX_LABEL for label in host.split(".")) else None


def _label(match: re.Match[str]) -> str:
    """Return a label in Unicode, or unchanged if it is not valid punycode."""
    try:
        text = match[0][len("xn--") :].encode("ascii").decode("punycode")
    except ValueError:
        return match[0]
    return text if text and text.isprintable() and not text.isascii() and not _NO_HOST.search(text) else match[0]


def _decoded(text: str) -> str:
    """Decode percent-encoded characters, except those that would change the meaning of the URL (``/ ? # %``) and those
    that cannot be printed. So decoding a text again does not change it."""
    return text if "%" not in text else _ESCAPES.sub(_characters, text)


def _characters(match: re.Match[str]) -> str:
    text = bytes.fromhex(match[0].replace("%", "")).decode("utf-8", "surrogateescape")
    return "".join(
        char if char.isprintable() and char not in "/?#%" else _escaped(char.encode("utf-8", "surrogateescape"))
        for char in text
    )


def _escaped(raw: bytes) -> str:
    return "".join(f"%{byte:02X}" for byte in raw)
