"""`enroll console` answers only its own page, and forwards only the routes of the API."""

import asyncio
import gzip
import http.client
import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import botocore.session
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import UnauthorizedSSOTokenError

from enroll import console_server
from enroll.api import Api
from enroll.api_routes import find_route, is_reading
from enroll.commands import console as console_commands
from enroll.console_server import ConsoleServer
from enroll.local.console_site import SECURITY_HEADERS, ConsoleSite
from enrollment.entrypoints.http_api.routes import ENDPOINTS
from tests.support.command_line import run
from tests.support.portal import Api as PortalApi
from tests.support.serving import running, served

FLOWS = "/automation/v4/flows"
PAGE = b"<!doctype html><title>Enroll</title>"
FETCH = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
JSON = {"Content-Type": "application/json"}


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def category(self) -> Any:
        return json.loads(self.body).get("category")


@dataclass
class Received:
    """A request that the API received."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Upstream:
    """The API: answers every request with the same answer, and keeps the requests."""

    url: str = ""
    status: int = 200
    headers: list[tuple[str, str]] = field(default_factory=lambda: [("Content-Type", "application/json")])
    body: bytes = b'{"results": []}'
    received: list[Received] = field(default_factory=list)


@contextmanager
def upstream() -> Iterator[Upstream]:
    api = Upstream()

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            headers = {name.lower(): text for name, text in self.headers.items()}
            api.received.append(Received(self.command, self.path, headers, body))
            self.send_response_only(api.status, "Answer")
            for name, text in api.headers:
                self.send_header(name, text)
            self.send_header("Content-Length", str(len(api.body)))
            self.end_headers()
            self.wfile.write(api.body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        api.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield api
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def started(server: ConsoleServer) -> Iterator[ConsoleServer]:
    with running(lambda: server.listen(0)):
        yield server


@pytest.fixture
def api() -> Iterator[Upstream]:
    with upstream() as found:
        yield found


@pytest.fixture
def site(tmp_path: Path) -> ConsoleSite:
    folder = tmp_path / "site"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_bytes(PAGE)
    (folder / "assets" / "index-1a2b.js").write_text("export {}")
    return ConsoleSite(folder, tmp_path / "problem.txt", {"portalId": "demo", "isReadOnly": False})


@pytest.fixture
def server(site: ConsoleSite, api: Upstream) -> Iterator[ConsoleServer]:
    with started(ConsoleServer(site, Api(api.url, "demo"))) as found:
        yield found


def send(
    server: ConsoleServer,
    method: str,
    target: str,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    cookie: str | None = None,
) -> Answer:
    """Send a request with exactly this target. `headers` replace those that a browser sends for the page's requests."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=15)
    try:
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        sent = {"Host": f"127.0.0.1:{server.port}", **FETCH, **(headers or {})}
        if cookie is not None:
            sent["Cookie"] = cookie
        if body or method in ("POST", "PUT", "PATCH"):
            sent["Content-Length"] = str(len(body))
        for name, text in sent.items():
            connection.putheader(name, text)
        connection.endheaders(body)
        response = connection.getresponse()
        return Answer(response.status, {n.lower(): t for n, t in response.getheaders()}, response.read())
    finally:
        connection.close()


def exchange(server: ConsoleServer, token: str | None = None, **headers: str) -> Answer:
    body = json.dumps({"token": server.token if token is None else token}).encode()
    return send(server, "POST", "/console/session", {**JSON, **headers}, body)


def signed_in(server: ConsoleServer) -> str:
    """Return the cookie of the page."""
    answer = exchange(server)
    assert answer.status == 204
    return answer.headers["set-cookie"].partition(";")[0]


# The session ----------------------------------------------------------------------------------------------------------


def test_start_token_is_exchanged_for_a_strict_cookie_that_scripts_cannot_read(server: ConsoleServer) -> None:
    answer = exchange(server)
    cookie, *attributes = answer.headers["set-cookie"].split("; ")
    assert sorted(attributes) == ["HttpOnly", "Path=/", "SameSite=Strict"]
    assert cookie.startswith(f"enroll-console-{server.port}=")
    assert server.token not in cookie
    assert send(server, "GET", FLOWS, cookie=cookie).status == 200


