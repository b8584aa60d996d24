"""Serve an HTTP request: route it with Powertools' resolver, authorize the caller, read the request, call the endpoint
and write the response."""

import base64
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError

from enrollment.adapters.observability import Metrics
from enrollment.application.ports import Clock
from enrollment.domain.json_text import byte_length, json_text
from enrollment.entrypoints.http_api.access import caller_of, portal_named
from enrollment.entrypoints.http_api.compression import compressed
from enrollment.entrypoints.http_api.endpoint import Endpoint, Reply, Request, Services
from enrollment.entrypoints.http_api.problems import (
    AnswerTooLarge,
    BodyTooLarge,
    MethodNotAllowed,
    Problem,
    RouteNotFound,
    WrongContentType,
    problem_of,
)
from enrollment.serialization.problems import write_problem
from enrollment.serialization.requests import ID_PROPERTIES, check_id_property, read_path_id, refuse
from enrollment.serialization.validation_errors import expectation_of

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

MAX_BODY_BYTES = 1024 * 1024
# Lambda's response can have 6 MB. It contains the text as a JSON string, which escapes it once more.
MAX_ANSWER_BYTES = 5 * 1024 * 1024
MAX_DEPTH = 64
RETRY_AFTER_SECONDS = "1"
INTERNAL_ERROR = "Internal error. Retrying is safe. Quote this correlation ID when you report it."

JSON = "application/json"

# The headers of every response. A browser that shows it does not load or run anything, and other pages cannot frame it.
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}


class Server:
    """Serves the endpoints. Every response is logged and counted, also that to a rejected request."""

    def __init__(
        self, endpoints: Sequence[Endpoint], services: Services, clock: Clock, logger: Logger, metrics: Metrics
    ) -> None:
        self._endpoints = endpoints
        self._services = services
        self._clock = clock
        self._logger = logger
        self._metrics = metrics
        self._resolver = APIGatewayHttpResolver()
        for endpoint in endpoints:
            # Powertools reads a rule as a regular expression.
            rule = re.sub(r"{(\w+)}", r"<\1>", endpoint.path).replace(".", r"\.") + _trailing_slash(endpoint.path)
            self._resolver.route(rule, method=endpoint.method)(self._route_handler(endpoint))
        self._resolver.not_found(self._not_found)

    def answer(self, event: Mapping[str, Any], context: "LambdaContext") -> dict[str, Any]:
        """Return the response to an event of an API Gateway HTTP API, payload format 2.0. Every error becomes a
        response."""
        # API Gateway has decoded the path. Powertools expects an escaped one. `_serve` undoes this escaping.
        path = quote(event.get("rawPath") or "/", safe="/-._~!'()*:@,;=+&$", errors="replace")
        return compressed(self._resolver.resolve({**event, "rawPath": path}, context), event)

    def _route_handler(self, endpoint: Endpoint) -> Callable[..., Response[Any]]:
        def handle(**path: str) -> Response[Any]:
            return self._answer(endpoint, lambda: self._serve(endpoint, path))

        return handle

    def _serve(self, endpoint: Endpoint, path: Mapping[str, str]) -> Reply:
        event = self._resolver.current_event
        caller = caller_of(event.raw_event, endpoint)
        query = event.raw_event.get("queryStringParameters") or {}
        if endpoint.path.startswith("/crm/"):
            check_id_property(query, _id_properties(endpoint))
        request = Request(
            caller=caller,
            path={name: read_path_id(unquote(value), name) for name, value in path.items()},
            query=query,
            body=None if endpoint.body is None else read_body(event.raw_event),
            now=self._clock(),
            headers={name.lower(): value for name, value in (event.raw_event.get("headers") or {}).items()},
        )
        return endpoint.serve(self._services, request)

    def _answer(self, endpoint: Endpoint | None, serve: Callable[[], Reply]) -> Response[Any]:
        headers = dict(HEADERS)
        try:
            reply = serve()
            text = _text(reply)
        except Exception as error:
            problem = problem_of(error)
            if problem is None:
                self._logger.exception("failed")
                problem = Problem(500, "INTERNAL_ERROR", INTERNAL_ERROR)
            if isinstance(error, MethodNotAllowed):
                headers["Allow"] = ", ".join(error.allowed)
            if problem.status == 503:
                headers["Retry-After"] = RETRY_AFTER_SECONDS
            envelope = write_problem(problem.category, problem.message, self._correlation_id(), problem.faults)
            reply = Reply(problem.status, envelope)
            text = json_text(envelope)
        self._log(endpoint, reply)
        headers |= reply.headers
        return Response(reply.status, reply.content_type if text else None, text or None, headers)

    def _not_found(self, _: NotFoundError) -> Response[Any]:
        def refuse() -> Reply:
            event = self._resolver.current_event
            allowed = [endpoint.method for endpoint in self._endpoints if _matches(endpoint.path, event.path)]
            if allowed:
                raise MethodNotAllowed(expectation_of(f"method {' or '.join(allowed)}", event.http_method), allowed)
            raise RouteNotFound(f"no route {event.path[:200]}; /openapi.json lists all routes")

        return self._answer(None, refuse)

    def _log(self, endpoint: Endpoint | None, reply: Reply) -> None:
        """Write one log line and one metric for each request."""
        error = reply.content if reply.status >= 400 and isinstance(reply.content, dict) else {}
        self._logger.info(
            "request",
            extra={
                "operation": endpoint.name if endpoint else None,
                "status": reply.status,
                "portalId": portal_named(self._resolver.current_event.raw_event),
                "category": error.get("category"),
                "explanation": error.get("message"),
                "correlationId": self._correlation_id(),
            },
        )
        metric = "ApiAnswered" if reply.status < 400 else "ApiRefused" if reply.status < 500 else "ApiFailed"
        self._metrics.count(metric)

    def _correlation_id(self) -> str:
        context = self._resolver.current_event.raw_event.get("requestContext") or {}
        return str(context.get("requestId") or "")


