"""The screens Event and Why not for one event (checks V and W5 of the console's specification)."""

from __future__ import annotations

import re
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import Page, Route, expect

from tests.console.axe import violations
from tests.console.conftest import PHONE
from tests.console.event_bus import EventBus
from tests.console.event_page import look_again_until_found
from tests.console.portal import Portal

EVENTS = "/console/events"
WHY = "/console/why?record=contact/103&event=website-page-visited-by-customer"


def stations(page: Page) -> list[str]:
    return [text.split("\n")[0].split(":")[0] for text in page.locator(".station b").all_inner_texts()]


def test_event_that_enrolled_is_published(page: Page) -> None:
    page.goto(f"{EVENTS}/forms-submitted")
    expect(page.locator(".station.done b")).to_have_count(5)
    assert stations(page) == ["Sent", "Kept", "Decided", "Enrolled", "Published"]
    expect(page.locator(".decision", has_text="Answer demo requests").first).to_contain_text("Enrolled")
    page.get_by_text("Message of the enrollment in Answer demo requests").click()
    expect(page.get_by_role("region", name=re.compile("Message of the enrollment"))).to_contain_text('"flowId": "1001"')


def test_unprocessed_event_shows_the_reason_and_the_field(page: Page, event_bus: EventBus) -> None:
    event_id = event_bus.send("forms.submitted", {"hs_form_id": "f-1"}, occurredAt="2026-11-28T10:00:00")
    page.goto(f"{EVENTS}/{event_id}")
    look_again_until_found(page)
    expect(page.get_by_role("heading", name="Unprocessed: BAD_TIME")).to_be_visible()
    expect(page.locator(".kv")).to_contain_text("detail.occurredAt")
    expect(page.get_by_role("region", name="The event as JSON")).to_contain_text("2026-11-28T10:00:00")
    assert violations(page) == []


def test_event_waits_for_late_data_and_is_then_enrolled(page: Page, portal: Portal, event_bus: EventBus) -> None:
    path = f"/wait-{uuid4()}"
    contact = portal.call("POST", "/crm/v3/objects/contact", {"properties": {"country": "France"}})["id"]
    flow = portal.call("POST", "/automation/v4/flows", waiting_flow(path))
    try:
        url = f"https://www.example.com{path}"
        event_id = event_bus.send("website.page_visited", {"hs_url": url}, objectId=contact)
        page.goto(f"{EVENTS}/{event_id}")
        look_again_until_found(page)
        expect(page.locator(".station.open", has_text="Waiting")).to_contain_text("until")
        portal.call("PATCH", f"/crm/v3/objects/contact/{contact}", {"properties": {"country": "Ireland"}})
        expect(page.locator(".station.done", has_text="Enrolled")).to_be_visible(timeout=60_000)
    finally:
        portal.call("DELETE", f"/automation/v4/flows/{flow['id']}")


def waiting_flow(path: str) -> dict[str, Any]:
    """Return a flow that waits five minutes for a contact in Ireland."""

    def filter_of(name: str, value: str) -> dict[str, Any]:
        operation = {"operationType": "STRING", "operator": "IS_EQUAL_TO", "value": value}
        return {"filterType": "PROPERTY", "property": name, "operation": operation}

    event = {
        "filterBranchType": "UNIFIED_EVENTS",
        "filterBranchOperator": "AND",
        "eventTypeId": "4-96000",
        "operator": "HAS_COMPLETED",
        "filters": [filter_of("hs_url_path", path)],
        "filterBranches": [],
    }
    refinement = {
        "filterBranchType": "AND",
        "filterBranchOperator": "AND",
        "filters": [filter_of("country", "Ireland")],
        "filterBranches": [],
    }
    return {
        "name": "Waits for late data",
        "type": "CONTACT_FLOW",
        "flowType": "WORKFLOW",
        "objectTypeId": "0-1",
        "isEnabled": True,
        "criteriaTolerance": 5,
        "enrollmentCriteria": {
            "type": "EVENT_BASED",
            "shouldReEnroll": True,
            "eventFilterBranches": [event],
            "listMembershipFilterBranches": [],
            "refinementCriteria": refinement,
        },
    }


def test_chain_of_an_event_ends_with_the_stopped_loop(page: Page) -> None:
    page.goto(f"{EVENTS}/crm-object-created")
    chain = page.locator(".chain").first
    expect(chain).to_contain_text("Enrolled in Welcome new contacts")
    expect(chain.locator(".chain")).to_contain_text("Enrolled in After the welcome")
    expect(chain.locator(".chain .decision", has_text="Loop stopped")).to_be_visible()


def test_small_screen_does_not_scroll_sideways(page: Page) -> None:
    width, height = PHONE
    page.set_viewport_size({"width": width, "height": height})
    page.goto(f"{EVENTS}/crm-object-created")
    expect(page.locator(".chain .chain .decision")).to_be_visible()
    assert page.evaluate("document.querySelector('.body').scrollWidth") <= width
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_unknown_id_says_what_to_check(page: Page) -> None:
    page.goto(f"{EVENTS}/no-such-event")
    expect(page.get_by_text("No event of this ID is kept, and none is unprocessed.")).to_be_visible()
    assert violations(page) == []


