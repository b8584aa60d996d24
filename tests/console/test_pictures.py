"""The pictures of the documentation. Each is taken again and compared with the stored one, so that it stays true.

Times differ from run to run, so they are replaced with fixed text. To renew the pictures after a change of
the page, run: make browser ARGS="-k pictures --renew-pictures"
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

PICTURES = Path(__file__).resolve().parents[2] / "docs" / "pictures"

MAX_DIFFERENT_SHARE = 0.01
"""Of the pixels. Versions of a browser draw the edges of letters differently."""

FIX_TEXTS = """() => {
    for (const time of document.querySelectorAll('time')) time.textContent = '13:56:59';
    document.activeElement?.blur();
}"""

COUNT_DIFFERENT = """async ([stored, taken]) => {
    const pixels = async (content) => {
        const image = new Image();
        image.src = 'data:image/png;base64,' + content;
        await image.decode();
        const canvas = new OffscreenCanvas(image.width, image.height);
        const context = canvas.getContext('2d');
        context.drawImage(image, 0, 0);
        return context.getImageData(0, 0, image.width, image.height);
    };
    const [first, second] = [await pixels(stored), await pixels(taken)];
    if (first.width !== second.width || first.height !== second.height) return 1;
    let different = 0;
    for (let at = 0; at < first.data.length; at += 4) {
        const distance = Math.max(...[0, 1, 2].map((part) => Math.abs(first.data[at + part] - second.data[at + part])));
        if (distance > 64) different += 1;
    }
    return different / (first.width * first.height);
}"""


def record(page: Page) -> None:
    page.goto("/console/records/contact/103?flow=1016")
    expect(page.locator(".decision .line.no").first).to_be_visible()


def why_not(page: Page) -> None:
    page.goto("/console/why?record=contact/103&event=website-page-visited-by-customer")
    expect(page.get_by_role("table").first).to_be_visible()


def event(page: Page) -> None:
    page.goto("/console/events/forms-submitted")
    expect(page.locator(".station").first).to_be_visible()


VIEWS: dict[str, Callable[[Page], None]] = {"record": record, "why-not": why_not, "event": event}


@pytest.mark.parametrize("name", VIEWS)
def test_pictures_of_the_documentation_show_the_page(
    name: str, page: Page, context: BrowserContext, request: pytest.FixtureRequest
) -> None:
    VIEWS[name](page)
    page.wait_for_load_state("networkidle")
    page.evaluate(FIX_TEXTS)
    taken = page.screenshot(animations="disabled")
    path = PICTURES / f"console-{name}.png"
    if request.config.getoption("--renew-pictures"):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(taken)
        return
    contents = [base64.b64encode(content).decode() for content in (path.read_bytes(), taken)]
    blank = context.new_page()
    assert blank.evaluate(COUNT_DIFFERENT, contents) <= MAX_DIFFERENT_SHARE, (
        f"The page no longer looks like {path.name}. If that is right, run: "
        'make browser ARGS="-k pictures --renew-pictures"'
    )