def test_start_token_works_once(server: ConsoleServer) -> None:
    assert [exchange(server).status for _ in range(3)] == [204, 403, 403]


def test_wrong_token_opens_no_session_and_does_not_use_up_the_right_one(server: ConsoleServer) -> None:
    assert [exchange(server, token).status for token in ("", "x", "é\ud800", server.token[:-1])] == [403] * 4
    for content in (b"", b"[]", b'{"token": 7}', b'{"token": null}', b"[" * 10_000, b"\xff"):
        assert send(server, "POST", "/console/session", JSON, content).status == 403
    assert exchange(server).status == 204


def test_token_of_a_form_or_in_a_query_is_refused(server: ConsoleServer) -> None:
    body = json.dumps({"token": server.token}).encode()
    assert send(server, "POST", "/console/session", {"Content-Type": "text/plain"}, body).status == 415
    assert send(server, "GET", f"/console/session?token={server.token}").status == 405
    assert send(server, "GET", f"{FLOWS}?token={server.token}").status == 403


def test_each_start_has_another_token_and_another_cookie(site: ConsoleSite) -> None:
    servers = [ConsoleServer(site, Api("http://127.0.0.1:1", "")) for _ in range(2)]
    assert servers[0].token != servers[1].token
    assert servers[0]._cookie != servers[1]._cookie
    assert len(servers[0].token) >= 43, "256 bits"
    assert servers[0].start_address.endswith(f"/console/#token={servers[0].token}")


@pytest.mark.parametrize("cookie", [None, "", "enroll-console=x", "enroll-console-{port}=", "enroll-console-{port}=é"])
@pytest.mark.parametrize(
    ("method", "target"),
    [("GET", FLOWS), ("POST", FLOWS), ("GET", "/console/console.json"), ("GET", "/"), ("GET", "/x"), ("PUT", "/%00")],
)
def test_request_without_the_cookie_is_refused(
    server: ConsoleServer, api: Upstream, method: str, target: str, cookie: str | None
) -> None:
    text = None if cookie is None else cookie.format(port=server.port)
    answer = send(server, method, target, cookie=text)
    assert (answer.status, answer.category) == (403, "NO_SESSION")
    assert api.received == []


def test_cookie_is_found_among_those_of_other_servers_of_the_machine(server: ConsoleServer) -> None:
    cookie = signed_in(server)
    assert send(server, "GET", FLOWS, cookie=f'a=b; broken; "; x={{}}; {cookie}; z=1').status == 200


def test_files_of_the_page_need_no_cookie_because_they_exchange_the_token(server: ConsoleServer) -> None:
    for path in ("/console/", "/console/flows?q=x"):
        answer = send(server, "GET", path)
        assert (answer.status, answer.body) == (200, PAGE)
        assert SECURITY_HEADERS.items() <= {name: answer.headers[name.lower()] for name in SECURITY_HEADERS}.items()
    assert send(server, "GET", "/console/assets/index-1a2b.js").status == 200
    assert json.loads(send(server, "GET", "/console/console.json", cookie=signed_in(server)).body)["portalId"] == "demo"


# Other pages and names ------------------------------------------------------------------------------------------------

