"""The flow editor (checks E of docs/console-editor.md)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Request, Route, expect

from tests.console.axe import violations
from tests.console.conftest import PHONE, PROJECT, Problems
from tests.console.portal import Portal

FLOWS = "/console/flows"
PRICES = PROJECT / "cli" / "enroll" / "demo" / "flows" / "1016-looked-at-prices.json"

REFUSED = "400"
"""The browser reports each check of a draft that has faults."""

SERVER_KEYS = ("id", "revisionId", "createdAt", "updatedAt", "crmObjectCreationStatus", "warnings", "uuid")


def without_server_keys(flow: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in flow.items() if key not in SERVER_KEYS}


@pytest.fixture
def flow(portal: Portal) -> Iterator[dict[str, Any]]:
    """A copy of flow 1016, turned off, with keys that the console does not know."""
    document = {
        **without_server_keys(portal.flow("1016")),
        "name": "Edited in a test",
        "isEnabled": False,
        "aKeyOfHubSpot": {"kept": [1, {"two": None}]},
    }
    created = portal.call("POST", "/automation/v4/flows", document)
    yield created
    portal.call("DELETE", f"/automation/v4/flows/{created['id']}")


@pytest.fixture
def opened(page: Page, flow: dict[str, Any], problems: Problems) -> Page:
    problems.expect(REFUSED)
    return open_flow(page, flow["id"])


def open_flow(page: Page, flow_id: str) -> Page:
    page.goto(f"{FLOWS}/{flow_id}")
    expect(page.get_by_role("heading", name="Start when")).to_be_visible()
    return page


def group(page: Page, name: str) -> Locator:
    return page.get_by_role("group", name=name, exact=True)


def words(page: Page) -> Locator:
    return page.get_by_role("region", name="In words")


def save(page: Page) -> Locator:
    return page.get_by_role("button", name="Save", exact=True)


def is_valid(page: Page) -> None:
    expect(words(page).get_by_text("Valid", exact=True)).to_be_visible()


class Clicks:
    """Counts the clicks of a test. Typing and keys are not clicks."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, target: Locator) -> None:
        self.count += 1
        target.click()


def test_flow_of_the_demonstration_is_built_from_nothing_in_twelve_clicks(
    page: Page, portal: Portal, problems: Problems
) -> None:
    problems.expect(REFUSED)
    expected = portal.flow("1016")
    click = Clicks()
    page.goto(FLOWS)
    click(page.get_by_role("button", name="New flow"))
    page.get_by_role("textbox", name="Name of the flow").fill("Looked at prices")
    page.get_by_label("Search events").fill("page visited")
    click(page.get_by_role("button", name="Page visited website.page_visited"))
    page.keyboard.press("Enter")
    trigger = group(page, "Page visited")
    trigger.get_by_label("Property").select_option("hs_url_path")
    trigger.get_by_label("Value").fill("/pricing")
    click(page.get_by_role("button", name="Add filter group"))
    first = group(page, "Filter group 1")
    page.keyboard.type("lifecyclestage")
    first.get_by_label("Operator").select_option("ENUMERATION IS_ANY_OF")
    for value in ("lead", "marketingqualifiedlead"):
        first.get_by_label("Values").press_sequentially(value)
        page.keyboard.press("Enter")
    click(first.get_by_role("button", name="Property", exact=True))
    page.keyboard.type("country")
    first.get_by_label("Value", exact=True).fill("Ireland")
    click(page.get_by_role("button", name="Add filter group"))
    second = group(page, "Filter group 2")
    page.keyboard.type("numemployees")
    second.get_by_label("Operator").select_option("NUMBER IS_GREATER_THAN")
    second.get_by_label("Value").fill("500")
    click(page.get_by_role("radio", name=re.compile("Yes, every time")))
    click(page.get_by_role("switch", name="Looked at prices: on"))
    is_valid(page)
    expect(page.locator("[data-count=gained]")).not_to_have_text("+0")
    click(save(page))
    expect(page.get_by_text("Looked at prices was created.")).to_be_visible()
    page.wait_for_url(re.compile(r"/console/flows/[^/]+$"))
    flow_id = page.url.rsplit("/", 1)[-1]
    try:
        stored = portal.flow(flow_id)
        assert without_server_keys(stored) == without_server_keys(expected)
        assert click.count <= 12
    finally:
        portal.call("DELETE", f"/automation/v4/flows/{flow_id}")


