"""The Lambda handler of the HTTP API."""

from collections.abc import Callable
from functools import cache
from typing import Any

from enrollment.api.bootstrap import ApiApplication, api_application
from enrollment.api.operations import Services
from enrollment.api.routes import OPERATIONS
from enrollment.api.server import Server
from enrollment.bootstrap import new_id, now

Handler = Callable[[Any, Any], dict[str, Any]]


def api_handler() -> Handler:
    """Answers API Gateway's HTTP API events, payload format 2.0."""

    def handler(event: Any, context: Any) -> dict[str, Any]:
        app, server = _parts()
        app.logger.append_keys(function_request_id=getattr(context, "aws_request_id", None))
        try:
            answer: dict[str, Any] = app.trace(server.answer)(event, context)
            return answer
        finally:
            app.metrics.flush()

    return handler


@cache
def _parts() -> tuple[ApiApplication, Server]:
    app = api_application()
    services = Services(
        app.authoring,
        app.evaluation,
        app.portals,
        app.recordkeeping,
        app.enrollments,
        app.history,
        app.process,
        app.explaining,
        app.replays,
        new_id,
    )
    return app, Server(OPERATIONS, services, now, app.logger, app.metrics)
