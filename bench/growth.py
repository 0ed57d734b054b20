"""``growth``: the scenarios, the floor and the queries at growing numbers of stored runs."""

import shutil
from collections.abc import Sequence
from datetime import UTC, timedelta
from pathlib import Path

import attrs

from bench.figures import Measured
from bench.filling import START, STEP_MS, copy_database, filled_database
from bench.processes import run_worker, runsink_server
from bench.queries import QueryTask
from bench.scenarios import SCENARIOS
from bench.served import measure_floor, measure_served, scratch
from bench.throughput import Plan, say

FIGURES = (
    ("runs_per_second", "runs/s"),
    ("over_empty", "of smallest"),
    ("p50_ms", "p50 ms"),
    ("p99_ms", "p99 ms"),
    ("p99_over_p50", "p99/p50"),
    ("cpu_s_per_1000", "CPU s/1000"),
    ("peak_mib", "peak MiB"),
)
QUERY_FIGURES = tuple(
    (f"{kind}_{share}_ms", f"{heading} {share}")
    for kind, heading in (
        ("list_first", "first page"),
        ("list_deep", "deep page"),
        ("list_agent", "agent's page"),
        ("list_counted", "page and total"),
        ("lookup", "run_id"),
        ("roots", "roots"),
        ("roots_rollup", "roots, rolled up"),
        ("tree", "tree of 1,000"),
        ("rollup", "rollup of 1,000"),
        ("stats", "30 days"),
        ("stats_cost", "30 days, cost"),
        ("facets", "facets"),
        ("search", "search"),
    )
    for share in ("p50", "p99")
)
_FLOOR = "floor S2"
_QUERY_LIMIT_SECONDS = 600


@attrs.frozen
class GrowthPlan:
    """What to measure at which sizes; a copy is renewed when measuring has grown it by more than ``tolerance``."""

    plan: Plan
    sizes: Sequence[int]
    cache: Path
    queries: int
    tolerance: float


class GrowingCopy:
    """A copy of the database of one size, renewed before it grows too much."""

    def __init__(self, source: Path, size: int, directory: Path, tolerance: float) -> None:
        self._source = source
        self._size = size
        self._directory = directory
        self._spare = size * tolerance
        self._grown = float("inf")
        self.db = directory / "runs.db"

    def prepare(self) -> None:
        """Renew the copy if necessary for the next measurement."""
        if self._grown > self._spare:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory.mkdir()
            copy_database(self._source, self.db)
            self._grown = 0

    def grew(self, runs: int) -> None:
        """Note that this many runs were added."""
        self._grown += runs


def measure_growth(growth: GrowthPlan) -> tuple[Measured, Measured]:
    """Measure throughput and queries, each case once per size and repetition."""
    plan = growth.plan
    throughput, queries = Measured(), Measured()
    with scratch(plan.directory) as directory:
        copies = {
            size: GrowingCopy(filled_database(growth.cache, size), size, directory / str(size), growth.tolerance)
            for size in growth.sizes
        }
        for repetition in range(plan.repetitions):
            smallest: dict[str, float] = {}
            for name in [_FLOOR, *(case.name for case in plan.cases)]:
                for size, copy in copies.items():
                    say(repetition, plan.repetitions, case_name(name, size))
                    sample = _sample(growth, name, copy)
                    rate = sample["runs_per_second"]
                    sample["over_empty"] = rate / smallest.setdefault(name, rate)
                    throughput.add(case_name(name, size), sample)
            for size, copy in copies.items():
                if size:
                    say(repetition, plan.repetitions, f"queries, {size:,} stored")
                    queries.add(f"{size:,} stored", _queries(growth, size, copy))
    return throughput, queries


def case_name(name: str, size: int) -> str:
    """The name in the table."""
    return f"{name}, {size:,} stored"


def curves(growth: GrowthPlan, measured: Measured) -> dict[str, list[tuple[int, float, float, float]]]:
    """Return what to plot: by line, the size and the median, lowest and highest runs per second."""
    spreads = measured.spreads()
    lines: dict[str, list[tuple[int, float, float, float]]] = {}
    for name in [_FLOOR, *(case.name for case in growth.plan.cases)]:
        for size in growth.sizes:
            spread = spreads[case_name(name, size)]["runs_per_second"]
            lines.setdefault(name, []).append((size, spread.median, spread.low, spread.high))
    return lines


def _sample(growth: GrowthPlan, name: str, copy: GrowingCopy) -> dict[str, float]:
    plan = growth.plan
    copy.prepare()
    if name == _FLOOR:
        found = measure_floor(SCENARIOS["S2"], plan.timing, copy.db.parent, copy.db)
        copy.grew(found["stored"])
        return {figure: found[figure] for figure, _ in FIGURES if figure in found}
    case = next(case for case in plan.cases if case.name == name)
    figures, found = measure_served(case, plan.timing, copy.db, plan.options)
    copy.grew(found["created"])
    return figures


def _queries(growth: GrowthPlan, size: int, copy: GrowingCopy) -> dict[str, float]:
    copy.prepare()
    first = START.replace(tzinfo=UTC)
    last = first + timedelta(milliseconds=STEP_MS * size)
    with runsink_server(copy.db, growth.plan.options) as server:
        task = QueryTask(server.url, growth.queries, first.isoformat(), last.isoformat(), STEP_MS)
        return run_worker("queries", task, _QUERY_LIMIT_SECONDS)
