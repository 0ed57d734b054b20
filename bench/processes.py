"""The processes of the benchmark: servers, and workers that measure. Each is stopped by its own pid in any case."""

import json
import os
import re
import select
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import IO, Any, Final, cast

import attrs
import psutil

START_SECONDS = 30
STOP_SECONDS = 120
_ROOT: Final = Path(__file__).parents[1]
_WORKER: Final = (sys.executable, "-m", "bench.worker")
_URL = re.compile(r"http://[^\s,/]+")


class ProcessError(Exception):
    """A process failed; the message says which and how."""


@attrs.frozen
class Server:
    """A listening server; ``pid`` is 0 if it is not ours."""

    url: str
    pid: int


def find_runsink() -> str:
    """Return the path of the installed command."""
    beside = Path(sys.executable).with_name("runsink")
    program = str(beside) if beside.exists() else shutil.which("runsink")
    if program is None:
        raise ProcessError("there is no runsink command; install the project first: pip install -e .")
    return program


@contextmanager
def runsink_server(db: Path, options: Sequence[str] = (), *, variant: str = "") -> Iterator[Server]:
    """Run ``runsink serve`` on a free port of 127.0.0.1. At the end SIGTERM drains it, and it must exit with 0.

    A variant is a worker that changes something first: ``unwatched`` counts no metrics, ``empty_page`` has no web page.
    """
    program = [*_WORKER, variant] if variant else [find_runsink(), "serve"]
    command = [*program, "--host", "127.0.0.1", "--port", "0", "--db", str(db), *options]
    with _listening(command, _ROOT if variant else db.parent, db.parent / "server.log") as server:
        yield server


@contextmanager
def idle_server(directory: Path) -> Iterator[Server]:
    """An aiohttp server that reads the body and does nothing with it."""
    with _listening([*_WORKER, "nothing"], _ROOT, directory / "server.log") as server:
        yield server


@contextmanager
def _listening(command: Sequence[str], cwd: Path, log: Path) -> Iterator[Server]:
    """Start a server that prints its URL in the first line, and stop it at the end."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RUNSINK_")}
    with log.open("wb") as errors:
        process = subprocess.Popen(
            command, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors
        )
    failed = True
    try:
        yield Server(_read_url(process, log), process.pid)
        failed = False
    finally:
        stop(process)
        if not failed and process.returncode != 0:
            shown = f"{shlex.join(command)} ended with {process.returncode}"
            raise ProcessError(f"{shown}: {log.read_text(errors='replace')[-2000:]}")


def run_worker(kind: str, task: Any, timeout: float) -> dict[str, Any]:
    """Run a task (an attrs object) in its own process and return its result.

    Raises:
        ProcessError: it failed, or took longer than ``timeout`` seconds.
    """
    with subprocess.Popen(
        [*_WORKER, kind], cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            output, _ = process.communicate(json.dumps(attrs.asdict(task)), timeout)
        except subprocess.TimeoutExpired as error:
            raise ProcessError(f"the worker {kind} took longer than {timeout:g} s") from error
        finally:
            _kill_family(process)
    if process.returncode != 0:
        raise ProcessError(f"the worker {kind} failed with {process.returncode}; see above")
    result: dict[str, Any] = json.loads(output)
    return result


@contextmanager
def background_worker(kind: str, tasks: Sequence[Any]) -> Iterator[None]:
    """Have tasks that do not end done by a process each, for the length of the block. None may end before."""
    running = []
    try:
        for task in tasks:
            process = subprocess.Popen([*_WORKER, kind], cwd=_ROOT, stdin=subprocess.PIPE, text=True)
            running.append(process)
            with cast("IO[str]", process.stdin) as pipe:
                json.dump(attrs.asdict(task), pipe)
        yield
        if ended := [process.returncode for process in running if process.poll() is not None]:
            raise ProcessError(f"a worker {kind} ended too soon, with {ended[0]}; see above")
    finally:
        for process in running:
            process.kill()
            process.wait()


def cpu_seconds(pid: int) -> float:
    """Return the CPU seconds of a process and its children; 0 for pid 0."""
    return sum(sum(process.cpu_times()[:2]) for process in _family(pid))


def resident_mib(pid: int) -> float:
    """Return the current resident memory of a process and its children."""
    return sum(_status_kib(process.pid, "VmRSS") for process in _family(pid)) / 1024


def peak_mib(pid: int) -> float:
    """Return the sum of the peak resident memory of a process and its children."""
    return sum(_status_kib(process.pid, "VmHWM") for process in _family(pid)) / 1024


def _family(pid: int) -> list[psutil.Process]:
    if not pid:
        return []
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def _kill_family(process: "subprocess.Popen[str]") -> None:
    """Kill a process that has not ended, with everything that it started, such as a browser."""
    if process.poll() is None:
        for member in _family(process.pid):
            with suppress(psutil.NoSuchProcess):
                member.kill()


def _status_kib(pid: int, name: str) -> int:
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name}:"))


def _read_url(process: "subprocess.Popen[bytes]", log: Path) -> str:
    output = cast("IO[bytes]", process.stdout)
    end, line = monotonic() + START_SECONDS, b""
    while not line.endswith(b"\n"):
        ready, _, _ = select.select([output], [], [], max(0.0, end - monotonic()))
        chunk = os.read(output.fileno(), 4096) if ready else b""
        if not chunk:
            raise ProcessError(f"the server did not start: {log.read_text(errors='replace')[-2000:]}")
        line += chunk
    found = _URL.search(line.decode())
    if found is None:
        raise ProcessError(f"the server does not say where it listens: {line!r}")
    return found[0]


def stop(process: "subprocess.Popen[bytes]") -> None:
    """End a process by SIGTERM, and by SIGKILL if it takes too long."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    finally:
        if process.stdout is not None:
            process.stdout.close()
