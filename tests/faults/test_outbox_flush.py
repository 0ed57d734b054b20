"""``runsink outbox flush`` killed at any moment, while clients append: nothing is lost, and nothing doubled."""

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random

from tests.figures import Figures, Scale
from tests.jobs import wait_until
from tests.servers import DEADLINE_SECONDS, RUNSINK, Api, own_environment

_CLIENT = """
import json, random, sys, time
path, name = sys.argv[1:]
draw = random.Random(name)
def append(rest, payload, method):
    entry = {"endpoint": "/api/v1/runs" + rest, "method": method, "payload": payload, "timestamp": time.time()}
    with open(path, "a", buffering=1 << 20) as file:
        time.sleep(draw.choice([0, 0, 0, 0.001]))
        file.write(json.dumps(entry) + "\\n")
number = 0
while True:
    key = f"{name}-{number}"
    run = {"event_id": key, "run_id": key, "agent_name": name, "job_type": "j", "start_time": "2026-01-31T12:00:00Z"}
    append("", run, "POST")
    append("/" + key, {"status": "failed", "duration_ms": 1}, "PATCH")
    append("/" + key, {"status": "success", "duration_ms": 2}, "PATCH")
    number += 1
    print(number, flush=True)
    time.sleep(draw.uniform(0, 0.02))
"""
_CLIENTS = 2


def flush(outbox: Path, server: Api) -> "subprocess.Popen[bytes]":
    """Begin to flush the outbox."""
    command = [RUNSINK, "outbox", "flush", str(outbox), "--url", server.url, "--retry-seconds", "5"]
    return subprocess.Popen(command, env=own_environment({}), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def begin_client(outbox: Path, name: str) -> "subprocess.Popen[bytes]":
    """Begin a client that appends until it is killed, and tells how many runs it has written whole."""
    return subprocess.Popen([sys.executable, "-c", _CLIENT, str(outbox), name], stdout=subprocess.PIPE)


def test_no_kill_loses_or_doubles_an_entry(server: Api, tmp_path: Path, scale: Scale, figures: Figures) -> None:
    """Of every run that a client has written, creation and both changes arrive, in order, whatever is killed."""
    cycles = scale(5, 100)
    draw = Random(cycles)  # noqa: S311 - no secrets
    outbox = tmp_path / "box" / "telemetry_outbox.jsonl"
    outbox.parent.mkdir()
    written: dict[str, int] = {}
    kills = 0
    for cycle in range(cycles):
        clients = {
            f"client-{cycle}-{number}": begin_client(outbox, f"client-{cycle}-{number}") for number in range(_CLIENTS)
        }
        try:
            wait_until(lambda: outbox.exists() and outbox.stat().st_size > 20_000)
            with flush(outbox, server) as process:
                wait_until(lambda: process.poll() is not None or any(outbox.parent.glob("*.flushing-*")))
                time.sleep(draw.choice([0, 0.05, 0.2, 0.8]) * draw.random())
                kills += process.poll() is None
                process.kill()
        finally:
            for client in clients.values():
                client.kill()
        for name, client in clients.items():
            told, _ = client.communicate()
            written[name] = int(told.split()[-1]) if told.split() else 0
    with flush(outbox, server) as process:
        _, complaints = process.communicate(timeout=DEADLINE_SECONDS * scale(1, 20))
    amiss: Counter[str] = Counter()
    # The last entry of a client may be half written, and whoever came next appended to that.
    assert process.returncode in {0, 1}, complaints
    amiss["left"] = len([path for path in outbox.parent.iterdir() if not path.name.endswith(".rejected")])
    rejected = outbox.with_name(f"{outbox.name}.rejected")
    if rejected.exists():
        amiss["rejected"] = sum("entry" in json.loads(line) for line in rejected.read_text().splitlines())
    for name, count in written.items():
        stored = everything_of(server, name)
        amiss["doubled"] += sum(times > 1 for times in Counter(run["event_id"] for run in stored).values())
        ended = {run["event_id"] for run in stored if (run["status"], run["duration_ms"]) == ("success", 2)}
        amiss["lost"] += sum(f"{name}-{number}" not in ended for number in range(count))
    figures(
        cycles=cycles, kills=kills, runs=sum(written.values()), **{kind: amiss[kind] for kind in ("lost", "doubled")}
    )
    assert not +amiss
    assert kills > cycles / 2
    assert sum(written.values()) > cycles


def everything_of(server: Api, agent_name: str) -> list[dict[str, object]]:
    """All runs of a client."""
    runs: list[dict[str, object]] = []
    cursor = ""
    while cursor is not None:
        page = server.find(agent_name=agent_name, limit=1000, cursor=cursor).body
        runs += page["runs"]
        cursor = page["next_cursor"]
    return runs
