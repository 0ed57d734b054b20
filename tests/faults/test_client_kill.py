"""kill -9 of programs that report through one outbox: what was queued arrives, once and in order."""

import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random

import attrs

from core.model.run import Run
from entrypoints.client import Client
from tests.figures import Figures, Scale
from tests.jobs import wait_until
from tests.servers import DEADLINE_SECONDS, Api, Serve, own_environment

PROGRAM = """
import itertools, sys, time
from runsink import Client, RetryPolicy
url, outbox, name = sys.argv[1:]
client = Client(url, outbox=outbox, raise_errors=True)
for number in itertools.count():
    event_id = f"{name}-{number}"
    client.send(dict(event_id=event_id, run_id=name, agent_name="a", job_type="b", start_time="2026-01-31T12:00:00Z"))
    print(event_id, 0, flush=True)
    for change in (1, 2):
        client.update(event_id, {"items_failed": change})
        print(event_id, change, flush=True)
    time.sleep(0.01)
"""
PROCESSES = 2


def test_no_kill_loses_or_repeats_anything(serve: Serve, tmp_path: Path, scale: Scale, figures: Figures) -> None:
    """Two agents share an outbox and are killed while they queue and deliver; now and then the server is killed too."""
    random = Random(7)  # noqa: S311 - when to kill is no secret
    cycles = scale(5, 100)
    queued: dict[str, int] = {}
    restarts = 0
    outbox = tmp_path / "outbox"
    cycle = 0
    while cycle < cycles:
        with serve("--port", "0") as served:
            restarts += 1
            for _ in range(random.randint(1, 3)):
                if cycle < cycles:
                    agents = [start_agent(served.api, outbox, f"a{cycle}-{which}") for which in range(PROCESSES)]
                    wait_until(lambda agents=agents: all(agent.lines() for agent in agents))
                    time.sleep(random.uniform(0, 1))
                    for agent in agents:
                        queued |= agent.kill()
                    cycle += 1
            served.process.kill()
            served.process.wait(DEADLINE_SECONDS)
    with serve("--port", "0") as served, Client(served.api.url, outbox=outbox) as client:
        left = client.flush(DEADLINE_SECONDS)
        assert (left.undelivered, left.rejected) == (0, 0)
        stored: dict[str, Run] = {run.event_id: run for run in every_run(client)}
    lost = [event_id for event_id in queued if event_id not in stored]
    # The last call of a killed agent may have been carried out without anybody being told.
    wrong = [event_id for event_id, change in queued.items() if (stored[event_id].items_failed or 0) < change]
    last = {name: max(numbers) for name, numbers in grouped(queued).items()}
    torn = [
        event_id
        for event_id, run in stored.items()
        if number_of(event_id) < last[run.run_id] and (run.items_failed or 0) != 2
    ]
    repeated = [name for name, times in Counter(event_id for event_id in stored).items() if times > 1]
    figures(cycles=cycles, servers=restarts, queued=len(queued), lost=len(lost), out_of_order=len(wrong) + len(torn))
    assert (lost, wrong, torn, repeated) == ([], [], [], [])
    assert len(queued) > cycles


@attrs.frozen
class Agent:
    """A process that reports run after run, and the file to which it writes each call that has returned."""

    process: "subprocess.Popen[bytes]"
    told: Path

    def lines(self) -> list[str]:
        """Return the whole lines so far."""
        return [line for line in self.told.read_text().splitlines(keepends=True) if line.endswith("\n")]

    def kill(self) -> dict[str, int]:
        """Kill the process; return the last change of each run that it was told is queued."""
        self.process.kill()
        assert self.process.wait(DEADLINE_SECONDS) == -signal.SIGKILL
        told = map(str.split, self.lines())
        return {event_id: int(change) for event_id, change in told}


def start_agent(api: Api, outbox: Path, name: str) -> Agent:
    """Start an agent whose runs have this name."""
    told = outbox.with_name(f"{name}.txt")
    with told.open("wb") as output:
        command = [sys.executable, "-c", PROGRAM, api.url, str(outbox), name]
        return Agent(subprocess.Popen(command, env=own_environment({}), stdout=output), told)


def every_run(client: Client) -> list[Run]:
    """All runs of the server."""
    page = client.list(limit=1000, counted=False)
    runs = list(page.runs)
    while page.next_cursor is not None:
        page = client.list(limit=1000, cursor=page.next_cursor)
        runs += page.runs
    return runs


def number_of(event_id: str) -> int:
    """The place of a run in the order of its agent."""
    return int(event_id.rpartition("-")[2])


def grouped(queued: dict[str, int]) -> dict[str, list[int]]:
    """The numbers of the runs of each agent."""
    numbers: dict[str, list[int]] = {}
    for event_id in queued:
        numbers.setdefault(event_id.rpartition("-")[0], []).append(number_of(event_id))
    return numbers