def test_flow_is_opened_and_built_with_the_keyboard_alone(page: Page, portal: Portal, problems: Problems) -> None:
    problems.expect(REFUSED)
    page.goto(f"{FLOWS}/new")
    search = page.get_by_label("Search events")
    expect(search).to_be_visible()
    tab_to(page, page.get_by_role("textbox", name="Name of the flow"))
    page.keyboard.type("By keyboard")
    tab_to(page, search)
    page.keyboard.type("page visited")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    trigger = group(page, "Page visited")
    expect(trigger.get_by_label("Property")).to_be_focused()
    page.keyboard.type("Path")
    page.keyboard.press("Tab")
    expect(trigger.get_by_label("Operator")).to_have_value("STRING IS_EQUAL_TO")
    page.keyboard.press("Tab")
    page.keyboard.type("/pricing")
    is_valid(page)
    page.keyboard.press("Control+s")
    expect(page.get_by_text("By keyboard was created.")).to_be_visible()
    page.wait_for_url(re.compile(r"/console/flows/(?!new)[^/]+$"))
    flow_id = page.url.rsplit("/", 1)[-1]
    groups = portal.flow(flow_id)["enrollmentCriteria"]["eventFilterBranches"]
    portal.call("DELETE", f"/automation/v4/flows/{flow_id}")
    assert groups == json.loads(PRICES.read_text(encoding="utf-8"))["enrollmentCriteria"]["eventFilterBranches"]


def tab_to(page: Page, target: Locator) -> None:
    for _ in range(60):
        page.keyboard.press("Tab")
        if target.evaluate("(field) => field === document.activeElement"):
            return
    raise AssertionError("The Tab key does not reach the field.")


def test_misspelled_property_has_its_fault_at_the_field_and_a_button_that_corrects_it(
    opened: Page, portal: Portal, flow: dict[str, Any]
) -> None:
    opened.get_by_role("link", name="JSON").click()
    content = opened.get_by_label("JSON of the draft")
    content.fill(content.input_value().replace('"hs_url_path"', '"hs_url_pth"'))
    opened.get_by_role("link", name="Triggers").click()
    trigger = group(opened, "Page visited")
    expect(trigger.get_by_label("Property")).to_have_attribute("aria-invalid", "true")
    expect(trigger.get_by_role("alert")).to_contain_text("hs_url_pth")
    expect(words(opened).get_by_text("1 fault")).to_be_visible()
    words(opened).get_by_role("button", name="$.enrollmentCriteria").click()
    expect(trigger.get_by_label("Property")).to_be_focused()
    trigger.get_by_role("button", name="Use hs_url_path").click()
    is_valid(opened)
    expect(trigger.get_by_label("Property")).to_have_value("hs_url_path")
    assert portal.flow(flow["id"]) == flow


def test_operator_that_the_operation_lacks_has_its_fault_at_the_operator(opened: Page) -> None:
    opened.get_by_role("link", name="JSON").click()
    content = opened.get_by_label("JSON of the draft")
    content.fill(content.input_value().replace('"IS_ANY_OF"', '"IS_EQUAL_TO"'))
    opened.get_by_role("link", name="Triggers").click()
    first = group(opened, "Filter group 1")
    operator = first.get_by_label("Operator").first
    expect(operator).to_have_attribute("aria-invalid", "true")
    expect(operator).to_have_value("ENUMERATION IS_EQUAL_TO")
    assert violations(opened) == []
    first.get_by_role("button", name="Use IS_ANY_OF").click()
    expect(operator).to_have_value("ENUMERATION IS_ANY_OF")
    is_valid(opened)