FOREIGN: list[dict[str, str]] = [
    {"Host": "evil.example"},
    {"Host": "evil.example:{port}"},
    {"Host": "127.0.0.1"},
    {"Host": "127.0.0.1:1"},
    {"Host": "127.0.0.1:{port}.evil.example"},
    {"Host": "127.0.0.1.evil.example:{port}"},
    {"Host": "0.0.0.0:{port}"},
    {"Host": ""},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:1"},
    {"Origin": "https://127.0.0.1:{port}"},
    {"Origin": "http://localhost:{port}"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "nonsense"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_foreign_request_is_refused_even_with_the_cookie(
    server: ConsoleServer, api: Upstream, headers: dict[str, str]
) -> None:
    cookie = signed_in(server)
    foreign = {name: text.format(port=server.port) for name, text in headers.items()}
    for method, target in (("GET", FLOWS), ("POST", FLOWS), ("GET", "/console/"), ("GET", "/console/console.json")):
        answer = send(server, method, target, foreign, cookie=cookie)
        assert (answer.status, answer.category) == (403, "FORBIDDEN"), (method, target)
    assert exchange(server, **foreign).status == 403
    assert api.received == []


def test_refusal_has_no_header_that_lets_other_pages_read(server: ConsoleServer) -> None:
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "PUT"}
    answer = send(server, "OPTIONS", FLOWS, headers)
    assert answer.status == 403
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_own_page_and_a_typed_address_are_answered(server: ConsoleServer) -> None:
    cookie = signed_in(server)
    own = {"Origin": f"http://127.0.0.1:{server.port}"}
    assert send(server, "POST", f"{FLOWS}/batch/read", {**own, **JSON}, b"{}", cookie).status == 200
    assert send(server, "GET", "/console/", {"Sec-Fetch-Site": "none"}).status == 200


def test_server_listens_on_the_loopback_interface_only(site: ConsoleSite) -> None:
    async def addresses() -> list[Any]:
        listener = await ConsoleServer(site, Api("http://127.0.0.1:1", "")).listen(0)
        with_port = [listening.getsockname() for listening in listener.sockets]
        listener.close()
        return with_port

    assert [address[0] for address in asyncio.run(addresses())] == ["127.0.0.1"]


# Routes ---------------------------------------------------------------------------------------------------------------


def test_routes_are_those_of_the_openapi_document() -> None:
    document = json.loads((Path(__file__).parents[2] / "docs" / "openapi.json").read_text(encoding="utf-8"))
    for template, operations in document["paths"].items():
        path = template.replace("{", "x-").replace("}", "")
        route = find_route(path)
        assert route is not None, template
        assert {method.upper() for method in operations} <= set(route.operations), template
        assert route.path == path
    assert sum(len(operations) for operations in document["paths"].values()) == len(ENDPOINTS)


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "//",
        "/automation",
        "/automation/v4/flows/",
        "/automation/v4/flows/1/x",
        "/automation/v4/flows/..",
        "/automation/v4/flows/.",
        "/automation/v4/flows/%2e%2e",
        "/automation/v4/flows/%2E%2e/%2e%2e",
        "/automation/v4/flows/a%2Fb",
        "/automation/v4/flows/a%5Cb",
        "/automation/v4/flows/a\\b",
        "/automation/v4/flows/a%3Fb",
        "/automation/v4/flows/a%23b",
        "/automation/v4/flows/a%25b",
        "/automation/v4/flows/a%252Fb",
        "/automation/v4/flows/%00",
        "/automation/v4/flows/a%0d%0ab",
        "/automation/v4/flows/%ff",
        "/automation/v4/flows/" + "x" * 513,
        "/automation/v4/../v4/flows",
        "//automation/v4/flows",
        "/automation//v4/flows",
        "/AUTOMATION/v4/flows",
        "http://127.0.0.1/automation/v4/flows",
        "http://evil.example/automation/v4/flows",
        "automation/v4/flows",
        "*",
        "/docs",
        "/%64ocs",
        "/console.json",
        "/latest/meta-data/",
    ],
)
def test_path_that_is_not_a_route_is_not_forwarded(server: ConsoleServer, api: Upstream, target: str) -> None:
    answer = send(server, "GET", target, cookie=signed_in(server))
    assert (answer.status, answer.category) == (404, "NOT_FOUND")
    assert api.received == []


