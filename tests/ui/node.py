"""The tools of JavaScript that the tests of the page use."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

HERE: Final = Path(__file__).parent
MINIMUM: Final = (20, 19)
"""What ``engines`` in ``package.json`` says."""

SECONDS: Final = 300
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


def install(lock_file: Path) -> Path:
    """Install what ``package-lock.json`` names, unless it is, and return where it is; one process at a time."""
    for name in ("node", "npm"):
        if shutil.which(name) is None:
            pytest.skip(f"{name} is not installed")
    if _version() < MINIMUM:
        pytest.skip(f"node is older than {'.'.join(map(str, MINIMUM))}")
    with lock_file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        installed, wanted = HERE / "node_modules" / ".package-lock.json", HERE / "package-lock.json"
        if not installed.is_file() or installed.stat().st_mtime < wanted.stat().st_mtime:
            run_npm("ci", "--ignore-scripts")
    return HERE / "node_modules"


def _version() -> tuple[int, ...]:
    shown = subprocess.run(["node", "--version"], capture_output=True, text=True, timeout=SECONDS, check=True).stdout
    return tuple(map(int, shown.strip().removeprefix("v").split(".")[:2]))
