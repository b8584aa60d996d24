"""The composition root: what is made of the configuration, once, at the first invocation."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import botocore.session
from aws_lambda_powertools import Logger, Metrics
from botocore.config import Config as ClientConfig
from ulid import ULID

from enrollment.adapters.associations import DynamoAssociations
from enrollment.adapters.bus import EventBridgeBus
from enrollment.adapters.enrollments import DynamoEnrollments
from enrollment.adapters.flows import DynamoFlowBook, DynamoFlows
from enrollment.adapters.history import DynamoHistory
from enrollment.adapters.portals import DynamoPortals
from enrollment.adapters.queues import SqsQueue, SqsRedeliveries, SqsUnprocessed
from enrollment.adapters.rate_limits import DynamoRateLimits
from enrollment.adapters.records import DynamoRecords
from enrollment.adapters.replays import DynamoReplays
from enrollment.adapters.tables import Tables
from enrollment.adapters.waiting import DynamoWaitingEvents
from enrollment.authoring import Authoring
from enrollment.catalog import EVENT_TYPES
from enrollment.config import Config, from_environment
from enrollment.delivery import Delivery
from enrollment.domain.events import Event
from enrollment.domain.values import Instant
from enrollment.evaluation import Evaluation
from enrollment.explanation import Explaining
from enrollment.history import EventHistory
from enrollment.observability import PowertoolsJournal
from enrollment.ports import Enrollments, Journal, Portals, Replays, Unprocessed
from enrollment.process import Process
from enrollment.recordkeeping import Recordkeeping
from enrollment.replaying import Replaying
from enrollment.simulation import without_consequences
from enrollment.waiting import Waiting
from enrollment.wire.envelopes import check_production, read_event, read_stored_event, replay_name, write_event
from enrollment.wire.flows import read_flow
from enrollment.wire.messages import read_message, write_announcement, write_message, write_production
from enrollment.wire.redeliveries import read_redelivery, write_redelivery

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_sqs import SQSClient

# Seconds. SQS and EventBridge answer in milliseconds; a call that takes longer is better made again.
CLIENT = ClientConfig(
    connect_timeout=2,
    read_timeout=5,
    retries={"total_max_attempts": 5, "mode": "standard"},
    parameter_validation=False,
)


@dataclass(frozen=True, slots=True)
class Application:
    read_event: Callable[[object, str], Event]
    read_redelivery: Callable[[str], tuple[Event, frozenset[str], Instant]]
    replay_name: Callable[[object], str | None]
    process: Process
    replaying: Replaying
    unprocessed: Unprocessed
    journal: Journal
    logger: Logger
    metrics: Metrics
    trace: Callable[[Callable[..., Any]], Callable[..., Any]]


@cache
def application() -> Application:
    """Raises MissingConfiguration."""
    return assemble(from_environment())


def assemble(config: Config) -> Application:
    logger, metrics = Logger(), Metrics()
    session = botocore.session.get_session()
    sqs = _sqs(session)
    journal, tables = PowertoolsJournal(logger, metrics), Tables(config)
    process = _process(config, sqs, _bus(config, session), tables, journal)
    return Application(
        read_event=read_event,
        read_redelivery=read_redelivery,
        replay_name=replay_name,
        process=process,
        replaying=Replaying(process, DynamoReplays(tables), journal, now),
        unprocessed=SqsUnprocessed(sqs, config.unprocessed_queue_url),
        journal=journal,
        logger=logger,
        metrics=metrics,
        trace=_trace(config),
    )


def _process(config: Config, sqs: "SQSClient", bus: EventBridgeBus, tables: Tables, journal: Journal) -> Process:
    records, enrollments = DynamoRecords(tables), DynamoEnrollments(tables, write_message, read_message)
    redeliveries = SqsRedeliveries(sqs, config.redeliveries_queue_url, write_redelivery, now)
    return Process(
        event_types=EVENT_TYPES,
        flows=DynamoFlows(tables, read_flow),
        records=records,
        evaluation=Evaluation(records, DynamoAssociations(tables), DynamoPortals(tables)),
        enrollments=enrollments,
        waiting=Waiting(DynamoWaitingEvents(tables, write_event, read_stored_event), records, redeliveries),
        rate_limits=DynamoRateLimits(tables),
        history=EventHistory(DynamoHistory(tables, write_event, read_stored_event), config.event_history_days),
        delivery=Delivery(
            enrollments=enrollments,
            queue=SqsQueue(sqs, config.enrollments_queue_url, write_message),
            bus=bus,
            redeliveries=redeliveries,
            clock=now,
        ),
        journal=journal,
        clock=now,
        new_id=new_id,
        history_length=config.history_length,
        one_by_one=config.decided_one_by_one,
    )


@dataclass(frozen=True, slots=True)
class ApiApplication:
    """``process``: to be simulated."""

    authoring: Authoring
    evaluation: Evaluation
    portals: Portals
    recordkeeping: Recordkeeping
    enrollments: Enrollments
    history: EventHistory
    process: Process
    explaining: Explaining
    replays: Replays
    logger: Logger
    metrics: Metrics
    trace: Callable[[Callable[..., Any]], Callable[..., Any]]


def api_application() -> ApiApplication:
    """Raises MissingConfiguration."""
    config = from_environment()
    session, tables = botocore.session.get_session(), Tables(config)
    records, associations, portals = DynamoRecords(tables), DynamoAssociations(tables), DynamoPortals(tables)
    evaluation = Evaluation(records, associations, portals)
    enrollments = DynamoEnrollments(tables, write_message, read_message)
    book, flows = DynamoFlowBook(tables, read_flow), DynamoFlows(tables, read_flow)
    process = without_consequences(
        event_types=EVENT_TYPES,
        flows=flows,
        records=records,
        evaluation=evaluation,
        enrollments=enrollments,
        clock=now,
        new_id=new_id,
        history_length=config.history_length,
    )
    return ApiApplication(
        authoring=Authoring(book, flows, read_flow),
        evaluation=evaluation,
        portals=portals,
        recordkeeping=Recordkeeping(
            records=records,
            associations=associations,
            producer=_bus(config, session),
            check=check_production,
            history_length=config.history_length,
        ),
        enrollments=enrollments,
        history=EventHistory(DynamoHistory(tables, write_event, read_stored_event), config.event_history_days),
        process=process,
        explaining=Explaining(process, book, read_flow),
        replays=DynamoReplays(tables),
        logger=Logger(),
        metrics=Metrics(),
        trace=_trace(config),
    )


def _sqs(session: botocore.session.Session) -> "SQSClient":
    client: SQSClient = session.create_client("sqs", config=CLIENT)  # type: ignore[assignment]
    return client


def _bus(config: Config, session: botocore.session.Session) -> EventBridgeBus:
    # Not boto3: it is these clients and 250 ms of imports for file transfers that nothing here makes.
    client: EventBridgeClient = session.create_client("events", config=CLIENT)  # type: ignore[assignment]
    return EventBridgeBus(client, config.event_bus_name, write_announcement, write_production)


def _trace(config: Config) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    if not config.is_traced:
        return lambda function: function
    # The X-Ray SDK is half a second of imports: only where it is used.
    from aws_lambda_powertools import Tracer

    tracer = Tracer(patch_modules=["botocore"])
    return tracer.capture_method


def now() -> Instant:
    return time.time_ns() // 1_000_000


def new_id(at: Instant) -> str:
    """A ULID: sorts by time."""
    return str(ULID.from_timestamp(at / 1000))
