"""Which requests the local run answers, on each of its ports, by the headers that a browser sends."""

from __future__ import annotations

import asyncio
import io
import json
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from typer.testing import CliRunner

from enroll.local.emulator import Emulator
from enroll.local.guard import AsgiMessage, AsgiScope, Receive, Send, guarded, joined, refusal
from enroll.local.lambda_service import LambdaService
from enroll.local.sandbox import FunctionConfiguration
from enroll.local.settings import Settings
from enroll.main import app
from tests.support.browser import foreign_requests, own_requests, send
from tests.support.emulated import free_port


def lowered(headers: dict[str, str]) -> dict[str, str]:
    return joined(headers.items())


@pytest.mark.parametrize("name", foreign_requests(4566))
def test_requests_of_other_pages_are_refused(name: str) -> None:
    assert refusal(lowered(foreign_requests(4566)[name][1]))


@pytest.mark.parametrize("name", own_requests(4566))
def test_requests_of_programs_and_of_own_pages_are_answered(name: str) -> None:
    assert refusal(lowered(own_requests(4566)[name][1])) is None


def test_another_host_is_answered_only_if_it_is_allowed() -> None:
    headers = {"host": "Host.docker.internal:4566"}
    assert "--allow-host" in str(refusal(headers))
    assert refusal(headers, {"host.docker.internal"}) is None
    # It allows a name, and no page.
    assert refusal({**headers, "origin": "https://evil.example"}, {"host.docker.internal"})
    assert refusal({"host": "evil.example"}, {"host.docker.internal"})


