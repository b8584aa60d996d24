"""The only reader of the environment."""

import os
from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import fields

MAX_HISTORY = 200
MAX_EVENT_HISTORY_DAYS = 3650
MAX_ONE_BY_ONE = 100_000
# What every SQS queue accepts; since August 2025 a queue accepts up to 1 MiB where its MaximumMessageSize says so.
SQS_BYTES = 256 * 1024
MAX_SQS_BYTES = 1024 * 1024


class MissingConfiguration(RuntimeError):
    """Names every variable that is missing, or wrong."""


class Config(Struct, frozen=True):
    """Names of this stack's resources: each is a required environment variable of the same name in capitals.

    ``history_length``: earlier values kept of each property; HISTORY_LENGTH, as many as are usual when it is not set.
    ``event_history_days``: how long events are kept beside their record; EVENT_HISTORY_DAYS, not at all when it is not
    set.
    ``decided_one_by_one``: flows of one event up to which each decision is named; DECIDED_ONE_BY_ONE.
    ``unprocessed_message_bytes``: MaximumMessageSize of the unprocessed-events queue; UNPROCESSED_MESSAGE_BYTES.
    ``metrics_namespace`` and ``service``: of the metrics and logs; Powertools' POWERTOOLS_METRICS_NAMESPACE and
    POWERTOOLS_SERVICE_NAME.
    ``is_traced``: X-Ray collects traces here; Lambda says so by the address of its daemon, and Powertools'
    ``POWERTOOLS_TRACE_DISABLED`` turns it off.
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
    is_traced: bool = False
    history_length: int = 20
    event_history_days: int = 0
    decided_one_by_one: int = 100
    unprocessed_message_bytes: int = SQS_BYTES


NAMES = tuple(field.name.upper() for field in fields(Config) if field.required)


def from_environment(environment: Mapping[str, str] = os.environ) -> Config:
    """Raises MissingConfiguration."""
    if environment.get("AWS_SAM_LOCAL") and not environment.get("AWS_ENDPOINT_URL"):
        # SAM gives the container the credentials of its shell, which are those of a real account.
        raise MissingConfiguration(
            "AWS_ENDPOINT_URL: expected the address of the local run, because SAM runs this function locally, for "
            "example http://host.docker.internal:4566; got no value. Start `make run`, and name the file that it "
            "writes with --env-vars .enroll/4566/sam-env.json (docs/local.md)"
        )
    missing = [name for name in NAMES if not environment.get(name)]
    if missing:
        raise MissingConfiguration(
            f"environment variables that must be set and are not: {', '.join(missing)}. template.yaml sets them for "
            "the deployed functions (Globals.Function.Environment); the local run takes them from there"
        )
    is_disabled = environment.get("POWERTOOLS_TRACE_DISABLED", "").lower() in ("1", "true")
    names = {name.lower(): environment[name] for name in NAMES}
    return Config(
        **names,
        metrics_namespace=environment.get("POWERTOOLS_METRICS_NAMESPACE", "Enroll"),
        service=environment.get("POWERTOOLS_SERVICE_NAME", "enroll"),
        is_traced="AWS_XRAY_DAEMON_ADDRESS" in environment and not is_disabled,
        history_length=_number(environment, "HISTORY_LENGTH", 20, MAX_HISTORY),
        event_history_days=_number(environment, "EVENT_HISTORY_DAYS", 0, MAX_EVENT_HISTORY_DAYS),
        decided_one_by_one=_number(environment, "DECIDED_ONE_BY_ONE", 100, MAX_ONE_BY_ONE),
        unprocessed_message_bytes=_number(
            environment, "UNPROCESSED_MESSAGE_BYTES", SQS_BYTES, MAX_SQS_BYTES, least=SQS_BYTES
        ),
    )


def _number(environment: Mapping[str, str], name: str, default: int, most: int, least: int = 0) -> int:
    given = environment.get(name, str(default))
    if not given.isdigit() or not least <= int(given) <= most:
        raise MissingConfiguration(f"{name}: expected a number from {least} to {most}, found {given!r}")
    return int(given)
