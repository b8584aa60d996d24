"""The OpenAPI document, and checks of responses against it."""

from collections.abc import Mapping
from typing import Any

import jsonschema

from enrollment.entrypoints.http_api.routes import openapi_document

DOCUMENT = openapi_document()


def conforms(content: Any, name: str) -> None:
    schema = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker()).validate(content)


def filled(path: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        path = path.replace(f"{{{name}}}", value)
    return path