@pytest.mark.parametrize(
    "pairs",
    [
        [("Host", "127.0.0.1"), ("Host", "evil.example")],
        [("Host", "127.0.0.1"), ("Origin", "http://127.0.0.1"), ("origin", "https://evil.example")],
        [("Host", "127.0.0.1"), ("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "cross-site")],
    ],
)
def test_repeated_header_does_not_hide_the_foreign_value(pairs: list[tuple[str, str]]) -> None:
    assert refusal(joined(pairs))


@pytest.mark.parametrize("host", ["127.0.0.1:80:80", "127.0.0.1@evil.example", "[::1", "::1:4566", "localhost:x", "."])
def test_a_malformed_host_is_refused(host: str) -> None:
    assert refusal({"host": host})


def test_a_foreign_page_opens_no_websocket() -> None:
    sent: list[AsgiMessage] = []

    async def accept(scope: AsgiScope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})

    async def receive() -> AsgiMessage:
        return {"type": "websocket.connect"}

    async def take(message: AsgiMessage) -> None:
        sent.append(message)

    def opened_by(origin: bytes) -> list[str]:
        sent.clear()
        scope = {"type": "websocket", "headers": [(b"host", b"localhost:4566"), (b"origin", origin)]}
        asyncio.run(guarded(accept)(scope, receive, take))
        return [message["type"] for message in sent]

    assert opened_by(b"https://evil.example") == ["websocket.close"]
    assert opened_by(b"http://localhost:4566") == ["websocket.accept"]


# The ports -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def emulator() -> Iterator[Settings]:
    settings = Settings(port=free_port(), allowed_hosts=("host.docker.internal",))
    with Emulator(settings):
        yield settings


@pytest.fixture
def service(tmp_path: Path) -> Iterator[LambdaService]:
    code = tmp_path / "api"
    code.mkdir()
    (code / "app.py").write_text(
        "from pathlib import Path\n"
        "def handler(event, context):\n"
        "    Path('ran').write_text('yes')\n"
        "    return {'statusCode': 200, 'body': 'it ran'}\n"
    )
    function = FunctionConfiguration(name="enroll-Api", arn="arn:x", handler="app.handler", code=code, timeout=10)
    with LambdaService(
        log_folder=tmp_path / "logs", port=0, api_port=0, allowed_hosts=("host.docker.internal",)
    ) as running:
        running.deploy({"api": function})
        yield running


def ports(service: LambdaService) -> dict[str, tuple[int, str]]:
    assert service.api_port is not None
    return {
        "Lambda": (service.port, "/2015-03-31/functions/api/invocations"),
        "HTTP API": (service.api_port, "/openapi.json"),
    }


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_root_of_the_api_leads_to_its_page_with_the_portal_of_the_demonstration(
    service: LambdaService, path: str
) -> None:
    assert service.api_port is not None
    headers = {"Host": f"127.0.0.1:{service.api_port}"}
    answer = send(service.api_port, "GET", path, headers)
    assert (answer.status, answer.headers["location"]) == (302, "/docs?portal=demo")
    assert send(service.api_port, "GET", answer.headers["location"], headers).status == 200


def test_no_foreign_page_reaches_a_function(service: LambdaService, tmp_path: Path) -> None:
    """With the body that wrote flows: a forged authorizer in a simple request."""
    forged = {"requestContext": {"http": {"method": "POST"}, "authorizer": {"iam": {"userArn": "arn:forged"}}}}
    body = json.dumps(forged).encode()
    for port, path in ports(service).values():
        for name, (method, headers) in foreign_requests(port).items():
            answer = send(port, method, path, headers, body)
            assert answer.status == 403, (port, name)
            assert not [header for header in answer.headers if header.startswith("access-control-")], name
    # The endpoint that the bus calls, and the Runtime API, which the same server serves.
    for method, headers in foreign_requests(service.port).values():
        assert send(service.port, method, "/events", headers, body).status == 403
    assert service.unfinished == 0
    assert not (tmp_path / "api" / "ran").exists()


def test_programs_and_own_pages_reach_the_functions(service: LambdaService, tmp_path: Path) -> None:
    port, path = ports(service)["HTTP API"]
    for method, headers in own_requests(port).values():
        assert send(port, method, path, headers).body == b"it ran"
    port, path = ports(service)["Lambda"]
    assert json.loads(send(port, "POST", path, {"Host": f"localhost:{port}"}).body)["body"] == "it ran"
    assert send(port, "POST", path, {"Host": "host.docker.internal:4567"}).status == 200


@pytest.mark.parametrize("name", foreign_requests(4566))
def test_no_foreign_page_reaches_the_embedded_aws(emulator: Settings, name: str) -> None:
    method, headers = foreign_requests(emulator.port)[name]
    for path in ("/", "/2015-03-31/functions", "/_ministack/reset", "/_ministack/config"):
        answer = send(emulator.port, method, path, headers, b'{"FunctionName": "evil"}')
        assert answer.status == 403
        assert not [header for header in answer.headers if header.startswith("access-control-")]


def test_two_simple_requests_create_no_function(emulator: Settings) -> None:
    host = f"127.0.0.1:{emulator.port}"
    simple = {"Host": host, "Origin": "https://evil.example", "Content-Type": "text/plain"}
    created = {"FunctionName": "evil", "Runtime": "python3.12", "Role": "arn:aws:iam::000000000000:role/x"}
    answer = send(emulator.port, "POST", "/2015-03-31/functions", simple, json.dumps(created).encode())
    assert answer.status == 403
    assert [function["FunctionName"] for function in client(emulator, "lambda").list_functions()["Functions"]] == []


def test_programs_reach_the_embedded_aws(emulator: Settings) -> None:
    for method, headers in own_requests(emulator.port).values():
        if method == "GET":
            assert send(emulator.port, method, "/_ministack/ready", headers).status == 200
    for host in ("127.0.0.1", "localhost"):
        assert client(emulator, "sqs", host).list_queues()["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert send(emulator.port, "GET", "/_ministack/ready", {"Host": "host.docker.internal:4566"}).status == 200


# The embedded AWS runs no code ---------------------------------------------------------------------------------------


def client(settings: Settings, service: str, host: str = "127.0.0.1") -> Any:
    session: Any = boto3.session.Session("test", "test", region_name="eu-west-1")
    return session.client(service, endpoint_url=f"http://{host}:{settings.port}")


def zipped(files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o755 << 16
            archive.writestr(entry, text)
    return buffer.getvalue()


@pytest.mark.parametrize("runtime", ["python3.12", "nodejs22.x", "provided.al2023", "java21"])
@pytest.mark.parametrize("executor", ["local", "docker"])
def test_the_embedded_aws_runs_no_function(emulator: Settings, tmp_path: Path, runtime: str, executor: str) -> None:
    trace = tmp_path / "ran"
    code = zipped(
        {
            "app.py": f"open({str(trace)!r}, 'w').close()\ndef handler(event, context): return 'ran'\n",
            "app.js": f"require('fs').writeFileSync({str(trace)!r}, ''); exports.handler = async () => 'ran';\n",
            "bootstrap": f"#!/bin/sh\ntouch {trace}\n",
        }
    )
    headers = {"Host": f"127.0.0.1:{emulator.port}", "Content-Type": "application/json"}
    configuration = json.dumps({"lambda_svc.LAMBDA_EXECUTOR": executor}).encode()
    assert send(emulator.port, "POST", "/_ministack/config", headers, configuration).status == 200
    functions = client(emulator, "lambda")
    name = f"{executor}-{runtime.replace('.', '-')}"
    functions.create_function(
        FunctionName=name,
        Runtime=runtime,
        Role="arn:aws:iam::000000000000:role/x",
        Handler="app.handler",
        Code={"ZipFile": code},
    )
    answer = functions.invoke(FunctionName=name)
    functions.delete_function(FunctionName=name)
    assert answer["Payload"].read() != b'"ran"'
    assert not trace.exists()


def test_the_embedded_aws_runs_no_job(emulator: Settings, tmp_path: Path) -> None:
    """Glue runs a script of S3 with Python."""
    trace = tmp_path / "ran"
    storage, glue = client(emulator, "s3"), client(emulator, "glue")
    storage.create_bucket(Bucket="scripts", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    storage.put_object(Bucket="scripts", Key="job.py", Body=f"open({str(trace)!r}, 'w').close()".encode())
    command = {"Name": "pythonshell", "ScriptLocation": "s3://scripts/job.py"}
    glue.create_job(Name="job", Role="arn:aws:iam::000000000000:role/x", Command=command)
    run = glue.start_job_run(JobName="job")["JobRunId"]
    state = ""
    for _ in range(100):
        found = glue.get_job_run(JobName="job", RunId=run)["JobRun"]
        state = found["JobRunState"]
        if state not in ("STARTING", "RUNNING", "WAITING"):
            break
        time.sleep(0.1)
    assert not trace.exists()
    assert state != "RUNNING", state


def test_the_embedded_aws_calls_this_machine_only(emulator: Settings) -> None:
    """A function that another service runs is called by its URL: of a machine elsewhere nothing is known here."""
    functions = client(emulator, "lambda")
    functions.create_function(
        FunctionName="elsewhere",
        Runtime="python3.12",
        Role="arn:aws:iam::000000000000:role/x",
        Handler="app.handler",
        Code={"ZipFile": zipped({"app.py": ""})},
        Environment={"Variables": {"MINISTACK_LAMBDA_PROXY_URL": "http://192.0.2.1/"}},
        Timeout=3,
    )
    answer = functions.invoke(FunctionName="elsewhere")
    functions.delete_function(FunctionName="elsewhere")
    assert answer["FunctionError"]
    assert b"loopback interface only" in answer["Payload"].read()


# The option -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["http://localhost", "localhost:4566", "", "*", "*.example", "a b", "a/b", "[::1]"])
def test_only_a_name_can_be_allowed(name: str) -> None:
    result = CliRunner().invoke(app, ["local", "run", "--allow-host", name], env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert "for example host.docker.internal" in result.output
