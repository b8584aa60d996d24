"""The HTTP API, as the commands call it."""

from __future__ import annotations

import ipaddress
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote, urlencode, urlsplit

import botocore.session
import typer
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies

from enroll.output import CONFLICT, FAILED, INVALID, NOT_FOUND, NOT_REACHED, fail
from enroll.stack import open_stack

TOKEN = "ENROLL_API_TOKEN"  # noqa: S105 - the variable's name

TIMEOUT_SECONDS = 35
ATTEMPTS = 6
FIRST_WAIT_SECONDS = 0.2
DIRECT = "redirects are not followed. Name the URL of the API itself with --api or ENROLL_API"
# Answers after which the same request may be sent again: nothing was done, or doing it twice is the same.
RETRIED = (429, 503)

ApiUrl = Annotated[
    str | None,
    typer.Option("--api", envvar="ENROLL_API", help="URL of the HTTP API; that of the stack when not given."),
]
Portal = Annotated[str, typer.Option("--portal", envvar="ENROLL_PORTAL", help="The portal (tenant).")]


class ApiError(Exception):
    """The API refused; ``problem`` is HubSpot's envelope of the error."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        super().__init__(f"{status}: {problem.get('message', 'no message')}")
        self.status = status
        self.problem = problem

    @property
    def errors(self) -> list[Mapping[str, Any]]:
        return list(self.problem.get("errors", []))

    @property
    def lines(self) -> list[str]:
        """One line for each fault."""
        lines = [f"{one['in']}: {one['message']}" for one in self.errors]
        return lines or [str(self.problem.get("message", f"the API answered {self.status}"))]


@dataclass(frozen=True)
class Api:
    """Signs with a token (ENROLL_API_TOKEN), else with the shell's AWS credentials; the local run needs neither."""

    url: str
    portal: str
    token: str | None = None

    def call(self, method: str, path: str, body: Any = None, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Raises ApiError."""
        for attempt in range(ATTEMPTS):
            status, content = self._send(method, path, body, query)
            if status < 300:
                return content
            if status < 400:
                # Not followed: a redirect could lead the token and the request to another host.
                raise ApiError(status, {"message": f"{self.url} answers with a redirect ({status}); {DIRECT}"})
            if status not in RETRIED or attempt == ATTEMPTS - 1:
                raise ApiError(status, content)
            time.sleep(FIRST_WAIT_SECONDS * 2**attempt)
        raise AssertionError("unreachable")

    def pages(self, path: str, query: Mapping[str, str] | None = None) -> Iterator[dict[str, Any]]:
        """The results of every page. Raises ApiError."""
        after: dict[str, str] = {}
        while True:
            page = self.call("GET", path, query={**(query or {}), **after})
            yield from page["results"]
            if "paging" not in page:
                return
            after = {"after": page["paging"]["next"]["after"]}

    def _send(self, method: str, path: str, body: Any, query: Mapping[str, str] | None) -> tuple[int, dict[str, Any]]:
        headers = {"X-Portal-Id": self.portal}
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        address = f"{self.url.rstrip('/')}{path}" + (f"?{urlencode(query)}" if query else "")
        request = AWSRequest(method=method, url=address, data=data, headers=headers)
        self._sign(request)
        answer = self._session().send(request.prepare())
        try:
            content = json.loads(answer.content) if answer.content else {}
        except ValueError:
            content = {"message": answer.content[:500].decode("utf-8", "replace")}
        return int(answer.status_code), content if isinstance(content, dict) else {"message": content}

    def _session(self) -> URLLib3Session:
        """Follows no redirect."""
        proxies = {} if is_loopback(_host(self.url)) else get_environ_proxies(self.url)
        return URLLib3Session(proxies=proxies, timeout=TIMEOUT_SECONDS)

    def _sign(self, request: AWSRequest) -> None:
        host = _host(self.url)
        if self.token:
            request.headers["Authorization"] = f"Bearer {self.token}"
        elif not is_loopback(host):
            session = botocore.session.get_session()
            credentials = session.get_credentials()
            if credentials is None:
                fail(f"no AWS credentials to sign with: name a profile with AWS_PROFILE, or set {TOKEN}", NOT_REACHED)
            SigV4Auth(credentials, "execute-api", _region(host, session)).add_auth(request)


def open_api(url: str | None, portal: str, stack: str) -> Api:
    """Ends the command with NOT_REACHED when there is neither a URL nor a stack that has one."""
    if url is None:
        url = open_stack(stack).outputs.get("ApiUrl")
        if url is None:
            fail(f"the stack {stack} has no HTTP API; deploy it again, or name an API with --api", NOT_REACHED)
    if not _is_url(url):
        fail(f"--api: found {url!r}, allowed is a URL like https://….execute-api.eu-west-1.amazonaws.com", INVALID)
    if not is_private(url):
        fail(
            f"--api: expected an https:// URL, got {url!r}. Over http:// the token, the session token of a "
            "signed request, and the records can be read on the way. http:// is accepted for this machine only: "
            "localhost, 127.0.0.0/8 and [::1]",
            INVALID,
        )
    return Api(url, portal, os.environ.get(TOKEN) or None)


def is_private(url: str) -> bool:
    """Return whether requests to this URL are encrypted or stay on this machine."""
    return urlsplit(url).scheme == "https" or is_loopback(_host(url))


def is_loopback(host: str) -> bool:
    """Names other than ``localhost`` are not resolved: what they point to can change between the check and the call."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        # The HTTP client takes another host than urlsplit from a URL with a backslash before an @.
        return parts.scheme in ("http", "https") and bool(parts.hostname) and not set("\\@") & set(parts.netloc)
    except ValueError:
        return False


@contextmanager
def api_errors_reported() -> Iterator[None]:
    """Errors of the API and of reaching it, as messages with their exit codes."""
    try:
        yield
    except ApiError as error:
        code = {400: INVALID, 404: NOT_FOUND, 409: CONFLICT, 413: INVALID}.get(error.status, FAILED)
        fail(error.lines, code)
    except BotoCoreError as error:
        fail(f"the HTTP API is not reached: {error}. Name it with --api or ENROLL_API", NOT_REACHED)


def can_be_in_a_path(text: str) -> bool:
    """API Gateway decodes a path before the API sees it, and cuts it at a decoded `?`; HTTP clients resolve dots."""
    return text not in (".", "..") and not any(one in "/?#%" for one in text)


def part(text: str) -> str:
    """An id, as a part of a path. Ends the command for one that could arrive as another."""
    if not can_be_in_a_path(text):
        fail(f"expected an id without / ? # %, and not . or .., found {text!r}: no path can carry it", INVALID)
    return quote(text, safe="")


def _region(host: str, session: botocore.session.Session) -> str:
    """API Gateway's host names say it; behind a name of one's own it is that of the shell."""
    labels = host.split(".")
    if "execute-api" in labels:
        return labels[labels.index("execute-api") + 1]
    return session.get_config_variable("region") or "us-east-1"
