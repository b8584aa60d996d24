"""The AWS clients. They share one session, which caches the service descriptions and the credentials.

They are made with botocore. boto3 makes the same clients, but its import takes 250 ms more, for file transfers that
this package does not use.
"""

from binascii import crc32
from typing import TYPE_CHECKING, Any, TypeVar

from botocore import handlers
from botocore.client import BaseClient
from botocore.config import Config
from botocore.session import Session

from enrollment.adapters.deadline import check_deadline

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_sqs import SQSClient

Client = TypeVar("Client", bound=BaseClient)


def _config(attempts: int) -> Config:
    """Return the client configuration. ``attempts``: the maximum number of attempts of a call, the first included.

    AWS responds in milliseconds, so a call that takes seconds is repeated, and an invocation that waits longer fails
    and is retried. Parameters are not validated, because this package makes all of them. A fixed user agent saves a
    twelfth of the CPU time of a call: botocore would otherwise assemble it for each call."""
    return Config(
        connect_timeout=2,
        read_timeout=5,
        retries={"total_max_attempts": attempts, "mode": "standard"},
        parameter_validation=False,
        user_agent="enroll",
    )


class CorruptResponse(Exception):
    """A response of DynamoDB does not have its checksum, at every attempt."""


class _ClientSession(Session):
    """A session that ignores the handlers of created requests. botocore registers one that adds the number of the
    attempt to the headers. Powertools registers one on every session of the process, which adds its name to the user
    agent. Together they take a twentieth of the CPU time of a call (decision 13). The handlers that sign requests are
    registered on the client, not here."""

    def register(self, event_name: str, *args: Any, **options: Any) -> None:
        if event_name != "request-created":
            super().register(event_name, *args, **options)


def open_session() -> Session:
    """Return a session that is configured by the environment."""
    return _ClientSession()


def dynamodb(session: Session, **options: str) -> "DynamoDBClient":
    """Return a DynamoDB client that raises CorruptResponse for a damaged response, and DeadlineReached once the batch's
    deadline is reached. ``options``: ``region_name``, ``endpoint_url``, ``aws_access_key_id`` and so on, for callers
    that do not take them from the environment."""
    client: Any = session.create_client("dynamodb", config=_config(7), **options)  # type: ignore[arg-type]
    # The header of the invocation, with which Lambda detects recursive loops. Only SQS needs it.
    client.meta.events.unregister("before-call", getattr(handlers, "add_recursion_detection_header", None))
    client.meta.events.register("after-call.dynamodb", _check_checksum)
    typed_client: DynamoDBClient = client
    return _with_deadline(typed_client)


def _with_deadline(client: Client) -> Client:
    """Check the deadline before all other handlers, because one of them may send the request itself, as moto does."""
    client.meta.events.register_first("before-send", check_deadline)
    return client


def _check_checksum(http_response: Any, **_: object) -> None:
    """Raise CorruptResponse if the checksum is wrong. The client retries such a call, but returns the last response
    unchanged when its attempts are used up. An item that is missing from it would be taken for one that does not
    exist."""
    expected = http_response.headers.get("x-amz-crc32")
    if expected is not None and int(expected) != crc32(http_response.content):
        raise CorruptResponse("the response of DynamoDB does not have its checksum, at every attempt")


def sqs(session: Session, **options: str) -> "SQSClient":
    """Return an SQS client that raises DeadlineReached once the batch's deadline is reached. ``options``: see
    ``dynamodb``."""
    client: SQSClient = session.create_client("sqs", config=_config(5), **options)  # type: ignore[arg-type, assignment]
    return _with_deadline(client)


def events(session: Session, **options: str) -> "EventBridgeClient":
    """Return an EventBridge client, as ``sqs`` does."""
    client: EventBridgeClient = session.create_client("events", config=_config(5), **options)  # type: ignore[arg-type, assignment]
    return _with_deadline(client)
