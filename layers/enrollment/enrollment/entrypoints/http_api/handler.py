"""The Lambda handler of the HTTP API."""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from enrollment.entrypoints.bootstrap import new_id, now
from enrollment.entrypoints.http_api.bootstrap import ApiApplication, api_application
from enrollment.entrypoints.http_api.endpoint import Services
from enrollment.entrypoints.http_api.routes import ENDPOINTS
from enrollment.entrypoints.http_api.server import Server

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

Handler = Callable[[Any, "LambdaContext"], dict[str, Any]]


def api_handler() -> Handler:
    """Return the handler of API Gateway's HTTP API events, payload format 2.0."""

    def handler(event: Any, context: "LambdaContext") -> dict[str, Any]:
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
        app.evaluator,
        app.portals,
        app.record_service,
        app.enrollments,
        app.flow_activity,
        app.history,
        app.processor,
        app.explaining,
        app.replays,
        app.manual_enrollment,
        app.backfills,
        app.unprocessed,
        new_id,
        app.stack,
    )
    return app, Server(ENDPOINTS, services, now, app.logger, app.metrics)