@pytest.mark.parametrize("method", ["DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "CONNECT", "get", "PROPFIND"])
def test_method_that_the_route_lacks_is_not_forwarded(server: ConsoleServer, api: Upstream, method: str) -> None:
    answer = send(server, method, FLOWS, cookie=signed_in(server))
    assert answer.status == 405
    assert answer.headers["allow"] == "GET, POST"
    assert api.received == []


def test_request_is_forwarded_with_its_parameters_and_body(server: ConsoleServer, api: Upstream) -> None:
    cookie = signed_in(server)
    headers = {"X-Portal-Id": "p1", **JSON, "Accept-Encoding": "gzip", "Accept": "application/json"}
    send(server, "PUT", f"{FLOWS}/1%30%2001@x?a=1+2&b=%C3%A9&b=&c", headers, b'{"a": 1}', cookie)
    (received,) = api.received
    assert (received.method, received.body) == ("PUT", b'{"a": 1}')
    assert received.target == f"{FLOWS}/10%2001%40x?a=1%202&b=%C3%A9&b=&c="
    assert {name: received.headers[name] for name in ("x-portal-id", "content-type", "accept-encoding")} == {
        "x-portal-id": "p1",
        "content-type": "application/json",
        "accept-encoding": "gzip",
    }


def test_secrets_and_other_headers_of_the_browser_are_not_forwarded(server: ConsoleServer, api: Upstream) -> None:
    cookie = signed_in(server)
    more = {"Authorization": "Bearer x", "X-Forwarded-For": "1.2.3.4", "Referer": "x", "X-Amz-Security-Token": "y"}
    send(server, "GET", FLOWS, more | {"Origin": f"http://127.0.0.1:{server.port}"}, cookie=cookie)
    names = set(api.received[0].headers)
    assert not names & {"cookie", "authorization", "origin", "referer", "x-forwarded-for", "x-amz-security-token"}
    assert not [name for name in names if name.startswith("sec-fetch")]
    assert api.received[0].headers["host"] == urlsplit(api.url).netloc


def test_headers_that_an_operation_declares_are_forwarded(server: ConsoleServer, api: Upstream) -> None:
    headers = {**JSON, "Idempotency-Key": "k-1"}
    cookie = signed_in(server)
    send(server, "POST", "/enrollment/v1/flows/1/enrollments", headers, b"{}", cookie)
    send(server, "POST", FLOWS, headers, b"{}", cookie)
    assert [received.headers.get("idempotency-key") for received in api.received] == ["k-1", None]


def test_header_with_control_characters_is_refused(server: ConsoleServer, api: Upstream) -> None:
    cookie = signed_in(server)
    with socket.create_connection(("127.0.0.1", server.port), timeout=15) as connection:
        head = f"GET {FLOWS} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nCookie: {cookie}\r\nX-Portal-Id: a\nX-Evil: b"
        connection.sendall(head.encode() + b"\r\nConnection: close\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 400 ")
    assert api.received == []


def test_large_body_is_not_forwarded(server: ConsoleServer, api: Upstream) -> None:
    cookie = signed_in(server)
    answer = send(server, "POST", FLOWS, JSON, b"x" * (console_server.LONGEST_BODY + 1), cookie)
    assert (answer.status, answer.category, api.received) == (413, "TOO_LARGE", [])


def test_connection_without_a_complete_request_is_closed(site: ConsoleSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console_server, "REQUEST_SECONDS", 0.2)
    with (
        started(ConsoleServer(site, Api("http://127.0.0.1:1", ""))) as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection,
    ):
        connection.sendall(b"GET /console/ HTTP/1.1\r\n")
        assert connection.recv(100) == b""


# Reading only ---------------------------------------------------------------------------------------------------------


def test_read_only_forwards_exactly_what_the_scope_to_read_allows(site: ConsoleSite, api: Upstream) -> None:
    with started(ConsoleServer(site, Api(api.url, ""), is_read_only=True)) as server:
        cookie = signed_in(server)
        for endpoint in ENDPOINTS:
            if endpoint.path == "/docs":
                continue
            api.received.clear()
            path = endpoint.path.replace("{", "x-").replace("}", "")
            answer = send(server, endpoint.method, path, JSON, b"{}", cookie)
            expected = (200, 1) if is_reading(endpoint) else (403, 0)
            assert (answer.status, len(api.received)) == expected, endpoint.name


def test_what_only_reads_is_each_get_and_some_posts() -> None:
    reading = {(endpoint.method, endpoint.path) for endpoint in ENDPOINTS if is_reading(endpoint)}
    assert {path for method, path in reading if method == "GET"} == {e.path for e in ENDPOINTS if e.method == "GET"}
    assert {method for method, _ in reading} == {"GET", "POST"}
    assert ("POST", "/enrollment/v1/preview") in reading
    assert ("POST", "/enrollment/v1/replays") not in reading


# Credentials ----------------------------------------------------------------------------------------------------------

REGION_URL = "https://abc123.execute-api.eu-west-1.amazonaws.com"


@pytest.fixture
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "ENROLL_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "session")


@dataclass
class Raw:
    body: bytes

    def read1(self, size: int) -> bytes:
        part, self.body = self.body[:size], self.body[size:]
        return part


@dataclass
class RemoteApi:
    """API Gateway: what the server sends to it, and its answer."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})
    body: bytes = b"{}"
    sent: list[Any] = field(default_factory=list)

    def send(self, request: Any) -> Any:
        self.sent.append(request)
        status, headers, raw = self.status, self.headers, Raw(self.body)
        return type("Response", (), {"status_code": status, "headers": headers, "raw": raw})

    def close(self) -> None:
        pass


@pytest.fixture
def remote(monkeypatch: pytest.MonkeyPatch) -> RemoteApi:
    found = RemoteApi()
    monkeypatch.setattr(Api, "http_session", lambda _: found)
    return found


@pytest.mark.usefixtures("_credentials")
def test_request_is_signed_as_botocore_signs_it(site: ConsoleSite, remote: RemoteApi) -> None:
    with started(ConsoleServer(site, Api(REGION_URL, ""))) as server:
        target = "/crm/v3/objects/contact/ada%40example.com?idProperty=email&properties=a%20b"
        assert send(server, "GET", target, {"X-Portal-Id": "p1"}, cookie=signed_in(server)).status == 200
    (request,) = remote.sent
    assert request.url == f"{REGION_URL}{target}"
    headers = {name: text.decode() if isinstance(text, bytes) else text for name, text in request.headers.items()}
    assert headers["X-Amz-Security-Token"] == "session"
    scope = f"{headers['X-Amz-Date'][:8]}/eu-west-1/execute-api/aws4_request"
    assert f"Credential=AKIDEXAMPLE/{scope}" in headers["Authorization"]
    # Sign what was sent at the same time once more: the signature covers the URL and the portal.
    again = AWSRequest("GET", request.url, headers={name: headers[name] for name in ("x-portal-id",)})
    again.headers["X-Amz-Security-Token"] = "session"
    signer = SigV4Auth(Credentials("AKIDEXAMPLE", "secret", "session"), "execute-api", "eu-west-1")
    again.context["timestamp"] = headers["X-Amz-Date"]
    again.headers["X-Amz-Date"] = headers["X-Amz-Date"]
    to_sign = signer.string_to_sign(again, signer.canonical_request(again))
    signature = signer.signature(to_sign, again)
    assert f"Signature={signature}" in headers["Authorization"]
    assert "SignedHeaders=host;x-amz-date;x-amz-security-token;x-portal-id" in headers["Authorization"]


def test_token_is_sent_instead_of_a_signature(site: ConsoleSite, remote: RemoteApi) -> None:
    with started(ConsoleServer(site, Api(REGION_URL, "", "a-token"))) as server:
        cookie = signed_in(server)
        assert send(server, "GET", FLOWS, {"Authorization": "Bearer other"}, cookie=cookie).status == 200
        remote.status = 401
        answer = send(server, "GET", FLOWS, cookie=cookie)
    assert remote.sent[0].headers["Authorization"] in ("Bearer a-token", b"Bearer a-token")
    assert (answer.status, answer.category) == (401, "EXPIRED_CREDENTIALS")
    assert "ENROLL_API_TOKEN" in json.loads(answer.body)["message"]


def test_local_run_gets_neither(server: ConsoleServer, api: Upstream) -> None:
    send(server, "GET", FLOWS, cookie=signed_in(server))
    assert "authorization" not in api.received[0].headers


@pytest.mark.usefixtures("_credentials")
@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"x-amzn-ErrorType": "ExpiredTokenException"}, "Forbidden"),
        ({}, "The security token included in the request is expired"),
        ({}, "Signature expired: 20261128T140000Z is now earlier than 20261128T141000Z"),
    ],
)
def test_credentials_that_api_gateway_calls_expired_give_401(
    site: ConsoleSite, remote: RemoteApi, headers: dict[str, str], message: str
) -> None:
    remote.status, remote.headers = 403, {"Content-Type": "application/json", **headers}
    remote.body = json.dumps({"message": message}).encode()
    with started(ConsoleServer(site, Api(REGION_URL, ""))) as server:
        answer = send(server, "GET", FLOWS, cookie=signed_in(server))
    assert (answer.status, answer.category) == (401, "EXPIRED_CREDENTIALS")
    assert json.loads(answer.body)["message"] == (
        "Your AWS credentials have expired: run `aws sso login`, then continue."
    )


@pytest.mark.usefixtures("_credentials")
def test_refusal_of_a_policy_stays_403(site: ConsoleSite, remote: RemoteApi) -> None:
    remote.status, remote.body = 403, b'{"message": "Forbidden"}'
    with started(ConsoleServer(site, Api(REGION_URL, ""))) as server:
        answer = send(server, "GET", FLOWS, cookie=signed_in(server))
    assert (answer.status, answer.body) == (403, remote.body)


@pytest.mark.usefixtures("_credentials")
def test_page_continues_after_the_credentials_were_renewed(
    site: ConsoleSite, remote: RemoteApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_signed_out = [True]
    get_credentials = botocore.session.Session.get_credentials

    def credentials(session: Any, *arguments: Any) -> Any:
        if is_signed_out[0]:
            raise UnauthorizedSSOTokenError
        return get_credentials(session, *arguments)

    monkeypatch.setattr(botocore.session.Session, "get_credentials", credentials)
    with started(ConsoleServer(site, Api(REGION_URL, ""))) as server:
        cookie = signed_in(server)
        assert send(server, "GET", FLOWS, cookie=cookie).status == 401
        is_signed_out[0] = False
        assert send(server, "GET", FLOWS, cookie=cookie).status == 200
    assert len(remote.sent) == 1


# Hostile and broken answers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [101, 199, 301, 302, 304, 307, 299, 599, 999])
def test_redirect_or_strange_status_is_not_passed_on(server: ConsoleServer, api: Upstream, status: int) -> None:
    api.status = status
    api.headers += [("Location", "https://evil.example/")]
    answer = send(server, "GET", FLOWS, cookie=signed_in(server))
    assert (answer.status, answer.category) == (502, "BAD_ANSWER")
    assert "location" not in answer.headers


@pytest.mark.parametrize("content_type", ["text/html", "application/javascript", "image/svg+xml", ""])
def test_answer_that_is_not_json_is_not_passed_on(server: ConsoleServer, api: Upstream, content_type: str) -> None:
    api.headers, api.body = [("Content-Type", content_type)], b"<script>alert(1)</script>"
    answer = send(server, "GET", FLOWS, cookie=signed_in(server))
    assert (answer.status, answer.category) == (502, "BAD_ANSWER")
    assert b"alert" not in answer.body


def test_headers_of_an_answer_are_not_passed_on(server: ConsoleServer, api: Upstream) -> None:
    api.headers = [
        ("Content-Type", "application/json; charset=utf-7"),
        ("Set-Cookie", "a=b"),
        ("Access-Control-Allow-Origin", "*"),
        ("Content-Security-Policy", "default-src *"),
        ("Clear-Site-Data", '"*"'),
        ("Service-Worker-Allowed", "/"),
        ("Retry-After", "7"),
        ("Content-Encoding", "br"),
    ]
    answer = send(server, "GET", FLOWS, cookie=signed_in(server))
    assert set(answer.headers) == {
        "content-type", "content-length", "cache-control", "retry-after",
        *(name.lower() for name in SECURITY_HEADERS),
    }  # fmt: skip
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-security-policy"] == SECURITY_HEADERS["Content-Security-Policy"]


def test_compressed_answer_stays_compressed(server: ConsoleServer, api: Upstream) -> None:
    api.headers += [("Content-Encoding", "gzip")]
    api.body = gzip.compress(b'{"results": [1]}')
    answer = send(server, "GET", FLOWS, cookie=signed_in(server))
    assert answer.headers["content-encoding"] == "gzip"
    assert gzip.decompress(answer.body) == b'{"results": [1]}'


def test_errors_of_the_api_are_passed_on(server: ConsoleServer, api: Upstream) -> None:
    api.status, api.body = 409, b'{"category": "CONFLICT", "correlationId": "c"}'
    answer = send(server, "GET", FLOWS, cookie=signed_in(server))
    assert (answer.status, answer.body) == (409, api.body)


def test_answer_without_end_is_cut_off(server: ConsoleServer, api: Upstream) -> None:
    api.body = b" " * (console_server.LONGEST_ANSWER + 1)
    answer = send(server, "GET", FLOWS, cookie=signed_in(server))
    assert (answer.status, answer.category) == (502, "BAD_ANSWER")


def test_api_that_does_not_answer_gives_502_and_504(site: ConsoleSite, monkeypatch: pytest.MonkeyPatch) -> None:
    with started(ConsoleServer(site, Api("http://127.0.0.1:1", ""))) as server:
        assert send(server, "GET", FLOWS, cookie=signed_in(server)).status == 502
    monkeypatch.setattr(console_server, "ANSWER_SECONDS", 0.2)
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        started(ConsoleServer(site, Api(f"http://127.0.0.1:{silent.getsockname()[1]}", ""))) as server,
    ):
        answer = send(server, "GET", FLOWS, cookie=signed_in(server))
    assert (answer.status, answer.category) == (504, "NOT_REACHED")


# The command ----------------------------------------------------------------------------------------------------------

PROGRAM = """
import sys
from pathlib import Path
from enroll.commands import console
from enroll.local.console_site import ConsoleSite
folder = Path(sys.argv.pop(1))
console._site = lambda: ConsoleSite(folder, Path("none"))
from enroll.main import app
app()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_command_serves_the_example_portal_until_it_is_interrupted(
    site: ConsoleSite, portal: PortalApi, number: signal.Signals
) -> None:
    with served(portal) as url:
        options = ["--api", url, "--port", "0", "--no-browser", "--read-only", "--portal", "p1"]
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(site.folder), "console", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "COLUMNS": "80"},
        )
        try:
            assert process.stdout is not None
            lines: list[str] = []
            while not lines or "#token=" not in lines[-1]:
                lines.append(process.stdout.readline())
                assert lines[-1], process.communicate(timeout=10)
            address = urlsplit(lines[-1].strip())
            server = ConsoleServer(site, Api(url, ""), token=address.fragment.partition("=")[2])
            server.port = address.port or 0
            cookie = signed_in(server)
            flows = json.loads(send(server, "GET", FLOWS, {"X-Portal-Id": "p1"}, cookie=cookie).body)
            assert flows["results"]
            assert send(server, "POST", FLOWS, JSON, b"{}", cookie).category == "READ_ONLY"
            hosting = json.loads(send(server, "GET", "/console/console.json", cookie=cookie).body)
            assert hosting == {"portalId": "p1", "isPortalChosen": True, "isReadOnly": True}
        finally:
            started_stopping = time.monotonic()
            process.send_signal(number)
            _, stderr = process.communicate(timeout=10)
    assert process.returncode == 0, stderr
    assert stderr == "Stopped.\n"
    assert time.monotonic() - started_stopping < 5


def test_port_in_use_gives_a_plain_error(site: ConsoleSite, api: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console_commands, "_site", lambda: site)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        stderr = run("console", "--api", api.url, "--port", port, "--no-browser", code=2).stderr
    assert f"127.0.0.1:{port}" in stderr
    assert "Choose another port with --port" in stderr


def test_missing_credentials_end_the_command_before_it_listens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "ENROLL_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    assert "AWS_PROFILE" in run("console", "--api", REGION_URL, "--no-browser", code=3).stderr


def test_installed_package_without_the_page_says_how_to_get_it(
    api: Upstream, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("enroll.local.console_build.ConsoleBuild.has_sources", False)
    stderr = run("console", "--api", api.url, "--no-browser", code=1).stderr
    assert "Run the command in a checkout" in stderr
