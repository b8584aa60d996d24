"""An AWS in memory for tests of the adapters, with the tables and queues of template.yaml.

moto's conditions are not atomic between threads, so each API call holds a lock here. Proofs of concurrency do not
rest on that: they run against the embedded AWS over HTTP.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import botocore.client
import botocore.session
import pytest
from moto import mock_aws

from enrollment.config import Config

REGION = "eu-west-1"
# The stubs of botocore do not declare the method that tests replace.
BASE_CLIENT: Any = botocore.client.BaseClient
CONFIG = Config("flows", "records", "enrollments", "", "", "", "bus")


@contextmanager
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Config]:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    lock, call = threading.RLock(), BASE_CLIENT._make_api_call

    def one_at_a_time(client: Any, name: str, arguments: Any) -> Any:
        with lock:
            return call(client, name, arguments)

    with mock_aws():
        monkeypatch.setattr(BASE_CLIENT, "_make_api_call", one_at_a_time)
        yield create_resources()


def create_resources(prefix: str = "", dynamodb: Any = None) -> Config:
    """The tables, queues and bus of template.yaml, in the AWS of this process' environment. `dynamodb`: a client of
    another place for the tables."""
    session: Any = botocore.session.get_session()
    dynamodb = dynamodb or session.create_client("dynamodb", region_name=REGION)
    keys = [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}]
    attributes = [{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")]
    keys_only = {"ProjectionType": "KEYS_ONLY"}
    by_flow = {
        "IndexName": "by-flow",
        "KeySchema": [
            {"AttributeName": "flowShard", "KeyType": "HASH"},
            {"AttributeName": "enrolledAt", "KeyType": "RANGE"},
        ],
        "Projection": keys_only,
    }
    by_id = {
        "IndexName": "by-id",
        "KeySchema": [{"AttributeName": "enrollmentId", "KeyType": "HASH"}],
        "Projection": keys_only,
    }
    by_time = {
        "IndexName": "by-time",
        "KeySchema": [
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": "enrolledAt", "KeyType": "RANGE"},
        ],
        "Projection": keys_only,
    }
    unconfirmed = {
        "IndexName": "unconfirmed",
        "KeySchema": [
            {"AttributeName": "unconfirmedShard", "KeyType": "HASH"},
            {"AttributeName": "publishAt", "KeyType": "RANGE"},
        ],
        "Projection": keys_only,
    }
    flows, records, enrollments = (
        prefix + one for one in (CONFIG.flows_table, CONFIG.records_table, CONFIG.enrollments_table)
    )
    by_event_type = {
        "IndexName": "by-event-type",
        "KeySchema": [
            {"AttributeName": "typeShard", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ],
        "Projection": keys_only,
    }
    by_event_id = {
        "IndexName": "by-event-id",
        "KeySchema": [{"AttributeName": "eventKey", "KeyType": "HASH"}],
        "Projection": keys_only,
    }
    by_email = {
        "IndexName": "by-email",
        "KeySchema": [{"AttributeName": "emailKey", "KeyType": "HASH"}],
        "Projection": keys_only,
    }
    dynamodb.create_table(
        TableName=flows, KeySchema=keys, AttributeDefinitions=attributes, BillingMode="PAY_PER_REQUEST"
    )
    dynamodb.create_table(
        TableName=records,
        KeySchema=keys,
        AttributeDefinitions=[
            *attributes,
            {"AttributeName": "typeShard", "AttributeType": "S"},
            {"AttributeName": "eventKey", "AttributeType": "S"},
            {"AttributeName": "emailKey", "AttributeType": "S"},
        ],
        GlobalSecondaryIndexes=[by_event_type, by_event_id, by_email],
        BillingMode="PAY_PER_REQUEST",
    )
    dynamodb.create_table(
        TableName=enrollments,
        KeySchema=keys,
        AttributeDefinitions=[
            *attributes,
            *(
                {"AttributeName": name, "AttributeType": "S"}
                for name in ("flowShard", "enrolledAt", "enrollmentId", "unconfirmedShard")
            ),
            {"AttributeName": "publishAt", "AttributeType": "N"},
        ],
        GlobalSecondaryIndexes=[by_flow, by_id, unconfirmed],
        LocalSecondaryIndexes=[by_time],
        BillingMode="PAY_PER_REQUEST",
    )
    sqs = session.create_client("sqs", region_name=REGION)
    enrollments_queue = sqs.create_queue(
        QueueName=f"{prefix}enrollments.fifo",
        Attributes={
            "FifoQueue": "true",
            "DeduplicationScope": "messageGroup",
            "FifoThroughputLimit": "perMessageGroupId",
        },
    )["QueueUrl"]
    largest = {"MaximumMessageSize": str(CONFIG.unprocessed_message_bytes)}
    unprocessed = sqs.create_queue(QueueName=f"{prefix}unprocessed", Attributes=largest)["QueueUrl"]
    redeliveries = sqs.create_queue(QueueName=f"{prefix}redeliveries")["QueueUrl"]
    bus = f"{prefix}{CONFIG.event_bus_name}"
    session.create_client("events", region_name=REGION).create_event_bus(Name=bus)
    return Config(flows, records, enrollments, enrollments_queue, unprocessed, redeliveries, bus)
