"""The Lambda handler of the function that sends due work, which a schedule invokes each minute."""

from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from enrollment.adapters.deadline import DeadlineReached
from enrollment.application.timer_sweep import SweepBatch
from enrollment.domain.timers.due_item import DUE_SHARDS
from enrollment.entrypoints.batch_executor import run_grouped
from enrollment.entrypoints.event_handlers import DEADLINE_MARGIN_SECONDS, Handler
from enrollment.entrypoints.timer_bootstrap import WORKERS, TimerApplication, timer_application

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

# A sweep begins no batch after this time, so that few sweeps overlap.
WORK_SECONDS = 50.0


def timer_handler() -> Handler:
    """Return the handler of the schedule, whose event is ignored. It returns ``{"sent", "left", "failed",
    "oldestSeconds"}``: numbers of items, the number of shards that failed, and the age of the oldest item. The next
    sweep sends what is left."""

    def handler(event: Any, context: "LambdaContext | None") -> Mapping[str, Any]:
        app = timer_application()
        app.logger.append_keys(function_request_id=getattr(context, "aws_request_id", None))
        try:
            return sweep(app, _seconds_left(context))
        except Exception:
            app.logger.exception("failed")
            raise
        finally:
            app.metrics.flush()

    return handler


def sweep(app: TimerApplication, seconds: float | None = None) -> Mapping[str, Any]:
    """Send the work of all shards that is due soon. ``seconds``: until the invocation must end; None: there is no
    limit. The shards take turns, one batch each, so that a shard with a large number of due items does not delay the
    others. A shard that fails does not delay them either. Raises the error of a shard that could not be read, after
    the others are done."""
    began_at = app.timer_sweep.clock()
    until = began_at + round((WORK_SECONDS if seconds is None else min(WORK_SECONDS, seconds)) * 1000)
    waiting = deque((shard, app.timer_sweep.sweep(shard, until)) for shard in range(DUE_SHARDS))
    results: list[SweepBatch] = []
    failed: set[int] = set()
    unread: list[Exception] = []

    def take_turns(_: int) -> None:
        while waiting:
            # Only this thread has the shard until it is appended again.
            try:
                shard, batches = waiting.popleft()
            except IndexError:  # another thread has taken the last shard
                return
            try:
                batch = next(batches, None)
            except DeadlineReached:
                return
            except Exception as error:
                unread.append(error)
                app.logger.error("failed", extra={"shard": shard}, exc_info=error)
                continue
            if batch is None:
                continue
            results.append(batch)
            if batch.error is not None and not isinstance(batch.error, DeadlineReached):
                failed.add(shard)
                app.logger.error("failed", extra={"shard": shard}, exc_info=batch.error)
            waiting.append((shard, batches))

    run_grouped([[worker] for worker in range(WORKERS)], take_turns, app.executor, None, seconds)
    if unread:
        raise unread[0]
    # A copy, because a thread that outlives the timeout can still append.
    batches = list(results)
    oldest_ms = max((began_at - batch.oldest_due_at for batch in batches), default=0)
    counts = {
        "sent": sum(batch.sent for batch in batches),
        "left": sum(batch.left for batch in batches),
        "failed": len(failed),
        "oldestSeconds": max(0, oldest_ms // 1000),
    }
    app.metrics.count("DueItemsSent", counts["sent"])
    app.metrics.count("DueItemsLeft", counts["left"])
    app.metrics.count("OldestDueItemSeconds", counts["oldestSeconds"])
    if batches:
        app.logger.info("timers", extra={**counts, "failedShards": sorted(failed)})
    return counts


def _seconds_left(context: "LambdaContext | None") -> float | None:
    left = getattr(context, "get_remaining_time_in_millis", None)
    return None if left is None else max(0.0, left() / 1000 - DEADLINE_MARGIN_SECONDS)