def test_id_with_a_slash_is_found(page: Page, event_bus: EventBus) -> None:
    event_id = event_bus.send("forms.submitted", {"hs_form_id": "f-9"}, id=f"console/a b?{id(page)}#1%")
    page.goto("/console/flows")
    expect(page.locator("tbody tr").first).to_be_visible()
    page.keyboard.press("ControlOrMeta+k")
    page.get_by_placeholder(re.compile("Search flows")).fill(event_id)
    page.get_by_role("menuitem", name=f"Find the event {event_id}").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Event {event_id}")
    look_again_until_found(page)
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Event {event_id}")


def test_matrix_has_row_and_column_headers(page: Page) -> None:
    page.goto(WHY)
    row = page.get_by_role("row", name=re.compile("Looked at prices"))
    expect(page.get_by_role("columnheader", name="Filters")).to_be_visible()
    expect(row.get_by_role("rowheader")).to_contain_text("Looked at prices")
    cells = row.get_by_role("cell")
    expect(cells.nth(0)).to_have_text("passed: /pricing")
    expect(cells.nth(4)).to_have_text("failed: customer, France, 20")
    expect(cells.nth(5)).to_have_text("Filtered out")


def test_row_of_the_matrix_opens_to_the_explanation(page: Page) -> None:
    page.goto(WHY)
    expect(page.get_by_role("tree")).to_be_visible()
    page.get_by_role("button", name="Explain the decision of Looked at prices").click()
    expect(page.get_by_role("tree")).to_have_count(0)
    page.keyboard.press("Escape")
    page.get_by_role("heading", level=1).click()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.get_by_role("tree")).to_be_visible()


def test_matrix_stays_a_table_on_a_phone(page: Page) -> None:
    width, height = PHONE
    page.set_viewport_size({"width": width, "height": height})
    page.goto(WHY)
    expect(page.get_by_role("columnheader", name="Trigger")).to_be_visible()
    row = page.get_by_role("row", name=re.compile("Looked at prices")).first
    expect(row.get_by_role("cell")).to_have_count(6)
    boxes = [cell.bounding_box() for cell in row.get_by_role("cell").all()]
    assert len({round(box["y"]) for box in boxes if box is not None}) == 1
    assert page.evaluate("document.documentElement.scrollWidth") == width, "only the matrix scrolls sideways"


def test_matrix_without_an_event_asks_for_one(page: Page) -> None:
    page.goto("/console/why")
    page.get_by_label("Record", exact=True).fill("contact/103")
    page.get_by_label("Event ID").fill("website-page-visited-by-customer")
    page.get_by_role("button", name="Show the decisions").click()
    expect(page.get_by_role("table")).to_be_visible()


def test_event_is_chosen_from_the_newest_events_of_the_record(page: Page) -> None:
    page.goto("/console/why")
    page.get_by_label("Record", exact=True).fill("chloe.martin@example.com")
    page.keyboard.press("Enter")
    events = page.get_by_role("region", name="Newest events of the record")
    expect(events.get_by_role("link", name="Page visited").first).to_be_visible()
    expect(page).to_have_url(re.compile("record=contact%2F103"))
    assert violations(page) == []
    row = events.get_by_role("listitem").filter(has_text="Filtered out").first
    row.get_by_role("link").click()
    expect(page.get_by_role("row", name=re.compile("Looked at prices")).first).to_contain_text("customer, France, 20")
    page.get_by_role("link", name="Another event").click()
    expect(events).to_be_visible()


def test_keys_choose_an_event(page: Page) -> None:
    page.goto("/console/why?record=103")
    events = page.get_by_role("region", name="Newest events of the record")
    expect(events).to_be_visible()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(
        page.get_by_text("Flows by steps of the decision").or_(page.get_by_text("No flow is triggered"))
    ).to_be_attached()


def test_associated_record_that_failed_a_filter_is_named(page: Page, portal: Portal) -> None:
    def with_company(route: Route) -> None:
        answer = route.fetch()
        content = answer.json()
        decision = next(each for each in content["results"][0]["decisions"] if each["flowId"] == "1016")
        failure = {"property": "industry", "operation": {}, "expected": 'is any of "Retail"', "found": "Finance"}
        decision["refinementCriteria"] = {
            "property": "associated companies",
            "operation": {},
            "expected": "at least one meets the filters",
            "found": 1,
            "passed": False,
            "associated": [{"record": "0-2/201", "failure": failure}],
        }
        route.fulfill(response=answer, json=content)

    page.route("**/enrollment/v1/explain?*", with_company)
    page.goto(WHY)
    name = 'Failed: company/201 industry is any of "Retail". Found: Finance'
    expect(page.get_by_role("treeitem", name=name)).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("path", [f"{EVENTS}/crm-object-created", WHY, "/console/why"])
def test_screen_is_accessible(page: Page, path: str, theme: str) -> None:
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    page.goto(path)
    page.wait_for_load_state("networkidle")
    assert violations(page) == []
