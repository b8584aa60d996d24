"""The composition root of the API. Its parts are made from the configuration once, at the first request."""

from collections.abc import Callable
from functools import partial
from typing import Any

from aws_lambda_powertools import Logger
from msgspec import Struct

from enrollment.adapters import aws_clients as clients
from enrollment.adapters.dynamodb.association_repository import AssociationRepository
from enrollment.adapters.dynamodb.candidate_flows import DynamoFlows
from enrollment.adapters.dynamodb.enrollments import DynamoEnrollments
from enrollment.adapters.dynamodb.flow_repository import DynamoFlowRepository
from enrollment.adapters.dynamodb.portal_settings_repository import PortalSettingsRepository
from enrollment.adapters.dynamodb.record_repository import RecordRepository
from enrollment.adapters.dynamodb.replay_repository import ReplayRepository
from enrollment.adapters.dynamodb.tables import Tables
from enrollment.adapters.eventbridge import EventBridgeBus
from enrollment.adapters.observability import Metrics, log_refused_flow
from enrollment.application.criteria_evaluator import CriteriaEvaluator
from enrollment.application.event_history import EventHistory
from enrollment.application.event_processor import EventProcessor
from enrollment.application.explanation import DecisionExplainer
from enrollment.application.flow_authoring import FlowAuthoring
from enrollment.application.ports import Enrollments, Portals, Replays
from enrollment.application.record_service import RecordService
from enrollment.application.simulation import without_consequences
from enrollment.catalog import EVENT_TYPES
from enrollment.config import from_environment
from enrollment.entrypoints.bootstrap import event_history, new_id, now, tracing
from enrollment.serialization.envelopes import check_production
from enrollment.serialization.flows import read_flow, read_new_flow, read_stored_flow
from enrollment.serialization.messages import read_message, write_announcement, write_message, write_outbound_event


class ApiApplication(Struct, frozen=True):
    """``processor`` has no consequences: it is for simulations and explanations only."""

    authoring: FlowAuthoring
    evaluator: CriteriaEvaluator
    portals: Portals
    record_service: RecordService
    enrollments: Enrollments
    history: EventHistory
    processor: EventProcessor
    explaining: DecisionExplainer
    replays: Replays
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
    logger = Logger()
    flow_repository = DynamoFlowRepository(tables, read_flow)
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
    return ApiApplication(
        authoring=FlowAuthoring(flow_repository, flows, read_new_flow),
        evaluator=evaluator,
        portals=portals,
        record_service=RecordService(
            records=records,
            associations=associations,
            producer=EventBridgeBus(
                clients.events(session), config.event_bus_name, write_announcement, write_outbound_event
            ),
            check=check_production,
            history_length=config.history_length,
        ),
        enrollments=enrollments,
        history=history,
        processor=processor,
        explaining=DecisionExplainer(processor, flow_repository, read_flow),
        replays=ReplayRepository(tables),
        logger=logger,
        metrics=Metrics(config.metrics_namespace, config.service, now),
        trace=tracing(config),
    )
