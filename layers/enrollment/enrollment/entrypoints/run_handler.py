"""The Lambda handler of the function that evaluates the records of runs, which a schedule invokes each minute."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from enrollment.application.run_worker import PageResult
from enrollment.entrypoints.batch_executor import run_grouped
from enrollment.entrypoints.event_handlers import DEADLINE_MARGIN_SECONDS, Handler
from enrollment.entrypoints.run_bootstrap import WORKERS, RunApplication, run_application

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

# An invocation begins no page after this time. The next one is started by the clock, so few of them overlap.
WORK_SECONDS = 100.0
# Time for the pages that are being evaluated, before the invocation must end.
PAGE_SECONDS = 60.0


def run_handler() -> Handler:
    """Return the handler of the schedule, whose event is ignored. It returns ``{"pages", "records", "failed"}``. The
    next invocation continues what is left."""

    def handler(event: Any, context: "LambdaContext | None") -> Mapping[str, Any]:
        app = run_application()
        app.logger.append_keys(function_request_id=getattr(context, "aws_request_id", None))
        try:
            return evaluate_runs(app, _seconds_left(context))
        except Exception:
            app.logger.exception("failed")
            app.metrics.count("RunPagesFailed")
            raise
        finally:
            app.metrics.flush()

    return handler


def evaluate_runs(app: RunApplication, seconds: float | None = None) -> Mapping[str, Any]:
    """Evaluate pages of all active runs. ``seconds``: until the invocation must end; None: there is no limit."""
    results: list[PageResult] = []
    working = WORK_SECONDS if seconds is None else max(0.0, min(WORK_SECONDS, seconds - PAGE_SECONDS))
    until = app.worker.clock() + round(working * 1000)

    def work(_: int) -> None:
        for result in app.worker.work(until):
            results.append(result)
            _log(app, result)

    run_grouped([[number] for number in range(WORKERS)], work, app.executor, None, seconds)
    # A copy, because a thread that outlives the timeout can still append.
    pages = [result.page for result in list(results) if result.page is not None]
    records = sum(number for page in pages for number in page.counts.values())
    counts = {"pages": len(pages), "records": records, "failed": sum(result.error is not None for result in results)}
    if results:
        app.metrics.count("RunRecords", records)
        app.metrics.count("RunPagesFailed", counts["failed"])
        app.logger.info("runs", extra=counts)
    return counts


def _log(app: RunApplication, result: PageResult) -> None:
    run, shard, page = result.run, result.shard, result.page
    fields = {"runId": run.id, "portalId": run.portal_id, "flowId": run.flow_id, "shard": shard.number}
    if page is not None:
        codes = {code.value: number for code, number in page.counts.items()}
        app.logger.info("page", extra={**fields, "isDryRun": run.is_dry_run, "codes": codes})
    else:
        app.logger.error("failed", extra=fields, exc_info=result.error)


def _seconds_left(context: "LambdaContext | None") -> float | None:
    left = getattr(context, "get_remaining_time_in_millis", None)
    return None if left is None else max(0.0, left() / 1000 - DEADLINE_MARGIN_SECONDS)
