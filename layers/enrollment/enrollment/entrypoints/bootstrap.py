"""The composition root of the functions that handle events. Its parts are made from the configuration once, at the
first invocation. ``entrypoints.http_api.bootstrap`` is the composition root of the API."""

import os
import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger
from msgspec import Struct, field
from msgspec.structs import replace

from enrollment.adapters import aws_clients as clients
from enrollment.adapters.coalescing.call_coalescer import CallCoalescer
from enrollment.adapters.coalescing.publishers import CoalescingBus, CoalescingQueue
from enrollment.adapters.coalescing.tables import CoalescingTables
from enrollment.adapters.dynamodb.associations import DynamoAssociations
from enrollment.adapters.dynamodb.candidate_flows import DynamoFlows
from enrollment.adapters.dynamodb.deferred_events import DynamoDeferredEvents
from enrollment.adapters.dynamodb.due_items import DynamoDueItems
from enrollment.adapters.dynamodb.enrollments import DynamoEnrollments
from enrollment.adapters.dynamodb.event_history import DynamoHistory
from enrollment.adapters.dynamodb.portal_settings import DynamoPortals
from enrollment.adapters.dynamodb.rate_limits import DynamoRateLimits
from enrollment.adapters.dynamodb.records import DynamoRecords
from enrollment.adapters.dynamodb.replays import DynamoReplays
from enrollment.adapters.dynamodb.tables import Tables
from enrollment.adapters.eventbridge import EventBridgeBus
from enrollment.adapters.observability import Metrics, PowertoolsDecisionLog, log_refused_flow
from enrollment.adapters.sqs import SqsQueue, SqsRedeliveryScheduler, SqsUnprocessed
from enrollment.application.criteria_evaluator import CriteriaEvaluator
from enrollment.application.deferred_decisions import Deferrals
from enrollment.application.enrollment_publisher import EnrollmentPublisher
from enrollment.application.event_history import EventHistory
from enrollment.application.event_processor import EventProcessor
from enrollment.application.ports import Bus, DecisionLog, Flows, Portals, Queue, UnprocessedEvents
from enrollment.application.replay import ReplayProcessor
from enrollment.application.unconfirmed_enrollments import UnconfirmedPublisher
from enrollment.catalog import EVENT_TYPES
from enrollment.config import Config, from_environment
from enrollment.domain.events.associated_change import AssociatedChange
from enrollment.domain.events.event import OWN_SOURCE, Event
from enrollment.domain.identifiers import ulid
from enrollment.domain.values import Instant
from enrollment.serialization.envelopes import read_event, read_stored_event, replay_name, write_event
from enrollment.serialization.flows import read_stored_flow
from enrollment.serialization.messages import read_message, write_announcement, write_message, write_outbound_event
from enrollment.serialization.redeliveries import (
    Redelivery,
    read_redelivery,
    write_associated_change,
    write_redelivery,
)
from enrollment.serialization.unprocessed import write_unprocessed

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


# Events of a batch that are decided at the same time. A botocore client keeps this number of connections.
MAX_WORKERS = 10


class Application(Struct, frozen=True):
    """The parts that the handlers use. ``executor`` runs the events of a batch. ``trace`` wraps a function in an X-Ray
    subsegment if tracing is on. ``processor_of_batch`` makes the processor of one batch."""

    read_event: Callable[[object, str], Event]
    read_redelivery: Callable[[str], Redelivery | AssociatedChange]
    replay_name: Callable[[object], str | None]
    processor: EventProcessor
    replay_processor: ReplayProcessor
    unconfirmed_publisher: UnconfirmedPublisher
    unprocessed: UnprocessedEvents
    decision_log: DecisionLog
    logger: Logger
    metrics: Metrics
    trace: Callable[[Callable[..., Any]], Callable[..., Any]]
    processor_of_batch: Callable[[CallCoalescer], EventProcessor]
    # The executor starts its threads at the first batch.
    executor: Executor = field(default_factory=lambda: ThreadPoolExecutor(MAX_WORKERS, "event"))

    def of_batch(self, coalescer: CallCoalescer) -> "Application":
        """Return the application for one batch. Its events share the flows that they read, and merge their concurrent
        calls to AWS."""
        processor = self.processor_of_batch(coalescer)
        return replace(self, processor=processor, replay_processor=replace(self.replay_processor, processor=processor))


