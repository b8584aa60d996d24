"""Find the stack that a command works on, by the ordinary AWS configuration.

botocore takes longer to import than most commands to run, so it is imported when a client is made.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, NoReturn
from urllib.parse import urlsplit

import typer
from botocore.exceptions import BotoCoreError, ClientError

from enroll.output import FAILED, INVALID, NOT_REACHED, fail

StackName = Annotated[str, typer.Option("--stack", envvar="ENROLL_STACK", help="Name of the CloudFormation stack.")]

MAX_STACK_NAME_LENGTH = 41
"""The archive of events has the name `<stack>-events`, and EventBridge accepts 48 characters."""

ClientOf = Callable[[str], Any]
"""Makes a client of an AWS service, for example `sqs`."""


class Outputs(dict[str, str]):
    """The outputs of a stack by name. Ends the command with NOT_REACHED if the stack lacks one."""

    def __missing__(self, name: str) -> NoReturn:
        fail(f"the stack has no output {name}. It may be of an earlier version: deploy it again", NOT_REACHED)


@dataclass(frozen=True)
class Stack:
    """A stack that exists, with the values of its outputs by name."""

    name: str
    outputs: Mapping[str, str]
    client: ClientOf


def client_of(service: str) -> Any:
    """Return a client with the credentials and the region of the shell. Raises BotoCoreError.

    Ends the command with INVALID if AWS_ENDPOINT_URL is not a URL.
    """
    variables = tuple(sorted((name, value) for name, value in os.environ.items() if name.startswith("AWS_")))
    try:
        for name, value in variables:
            if name.startswith("AWS_ENDPOINT_URL"):
                _ = urlsplit(value).port  # raises ValueError; botocore would raise it at the first call
        return session_of(variables).create_client(service)
    except ValueError as error:
        fail(f"expected a URL in AWS_ENDPOINT_URL, for example http://127.0.0.1:4566; {error}", INVALID)


@lru_cache(maxsize=1)
def session_of(variables: tuple[tuple[str, str], ...]) -> Any:
    """Return the session of the whole command. It depends on these variables of the environment."""
    import botocore.session

    from enroll.service_models import ServiceModels

    session = botocore.session.get_session()
    extra_path = session.get_config_variable("data_path")  # AWS_DATA_PATH
    session.register_component("data_loader", ServiceModels.of_path(extra_path))
    return session


def open_stack(name: str, client: ClientOf = client_of) -> Stack:
    """Return a stack of Enroll. End the command with NOT_REACHED if there is none, or if AWS cannot be reached."""
    try:
        description = client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
    except (ClientError, BotoCoreError) as error:
        fail(
            f"cannot read the stack {name}: {plain(error)}. Set its name with --stack, and the account with "
            'AWS_PROFILE and AWS_DEFAULT_REGION. For the local run, run `eval "$(enroll env)"`',
            NOT_REACHED,
        )
    outputs = Outputs({output["OutputKey"]: output["OutputValue"] for output in description.get("Outputs", [])})
    missing = [key for key in ("FlowsTableName", "EventBusName") if key not in outputs]
    if missing:
        fail(
            f"expected a stack of Enroll; {name} has no output {', '.join(missing)}. Set its name with --stack",
            NOT_REACHED,
        )
    return Stack(name, outputs, client)


def assume(role_arn: str, session_name: str, client: ClientOf) -> ClientOf:
    """Return a factory of clients with the credentials of a role. The credentials are renewed before they expire.

    Raises ClientError if the caller may not assume the role.
    """
    import botocore.session
    from botocore.credentials import RefreshableCredentials

    def temporary_credentials() -> dict[str, str]:
        credentials = client("sts").assume_role(RoleArn=role_arn, RoleSessionName=session_name)["Credentials"]
        return {
            "access_key": credentials["AccessKeyId"],
            "secret_key": credentials["SecretAccessKey"],
            "token": credentials["SessionToken"],
            "expiry_time": credentials["Expiration"].isoformat(),
        }

    credentials = RefreshableCredentials.create_from_metadata(
        temporary_credentials(), temporary_credentials, "sts-assume-role"
    )
    session: Any = botocore.session.get_session()  # its types declare no way to set credentials that are renewed
    session._credentials = credentials

    def client_of(service: str) -> Any:
        return session.create_client(service)

    return client_of


def plain(error: Exception) -> str:
    """Return the message of an error without a full stop, so that a sentence can follow."""
    return str(error).rstrip(".")


@contextmanager
def aws_errors_reported() -> Iterator[None]:
    """Turn errors of AWS into messages with exit codes."""
    try:
        yield
    except ClientError as error:
        fail(f"a call to AWS failed: {plain(error)}", FAILED)
    except BotoCoreError as error:
        fail(f"cannot reach AWS: {plain(error)}. Set AWS_PROFILE and AWS_DEFAULT_REGION", NOT_REACHED)