def test_only_what_was_edited_differs_in_the_saved_document(opened: Page, portal: Portal, flow: dict[str, Any]) -> None:
    group(opened, "Page visited").get_by_label("Value").fill("/offers")
    save(opened).click()
    expect(opened.get_by_text("Revision 2 was saved.")).to_be_visible()
    expected = json.loads(json.dumps(flow))
    expected["enrollmentCriteria"]["eventFilterBranches"][0]["filters"][0]["operation"]["value"] = "/offers"
    assert without_server_keys(portal.flow(flow["id"])) == without_server_keys(expected)


def test_changes_are_marked_in_the_description_and_can_be_undone(opened: Page) -> None:
    group(opened, "Page visited").get_by_label("Value").fill("/offers")
    expect(words(opened).locator("mark")).to_contain_text("/offers")
    expect(opened.get_by_text("Unsaved changes to revision 1")).to_be_visible()
    group(opened, "Page visited").get_by_label("Value").press("Control+z")
    expect(group(opened, "Page visited").get_by_label("Value")).to_have_value("/pricing")
    expect(save(opened)).to_be_disabled()
    opened.keyboard.press("Control+Shift+z")
    expect(group(opened, "Page visited").get_by_label("Value")).to_have_value("/offers")
    opened.get_by_role("button", name="Discard the changes").click()
    expect(opened.get_by_text("Revision 1", exact=True)).to_be_visible()


def test_changes_of_two_writers_are_put_together(
    opened: Page, portal: Portal, flow: dict[str, Any], problems: Problems
) -> None:
    problems.expect("409")
    portal.call("PUT", f"/automation/v4/flows/{flow['id']}", {**flow, "criteriaTolerance": 5})
    group(opened, "Page visited").get_by_label("Value").fill("/offers")
    save(opened).click()
    dialog = opened.get_by_role("dialog")
    expect(dialog).to_contain_text("You started from revision 1. Revision 2 was saved by")
    assert violations(opened) == []
    dialog.get_by_role("button", name="Put both together").click()
    expect(opened.get_by_label("Wait for late data")).to_have_value("5")
    expect(group(opened, "Page visited").get_by_label("Value")).to_have_value("/offers")
    assert portal.flow(flow["id"])["revisionId"] == "2"
    save(opened).click()
    expect(opened.get_by_text("Revision 3 was saved.")).to_be_visible()
    stored = portal.flow(flow["id"])
    operation = stored["enrollmentCriteria"]["eventFilterBranches"][0]["filters"][0]["operation"]
    assert (stored["criteriaTolerance"], operation["value"]) == (5, "/offers")


def test_part_that_both_writers_changed_needs_a_choice(
    opened: Page, portal: Portal, flow: dict[str, Any], problems: Problems
) -> None:
    problems.expect("409")
    portal.rename(flow["id"], "Their name")
    opened.get_by_role("textbox", name="Name of the flow").fill("My name")
    save(opened).click()
    dialog = opened.get_by_role("dialog")
    expect(dialog.get_by_role("button", name="Put both together")).to_be_disabled()
    dialog.get_by_role("button", name="Yours").click()
    dialog.get_by_role("button", name="Put both together").click()
    save(opened).click()
    expect(opened.get_by_text("Revision 3 was saved.")).to_be_visible()
    assert portal.flow(flow["id"])["name"] == "My name"


