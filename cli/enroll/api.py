"""Call the HTTP API: sign requests, retry them, and turn errors into messages with exit codes."""

from __future__ import annotations

import ipaddress
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, NoReturn
from urllib.parse import quote, urlencode, urlsplit

import typer
from botocore.exceptions import BotoCoreError, NoCredentialsError

from enroll.output import CONFLICT, FAILED, INVALID, NOT_FOUND, NOT_REACHED, fail, shown
from enroll.stack import open_stack, plain

if TYPE_CHECKING:
    from botocore.awsrequest import AWSRequest
    from botocore.httpsession import URLLib3Session
    from botocore.session import Session

TOKEN = "ENROLL_API_TOKEN"  # noqa: S105 - the variable's name

TIMEOUT_SECONDS = 35
ATTEMPTS = 6
MAX_MESSAGE_LENGTH = 500
FIRST_WAIT_SECONDS = 0.2
NO_REDIRECTS = "redirects are not followed. Set the URL of the API itself with --api or ENROLL_API"
# These statuses are safe to retry: either nothing was done, or repeating the request has the same effect.
RETRIED_STATUSES = (429, 503)

ApiUrl = Annotated[
    str | None,
    typer.Option("--api", envvar="ENROLL_API", help="URL of the HTTP API. Default: the URL in the stack's outputs."),
]
Portal = Annotated[str, typer.Option("--portal", envvar="ENROLL_PORTAL", help="ID of the portal (tenant).")]


class ApiError(Exception):
    """An error response of the API.

    ``problem`` is the response's body, an error in HubSpot's format: ``message``, and ``errors`` with ``in`` and
    ``message`` for each invalid value.
    """

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        super().__init__(f"{status}: {problem.get('message', 'no message')}")
        self.status = status
        self.problem = problem

    @property
    def errors(self) -> list[Mapping[str, Any]]:
        errors = self.problem.get("errors")
        return errors if isinstance(errors, list) else []

    @property
    def lines(self) -> list[str]:
        """One line for each error: its place in the request, and the message."""
        lines = [
            f"{error.get('in', 'request')}: {error.get('message', 'invalid')}"
            for error in self.errors
            if isinstance(error, Mapping)
        ]
        message = self.problem.get("message")
        return lines or [str(message) if message else f"the API returned status {self.status} without a message"]


class NotTheApi(ApiError):
    """The response is not one of Enroll's HTTP API."""

    def __init__(self, reason: str) -> None:
        super().__init__(502, {"message": f"{reason}. Check the URL: it must be that of Enroll's HTTP API"})


class JsonObject(dict[str, Any]):
    """An object in a response. Reading a key that it lacks raises NotTheApi."""

    def __missing__(self, key: str) -> NoReturn:
        raise NotTheApi(f"the response has no key {key!r}")


