"""Decides which HTTP requests the local run answers: those of this machine's programs and of its own pages.

A browser lets any web page send requests to 127.0.0.1. It can't hide where they come from: it names the page in
`Origin` (every POST, every preflight) or in `Sec-Fetch-Site`, and the address that the page used in `Host`. A page
whose name resolves to 127.0.0.1 (DNS rebinding) has the right origin, but the wrong host. `aws`, boto3 and curl send
neither `Origin` nor `Sec-Fetch-Site`.

All servers of the local run use these rules. The embedded AWS loads this file by its path, in an environment that has
none of this project: it must import nothing but the standard library.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, MutableMapping
from typing import Any

LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})

OWN_SITES = frozenset({"same-origin", "none"})
"""Values of Sec-Fetch-Site: a page of the server itself, and an address that the user typed."""

AsgiScope = MutableMapping[str, Any]
AsgiMessage = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[AsgiMessage]]
Send = Callable[[AsgiMessage], Awaitable[None]]
AsgiApp = Callable[[AsgiScope, Receive, Send], Awaitable[None]]


def refusal(headers: Mapping[str, str], allowed_hosts: Collection[str] = ()) -> str | None:
    """Return why a request is refused; None if it is answered.

    `headers` have names in lower case; a header that was sent several times has its values joined by commas.
    `allowed_hosts` are the names besides those of the loopback interface under which the server may be addressed.
    """
    host = headers.get("host", "").lower()
    name = _without_port(host)
    if name not in LOOPBACK_NAMES and name not in allowed_hosts:
        return (
            f"Host: expected 127.0.0.1, localhost or [::1], got {host[:200]!r}. "
            f"To allow another name, start the local run with --allow-host, for example --allow-host {EXAMPLE_HOST}."
        )
    origin = headers.get("origin")
    if origin is not None and origin.lower() != f"http://{host}":
        return f"Origin: expected http://{host} or none, got {origin[:200]!r}. Other web pages may not use this port."
    site = headers.get("sec-fetch-site")
    if site is not None and site.lower() not in OWN_SITES:
        return (
            f"Sec-Fetch-Site: expected same-origin or none, got {site[:200]!r}. Other web pages may not use this "
            "port; to open a page of it, type its address."
        )
    return None


EXAMPLE_HOST = "host.docker.internal"


def _without_port(host: str) -> str:
    """`localhost:4566` and `[::1]:4566` without the port."""
    name, colon, port = host.rpartition(":")
    return name if colon and (port.isascii() and port.isdigit()) and (":" not in name or name.endswith("]")) else host


def body_of(reason: str) -> bytes:
    """The body of the answer to a refused request, which has status 403."""
    return json.dumps({"message": reason}).encode()


def guarded(app: AsgiApp, allowed_hosts: Collection[str] = ()) -> AsgiApp:
    """Return an ASGI application that passes only allowed requests to `app`."""

    async def guard(scope: AsgiScope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            headers = joined((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])
            reason = refusal(headers, allowed_hosts)
            if reason is not None:
                await _refuse(scope["type"], reason, send)
                return
        await app(scope, receive, send)

    return guard


def joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Headers as a mapping, names in lower case; values of a repeated name are joined by commas."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in pairs:
        name, value = raw_name.strip().lower(), raw_value.strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


async def _refuse(kind: str, reason: str, send: Send) -> None:
    if kind == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": reason[:100]})
        return
    body = body_of(reason)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body})
