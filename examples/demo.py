"""Demonstrate runsink, from the start of the server to its end: what ``make demo`` runs.

    python examples/demo.py [--keep]

With ``--keep`` the server goes on running at the end, until Ctrl-C, so that one can look at the launch.

Needs a Python with runsink installed. Everything happens in a temporary directory and on 127.0.0.1; nothing is left
behind. Exits with 0 only if everything went as expected.
"""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any, NoReturn
from urllib.error import HTTPError
from urllib.parse import quote, urlencode
from urllib.request import ProxyHandler, Request, build_opener

EXAMPLES = Path(__file__).resolve().parent
LAUNCH_FILE = EXAMPLES / "launch.json"
TIMEOUT_SECONDS = 20
# The demo sets everything itself; a proxy cannot reach this machine's own loopback.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("RUNSINK_")} | {
    "NO_PROXY": "127.0.0.1",
    "no_proxy": "127.0.0.1",
}


class UnexpectedError(Exception):
    """A result differs from the contract."""


@dataclass(frozen=True)
class Demo:
    """A running server, and the file to send to it."""

    url: str
    directory: Path
    runs: tuple[dict[str, Any], ...]

    @property
    def good(self) -> tuple[dict[str, Any], ...]:
        """The valid runs."""
        return tuple(run for run in self.runs if "broken_on_purpose" not in run.get("extra", {}))

    @property
    def broken(self) -> tuple[dict[str, Any], ...]:
        """The runs that are broken on purpose."""
        return tuple(run for run in self.runs if run not in self.good)

    def get(self, path: str, **query: str | int) -> Any:
        """Return the response to a GET."""
        opener = build_opener(ProxyHandler({}))
        with opener.open(f"{self.url}{path}?{urlencode(query)}", timeout=TIMEOUT_SECONDS) as response:
            return json.load(response)

    def stored(self) -> int:
        """Return the number of runs in the store."""
        total: int = self.get("/api/v1/runs", limit=1)["total"]
        return total

    def write(self, name: str, runs: list[dict[str, Any]]) -> Path:
        """Write a batch to a file in the temporary directory."""
        path = self.directory / name
        path.write_text(json.dumps({"runs": runs}), encoding="utf-8")
        return path

    def post(self, path: str, runs: list[dict[str, Any]]) -> tuple[int, Any]:
        """What the server answers to a batch: the status and the document."""
        content, headers = json.dumps({"runs": runs}).encode(), {"Content-Type": "application/json"}
        request = Request(f"{self.url}{path}", content, {**headers, "Prefer": "return=minimal"}, method="POST")
        try:
            with build_opener(ProxyHandler({})).open(request, timeout=TIMEOUT_SECONDS) as response:
                return response.status, json.load(response)
        except HTTPError as response:
            with response:
                return response.code, json.load(response)

    def upload(self, file: Path, *options: str) -> subprocess.CompletedProcess[str]:
        """Run ``runsink upload`` and show what it prints."""
        arguments = ["upload", file.name, *options, "--url", self.url]
        print("$ runsink", *arguments, flush=True)
        done = subprocess.run(
            [console_script(), *arguments],
            cwd=file.parent,
            env=ENVIRONMENT,
            capture_output=True,
            encoding="utf-8",
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
        print(done.stdout + done.stderr, end="")
        return done


def heading(text: str) -> None:
    """Print the title of a step."""
    print(f"\n{text}\n{'-' * len(text)}", flush=True)


def expect(what: str, found: object, expected: object) -> None:
    """Print what was found, and stop unless it is as expected."""
    if found != expected:
        raise UnexpectedError(f"{what}: expected {expected!r}, found {found!r}")
    print(f"[ok] {what}: {found}")


def check(what: str, *, holds: bool) -> None:
    """Stop unless the condition holds."""
    if not holds:
        raise UnexpectedError(f"not so: {what}")
    print(f"[ok] {what}")


def rejected_names(file: Path) -> set[str]:
    """The runs that ``runsink upload`` wrote to the file of rejected runs for errors of their own."""
    records = map(json.loads, file.with_name(f"{file.name}.rejected.ndjson").read_text(encoding="utf-8").splitlines())
    return {record["run"]["run_id"] for record in records if record["errors"][0]["field"] is not None}


def upload_leniently(demo: Demo) -> None:
    """Send everything: what is good stays."""
    heading("Lenient upload, POST /api/v1/runs/batch: the good runs are stored, the broken ones named")
    status, answer = demo.post("/api/v1/runs/batch", list(demo.runs))
    counts = ", ".join(f"{answer[name]} {name}" for name in ("created", "existing", "failed"))
    total, good, broken = len(demo.runs), len(demo.good), len(demo.broken)
    answered = f"HTTP {status}: {answer['total']} runs, {counts}"
    expect("the answer", answered, f"HTTP 500: {total} runs, {good} created, 0 existing, {broken} failed")
    for error in answer["errors"]:
        print(f"  refused: run {error['index']} {error['run_id']}: {error['error']}")
    refused = {error["run_id"] for error in answer["errors"]}
    check("every broken run is named, and no other", holds=refused == names(demo.broken))
    expect("runs in the store", demo.stored(), good)


def upload_atomically(demo: Demo) -> None:
    """Upload the same launch as if it were new: one run is invalid, and nothing is stored."""
    heading("Atomic upload of the launch under new event_ids: all or nothing")
    again = [run | {"event_id": f"again-{run['event_id']}"} for run in demo.runs]
    file = demo.write("launch-again.json", again)
    done = demo.upload(file, "--atomic")
    total = len(demo.runs)
    expect_counts(done, 1, total, 0, 0, total)
    check("every broken run is named, and no other", holds=rejected_names(file) == names(demo.broken))
    expect("runs in the store, as before", demo.stored(), len(demo.good))


def upload_good_ones(demo: Demo) -> None:
    """Upload what is already stored."""
    heading("Atomic upload of the valid runs only: they are known by their event_ids")
    done = demo.upload(demo.write("launch-good.json", list(demo.good)), "--atomic")
    good = len(demo.good)
    expect_counts(done, 0, good, 0, good, 0)
    expect("runs in the store, as before", demo.stored(), good)


def read_one(demo: Demo) -> None:
    """Get a model call that timed out, by its name."""
    sent = next(run for run in demo.good if run["job_type"] == "model_call" and run["status"] == "timeout")
    heading(f"One run: GET /api/v1/runs/{sent['run_id']}")
    stored = demo.get(f"/api/v1/runs/{quote(sent['run_id'], safe='')}")
    print(json.dumps({name: value for name, value in stored.items() if value is not None}, indent=2))
    check("every field is as it was sent, the times in UTC", holds=comparable(stored) == comparable(stored | sent))


def read_newest(demo: Demo) -> None:
    """List the newest runs."""
    heading("The newest five: GET /api/v1/runs?limit=5")
    page = demo.get("/api/v1/runs", limit=5)
    print(f"{'start_time':27}  {'status':9}  {'duration':>9}  run_id")
    for run in page["runs"]:
        duration = "" if run["duration_ms"] is None else f"{run['duration_ms']} ms"
        print(f"{run['start_time']:27}  {run['status']:9}  {duration:>9}  {run['run_id']}")
    starts = [run["start_time"] for run in page["runs"]]
    expect("runs shown", len(starts), 5)
    check("newest first", holds=starts == sorted(starts, reverse=True))


def read_metadata(demo: Demo) -> None:
    """List the names in use."""
    heading("The names in use: GET /api/v1/metadata")
    metadata = demo.get("/api/v1/metadata")
    for kind, field in (("agent_names", "agent_name"), ("job_types", "job_type")):
        print(f"{kind}: {', '.join(metadata[kind])}")
        expect(f"number of {kind}", metadata["counts"][kind], len({run[field] for run in demo.good}))


def names(runs: tuple[dict[str, Any], ...]) -> set[str]:
    """Return the run_ids of the runs."""
    return {run["run_id"] for run in runs}


def comparable(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return the run with its times as instants, however they are written."""
    times = {name: datetime.fromisoformat(run[name]) for name in ("start_time", "end_time")}
    return {**run, **times}


def expect_counts(done: "subprocess.CompletedProcess[str]", status: int, *counts: int) -> None:
    """Stop unless ``runsink upload`` ended with this status, and its table has these counts."""
    expect("exit status of the upload", done.returncode, status)
    expect("total, created, existing, failed", done.stdout.splitlines()[-1].split()[1:], list(map(str, counts)))


@contextmanager
def running_server(directory: Path, *, keep: bool) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """Start a server on a free port; it is stopped when the block ends, in any case, and unless ``keep`` in time."""
    database = str(directory / "runs.db")
    command = [
        console_script(),
        "serve",
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        "--db",
        database,
        "--log-level",
        "warning",
    ]
    # The directory is empty, so no runsink.toml is read. In its own process group the server does not get the Ctrl-C
    # that is meant for the demo, which then stops it cleanly.
    with subprocess.Popen(
        command, cwd=directory, env=ENVIRONMENT, stdout=subprocess.PIPE, encoding="utf-8", process_group=0
    ) as process:
        watchdog = threading.Timer(TIMEOUT_SECONDS, process.kill)
        watchdog.daemon = True
        try:
            if not keep:
                watchdog.start()
            yield first_url(process), process
        finally:
            watchdog.cancel()
            stop(process)


def console_script() -> str:
    """Return the ``runsink`` command of this Python's environment."""
    script = Path(sys.executable).with_name("runsink")
    if not script.is_file():
        raise UnexpectedError(f"{script} is missing; install runsink into this environment first")
    return str(script)


def first_url(process: "subprocess.Popen[str]") -> str:
    """Return the URL that the server prints once it listens."""
    line = process.stdout.readline() if process.stdout else ""
    print(line, end="")
    found = re.search(r"http://[^\s,]+", line)
    if found is None:
        raise UnexpectedError(f"the server did not start; it said {line!r}")
    return found[0]


def stop(process: "subprocess.Popen[str]") -> int:
    """Stop the server, and kill it if it does not exit."""
    process.terminate()
    try:
        return process.wait(TIMEOUT_SECONDS)
    except BaseException:
        process.kill()
        raise


def show(*, keep: bool) -> None:
    """Run all steps; with ``keep`` leave the server running before the last."""
    runs = tuple(json.loads(LAUNCH_FILE.read_text(encoding="utf-8"))["runs"])
    with TemporaryDirectory(prefix="runsink-demo-") as name:
        directory = Path(name)
        heading("Start: runsink serve --port 0 --db (a temporary file)")
        with running_server(directory, keep=keep) as (url, process):
            demo = Demo(url, directory, runs)
            for step in (upload_leniently, upload_atomically, upload_good_ones, read_one, read_newest, read_metadata):
                step(demo)
            heading(f"The launch on a page: {url}/ui/")
            if keep:
                with suppress(KeyboardInterrupt):
                    print("The server runs until Ctrl-C.", flush=True)
                    process.wait()
            heading("Stop: SIGTERM")
            expect("exit status of the server", stop(process), 0)


def end_by_exception(number: int, _frame: FrameType | None) -> NoReturn:
    """Exit through every ``finally``, so that the server and the directory are cleaned up."""
    sys.exit(128 + number)


def main(arguments: Sequence[str]) -> int:
    """Run the demo and return the exit status."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end_by_exception)
    try:
        show(keep="--keep" in arguments)
    except KeyboardInterrupt:
        return 130
    except (UnexpectedError, OSError, subprocess.SubprocessError) as error:
        sys.stdout.flush()
        print(f"\ndemo.py: {error}", file=sys.stderr)
        return 1
    print("\nEverything went as expected.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