@dataclass(frozen=True)
class Api:
    """A client of the HTTP API for one portal.

    Requests are authorized with the token (ENROLL_API_TOKEN), otherwise signed with the shell's AWS credentials. The
    local run needs neither.
    """

    url: str
    portal: str
    token: str | None = None

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Send a request and return the JSON object in the response. Retry statuses 429 and 503 with backoff.

        Raises ApiError for every other status from 300 on, and when the last attempt fails.
        """
        for attempt in range(ATTEMPTS):
            status, content = self._send(method, path, body, query, headers or {})
            if status < 300:
                return content
            if status < 400:
                # A redirect could send the token and the request to another host.
                raise ApiError(status, {"message": f"{self.url} returned a redirect ({status}); {NO_REDIRECTS}"})
            if status not in RETRIED_STATUSES or attempt == ATTEMPTS - 1:
                raise ApiError(status, content)
            time.sleep(FIRST_WAIT_SECONDS * 2**attempt)
        raise AssertionError("unreachable")

    def pages(self, path: str, query: Mapping[str, str] | None = None) -> Iterator[dict[str, Any]]:
        """Yield the results of every page of a list. Raises ApiError."""
        after: dict[str, str] = {}
        while True:
            page = self.call("GET", path, query={**(query or {}), **after})
            yield from page["results"]
            if "paging" not in page:
                return
            after = {"after": page["paging"]["next"]["after"]}

    def _send(
        self, method: str, path: str, body: Any, query: Mapping[str, str] | None, more_headers: Mapping[str, str]
    ) -> tuple[int, dict[str, Any]]:
        from botocore.awsrequest import AWSRequest

        headers = {"X-Portal-Id": self.portal, **more_headers}
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        address = f"{self.url.rstrip('/')}{path}" + (f"?{query_string(query)}" if query else "")
        request = AWSRequest(method=method, url=address, data=data, headers=headers)
        try:
            self.authorize(request)
        except NoCredentialsError:
            fail(f"there are no AWS credentials to sign the request. Set AWS_PROFILE or {TOKEN}", NOT_REACHED)
        response = self.http_session().send(request.prepare())
        try:
            content = json.loads(response.content, object_hook=JsonObject) if response.content else JsonObject()
        except (ValueError, RecursionError):
            if response.status_code < 300:
                raise NotTheApi(f"{address} returned a page that is not JSON") from None
            content = {"message": response.content[:MAX_MESSAGE_LENGTH].decode("utf-8", "replace")}
        if not isinstance(content, dict):
            content = JsonObject(message=shown(content, MAX_MESSAGE_LENGTH))
        return int(response.status_code), content

    @property
    def is_signed(self) -> bool:
        """Whether requests are signed with AWS credentials."""
        return not self.token and not is_loopback(_host(self.url))

    def http_session(self) -> URLLib3Session:
        """Return an HTTP session, which does not follow redirects."""
        from botocore.httpsession import URLLib3Session
        from botocore.utils import get_environ_proxies

        proxies = {} if is_loopback(_host(self.url)) else get_environ_proxies(self.url)
        return URLLib3Session(proxies=proxies, timeout=TIMEOUT_SECONDS)

    def authorize(self, request: AWSRequest, session: Session | None = None) -> None:
        """Add the token or the signature. Without `session`, the credentials are read from the environment.

        Raises NoCredentialsError, and BotoCoreError or ClientError if the credentials cannot be renewed.
        """
        if self.token:
            request.headers["Authorization"] = f"Bearer {self.token}"
        elif self.is_signed:
            import botocore.session
            from botocore.auth import SigV4Auth

            session = session or botocore.session.get_session()
            credentials = session.get_credentials()
            if credentials is None:
                raise NoCredentialsError
            SigV4Auth(credentials, "execute-api", _region(_host(self.url), session)).add_auth(request)


def open_api(url: str | None, portal: str, stack: str) -> Api:
    """Return a client of the API at ``url``, or at the URL in the stack's outputs.

    Ends the command with NOT_REACHED if there is no stack or the stack has no API, and with INVALID if the URL is
    malformed or would send credentials unencrypted to another machine.
    """
    if url is None:
        url = open_stack(stack).outputs.get("ApiUrl")
        if url is None:
            fail(f"the stack {stack} has no output ApiUrl. Deploy it again, or set a URL with --api", NOT_REACHED)
    if not _is_url(url):
        fail(f"--api: expected a URL, for example https://….execute-api.eu-west-1.amazonaws.com; got {url!r}", INVALID)
    if not is_private(url):
        fail(
            f"--api: expected an https:// URL; got {url!r}. Over http://, others can read the token, the "
            "session token of a signed request, and the records. http:// is accepted only for this machine: "
            "localhost, 127.0.0.0/8 and [::1]",
            INVALID,
        )
    return Api(url, portal, os.environ.get(TOKEN) or None)


def query_string(parameters: Mapping[str, str] | Sequence[tuple[str, str]]) -> str:
    """Return a query string as a signature needs it: a space is `%20`, not `+`."""
    return urlencode(parameters, quote_via=quote, safe="")


def is_private(url: str) -> bool:
    """Return whether requests to this URL are encrypted or stay on this machine."""
    return urlsplit(url).scheme == "https" or is_loopback(_host(url))


def is_loopback(host: str) -> bool:
    """Return whether a host is ``localhost`` or a loopback address.

    Other names are not resolved, because the address can change between this check and the request.
    """
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
        # From a URL with a backslash before an @, urlsplit and the HTTP client read different hosts.
        return parts.scheme in ("http", "https") and bool(parts.hostname) and not set("\\@") & set(parts.netloc)
    except ValueError:
        return False


@contextmanager
def api_errors_reported() -> Iterator[None]:
    """Turn errors of the API, and failures to reach it, into messages with exit codes."""
    try:
        yield
    except NotTheApi as error:
        fail(error.lines, NOT_REACHED)
    except ApiError as error:
        code = {400: INVALID, 404: NOT_FOUND, 409: CONFLICT, 413: INVALID}.get(error.status, FAILED)
        fail(error.lines, code)
    except BotoCoreError as error:
        fail(f"cannot reach the HTTP API: {plain(error)}. Set its URL with --api or ENROLL_API", NOT_REACHED)


def fits_in_path(text: str) -> bool:
    """Return whether an ID arrives unchanged as a segment of a path.

    API Gateway decodes a path before the API receives it, and cuts it at a decoded `?`. HTTP clients resolve `.` and
    `..`. Half of a surrogate pair has no encoding.
    """
    if any("\ud800" <= character <= "\udfff" for character in text):
        return False
    return text not in (".", "..") and not any(character in "/?#%" for character in text)


def path_segment(text: str) -> str:
    """Return an ID as a segment of a path. End the command with INVALID if it would arrive as another ID."""
    if not fits_in_path(text):
        fail(
            f"expected an ID for a URL path, without / ? # % and not . or .., for example 1001; got {text!r}",
            INVALID,
        )
    return quote(text, safe="")


def _region(host: str, session: Session) -> str:
    """Return the region in the host name of API Gateway. For a custom domain, return the shell's region."""
    labels = host.split(".")
    if "execute-api" in labels:
        return labels[labels.index("execute-api") + 1]
    return session.get_config_variable("region") or "us-east-1"
