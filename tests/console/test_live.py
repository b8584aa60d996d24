"""The screen Live (checks L of the console's specification)."""

from __future__ import annotations

import itertools
import json
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from tests.console.axe import violations
from tests.console.conftest import Problems
from tests.console.event_bus import EventBus
from tests.console.portal import Portal

LIVE = "/console/live?types=forms.submitted,website.page_visited"
FORM = {"hs_form_id": "f-1"}
LONGEST_TASK_MS = 100
ANNOUNCED_EVERY_MS = 10_000


def rows(page: Page) -> Locator:
    return page.locator(".stream tbody tr")


def opened(page: Page, path: str = LIVE) -> Page:
    page.goto(path)
    expect(rows(page).first).to_be_visible()
    return page


def test_new_event_appears_once_on_top(page: Page, event_bus: EventBus) -> None:
    opened(page)
    form = f"form-{uuid4()}"
    event_bus.send("forms.submitted", {"hs_form_id": form})
    expect(rows(page).first).to_contain_text(form)
    page.wait_for_timeout(7_000)
    expect(rows(page).filter(has_text=form)).to_have_count(1)


def test_nothing_moves_while_paused(page: Page, event_bus: EventBus) -> None:
    opened(page)
    page.get_by_role("heading", level=1).click()
    page.keyboard.press("Space")
    expect(page.get_by_text("Paused")).to_be_visible()
    before = rows(page).first.inner_text()
    forms = [f"form-{uuid4()}" for _ in range(3)]
    for form in forms:
        event_bus.send("forms.submitted", {"hs_form_id": form})
    expect(page.get_by_text("Paused, 3 new")).to_be_visible()
    assert rows(page).first.inner_text() == before
    page.keyboard.press("Space")
    expect(rows(page).first).to_contain_text(forms[2])


def test_filter_by_decision_is_in_the_address(page: Page) -> None:
    opened(page, f"{LIVE}&code=FILTERED_OUT")
    expect(rows(page)).to_have_count(1)
    expect(rows(page)).to_contain_text("Chloé Martin")
    expect(page.get_by_role("button", name="Decision Filtered out")).to_be_visible()


def test_panel_shows_which_filters_passed_and_failed(page: Page) -> None:
    opened(page, f"{LIVE}&code=FILTERED_OUT")
    rows(page).get_by_role("button").click()
    panel = page.get_by_role("complementary", name="The selected event")
    expect(panel.get_by_role("treeitem").filter(has=page.locator(".found:not(.muted)"))).to_have_count(4)
    expect(panel.locator(".line.ok")).to_have_count(1)
    expect(panel.locator(".line.no .found:not(.muted)")).to_have_count(3)
    assert violations(page) == []
    page.get_by_role("heading", level=1).click()
    page.keyboard.press("Escape")
    expect(panel).to_have_count(0)


def test_hidden_page_sends_no_requests(page: Page) -> None:
    opened(page)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url) if "/activity" in request.url else None)
    page.evaluate(
        """Object.defineProperty(document, 'hidden', {get: () => true, configurable: true});
        document.dispatchEvent(new Event('visibilitychange'))"""
    )
    page.wait_for_timeout(1_000)
    requests.clear()
    page.wait_for_timeout(10_000)
    assert requests == []
    page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_timeout(4_000)
    assert requests != []


def test_events_that_are_too_many_to_list_are_counted(page: Page) -> None:
    opened(page)

    def flooded(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json={**answer.json(), "more": 975})

    page.route("**/enrollment/v1/activity?*", flooded)
    expect(page.get_by_text(re.compile(r"^\+9\d\d in this moment, which are not listed")).first).to_be_visible()


