"""The measuring processes: ``worker.py KIND`` reads a task as JSON, runs it, and prints the result as JSON."""

import json
import sys
from collections.abc import Callable
from typing import Any

from bench.empty_page import serve_empty_page
from bench.floor import FloorTask, run_floor
from bench.load import LoadTask, run_load
from bench.nothing import serve_nothing
from bench.otlp import SpansTask, run_spans
from bench.peer import PeerTask, run_peer_load
from bench.queries import QueryTask, run_queries
from bench.stages import StagesTask, run_stages
from bench.streams import StreamTask, run_stream
from bench.unwatched import serve_unwatched


def _run_visits(kind: str, task: dict[str, Any]) -> dict[str, Any]:
    from bench import visits  # noqa: PLC0415 - the others need no browser

    return {"paints": visits.run_paints, "launches": visits.run_launches}[kind](visits.VisitsTask(**task))


_KINDS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "floor": lambda task: run_floor(FloorTask(**task)),
    "launches": lambda task: _run_visits("launches", task),
    "load": lambda task: run_load(LoadTask(**task)),
    "paints": lambda task: _run_visits("paints", task),
    "peer": lambda task: run_peer_load(PeerTask(**task)),
    "queries": lambda task: run_queries(QueryTask(**task)),
    "spans": lambda task: run_spans(SpansTask(**task)),
    "stages": lambda task: run_stages(StagesTask(**task)),
    "stream": lambda task: run_stream(StreamTask(**task)),
}


def main() -> None:
    """Run the task, or serve until SIGTERM."""
    kind = sys.argv[1]
    if kind == "nothing":
        serve_nothing()
    elif kind == "unwatched":
        serve_unwatched(sys.argv[2:])
    elif kind == "empty_page":
        serve_empty_page(sys.argv[2:])
    else:
        json.dump(_KINDS[kind](json.load(sys.stdin)), sys.stdout)


if __name__ == "__main__":
    main()