@cache
def application() -> Application:
    """Return the application of this process, configured by the environment. Raises MissingConfiguration."""
    return assemble(from_environment())


def assemble(config: Config) -> Application:
    """Make the application from a configuration."""
    logger, metrics = Logger(), Metrics(config.metrics_namespace, config.service, now)
    session = clients.open_session()
    decision_log, dynamodb, sqs = (
        PowertoolsDecisionLog(logger, metrics),
        clients.dynamodb(session),
        clients.sqs(session),
    )
    tables, queue = Tables(dynamodb, config), SqsQueue(sqs, config.enrollments_queue_url, write_message)
    bus = EventBridgeBus(clients.events(session), config.event_bus_name, write_announcement, write_outbound_event)
    flows = DynamoFlows(tables, partial(read_stored_flow, report=partial(log_refused_flow, logger)))
    portals = DynamoPortals(tables)

    def processor_of_batch(coalescer: CallCoalescer) -> EventProcessor:
        batch_tables = CoalescingTables(dynamodb, config, coalescer)
        batch_queue, batch_bus = CoalescingQueue(queue, coalescer), CoalescingBus(bus, coalescer)
        return _processor(config, batch_tables, flows.of_batch(), portals, batch_queue, batch_bus, sqs, decision_log)

    def read_accepted_event(envelope: object, category: str) -> Event:
        event = read_event(envelope, category)
        # The settings are read once a minute for each portal. The stack's own events need no check.
        if event.source != OWN_SOURCE:
            portals.settings(event.portal_id).check_source(event)
        return event

    processor = _processor(config, tables, flows, portals, queue, bus, sqs, decision_log)
    return Application(
        read_event=read_accepted_event,
        read_redelivery=read_redelivery,
        replay_name=replay_name,
        processor=processor,
        replay_processor=ReplayProcessor(processor, DynamoReplays(tables), decision_log, now),
        unconfirmed_publisher=UnconfirmedPublisher(
            DynamoEnrollments(tables, write_message, read_message), processor.publisher, now
        ),
        unprocessed=SqsUnprocessed(
            sqs,
            config.unprocessed_queue_url,
            partial(write_unprocessed, bus=config.event_bus_name, max_bytes=config.unprocessed_message_bytes),
        ),
        decision_log=decision_log,
        logger=logger,
        metrics=metrics,
        trace=tracing(config),
        processor_of_batch=processor_of_batch,
    )


def _processor(
    config: Config,
    tables: Tables,
    flows: Flows,
    portals: Portals,
    queue: Queue,
    bus: Bus,
    sqs: "SQSClient",
    decision_log: DecisionLog,
) -> EventProcessor:
    records, enrollments = DynamoRecords(tables), DynamoEnrollments(tables, write_message, read_message)
    redeliveries = SqsRedeliveryScheduler(
        sqs, config.redeliveries_queue_url, write_redelivery, now, write_associated_change, DynamoDueItems(tables)
    )
    return EventProcessor(
        event_types=EVENT_TYPES,
        flows=flows,
        records=records,
        evaluator=CriteriaEvaluator(records, DynamoAssociations(tables), portals),
        enrollments=enrollments,
        deferrals=Deferrals(DynamoDeferredEvents(tables, write_event, read_stored_event), records, redeliveries),
        rate_limits=DynamoRateLimits(tables),
        history=event_history(config, tables),
        publisher=EnrollmentPublisher(enrollments, queue, bus, redeliveries, now),
        decision_log=decision_log,
        clock=now,
        new_id=new_id,
        history_length=config.history_length,
        max_individual_decisions=config.decided_one_by_one,
    )


def event_history(config: Config, tables: Tables) -> EventHistory:
    """Return the history of events, with the settings of the configuration."""
    store = DynamoHistory(tables, write_event, read_stored_event, is_found_by_id=config.find_events_by_id)
    return EventHistory(store, config.event_history_days, config.find_events_by_id)


def tracing(config: Config) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that records an X-Ray subsegment for each call, or one that does nothing if tracing is off."""
    if not config.is_traced:
        return lambda function: function
    # The import of the X-Ray SDK takes half a second, so it is imported only where tracing is on.
    from aws_lambda_powertools import Tracer

    tracer = Tracer(patch_modules=["botocore"])
    return tracer.capture_method


def now() -> Instant:
    """Return the current time in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def new_id(at: Instant) -> str:
    """Return a new ULID, which sorts by the given time."""
    return ulid(at, os.urandom(10))
