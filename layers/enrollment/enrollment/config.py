"""The configuration of a function. No other module reads environment variables."""

import os
from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import fields

# The largest values of the settings below.
MAX_HISTORY = 200
MAX_EVENT_HISTORY_DAYS = 3650
MAX_ONE_BY_ONE = 100_000
# Every SQS queue accepts messages of this size. Since August 2025, MaximumMessageSize can raise it to 1 MiB.
SQS_BYTES = 256 * 1024
MAX_SQS_BYTES = 1024 * 1024


class MissingConfiguration(RuntimeError):
    """An environment variable is missing or wrong. The message names it; all missing variables are in one message."""


class Config(Struct, frozen=True):
    """The fields without a default are names of this stack's resources. Each is read from the required environment
    variable of the same name in capitals.

    ``history_length``: number of earlier values stored for each property (HISTORY_LENGTH).
    ``event_history_days``: number of days for which events are stored with their record (EVENT_HISTORY_DAYS). 0: events
    are not stored.
    ``find_events_by_id``: whether events of the history can be found by their ID (FIND_EVENTS_BY_ID).
    ``decided_one_by_one``: number of flows up to which every decision on an event is logged (DECIDED_ONE_BY_ONE).
    ``unprocessed_message_bytes``: MaximumMessageSize of the unprocessed-events queue (UNPROCESSED_MESSAGE_BYTES).
    ``metrics_namespace``: namespace of the metrics (POWERTOOLS_METRICS_NAMESPACE).
    ``service``: service name in metrics and logs (POWERTOOLS_SERVICE_NAME).
    ``region``: the AWS region (AWS_REGION). ``is_local``: whether AWS is emulated on this machine, as in the local run
    (AWS_ENDPOINT_URL).
    ``is_traced``: whether X-Ray traces the function. Lambda then sets AWS_XRAY_DAEMON_ADDRESS.
    POWERTOOLS_TRACE_DISABLED turns tracing off.
    """

    flows_table: str
    records_table: str
    enrollments_table: str
    enrollments_queue_url: str
    unprocessed_queue_url: str
    redeliveries_queue_url: str
    event_bus_name: str
    metrics_namespace: str = "Enroll"
    service: str = "enroll"
    region: str = ""
    is_local: bool = False
    is_traced: bool = False
    history_length: int = 20
    event_history_days: int = 0
    find_events_by_id: bool = True
    decided_one_by_one: int = 100
    unprocessed_message_bytes: int = SQS_BYTES


NAMES = tuple(field.name.upper() for field in fields(Config) if field.required)


def from_environment(environment: Mapping[str, str] = os.environ) -> Config:
    """Read and check the configuration. Raises MissingConfiguration."""
    if environment.get("AWS_SAM_LOCAL") and not environment.get("AWS_ENDPOINT_URL"):
        # SAM passes the credentials of its shell to the container, and they belong to a real account.
        raise MissingConfiguration(
            "AWS_ENDPOINT_URL: expected the address of the local run, because SAM runs this function locally, for "
            "example http://host.docker.internal:4566; got no value. Start `make run`, and name the file that it "
            "writes with --env-vars .enroll/4566/sam-env.json (docs/local.md)"
        )
    missing = [name for name in NAMES if not environment.get(name)]
    if missing:
        raise MissingConfiguration(
            f"required environment variables are not set: {', '.join(missing)}. template.yaml sets them for the "
            "deployed functions (Globals.Function.Environment), and the local run reads them from there"
        )
    is_disabled = environment.get("POWERTOOLS_TRACE_DISABLED", "").lower() in ("1", "true")
    names = {name.lower(): environment[name] for name in NAMES}
    return Config(
        **names,
        metrics_namespace=environment.get("POWERTOOLS_METRICS_NAMESPACE", "Enroll"),
        service=environment.get("POWERTOOLS_SERVICE_NAME", "enroll"),
        region=environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION", ""),
        is_local=bool(environment.get("AWS_ENDPOINT_URL")),
        is_traced="AWS_XRAY_DAEMON_ADDRESS" in environment and not is_disabled,
        history_length=_number(environment, "HISTORY_LENGTH", 20, MAX_HISTORY),
        event_history_days=_number(environment, "EVENT_HISTORY_DAYS", 0, MAX_EVENT_HISTORY_DAYS),
        find_events_by_id=environment.get("FIND_EVENTS_BY_ID", "true") == "true",
        decided_one_by_one=_number(environment, "DECIDED_ONE_BY_ONE", 100, MAX_ONE_BY_ONE),
        unprocessed_message_bytes=_number(
            environment, "UNPROCESSED_MESSAGE_BYTES", SQS_BYTES, MAX_SQS_BYTES, minimum=SQS_BYTES
        ),
    )


def _number(environment: Mapping[str, str], name: str, default: int, maximum: int, minimum: int = 0) -> int:
    text = environment.get(name, str(default))
    if not text.isdigit() or not minimum <= int(text) <= maximum:
        raise MissingConfiguration(f"{name}: expected a number from {minimum} to {maximum}, got {text!r}")
    return int(text)
