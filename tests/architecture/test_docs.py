"""Checks that the strict build of the documentation site (`make docs`) does not make."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
RECORDS = sorted((DOCS / "decisions").glob("0*.md"))
INDEX = (DOCS / "decisions" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("record", RECORDS, ids=lambda path: path.stem)
def test_decision_index_states_number_title_status_and_date(record: Path) -> None:
    text = record.read_text(encoding="utf-8")
    heading = re.match(r"# (\d+)\. (.+)\n\n\*\*Status\.\*\* Accepted, (\d{4}-\d\d-\d\d)\.", text)
    assert heading, f"{record.name}: expected a title, then a line such as **Status.** Accepted, 2026-11-24."
    number, title, date = heading.groups()
    extended = ", ".join(re.findall(r"Extended by|\[decision (\d+)\]", text.partition("\n\n**Context")[0]))
    row = re.search(rf"^\| \[{number}\]\({record.name}\) \| (.+) \| (.+) \| (.+) \|$", INDEX, re.MULTILINE)
    assert row, f"decisions/README.md: add a row for decision {number}"
    assert (row[1], row[3]) == (title, date)
    assert re.findall(r"\d+", row[2]) == re.findall(r"\d+", extended)


@pytest.mark.parametrize("page", sorted(DOCS.glob("**/*.md")), ids=lambda path: path.stem)
def test_diagrams_have_no_semicolon(page: Path) -> None:
    """Mermaid reads a semicolon as the end of a statement, and then shows an error in place of the diagram."""
    for diagram in re.findall(r"```mermaid\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        assert ";" not in diagram


def test_code_of_the_examples_is_quoted_as_it_is_in_its_file() -> None:
    """docs/consumers.md shows parts of files that tests/consumers runs."""
    text = (DOCS / "consumers.md").read_text(encoding="utf-8")
    quotes = re.findall(r"<!-- (examples/[\w.]+) -->\n\n```\w+\n(.*?)\n```", text, re.DOTALL)
    assert len(quotes) == text.count("<!-- examples/") == 5
    for file, quote in quotes:
        assert quote in (DOCS / file).read_text(encoding="utf-8"), f"docs/consumers.md: not as in docs/{file}"
