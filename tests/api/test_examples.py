"""Every operation's example works as the API document describes, and the committed document is the generated one."""

from pathlib import Path

import jsonschema
import pytest

from enrollment.entrypoints.http_api.endpoint import Endpoint
from enrollment.entrypoints.http_api.routes import ENDPOINTS
from enrollment.entrypoints.http_api.write_openapi import openapi_text
from tests.support.api_document import DOCUMENT, conforms, filled
from tests.support.portal import example_portal, portal_of_examples

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("operation", ENDPOINTS, ids=lambda endpoint: endpoint.name)
def test_the_example_works(operation: Endpoint) -> None:
    api, example = portal_of_examples(), operation.example

    answer = api(operation.method, filled(operation.path, example.path), example.body, query=dict(example.query))

    assert answer.status in operation.replies, answer.text
    schema = operation.replies[answer.status]
    if schema is None:
        assert answer.text == ""
    elif "/" in schema:
        assert answer.headers["Content-Type"].startswith(schema)
    else:
        conforms(answer.json, schema)
    if operation.body is not None:
        conforms(example.body, operation.body)


def test_the_document_is_openapi() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    for name, schema in DOCUMENT["components"]["schemas"].items():
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema, name
    named = [operation["operationId"] for path in DOCUMENT["paths"].values() for operation in path.values()]
    assert len(named) == len(set(named)) == len(ENDPOINTS)


def test_committed_openapi_document_is_up_to_date() -> None:
    committed = (ROOT / "docs" / "openapi.json").read_text(encoding="utf-8")
    assert committed == openapi_text(), "run `make schemas`"


def test_the_documents_are_served() -> None:
    api = example_portal()
    assert api("GET", "/openapi.json").json == DOCUMENT
    page = api("GET", "/docs")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "SwaggerUIBundle(" in page.text
    assert "/automation/v4/flows" in page.text
