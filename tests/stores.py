"""The adapters' stores, for tests that prepare and look at what is stored beside the functions."""

from dataclasses import dataclass

from enrollment.adapters.enrollments import DynamoEnrollments
from enrollment.adapters.flows import DynamoFlowBook, DynamoFlows
from enrollment.adapters.records import DynamoRecords
from enrollment.adapters.tables import Tables
from enrollment.adapters.waiting import DynamoWaitingEvents
from enrollment.authoring import Authoring
from enrollment.config import Config
from enrollment.wire.envelopes import read_stored_event, write_event
from enrollment.wire.flows import read_flow
from enrollment.wire.messages import read_message, write_message


@dataclass(frozen=True)
class Stores:
    authoring: Authoring
    records: DynamoRecords
    waiting: DynamoWaitingEvents
    enrollments: DynamoEnrollments


def stores(config: Config, **connection: str) -> Stores:
    """`connection` as in Tables."""
    tables = Tables(config, **connection)
    return Stores(
        authoring=Authoring(DynamoFlowBook(tables, read_flow), DynamoFlows(tables, read_flow), read_flow),
        records=DynamoRecords(tables),
        waiting=DynamoWaitingEvents(tables, write_event, read_stored_event),
        enrollments=DynamoEnrollments(tables, write_message, read_message),
    )
