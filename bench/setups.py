"""``setups``: the same scenarios against servers that are set up differently, side by side in each repetition."""

import shlex
from collections.abc import Sequence
from typing import Self

import attrs
from figures import Measured
from served import measure_fresh
from throughput import Plan, say

FIGURES = (
    ("runs_per_second", "runs/s"),
    ("over_first", "of first"),
    ("p50_ms", "p50 ms"),
    ("p99_ms", "p99 ms"),
    ("cpu_s_per_1000", "CPU s/1000"),
    ("peak_mib", "peak MiB"),
)


@attrs.frozen
class Setup:
    """A name, and the options of ``runsink serve`` that it stands for."""

    name: str
    options: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Of ``NAME`` or ``NAME: OPTIONS``."""
        name, _, options = text.partition(":")
        return cls(name.strip(), tuple(shlex.split(options)))


def measure_setups(plan: Plan, setups: Sequence[Setup]) -> Measured:
    """Every case against a new server of each setup, held against the first of them."""
    measured = Measured()
    for repetition in range(plan.repetitions):
        for case in plan.cases:
            first = None
            for setup in setups:
                name = f"{case.name}, {setup.name}"
                say(repetition, plan.repetitions, name)
                sample = measure_fresh(case, plan.timing, plan.directory, (*plan.options, *setup.options))
                first = first or sample["runs_per_second"]
                measured.add(name, sample | {"over_first": sample["runs_per_second"] / first})
    return measured
