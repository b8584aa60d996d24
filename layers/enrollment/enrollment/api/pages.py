"""`/openapi.json` and `/docs`: the API, described by itself."""

import json
from importlib.resources import files

from enrollment.api.operations import Operation, Reply, Request, Services


def read_openapi(services: Services, request: Request) -> Reply:
    # Here, and not above: the document is made of the table that these two operations are part of.
    from enrollment.api.openapi import openapi

    return Reply(200, openapi())


def read_docs(services: Services, request: Request) -> Reply:
    return Reply(200, _page(), "text/html; charset=utf-8")


def _page() -> str:
    """Swagger UI, whole, so that nothing is loaded from elsewhere. Its files come with Powertools, as files: its own
    function that serves them needs pydantic, which is more than all that is here."""
    from enrollment.api.openapi import openapi

    assets = files("aws_lambda_powertools").joinpath("event_handler", "openapi", "swagger_ui")
    script = assets.joinpath("swagger-ui-bundle.min.js").read_text("utf-8")
    style = assets.joinpath("swagger-ui.min.css").read_text("utf-8")
    # `</` would end the script element in the middle of the text.
    document = json.dumps(openapi()).replace("</", "<\\/")
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>Enroll API</title>"
        f"<style>{style}</style></head><body><div id='ui'></div><script>{script}</script>"
        f"<script>SwaggerUIBundle({{dom_id: '#ui', spec: {document}, deepLinking: true}});</script></body></html>"
    )


OPERATIONS = (
    Operation(
        "readOpenApi",
        "GET",
        "/openapi.json",
        "This API as an OpenAPI 3.1 document",
        read_openapi,
        {200: "application/json"},
        scope=None,
        concerns_a_portal=False,
    ),
    Operation(
        "readDocs",
        "GET",
        "/docs",
        "This API, to browse and to try",
        read_docs,
        {200: "text/html"},
        scope=None,
        concerns_a_portal=False,
    ),
)
