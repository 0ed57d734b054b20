"""Programs that export spans, each in a process of its own that only its environment tells where to."""

import os
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import attrs

from tests.servers import Answer, Api

HERE: Final = Path(__file__).parent

INSTALLED: Final = find_spec("pydantic_ai") is not None
ABSENT: Final = "OpenTelemetry clients: not in this environment; tox -e otlp runs their tests"

SERVICE: Final = "fleet"

SECONDS: Final = 120
"""Only a guard against programs that hang."""

PATIENCE: Final = "60000"
"""How long exporters try: milliseconds, which the Python SDK takes for seconds. Theirs is short for a busy machine."""


@attrs.frozen
class Client:
    """A program in ``programs/``, and its arguments."""

    program: str
    arguments: tuple[str, ...] = ()

    def run(self, url: str, **environment: str) -> str:
        """Export to the server at this URL; return what the program complains of. It must end with 0."""
        interpreter = "node" if self.program.endswith(".js") else sys.executable
        common = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": url,
            "OTEL_EXPORTER_OTLP_TIMEOUT": PATIENCE,
            "OTEL_SERVICE_NAME": SERVICE,
        }
        done = subprocess.run(
            [interpreter, HERE / "programs" / self.program, *self.arguments],
            env=_environment(**common, **environment),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr


def _environment(**given: str) -> Mapping[str, str]:
    """Return our environment without what would configure a client, but for what is given."""
    foreign = ("OTEL_", "OPENAI_", "RUNSINK_", "TRACELOOP_", "OPENINFERENCE_")
    return {**{name: value for name, value in os.environ.items() if not name.startswith(foreign)}, **given}


@attrs.frozen
class Reader:
    """Reads what a server has stored, with a token if it needs one."""

    api: Api
    token: str | None = None

    def get(self, path: str) -> Answer:
        """Get a resource."""
        return self.api.request("GET", path, headers={"Authorization": f"Bearer {self.token}"} if self.token else {})

    def runs(self) -> list[dict[str, Any]]:
        """Return all runs, the first to begin first."""
        runs: list[dict[str, Any]] = self.get("/api/v1/runs?limit=1000").body["runs"]
        return sorted(runs, key=lambda run: run["start_time"])

    def trees(self) -> list[list[dict[str, Any]]]:
        """Return the runs of every tree, parents before children, each with its ``depth``."""
        runs = self.runs()
        by_name = {run["run_id"]: run for run in runs}
        assert len(by_name) == len(runs), "some spans are stored more than once"
        roots = [run["run_id"] for run in runs if run["parent_run_id"] is None]
        trees = [self.get(f"/api/v1/runs/{root}/tree").body["runs"] for root in roots]
        assert sum(map(len, trees)) == len(runs), "some runs have a parent that is not there"
        return [[{**by_name[place["run_id"]], "depth": place["depth"]} for place in tree] for tree in trees]


def outline(tree: list[dict[str, Any]]) -> list[str]:
    """Return a line for each run of a tree, with its agent, name, type and status, indented by its depth."""
    return [
        f"{'  ' * run['depth']}{run['agent_name']}: {run['item_name']} ({run['job_type']}) {run['status']}"
        for run in tree
    ]
