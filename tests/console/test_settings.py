"""The screens Settings and Catalog (checks S of the console's specification)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Route, expect

from tests.console.axe import violations
from tests.console.conftest import Problems
from tests.console.portal import Portal


@pytest.fixture(autouse=True)
def settings_as_before(portal: Portal) -> Iterator[None]:
    before = portal.call("GET", "/enrollment/v1/portal")
    yield
    portal.call("PATCH", "/enrollment/v1/portal", {key: before[key] for key in ("timeZone", "criteriaTolerance")})


def test_time_zone_is_saved_and_times_change_everywhere(page: Page, portal: Portal) -> None:
    flow = portal.flow("1016")
    # A fixed time of the flow, so that the time is not relative to now.
    document = {**flow, "createdAt": "2026-01-15T12:00:00.000Z", "updatedAt": "2026-07-15T12:00:00.000Z"}
    page.route("**/automation/v4/flows/1016", lambda route: route.fulfill(json=document))
    page.goto("/console/flows/1016")
    expect(page.locator("time").nth(1)).to_contain_text("12:00")
    page.goto("/console/settings")
    page.get_by_label("Time zone").fill("Europe/Dublin")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("The settings of the portal were saved.")).to_be_visible()
    assert portal.call("GET", "/enrollment/v1/portal")["timeZone"] == "Europe/Dublin"
    page.goto("/console/flows/1016")
    expect(page.locator("time").nth(1)).to_contain_text("13:00")


def test_unknown_time_zone_is_a_fault_at_its_field(page: Page, problems: Problems) -> None:
    problems.expect("400")
    page.goto("/console/settings")
    page.get_by_label("Time zone").fill("Mars/Base")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_label("Time zone")).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("Time zone")).to_have_accessible_description(re.compile("expected a time zone"))
    assert violations(page) == []


def test_tolerance_is_saved(page: Page, portal: Portal) -> None:
    page.goto("/console/settings")
    page.get_by_label("Wait for late data").fill("2.5")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("The settings of the portal were saved.")).to_be_visible()
    assert portal.call("GET", "/enrollment/v1/portal")["criteriaTolerance"] == 2.5


def test_token_that_only_reads_cannot_change_the_portal(page: Page) -> None:
    def read_only(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json={**answer.json(), "scopes": ["enroll/read"]})

    page.route("**/enrollment/v1/portal", read_only)
    page.goto("/console/settings")
    expect(page.get_by_label("Time zone")).to_be_disabled()
    expect(page.get_by_label("Wait for late data")).to_be_disabled()
    expect(page.get_by_text("Your token lacks the scope enroll/flows.write.")).to_be_visible()


def test_theme_is_kept(page: Page) -> None:
    page.goto("/console/settings")
    page.get_by_role("button", name="Dark").click()
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(14, 16, 20)"


def test_single_letters_can_be_turned_off(page: Page) -> None:
    page.goto("/console/settings")
    page.get_by_role("switch", name="Keys of a single letter").click()
    page.keyboard.press("Escape")
    page.locator("h1").click()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("Control+k")
    expect(page.get_by_role("dialog")).to_be_visible()


def test_preferences_hold_no_data_of_records(page: Page) -> None:
    page.goto("/console/settings")
    expect(page.get_by_label("Time zone")).to_be_visible()
    stored = page.evaluate("JSON.stringify(localStorage)")
    assert list(json.loads(stored)) == ["enroll.preferences"]
    assert set(json.loads(json.loads(stored)["enroll.preferences"])) == {"theme", "clock", "singleKeys", "portals"}


def test_catalog_lists_every_event(page: Page, portal: Portal) -> None:
    events = portal.call("GET", "/enrollment/v1/events")["results"]
    page.goto("/console/catalog")
    expect(page.locator(".event-list a")).to_have_count(len(events))
    expect(page.get_by_text(f"{len(events)} events")).to_be_visible()


def test_words_of_an_empty_pane_stay_below_their_picture(page: Page) -> None:
    page.goto("/console/catalog")
    state = page.locator(".catalog .state")
    expect(state).to_contain_text("Choose an event")
    picture, words = state.locator("svg").bounding_box(), state.locator("p").bounding_box()
    assert picture is not None
    assert words is not None
    assert 0 < words["y"] - (picture["y"] + picture["height"]) < 40


def test_search_of_the_catalog_finds_events_with_url_properties(page: Page, portal: Portal) -> None:
    events = portal.call("GET", "/enrollment/v1/events")["results"]
    with_url = [
        event["eventType"]
        for event in events
        if any("url" in f"{item['name']} {item['label']}".lower() for item in event["properties"])
    ]
    page.goto("/console/catalog")
    page.get_by_label("Search the catalog").fill("url")
    expect(page.locator(".event-list a")).to_have_count(len(with_url))
    expect(page).to_have_url(re.compile("search=url"))


def test_event_shows_its_properties_operators_and_flows(page: Page) -> None:
    page.goto("/console/catalog/website.page_visited")
    path = page.locator("details", has=page.get_by_text("hs_url_path", exact=True))
    path.locator("summary").click()
    expect(path.get_by_text("MULTISTRING")).to_be_visible()
    page.get_by_role("link", name=re.compile(r"\d+ flows?$")).click()
    expect(page.locator("tbody").get_by_text("Looked at prices")).to_be_visible()


def test_event_without_properties_says_so(page: Page) -> None:
    page.goto("/console/catalog/crm.object_created")
    expect(page.get_by_text("A flow can only start from the event itself.")).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/console/settings", "/console/catalog", "/console/catalog/forms.submitted"])
def test_screen_is_accessible(page: Page, path: str, theme: str) -> None:
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    page.goto(path)
    page.wait_for_load_state("networkidle")
    assert violations(page) == []