def test_change_of_the_trigger_type_says_what_is_removed_and_is_confirmed(
    page: Page, portal: Portal, problems: Problems
) -> None:
    problems.expect(REFUSED)
    document = {
        **without_server_keys(portal.flow("1022")),
        "name": "Filter-based, in a test",
        "isEnabled": False,
    }
    created = portal.call("POST", "/automation/v4/flows", document)
    try:
        open_flow(page, created["id"])
        page.get_by_role("button", name="Change trigger type").click()
        dialog = page.get_by_role("alertdialog")
        expect(dialog).to_contain_text("filters")
        expect(dialog).to_contain_text("No record is enrolled retroactively.")
        assert violations(page) == []
        dialog.get_by_role("button", name="Confirm").click()
        page.get_by_label("Search events").fill("page visited")
        page.keyboard.press("Enter")
        is_valid(page)
        save(page).click()
        expect(page.get_by_text("Revision 2 was saved.")).to_be_visible()
        criteria = portal.flow(created["id"])["enrollmentCriteria"]
        assert criteria["type"] == "EVENT_BASED"
        assert "listFilterBranch" not in criteria
    finally:
        portal.call("DELETE", f"/automation/v4/flows/{created['id']}")


def test_filter_based_flow_shows_its_criteria_and_re_enrollment_triggers(page: Page, problems: Problems) -> None:
    open_flow(page, "1022")
    expect(page.get_by_role("heading", name="Enroll a contact when it starts to meet")).to_be_visible()
    expect(group(page, "Filter group 1").get_by_label("Property").first).to_have_value("lifecyclestage")
    trigger = group(page, "Re-enrollment trigger 1")
    expect(trigger.get_by_label("Property").first).to_have_value("hs_name")
    is_valid(page)
    assert violations(page) == []


def test_manual_flow_has_no_triggers_and_no_preview(page: Page, problems: Problems) -> None:
    problems.expect(REFUSED)
    page.goto(f"{FLOWS}/new")
    page.get_by_role("radio", name=re.compile("By hand")).click()
    expect(page.get_by_label("Search events")).to_have_count(0)
    expect(page.get_by_text("A flow that is started by hand is triggered by no event.")).to_be_visible()
    is_valid(page)


def test_filters_need_a_trigger_first(page: Page, problems: Problems) -> None:
    problems.expect(REFUSED)
    page.goto(f"{FLOWS}/new")
    expect(page.get_by_text("Add a trigger first.")).to_be_visible()
    filters = page.get_by_role("region", name="And only enroll contact records that also meet")
    expect(filters.get_by_role("button")).to_have_count(0)
    assert violations(page) == []


def test_draft_equal_to_the_saved_revision_gains_and_loses_nothing(page: Page) -> None:
    open_flow(page, "1016")
    expect(page.locator("[data-count=gained]")).to_have_text("+0")
    expect(page.locator("[data-count=lost]")).to_have_text("−0")
    expect(page.locator("[data-count=same]")).not_to_have_text("0")


def test_preview_names_the_gained_records(opened: Page, portal: Portal, flow: dict[str, Any]) -> None:
    expect(opened.locator("[data-count=gained]")).to_have_text("+0")
    group(opened, "Filter group 1").get_by_role("button", name="Remove the filter").first.click()
    draft = json.loads(json.dumps(flow))
    del draft["enrollmentCriteria"]["refinementCriteria"]["filterBranches"][0]["filters"][0]
    impact = portal.call("POST", "/enrollment/v1/impact", {"flow": draft})["results"]
    gained = [row for row in impact if code(row["draft"]) == "ENROLLED" and code(row["saved"]) != "ENROLLED"]
    expect(opened.locator("[data-count=gained]")).to_have_text(f"+{len(gained)}")


def code(outcome: dict[str, Any] | None) -> str | None:
    return None if outcome is None else str(outcome["code"])


def test_draft_is_kept_over_a_reload(opened: Page) -> None:
    group(opened, "Page visited").get_by_label("Value").fill("/offers")
    is_valid(opened)
    opened.reload()
    expect(group(opened, "Page visited").get_by_label("Value")).to_have_value("/offers")
    expect(opened.get_by_text("Your unsaved changes from this browser are shown again.")).to_be_visible()
    opened.get_by_role("button", name="Discard the changes").click()
    expect(group(opened, "Page visited").get_by_label("Value")).to_have_value("/pricing")


