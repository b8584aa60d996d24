"""The consumers of docs/examples, on moto."""

import importlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from moto import mock_aws

from tests.support.aws import REGION
from tests.support.consumption import create_queues


@pytest.fixture
def sqs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield boto3.client("sqs")


@pytest.fixture
def queue_url(sqs: Any) -> str:
    return create_queues(sqs)[0]


@dataclass
class Consumer:
    """The example with a workflow engine that notes what starts. A start of an ID in ``failing`` raises its value."""

    module: Any
    started: list[str] = field(default_factory=list)
    failing: dict[str, BaseException] = field(default_factory=dict)

    def start_workflow(self, enrollment: dict[str, Any]) -> None:
        if (error := self.failing.get(enrollment["enrollmentId"])) is not None:
            raise error
        self.started.append(enrollment["enrollmentId"])


@pytest.fixture
def consumer(sqs: Any, monkeypatch: pytest.MonkeyPatch) -> Consumer:
    boto3.client("dynamodb").create_table(
        TableName="started",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    monkeypatch.setenv("STARTED_TABLE", "started")
    # The module makes its client when it is imported, as a function does when it starts.
    monkeypatch.delitem(sys.modules, "docs.examples.consumer", raising=False)
    found = Consumer(importlib.import_module("docs.examples.consumer"))
    monkeypatch.setattr(found.module, "start_workflow", found.start_workflow)
    return found
