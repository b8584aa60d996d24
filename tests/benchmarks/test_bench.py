"""The driver of the benchmarks, and the tables in the pages."""

from pathlib import Path

import pytest

from tests.benchmarks import at_size, money
from tests.benchmarks.bench import DOCS, in_place, main, write
from tests.benchmarks.counts import kinds
from tests.benchmarks.tables import Table

TABLE = Table("Sums", ["a", "b"], [["1", "2"]])


def test_table_is_written_into_its_place_in_a_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "before\n<!-- bench: Sums -->\nold\n<!-- bench end -->\n<!-- bench: Others -->\nkept\n<!-- bench end -->\n"
    )
    write([TABLE], tmp_path)
    assert page.read_text() == (
        "before\n<!-- bench: Sums -->\n\n**Sums**\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n\n<!-- bench end -->\n"
        "<!-- bench: Others -->\nkept\n<!-- bench end -->\n"
    )


def test_unknown_part_is_rejected_before_any_part_runs() -> None:
    with pytest.raises(SystemExit, match="no such part: mony"):
        main(["money", "mony"])


def test_pages_have_the_computed_tables() -> None:
    costs = (DOCS / "costs.md").read_text(encoding="utf-8")
    size = (DOCS / "at-size.md").read_text(encoding="utf-8")
    counted = kinds()
    for page, tables in (
        (costs, money.run().tables),
        (size, [at_size._limits(counted), at_size._needed(counted)]),
    ):
        for table in tables:
            assert f"<!-- bench: {table.title} -->" in page
            assert in_place(page, table) == page, f"{table.title}: make bench ARGS='money at-size'"
