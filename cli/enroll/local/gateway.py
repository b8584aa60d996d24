"""The part of API Gateway: converts an HTTP request to the event of a function, and its result to a response.

MiniStack has API Gateway too, but serves each API under its own host name, which a browser on this machine cannot
resolve. Every caller on this port is authorized, like an operator with IAM permissions.
"""

from __future__ import annotations

import base64
import json
import time
import uuid
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

from enroll.local.loopback_http import HttpRequest, Response
from enroll.local.sandbox import Outcome
from enroll.local.settings import HOST

FUNCTION = "api"
DOCS = "/docs"
"""The page with Swagger UI. Its parameter `portal` prefills the portal of requests."""

OPERATOR = {"userArn": "arn:aws:iam::000000000000:user/local", "accountId": "000000000000"}


def to_event(request: HttpRequest) -> bytes:
    """Return the event of a request, in payload format 2.0.

    Like API Gateway, decode the path and drop everything after a `?`: `/contacts/a%3Fb` becomes `/contacts/a`.
    """
    raw_path, _, query = request.path.partition("?")
    path = unquote(raw_path, errors="replace").partition("?")[0]
    parameters: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        # API Gateway joins the values of a repeated parameter.
        parameters[name] = f"{parameters[name]},{value}" if name in parameters else value
    try:
        body, is_base64 = request.body.decode("utf-8"), False
    except UnicodeDecodeError:
        body, is_base64 = base64.b64encode(request.body).decode(), True
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "ANY /{proxy+}",
        "rawPath": path,
        "rawQueryString": query,
        "headers": dict(request.headers),
        "requestContext": {
            "accountId": OPERATOR["accountId"],
            "apiId": "local",
            "authorizer": {"iam": OPERATOR},
            "domainName": HOST,
            "http": {
                "method": request.method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": HOST,
                "userAgent": request.headers.get("user-agent", ""),
            },
            "requestId": str(uuid.uuid4()),
            "routeKey": "ANY /{proxy+}",
            "stage": "$default",
            "time": datetime.now(UTC).strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "timeEpoch": int(time.time() * 1000),
        },
        "isBase64Encoded": is_base64,
    }
    if parameters:
        event["queryStringParameters"] = parameters
    if request.body:
        event["body"] = body
    return json.dumps(event).encode()


def to_response(outcome: Outcome) -> Response:
    """Return the response of a function of the HTTP API. Status 500 if the function failed."""
    answer = None if outcome.failed else json.loads(outcome.payload)
    if not isinstance(answer, dict) or "statusCode" not in answer:
        return Response.of(500, {"message": "Internal Server Error"})
    body = answer.get("body") or ""
    raw = base64.b64decode(body) if answer.get("isBase64Encoded") else body.encode()
    return Response(int(answer["statusCode"]), raw, dict(answer.get("headers") or {}))


def request_of(event: Any) -> tuple[str, str] | None:
    """Return the method and the path of the request in an event of `to_event`. None for any other event."""
    try:
        http = event["requestContext"]["http"]
        return str(http["method"]), str(http["path"])
    except (KeyError, TypeError):
        return None


def is_change(method: str, path: str) -> bool:
    """Return whether a request can change something, by the scope of its operation. ``path`` is decoded."""
    # Imported at the first request, because the table of the operations loads the whole API.
    from enroll.api_routes import find_route, is_reading

    route = find_route(quote(path))
    endpoint = None if route is None else route.operations.get(method)
    return method != "GET" if endpoint is None else not is_reading(endpoint)
