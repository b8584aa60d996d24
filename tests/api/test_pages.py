"""The headers of the API's responses that restrict a browser."""

import base64
import hashlib
from html.parser import HTMLParser

import pytest

from enrollment.entrypoints.http_api.routes import ENDPOINTS, openapi_document
from tests.support.portal import example_portal


class Page(HTMLParser):
    """The inline scripts of a page, and all that it would load or run besides."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts: list[str] = []
        self.loaded: list[tuple[str, str | None]] = []
        self._in_script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_script = tag == "script"
        if self._in_script:
            self.scripts.append("")
        self.loaded += [attr for attr in attrs if attr[0] in ("src", "href", "action") or attr[0].startswith("on")]

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts[-1] += data


def directives(policy: str) -> dict[str, list[str]]:
    return {name: values for name, *values in (part.split() for part in policy.split(";"))}


def test_page_runs_only_its_own_scripts() -> None:
    answer = example_portal()("GET", "/docs")
    page = Page()
    page.feed(answer.text)
    policy = directives(answer.headers["Content-Security-Policy"])

    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in page.scripts]
    assert len(digests) == 2
    assert policy["script-src"] == [f"'sha256-{digest}'" for digest in digests]
    assert page.loaded == []
    assert policy["default-src"] == ["'none'"]
    assert policy["connect-src"] == ["'self'"]
    for name in ("base-uri", "form-action", "frame-ancestors"):
        assert policy[name] == ["'none'"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_page_prefills_the_portal_that_its_address_names() -> None:
    """No browser runs here. The script calls a function of Swagger UI, with the scheme that names the portal."""
    page = Page()
    page.feed(example_portal()("GET", "/docs").text)
    bundle, start = page.scripts
    (scheme,) = (
        name
        for name, scheme in openapi_document()["components"]["securitySchemes"].items()
        if scheme.get("name") == "X-Portal-Id"
    )
    assert f"ui.preauthorizeApiKey('{scheme}', portal)" in start
    assert "new URLSearchParams(location.search).get('portal')" in start
    assert "preauthorizeApiKey" in bundle
    # The page is the same for every portal: it has no text of the request.
    assert example_portal()("GET", "/docs", query={"portal": "evil-portal"}).text.count("evil-portal") == 0


@pytest.mark.parametrize("path", ["/openapi.json", "/automation/v4/flows", "/nothing", "/automation/v4/flows/404"])
def test_responses_forbid_framing_and_content_sniffing(path: str) -> None:
    """Errors included: each may have a text of a caller's own in it."""
    headers = example_portal()("GET", path).headers
    assert directives(headers["Content-Security-Policy"]) == {"default-src": ["'none'"], "frame-ancestors": ["'none'"]}
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_docs_is_the_only_page() -> None:
    """Another page would need its own policy and its own test."""
    pages = {endpoint.path for endpoint in ENDPOINTS for schema in endpoint.replies.values() if schema == "text/html"}
    assert pages == {"/docs"}
