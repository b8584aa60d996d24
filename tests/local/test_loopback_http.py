"""The HTTP server of the local run, and what its gateway knows about requests."""

import socket
from urllib.parse import urlsplit

import pytest

from enroll.local.gateway import is_change
from enrollment.entrypoints.http_api.endpoint import Endpoint, Scope
from enrollment.entrypoints.http_api.routes import ENDPOINTS
from tests.support.portal import example_portal
from tests.support.serving import served


def test_response_to_head_has_no_body() -> None:
    with served(example_portal()) as url, socket.create_connection(("127.0.0.1", urlsplit(url).port or 0), 10) as peer:
        peer.sendall(b"HEAD /openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        received = b"".join(iter(lambda: peer.recv(65536), b""))
    head, _, body = received.partition(b"\r\n\r\n")
    assert (body, b"Content-Length: 0" in head) == (b"", False)


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)
def test_request_that_needs_no_right_to_write_changes_nothing(endpoint: Endpoint) -> None:
    assert is_change(endpoint.method, endpoint.path) == (endpoint.scope not in (Scope.READ, None))
