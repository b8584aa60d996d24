"""The OpenAPI document, made from the table of operations."""

import re
from collections.abc import Sequence
from typing import Any

from enrollment.entrypoints.http_api.endpoint import Endpoint, Scope
from enrollment.entrypoints.http_api.schemas import SCHEMAS

VERSION = "1.0"
MAX_PATH_ID = 128

_PATH_PARAMETERS = {
    "flowId": "The flow's id.",
    "objectType": "A name (contact, contacts), an id (0-1), or a custom object (2-77).",
    "objectId": "The record's id.",
    "toObjectType": "The type of the other record.",
    "toObjectId": "The id of the other record.",
    "listId": "The list's id.",
    "eventType": "An event type of the catalogue, or HubSpot's id of it.",
    "enrollmentId": "The enrollment's id.",
    "replayName": "The replay's name.",
}


def openapi(operations: Sequence[Endpoint]) -> dict[str, Any]:
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Enroll",
            "version": VERSION,
            "description": "Flows, records and enrollments, in the format that HubSpot's clients speak.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"iam": [], "portal": []}, {"token": []}],
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "responses": {
                "Error": {
                    "description": "Why it was refused.",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
                }
            },
            "securitySchemes": {
                "iam": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "AWS Signature Version 4, service execute-api.",
                    "x-amazon-apigateway-authtype": "awsSigv4",
                },
                "portal": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "X-Portal-Id",
                    "description": "Under IAM: the portal that is meant.",
                },
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "With an OIDC issuer: a token whose claim portal_id binds it to one portal. Scopes: "
                    + ", ".join(Scope),
                },
            },
        },
    }


def _operation(operation: Endpoint) -> dict[str, Any]:
    needs = f"Needs the scope `{operation.scope}`." if operation.scope else "Needs no scope."
    written: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": f"{operation.description} {needs}".strip(),
        "tags": [_tag(operation)],
        "responses": {
            **{str(status): _reply(operation, schema) for status, schema in operation.replies.items()},
            "default": {"$ref": "#/components/responses/Error"},
        },
    }
    if parameters := _parameters(operation):
        written["parameters"] = parameters
    if operation.body is not None:
        content: dict[str, Any] = {"schema": {"$ref": f"#/components/schemas/{operation.body}"}}
        if operation.example.body is not None:
            content["example"] = operation.example.body
        written["requestBody"] = {"required": True, "content": {"application/json": content}}
    return written


def _tag(operation: Endpoint) -> str:
    for part, tag in (
        ("enrollments", "Enrollments"),
        ("/simulate", "Decisions"),
        ("/explain", "Decisions"),
        ("/preview", "Decisions"),
        ("/events/v3", "Records"),
        ("/flows", "Flows"),
        ("/objects", "Records"),
        ("/records", "Records"),
        ("/lists", "Records"),
        ("/replays", "Events"),
    ):
        if part in operation.path:
            return tag
    return "Catalogue"


def _parameters(operation: Endpoint) -> list[dict[str, Any]]:
    in_path = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": _PATH_PARAMETERS[name],
            "schema": {"type": "string", "minLength": 1, "maxLength": MAX_PATH_ID},
            **({"example": operation.example.path[name]} if name in operation.example.path else {}),
        }
        for name in re.findall(r"{(\w+)}", operation.path)
    ]
    in_query = [
        {
            "name": one.name,
            "in": "query",
            "required": one.is_required,
            "description": one.description,
            "schema": dict(one.schema),
            **({"example": operation.example.query[one.name]} if one.name in operation.example.query else {}),
        }
        for one in operation.query
    ]
    return in_path + in_query


def _reply(operation: Endpoint, schema: str | None) -> dict[str, Any]:
    if schema is None:
        return {"description": "Done."}
    if schema.startswith("text/"):
        return {"description": operation.summary, "content": {schema: {"schema": {"type": "string"}}}}
    if schema == "application/json":
        return {"description": operation.summary, "content": {schema: {"schema": {"type": "object"}}}}
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {"description": operation.summary, "content": content}
