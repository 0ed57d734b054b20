"""Figures of several repetitions: median and spread, as tables and as JSON."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Self

import attrs

Sample = Mapping[str, float]
"""The figures of one repetition of one case, by name."""


@attrs.frozen
class Spread:
    """The median of some repetitions, and the lowest and highest of them."""

    median: float
    low: float
    high: float
    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Return the spread of at least one value."""
        return cls(statistics.median(values), min(values), max(values), tuple(values))

    def __str__(self) -> str:
        median, low, high = map(_number, (self.median, self.low, self.high))
        return median if low == high else f"{median} ({low}-{high})"


class Measured:
    """The figures of all repetitions, with the cases in the order of first appearance."""

    def __init__(self) -> None:
        self._samples: dict[str, list[Sample]] = {}

    def add(self, case: str, sample: Sample) -> None:
        """Add the figures of one repetition of a case."""
        self._samples.setdefault(case, []).append(sample)

    def spreads(self) -> dict[str, dict[str, Spread]]:
        """Return the spreads by case and figure; figures never measured are left out."""
        return {case: _spreads(samples) for case, samples in self._samples.items()}

    def as_json(self) -> dict[str, Any]:
        """Return everything, single repetitions included."""
        return {
            case: {figure: attrs.asdict(spread) for figure, spread in spreads.items()}
            for case, spreads in self.spreads().items()
        }

    def table(self, title: str, figures: Sequence[tuple[str, str]]) -> str:
        """Return one line per case; ``figures`` maps figures to headings. Empty columns are left out."""
        spreads = self.spreads()
        shown = [(name, heading) for name, heading in figures if any(name in case for case in spreads.values())]
        lines = [["", *(heading for _, heading in shown)]]
        lines += [
            [case, *(str(figures[name]) if name in figures else "-" for name, _ in shown)]
            for case, figures in spreads.items()
        ]
        return f"{title}\n\n{format_table(lines)}"


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least ``share`` of the values do not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def format_table(lines: Sequence[Sequence[str]]) -> str:
    """Return columns under headings, the first left-aligned and the others right-aligned."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    texts = [
        "  ".join(cell.rjust(width) if place else cell.ljust(width) for place, (cell, width) in enumerate(cells))
        for cells in (list(zip(line, widths, strict=True)) for line in lines)
    ]
    return "\n".join([texts[0], "-" * len(texts[0]), *texts[1:]])


def _spreads(samples: Sequence[Sample]) -> dict[str, Spread]:
    names = dict.fromkeys(name for sample in samples for name in sample)
    return {name: Spread.of([sample[name] for sample in samples if name in sample]) for name in names}


def _number(value: float) -> str:
    """Format a number with at least three digits, and few insignificant ones."""
    decimals = next((places for places, least in enumerate((100, 10, 1)) if abs(value) >= least), 3)
    return f"{value:,.{decimals}f}"