def flood(portal: Portal, more: int) -> Callable[[Route], None]:
    """Return a handler that answers each request with 25 events that occur now, and ``more`` that are only counted.

    The events are copies of the newest event of the API, so they have the decisions of a real event.
    """
    newest = portal.call("GET", "/enrollment/v1/activity?eventTypes=website.page_visited&decisions=true")["results"][0]

    def answered(route: Route) -> None:
        response = route.fetch()
        answer: dict[str, Any] = response.json()
        now = time.time()
        answer["results"] = [copy_of(newest, now - number / 1_000) for number in range(25)]
        minute = datetime.fromtimestamp(now // 60 * 60, UTC)
        answer |= {"more": more, "minutes": [{"start": iso(minute), "events": more + 25}]}
        route.fulfill(response=response, json=answer)

    return answered


def copy_of(recent: dict[str, Any], at: float) -> dict[str, Any]:
    event = {**recent["event"], "id": f"flood-{uuid4()}", "occurredAt": iso(datetime.fromtimestamp(at, UTC))}
    return {**recent, "event": event}


def iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def test_page_stays_responsive_while_a_thousand_events_arrive(page: Page, browser: Browser, portal: Portal) -> None:
    opened(page)
    browser.start_tracing(page=page, categories=["toplevel", "disabled-by-default-devtools.timeline"])
    page.route("**/enrollment/v1/activity?*", flood(portal, more=225))
    # Four answers of 25 listed and 225 counted events.
    page.wait_for_timeout(13_000)
    page.unroute("**/enrollment/v1/activity?*")
    trace = json.loads(browser.stop_tracing())
    expect(page.get_by_text(re.compile(r"^\+2\d\d in this moment, which are not listed")).first).to_be_visible()
    assert max(task_ms(trace, page)) < LONGEST_TASK_MS


def task_ms(trace: dict[str, Any], page: Page) -> list[float]:
    """Return the CPU time of each task of the page's main thread. The time on the clock depends on other processes."""
    threads = {
        (event["pid"], event["tid"])
        for event in trace["traceEvents"]
        if event["name"] == "thread_name" and event["args"]["name"] == "CrRendererMain"
    }
    tasks = [
        event
        for event in trace["traceEvents"]
        if event["name"].endswith("RunTask") and (event["pid"], event["tid"]) in threads and "tdur" in event
    ]
    assert tasks, "The browser traced no task."
    return [event["tdur"] / 1_000 for event in tasks]


def test_screen_reader_hears_at_most_one_summary_in_ten_seconds(page: Page, portal: Portal) -> None:
    opened(page)
    page.evaluate(
        """() => {
            window.announced = [];
            const regions = '[aria-live], [role=status], [role=alert]';
            new MutationObserver((changes) => {
                const heard = changes.map(({ target }) => target.parentElement?.closest(regions) ?? target)
                    .filter((target) => target instanceof Element && target.matches(regions));
                if (heard.length > 0) window.announced.push({ at: performance.now(), words: heard[0].textContent });
            }).observe(document.body, { childList: true, characterData: true, subtree: true });
        }"""
    )
    page.route("**/enrollment/v1/activity?*", flood(portal, more=0))
    page.wait_for_timeout(35_000)
    announced = page.evaluate("window.announced")
    assert len(announced) >= 2
    assert all(re.fullmatch(r"[\d,]+ new events, \d+ enrolled", one["words"]) for one in announced), announced
    times = [one["at"] for one in announced]
    # A timer of the browser can be early by a few milliseconds.
    assert all(after - before > ANNOUNCED_EVERY_MS - 500 for before, after in itertools.pairwise(times))


def test_failure_says_since_when_nothing_is_followed(page: Page, problems: Problems) -> None:
    problems.expect("ERR_FAILED")
    opened(page)
    page.route("**/enrollment/v1/activity?*", lambda route: route.abort())
    expect(page.get_by_text(re.compile("Not following since"))).to_be_visible()
    page.unroute("**/enrollment/v1/activity?*")
    expect(page.get_by_text("Following", exact=True)).to_be_visible(timeout=30_000)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_screen_is_accessible(page: Page, theme: str) -> None:
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    opened(page)
    assert violations(page) == []
