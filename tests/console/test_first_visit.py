"""What a new user does first: send the event of the README, see it arrive, and ask why a contact was not enrolled."""

from __future__ import annotations

import os
import re
import shlex
import subprocess

from playwright.sync_api import Page, expect

from tests.console.conftest import PROJECT
from tests.console.event_bus import EventBus

COMMAND = re.compile(r"^(enroll trigger [^#]*)", re.MULTILINE)


def sent_by_the_readme(event_bus: EventBus, api: str) -> str:
    """Run the README's command that sends an event, against the local run. Return the event's ID."""
    (command,) = COMMAND.findall((PROJECT / "README.md").read_text(encoding="utf-8"))
    settings = {
        "AWS_ENDPOINT_URL": event_bus.aws_url,
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "ENROLL_API": api,
        "ENROLL_PORTAL": "demo",
    }
    program, *arguments = shlex.split(command)
    output = subprocess.run(
        [str(PROJECT / ".venv" / "bin" / program), *arguments],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout
    (event_id,) = re.findall(r"Sent 1 of 1 events: (\S+)\.", output)
    return str(event_id)


def test_new_user_sees_the_event_of_the_readme_arrive_and_opens_its_record(
    page: Page, local_run: str, event_bus: EventBus
) -> None:
    page.goto("/console/")
    page.get_by_role("navigation").get_by_role("link", name="Live").click()
    newest = page.locator(".stream tbody tr").first
    expect(newest).to_be_visible()
    before = newest.inner_text()

    event_id = sent_by_the_readme(event_bus, local_run)

    expect(newest).not_to_have_text(before, use_inner_text=True)
    expect(newest).to_contain_text("contact/101")
    newest.get_by_role("button").click()
    panel = page.get_by_role("complementary", name="The selected event")
    expect(panel).to_contain_text(event_id)
    expect(panel).to_contain_text("Answer demo requests")
    expect(panel).to_contain_text("Enrolled")
    panel.locator("a[href*='/console/records/']").first.click()
    expect(page.locator(".record-head")).to_contain_text("contact/101")


def test_new_user_finds_in_three_actions_from_an_email_which_filter_kept_a_contact_out(page: Page) -> None:
    page.goto("/console/records")
    find = page.get_by_label("Find a record")
    expect(find).to_be_visible()
    # The first action: the address. The second: Enter. The third is not needed, because the card is open.
    find.fill("chloe.martin@example.com")
    find.press("Enter")
    card = page.locator(".decision", has=page.get_by_role("button", name=re.compile("Looked at prices")))
    failed = card.locator(".line.no .found").filter(has_text=re.compile(r"\S"))
    expect(failed).to_have_text(["customer", "France", "20"])
