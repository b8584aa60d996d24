"""The stack that a command is about, found by its outputs with the ordinary AWS configuration."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any

import boto3
import typer
from botocore.exceptions import BotoCoreError, ClientError

from enroll.output import CONFLICT, FAILED, INVALID, NOT_FOUND, NOT_REACHED, fail
from enrollment.authoring import FlowTooLarge, UnknownFlow
from enrollment.bootstrap import Stores, stores
from enrollment.config import Config
from enrollment.ports import Conflict
from enrollment.wire.flows import InvalidFlow

StackName = Annotated[
    str, typer.Option("--stack", envvar="ENROLL_STACK", help="The CloudFormation stack, in your AWS configuration.")
]
Portal = Annotated[str, typer.Option("--portal", envvar="ENROLL_PORTAL", help="The portal (tenant).")]

ClientOf = Callable[[str], Any]


@dataclass(frozen=True)
class Stack:
    """An opened stack. ``client`` makes a boto3 client of a service."""

    outputs: Mapping[str, str]
    client: ClientOf
    connection: Mapping[str, str] = field(default_factory=dict)

    @property
    def stores(self) -> Stores:
        return stores(self.config, **self.connection)

    @property
    def config(self) -> Config:
        return Config(
            flows_table=self.outputs["FlowsTableName"],
            records_table=self.outputs["RecordsTableName"],
            enrollments_table=self.outputs["EnrollmentsTableName"],
            enrollments_queue_url=self.outputs["EnrollmentsQueueUrl"],
            unprocessed_queue_url=self.outputs["UnprocessedEventsQueueUrl"],
            event_bus_name=self.outputs["EventBusName"],
        )


def _client_of(service: str) -> Any:
    session: Any = boto3.session.Session()
    return session.client(service)


def open_stack(name: str, client: ClientOf = _client_of) -> Stack:
    """Ends the command with NOT_REACHED when there is no such stack, or no AWS that answers."""
    try:
        found = client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
    except (ClientError, BotoCoreError) as error:
        fail(
            f"the stack {name} can't be read: {error}. Name it with --stack, and the AWS account as for any AWS tool: "
            "AWS_PROFILE and AWS_DEFAULT_REGION; for the local run the AWS_… lines that `make run` prints",
            NOT_REACHED,
        )
    outputs = {one["OutputKey"]: one["OutputValue"] for one in found.get("Outputs", [])}
    missing = [key for key in ("FlowsTableName", "EventBusName") if key not in outputs]
    if missing:
        fail(f"the stack {name} is no stack of Enroll: it has no output {', '.join(missing)}", NOT_REACHED)
    return Stack(outputs, client)


@contextmanager
def explained() -> Iterator[None]:
    """Errors of the stores and of AWS, as messages with their exit codes."""
    try:
        yield
    except InvalidFlow as error:
        fail(str(error), INVALID)
    except FlowTooLarge as error:
        fail(str(error), INVALID)
    except UnknownFlow as error:
        fail(str(error), NOT_FOUND)
    except Conflict as error:
        fail(f"{error}; another is writing it. Try again", CONFLICT)
    except (ClientError, BotoCoreError) as error:
        fail(f"AWS answered: {error}", FAILED)
