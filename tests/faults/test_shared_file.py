"""Several processes on one file: two servers, a program that embeds the store, and a shell."""

import json
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Event
from typing import Any

import apsw

from tests.figures import Figures, Scale
from tests.servers import DEADLINE_SECONDS, Api, MakeRun, Serve

EMBEDDING = """
import json, sys
from entrypoints.embedded import open_store

with open_store(sys.argv[1]) as runs:
    for line in sys.stdin:
        print(runs.ingest_atomic(json.loads(line)).created, flush=True)
"""


def batches(make_run: MakeRun, name: str, number: int) -> list[list[dict[str, Any]]]:
    """Return batches whose runs tell who sent them."""
    return [[make_run(agent_name=name, input_summary="x" * 2_000) for _ in range(20)] for _ in range(number)]


def upload(server: Api, sent: list[list[dict[str, Any]]]) -> None:
    """Upload every batch."""
    for batch in sent:
        assert server.atomic(batch).body["created"] == len(batch)


def embed(path: Path, sent: list[list[dict[str, Any]]]) -> None:
    """Upload every batch from a program that embeds the store."""
    ended = subprocess.run(
        [sys.executable, "-c", EMBEDDING, str(path)],
        input="\n".join(map(json.dumps, sent)),
        capture_output=True,
        text=True,
        timeout=20 * DEADLINE_SECONDS,
        check=False,
    )
    assert (ended.stderr, ended.stdout.split()) == ("", [str(len(batch)) for batch in sent])


def look_on(path: Path, done: Event) -> int:
    """Read the file as a shell does, with another build of SQLite, until stopped; return how often."""
    looks = 0
    command = [sys.executable, "-c", LOOKING, str(path)]
    while not done.is_set():
        ended = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False)
        assert (ended.stderr, ended.stdout) == ("", "0\n")
        looks += 1
    return looks


LOOKING = """
import sqlite3, sys
database = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
for _ in range(20):
    ((count,),) = database.execute("SELECT count(*) FROM runs")
print(count % 20)
database.close()
"""


def test_many_processes_share_one_file(
    serve: Serve, tmp_path: Path, make_run: MakeRun, scale: Scale, figures: Figures
) -> None:
    """Nobody sees a lock or half a batch, everything is stored once, and either server shows it all."""
    number = scale(10, 500)
    path = tmp_path / "runs.db"
    options = ("--port", "0", "--db", str(path))
    sent = {name: batches(make_run, name, number) for name in ("first", "second", "embedded")}
    done = Event()
    with serve(*options) as first, serve(*options) as second, ThreadPoolExecutor(4) as pool:
        servers = first.api, second.api
        looking = pool.submit(look_on, path, done)
        try:
            writing = [
                pool.submit(upload, servers[0], sent["first"]),
                pool.submit(upload, servers[1], sent["second"]),
                pool.submit(embed, path, sent["embedded"]),
            ]
            for future in writing:
                future.result()
        finally:
            done.set()
        for server in servers:
            assert [server.find(agent_name=name).body["total"] for name in sent] == [20 * number] * 3
    with closing(apsw.Connection(str(path))) as connection:
        assert connection.pragma("integrity_check") == "ok"
        assert connection.execute("SELECT count(DISTINCT event_id) FROM runs").fetchall() == [(60 * number,)]
    shell = sqlite3.sqlite_version
    figures(processes=4, batches=3 * number, looks=looking.result(), refused=0, SQLite_of_the_shell=shell)
