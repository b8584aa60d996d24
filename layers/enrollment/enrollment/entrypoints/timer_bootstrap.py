"""The composition root of the function that sends due work. Its parts are made from the configuration once, at the
first invocation."""

from concurrent.futures import Executor, ThreadPoolExecutor
from functools import cache

from aws_lambda_powertools import Logger
from msgspec import Struct, field

from enrollment.adapters import aws_clients as clients
from enrollment.adapters.dynamodb.due_items import DynamoDueItems
from enrollment.adapters.dynamodb.tables import Tables
from enrollment.adapters.observability import Metrics
from enrollment.adapters.sqs import SqsWorkQueue
from enrollment.application.timer_sweep import TimerSweep
from enrollment.config import Config, from_environment
from enrollment.entrypoints import bootstrap

# Shards that are swept at the same time. A botocore client keeps ten connections.
WORKERS = 8


class TimerApplication(Struct, frozen=True):
    """``executor`` runs the shards of an invocation."""

    timer_sweep: TimerSweep
    logger: Logger
    metrics: Metrics
    # The executor starts its threads at the first invocation.
    executor: Executor = field(default_factory=lambda: ThreadPoolExecutor(WORKERS, "timer"))


@cache
def timer_application() -> TimerApplication:
    """Return the application of this process, configured by the environment. Raises MissingConfiguration."""
    return assemble(from_environment())


def assemble(config: Config) -> TimerApplication:
    """Make the application from a configuration."""
    session = clients.open_session()
    tables = Tables(clients.dynamodb(session), config)
    work_queue = SqsWorkQueue(clients.sqs(session), config.redeliveries_queue_url, _now)
    metrics = Metrics(config.metrics_namespace, config.service, _now)
    return TimerApplication(TimerSweep(DynamoDueItems(tables), work_queue, _now), Logger(), metrics)


def _now() -> int:
    return bootstrap.now()
