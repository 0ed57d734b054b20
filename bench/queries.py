"""Latencies of single queries on an otherwise idle server."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from urllib.parse import quote

import attrs
import orjson

from bench.client import Answer, Connection, LoadError, Request, connections, drive, fetch, get
from bench.figures import percentile

_LIST = "/api/v1/runs"
_WARMUP_QUERIES = 5


@attrs.frozen
class QueryTask:
    """A task for one process: ``count`` queries of each kind, over runs that start between two instants."""

    url: str
    count: int
    first_start: str
    last_start: str


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
        for kind, paths in kinds.items():
            seconds = _time(client, task, paths)
            figures[f"{kind}_p50_ms"] = percentile(seconds, 0.50) * 1000
            figures[f"{kind}_p99_ms"] = percentile(seconds, 0.99) * 1000
    return figures


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
