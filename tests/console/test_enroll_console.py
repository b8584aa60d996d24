"""`enroll console` in a browser: its session, its read-only mode, and expired credentials (check C1, C2)."""

from __future__ import annotations

import http.server
import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from tests.console.axe import violations
from tests.console.conftest import PROJECT, Problems

FLOW = "Looked at prices"


@contextmanager
def console(local_run: str, *options: str) -> Iterator[str]:
    """Start the command in front of the local run. Yields the address to open."""
    command = [str(PROJECT / ".venv" / "bin" / "enroll"), "console", "--api", local_run, "--portal", "demo"]
    environment = {name: text for name, text in os.environ.items() if not name.startswith(("AWS_", "ENROLL_"))}
    process = subprocess.Popen(
        [*command, "--port", "0", "--no-browser", "--json", *options],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        assert process.stdout is not None
        lines: list[str] = []
        while not lines or lines[-1] != "}\n":
            lines.append(process.stdout.readline())
            assert lines[-1], f"The command ended: {lines}"
        yield json.loads("".join(lines))["url"]
    finally:
        process.terminate()
        assert process.wait(timeout=15) == 0


@pytest.fixture(scope="module")
def read_only(local_run: str) -> Iterator[str]:
    with console(local_run, "--read-only") as address:
        yield address


def test_token_leaves_the_address_and_the_session_stays(page: Page, local_run: str) -> None:
    with console(local_run) as address:
        page.goto(address)
        expect(page.get_by_text(FLOW).first).to_be_visible()
        start = address.partition("#")[0]
        assert page.url == f"{start}flows"
        cookies = page.context.cookies(start)
        assert [(cookie["httpOnly"], cookie["sameSite"]) for cookie in cookies] == [(True, "Strict")]
        assert page.evaluate("document.cookie") == ""
        page.reload()
        expect(page.get_by_text(FLOW).first).to_be_visible()
        page.goto(f"{start}settings")
        expect(page.get_by_label("Time zone")).to_be_enabled()
        page.go_back()
        assert "token" not in page.url


def test_browser_without_session_is_told_what_to_open_and_read_only_disables_changes(
    page: Page, problems: Problems, read_only: str
) -> None:
    problems.expect("403")
    page.goto(read_only.partition("#")[0])
    expect(page.get_by_role("heading", name="This page has no session")).to_be_visible()
    assert violations(page) == []
    page.goto(read_only)
    expect(page.get_by_text(FLOW).first).to_be_visible()
    expect(page.get_by_role("switch").first).to_be_disabled()


def test_expired_credentials_are_named_and_continue_reads_again(page: Page, problems: Problems, local_run: str) -> None:
    problems.expect("401")
    message = "Your AWS credentials have expired: run `aws sso login`, then continue."
    is_expired = [True]

    def answer(route: Route) -> None:
        if is_expired[0]:
            content = {"status": "error", "category": "EXPIRED_CREDENTIALS", "message": message}
            route.fulfill(status=401, json=content)
        else:
            route.continue_()

    page.route(re.compile("/(automation|enrollment|crm|events)/"), answer)
    with console(local_run) as address:
        page.goto(address)
        expect(page.get_by_text(message).first).to_be_visible()
        assert violations(page) == []
        is_expired[0] = False
        page.get_by_role("button", name="Continue").first.click()
        expect(page.get_by_text(FLOW).first).to_be_visible()


class EmptyPage(http.server.BaseHTTPRequestHandler):
    """A page without a Content-Security-Policy."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


def test_page_of_another_port_cannot_read_or_send(context: BrowserContext, local_run: str) -> None:
    """It has the same host, so the browser counts it as the same site and sends the cookie."""
    with console(local_run) as address, http.server.ThreadingHTTPServer(("127.0.0.1", 0), EmptyPage) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        own, other = context.new_page(), context.new_page()
        own.goto(address)
        expect(own.get_by_text(FLOW).first).to_be_visible()
        other.goto(f"http://127.0.0.1:{server.server_port}/")
        flows = f"{address.partition('/console/')[0]}/automation/v4/flows"
        read = "(url) => fetch(url, {credentials: 'include'}).then(() => 'read', () => 'refused')"
        assert other.evaluate(read, flows) == "refused"
        send = (
            "(url) => fetch(url, {mode: 'no-cors', credentials: 'include', method: 'POST', body: '{}'}).then(() => 1)"
        )
        with other.expect_response(lambda response: response.url == flows) as response:
            other.evaluate(send, flows)
        assert response.value.status == 403
        server.shutdown()
