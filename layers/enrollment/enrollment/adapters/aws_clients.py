"""The clients of AWS, from one session: it keeps what it has read of the services and of the credentials.

botocore's own, not boto3's: they are the same, without 250 ms of imports for file transfers that nothing here makes.
"""

from binascii import crc32
from typing import TYPE_CHECKING, Any, TypeVar

import botocore.session
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
    """AWS answers in milliseconds. A call that takes seconds is better made again, and an invocation that waits longer
    is better off failing and coming back. What is sent is written here, and need not be validated; a user agent that is
    given is not put together anew for each call, a twelfth of what the call costs."""
    return Config(
        connect_timeout=2,
        read_timeout=5,
        retries={"total_max_attempts": attempts, "mode": "standard"},
        parameter_validation=False,
        user_agent="enroll",
    )


# What botocore tells AWS beside each request: which attempt of how many it is, and which invocation made it, for Lambda
# to stop a loop of functions. Nothing of a call to DynamoDB depends on it, and no loop is found there; it takes a
# twentieth of the CPU time of the call. By names: botocore is the runtime's own, and may come to have others.
_DISABLED_HANDLERS = {"request-created": "add_retry_headers", "before-call": "add_recursion_detection_header"}


class CorruptResponse(Exception):
    """An answer of DynamoDB did not arrive whole."""


def open_session() -> Session:
    return botocore.session.get_session()


def dynamodb(session: Session, **place: str) -> "DynamoDBClient":
    """``place``: ``region_name``, ``endpoint_url``, ``aws_access_key_id``… of those who don't take them from the
    environment."""
    client: Any = session.create_client("dynamodb", config=_config(7), **place)  # type: ignore[arg-type]
    for moment, name in _DISABLED_HANDLERS.items():
        client.meta.events.unregister(moment, getattr(handlers, name, None))
    client.meta.events.register("after-call.dynamodb", _refuse_damaged)
    made: DynamoDBClient = client
    return _with_deadline(made)


def _with_deadline(client: Client) -> Client:
    """First of the handlers: another one may make the request itself, as moto does."""
    client.meta.events.register_first("before-send", check_deadline)
    return client


def _refuse_damaged(http_response: Any, **_: object) -> None:
    """The client repeats a call whose answer is not whole, and when its attempts are over takes the last answer as it
    is: what can't be read of it would be taken for an item that does not exist."""
    expected = http_response.headers.get("x-amz-crc32")
    if expected is not None and int(expected) != crc32(http_response.content):
        raise CorruptResponse("DynamoDB's answer is not what its checksum says, at every attempt")


def sqs(session: Session, **place: str) -> "SQSClient":
    client: SQSClient = session.create_client("sqs", config=_config(5), **place)  # type: ignore[arg-type, assignment]
    return _with_deadline(client)


def events(session: Session, **place: str) -> "EventBridgeClient":
    client: EventBridgeClient = session.create_client("events", config=_config(5), **place)  # type: ignore[arg-type, assignment]
    return _with_deadline(client)
