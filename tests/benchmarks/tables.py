"""Results of the benchmarks as data. The driver prints the tables and draws the plots."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""

    def markdown(self) -> str:
        lines = [f"| {' | '.join(row)} |" for row in (self.header, ["---"] * len(self.header), *self.rows)]
        return "\n".join([f"**{self.title}**", "", *lines, *(["", self.note] if self.note else [])])


@dataclass(frozen=True)
class Plot:
    """``name``: of its file in docs/plots. ``curves``: points by the name of the curve."""

    name: str
    title: str
    x: str
    y: str
    curves: Mapping[str, Sequence[tuple[float, float]]]
    has_log_x: bool = False
    has_log_y: bool = False


@dataclass(frozen=True)
class Found:
    tables: Sequence[Table]
    plots: Sequence[Plot] = ()
