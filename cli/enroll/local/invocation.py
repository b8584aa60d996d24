"""Invokes a function of the local run and waits for its result."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from enroll.local.settings import Settings

LONGEST_WAIT_SECONDS = 120


class InvocationError(Exception):
    """The function could not be invoked; the message says why and what to do."""


@dataclass(frozen=True)
class FunctionAnswer:
    payload: Any
    """The value that the handler returned. If it failed: `errorType`, `errorMessage` and `stackTrace`."""
    failed: bool


def invoke(function: str, event: Mapping[str, Any], settings: Settings | None = None) -> FunctionAnswer:
    """Invoke a function synchronously. Raises InvocationError.

    `function` is a category, or the name or ARN of a function.
    """
    service = (settings or Settings()).lambda_endpoint
    request = urllib.request.Request(  # noqa: S310 - the URL is that of the local run
        f"{service}/2015-03-31/functions/{quote(function, safe='')}/invocations",
        data=json.dumps(event).encode(),
        headers={"Content-Type": "application/json", "X-Amz-Invocation-Type": "RequestResponse"},
    )
    # A proxy from the shell's environment cannot reach this machine's loopback interface.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=LONGEST_WAIT_SECONDS) as response:
            failed = response.headers.get("X-Amz-Function-Error") is not None
            return FunctionAnswer(json.loads(response.read()), failed)
    except urllib.error.HTTPError as error:
        raise InvocationError(_message(error)) from error
    except (urllib.error.URLError, OSError) as error:
        raise InvocationError(
            f"The local Lambda service does not respond at {service} ({getattr(error, 'reason', error)}). "
            'Start it with `make run`, and set its variables in this shell with `eval "$(enroll env)"`, or name its '
            "port with --lambda-port."
        ) from error


def _message(error: urllib.error.HTTPError) -> str:
    try:
        content = json.loads(error.read())
    except ValueError:
        return f"The local Lambda service responded with status {error.code}."
    return str(content.get("Message") or content.get("message") or content)
