"""Values that are derived from URLs, as tables."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enrollment.domain.operators.urls import (
    UrlPart,
    as_compared,
    equal_form,
    original_url,
    page_url_parts,
    utm_parameters,
)
from enrollment.domain.values import fold

# URL, base URL, domain, path, query parameters. None: not derived.
PAGES = [
    ("https://www.hubspot.com/search", "www.hubspot.com/search", "hubspot.com", "/search", None),
    ("https://www.hubspot.com/search?q=crm#top", "www.hubspot.com/search", "hubspot.com", "/search", "q=crm"),
    ("https://hubspot.com", "hubspot.com/", "hubspot.com", "/", None),
    ("https://hubspot.com/", "hubspot.com/", "hubspot.com", "/", None),
    ("https://hubspot.com?a=1", "hubspot.com/", "hubspot.com", "/", "a=1"),
    ("https://hubspot.com#a?b=1", "hubspot.com/", "hubspot.com", "/", None),
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
    ("http://[2001:db8::1]:80/a", "[2001:db8::1]/a", "2001:db8::1", "/a", None),
    ("https://münchen.example/straße", "münchen.example/straße", "münchen.example", "/straße", None),
    ("/pricing?plan=pro", "/pricing", None, "/pricing", "plan=pro"),
    ("/", "/", None, "/", None),
    ("/" + "a" * 2000, "/" + "a" * 2000, None, "/" + "a" * 2000, None),
    ("https://acme.com/" + "a" * 2000, "acme.com/" + "a" * 2000, "acme.com", "/" + "a" * 2000, None),
    ("/a?to=//b.com", "/a", None, "/a", "to=//b.com"),
    ("https://acme.com?q=" + "a" * 2000, "acme.com/", "acme.com", "/", "q=" + "a" * 2000),
    # Default ports, trailing dots, case.
    ("https://acme.com:443/a", "acme.com/a", "acme.com", "/a", None),
    ("http://acme.com:80/a", "acme.com/a", "acme.com", "/a", None),
    ("http://acme.com:443/a", "acme.com:443/a", "acme.com", "/a", None),
    ("acme.com:443/a", "acme.com/a", "acme.com", "/a", None),
    ("acme.com:8443", "acme.com:8443/", "acme.com", "/", None),
    ("https://acme.com:/a", "acme.com/a", "acme.com", "/a", None),
    ("https://Acme.COM./a", "acme.com/a", "acme.com", "/a", None),
    ("localhost:3000/a", "localhost:3000/a", "localhost", "/a", None),
    ("http://intranet/a", "intranet/a", "intranet", "/a", None),
    ("127.0.0.1/a", "127.0.0.1/a", "127.0.0.1", "/a", None),
    ("https://www.com/", "www.com/", "www.com", "/", None),
    ("https://www.acme.co.uk/", "www.acme.co.uk/", "acme.co.uk", "/", None),
    # International host names, decoded paths.
    ("https://B\u00dcCHER.example/", "b\u00fccher.example/", "b\u00fccher.example", "/", None),
    ("https://xn--bcher-kva.example/", "b\u00fccher.example/", "b\u00fccher.example", "/", None),
    ("https://www.XN--BCHER-KVA.example", "www.b\u00fccher.example/", "b\u00fccher.example", "/", None),
    ("https://b%C3%BCcher.example/", "b\u00fccher.example/", "b\u00fccher.example", "/", None),
    ("https://bu\u0308cher\u3002example/", "b\u00fccher.example/", "b\u00fccher.example", "/", None),
    ("https://xn--999.example/", "xn--999.example/", "xn--999.example", "/", None),
    (
        "\u4f8b\u3048.\u30c6\u30b9\u30c8/a",
        "\u4f8b\u3048.\u30c6\u30b9\u30c8/a",
        "\u4f8b\u3048.\u30c6\u30b9\u30c8",
        "/a",
        None,
    ),
    ("https://acme.com/caf%C3%A9", "acme.com/caf\u00e9", "acme.com", "/caf\u00e9", None),
    ("https://acme.com/a%20b?q=%20", "acme.com/a b", "acme.com", "/a b", "q=%20"),
    ("https://acme.com/a%2fb%3f%23%25", "acme.com/a%2Fb%3F%23%25", "acme.com", "/a%2Fb%3F%23%25", None),
    ("https://acme.com/%ff%00%0A%", "acme.com/%FF%00%0A%", "acme.com", "/%FF%00%0A%", None),
    ("https://acme.com/%2541", "acme.com/%2541", "acme.com", "/%2541", None),
    ("https://acme.com/a/../b/", "acme.com/a/../b/", "acme.com", "/a/../b/", None),
]


@pytest.mark.parametrize(("url", "base", "domain", "path", "query"), PAGES, ids=[page[0] for page in PAGES])
def test_page_url_parts(url: str, base: str, domain: str | None, path: str, query: str | None) -> None:
    expected = {"hs_base_url": base, "hs_url_domain": domain, "hs_url_path": path, "hs_query_params": query}
    assert page_url_parts({"hs_url": url}) == {name: part for name, part in expected.items() if part is not None}


@pytest.mark.parametrize(
    "url",
    [
        *(None, "", "  ", 7, True, ["https://a.com"], "http://[broken/a"),
        *("mailto:ada@acme.com", "MAILTO:ada@acme.com?subject=x", "ada@acme.com", "tel:123", "tel:+353123", "sms:5"),
        *("javascript:void(0)", "about:blank", "data:text/html,x", "file:///C:/a.html", "ftp://acme.com/a"),
        *("pricing", "pricing/a", "../pricing", "./a", "?q=1", "#top", "index.html", "blog.php?id=1", "a/b.com"),
        *("https://", "https:///a", "http:/acme.com", "https:acme.com", "https://:443/", "//", "///a"),
        *(
            "https://acme.com:99999/",
            "https://acme.com:port/",
            "https://ac me.com/",
            "https://acme..com/",
            "https://.com",
        ),
        *("https://ac<me.com/", "https://acme.com\\a", "https://" + "a" * 64 + ".com", "https://" + "a." * 127 + "com"),
        *("https://" + "e\u0301" * 4000, "xn--" + "a" * 8000 + ".com", "https://" + "%65" * 400 + ".com/"),
        *("https://[::1", "https://a%2Fb.com/", "https://%00.com/", "https://acme.com..", "1.5", "3/4", "v1.2.3"),
    ],
)
def test_text_that_is_not_a_url_has_no_parts(url: Any) -> None:
    assert page_url_parts({"hs_url": url}) == {}


def test_every_spelling_of_a_page_has_the_same_base_url() -> None:
    spellings = [
        "https://acme.com",
        "https://acme.com/",
        "HTTPS://ACME.com:443",
        "http://acme.com.",
        "acme.com",
        "//acme.com/",
    ]
    assert {str(page_url_parts({"hs_url": url})) for url in spellings} == {
        str({"hs_base_url": "acme.com/", "hs_url_path": "/", "hs_url_domain": "acme.com"})
    }


@pytest.mark.parametrize(
    ("query", "derived"),
    [
        ("utm_source=news&utm_medium=email", {"hs_utm_source": "news", "hs_utm_medium": "email"}),
        ("utm_campaign=a%20b+c&utm_content=%C3%A9&utm_term=x", {"campaign": "a b c", "content": "\u00e9", "term": "x"}),
        ("UTM_Source=News&q=utm_medium=x", {"hs_utm_source": "News"}),
        ("utm_source=&utm_source=%20&utm_source=first&utm_source=second", {"hs_utm_source": "first"}),
        ("utm_id=7&my_utm_source=x&utm_sources=y", {}),
        ("utm_source", {}),
        ("", {}),
    ],
)
@pytest.mark.parametrize("page", ["https://acme.com/a", "acme.com", "/a"])
def test_utm_parameters_are_derived_from_the_url(page: str, query: str, derived: dict[str, str]) -> None:
    expected = {name if name.startswith("hs_") else f"hs_utm_{name}": value for name, value in derived.items()}
    assert utm_parameters({"hs_url": f"{page}?{query}#utm_source=fragment"}) == expected


@pytest.mark.parametrize("url", ["mailto:a@acme.com?utm_source=x", "index.html?utm_source=x", None, 7])
def test_text_that_is_not_a_url_has_no_utm_parameters(url: Any) -> None:
    assert utm_parameters({"hs_url": url}) == {}


@given(st.text() | st.text(alphabet="ht:/?#[]@&=.wa1_%xn-2Fé"), st.sampled_from(UrlPart))
def test_derived_properties_are_equal_to_their_source(text: str, part: UrlPart) -> None:
    """The form of a derived part is that of the whole URL: nothing is decoded twice."""
    derived = page_url_parts({"hs_url": text})
    name = {"PATH": "hs_url_path", "DOMAIN": "hs_url_domain", "BASE_URL": "hs_base_url", "URL": "hs_url"}[part]
    found = derived.get(name)
    if found is not None:
        again = as_compared(part, str(found))
        assert again == as_compared(part, again)
        if part is UrlPart.PATH:
            assert again == fold(str(found))


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


@pytest.mark.parametrize(("raw", "original"), LINKS, ids=[link[0] for link in LINKS])
def test_original_url_is_the_raw_one_without_tracking(raw: str, original: str) -> None:
    assert original_url({"hs_click_raw_url": raw}) == {"hs_click_original_url": original}


@pytest.mark.parametrize("raw", [None, "", "  ", 7, True, ["https://a.com"]])
def test_text_that_is_not_a_link_has_no_original_url(raw: Any) -> None:
    assert original_url({"hs_click_raw_url": raw}) == {}


@given(st.text() | st.text(alphabet="ht:/?#[]@&=.wa1_%"))
def test_derivation_accepts_any_text(text: str) -> None:
    page_url_parts({"hs_url": text})
    utm_parameters({"hs_url": f"{text}?{text}"})
    for part in UrlPart:
        equal_form(part)(as_compared(part, text))
    once = original_url({"hs_click_raw_url": text})
    again = original_url({"hs_click_raw_url": once.get("hs_click_original_url")})
    assert again == once or not once["hs_click_original_url"]
