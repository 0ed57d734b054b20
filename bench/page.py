"""``page``: what the web page costs a browser, and what a page that polls costs the server.

Everything in the browser is measured next to a baseline: the first paint next to that of an empty page from a server
that is otherwise the same, and a launch of 10,000 runs next to one of 1,000.
"""

import http.client
import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread
from time import monotonic, sleep
from typing import Final
from urllib.parse import urlsplit

import orjson

from bench.bodies import batch_body, make_bodies, make_ids, make_pool
from bench.client import LoadError, Target, connections, fetch
from bench.figures import Measured, Sample
from bench.processes import ProcessError, Server, run_worker, runsink_server
from bench.scenarios import SCENARIOS, Case
from bench.served import measure_at, scratch
from bench.throughput import Plan, say
from bench.visits import VisitsTask

FIGURES = (
    ("first_paint_ms", "first paint ms"),
    ("over_empty", "of empty page"),
    ("script_ms", "script ms"),
    ("over_small", "of 1,000 runs"),
    ("elements", "elements"),
    ("step_p50_ms", "step p50 ms"),
    ("step_p95_ms", "step p95 ms"),
    ("runs_per_second", "runs/s"),
    ("over_alone", "of alone"),
    ("cpu_s_per_1000", "CPU s/1000"),
)

SIZES: Final = (1000, 10_000)
"""The runs of the launches; the first is the baseline."""

_BATCH_RUNS: Final = 1000
_CHILDREN: Final = 8
_BROWSERS: Final = 3
"""Browsers that are tried in a repetition, until one responds."""

_VISITS_SECONDS: Final = 300
"""How long a browser may take for each part of a repetition: several times what it takes on a busy machine."""

_SETTLE_SECONDS: Final = 0.3

_UPLOADS: Final = ("runs_per_second", "cpu_s_per_1000")
_CASE: Final = Case(SCENARIOS["S2"], "lenient", "minimal")
_POLL_SECONDS: Final = 2.0
_POLLED: Final = (
    "runs?roots=true&limit=1&fields=summary",
    "runs?roots=true&limit=50&fields=summary,input_summary,output_summary",
    "runs?roots=true&limit=50&fields=summary,input_summary,output_summary&rollup=true",
    "stats?roots=true&bucket=21600&metrics=cost_usd,total_tokens",
    "facets?roots=true&fields=status,agent_name,git_repo",
)
"""What the page of launches asks for; the others only if the first has changed."""


def measure_page(plan: Plan) -> Measured:
    """Measure the pages in a browser, then uploads alone and beside a page that polls, once each per repetition."""
    measured = Measured()
    for repetition in range(plan.repetitions):
        say(repetition, plan.repetitions, "first paints and launches")
        for name, sample in _measure_pages(plan):
            measured.add(name, sample)
    for repetition in range(plan.repetitions):
        _measure_polling(plan, repetition, measured)
    return measured


def _measure_pages(plan: Plan) -> Sequence[tuple[str, Sample]]:
    """Return what a new browser finds at new servers, or other ones if it does not respond in time.

    Raises:
        ProcessError: none of them responded.
    """
    for attempt in range(1, _BROWSERS + 1):
        try:
            return _visit(plan)
        except ProcessError as error:
            print(f"  browser {attempt} of {_BROWSERS} did not respond: {error}", flush=True)
    raise ProcessError(f"none of {_BROWSERS} browsers responded")


def _visit(plan: Plan) -> Sequence[tuple[str, Sample]]:
    with scratch(plan.directory) as directory, _servers(plan, directory) as servers:
        visits = _fill(*servers)
        return [found for kind, task in visits.items() for found in run_worker(kind, task, _VISITS_SECONDS).items()]


@contextmanager
def _servers(plan: Plan, directory: Path) -> Iterator[tuple[Server, Server]]:
    """Start a server, and one whose page is empty, both on databases of their own."""
    empty, filled = directory / "empty", directory / "filled"
    empty.mkdir()
    filled.mkdir()
    with (
        runsink_server(empty / "runs.db", plan.options, variant="empty_page") as baseline,
        runsink_server(filled / "runs.db", plan.options) as server,
    ):
        yield baseline, server


