"""Latencies of single queries on an otherwise idle server."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from urllib.parse import quote

import attrs
import orjson

from bench.bodies import LARGE_LAUNCH_PERIOD, STRAY
from bench.client import Answer, Connection, LoadError, Request, connections, drive, fetch, get
from bench.figures import percentile

_LIST = "/api/v1/runs"
_STATISTICS_DAYS = 30
_FACETS = "status,agent_name,job_type,product,git_repo"
_WARMUP_QUERIES = 5


@attrs.frozen
class QueryTask:
    """A task for one process: ``count`` queries of each kind, over runs that start between two instants.

    ``step_ms`` is about the time between the starts of two runs.
    """

    url: str
    count: int
    first_start: str
    last_start: str
    step_ms: int


def run_queries(task: QueryTask) -> dict[str, float]:
    """Return the median and 99th percentile of each kind of query, in milliseconds."""
    figures: dict[str, float] = {}
    with connections(task.url, 1) as (client,):
        cursors = [_cursor(client, task, place / 50) for place in range(1, 50)]
        names = [run["run_id"] for cursor in cursors for run in _page(client, task, f"cursor={cursor}")["runs"]]
        agent = quote(_page(client, task, "cursor=&limit=1")["runs"][0]["agent_name"])
        kinds = {
            "list_first": [f"{_LIST}?cursor="],
            "list_deep": [f"{_LIST}?cursor={cursor}" for cursor in cursors],
            "list_agent": [f"{_LIST}?cursor=&agent_name={agent}"],
            "list_counted": [_LIST],
            # A stride, so that successive queries are not neighbours in time.
            "lookup": [f"{_LIST}/{quote(names[place * 101 % len(names)], safe='')}" for place in range(task.count)],
        }
        kinds |= _looks(client, task)
        for kind, paths in kinds.items():
            seconds = _time(client, task, paths)
            figures[f"{kind}_p50_ms"] = percentile(seconds, 0.50) * 1000
            figures[f"{kind}_p99_ms"] = percentile(seconds, 0.99) * 1000
    return figures


def _looks(client: Connection, task: QueryTask) -> dict[str, list[str]]:
    """Return the queries of somebody who looks at launches."""
    launches = [quote(_large_launch(client, task, share / 10), safe="") for share in range(1, 10)]
    since = datetime.fromisoformat(task.last_start) - timedelta(days=_STATISTICS_DAYS)
    recent = f"roots=true&start_time_from={quote(since.isoformat())}"
    roots = f"{_LIST}?roots=true&limit=50&cursor=&fields=summary"
    return {
        "roots": [roots],
        "roots_rollup": [f"{roots}&rollup=true"],
        "tree": [f"{_LIST}/{launch}/tree" for launch in launches],
        "rollup": [f"{_LIST}/{launch}/rollup" for launch in launches],
        "stats": [f"/api/v1/stats?bucket=86400&{recent}"],
        "stats_cost": [f"/api/v1/stats?bucket=86400&metrics=cost_usd&{recent}"],
        "facets": [f"/api/v1/facets?fields={_FACETS}&{recent}"],
        # Nothing matches, so it examines as many runs as it may.
        "search": [f"{_LIST}?cursor=&fields=summary&q=nowhere-to-be-found"],
    }


def _large_launch(client: Connection, task: QueryTask, share: float) -> str:
    """Return the name of the large launch next to this place in time."""
    first, last = datetime.fromisoformat(task.first_start), datetime.fromisoformat(task.last_start)
    period = timedelta(milliseconds=task.step_ms * LARGE_LAUNCH_PERIOD)
    begin = first + int((last - first) * share / period) * period
    ends = f"start_time_from={quote(begin.isoformat())}&start_time_to={quote((begin + STRAY).isoformat())}"
    (launch,) = _page(client, task, f"roots=true&cursor=&{ends}")["runs"]
    return launch["run_id"]


def _time(client: Connection, task: QueryTask, paths: Sequence[str]) -> list[float]:
    requests = [get(task.url, path) for path in paths]
    drive([client], _cycle(requests, _WARMUP_QUERIES), float("inf"), _check)
    return drive([client], _cycle(requests, task.count), float("inf"), _check)


def _cycle(requests: Sequence[Request], count: int) -> Iterator[Request]:
    return (requests[place % len(requests)] for place in range(count))


def _check(_request: Request, answer: Answer) -> None:
    if answer.status != 200:
        raise LoadError(f"status {answer.status}: {bytes(answer.body[:500])!r}")


def _cursor(client: Connection, task: QueryTask, share: float) -> str:
    """Return a position this far down the list, as a cursor: the first page of runs before some instant."""
    first, last = datetime.fromisoformat(task.first_start), datetime.fromisoformat(task.last_start)
    instant = first + timedelta(seconds=int((last - first).total_seconds() * (1 - share)))
    page = _page(client, task, f"limit=1&cursor=&start_time_to={quote(instant.isoformat())}")
    return str(page["next_cursor"])


def _page(client: Connection, task: QueryTask, query: str) -> dict[str, list[dict[str, str]]]:
    status, body = fetch(client, get(task.url, f"{_LIST}?{query}"))
    if status != 200:
        raise LoadError(f"status {status}: {body[:500]!r}")
    page: dict[str, list[dict[str, str]]] = orjson.loads(body)
    return page
