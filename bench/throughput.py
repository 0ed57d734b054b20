"""``floor`` and ``http``: the scenarios against an empty database, with the floor between them."""

from collections.abc import Sequence
from pathlib import Path

import attrs

from bench.figures import Measured
from bench.processes import Server
from bench.scenarios import FLOOR_OF, SCENARIOS, Case
from bench.served import Timing, measure_at, measure_floor, measure_fresh, measure_nothing

FIGURES = (
    ("runs_per_second", "runs/s"),
    ("over_floor", "of floor"),
    ("p50_ms", "p50 ms"),
    ("p99_ms", "p99 ms"),
    ("p99_over_p50", "p99/p50"),
    ("cpu_s_per_1000", "CPU s/1000"),
    ("idle_mib", "idle MiB"),
    ("peak_mib", "peak MiB"),
    ("disk_bytes_per_run", "disk B/run"),
    ("disk_over_json", "disk/JSON"),
)


@attrs.frozen
class Plan:
    """What to measure, how often and where; ``server`` is a running one."""

    names: Sequence[str]
    cases: Sequence[Case]
    repetitions: int
    timing: Timing
    directory: Path
    server: Server | None = None
    options: tuple[str, ...] = ()
    nothing: bool = False


def measure_floors(plan: Plan) -> Measured:
    """Measure only the floor of each scenario."""
    measured = Measured()
    for repetition in range(plan.repetitions):
        for name in _floors(plan.names):
            say(repetition, plan.repetitions, f"floor {name}")
            measured.add(f"floor {name}", _floor(plan, name))
    return measured


def measure_http(plan: Plan) -> Measured:
    """Measure all cases once per repetition, each scenario's right after its floor."""
    measured = Measured()
    for repetition in range(plan.repetitions):
        floors: dict[str, float] = {}
        for name in plan.names:
            floor = FLOOR_OF.get(name)
            if floor is not None and floor not in floors:
                say(repetition, plan.repetitions, f"floor {floor}")
                sample = _floor(plan, floor)
                measured.add(f"floor {floor}", sample)
                floors[floor] = sample["runs_per_second"]
            for case in plan.cases:
                if case.scenario.name == name:
                    say(repetition, plan.repetitions, case.name)
                    measured.add(case.name, _against(_sample(plan, case), floors.get(floor or "")))
            if plan.nothing:
                case = Case(SCENARIOS[name], "lenient", "minimal")
                say(repetition, plan.repetitions, f"{name} aiohttp doing nothing")
                measured.add(f"{name} aiohttp doing nothing", measure_nothing(case, plan.timing, plan.directory))
    return measured


def say(repetition: int, repetitions: int, what: str) -> None:
    """Print the progress."""
    print(f"  [{repetition + 1}/{repetitions}] {what}", flush=True)


def _floors(names: Sequence[str]) -> Sequence[str]:
    return list(dict.fromkeys(FLOOR_OF[name] for name in names if name in FLOOR_OF))


def _floor(plan: Plan, name: str) -> dict[str, float]:
    found = measure_floor(SCENARIOS[name], plan.timing, plan.directory)
    return {figure: found[figure] for figure, _ in FIGURES if figure in found}


def _sample(plan: Plan, case: Case) -> dict[str, float]:
    if plan.server is None:
        return measure_fresh(case, plan.timing, plan.directory, plan.options)
    figures: dict[str, float] = measure_at(plan.server, case, plan.timing)["figures"]
    return figures


def _against(sample: dict[str, float], floor: float | None) -> dict[str, float]:
    return sample | {"over_floor": sample["runs_per_second"] / floor} if floor else sample
