"""Refused runs that are kept, under several workers and ``kill -9``: bounds hold, and what was listed stays."""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from itertools import count
from pathlib import Path
from threading import Event
from typing import Any

import apsw

from tests.figures import Figures, Scale
from tests.jobs import sent_run, wait_until
from tests.servers import Api, Serve

REFUSALS = "/api/v1/refusals?limit=1000"
RUNS = 20
KEEP = 200
FAILED = (422,)


def listed(api: Api) -> list[str]:
    """Return the keys of the refused runs, newest first."""
    return [one["event_id"] for one in api.request("GET", REFUSALS).body["refusals"]]


def refused(name: str) -> list[dict[str, Any]]:
    """Return a batch of which no run is valid."""
    return [sent_run(f"{name}-{number}", status="canary", item_name="x" * 500) for number in range(RUNS)]


@contextmanager
def uploading(api: Api, name: str, clients: int) -> Iterator[None]:
    """Upload refused runs for the length of the block, until the server is gone."""
    done = Event()

    def upload(client: int) -> None:
        with suppress(OSError):
            for number in count():
                if done.is_set():
                    return
                assert api.lenient(refused(f"{name}-{client}-{number}")).status in FAILED

    with ThreadPoolExecutor(clients) as pool:
        running = [pool.submit(upload, client) for client in range(clients)]
        try:
            yield
        finally:
            done.set()
        for one in running:
            one.result()


def check(path: Path, most: int) -> list[str]:
    """Check the file of a server that is gone; return what is in it, newest first."""
    with closing(apsw.Connection(str(path))) as connection:
        assert connection.pragma("integrity_check") == "ok"
        rows: list[tuple[int, str]] = list(
            connection.execute("SELECT number, event_id FROM refusals ORDER BY number DESC")  # type: ignore[arg-type]
        )
        ((last,),) = connection.execute("SELECT last FROM refusal_marks")
    assert [number for number, _ in rows] == list(range(last, last - len(rows), -1))  # type: ignore[operator]
    assert len(rows) <= most
    return [event_id for _, event_id in rows]


def test_workers_share_what_is_kept(serve: Serve, tmp_path: Path) -> None:
    """Every worker lists what any of them refused, the bound holds for all together, and no batch is mixed up."""
    with serve("--port", "0", "--workers", "2", "--keep-refusals", str(KEEP)) as served:
        with uploading(served.api, "many", 4):
            for _ in range(20):
                seen = listed(served.api)
                assert len(seen) <= KEEP
                assert len(set(seen)) == len(seen)
        assert served.api.lenient(refused("last")).status in FAILED
        wait_until(lambda: "last-0" in listed(served.api))
        assert {tuple(listed(served.api)) for _ in range(20)} == {tuple(listed(served.api))}
        assert len(listed(served.api)) == KEEP
        assert served.end() == (0, "")
    assert len(check(tmp_path / "runsink.db-refusals", KEEP)) == KEEP
    assert [file.name for file in tmp_path.glob("*refusals*")] == ["runsink.db-refusals"]


def test_kill_loses_nothing_that_was_listed(serve: Serve, tmp_path: Path, scale: Scale, figures: Figures) -> None:
    """After each ``kill -9`` the file is whole, it has what was listed before, and the next server goes on with it."""
    times, most = scale(3, 100), 100_000
    known: list[str] = []
    for cycle in range(times):
        with serve("--port", "0", "--keep-refusals", str(most)) as served:
            assert served.first_line
            with uploading(served.api, f"cycle{cycle}", 2):
                wait_until(lambda: len(listed(served.api)) > min(500, len(known) + RUNS))  # noqa: B023 - called here
                seen = listed(served.api)
                served.process.send_signal(signal.SIGKILL)
                served.process.wait()
        found = check(tmp_path / "runsink.db-refusals", most)
        assert {*known, *seen} <= {*found}
        known = found
    figures(kills=times, kept=len(known), lost=0)
