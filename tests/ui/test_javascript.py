"""The JavaScript of the page: its types, its style, and the unit tests of what computes."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SECONDS = 300
"""Only a guard against tools that hang."""


def run_npm(*arguments: str) -> None:
    """Run npm here; fail with everything it prints unless it succeeds."""
    done = subprocess.run(
        ["npm", *arguments],
        cwd=HERE,
        env={**os.environ, "NO_COLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Install what the lock file names, once, whichever of several processes of pytest comes first."""
    for name in ("node", "npm"):
        if shutil.which(name) is None:
            pytest.skip(f"{name} is not installed")
    with (tmp_path_factory.getbasetemp().parent / "npm.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        installed, wanted = HERE / "node_modules" / ".package-lock.json", HERE / "package-lock.json"
        if not installed.is_file() or installed.stat().st_mtime < wanted.stat().st_mtime:
            run_npm("ci", "--ignore-scripts")


@pytest.mark.usefixtures("tools")
@pytest.mark.parametrize("script", ["types", "lint", "unit"])
def test_no_check_complains(script: str) -> None:
    """The strict type checker and the linter find nothing, and every unit test passes."""
    run_npm("run", "--silent", script)


def test_lock_file_names_no_registry() -> None:
    """It installs from whichever registry npm is set up with; integrity hashes say what is right."""
    text = (HERE / "package-lock.json").read_text(encoding="utf-8")
    assert '"resolved"' not in text
    assert text.count('"integrity"') > 50
