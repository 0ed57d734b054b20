"""schemathesis reads the OpenAPI document, tests a live server by it, and finds nothing."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.documented import API
from tests.figures import Scale
from tests.servers import Serve, own_environment

SCHEMATHESIS = Path(sys.executable).parent / "schemathesis"
HERE = Path(__file__).parent
SECRET = "writer-0123456789abcdef"
ALL_PHASES = "examples,coverage,fuzzing,stateful"
QUIET = ("--log-level", "warning")
"""Nobody reads the log meanwhile, and thousands of requests fail: the rest of their lines would be dropped."""

# A busy machine makes requests slowly, as elsewhere (``tests/conftest.py``).
_ALWAYS = ("--seed=1", "--no-color", "--warnings=off", "--suppress-health-check=too_slow")

Choose = Callable[..., list[str]]


@pytest.fixture
def choose(scale: Scale) -> Choose:
    """Return a function that chooses phases, examples, and operations to leave out; with ``--soak`` it takes all."""

    def options(phases: str, examples: int, *without: str) -> list[str]:
        if scale(0, 1):
            return [f"--phases={ALL_PHASES}", "--max-examples=500"]
        return [
            f"--phases={phases}",
            f"--max-examples={examples}",
            *(f"--exclude-operation-id={one}" for one in without),
        ]

    return options


def found_nothing(directory: Path, *arguments: str) -> bool:
    """Return whether schemathesis found nothing; show what it found."""
    config = HERE / "schemathesis.toml"
    finished = subprocess.run(
        [SCHEMATHESIS, "--config-file", config, "run", *_ALWAYS, *arguments],
        cwd=directory,
        env=own_environment({"SCHEMATHESIS_HOOKS": str(HERE / "schemathesis_hooks.py")}),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    print(finished.stdout)  # noqa: T201 - pytest shows it if the test fails
    return finished.returncode == 0


def test_an_open_server_keeps_to_its_document(serve: Serve, tmp_path: Path, choose: Choose) -> None:
    """With generated requests, valid and invalid ones."""
    chosen = choose("examples,fuzzing", 5)
    with serve("--port=0", *QUIET) as served:
        assert found_nothing(tmp_path, f"{served.api.url}/openapi.json", *chosen)


def test_a_server_with_tokens_keeps_to_its_document(serve: Serve, tmp_path: Path, choose: Choose) -> None:
    """With all edges of all parameters, with requests that build on each other, and with tokens missing or wrong."""
    # What these take is what ``uploadLenient`` takes, and three times as many requests would follow.
    chosen = choose("coverage,stateful", 2, "uploadAtomic", "uploadStream")
    # Of the ways to be authorized, this server has only the one.
    strict = tmp_path / "openapi.json"
    strict.write_text(json.dumps({**API, "security": [{"bearer": []}]}))
    with serve("--port=0", *QUIET, RUNSINK_TOKENS=f"nightly write {SECRET}") as served:
        authorized = ("--url", served.api.url, "--header", f"Authorization: Bearer {SECRET}")
        assert found_nothing(tmp_path, str(strict), *authorized, *chosen)
