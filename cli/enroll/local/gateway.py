"""What API Gateway does with a request, on the loopback interface: HTTP to the function's event, and its answer back.

MiniStack has API Gateway too, but answers under a host name for each API, which a browser on this machine does not
find. Everyone who reaches this port is let in, as an operator under IAM is.
"""

from __future__ import annotations

import base64
import json
import time
import uuid
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, unquote

from enroll.local.loopback_http import HttpRequest, Response
from enroll.local.sandbox import Outcome
from enroll.local.settings import HOST

FUNCTION = "api"

OPERATOR = {"userArn": "arn:aws:iam::000000000000:user/local", "accountId": "000000000000"}


def to_event(request: HttpRequest) -> bytes:
    """Payload format 2.0. API Gateway decodes the path, and what then follows a `?` is lost: `/contacts/a%3Fb` arrives
    as `/contacts/a`."""
    raw_path, _, query = request.path.partition("?")
    path = unquote(raw_path, errors="replace").partition("?")[0]
    parameters: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        # The gateway joins what is given several times.
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
    answer = None if outcome.failed else json.loads(outcome.payload)
    if not isinstance(answer, dict) or "statusCode" not in answer:
        return Response.of(500, {"message": "Internal Server Error"})
    body = answer.get("body") or ""
    raw = base64.b64decode(body) if answer.get("isBase64Encoded") else body.encode()
    return Response(int(answer["statusCode"]), raw, dict(answer.get("headers") or {}))
