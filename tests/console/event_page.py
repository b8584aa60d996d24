"""The screen of an event that may not have arrived yet."""

from __future__ import annotations

from playwright.sync_api import Page, expect

ATTEMPTS = 30


def look_again_until_found(page: Page) -> None:
    """Press the button that looks for the event again, until it is kept or unprocessed."""
    found, again = page.locator(".station"), page.get_by_role("button", name="Look again")
    for _ in range(ATTEMPTS):
        expect(found.first.or_(again)).to_be_visible()
        if found.count() > 0:
            return
        again.click()
        page.wait_for_timeout(1_000)
    raise AssertionError("The event was not found.")