def test_company_flow_does_not_offer_events_of_contacts(page: Page, problems: Problems) -> None:
    problems.expect(REFUSED)
    page.goto(f"{FLOWS}/new")
    page.get_by_role("combobox", name="Object").select_option("0-2")
    page.get_by_label("Search events").fill("page visited")
    expect(page.get_by_role("button", name=re.compile("Page visited"))).to_be_disabled()
    page.get_by_label("Search events").fill("property changed")
    expect(page.get_by_role("button", name=re.compile("crm.property_changed"))).to_be_enabled()


def test_draft_stays_if_saving_fails_and_can_be_saved_again(
    opened: Page, portal: Portal, flow: dict[str, Any], problems: Problems
) -> None:
    problems.expect("Failed to load resource|ERR_")
    group(opened, "Page visited").get_by_label("Value").fill("/offers")
    is_valid(opened)

    def fail(route: Route, request: Request) -> None:
        if request.method == "PUT":
            route.abort()
        else:
            route.continue_()

    opened.route("**/automation/v4/flows/*", fail)
    save(opened).click()
    expect(opened.get_by_text("The API did not answer.")).to_be_visible()
    opened.unroute("**/automation/v4/flows/*")
    save(opened).click()
    expect(opened.get_by_text("Revision 2 was saved.")).to_be_visible()
    assert portal.flow(flow["id"])["revisionId"] == "2"


def test_revisions_are_compared_and_restored(opened: Page, portal: Portal, flow: dict[str, Any]) -> None:
    group(opened, "Page visited").get_by_label("Value").fill("/offers")
    save(opened).click()
    expect(opened.get_by_text("Revision 2 was saved.")).to_be_visible()
    opened.get_by_role("link", name="Revisions").click()
    opened.get_by_label("Compare revision 1").check()
    opened.get_by_label("Compare revision 2").check()
    comparison = opened.get_by_role("region", name="From revision 1 to revision 2")
    expect(comparison).to_contain_text("/pricing")
    expect(comparison).to_contain_text("/offers")
    assert violations(opened) == []
    opened.get_by_role("row").filter(has=opened.get_by_label("Compare revision 1")).get_by_role(
        "button", name="Restore"
    ).click()
    expect(group(opened, "Page visited").get_by_label("Value")).to_have_value("/pricing")
    save(opened).click()
    expect(opened.get_by_text("Revision 3 was saved.")).to_be_visible()
    assert without_server_keys(portal.flow(flow["id"])) == without_server_keys(flow)


def test_json_can_be_imported_and_says_what_is_wrong(opened: Page, flow: dict[str, Any]) -> None:
    opened.get_by_role("link", name="JSON").click()
    content = opened.get_by_label("JSON of the draft")
    content.fill("{")
    expect(opened.get_by_role("alert")).to_contain_text("This is not JSON yet")
    with opened.expect_file_chooser() as chooser:
        opened.get_by_role("button", name="Import", exact=True).click()
    imported = json.dumps({**without_server_keys(flow), "name": "Imported", "x": 12345678901234567890}).encode()
    chooser.value.set_files({"name": "flow.json", "mimeType": "application/json", "buffer": imported})
    expect(opened.get_by_role("heading", level=1)).to_have_text("Imported")
    expect(content).to_have_value(re.compile("12345678901234567890"))
    assert violations(opened) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_editor_is_accessible(page: Page, theme: str) -> None:
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    open_flow(page, "1016")
    expect(page.locator("[data-count=gained]")).to_be_visible()
    assert violations(page) == []


def test_editor_does_not_scroll_sideways_on_a_small_screen(page: Page) -> None:
    width, height = PHONE
    page.set_viewport_size({"width": width, "height": height})
    open_flow(page, "1016")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate("document.querySelector('.steps').scrollWidth") <= width


@pytest.mark.parametrize("flow_id", [str(number) for number in range(1001, 1024)])
def test_flow_of_the_demonstration_opens_without_changes(page: Page, flow_id: str) -> None:
    open_flow(page, flow_id)
    is_valid(page)
    expect(save(page)).to_be_disabled()
    expect(page.get_by_text(re.compile(r"^Revision \d+$"))).to_be_visible()
