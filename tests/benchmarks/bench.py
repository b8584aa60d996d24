"""`make bench`: run the parts, print their tables, write the tables into the pages that have a place for them, and draw
the plots into docs/plots. `make bench ARGS="money at-size"` runs some of the parts.

A place in a page is `<!-- bench: <title of the table> -->` and, after it, `<!-- bench end -->`.
"""

import math
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.benchmarks import at_size, batches, counts, filter_based, matching, money, path, portals, timers
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
            cost.event,
            cost.calls,
            f"{cost.handler:.2f}",
            f"{cost.bare:.2f}",
            f"{cost.handler / cost.bare:.2f}",
            f"{cost.bare_that_logs:.2f}",
            f"{cost.handler / cost.bare_that_logs:.2f}",
        ]
        for cost in costs
    ]
    header = ["event", "AWS calls", "handler CPU, ms", "bare boto3", "ratio", "bare that logs", "ratio"]
    return Found([Table("An event beside a bare function that makes the same calls", header, rows)])


def _portals() -> Found:
    found = portals.run()
    rows = [
        [
            f"{row.portals:,}",
            f"{row.flows:,}",
            f"{row.kept:,}",
            f"{row.megabytes:.0f}",
            f"{row.hit:.0f}",
            "" if math.isnan(row.miss) else f"{row.miss:,.0f}",
        ]
        for row in found
    ]
    header = ["portals", "flows", "portals kept", "MB", "an event, kept, µs", "read anew, µs"]
    memory = Plot(
        "portals",
        "Flows kept in a warm function",
        "portals",
        "MB",
        {"memory": [(row.portals, row.megabytes) for row in found]},
        has_log_x=True,
    )
    return Found([Table("What a warm function keeps of many portals", header, rows)], [memory])


def _batches() -> Found:
    costs = batches.run()
    direct = {cost.burst: cost for cost in costs if cost.batch is None}
    rows = [
        [
            cost.burst,
            f"{cost.batch or 'direct'}",
            f"{cost.invocations:,}",
            f"{cost.cpu_ms:.2f}",
            f"{cost.events_a_second:,.0f}",
            f"{direct[cost.burst].cpu_ms / cost.cpu_ms:.1f} ×",
        ]
        for cost in costs
    ]
    header = ["burst", "batch", "invocations", "CPU an event, ms", "events a CPU second", "against direct"]
    curves = {
        burst: [(cost.batch, cost.cpu_ms) for cost in costs if cost.burst == burst and cost.batch is not None]
        for burst in direct
    }
    plot = Plot("batches", "CPU time of an event in a batch", "events in a batch", "ms", curves, has_log_x=True)
    return Found([Table("A burst, event by event and in batches", header, rows)], [plot])


def _counts() -> Found:
    """Count the calls. The parts that use the counts show them."""
    with embedded() as config:
        counts.count(config)
    return Found([])


def _filter_counts() -> Found:
    """Shown by ``money``."""
    with emulated_aws() as emulated:
        counts.count_filter_based(emulated.config)
    return Found([])


# The order matters: later parts compute with the counts.
PARTS: Mapping[str, Callable[[], Found]] = {
    "matching": matching.run,
    "filter-based": filter_based.run,
    "path": _path,
    "portals": _portals,
    "batches": _batches,
    "counts": _counts,
    "filter-based-counts": _filter_counts,
    "timers": timers.run,
    "money": money.run,
    "at-size": at_size.run,
}


def main(names: Sequence[str]) -> None:
    if unknown := set(names) - set(PARTS):
        raise SystemExit(f"no such part: {', '.join(sorted(unknown))}. There are: {', '.join(PARTS)}")
    print("\n".join(f"{name}: {value}" for name, value in machine().items()), flush=True)
    for name in names or PARTS:
        # Each part has its own process. Otherwise the garbage collector would spend time on objects of earlier parts.
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
    from tests.benchmarks.plots import draw  # imported on demand, because the import takes a second

    (DOCS / "plots").mkdir(exist_ok=True)
    for plot in found.plots:
        print(f"written: {draw(plot, DOCS / 'plots').relative_to(DOCS.parent)}")


if __name__ == "__main__":
    main(sys.argv[1:])
