"""The states of a stack that keeps no history, or that does not find events by their ID.

Each state is that of a local run with this parameter of the template.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.console.axe import violations
from tests.console.conftest import PATIENCE_MS, Problems, free_ports, started
from tests.console.event_bus import EventBus
from tests.console.portal import Portal

PARAMETERS = ("EventHistoryDays=0", "FindEventsById=false")


@pytest.fixture(scope="module", params=PARAMETERS)
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, str]]:
    """The parameter, and the addresses of the HTTP API and of the event bus."""
    ports = free_ports(3)
    with started(ports, tmp_path_factory.mktemp("local-run"), "--no-demo", "--parameter", request.param) as address:
        yield request.param, address, f"http://127.0.0.1:{ports[0]}"


def test_state_of_the_stack_is_said(page: Page, problems: Problems, stack: tuple[str, str, str]) -> None:
    parameter, address, bus = stack
    portal = Portal(address)
    contact = portal.call("POST", "/crm/v3/objects/contact", {"properties": {"firstname": "Ada"}})["id"]
    if parameter == "EventHistoryDays=0":
        check_without_history(page, address, contact)
    else:
        event_id = EventBus(bus).send("forms.submitted", {"hs_form_id": "f-1"}, objectId=contact)
        wait_for_event(portal, contact)
        check_without_index(page, address, event_id, contact, problems)


def check_without_history(page: Page, address: str, contact: str) -> None:
    page.goto(f"{address}/console/records/contact/{contact}")
    expect(
        page.get_by_text("This stack keeps no history of events. Enrollments and properties are shown.")
    ).to_be_visible()
    expect(page.get_by_role("complementary", name="The record")).to_contain_text("Ada")
    assert violations(page) == []
    page.goto(f"{address}/console/live")
    expect(page.get_by_text("This stack keeps no history of events, so there is nothing to follow.")).to_be_visible()
    assert violations(page) == []
    page.goto(f"{address}/console/why?record=contact/{contact}")
    expect(
        page.get_by_text("This stack keeps no history of events, so no past event can be explained.")
    ).to_be_visible()
    assert violations(page) == []
    page.goto(f"{address}/console/settings")
    expect(page.get_by_text("No history is kept")).to_be_visible()


def wait_for_event(portal: Portal, contact: str) -> None:
    deadline = time.monotonic() + PATIENCE_MS / 1000
    path = f"/enrollment/v1/explain?objectType=contact&objectId={contact}"
    while not any(result["event"]["eventType"] == "forms.submitted" for result in portal.call("GET", path)["results"]):
        assert time.monotonic() < deadline, "The event did not arrive."
        time.sleep(0.5)


def check_without_index(page: Page, address: str, event_id: str, contact: str, problems: Problems) -> None:
    problems.expect("40[04]")
    page.goto(f"{address}/console/events/{event_id}")
    expect(page.get_by_text("This stack does not find events by their ID alone.")).to_be_visible()
    assert violations(page) == []
    page.get_by_label("Type").select_option(label="Form submission")
    page.get_by_label("Day").fill(page.evaluate("new Date().toISOString().slice(0, 10)"))
    page.get_by_role("button", name="Find the event").click()
    expect(page.locator(".station.done").first).to_be_visible()
    expect(page).to_have_url(re.compile(f"record=contact%2F{contact}"))
