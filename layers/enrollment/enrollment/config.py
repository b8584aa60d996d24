"""The only reader of the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields


class MissingConfiguration(RuntimeError):
    """Names every variable that is missing."""


@dataclass(frozen=True, slots=True)
class Config:
    """Names of this stack's resources: each is a required environment variable of the same name in capitals.

    ``is_traced``: X-Ray collects traces here; Lambda says so by the address of its daemon, and Powertools'
    ``POWERTOOLS_TRACE_DISABLED`` turns it off.
    """

    flows_table: str
    records_table: str
    enrollments_table: str
    enrollments_queue_url: str
    unprocessed_queue_url: str
    event_bus_name: str
    is_traced: bool = False


NAMES = tuple(field.name.upper() for field in fields(Config) if field.name != "is_traced")


def from_environment(environment: Mapping[str, str] = os.environ) -> Config:
    """Raises MissingConfiguration."""
    missing = [name for name in NAMES if not environment.get(name)]
    if missing:
        raise MissingConfiguration(
            f"environment variables that must be set and are not: {', '.join(missing)}. template.yaml sets them for "
            "the deployed functions (Globals.Function.Environment); the local run takes them from there"
        )
    is_disabled = environment.get("POWERTOOLS_TRACE_DISABLED", "").lower() in ("1", "true")
    names = {name.lower(): environment[name] for name in NAMES}
    return Config(**names, is_traced="AWS_XRAY_DAEMON_ADDRESS" in environment and not is_disabled)
