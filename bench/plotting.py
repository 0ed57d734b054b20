"""The plot of runs per second against the size of the database."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

Point = tuple[int, float, float, float]
"""A size and the median, lowest and highest runs per second."""


def plot_growth(lines: Mapping[str, Sequence[Point]], path: Path) -> None:
    """Plot one line per case, its spread as bars, over equidistant sizes."""
    figure = Figure(figsize=(9, 5.5), layout="constrained")
    axes = figure.subplots()
    sizes = sorted({point[0] for points in lines.values() for point in points})
    for name, points in lines.items():
        ordered = sorted(points)
        medians = [median for _, median, _, _ in ordered]
        below = [median - low for _, median, low, _ in ordered]
        above = [high - median for _, median, _, high in ordered]
        places = [sizes.index(size) for size, *_ in ordered]
        style = "--" if name.startswith("floor") else "-"
        axes.errorbar(places, medians, yerr=(below, above), label=name, marker="o", capsize=3, linestyle=style)
    axes.set_xticks(range(len(sizes)), [f"{size:,}" for size in sizes])
    axes.set_xlabel("runs stored before")
    axes.set_ylabel("runs per second: median, lowest to highest")
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    axes.set_title("runsink: throughput against database size")
    figure.savefig(path, dpi=120)
