"""Make the OpenAPI document from the endpoints."""

import re
from collections.abc import Sequence
from typing import Any

from enrollment.entrypoints.http_api.endpoint import Endpoint, Scope
from enrollment.entrypoints.http_api.schemas import SCHEMAS

VERSION = "1.0"
MAX_PATH_ID = 128

_PATH_PARAMETERS = {
    "flowId": "The flow's ID.",
    "objectType": "An object type: a name (contact, contacts), an ID (0-1), or a custom object (2-77).",
    "objectId": "The record's ID.",
    "toObjectType": "The object type of the other record.",
    "toObjectId": "The ID of the other record.",
    "listId": "The list's ID.",
    "eventType": "An event type of the catalog, or HubSpot's ID of it.",
    "propertyName": "The name of a property, in any case.",
    "enrollmentId": "The enrollment's ID.",
    "messageId": "The ID of the unprocessed event in the queue: `id` of the list. It is not the ID of the event.",
    "replayName": "The replay's name.",
    "revisionId": "The number of a revision of the flow.",
    "runId": "The backfill's ID.",
    "contactId": "The contact's email, or its record ID. A text with an `@` is an email, unless no contact has it.",
}


def openapi(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """Return an OpenAPI 3.1 document. Its order is that of the endpoints, so that its text is reproducible."""
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Enroll",
            "version": VERSION,
            "description": "Flows, records and enrollments, in the format of HubSpot's APIs and clients.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"iam": [], "portal": []}, {"token": []}],
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "responses": {
                "Error": {
                    "description": "The request failed: what was wrong, and where.",
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
                    "description": "With IAM credentials: the ID of the portal.",
                },
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "With an OIDC issuer: a token whose claim portal_id names its portal. Scopes: "
                    + ", ".join(Scope),
                },
            },
        },
    }


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    scope = f"Needs the scope `{endpoint.scope}`." if endpoint.scope else "Needs no scope."
    operation: dict[str, Any] = {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "description": f"{endpoint.description} {scope}".strip(),
        "tags": [_tag(endpoint)],
        "responses": {
            **{str(status): _reply(endpoint, schema) for status, schema in endpoint.replies.items()},
            "default": {"$ref": "#/components/responses/Error"},
        },
    }
    if parameters := _parameters(endpoint):
        operation["parameters"] = parameters
    if endpoint.body is not None:
        content: dict[str, Any] = {"schema": {"$ref": f"#/components/schemas/{endpoint.body}"}}
        if endpoint.example.body is not None:
            content["example"] = endpoint.example.body
        operation["requestBody"] = {"required": True, "content": {"application/json": content}}
    return operation


def _tag(endpoint: Endpoint) -> str:
    for part, tag in (
        ("enrollments", "Enrollments"),
        ("/simulate", "Decisions"),
        ("/explain", "Decisions"),
        ("/preview", "Decisions"),
        ("/activity", "Decisions"),
        ("/events/v3", "Records"),
        ("/flows", "Flows"),
        ("/objects", "Records"),
        ("/records", "Records"),
        ("/lists", "Records"),
        ("/replays", "Events"),
        ("/occurrences", "Events"),
        ("/unprocessed", "Events"),
    ):
        if part in endpoint.path:
            return tag
    return "Catalog"


def _parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    in_path = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": _PATH_PARAMETERS[name],
            "schema": {"type": "string", "minLength": 1, "maxLength": MAX_PATH_ID},
            **({"example": endpoint.example.path[name]} if name in endpoint.example.path else {}),
        }
        for name in re.findall(r"{(\w+)}", endpoint.path)
    ]
    in_query = [
        {
            "name": query.name,
            "in": "query",
            "required": query.is_required,
            "description": query.description,
            "schema": dict(query.schema),
            **({"example": endpoint.example.query[query.name]} if query.name in endpoint.example.query else {}),
        }
        for query in endpoint.query
    ]
    in_header = [
        {
            "name": header.name,
            "in": "header",
            "required": header.is_required,
            "description": header.description,
            "schema": dict(header.schema),
        }
        for header in endpoint.headers
    ]
    return in_path + in_query + in_header


def _reply(endpoint: Endpoint, schema: str | None) -> dict[str, Any]:
    if schema is None:
        return {"description": "Done."}
    if schema.startswith("text/"):
        return {"description": endpoint.summary, "content": {schema: {"schema": {"type": "string"}}}}
    if schema == "application/json":
        return {"description": endpoint.summary, "content": {schema: {"schema": {"type": "object"}}}}
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {"description": endpoint.summary, "content": content}
