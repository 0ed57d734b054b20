"""The packages of npm that some tests use."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

MINIMUM: Final = (20, 19)
"""What ``engines`` says in every ``package.json``."""

SECONDS: Final = 300
"""Only a guard against tools that hang."""


def run_npm(folder: Path, *arguments: str) -> None:
    """Run npm in a folder; fail with everything it prints unless it succeeds."""
    done = subprocess.run(
        ["npm", *arguments],
        cwd=folder,
        env={**os.environ, "NO_COLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def install(folder: Path, lock_file: Path) -> Path:
    """Install what the folder's ``package-lock.json`` names, unless it is, and return where; one process at a time."""
    for name in ("node", "npm"):
        if shutil.which(name) is None:
            pytest.skip(f"{name} is not installed")
    if _version() < MINIMUM:
        pytest.skip(f"node is older than {'.'.join(map(str, MINIMUM))}")
    with lock_file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        installed, wanted = folder / "node_modules" / ".package-lock.json", folder / "package-lock.json"
        if not installed.is_file() or installed.stat().st_mtime < wanted.stat().st_mtime:
            run_npm(folder, "ci", "--ignore-scripts")
    return folder / "node_modules"


def _version() -> tuple[int, ...]:
    shown = subprocess.run(["node", "--version"], capture_output=True, text=True, timeout=SECONDS, check=True).stdout
    return tuple(map(int, shown.strip().removeprefix("v").split(".")[:2]))
