"""The address and the environment variables that a function in a container needs to use the local run."""

import socket
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from typer.testing import CliRunner

from enroll.local.relay import Relay, bind_problem
from enroll.local.run import container_environment
from enroll.local.settings import HOST, LocalRunError, Settings
from enroll.main import app
from tests.support.template import DEFAULTS

ANOTHER_ADDRESS = "127.0.0.2"
"""Of this machine's loopback interface, as a container bridge's is another of its interfaces."""


@pytest.fixture
def port() -> Iterator[int]:
    """Of a server on 127.0.0.1 that answers with the Host header and the body that it received."""

    class Echo(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = self.headers["Host"].encode() + b"\n" + body
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer((HOST, 0), Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def post(address: str, port: int, body: bytes) -> bytes:
    with urllib.request.urlopen(f"http://{address}:{port}/", data=body, timeout=10) as answer:
        received: bytes = answer.read()
        return received


def test_the_relay_passes_requests_and_answers_on_unchanged(port: int) -> None:
    body = bytes(range(256)) * 4096
    with Relay(ANOTHER_ADDRESS, port):
        answers = [post(ANOTHER_ADDRESS, port, body) for _ in range(3)]
    assert answers == [f"{ANOTHER_ADDRESS}:{port}\n".encode() + body] * 3


def is_closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def test_the_relay_ends_with_its_connections(port: int) -> None:
    with Relay(ANOTHER_ADDRESS, port):
        kept_open = socket.create_connection((ANOTHER_ADDRESS, port), timeout=10)
        post(ANOTHER_ADDRESS, port, b"x")  # later than kept_open, which is then relayed too
    assert is_closed(kept_open)
    kept_open.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((ANOTHER_ADDRESS, port), timeout=10)


def test_a_connection_is_closed_when_nothing_listens_behind_the_relay() -> None:
    with socket.socket() as free:
        free.bind((HOST, 0))
        unused = free.getsockname()[1]
    with Relay(ANOTHER_ADDRESS, unused), socket.create_connection((ANOTHER_ADDRESS, unused), timeout=10) as connection:
        assert is_closed(connection)


def test_an_address_that_this_machine_does_not_have_is_a_clear_message(port: int) -> None:
    # A documentation address (RFC 5737), which no machine has.
    with pytest.raises(LocalRunError, match=r"on 192\.0\.2\.1 cannot be used.*--bind"), Relay("192.0.2.1", port):
        pass


@pytest.mark.parametrize("address", ["172.17.0.1", "10.1.2.3", "192.168.65.1", "fd00::1", ANOTHER_ADDRESS])
def test_private_addresses_can_be_bound(address: str) -> None:
    assert bind_problem(address) is None


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("0.0.0.0", "all networks"),
        ("::", "all networks"),
        (HOST, "always listens"),
        ("8.8.8.8", "not a private address"),
        ("224.0.0.1", "not a private address"),
        ("docker0", "got 'docker0'"),
        ("", "got ''"),
    ],
)
def test_other_addresses_are_refused_with_an_example(address: str, reason: str) -> None:
    answer = CliRunner().invoke(app, ["local", "run", "--bind", address], env={"COLUMNS": "400"})
    assert answer.exit_code == 2
    assert reason in answer.output
    assert "172.17.0.1" in answer.output


def test_every_variable_for_a_container_is_declared_in_the_template() -> None:
    """`sam local invoke --env-vars` drops every other, without a word."""
    declared = DEFAULTS["Environment"]["Variables"]
    environment = container_environment(Settings(port=5566), dict.fromkeys(declared, "x"))
    assert set(environment) == set(declared)
    assert environment["AWS_ENDPOINT_URL"] == "http://host.docker.internal:5566"
