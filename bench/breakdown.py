"""``profile``: where the time of one batch of 1000 goes."""

from bench.figures import Measured
from bench.processes import run_worker
from bench.scenarios import SCENARIOS, Case
from bench.served import measure_floor, measure_fresh, measure_nothing, scratch
from bench.stages import STAGES, StagesTask
from bench.throughput import Plan, say

FIGURES = (("us_per_run", "µs/run"), ("share", "% of HTTP"), ("floor_us_per_run", "floor µs/run"))
_FLOOR_STAGES = {"decode and check": "decode", "insert": "insert", "begin and commit": "commit", "encode": "encode"}


def measure_stages(plan: Plan) -> Measured:
    """Measure the stages in one process, the whole over HTTP, the floor's stages and an idle aiohttp, interleaved."""
    measured = Measured()
    s2 = SCENARIOS["S2"]
    for repetition in range(plan.repetitions):
        say(repetition, plan.repetitions, "stages, HTTP, floor, aiohttp doing nothing")
        floor = measure_floor(s2, plan.timing, plan.directory)
        stages = _stages(plan)
        total = _microseconds(measure_fresh(Case(s2, "lenient", "full"), plan.timing, plan.directory, plan.options))
        nothing = _microseconds(measure_nothing(Case(s2, "lenient", "minimal"), plan.timing, plan.directory))
        for stage in STAGES:
            sample = {"us_per_run": stages[stage], "share": stages[stage] * 100 / total}
            if stage in _FLOOR_STAGES:
                sample["floor_us_per_run"] = floor["stages_us"][_FLOOR_STAGES[stage]]
            measured.add(stage, sample)
        rest = total - sum(stages.values())
        measured.add("HTTP and threads: the rest", {"us_per_run": rest, "share": rest * 100 / total})
        whole = {"us_per_run": total, "share": 100.0, "floor_us_per_run": sum(floor["stages_us"].values())}
        measured.add("whole, over HTTP", whole)
        measured.add("(aiohttp doing nothing)", {"us_per_run": nothing, "share": nothing * 100 / total})
    return measured


def _stages(plan: Plan) -> dict[str, float]:
    timing, s2 = plan.timing, SCENARIOS["S2"]
    with scratch(plan.directory) as directory:
        task = StagesTask(
            db=str(directory / "runs.db"),
            batch_runs=s2.batch_runs,
            seconds=timing.seconds,
            warmup=timing.warmup,
            runs_prepared=s2.runs_for(timing.seconds + timing.warmup),
        )
        return run_worker("stages", task, timing.limit)


def _microseconds(figures: dict[str, float]) -> float:
    return 1e6 / figures["runs_per_second"]
