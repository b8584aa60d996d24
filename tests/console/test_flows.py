"""The screen Flows (checks F of the console's specification)."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import Page, Request, Route, expect

from tests.console.axe import violations
from tests.console.conftest import PHONE, Problems
from tests.console.portal import Portal

FLOWS = "/console/flows"


def rows(page: Page):  # type: ignore[no-untyped-def]
    return page.locator("tbody tr")


def switch(page: Page, name: str):  # type: ignore[no-untyped-def]
    return page.get_by_role("switch", name=f"{name}: on")


def opened(page: Page, path: str = FLOWS) -> Page:
    page.goto(path)
    expect(rows(page).first).to_be_visible()
    return page


def test_every_flow_of_the_demonstration_is_listed(page: Page, portal: Portal) -> None:
    flows = portal.call("GET", "/automation/v4/flows?limit=100")["results"]
    on = sum(flow["isEnabled"] for flow in flows)
    opened(page)
    expect(rows(page)).to_have_count(len(flows))
    expect(page.get_by_text(f"{len(flows)}, of which {on} are on")).to_be_visible()
    expect(page.locator("[role=switch][aria-checked=true]")).to_have_count(on)


def test_search_finds_words_of_the_sentences(page: Page) -> None:
    opened(page)
    page.get_by_label("Search flows").fill("pricing")
    expect(rows(page)).to_have_count(2)
    expect(rows(page).get_by_text("Looked at prices")).to_be_visible()
    expect(rows(page).get_by_text("Clicked the pro plan")).to_be_visible()
    expect(page).to_have_url(re.compile(r"search=pricing"))


def test_filters_are_in_the_address_and_can_be_removed(page: Page) -> None:
    opened(page, f"{FLOWS}?status=off&event=forms.submitted")
    expect(rows(page)).to_have_count(1)
    expect(rows(page).get_by_text("Switched off")).to_be_visible()
    page.get_by_role("button", name="Remove the filter Event").click()
    page.get_by_role("button", name="All", exact=True).click()
    expect(page).to_have_url(re.compile(r"/console/flows$"))


def test_filter_offers_the_events_of_the_flows(page: Page) -> None:
    opened(page)
    page.get_by_role("button", name="Event", exact=True).click()
    page.get_by_placeholder("Search", exact=True).fill("page vis")
    page.get_by_role("option", name="Page visited").click()
    expect(page).to_have_url(re.compile(r"event=website.page_visited"))
    expect(rows(page).get_by_text("Looked at prices")).to_be_visible()


def test_nothing_found_offers_all_flows(page: Page) -> None:
    page.goto(f"{FLOWS}?search=no-such-flow")
    page.get_by_role("button", name="Show all flows").click()
    expect(rows(page).first).to_be_visible()


def test_switching_a_flow_on_and_off_stores_two_revisions(page: Page, portal: Portal) -> None:
    before = int(portal.flow("1021")["revisionId"])
    opened(page)
    switch(page, "Switched off").click()
    expect(page.get_by_text("Switched off is on. Only events from now on enroll records.")).to_be_visible()
    assert (portal.flow("1021")["isEnabled"], int(portal.flow("1021")["revisionId"])) == (True, before + 1)
    expect(switch(page, "Switched off")).to_have_attribute("aria-busy", "false")
    switch(page, "Switched off").click()
    expect(page.get_by_text("Switched off is off. It enrolls no more records.")).to_be_visible()
    assert (portal.flow("1021")["isEnabled"], int(portal.flow("1021")["revisionId"])) == (False, before + 2)


def test_switch_returns_if_someone_else_changed_the_flow_meanwhile(
    page: Page, portal: Portal, problems: Problems
) -> None:
    problems.expect("409")

    def change_first(route: Route, request: Request) -> None:
        if request.method == "PUT":
            portal.rename("1021", "Switched off")
        route.continue_()

    opened(page)
    page.route("**/automation/v4/flows/1021", change_first)
    switch(page, "Switched off").click()
    expect(page.get_by_text("Switched off was not changed. It was changed meanwhile.")).to_be_visible()
    expect(switch(page, "Switched off")).to_have_attribute("aria-checked", "false")
    assert portal.flow("1021")["isEnabled"] is False


def test_keys_search_move_and_open(page: Page) -> None:
    opened(page)
    page.keyboard.press("/")
    expect(page.get_by_label("Search flows")).to_be_focused()
    page.keyboard.press("Escape")
    second = rows(page).nth(1).locator("b").first.inner_text()
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(rows(page).nth(1)).to_have_attribute("aria-current", "true")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(second)


def test_single_letters_do_not_act_in_a_field(page: Page) -> None:
    opened(page)
    page.get_by_label("Search flows").press_sequentially("gf?")
    expect(page.get_by_label("Search flows")).to_have_value("gf?")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_token_that_only_reads_cannot_switch(page: Page) -> None:
    def read_only(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json={**answer.json(), "scopes": ["enroll/read"]})

    page.route("**/enrollment/v1/portal", read_only)
    opened(page)
    expect(switch(page, "Looked at prices")).to_have_attribute("aria-disabled", "true")
    reason = "Your token lacks the scope enroll/flows.write."
    expect(switch(page, "Looked at prices")).to_have_accessible_description(reason)
    # Playwright does not press what aria-disabled marks, but people do.
    switch(page, "Looked at prices").click(force=True)
    expect(page.get_by_text(reason)).to_be_visible()
    expect(switch(page, "Looked at prices")).to_have_attribute("aria-checked", "true")


def test_small_screen_does_not_scroll_sideways(page: Page) -> None:
    width, height = PHONE
    page.set_viewport_size({"width": width, "height": height})
    opened(page)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate("document.querySelector('.body').scrollWidth") <= width
    page.set_viewport_size({"width": 320, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth") == 320


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("path", [FLOWS, f"{FLOWS}?search=no-such-flow", f"{FLOWS}/1016", f"{FLOWS}/1016?tab=activity"])
def test_screen_is_accessible(page: Page, path: str, theme: str) -> None:
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    page.goto(path)
    page.wait_for_load_state("networkidle")
    assert violations(page) == []


def test_rows_do_not_move_when_the_counts_arrive(page: Page) -> None:
    def late(route: Route) -> None:
        page.wait_for_timeout(2_000)
        route.continue_()

    page.route("**/enrollment/v1/flows/summaries", late)
    opened(page)
    before = positions(page)
    page.wait_for_load_state("networkidle")
    # Rows out of view are not read yet.
    expect(rows(page).first.locator(".placeholder")).to_have_count(0)
    assert positions(page) == before


def positions(page: Page) -> list[float]:
    result: list[float] = page.evaluate(
        "[...document.querySelectorAll('tbody tr')].map((row) => row.getBoundingClientRect().top)"
    )
    return result


def test_error_of_the_api_is_shown_with_its_correlation_id_and_can_be_tried_again(
    page: Page, problems: Problems
) -> None:
    problems.expect("400")
    error = {"status": "error", "message": "The request is refused.", "correlationId": "c-1", "category": "X"}
    page.route("**/enrollment/v1/flows?*", lambda route: route.fulfill(status=400, json=error))
    page.goto(FLOWS)
    expect(page.get_by_role("alert")).to_contain_text("The request is refused.")
    expect(page.get_by_role("alert")).to_contain_text("c-1")
    assert violations(page) == []
    page.unroute("**/enrollment/v1/flows?*")
    page.get_by_role("button", name="Try again").click()
    expect(rows(page).first).to_be_visible()


def test_portal_without_flows_offers_to_import_one(page: Page) -> None:
    page.route("**/enrollment/v1/flows?*", lambda route: route.fulfill(json={"results": []}))
    page.goto(FLOWS)
    expect(page.get_by_text("No flows yet.")).to_be_visible()
    assert violations(page) == []


def test_unknown_flow_is_not_in_this_portal(page: Page, problems: Problems) -> None:
    problems.expect("404")
    page.goto(f"{FLOWS}/4711")
    expect(page.get_by_text("Not in the portal demo")).to_be_visible()


def test_flow_can_be_duplicated_exported_imported_and_deleted(page: Page, portal: Portal) -> None:
    opened(page)
    page.get_by_role("button", name="More for Looked at prices").click()
    with page.expect_download() as download:
        page.get_by_role("menuitem", name="Export JSON").click()
    document = json.loads(download.value.path().read_text())
    assert document == portal.flow("1016")
    name = "Imported <b>flow</b>"
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Import JSON").click()
    content = json.dumps({**document, "name": name, "aKeyOfHubSpot": {"kept": [1]}}).encode()
    chooser.value.set_files({"name": "flow.json", "mimeType": "application/json", "buffer": content})
    expect(page.get_by_role("heading", level=1)).to_have_text(name)
    flow_id = page.url.rsplit("/", 1)[-1]
    stored = portal.flow(flow_id)
    assert (stored["isEnabled"], stored["aKeyOfHubSpot"]) == (False, {"kept": [1]})
    opened(page)
    page.get_by_role("button", name=f"More for {name}").click()
    page.get_by_role("menuitem", name="Delete").click()
    page.get_by_role("alertdialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text(f"{name} was deleted.")).to_be_visible()
    expect(page.get_by_role("button", name=f"More for {name}")).to_have_count(0)


def test_tabs_of_a_flow_show_its_enrollments_revisions_and_document(page: Page, portal: Portal) -> None:
    enrollments = portal.call("GET", "/enrollment/v1/flows/1001/enrollments?limit=25")["results"]
    opened(page, f"{FLOWS}/1001?tab=activity")
    expect(rows(page)).to_have_count(len(enrollments))
    expect(page.locator(".tabs [aria-current='page']")).to_have_text(["Activity"])
    page.get_by_role("link", name="Revisions").click()
    expect(page.locator(".tabs [aria-current='page']")).to_have_text(["Revisions"])
    expect(rows(page).first).to_contain_text("Enrolls a contact")
    page.get_by_role("link", name="JSON").click()
    expect(page.get_by_label("JSON of the draft")).to_have_value(re.compile('"4-1639801"'))
    page.go_back()
    expect(page).to_have_url(re.compile("tab=revisions"))


HOSTILE = '<img src=x onerror="document.title=1"> \u202eevil\u202c \x1b[31mred'
SHOWN = '<img src=x onerror="document.title=1"> \\u202eevil\\u202c \\u001b[31mred'


def test_name_with_markup_and_directions_is_shown_as_text(page: Page, portal: Portal) -> None:
    created = portal.call(
        "POST", "/automation/v4/flows", {**without_identity(portal.flow("1001")), "name": HOSTILE, "isEnabled": False}
    )
    try:
        opened(page)
        expect(page.locator(f"tr[data-flow='{created['id']}'] b").first).to_have_text(SHOWN)
        assert page.locator("main img").count() == 0
        assert page.title() == "Flows · Enroll"
    finally:
        portal.call("DELETE", f"/automation/v4/flows/{created['id']}")


def without_identity(flow: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in flow.items() if key not in ("id", "revisionId", "createdAt", "updatedAt")}


def test_counts_equal_the_enrollments_of_the_flow(page: Page, portal: Portal) -> None:
    enrollments = portal.call("GET", "/enrollment/v1/flows/1016/enrollments?limit=100")["results"]
    opened(page, f"{FLOWS}?search=looked+at")
    row = page.locator("tr[data-flow='1016']")
    expect(row.locator(".c-n")).to_have_text(str(len(enrollments)))
    expect(row.locator(".c-w")).to_have_text(str(len(enrollments)))


def test_last_decision_has_its_words_time_and_record(page: Page, portal: Portal) -> None:
    summaries = portal.call("POST", "/enrollment/v1/flows/summaries", {"flowIds": ["1016"]})
    decision = summaries["results"][0]["lastDecision"]
    words = {"ENROLLED": "Enrolled", "FILTERED_OUT": "Filtered out", "NOT_MATCHED": "Not matched"}
    opened(page, f"{FLOWS}?search=looked+at+prices")
    cell = page.locator("tr[data-flow='1016'] .c-last")
    expect(cell).to_contain_text(words[decision["code"]])
    expect(cell).to_contain_text(f"contact/{decision['objectId']}")
