"""Headers by which a browser declares the origin of a request, and requests with a chosen Host header."""

import http.client
from typing import NamedTuple


class Answer(NamedTuple):
    status: int
    body: bytes
    headers: dict[str, str]


def foreign_requests(port: int) -> dict[str, tuple[str, dict[str, str]]]:
    """Return, by name, the method and the headers that a browser sends for a page of another origin."""
    host, evil = f"127.0.0.1:{port}", "https://evil.example"
    fetched = {"Host": host, "Origin": evil, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    preflight = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-amz-target"}
    return {
        "a simple request": ("POST", {**fetched, "Content-Type": "text/plain;charset=UTF-8"}),
        "a form": (
            "POST",
            {**fetched, "Sec-Fetch-Mode": "navigate", "Content-Type": "application/x-www-form-urlencoded"},
        ),
        "a preflight": ("OPTIONS", {**fetched, "Sec-Fetch-Mode": "cors", **preflight}),
        "a preflight for a private network": (
            "OPTIONS",
            {**fetched, "Sec-Fetch-Mode": "cors", **preflight, "Access-Control-Request-Private-Network": "true"},
        ),
        "a sandboxed frame or a file": ("POST", {**fetched, "Origin": "null"}),
        "a browser without Sec-Fetch-Site": ("POST", {"Host": host, "Origin": evil}),
        "an image or a script, which have no Origin": (
            "GET",
            {"Host": host, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
        ),
        "a link": (
            "GET",
            {"Host": host, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-User": "?1"},
        ),
        "another port of this machine": (
            "POST",
            {"Host": host, "Origin": f"http://127.0.0.1:{port + 1}", "Sec-Fetch-Site": "same-site"},
        ),
        "another name of this machine": (
            "POST",
            {"Host": host, "Origin": f"http://localhost:{port}", "Sec-Fetch-Site": "cross-site"},
        ),
        "DNS rebinding": (
            "POST",
            {
                "Host": f"evil.example:{port}",
                "Origin": f"http://evil.example:{port}",
                "Sec-Fetch-Site": "same-origin",
            },
        ),
        "DNS rebinding, read": ("GET", {"Host": f"evil.example:{port}", "Sec-Fetch-Site": "same-origin"}),
        "a name that begins as one of this machine": ("GET", {"Host": f"127.0.0.1.evil.example:{port}"}),
        "a name that ends as one of this machine": ("GET", {"Host": f"evil.localhost:{port}"}),
        "no host": ("GET", {"Host": ""}),
    }


def own_requests(port: int) -> dict[str, tuple[str, dict[str, str]]]:
    """Return requests like ``foreign_requests``, but of programs, of the user, and of a page of the server itself."""
    host = f"127.0.0.1:{port}"
    page = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}
    return {
        "curl": ("GET", {"Host": host, "User-Agent": "curl/8.5.0", "Accept": "*/*"}),
        "curl by name": ("GET", {"Host": f"localhost:{port}"}),
        "curl by name, in capitals": ("GET", {"Host": f"LocalHost:{port}"}),
        "curl by IPv6": ("GET", {"Host": f"[::1]:{port}"}),
        "a host without a port": ("GET", {"Host": "localhost"}),
        "an address that was typed": ("GET", {"Host": host, "Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}),
        "a page of the server's own, reading": ("GET", {"Host": host, "Sec-Fetch-Site": "same-origin"}),
        "a page of the server's own, writing": ("POST", page),
        "a page under localhost": (
            "POST",
            {"Host": f"localhost:{port}", "Origin": f"http://localhost:{port}", "Sec-Fetch-Site": "same-origin"},
        ),
    }


def send(port: int, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        return Answer(answer.status, answer.read(), {name.lower(): value for name, value in answer.getheaders()})
    finally:
        connection.close()
