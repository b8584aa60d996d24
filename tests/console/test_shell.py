"""The frame of the console: navigation, palette, keys, theme, portal."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.console.axe import violations
from tests.console.conftest import PHONE


def test_first_address_leads_to_the_flows_of_the_portal_that_the_host_names(page: Page) -> None:
    page.goto("/console/")
    expect(page).to_have_url(re.compile(r"/console/flows$"))
    expect(page.get_by_role("button", name="Change the portal: demo")).to_contain_text("Local run")


def test_palette_opens_a_flow_by_its_name(page: Page) -> None:
    page.goto("/console/flows")
    expect(page.locator("tbody tr").first).to_be_visible()
    page.keyboard.press("Control+k")
    expect(page.get_by_role("searchbox", name="Search", exact=True)).to_be_focused()
    page.keyboard.type("looked at")
    expect(page.get_by_role("menuitem").first).to_contain_text("Looked at prices")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Looked at prices")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_palette_finds_events_of_the_catalog_and_actions(page: Page) -> None:
    page.goto("/console/flows")
    expect(page.locator("tbody tr").first).to_be_visible()
    page.keyboard.press("Control+k")
    expect(page.get_by_role("searchbox", name="Search", exact=True)).to_be_focused()
    page.keyboard.type("turn off looked")
    expect(page.get_by_role("menuitem").first).to_contain_text("Turn off Looked at prices")
    page.get_by_role("searchbox", name="Search", exact=True).fill("website.page_visited")
    page.get_by_role("menuitem", name="Page visited").click()
    expect(page).to_have_url(re.compile("/console/catalog/website.page_visited"))


def test_question_mark_lists_the_keys_and_escape_closes_the_list(page: Page) -> None:
    page.goto("/console/flows")
    expect(page.locator("tbody tr").first).to_be_visible()
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Next row")
    expect(dialog).to_contain_text("Go to Catalog")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)


def test_sequence_of_two_keys_opens_a_page(page: Page) -> None:
    page.goto("/console/flows")
    expect(page.locator("tbody tr").first).to_be_visible()
    page.keyboard.press("g")
    page.keyboard.press("s")
    expect(page.get_by_role("heading", level=1)).to_have_text("Settings")


def test_keyboard_reaches_the_content_first(page: Page) -> None:
    page.goto("/console/flows")
    expect(page.locator("tbody tr").first).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()


def test_another_portal_shows_none_of_the_first_portals_flows(page: Page) -> None:
    page.goto("/console/flows")
    expect(page.locator("tbody tr").first).to_be_visible()
    page.get_by_role("button", name="Change the portal: demo").click()
    page.get_by_label("ID of the portal").fill("empty-portal")
    page.get_by_role("button", name="Open the portal").click()
    expect(page.get_by_text("No flows yet.")).to_be_visible()
    expect(page.get_by_role("button", name="Change the portal: empty-portal")).to_be_visible()
    page.reload()
    expect(page.get_by_role("button", name="Change the portal: empty-portal")).to_be_visible()


def test_small_screen_has_the_pages_in_a_bar(page: Page) -> None:
    width, height = PHONE
    page.set_viewport_size({"width": width, "height": height})
    page.goto("/console/flows")
    bar = page.get_by_role("navigation", name="Console")
    expect(bar.get_by_role("link")).to_have_text(["Flows", "Live", "Records", "Why not"])
    bar.get_by_role("button", name="More").click()
    page.get_by_role("menuitem", name="Settings").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Settings")
    assert violations(page) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("keys", ["Control+k", "?"])
def test_dialog_is_accessible(page: Page, keys: str, theme: str) -> None:
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    page.goto("/console/flows")
    expect(page.locator("tbody tr").first).to_be_visible()
    page.keyboard.press(keys)
    expect(page.get_by_role("dialog")).to_be_visible()
    assert violations(page) == []


def test_unknown_address_offers_the_flows(page: Page) -> None:
    page.goto("/console/no-such-page")
    page.get_by_role("link", name="Show the flows").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Flows")
