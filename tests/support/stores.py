"""The stores of the adapters, for tests that prepare or inspect stored data."""

from dataclasses import dataclass

from enrollment.adapters import aws_clients as clients
from enrollment.adapters.dynamodb.candidate_flows import DynamoFlows
from enrollment.adapters.dynamodb.deferred_events import DynamoDeferredEvents
from enrollment.adapters.dynamodb.enrollments import DynamoEnrollments
from enrollment.adapters.dynamodb.flow_repository import DynamoFlowRepository
from enrollment.adapters.dynamodb.records import DynamoRecords
from enrollment.adapters.dynamodb.tables import Tables
from enrollment.application.flow_authoring import FlowAuthoring
from enrollment.config import Config
from enrollment.serialization.envelopes import read_stored_event, write_event
from enrollment.serialization.flows import read_flow_or_retired, read_flow_to_store
from enrollment.serialization.messages import read_message, write_message


@dataclass(frozen=True)
class Stores:
    authoring: FlowAuthoring
    records: DynamoRecords
    deferred_events: DynamoDeferredEvents
    enrollments: DynamoEnrollments


def open_tables(config: Config, **place: str) -> Tables:
    """Open the tables. `place`: arguments of the client."""
    return Tables(clients.dynamodb(clients.open_session(), **place), config)


def stores(config: Config, **place: str) -> Stores:
    """Open the stores. `place`: arguments of the client."""
    tables = open_tables(config, **place)
    return Stores(
        authoring=FlowAuthoring(
            DynamoFlowRepository(tables, read_flow_or_retired),
            DynamoFlows(tables, read_flow_or_retired),
            read_flow_to_store,
        ),
        records=DynamoRecords(tables),
        deferred_events=DynamoDeferredEvents(tables, write_event, read_stored_event),
        enrollments=DynamoEnrollments(tables, write_message, read_message),
    )
