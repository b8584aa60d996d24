"""A minimal HTTP/1.1 server for the local Lambda service: persistent connections, and bodies with a Content-Length.

The standard library has no asynchronous HTTP server. Its threaded server handles a few hundred requests a second on two
cores that it shares with the functions, which is too slow for a burst of events from the bus.
"""

from __future__ import annotations

import asyncio
import http
import json
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from enroll.local.guard import body_of, joined, refusal
from enroll.local.settings import HOST

LARGEST_BODY = 6 * 1024 * 1024
"""Lambda's limit for the payload of a synchronous invocation."""

BACKLOG = 4096
"""Connections that may wait to be accepted. In a burst, each event arrives on its own connection."""


@dataclass(frozen=True)
class HttpRequest:
    method: str
    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes


@dataclass(frozen=True)
class Response:
    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, status: int, content: Any, headers: Mapping[str, str] | None = None) -> Response:
        return cls(status, json.dumps(content).encode(), headers or {})


Answer = Callable[[HttpRequest], Awaitable[Response]]


class MalformedRequest(Exception):
    """The received bytes are not a request that this server supports."""


async def listen(
    answer: Answer,
    port: int = 0,
    allowed_hosts: Collection[str] = (),
    *,
    is_guarded: bool = True,
    request_seconds: float | None = None,
) -> asyncio.Server:
    """Start a server on the loopback interface. Port 0 lets the operating system choose the port.

    The server refuses requests of other web pages, and requests whose host is neither this machine nor one of
    `allowed_hosts` (see `guard.py`). Without `is_guarded`, `answer` refuses them. The server closes a connection on
    which no complete request arrives in `request_seconds`.
    """

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await asyncio.wait_for(_read(reader), request_seconds):
                reason = refusal(request.headers, allowed_hosts) if is_guarded else None
                response = await answer(request) if reason is None else Response(403, body_of(reason))
                _write(writer, response, has_body=request.method != "HEAD")
                await writer.drain()
                if request.headers.get("connection", "").lower() == "close":
                    break
        except MalformedRequest as error:
            _write(writer, Response.of(400, {"message": str(error)}))
        except (ConnectionError, TimeoutError, asyncio.IncompleteReadError, asyncio.CancelledError):
            # The client closed the connection or sends nothing, or the service stops: a response is not possible.
            pass
        finally:
            writer.close()

    return await asyncio.start_server(converse, HOST, port, backlog=BACKLOG)


def port_of(server: asyncio.Server) -> int:
    return int(server.sockets[0].getsockname()[1])


async def _read(reader: asyncio.StreamReader) -> HttpRequest | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    except asyncio.LimitOverrunError as error:
        raise MalformedRequest("The request's headers are too long.") from error
    first, *lines = head.decode("latin-1").split("\r\n")
    try:
        method, path, _ = first.split(" ", 2)
        headers = joined((name, value) for name, value in (line.split(":", 1) for line in lines if line))
        length = int(headers.get("content-length", "0"))
    except ValueError as error:
        raise MalformedRequest(f"Expected an HTTP request; got {first[:80]!r}.") from error
    if "chunked" in headers.get("transfer-encoding", ""):
        raise MalformedRequest("Expected a body with Content-Length; got a chunked body.")
    if not 0 <= length <= LARGEST_BODY:
        raise MalformedRequest(f"Expected a body of at most {LARGEST_BODY} bytes; got {length}.")
    return HttpRequest(method, path, headers, await reader.readexactly(length))


def _write(writer: asyncio.StreamWriter, response: Response, *, has_body: bool = True) -> None:
    """Write a response. ``has_body``: False for HEAD, to which a client expects only the length of the body."""
    headers = {"Content-Type": "application/json", **response.headers, "Content-Length": str(len(response.body))}
    reason = http.HTTPStatus(response.status).phrase
    lines = [f"HTTP/1.1 {response.status} {reason}", *(f"{name}: {value}" for name, value in headers.items())]
    writer.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (response.body if has_body else b""))
