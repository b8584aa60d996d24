"""What is derived from URLs, as tables."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enrollment.domain.urls import original_url, page_url_parts

# URL, base URL, domain, path, query parameters. None: not derived.
PAGES = [
    ("https://www.hubspot.com/search", "www.hubspot.com/search", "hubspot.com", "/search", None),
    ("https://www.hubspot.com/search?q=crm#top", "www.hubspot.com/search", "hubspot.com", "/search", "q=crm"),
    ("https://hubspot.com", "hubspot.com", "hubspot.com", "/", None),
    ("https://hubspot.com/", "hubspot.com/", "hubspot.com", "/", None),
    ("https://hubspot.com?a=1", "hubspot.com", "hubspot.com", "/", "a=1"),
    ("https://hubspot.com#a?b=1", "hubspot.com", "hubspot.com", "/", None),
    ("https://hubspot.com/?", "hubspot.com/", "hubspot.com", "/", None),
    ("https://hubspot.com/a?b=c?d&e=%20f+g", "hubspot.com/a", "hubspot.com", "/a", "b=c?d&e=%20f+g"),
    ("https://hubspot.com/a?utm_source=x", "hubspot.com/a", "hubspot.com", "/a", "utm_source=x"),
    ("HTTPS://WWW.HubSpot.com/Search", "www.hubspot.com/Search", "hubspot.com", "/Search", None),
    ("  https://hubspot.com/a  ", "hubspot.com/a", "hubspot.com", "/a", None),
    ("www.hubspot.com/search", "www.hubspot.com/search", "hubspot.com", "/search", None),
    ("//www.hubspot.com/search", "www.hubspot.com/search", "hubspot.com", "/search", None),
    ("hubspot.com/a//b", "hubspot.com/a//b", "hubspot.com", "/a//b", None),
    ("hubspot.com/a?to=https://x.com/b", "hubspot.com/a", "hubspot.com", "/a", "to=https://x.com/b"),
    ("https://blog.www.hubspot.com/a", "blog.www.hubspot.com/a", "blog.www.hubspot.com", "/a", None),
    ("https://wwwhubspot.com/a", "wwwhubspot.com/a", "wwwhubspot.com", "/a", None),
    ("https://shop.example.com:8443/a", "shop.example.com:8443/a", "shop.example.com", "/a", None),
    ("https://me:secret@example.com/a", "example.com/a", "example.com", "/a", None),
    ("http://[2001:db8::1]:80/a", "[2001:db8::1]:80/a", "2001:db8::1", "/a", None),
    ("https://münchen.example/straße", "münchen.example/straße", "münchen.example", "/straße", None),
    ("/pricing?plan=pro", "/pricing", None, "/pricing", "plan=pro"),
]


@pytest.mark.parametrize(("url", "base", "domain", "path", "query"), PAGES, ids=[one[0] for one in PAGES])
def test_page_url_parts(url: str, base: str, domain: str | None, path: str, query: str | None) -> None:
    expected = {"hs_base_url": base, "hs_url_domain": domain, "hs_url_path": path, "hs_query_params": query}
    assert page_url_parts({"hs_url": url}) == {name: part for name, part in expected.items() if part is not None}


@pytest.mark.parametrize("url", [None, "", "  ", 7, True, ["https://a.com"], "http://[broken/a"])
def test_what_is_no_url_has_no_parts(url: Any) -> None:
    assert page_url_parts({"hs_url": url}) == {}


def test_an_event_without_url_has_no_parts() -> None:
    assert page_url_parts({}) == {}
    assert original_url({}) == {}


LINKS = [
    ("https://example.com/a", "https://example.com/a"),
    ("https://example.com/a?plan=pro", "https://example.com/a?plan=pro"),
    ("https://example.com/a?_hsenc=p2A&_hsmi=5", "https://example.com/a"),
    ("https://example.com/a?plan=pro&_hsenc=p2A&seats=3&_hsmi=5", "https://example.com/a?plan=pro&seats=3"),
    ("https://example.com/a?b=2&a=1&__hstc=1&__hssc=2&__hsfp=3&hsCtaTracking=4", "https://example.com/a?b=2&a=1"),
    ("https://example.com/a?_HSENC=x&hsctatracking=y&a=1", "https://example.com/a?a=1"),
    ("https://example.com/a?_hsenc", "https://example.com/a"),
    ("https://example.com/a?_hsmi=5#part", "https://example.com/a#part"),
    ("https://example.com/a#part?_hsmi=5", "https://example.com/a#part?_hsmi=5"),
    ("https://example.com/a?utm_source=x&_hsmi=5", "https://example.com/a?utm_source=x"),
    ("https://example.com/a?my_hsmi=5&a=_hsenc", "https://example.com/a?my_hsmi=5&a=_hsenc"),
    ("https://example.com/a?q=%20a+b&a=1&a=2&&_hsmi=5", "https://example.com/a?q=%20a+b&a=1&a=2&"),
    ("https://example.com/a?to=https://x.com/?_hsmi=1&_hsmi=5", "https://example.com/a?to=https://x.com/?_hsmi=1"),
    ("www.example.com/a?_hsmi=5", "www.example.com/a"),
    ("HTTPS://Example.com/A?", "HTTPS://Example.com/A?"),
    (" https://example.com/a ", "https://example.com/a"),
]


@pytest.mark.parametrize(("raw", "original"), LINKS, ids=[one[0] for one in LINKS])
def test_original_url_is_the_raw_one_without_tracking(raw: str, original: str) -> None:
    assert original_url({"hs_click_raw_url": raw}) == {"hs_click_original_url": original}


@pytest.mark.parametrize("raw", [None, "", "  ", 7, True, ["https://a.com"]])
def test_what_is_no_link_has_no_original(raw: Any) -> None:
    assert original_url({"hs_click_raw_url": raw}) == {}


@given(st.text() | st.text(alphabet="ht:/?#[]@&=.wa1_%"))
def test_no_text_breaks_a_derivation(text: str) -> None:
    page_url_parts({"hs_url": text})
    once = original_url({"hs_click_raw_url": text})
    again = original_url({"hs_click_raw_url": once.get("hs_click_original_url")})
    assert again == once or not once["hs_click_original_url"]
