"""The client of the HTTP API: to which hosts it sends requests and tokens."""

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from enroll.api import Api, ApiError, is_private
from tests.support.command_line import run
from tests.support.portal import example_portal
from tests.support.serving import served

TOKEN = "a-token-of-a-test"


class Host:
    """A host that answers every request with one status and one Location, and keeps the requests' headers."""

    def __init__(self, status: int, location: str | None) -> None:
        self.status = status
        self.location = location
        self.requests: list[dict[str, str]] = []
        self.url = ""


@contextmanager
def host(status: int, location: str | None = None) -> Iterator[Host]:
    found = Host(status, location)

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self) -> None:
            found.requests.append({name.lower(): value for name, value in self.headers.items()})
            self.send_response(found.status)
            if found.location is not None:
                self.send_header("Location", found.location)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        do_GET = do_POST = do_DELETE = answer

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        found.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://api.example.com", True),
        ("HTTPS://10.0.0.1", True),
        ("http://localhost:4568", True),
        ("http://LocalHost", True),
        ("http://127.0.0.1:4568", True),
        ("http://127.255.0.7", True),
        ("http://[::1]:4568", True),
        ("http://api.example.com", False),
        ("http://10.0.0.1:4568", False),
        ("http://0.0.0.0:4568", False),
        ("http://[fe80::1]", False),
        ("http://localhost.example.com", False),
        ("http://127.0.0.1.example.com", False),
        ("http://host.docker.internal:4568", False),
    ],
)
def test_only_https_or_this_machine_is_private(url: str, expected: bool) -> None:
    assert is_private(url) is expected


@pytest.mark.parametrize("token", [TOKEN, None], ids=["token", "signed"])
def test_a_command_sends_nothing_over_http_to_another_host(monkeypatch: pytest.MonkeyPatch, token: str | None) -> None:
    sent: list[str] = []
    monkeypatch.setattr(Api, "call", lambda *arguments, **_: sent.append(arguments[0].url))
    monkeypatch.setenv("ENROLL_PORTAL", "p1")
    if token is not None:
        monkeypatch.setenv("ENROLL_API_TOKEN", token)

    result = run("portal", "show", "--api", "http://api.example.com", code=2)

    assert "expected an https:// URL" in result.stderr
    assert TOKEN not in result.output
    assert sent == []


@pytest.mark.parametrize("url", ["http://evil.example\\@localhost", "http://user:word@localhost", "ftp://localhost"])
def test_a_url_that_parsers_read_differently_is_refused(url: str) -> None:
    assert "--api" in run("portal", "show", "--portal", "p1", "--api", url, code=2).stderr


def test_a_command_sends_the_token_to_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENROLL_API_TOKEN", TOKEN)
    with host(200) as api:
        run("flows", "delete", "1", "--yes", "--portal", "p1", "--api", api.url)
    assert [request["authorization"] for request in api.requests] == [f"Bearer {TOKEN}"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    with host(200) as other, host(status, f"{other.url}/flows") as api:
        for method, body in (("GET", None), ("POST", {})):
            with pytest.raises(ApiError, match="redirects are not followed"):
                Api(api.url, "p1", TOKEN).call(method, "/flows", body)
    assert len(api.requests) == 2
    assert other.requests == []


def test_the_error_of_a_redirect_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENROLL_API_TOKEN", TOKEN)
    with served(example_portal()) as url, host(307, url) as api:
        stderr = run("flows", "list", "--portal", "p1", "--api", api.url, code=1).stderr
    assert "--api" in stderr
    assert TOKEN not in stderr
