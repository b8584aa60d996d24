"""A request, from API Gateway's event to the answer: found by Powertools' resolver, let in, read, served, written."""

import base64
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote

from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError

from enrollment.adapters.observability import Metrics
from enrollment.application.ports import Clock
from enrollment.domain.json_text import byte_length, json_text
from enrollment.entrypoints.http_api.access import caller_of, portal_named
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
from enrollment.serialization.requests import check_id_property, read_path_id, refuse

MAX_BODY_BYTES = 1024 * 1024
# Lambda takes 6 MB, with the text escaped once more as JSON.
MAX_ANSWER_BYTES = 5 * 1024 * 1024
MAX_DEPTH = 64
RETRY_AFTER_SECONDS = "1"

JSON = "application/json"

# Of every answer. A browser that shows one loads and runs nothing, and lets no other page frame it.
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}


class Server:
    def __init__(
        self, operations: Sequence[Endpoint], services: Services, clock: Clock, logger: Logger, metrics: Metrics
    ) -> None:
        self._operations = operations
        self._services = services
        self._clock = clock
        self._logger = logger
        self._metrics = metrics
        self._resolver = APIGatewayHttpResolver()
        for operation in operations:
            # Powertools reads a rule as a regular expression.
            rule = re.sub(r"{(\w+)}", r"<\1>", operation.path).replace(".", r"\.") + _ending(operation.path)
            self._resolver.route(rule, method=operation.method)(self._endpoint(operation))
        self._resolver.not_found(self._not_found)

    def answer(self, event: Mapping[str, Any], context: Any) -> dict[str, Any]:
        """Of an API Gateway HTTP API event, payload format 2.0."""
        # API Gateway has decoded the path. Powertools finds routes by escaped ones; `_serve` undoes just this escaping.
        path = quote(event.get("rawPath") or "/", safe="/-._~!'()*:@,;=+&$", errors="replace")
        return self._resolver.resolve({**event, "rawPath": path}, context)

    def _endpoint(self, operation: Endpoint) -> Callable[..., Response[Any]]:
        def endpoint(**path: str) -> Response[Any]:
            return self._answer(operation, lambda: self._serve(operation, path))

        return endpoint

    def _serve(self, operation: Endpoint, path: Mapping[str, str]) -> Reply:
        event = self._resolver.current_event
        caller = caller_of(event.raw_event, operation)
        query = event.raw_event.get("queryStringParameters") or {}
        if operation.path.startswith("/crm/"):
            check_id_property(query)
        request = Request(
            caller=caller,
            path={name: read_path_id(unquote(value), name) for name, value in path.items()},
            query=query,
            body=None if operation.body is None else read_body(event.raw_event),
            now=self._clock(),
        )
        return operation.serve(self._services, request)

    def _answer(self, operation: Endpoint | None, serve: Callable[[], Reply]) -> Response[Any]:
        headers = dict(HEADERS)
        try:
            reply = serve()
            text = _text(reply)
        except Exception as error:
            problem = problem_of(error)
            if problem is None:
                self._logger.exception("failed")
                message = "Something failed here; the log has it under this correlation id. It can be tried again."
                problem = Problem(500, "INTERNAL_ERROR", message)
            if isinstance(error, MethodNotAllowed):
                headers["Allow"] = ", ".join(error.allowed)
            if problem.status == 503:
                headers["Retry-After"] = RETRY_AFTER_SECONDS
            envelope = write_problem(problem.category, problem.message, self._correlation_id(), problem.faults)
            reply = Reply(problem.status, envelope)
            text = json_text(envelope)
        self._note(operation, reply)
        headers |= reply.headers
        return Response(reply.status, reply.content_type if text else None, text or None, headers)

    def _not_found(self, _: NotFoundError) -> Response[Any]:
        def refuse() -> Reply:
            event = self._resolver.current_event
            allowed = [one.method for one in self._operations if _matches(one.path, event.path)]
            if allowed:
                raise MethodNotAllowed(f"found {event.http_method}, allowed is {' or '.join(allowed)}", allowed)
            raise RouteNotFound(f"no route {event.path[:200]}; /openapi.json has all of them")

        return self._answer(None, refuse)

    def _note(self, operation: Endpoint | None, reply: Reply) -> None:
        """One line and one metric a request: nothing is refused in silence."""
        error = reply.content if reply.status >= 400 and isinstance(reply.content, dict) else {}
        self._logger.info(
            "request",
            extra={
                "operation": operation.name if operation else None,
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
    """JSON. Raises WrongContentType, BodyTooLarge, InvalidRequest."""
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != JSON:
        raise WrongContentType(f"found content type {content_type or 'none'}, allowed is {JSON}")
    given = event.get("body") or ""
    try:
        raw = _decoded(given) if event.get("isBase64Encoded") else given.encode("utf-8", "surrogatepass")
        if len(raw) > MAX_BODY_BYTES:
            raise BodyTooLarge(f"found a body of {len(raw):,} bytes, allowed are {MAX_BODY_BYTES:,}")
        body = json.loads(raw.decode("utf-8"), parse_constant=_no_constant, parse_float=_finite)
    except UnicodeDecodeError as error:
        raise refuse("$", "MALFORMED_JSON", f"the body is not UTF-8 at byte {error.start}") from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, BodyTooLarge):
            raise
        raise refuse("$", "MALFORMED_JSON", f"the body is not JSON: {_why(error)}") from error
    if _is_deep(body):
        raise refuse("$", "TOO_DEEP", f"nested more than {MAX_DEPTH} levels deep")
    try:
        json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise refuse("$", "BAD_CHARACTERS", "found half of a surrogate pair in a text") from error
    return body


def _decoded(given: str) -> bytes:
    return base64.b64decode(given, validate=True)


def _no_constant(name: str) -> None:
    raise ValueError(f"found {name}, which JSON does not have")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"found {text[:40]}, which is no finite number")
    return number


def _why(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at line {error.lineno}, column {error.colno}"
    return "nested too deep" if isinstance(error, RecursionError) else str(error)[:200]


def _is_deep(body: Any) -> bool:
    """Without recursion, so that no nesting can exhaust the stack."""
    level = [body]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for one in level
            if isinstance(one, dict | list)
            for child in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return False
    return True


def _text(reply: Reply) -> str:
    if reply.content is None:
        return ""
    text = reply.content if isinstance(reply.content, str) else json_text(reply.content)
    # Lambda's own answer has the text as a string in JSON, in UTF-8.
    size = byte_length(json_text(text))
    if size > MAX_ANSWER_BYTES:
        raise AnswerTooLarge(f"the answer would have {size:,} bytes, allowed are {MAX_ANSWER_BYTES:,}; ask for less")
    return text


def _matches(template: str, path: str) -> bool:
    return re.fullmatch(re.sub(r"{\w+}", "[^/]+", template.replace(".", r"\.")) + _ending(template), path) is not None


def _ending(template: str) -> str:
    """HubSpot's clients end some paths with a slash. After an id it would be a part of the id, ``a/``."""
    return "" if template.endswith("Id}") else "/?"
