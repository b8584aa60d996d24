"""The embedded AWS without functions: tables, queues and bus over HTTP, in a separate process. Its conditional writes
are atomic, so proofs that use it do not rely on a lock of this process."""

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from enroll.local.emulator import Emulator
from enroll.local.settings import ACCESS_KEY, REGION, Settings
from enrollment.config import NAMES, Config
from tests.support.aws import create_resources


@dataclass(frozen=True)
class Emulated:
    """`environment`: the variables that a function's process needs to use this AWS."""

    config: Config
    environment: Mapping[str, str]


@contextmanager
def emulated_aws() -> Iterator[Emulated]:
    """Start the embedded AWS, and set this process' environment to it until the context ends."""
    settings = Settings(port=free_port())
    environment = {
        "AWS_ENDPOINT_URL": settings.endpoint,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": ACCESS_KEY,
        "POWERTOOLS_METRICS_NAMESPACE": "Enroll",
        "POWERTOOLS_SERVICE_NAME": "enroll",
        "POWERTOOLS_TRACE_DISABLED": "true",
        "EVENT_HISTORY_DAYS": "30",
    }
    before = dict(os.environ)
    with Emulator(settings):
        os.environ.update(environment)
        try:
            config = create_resources()
            environment |= {name: getattr(config, name.lower()) for name in NAMES}
            os.environ.update(environment)
            yield Emulated(config, environment)
        finally:
            for name in environment:
                os.environ.pop(name)
            os.environ.update({name: value for name, value in before.items() if name in environment})


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
