"""The stack that a command is about, found by its outputs with the ordinary AWS configuration."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import boto3
import botocore.session
import typer
from botocore.credentials import RefreshableCredentials
from botocore.exceptions import BotoCoreError, ClientError

from enroll.output import FAILED, NOT_REACHED, fail

StackName = Annotated[
    str, typer.Option("--stack", envvar="ENROLL_STACK", help="The CloudFormation stack, in your AWS configuration.")
]

LONGEST_STACK_NAME = 41
"""The archive of events has the name `<stack>-events`, and EventBridge takes 48 characters."""

ClientOf = Callable[[str], Any]


@dataclass(frozen=True)
class Stack:
    """An opened stack. ``client`` makes a boto3 client of a service."""

    name: str
    outputs: Mapping[str, str]
    client: ClientOf


def client_of(service: str) -> Any:
    session: Any = boto3.session.Session()
    return session.client(service)


def open_stack(name: str, client: ClientOf = client_of) -> Stack:
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
    return Stack(name, outputs, client)


def assume(role_arn: str, session_name: str, client: ClientOf) -> ClientOf:
    """Return what makes clients with the credentials of a role, which are renewed before they expire. Raises
    ClientError if the caller may not assume the role."""

    def assumed() -> dict[str, str]:
        found = client("sts").assume_role(RoleArn=role_arn, RoleSessionName=session_name)["Credentials"]
        return {
            "access_key": found["AccessKeyId"],
            "secret_key": found["SecretAccessKey"],
            "token": found["SessionToken"],
            "expiry_time": found["Expiration"].isoformat(),
        }

    credentials = RefreshableCredentials.create_from_metadata(assumed(), assumed, "sts-assume-role")
    inner: Any = botocore.session.get_session()  # its types know no way to give it credentials that are renewed
    inner._credentials = credentials
    session: Any = boto3.session.Session(botocore_session=inner)

    def client_of(service: str) -> Any:
        return session.client(service)

    return client_of


@contextmanager
def aws_errors_reported() -> Iterator[None]:
    """Errors of AWS, as messages with their exit codes."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        fail(f"AWS answered: {error}", FAILED)
