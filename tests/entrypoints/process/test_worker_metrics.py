"""The metrics of several workers: one answer from any of them, which no death takes back."""

import os
import signal
from collections.abc import Sequence
from itertools import pairwise

import pytest

from tests.entrypoints.process.test_supervisor import OPTIONS, attempts, wait_for_replacement, workers
from tests.metrics import Scraped, scrape
from tests.servers import MakeRun, Serve, Served

BATCHES = 12


def created(scraped: Scraped) -> float:
    """Return how many runs were created by batches."""
    return scraped.value("runsink_runs_total", endpoint="lenient", outcome="created")


def scrape_until(url: str, expected: float) -> list[Scraped]:
    """Scrape until so many runs were created, as seen several times in a row; return everything that was seen."""
    seen: list[Scraped] = []
    for _ in attempts():
        seen.append(scrape(url))
        if len(seen) > 5 and {created(one) for one in seen[-5:]} == {expected}:
            return seen
    pytest.fail("unreachable")


def falls(scrapes: Sequence[Scraped]) -> set[str]:
    """Return the samples that fell from one scrape to the next, and those that vanished."""
    return {
        str(key)
        for before, after in pairwise(scrapes)
        for key, value in before.growing().items()
        if after.samples.get(key, -1.0) < value
    }


@pytest.mark.parametrize("separate", [False, True])
def test_all_workers_give_one_answer(serve: Serve, make_run: MakeRun, *, separate: bool) -> None:
    """What any worker counted is in the response of every one, and counts once."""
    option = ("--metrics-port", "0") if separate else ()
    with serve(*OPTIONS, *option) as served:
        url = served.first_line.split("metrics on ")[1].strip() if separate else served.api.url
        for _ in range(BATCHES):
            assert served.api.lenient([make_run()]).status == 201
        scrapes = scrape_until(url, BATCHES)
        assert falls(scrapes) == set()
        last = scrapes[-1]
        assert last.value("runsink_workers") == 2
        assert last.value("runsink_connections_limit") == 2 * 1000
        assert last.value("runsink_batch_runs_count", endpoint="lenient") == BATCHES
        assert len({one.value("process_start_time_seconds") for one in scrapes[-3:]}) == 1


def test_no_counter_falls_when_workers_are_killed(serve: Serve, make_run: MakeRun) -> None:
    """What was shown stays, with every worker replaced; their gauges are gone with them."""
    with serve(*OPTIONS) as served:
        for _ in range(BATCHES):
            served.api.lenient([make_run()])
        scrapes = scrape_until(served.api.url, BATCHES)
        for _ in range(3):
            _replace_a_worker(served)
            scrapes += scrape_until(served.api.url, BATCHES)
        served.api.lenient([make_run()])
        scrapes += scrape_until(served.api.url, BATCHES + 1)
        assert falls(scrapes) == set()
        for _ in attempts():
            if (workers_now := scrape(served.api.url).value("runsink_workers")) == 2:
                break
            assert workers_now < 2
        assert served.end()[0] == 0


def _replace_a_worker(served: Served) -> None:
    killed = min(workers(served))
    os.kill(killed, signal.SIGKILL)
    wait_for_replacement(served, killed)