def _fill(baseline: Server, server: Server) -> dict[str, VisitsTask]:
    """Upload the launches; return which pages are visited, by what is measured."""
    for size in SIZES:
        _upload(server, _launch(size))
    sleep(_SETTLE_SECONDS)
    launches = {_case_of(size): f"{server.url}/ui/launch?id={_name_of(size)}" for size in SIZES}
    name, address = list(launches.items())[-1]
    painted = {"empty page": f"{baseline.url}/ui/", "launches": f"{server.url}/ui/", name: address}
    return {"paints": VisitsTask(painted), "launches": VisitsTask(launches)}


def _case_of(size: int) -> str:
    return f"launch of {size:,} runs"


def _name_of(size: int) -> str:
    return f"launch-{size}"


def _launch(size: int) -> Sequence[bytes]:
    """Return the JSON of a launch: a tree in which every run has at most ``_CHILDREN`` children."""
    begin = datetime.now(UTC) - timedelta(hours=1)
    runs = [orjson.loads(body) for body in make_bodies(make_pool(), list(make_ids(size)), begin)]
    names = [_name_of(size), *(f"{_name_of(size)}.{run['run_id']}" for run in runs[1:])]
    for number, run in enumerate(runs):
        run["run_id"], run["parent_run_id"] = names[number], names[(number - 1) // _CHILDREN] if number else None
    return [orjson.dumps(run) for run in runs]


def _upload(server: Server, runs: Sequence[bytes]) -> None:
    target = Target(server.url, _CASE.path, minimal=True)
    with connections(server.url, 1) as (client,):
        for first in range(0, len(runs), _BATCH_RUNS):
            batch = runs[first : first + _BATCH_RUNS]
            status, body = fetch(client, target.post(batch_body(batch), len(batch)))
            if status != 201:
                raise LoadError(f"status {status}: {body[:500]!r}")


def _measure_polling(plan: Plan, repetition: int, measured: Measured) -> None:
    """Add uploads alone and beside a page, twice each, so that a machine that gets busier slows down both."""
    first = bool(repetition % 2)
    samples: dict[bool, list[dict[str, float]]] = {False: [], True: []}
    for polled in (first, not first, not first, first):
        say(repetition, plan.repetitions, "S2 while a page polls" if polled else "S2 alone")
        samples[polled].append(_uploads(plan, polled=polled))
    alone, beside = (
        {name: statistics.fmean(one[name] for one in samples[polled]) for name in _UPLOADS} for polled in (False, True)
    )
    measured.add("S2 alone", alone)
    over_alone = beside["runs_per_second"] / alone["runs_per_second"]
    measured.add("S2 while a page polls", beside | {"over_alone": over_alone})


def _uploads(plan: Plan, *, polled: bool) -> dict[str, float]:
    """Return what uploads to a new server achieve."""
    with scratch(plan.directory) as directory, runsink_server(directory / "runs.db", plan.options) as server:
        sleep(_SETTLE_SECONDS)
        _upload(server, _launch(SIZES[0]))
        with _polling(server) if polled else nullcontext():
            figures: dict[str, float] = measure_at(server, _CASE, plan.timing)["figures"]
    return figures


@contextmanager
def _polling(server: Server) -> Iterator[None]:
    """Ask what the page of launches asks, as often as it does, for the length of the block."""
    over, errors = Event(), list[Exception]()

    def work() -> None:
        try:
            _poll(server, over)
        except (OSError, http.client.HTTPException, LoadError) as error:
            errors.append(error)

    thread = Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    if errors:
        raise errors[0]


def _poll(server: Server, over: Event) -> None:
    tags: dict[str, str] = {}
    client = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=60)
    try:
        while not over.is_set():
            began = monotonic()
            if _ask(client, _POLLED[0], tags):
                for path in _POLLED[1:]:
                    _ask(client, path, tags)
            # The page waits ten times as long as its requests took.
            over.wait(max(_POLL_SECONDS, 10 * (monotonic() - began)))
    finally:
        client.close()


def _ask(client: http.client.HTTPConnection, path: str, tags: dict[str, str]) -> bool:
    """Ask for a document; return whether it has changed."""
    headers = {"If-None-Match": tags[path]} if path in tags else {}
    client.request("GET", f"/api/v1/{path}", headers=headers)
    response = client.getresponse()
    body = response.read()
    if response.status not in {200, 304}:
        raise LoadError(f"status {response.status}: {body[:500]!r}")
    tags[path] = response.headers["ETag"]
    return response.status == 200
