"""``setups``, ``engines`` and ``metrics``: the same scenarios against servers with different options, side by side."""

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Self

import attrs

from bench.figures import Measured
from bench.served import measure_served, scratch
from bench.throughput import Plan, say
from tests.postgres import new_schema, running_engine

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
    """A name, its options of ``runsink serve``, whether it uses PostgreSQL, and whether it counts its metrics."""

    name: str
    options: tuple[str, ...]
    postgres: bool = False
    watched: bool = True

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``NAME`` or ``NAME: OPTIONS``."""
        name, _, options = text.partition(":")
        return cls(name.strip(), tuple(shlex.split(options)))


WORKERS = (Setup("one worker", ()), Setup("two workers", ("--workers", "2")))
ENGINES = (
    Setup("SQLite", ()),
    Setup("SQLite, three processes", ("--workers", "3")),
    Setup("PostgreSQL", (), postgres=True),
    Setup("PostgreSQL, three processes", ("--workers", "3"), postgres=True),
)
METRICS = (Setup("without metrics", (), watched=False), Setup("with metrics", ()))


def measure_engines(plan: Plan, url: str | None) -> Measured:
    """Return SQLite and PostgreSQL, at the URL or started for the benchmark, each with one process and with three."""
    if url is not None:
        return measure_setups(plan, ENGINES, url)
    with running_engine() as engine:
        return measure_setups(plan, ENGINES, engine.url)


def measure_setups(plan: Plan, setups: Sequence[Setup], postgres: str = "") -> Measured:
    """Measure every case against a new server of each setup, with an empty store, relative to the first setup.

    Every other repetition goes through the setups backwards, so that none gains by its place.
    """
    measured = Measured()
    for repetition in range(plan.repetitions):
        for case in plan.cases:
            samples = {}
            for setup in setups[:: -1 if repetition % 2 else 1]:
                say(repetition, plan.repetitions, f"{case.name}, {setup.name}")
                with scratch(plan.directory) as directory, _store_of(setup, postgres) as store:
                    options = (*plan.options, *setup.options, *store)
                    samples[setup], _ = measure_served(
                        case, plan.timing, directory / "runs.db", options, watched=setup.watched
                    )
            first = samples[setups[0]]["runs_per_second"]
            for setup in setups:
                sample = samples[setup]
                measured.add(f"{case.name}, {setup.name}", {**sample, "over_first": sample["runs_per_second"] / first})
    return measured


@contextmanager
def _store_of(setup: Setup, postgres: str) -> Iterator[tuple[str, ...]]:
    """Return the name of an empty store, if not the usual file."""
    if not setup.postgres:
        yield ()
        return
    with new_schema(postgres) as url:
        yield ("--db", url)
