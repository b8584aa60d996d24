"""`make bench`: runs the parts, prints their tables, writes these into the pages that have a place for them, and draws
the plots into docs/plots. `make bench ARGS="money at-size"` runs some of them.

A place in a page is `<!-- bench: <title of the table> -->` and, after it, `<!-- bench end -->`.
"""

import math
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.benchmarks import at_size, batches, counts, filter_based, matching, money, path, portals
from tests.benchmarks.machine import machine
from tests.benchmarks.measure import embedded
from tests.benchmarks.tables import Found, Plot, Table
from tests.support.emulated import emulated_aws

DOCS = Path(__file__).parents[2] / "docs"


def _path() -> Found:
    with embedded() as config:
        costs = path.costs(config)
    rows = [
        [
            one.event,
            one.calls,
            f"{one.handler:.2f}",
            f"{one.bare:.2f}",
            f"{one.handler / one.bare:.2f}",
            f"{one.bare_that_logs:.2f}",
            f"{one.handler / one.bare_that_logs:.2f}",
        ]
        for one in costs
    ]
    header = ["event", "AWS calls", "handler CPU, ms", "bare boto3", "ratio", "bare that logs", "ratio"]
    return Found([Table("An event beside a bare function that makes the same calls", header, rows)])


def _portals() -> Found:
    found = portals.run()
    rows = [
        [
            f"{one.portals:,}",
            f"{one.flows:,}",
            f"{one.kept:,}",
            f"{one.megabytes:.0f}",
            f"{one.hit:.0f}",
            "" if math.isnan(one.miss) else f"{one.miss:,.0f}",
        ]
        for one in found
    ]
    header = ["portals", "flows", "portals kept", "MB", "an event, kept, µs", "read anew, µs"]
    memory = Plot(
        "portals",
        "Flows kept in a warm function",
        "portals",
        "MB",
        {"memory": [(one.portals, one.megabytes) for one in found]},
        has_log_x=True,
    )
    return Found([Table("What a warm function keeps of many portals", header, rows)], [memory])


def _batches() -> Found:
    costs = batches.run()
    direct = {one.burst: one for one in costs if one.batch is None}
    rows = [
        [
            one.burst,
            f"{one.batch or 'direct'}",
            f"{one.invocations:,}",
            f"{one.cpu_ms:.2f}",
            f"{one.events_a_second:,.0f}",
            f"{direct[one.burst].cpu_ms / one.cpu_ms:.1f} ×",
        ]
        for one in costs
    ]
    header = ["burst", "batch", "invocations", "CPU an event, ms", "events a CPU second", "against direct"]
    curves = {
        burst: [(one.batch, one.cpu_ms) for one in costs if one.burst == burst and one.batch is not None]
        for burst in direct
    }
    plot = Plot("batches", "CPU time of an event in a batch", "events in a batch", "ms", curves, has_log_x=True)
    return Found([Table("A burst, event by event and in batches", header, rows)], [plot])


def _counts() -> Found:
    """Shown by the parts that compute with them."""
    with embedded() as config:
        counts.count(config)
    return Found([])


def _filter_counts() -> Found:
    """Shown by ``money``."""
    with emulated_aws() as emulated:
        counts.count_filter_based(emulated.config)
    return Found([])


# In this order: the counts are what the parts after them compute with.
PARTS: Mapping[str, Callable[[], Found]] = {
    "matching": matching.run,
    "filter-based": filter_based.run,
    "path": _path,
    "portals": _portals,
    "batches": _batches,
    "counts": _counts,
    "filter-based-counts": _filter_counts,
    "money": money.run,
    "at-size": at_size.run,
}


def main(names: Sequence[str]) -> None:
    if unknown := set(names) - set(PARTS):
        raise SystemExit(f"no such part: {', '.join(sorted(unknown))}. There are: {', '.join(PARTS)}")
    print("\n".join(f"{name}: {value}" for name, value in machine().items()), flush=True)
    for name in names or PARTS:
        # In a process of its own: what a part leaves in memory would have the collector take the time of the next.
        code = f"from tests.benchmarks.bench import run; run({name!r})"
        subprocess.run([sys.executable, "-c", code], check=True)


def run(name: str) -> None:
    found = PARTS[name]()
    print(f"\n# {name}\n")
    for table in found.tables:
        print(f"{table.markdown()}\n")
    write(found.tables)
    _draw(found)


def write(tables: Sequence[Table], folder: Path = DOCS) -> None:
    for page in sorted(folder.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        written = text
        for table in tables:
            written = in_place(written, table)
        if written != text:
            page.write_text(written, encoding="utf-8")


def in_place(text: str, table: Table) -> str:
    begins, ends = f"<!-- bench: {table.title} -->", "<!-- bench end -->"
    place = re.compile(f"{re.escape(begins)}.*?{re.escape(ends)}", re.DOTALL)
    return place.sub(lambda _: f"{begins}\n\n{table.markdown()}\n\n{ends}", text)


def _draw(found: Found) -> None:
    if not found.plots:
        return
    from tests.benchmarks.plots import draw  # only where there is one to draw: it takes a second to import

    (DOCS / "plots").mkdir(exist_ok=True)
    for plot in found.plots:
        print(f"written: {draw(plot, DOCS / 'plots').relative_to(DOCS.parent)}")


if __name__ == "__main__":
    main(sys.argv[1:])
