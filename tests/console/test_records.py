"""The screens Records and Record (checks R of the console's specification)."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.console.axe import violations
from tests.console.conftest import PHONE, Problems
from tests.console.event_bus import EventBus
from tests.console.event_page import look_again_until_found
from tests.console.portal import Portal

CHLOE = "/console/records/contact/103"
MOST_TABS = 80


def opened(page: Page, path: str) -> Page:
    page.goto(path)
    expect(page.locator(".record-head h1")).to_be_visible()
    return page


def decision(page: Page, flow: str) -> Locator:
    return page.locator(".decision", has=page.get_by_role("button", name=re.compile(flow)))


def test_filter_that_kept_a_contact_out_is_open_with_what_was_found(page: Page) -> None:
    opened(page, CHLOE)
    looked_at_prices = decision(page, "Looked at prices")
    expect(looked_at_prices.get_by_role("button").first).to_contain_text("Filtered out")
    failed = looked_at_prices.locator(".line.no .found")
    expect(failed.filter(has_text=re.compile(r"\S"))).to_have_text(["customer", "France", "20"])


def test_keyboard_alone_finds_the_filter_that_kept_a_contact_out(page: Page) -> None:
    page.goto("/console/flows")
    expect(page.locator("tbody tr").first).to_be_visible()
    page.keyboard.press("g")
    page.keyboard.press("r")
    expect(page.get_by_role("heading", level=1)).to_have_text("Records")
    page.keyboard.press("/")
    expect(page.get_by_label("Find a record")).to_be_focused()
    page.keyboard.type("contact/103")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Chloé Martin")
    card = decision(page, "Looked at prices")
    expect(card).to_be_visible()
    opener = card.get_by_role("button").first
    tab_to(page, opener)
    page.keyboard.press("Enter")
    expect(opener).to_have_attribute("aria-expanded", "false")
    page.keyboard.press("Enter")
    expect(opener).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("Tab")
    items = card.get_by_role("treeitem")
    expect(items.first).to_be_focused()
    heard = []
    for number in range(items.count()):
        expect(items.nth(number)).to_be_focused()
        heard.append(items.nth(number).inner_text().split("\n")[0])
        page.keyboard.press("ArrowDown")
    failed = [words for words in heard if words.startswith("Failed") and "Found" in words]
    assert [words.rpartition("Found: ")[2] for words in failed] == ["customer", "France", "20"]


def tab_to(page: Page, target: Locator) -> None:
    """Press Tab until the target has the focus, as somebody without a pointer does."""
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        if target.evaluate("(element) => element === document.activeElement"):
            return
    raise AssertionError(f"The focus did not arrive within {MOST_TABS} presses of Tab.")


def test_enrollments_are_those_of_the_api(page: Page, portal: Portal) -> None:
    enrollments = portal.call("GET", "/enrollment/v1/records/contact/104/enrollments?limit=20")["results"]
    opened(page, "/console/records/contact/104")
    listed = page.locator(".en li")
    expect(listed).to_have_count(len(enrollments))
    for row, enrollment in zip(listed.all(), enrollments, strict=True):
        expect(row).to_contain_text(enrollment["flowName"])


def test_email_opens_the_contact(page: Page) -> None:
    page.goto("/console/records")
    page.get_by_label("Find a record").fill("chloe.martin@example.com")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/records/contact/103$"))
    expect(page.get_by_role("heading", level=1)).to_have_text("Chloé Martin")


def test_record_that_was_opened_is_offered_again(page: Page) -> None:
    opened(page, CHLOE)
    page.get_by_role("link", name="Records").first.click()
    expect(page.locator(".recent li")).to_contain_text(["Chloé Martin"])
    assert "Chlo" not in page.evaluate("JSON.stringify(localStorage)")


def test_unknown_email_says_so_and_names_the_portal(page: Page, problems: Problems) -> None:
    problems.expect("404")
    page.goto("/console/records?find=nobody@example.com")
    expect(page.get_by_text("No contact has the email address nobody@example.com in the portal demo.")).to_be_visible()
    assert violations(page) == []


def test_filter_by_flow_leaves_the_events_that_concern_it(page: Page) -> None:
    opened(page, f"{CHLOE}?flow=1016")
    expect(page.locator(".it header")).to_contain_text(["Page visited"])
    expect(page.locator(".it .decision")).to_have_count(1)
    page.get_by_role("button", name="Remove the filter Flow").click()
    expect(page).to_have_url(re.compile(r"/records/contact/103$"))


def test_event_without_a_flow_says_so(page: Page) -> None:
    opened(page, CHLOE)
    associated = page.locator(".it", has_text="Association changed").first
    expect(associated).to_contain_text("No flow is triggered by this event.")


def test_explanation_is_a_tree_that_arrow_keys_open_and_close(page: Page) -> None:
    opened(page, CHLOE)
    tree = decision(page, "Looked at prices").get_by_role("tree")
    expect(tree.get_by_role("treeitem")).to_have_count(5)
    branch = tree.locator("[aria-expanded]")
    expect(branch).to_have_attribute("aria-level", "1")
    expect(tree.locator("[aria-level='2']")).to_have_count(3)
    tree.get_by_role("treeitem").first.focus()
    page.keyboard.press("ArrowDown")
    expect(branch).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(branch).to_have_attribute("aria-expanded", "false")
    expect(tree.get_by_role("treeitem")).to_have_count(2)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    name = "Failed: lifecyclestage is any of .* Found: customer"
    expect(tree.get_by_role("treeitem", name=re.compile(name))).to_be_focused()


def test_expected_and_found_stay_side_by_side_on_a_phone(page: Page) -> None:
    width, height = PHONE
    page.set_viewport_size({"width": width, "height": height})
    opened(page, CHLOE)
    line = decision(page, "Looked at prices").locator(".line.no", has_text="country")
    expected, found = line.locator(".expected").bounding_box(), line.locator(".found").bounding_box()
    assert expected is not None
    assert found is not None
    assert expected["x"] + expected["width"] <= found["x"]
    assert expected["y"] == pytest.approx(found["y"], abs=4)
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_record_of_another_portal_is_not_in_this_one(page: Page, problems: Problems) -> None:
    problems.expect("404")
    page.goto("/console/records/contact/another-portals")
    expect(page.get_by_role("alert")).to_contain_text("Not in the portal demo")
    expect(page.get_by_role("alert")).to_contain_text("contact/another-portals does not exist")
    assert violations(page) == []


def test_deleted_record_says_when_and_shows_its_enrollments(
    page: Page, portal: Portal, event_bus: EventBus, problems: Problems
) -> None:
    contact = portal.call("POST", "/crm/v3/objects/contact", {"properties": {"firstname": "Gone"}})["id"]
    event_id = event_bus.send("forms.submitted", {"hs_form_id": "demo-request"}, objectId=contact)
    page.goto(f"/console/events/{event_id}?record=contact/{contact}")
    look_again_until_found(page)
    enrollments = portal.call("GET", f"/enrollment/v1/records/contact/{contact}/enrollments")["results"]
    portal.call("DELETE", f"/crm/v3/objects/contact/{contact}")
    problems.expect("404")
    page.goto(f"/console/records/contact/{contact}")
    expect(page.get_by_role("heading", level=2, name=re.compile(r"^Deleted on \d+ \w+"))).to_be_visible()
    expect(page.get_by_text("Its enrollments are kept, and nothing else.")).to_be_visible()
    expect(page.locator(".en li")).to_have_count(len(enrollments))
    assert violations(page) == []


@pytest.mark.parametrize(("path", "name"), [("company/201", "."), ("deal/301", ".")])
def test_other_types_of_records_open(page: Page, path: str, name: str) -> None:
    opened(page, f"/console/records/{path}")
    expect(page.locator(".record-head h1")).to_have_text(re.compile(name))
    expect(page.locator(".it").first).to_be_visible()


def test_flows_and_properties_of_a_record(page: Page) -> None:
    opened(page, f"{CHLOE}?tab=flows")
    row = page.get_by_role("row", name=re.compile("Looked at prices"))
    expect(row).to_contain_text("Filtered out")
    row.get_by_role("button").click()
    expect(row).to_contain_text("Do not hold")
    page.get_by_role("link", name=re.compile("Properties")).click()
    expect(page.get_by_role("row", name=re.compile("lifecyclestage"))).to_contain_text("customer")


HOSTILE = "<img src=x onerror=alert(1)> \u202eevil \x1b[31m"


REVERSED = "safe\u202etxt.exe"
SHOWN = r"safe\u202etxt.exe"


def test_text_of_users_cannot_reverse_the_text_around_it(
    page: Page, portal: Portal, event_bus: EventBus, problems: Problems
) -> None:
    problems.expect("404")
    properties = {"firstname": REVERSED, "lastname": "Two", "city": REVERSED}
    contact = portal.call("POST", "/crm/v3/objects/contact", {"properties": properties})["id"]
    portal.call("PUT", f"/crm/v3/lists/{quote(REVERSED)}/memberships/add", [contact])
    event_id = event_bus.send("forms.submitted", {"hs_form_id": REVERSED}, objectId=contact, id=f"{REVERSED}-{contact}")
    refused = event_bus.send("forms.submitted", {REVERSED: "x"}, objectId=contact, id=f"refused-{contact}")
    opened(page, f"/console/records/contact/{contact}")
    expect(page.locator(".record-head h1")).to_have_text(f"{SHOWN} Two")
    expect(page.locator(".facts .kv", has_text="city")).to_contain_text(SHOWN)
    expect(page.locator(".facts .kv", has_text="List")).to_contain_text(SHOWN)
    assert overrides(page) == []
    page.goto(f"/console/events/{quote(event_id)}?record=contact/{contact}")
    look_again_until_found(page)
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Event {SHOWN}-{contact}")
    expect(page.locator(".event-side")).to_contain_text(SHOWN)
    assert overrides(page) == []
    page.goto(f"/console/events/{refused}?record=contact/{contact}")
    look_again_until_found(page)
    expect(page.locator("main")).to_contain_text(SHOWN)
    assert overrides(page) == []
    page.goto(f"/console/records?find={quote(REVERSED)}@example.com")
    expect(page.get_by_text(f"No contact has the email address {SHOWN}@example.com")).to_be_visible()
    assert overrides(page) == []


def overrides(page: Page) -> list[str]:
    """Return the texts, names and titles of the page that have the character that reverses text."""
    return page.evaluate(
        """() => [document.title, document.body.innerText,
            ...[...document.querySelectorAll('[title], [aria-label]')].flatMap((element) =>
                [element.getAttribute('title') ?? '', element.getAttribute('aria-label') ?? ''])
        ].filter((text) => text.includes('\u202e'))"""
    )


def test_hostile_text_of_an_event_is_shown_as_text(page: Page, event_bus: EventBus) -> None:
    event_id = event_bus.send("website.page_visited", {"hs_url": HOSTILE, "hs_page_title": HOSTILE})
    page.goto(f"/console/events/{event_id}")
    look_again_until_found(page)
    expect(page.locator(".event-side dd", has_text="<img src=x onerror=alert(1)>").first).to_be_visible()
    assert page.locator("main img").count() == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/console/records", CHLOE, f"{CHLOE}?tab=flows", f"{CHLOE}?tab=properties"])
def test_screen_is_accessible(page: Page, path: str, theme: str) -> None:
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    page.goto(path)
    page.wait_for_load_state("networkidle")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert violations(page) == []
