"""Replay recorded responses of AWS at the HTTP layer, so that only the CPU time of this process is measured."""

import math
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import botocore.client
import botocore.endpoint
import pytest

from enrollment.adapters.dynamodb import portal_settings as portals


@dataclass(frozen=True)
class Call:
    service: str
    operation: str
    arguments: Mapping[str, Any]


@dataclass
class Recording:
    """``calls``: the calls that were made to the clients. ``answers``: the response to each HTTP request."""

    calls: list[Call] = field(default_factory=list)
    answers: list[Any] = field(default_factory=list)

    @contextmanager
    def made(self) -> Iterator[None]:
        send, call = botocore.endpoint.Endpoint._send, botocore.client.BaseClient._make_api_call

        def kept_call(client: Any, operation: str, arguments: Any) -> Any:
            self.calls.append(Call(client.meta.service_model.service_name, operation, deepcopy(arguments)))
            return call(client, operation, arguments)

        def kept_answer(endpoint: Any, request: Any) -> Any:
            answer = send(endpoint, request)
            answer.content  # noqa: B018 - reads the body, so that it can be given again
            self.answers.append(answer)
            return answer

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(botocore.endpoint.Endpoint, "_send", kept_answer)
            patch.setattr(botocore.client.BaseClient, "_make_api_call", kept_call)
            # As when it is replayed: however slow this machine is, a warm function is recorded.
            patch.setattr(portals, "REMEMBERED_SECONDS", math.inf)
            yield

    @contextmanager
    def replayed(self) -> Iterator[None]:
        """Replay the responses repeatedly, in their recorded order."""
        number = 0

        def send(endpoint: Any, request: Any) -> Any:
            nonlocal number
            answer = self.answers[number % len(self.answers)]
            number += 1
            return answer

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(botocore.endpoint.Endpoint, "_send", send)
            # This is read once a minute, and is not part of the recording.
            patch.setattr(portals, "REMEMBERED_SECONDS", math.inf)
            yield


@contextmanager
def silenced() -> Iterator[None]:
    """Format the log lines and discard them."""
    sys.stdout.flush()
    kept = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)
