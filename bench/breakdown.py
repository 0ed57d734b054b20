"""``profile``: where the time of one batch of 1000 goes, when it is new and when it is sent again."""

from bench.figures import Measured
from bench.processes import run_worker
from bench.scenarios import SCENARIOS, Case, Scenario
from bench.served import measure_floor, measure_fresh, measure_nothing, scratch
from bench.stages import STAGES, StagesTask
from bench.throughput import Plan, say

FIGURES = (("us_per_run", "µs/run"), ("share", "% of HTTP"), ("floor_us_per_run", "floor µs/run"))
_SCENARIOS = (SCENARIOS["S2"], SCENARIOS["S5"])
_FLOOR_STAGES = {
    "decode and check": "decode",
    "look up, insert or read": "insert",
    "begin and commit": "commit",
    "encode": "encode",
}


def measure_stages(plan: Plan) -> Measured:
    """Measure the stages in one process, the whole over HTTP, the floor's stages and an idle aiohttp, interleaved."""
    measured = Measured()
    for repetition in range(plan.repetitions):
        for scenario in _SCENARIOS:
            say(repetition, plan.repetitions, f"{scenario.name}: stages, HTTP, floor, aiohttp doing nothing")
            _measure(scenario, plan, measured)
    return measured


def _measure(scenario: Scenario, plan: Plan, measured: Measured) -> None:
    floor = measure_floor(scenario, plan.timing, plan.directory)
    stages = _stages(scenario, plan)
    total = _microseconds(measure_fresh(Case(scenario, "lenient", "full"), plan.timing, plan.directory, plan.options))
    nothing = _microseconds(measure_nothing(Case(scenario, "lenient", "minimal"), plan.timing, plan.directory))

    def add(name: str, microseconds: float, **figures: float) -> None:
        share = microseconds * 100 / total
        measured.add(f"{scenario.name} {name}", {"us_per_run": microseconds, "share": share, **figures})

    for stage in STAGES:
        beside = {"floor_us_per_run": floor["stages_us"][_FLOOR_STAGES[stage]]} if stage in _FLOOR_STAGES else {}
        add(stage, stages[stage], **beside)
    add("HTTP and threads: the rest", total - sum(stages.values()))
    add("whole, over HTTP", total, floor_us_per_run=sum(floor["stages_us"].values()))
    add("(aiohttp doing nothing)", nothing)


def _stages(scenario: Scenario, plan: Plan) -> dict[str, float]:
    timing = plan.timing
    with scratch(plan.directory) as directory:
        task = StagesTask(
            db=str(directory / "runs.db"),
            batch_runs=scenario.batch_runs,
            repeated=scenario.repeated,
            seconds=timing.seconds,
            warmup=timing.warmup,
            runs_prepared=scenario.runs_for(timing.seconds + timing.warmup),
        )
        return run_worker("stages", task, timing.limit)


def _microseconds(figures: dict[str, float]) -> float:
    return 1e6 / figures["runs_per_second"]
