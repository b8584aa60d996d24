"""The server of `enroll console`: the page on the loopback interface, and the HTTP API of a stack behind it.

It signs requests with somebody's AWS credentials, so every other page in the browser and every other user of the
machine counts as an attacker. docs/security.md lists what it refuses.
"""

from __future__ import annotations

import asyncio
import hmac
import http
import json
import re
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from botocore.exceptions import BotoCoreError, ClientError

from enroll.api import TOKEN, Api, query_string
from enroll.api_routes import find_route, is_reading
from enroll.local.console_site import PATH, SECURITY_HEADERS, ConsoleSite
from enroll.local.guard import LOOPBACK_NAMES, refusal
from enroll.local.loopback_http import HttpRequest, Response, listen, port_of

if TYPE_CHECKING:
    from botocore.session import Session

    from enrollment.entrypoints.http_api.endpoint import Endpoint

SESSION_PATH = f"{PATH}session"
"""Exchanges the start token for the cookie (console/src/shell/hosting.ts)."""

LONGEST_BODY = 1024 * 1024
"""Bytes of a request that is forwarded: the API's own limit."""

LONGEST_ANSWER = 6 * 1024 * 1024
"""Bytes of an answer: Lambda's limit."""

REQUEST_SECONDS = 60.0
"""A connection on which no complete request arrives in this time is closed."""

ANSWER_SECONDS = 40.0
"""The API answers within 30 seconds, or API Gateway answers for it."""

MOST_FORWARDED = 8
"""Requests that the API answers at the same time. Others wait."""

FORWARDED_HEADERS = frozenset({"content-type", "accept", "accept-encoding", "x-portal-id"})
"""Headers of a request that the API receives, in addition to those that the operation declares."""

PRINTABLE = re.compile(r"[\x20-\x7e]*")

EXPIRED = "EXPIRED_CREDENTIALS"
AWS_EXPIRED = "Your AWS credentials have expired: run `aws sso login`, then continue."
TOKEN_EXPIRED = f"The API refused the token in {TOKEN}. Start `enroll console` again with a new token."
NO_SESSION = (
    "This page has no session. Open the address that `enroll console` printed. It can be opened once: for a new "
    "address, start the command again."
)


