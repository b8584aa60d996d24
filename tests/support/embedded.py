"""The local run in a separate process, with clients for it."""

import itertools
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config as ClientConfig

from enrollment.config import Config
from tests.support.fakes import store
from tests.support.scenario import flow
from tests.support.stores import stores as open_stores

ROOT = Path(__file__).parents[2]


ENROLL = Path(sys.executable).with_name("enroll")


def start(*options: str, ports: tuple[int, int, int]) -> "subprocess.Popen[str]":
    """Start a local run. `ports`: of the embedded AWS, of the local Lambda service, of the HTTP API."""
    named = zip(("--port", "--lambda-port", "--api-port"), map(str, ports), strict=True)
    command = [str(ENROLL), "local", "run", *itertools.chain.from_iterable(named), *options]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
    )


class Embedded:
    def __init__(self, port: int, lambda_port: int, api_port: int) -> None:
        self.port = port
        self.lambda_port = lambda_port
        self.api_url = f"http://127.0.0.1:{api_port}"
        stack = self.client("cloudformation").describe_stacks(StackName="enroll")["Stacks"][0]
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
        config = Config(
            self.outputs["FlowsTableName"],
            self.outputs["RecordsTableName"],
            self.outputs["EnrollmentsTableName"],
            self.outputs["EnrollmentsQueueUrl"],
            self.outputs["UnprocessedEventsQueueUrl"],
            self.outputs["RedeliveriesQueueUrl"],
            self.outputs["EventBusName"],
        )
        self.stores = open_stores(
            config,
            region_name="eu-west-1",
            endpoint_url=f"http://127.0.0.1:{port}",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def client(self, service: str) -> Any:
        session: Any = boto3.session.Session("test", "test", region_name="eu-west-1")
        return session.client(
            service, endpoint_url=f"http://127.0.0.1:{self.port}", config=ClientConfig(max_pool_connections=20)
        )

    def put_flow(self, portal: str, **fields: Any) -> None:
        document = flow(fields)
        store(self.stores.authoring, portal, document, 0)

    def send(self, *envelopes: dict[str, Any]) -> None:
        bus = self.client("events")

        def put(batch: tuple[dict[str, Any], ...]) -> None:
            answer = bus.put_events(
                Entries=[
                    {
                        "EventBusName": self.outputs["EventBusName"],
                        "Source": envelope["source"],
                        "DetailType": envelope["detail-type"],
                        "Detail": json.dumps(envelope["detail"]),
                    }
                    for envelope in batch
                ]
            )
            assert answer["FailedEntryCount"] == 0

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(put, (envelopes[n : n + 10] for n in range(0, len(envelopes), 10))))

    def receive(self, queue: str, count: int, quiet: float = 3.0) -> list[dict[str, Any]]:
        """Receive at least `count` messages, and further ones until none arrive for `quiet` seconds."""
        sqs, url = self.client("sqs"), self.outputs[queue]
        found: list[dict[str, Any]] = []
        deadline, last = time.monotonic() + 60, time.monotonic()
        while time.monotonic() < deadline and (len(found) < count or time.monotonic() - last < quiet):
            messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", [])
            for message in messages:
                found.append(json.loads(message["Body"]))
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                last = time.monotonic()
        return found
