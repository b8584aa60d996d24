"""The composition root of the API. Its parts are made from the configuration once, at the first request."""

from collections.abc import Callable
from functools import partial
from typing import Any

from aws_lambda_powertools import Logger
from msgspec import Struct

from enrollment.adapters import aws_clients as clients
from enrollment.adapters.dynamodb.association_repository import AssociationRepository
from enrollment.adapters.dynamodb.candidate_flows import DynamoFlows
from enrollment.adapters.dynamodb.due_items import DynamoDueItems
from enrollment.adapters.dynamodb.enrollments import DynamoEnrollments
from enrollment.adapters.dynamodb.flow_repository import DynamoFlowRepository
from enrollment.adapters.dynamodb.portal_settings_repository import PortalSettingsRepository
from enrollment.adapters.dynamodb.rate_limits import DynamoRateLimits
from enrollment.adapters.dynamodb.record_emails import DynamoRecordEmails
from enrollment.adapters.dynamodb.record_listing import DynamoRecordListing
from enrollment.adapters.dynamodb.record_repository import RecordRepository
from enrollment.adapters.dynamodb.replay_repository import ReplayRepository
from enrollment.adapters.dynamodb.run_repository import DynamoRuns
from enrollment.adapters.dynamodb.tables import Tables
from enrollment.adapters.eventbridge import EventBridgeBus
from enrollment.adapters.observability import Metrics, PowertoolsDecisionLog, log_refused_flow
from enrollment.adapters.sqs import SqsQueue, SqsRedeliveryScheduler
from enrollment.adapters.unprocessed_queue import SqsUnprocessedReader
from enrollment.application.backfills import Backfills
from enrollment.application.criteria_evaluator import CriteriaEvaluator
from enrollment.application.enrollment_claims import EnrollmentClaims
from enrollment.application.enrollment_publisher import EnrollmentPublisher
from enrollment.application.event_history import EventHistory
from enrollment.application.event_processor import EventProcessor
from enrollment.application.explanation import DecisionExplainer
from enrollment.application.flow_activity import FlowActivityReader
from enrollment.application.flow_authoring import FlowAuthoring
from enrollment.application.manual_enrollment import ManualEnrollment
from enrollment.application.ports import Enrollments, Portals, Replays
from enrollment.application.record_service import RecordService
from enrollment.application.requested_enrollments import RequestedEnrollments
from enrollment.application.simulation import without_consequences
from enrollment.application.unprocessed_events import UnprocessedEventReader
from enrollment.catalog import EVENT_TYPES
from enrollment.config import Config, from_environment
from enrollment.entrypoints.bootstrap import event_history, new_id, now, tracing
from enrollment.entrypoints.http_api.endpoint import Stack
from enrollment.serialization.envelopes import check_production
from enrollment.serialization.flows import read_flow, read_flow_or_retired, read_flow_to_store, read_stored_flow
from enrollment.serialization.messages import read_message, write_announcement, write_message, write_outbound_event
from enrollment.serialization.redeliveries import write_associated_change, write_redelivery
from enrollment.serialization.unprocessed_messages import read_unprocessed


class ApiApplication(Struct, frozen=True):
    """``processor`` has no consequences: it is for simulations and explanations only."""

    authoring: FlowAuthoring
    evaluator: CriteriaEvaluator
    portals: Portals
    record_service: RecordService
    enrollments: Enrollments
    flow_activity: FlowActivityReader
    history: EventHistory
    processor: EventProcessor
    explaining: DecisionExplainer
    replays: Replays
    manual_enrollment: ManualEnrollment
    backfills: Backfills
    requested: RequestedEnrollments
    stack: Stack
    unprocessed: UnprocessedEventReader
    logger: Logger
    metrics: Metrics
    trace: Callable[[Callable[..., Any]], Callable[..., Any]]


def api_application() -> ApiApplication:
    """Make the API's parts. Raises MissingConfiguration."""
    config = from_environment()
    session = clients.open_session()
    tables = Tables(clients.dynamodb(session), config)
    records, associations, portals = (
        RecordRepository(tables),
        AssociationRepository(tables),
        PortalSettingsRepository(tables),
    )
    evaluator = CriteriaEvaluator(records, associations, portals)
    enrollments = DynamoEnrollments(tables, write_message, read_message)
    logger, metrics = Logger(), Metrics(config.metrics_namespace, config.service, now)
    flow_repository = DynamoFlowRepository(tables, read_flow_or_retired)
    flows = DynamoFlows(tables, partial(read_stored_flow, report=partial(log_refused_flow, logger)))
    history = event_history(config, tables)
    processor = without_consequences(
        event_types=EVENT_TYPES,
        flows=flows,
        records=records,
        evaluator=evaluator,
        enrollments=enrollments,
        clock=now,
        new_id=new_id,
        history_length=config.history_length,
        history=history,
    )
    explainer = DecisionExplainer(processor, flow_repository, read_flow_or_retired)
    bus = EventBridgeBus(clients.events(session), config.event_bus_name, write_announcement, write_outbound_event)
    sqs = clients.sqs(session)
    return ApiApplication(
        authoring=FlowAuthoring(flow_repository, flows, read_flow_to_store),
        evaluator=evaluator,
        portals=portals,
        record_service=RecordService(
            records=records,
            associations=associations,
            producer=bus,
            check=check_production,
            emails=DynamoRecordEmails(tables),
            history_length=config.history_length,
        ),
        enrollments=enrollments,
        flow_activity=FlowActivityReader(enrollments, history, explainer),
        history=history,
        processor=processor,
        explaining=explainer,
        replays=ReplayRepository(tables),
        manual_enrollment=ManualEnrollment(
            flow_repository=flow_repository,
            read_flow=read_flow_or_retired,
            records=records,
            evaluator=evaluator,
            claims=EnrollmentClaims(enrollments, DynamoRateLimits(tables), now, new_id),
            publisher=EnrollmentPublisher(
                enrollments,
                SqsQueue(sqs, config.enrollments_queue_url, write_message),
                bus,
                SqsRedeliveryScheduler(
                    sqs,
                    config.redeliveries_queue_url,
                    write_redelivery,
                    now,
                    write_associated_change,
                    DynamoDueItems(tables),
                ),
                now,
            ),
            decision_log=PowertoolsDecisionLog(logger, metrics),
        ),
        backfills=Backfills(DynamoRuns(tables), flow_repository, read_flow, DynamoRecordListing(tables), new_id),
        requested=RequestedEnrollments(
            enrollments, DynamoRuns(tables), flow_repository, read_flow_or_retired, evaluator
        ),
        stack=stack_of(config),
        unprocessed=UnprocessedEventReader(SqsUnprocessedReader(sqs, config.unprocessed_queue_url, read_unprocessed)),
        logger=logger,
        metrics=metrics,
        trace=tracing(config),
    )


def stack_of(config: Config) -> Stack:
    """Return what the API says of the deployment. ``eventHistory``: events are stored. ``findEventsById``: the ID of a
    stored event suffices to find it."""
    has_history = config.event_history_days > 0
    features = {"eventHistory": has_history, "findEventsById": has_history and config.find_events_by_id}
    return Stack(
        name=config.service,
        region=config.region,
        is_local=config.is_local,
        history_days=config.event_history_days,
        history_length=config.history_length,
        features=tuple(name for name, is_on in features.items() if is_on),
    )