@dataclass
class ConsoleServer:
    """Answers the requests of one start of the command. `token` is in the address of the page, and works once."""

    site: ConsoleSite
    api: Api
    is_read_only: bool = False
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    port: int = 0
    _cookie: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    _is_token_used: bool = False
    _session: Session | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    async def listen(self, port: int) -> asyncio.Server:
        """Start to answer at a port of 127.0.0.1; 0: any port. Raises OSError if the port is in use."""
        slots = asyncio.Semaphore(MOST_FORWARDED)

        async def answer(request: HttpRequest) -> Response:
            response = self.local_answer(request)
            if response is not None:
                return response
            async with slots:
                return await _bounded(lambda: self.forward(request))

        server = await listen(answer, port, is_guarded=False, request_seconds=REQUEST_SECONDS)
        self.port = port_of(server)
        return server

    @property
    def address(self) -> str:
        """The address of the page without the start token."""
        return f"http://127.0.0.1:{self.port}{PATH}"

    @property
    def start_address(self) -> str:
        """The address to open. A browser does not send the part after `#`, so it is in no log."""
        return f"{self.address}#token={self.token}"

    def local_answer(self, request: HttpRequest) -> Response | None:
        """Return the answer of this server; None if the API answers the request.

        Without the cookie, only the files of the page, which are the same for everyone, and the exchange of the token
        are answered.
        """
        if reason := self._refusal(request.headers):
            return _error(403, "FORBIDDEN", reason)
        path = request.path.partition("?")[0]
        if path == SESSION_PATH:
            return self._open_session(request)
        is_data = path == self.site.hosting_path
        if not is_data and (response := self.site.answer(request)) is not None:
            return response
        if not self._has_cookie(request.headers):
            return _error(403, "NO_SESSION", NO_SESSION)
        return self.site.answer(request) if is_data else None

    def forward(self, request: HttpRequest) -> Response:
        """Return the answer of the API. Blocks."""
        path, _, query = request.path.partition("?")
        route = find_route(path)
        if route is None:
            return _error(404, "NOT_FOUND", f"{path[:200]} is not a route of the API; /openapi.json lists all routes.")
        endpoint = route.operations.get(request.method)
        if endpoint is None:
            methods = ", ".join(route.operations)
            return _error(
                405, "METHOD_NOT_ALLOWED", f"expected {methods}; got {request.method[:20]}", {"Allow": methods}
            )
        if not _is_json(endpoint):
            return _error(404, "NOT_FOUND", f"{path} is a page of the API, which this server does not show.")
        if self.is_read_only and not is_reading(endpoint):
            return _error(
                403, "READ_ONLY", "The console was started with --read-only. To change something, start it without."
            )
        if len(request.body) > LONGEST_BODY:
            return _error(
                413, "TOO_LARGE", f"expected a body of at most {LONGEST_BODY:,} bytes; got {len(request.body):,}"
            )
        declared = {header.name.lower() for header in endpoint.headers}
        headers = {name: text for name, text in request.headers.items() if name in FORWARDED_HEADERS | declared}
        for name, text in headers.items():
            if not PRINTABLE.fullmatch(text):
                return _error(400, "INVALID_HEADER", f"{name}: expected printable ASCII characters")
        target = route.path + (f"?{query_string(parse_qsl(query, keep_blank_values=True))}" if query else "")
        return self._answer_of_api(request.method, target, headers, request.body)

    def _refusal(self, headers: Mapping[str, str]) -> str | None:
        host = headers.get("host", "").lower()
        allowed = {f"{name}:{self.port}" for name in LOOPBACK_NAMES}
        if host not in allowed:
            return f"Host: expected 127.0.0.1:{self.port}, got {host[:200]!r}."
        return refusal(headers)

    def _open_session(self, request: HttpRequest) -> Response:
        if request.method != "POST":
            return _error(405, "METHOD_NOT_ALLOWED", f"expected POST; got {request.method[:20]}", {"Allow": "POST"})
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return _error(415, "INVALID_HEADER", "Content-Type: expected application/json")
        try:
            content = json.loads(request.body)
        except (ValueError, RecursionError):
            content = None
        token = content.get("token") if isinstance(content, dict) else None
        is_right = isinstance(token, str) and _are_equal(token, self.token)
        if not is_right or self._is_token_used:
            return _error(403, "NO_SESSION", NO_SESSION)
        self._is_token_used = True
        cookie = f"{self._cookie_name}={self._cookie}; Path=/; HttpOnly; SameSite=Strict"
        return Response(204, headers={**SECURITY_HEADERS, "Cache-Control": "no-store", "Set-Cookie": cookie})

    @property
    def _cookie_name(self) -> str:
        """Browsers send the cookies of 127.0.0.1 to all its ports, so two consoles need two names."""
        return f"enroll-console-{self.port}"

    def _has_cookie(self, headers: Mapping[str, str]) -> bool:
        cookies = (cookie.strip().partition("=") for cookie in headers.get("cookie", "").split(";"))
        return any(name == self._cookie_name and _are_equal(text, self._cookie) for name, _, text in cookies)

    def _answer_of_api(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Response:
        from botocore.awsrequest import AWSRequest
        from urllib3.exceptions import HTTPError

        url = f"{self.api.url.rstrip('/')}{target}"
        request = AWSRequest(method=method, url=url, data=body or None, headers=dict(headers), stream_output=True)
        try:
            with self._lock:
                # The credentials are renewed here, once for all requests that wait.
                self.api.authorize(request, self._aws_session())
        except (BotoCoreError, ClientError):
            self._session = None
            return _error(401, EXPIRED, AWS_EXPIRED)
        http_session = self.api.http_session()
        try:
            response = http_session.send(request.prepare())
            content = _read(response.raw)
        except AnswerTooLarge:
            return _error(502, "BAD_ANSWER", f"The API sent more than {LONGEST_ANSWER:,} bytes.")
        except (BotoCoreError, HTTPError, OSError) as error:
            return _error(502, "NOT_REACHED", f"The API did not answer: {type(error).__name__}.")
        finally:
            http_session.close()
        return self._checked(int(response.status_code), response.headers, content)

    def _checked(self, status: int, headers: Mapping[str, str], content: bytes) -> Response:
        """Return an answer of the API with nothing that acts in a browser."""
        if 300 <= status < 400 or status not in set(http.HTTPStatus) or status < 200:
            return _error(502, "BAD_ANSWER", f"expected an answer of Enroll's API; got status {status}. Check --api.")
        received = {name.lower(): str(text) for name, text in headers.items()}
        if status == 401 and self.api.token:
            return _error(401, EXPIRED, TOKEN_EXPIRED)
        if status in (401, 403) and self.api.is_signed and _says_expired(received, content):
            self._session = None
            return _error(401, EXPIRED, AWS_EXPIRED)
        content_type = received.get("content-type", "").partition(";")[0].strip().lower()
        if content and content_type != "application/json":
            return _error(502, "BAD_ANSWER", f"expected an answer in JSON with status {status}. Check --api.")
        passed = {"Content-Type": "application/json", "Cache-Control": "no-store"}
        if received.get("content-encoding", "").lower() == "gzip":
            passed["Content-Encoding"] = "gzip"
        if re.fullmatch(r"[0-9]{1,6}", received.get("retry-after", ""), re.ASCII):
            passed["Retry-After"] = received["retry-after"]
        return Response(status, content, {**SECURITY_HEADERS, **passed})

    def _aws_session(self) -> Session | None:
        """Return the session with the credentials. It is made anew after they expired, because files may have changed.
        Raises BotoCoreError."""
        if self._session is None and self.api.is_signed:
            import botocore.session

            self._session = botocore.session.get_session()
        return self._session


class AnswerTooLarge(Exception):
    """The API sent more than LONGEST_ANSWER bytes."""


def _read(raw: Any) -> bytes:
    """Return the body of an answer. Raises AnswerTooLarge and TimeoutError. A compressed body stays compressed."""
    deadline = time.monotonic() + ANSWER_SECONDS
    parts: list[bytes] = []
    size = 0
    while part := raw.read1(65536) if hasattr(raw, "read1") else raw.read(65536):
        size += len(part)
        if size > LONGEST_ANSWER:
            raise AnswerTooLarge
        if time.monotonic() > deadline:
            raise TimeoutError
        parts.append(part)
    return b"".join(parts)


async def _bounded(forward: Callable[[], Response]) -> Response:
    """Run `forward` in a thread that does not keep the program alive, so that Ctrl-C need not wait for the API."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Response] = loop.create_future()

    def finish(response: Response) -> None:
        if not future.done():
            future.set_result(response)

    def run() -> None:
        try:
            response = forward()
        except Exception as error:  # a fault in this server: the page shows it, and the server goes on
            response = _error(500, "INTERNAL_ERROR", f"`enroll console` failed: {type(error).__name__}.")
        with suppress(RuntimeError):  # the loop is closed: the command has ended
            loop.call_soon_threadsafe(finish, response)

    threading.Thread(target=run, daemon=True).start()
    try:
        return await asyncio.wait_for(future, ANSWER_SECONDS)
    except TimeoutError:
        return _error(504, "NOT_REACHED", f"The API did not answer within {ANSWER_SECONDS:.0f} seconds.")


def _is_json(endpoint: Endpoint) -> bool:
    return not any(reply is not None and reply.startswith("text/") for reply in endpoint.replies.values())


def _says_expired(headers: Mapping[str, str], content: bytes) -> bool:
    """Return whether API Gateway refused the credentials because they expired. Its answer has no fixed form."""
    return "expired" in headers.get("x-amzn-errortype", "").lower() or b"expired" in content[:1000].lower()


def _are_equal(text: str, secret: str) -> bool:
    return hmac.compare_digest(text.encode("utf-8", "surrogatepass"), secret.encode())


def _error(status: int, category: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    return Response.of(
        status,
        {"status": "error", "category": category, "message": message},
        {**SECURITY_HEADERS, "Cache-Control": "no-store", **(headers or {})},
    )
