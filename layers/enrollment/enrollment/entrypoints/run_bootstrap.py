"""The composition root of the function that evaluates the records of runs. Its parts are made from the configuration
once, at the first invocation. It is off the event path, so it may load what lengthens a cold start."""

import time
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import cache

from aws_lambda_powertools import Logger
from msgspec import Struct, field

from enrollment.adapters import aws_clients as clients
from enrollment.adapters.dynamodb.associations import DynamoAssociations
from enrollment.adapters.dynamodb.due_items import DynamoDueItems
from enrollment.adapters.dynamodb.enrollments import DynamoEnrollments
from enrollment.adapters.dynamodb.flow_repository import DynamoFlowRepository
from enrollment.adapters.dynamodb.portal_settings import DynamoPortals
from enrollment.adapters.dynamodb.rate_limits import DynamoRateLimits
from enrollment.adapters.dynamodb.record_listing import DynamoRecordListing
from enrollment.adapters.dynamodb.records import DynamoRecords
from enrollment.adapters.dynamodb.run_repository import DynamoRuns
from enrollment.adapters.dynamodb.tables import Tables
from enrollment.adapters.eventbridge import EventBridgeBus
from enrollment.adapters.observability import Metrics, PowertoolsDecisionLog
from enrollment.adapters.sqs import SqsQueue, SqsRedeliveryScheduler
from enrollment.application.criteria_evaluator import CriteriaEvaluator
from enrollment.application.enrollment_claims import EnrollmentClaims
from enrollment.application.enrollment_publisher import EnrollmentPublisher
from enrollment.application.run_worker import RunWorker
from enrollment.config import Config, from_environment
from enrollment.entrypoints import bootstrap
from enrollment.entrypoints.bootstrap import new_id
from enrollment.serialization.flows import read_flow_or_retired
from enrollment.serialization.messages import read_message, write_announcement, write_message, write_outbound_event
from enrollment.serialization.redeliveries import write_associated_change, write_redelivery

# Shards that one invocation evaluates at the same time. Most of the time of an enrollment is waiting for AWS.
WORKERS = 4


class RunApplication(Struct, frozen=True):
    """``executor`` runs the workers of an invocation."""

    worker: RunWorker
    logger: Logger
    metrics: Metrics
    # The executor starts its threads at the first invocation.
    executor: Executor = field(default_factory=lambda: ThreadPoolExecutor(WORKERS, "run"))


@cache
def run_application() -> RunApplication:
    """Return the application of this process, configured by the environment. Raises MissingConfiguration."""
    return assemble(from_environment())


def assemble(config: Config) -> RunApplication:
    """Make the application from a configuration."""
    logger, metrics = Logger(), Metrics(config.metrics_namespace, config.service, _now)
    session = clients.open_session()
    sqs, tables = clients.sqs(session), Tables(clients.dynamodb(session), config)
    records, enrollments = DynamoRecords(tables), DynamoEnrollments(tables, write_message, read_message)
    bus = EventBridgeBus(clients.events(session), config.event_bus_name, write_announcement, write_outbound_event)
    worker = RunWorker(
        runs=DynamoRuns(tables),
        flow_repository=DynamoFlowRepository(tables, read_flow_or_retired),
        read_flow=read_flow_or_retired,
        listing=DynamoRecordListing(tables),
        records=records,
        first_enrollments=enrollments,
        evaluator=CriteriaEvaluator(records, DynamoAssociations(tables), DynamoPortals(tables)),
        claims=EnrollmentClaims(enrollments, DynamoRateLimits(tables), _now, new_id),
        publisher=EnrollmentPublisher(
            enrollments,
            SqsQueue(sqs, config.enrollments_queue_url, write_message),
            bus,
            SqsRedeliveryScheduler(
                sqs,
                config.redeliveries_queue_url,
                write_redelivery,
                _now,
                write_associated_change,
                DynamoDueItems(tables),
            ),
            _now,
        ),
        decision_log=PowertoolsDecisionLog(logger, metrics),
        clock=_now,
        sleep=time.sleep,
    )
    return RunApplication(worker, logger, metrics)


def _now() -> int:
    return bootstrap.now()
