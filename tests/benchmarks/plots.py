"""Plots as SVG. The same data gives the same file."""

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from tests.benchmarks.tables import Plot

# Without these settings each file would have its own identifiers and date.
mpl.rcParams.update({"svg.hashsalt": "enroll", "svg.fonttype": "none", "font.size": 9})
NO_DATE = {"Date": None, "Creator": None}


def draw(plot: Plot, folder: Path) -> Path:
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for name, points in plot.curves.items():
        axes.plot([x for x, _ in points], [y for _, y in points], label=name, marker="." if len(points) < 30 else "")
    axes.set(title=plot.title, xlabel=plot.x, ylabel=plot.y)
    axes.set_xscale("log" if plot.has_log_x else "linear")
    axes.set_yscale("log" if plot.has_log_y else "linear")
    if not plot.has_log_y:
        axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    path = folder / f"{plot.name}.svg"
    figure.savefig(path, metadata=NO_DATE)
    return path
