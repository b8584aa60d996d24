"""The built files of the console."""

from __future__ import annotations

import gzip
import re

from tests.console.conftest import PROJECT

SITE = PROJECT / "build" / "console" / "site"

MOST_BYTES = 220 * 1024
"""JavaScript of the first load, gzipped."""


def test_first_load_is_small() -> None:
    page = (SITE / "index.html").read_text(encoding="utf-8")
    scripts = re.findall(r'(?:src|href)="/console/(assets/[^"]+\.js)"', page)
    assert scripts
    size = sum(len(gzip.compress((SITE / script).read_bytes())) for script in scripts)
    assert size <= MOST_BYTES, f"{size / 1024:.0f} KB in {len(scripts)} files"


def test_page_has_no_inline_script_or_style_and_no_address_of_another_host() -> None:
    page = re.sub(r"<!--.*?-->", "", (SITE / "index.html").read_text(encoding="utf-8"), flags=re.DOTALL)
    assert "<style" not in page
    assert not re.search(r"<script(?![^>]*\bsrc=)", page)
    assert not re.search(r'(?:src|href)="(?:https?:)?//', page)


def test_style_sheets_load_nothing_from_another_host() -> None:
    for sheet in SITE.rglob("*.css"):
        assert not re.search(r"url\(\s*['\"]?(?:https?:|//|data:)", sheet.read_text(encoding="utf-8")), sheet.name