def read_body(event: Mapping[str, Any]) -> Any:
    """Return the parsed JSON body of an API Gateway event. Raises WrongContentType, BodyTooLarge and InvalidRequest."""
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != JSON:
        raise WrongContentType(expectation_of(f"content type {JSON}", content_type or "no content type"))
    text = event.get("body") or ""
    try:
        raw = _decoded(text) if event.get("isBase64Encoded") else text.encode("utf-8", "surrogatepass")
        if len(raw) > MAX_BODY_BYTES:
            raise BodyTooLarge(
                expectation_of(
                    f"a body of at most {MAX_BODY_BYTES:,} bytes",
                    f"{len(raw):,} bytes",
                    "Send several smaller requests",
                )
            )
        body = json.loads(raw.decode("utf-8"), parse_constant=_no_constant, parse_float=_finite)
    except UnicodeDecodeError as error:
        message = expectation_of("a body in UTF-8", f"other bytes at offset {error.start}")
        raise refuse("$", "MALFORMED_JSON", message) from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, BodyTooLarge):
            raise
        message = expectation_of("a body in JSON", f"an error: {_parse_error(error)}")
        raise refuse("$", "MALFORMED_JSON", message) from error
    if _is_too_deep(body):
        raise refuse("$", "TOO_DEEP", expectation_of(f"at most {MAX_DEPTH} levels of nesting", "more levels"))
    try:
        json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise refuse(
            "$", "BAD_CHARACTERS", expectation_of("complete Unicode characters", "half a surrogate pair in a text")
        ) from error
    return body


def _decoded(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _no_constant(name: str) -> None:
    raise ValueError(f"JSON has no constant {name}")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"the number {text[:40]} is too large")
    return number


def _parse_error(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at line {error.lineno}, column {error.colno}"
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)[:200]


def _is_too_deep(body: Any) -> bool:
    """Count levels without recursion, so that deep nesting cannot exhaust the stack."""
    level = [body]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for value in level
            if isinstance(value, dict | list)
            for child in (value.values() if isinstance(value, dict) else value)
        ]
        if not level:
            return False
    return True


def _id_properties(endpoint: Endpoint) -> Sequence[str]:
    """Return the values of the parameter `idProperty` that the endpoint describes."""
    allowed = (query.schema["enum"] for query in endpoint.query if query.name == "idProperty")
    return next(allowed, ID_PROPERTIES)


def _text(reply: Reply) -> str:
    if reply.content is None:
        return ""
    text = reply.content if isinstance(reply.content, str) else json_text(reply.content)
    # Lambda's response contains the text as a JSON string in UTF-8.
    size = byte_length(json_text(text))
    if size > MAX_ANSWER_BYTES:
        raise AnswerTooLarge(
            expectation_of(
                f"a response of at most {MAX_ANSWER_BYTES:,} bytes",
                f"{size:,} bytes",
                "Request fewer items or properties",
            )
        )
    return text


def _matches(template: str, path: str) -> bool:
    pattern = re.sub(r"{\w+}", "[^/]+", template.replace(".", r"\.")) + _trailing_slash(template)
    return re.fullmatch(pattern, path) is not None


def _trailing_slash(template: str) -> str:
    """Return the end of a route's pattern. HubSpot's clients end some paths with a slash. After an ID, the slash would
    be part of the ID, so such a route does not accept it."""
    return "" if template.endswith("Id}") else "/?"
