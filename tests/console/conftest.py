"""The web console in a browser, against one local run for all tests (make browser).

A test fails if the page violates its Content-Security-Policy, throws an error, or logs one, unless the test expects it.
These tests have an environment of their own (tests/browser-requirements.txt), so they import nothing of the project.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

try:
    from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect, sync_playwright
except ImportError:
    # `make test` runs without Playwright. `make browser` has it.
    collect_ignore_glob = ["test_*"]
else:
    from tests.console.event_bus import EventBus
    from tests.console.portal import Portal

PROJECT = Path(__file__).resolve().parents[2]

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

# Without these, Chromium asks hosts on the internet at each start.
OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

STARTED_WITHIN_SECONDS = 240.0

PATIENCE_MS = float(os.environ.get("ENROLL_BROWSER_PATIENCE_MS", "30000"))
"""Maximum wait for an element. A busy machine needs more."""

DESK = (1280, 800)
PHONE = (390, 844)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--renew-pictures", action="store_true", help="Store the pictures of the documentation anew.")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The pictures come first. Later tests create flows and events, which the pages then show too."""
    items.sort(key=lambda item: item.path.name != "test_pictures.py")


def browser_path(playwright: Playwright) -> str | None:
    """Return the path of a Chromium: the one that ENROLL_BROWSER names, one on the PATH, or Playwright's own."""
    named = os.environ.get("ENROLL_BROWSER")
    found = named or next((path for name in BROWSERS if (path := shutil.which(name))), None)
    own = playwright.chromium.executable_path
    return found or (own if Path(own).exists() else None)


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    path = browser_path(playwright)
    if path is None:
        message = (
            "The tests of the web console were left out, because no Chromium was found. Install Debian's package "
            "chromium, run `.venv-browser/bin/playwright install chromium`, or name one with ENROLL_BROWSER."
        )
        pytest.exit(message, returncode=1 if os.environ.get("ENROLL_BROWSER_REQUIRED") else 0)
    browser = playwright.chromium.launch(executable_path=path, args=list(OPTIONS))
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def ports() -> list[int]:
    """The ports of the local run: of the embedded AWS, of the Lambda service, and of the HTTP API."""
    return free_ports(3)


@pytest.fixture(scope="session")
def local_run(browser: Browser, ports: list[int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a local run with the demonstration. Yields the address of its HTTP API."""
    if address := os.environ.get("ENROLL_CONSOLE_TESTED"):
        yield address
        return
    with started(ports, tmp_path_factory.mktemp("local-run")) as address:
        yield address


@contextmanager
def started(ports: list[int], folder: Path, *options: str) -> Iterator[str]:
    """Start a local run, with its output in a file of the folder. Yields the address of its HTTP API."""
    assert (PROJECT / "build" / "console" / "site" / "index.html").exists(), "The console is not built: make browser"
    port, lambda_port, api_port = ports
    log = folder / "output.txt"
    ports_of_run = ["--port", str(port), "--lambda-port", str(lambda_port), "--api-port", str(api_port)]
    with log.open("w") as output:
        process = subprocess.Popen(
            [str(PROJECT / ".venv" / "bin" / "enroll"), "local", "run", *ports_of_run, *options],
            cwd=PROJECT,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "COLUMNS": "200"},
        )
    try:
        deadline = time.monotonic() + STARTED_WITHIN_SECONDS
        while "Ctrl-C stops it" not in log.read_text():
            assert process.poll() is None, f"The local run ended: {log.read_text()}"
            assert time.monotonic() < deadline, f"The local run did not start: {log.read_text()}"
            time.sleep(0.5)
        yield f"http://127.0.0.1:{api_port}"
    finally:
        process.terminate()
        process.wait(timeout=60)


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in sockets]
    for server in sockets:
        server.close()
    return ports


@pytest.fixture(scope="session")
def portal(local_run: str) -> Portal:
    return Portal(local_run)


@pytest.fixture(scope="session")
def event_bus(local_run: str, ports: list[int]) -> EventBus:
    """The event bus of the local run. ENROLL_BUS_TESTED: the address of its AWS, with ENROLL_CONSOLE_TESTED."""
    return EventBus(os.environ.get("ENROLL_BUS_TESTED") or f"http://127.0.0.1:{ports[0]}")


@dataclass
class Problems:
    """What the browser reported about the page. `expected`: patterns of reports that a test causes on purpose."""

    found: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)

    def expect(self, pattern: str) -> None:
        self.expected.append(pattern)

    @property
    def unexpected(self) -> list[str]:
        return [text for text in self.found if not any(re.search(pattern, text) for pattern in self.expected)]


@pytest.fixture
def problems() -> Problems:
    return Problems()


@pytest.fixture
def context(browser: Browser, local_run: str) -> Iterator[BrowserContext]:
    width, height = DESK
    context = browser.new_context(
        base_url=local_run, viewport={"width": width, "height": height}, color_scheme="light", reduced_motion="reduce"
    )
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    context.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext, problems: Problems) -> Iterator[Page]:
    """A page of the console. The test fails at its end if the browser reported a problem."""
    page = context.new_page()
    page.on("console", lambda message: problems.found.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.found.append(f"{error.name}: {error.message}"))
    yield page
    assert problems.unexpected == []
