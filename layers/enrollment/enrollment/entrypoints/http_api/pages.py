"""Serve `/openapi.json`, the OpenAPI document, and `/docs`, a page with Swagger UI."""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from enrollment.entrypoints.http_api.endpoint import Endpoint, Reply, Request, Services

Document = Mapping[str, Any]

PORTAL_PARAMETER = "portal"


def operations(describe: Callable[[], Document]) -> tuple[Endpoint, ...]:
    """Return the two operations. ``describe`` returns the OpenAPI document of all operations, including these two.
    It is a function because the document needs the whole list first."""

    def get_openapi(services: Services, request: Request) -> Reply:
        return Reply(200, describe())

    @cache
    def page_and_policy() -> tuple[str, str]:
        return _page(describe())

    def get_docs(services: Services, request: Request) -> Reply:
        page, policy = page_and_policy()
        return Reply(200, page, "text/html; charset=utf-8", {"Content-Security-Policy": policy})

    return (
        Endpoint(
            "readOpenApi",
            "GET",
            "/openapi.json",
            "Get the OpenAPI 3.1 document of this API",
            get_openapi,
            {200: "application/json"},
            scope=None,
            concerns_a_portal=False,
        ),
        Endpoint(
            "readDocs",
            "GET",
            "/docs",
            "Browse and try the API in Swagger UI",
            get_docs,
            {200: "text/html"},
            scope=None,
            concerns_a_portal=False,
        ),
    )


def _page(document: Document) -> tuple[str, str]:
    """Return Swagger UI as one page that loads nothing else, and its Content-Security-Policy. The policy allows the two
    scripts of the page, by their digests, and calls to the API.

    `/docs?portal=demo` prefills the header that names the portal. The browser reads the parameter: the page has no text
    of the request.

    Powertools ships the files of Swagger UI. Its own function that serves them needs pydantic, which is larger than
    this whole package."""
    assets = files("aws_lambda_powertools").joinpath("event_handler", "openapi", "swagger_ui")
    bundle = assets.joinpath("swagger-ui-bundle.min.js").read_text("utf-8")
    style = assets.joinpath("swagger-ui.min.css").read_text("utf-8")
    # `</` inside the text would end the script element.
    spec = json.dumps(document).replace("</", "<\\/")
    start = (
        f"const ui = SwaggerUIBundle({{dom_id: '#ui', spec: {spec}, deepLinking: true, onComplete: () => {{"
        f"const portal = new URLSearchParams(location.search).get('{PORTAL_PARAMETER}');"
        "if (portal) ui.preauthorizeApiKey('portal', portal);}});"
    )
    page = (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>Enroll API</title>"
        f"<style>{style}</style></head><body><div id='ui'></div><script>{bundle}</script>"
        f"<script>{start}</script></body></html>"
    )
    directives = (
        "default-src 'none'",
        f"script-src {_digest(bundle)} {_digest(start)}",
        # Swagger UI sets the style attribute of its elements.
        "style-src 'unsafe-inline'",
        "img-src data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
    return page, "; ".join(directives)


def _digest(script: str) -> str:
    """Return a script's source expression for a Content-Security-Policy. Browsers convert CR LF to LF before they
    compare the digest."""
    text = script.replace("\r\n", "\n").replace("\r", "\n")
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
