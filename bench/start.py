"""``start``: what help and completion take, beside an interpreter that imports click."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs

from bench.figures import Measured
from bench.throughput import say

FIGURES = (("ms", "ms"), ("cpu_ms", "CPU ms"), ("over_click", "of click"), ("cpu_over_click", "CPU of click"))

_CALLS: Final = 10
"""Calls of each case in a repetition, of which the median counts."""

_RUNSINK: Final = str(Path(sys.executable).parent / "runsink")


@attrs.frozen
class _Call:
    """A command line, and what its environment has besides that of the bench."""

    arguments: Sequence[str]
    environment: Mapping[str, str] = attrs.field(factory=dict)


def _completion(*words: str) -> _Call:
    line = " ".join(["runsink", *words])
    return _Call([_RUNSINK], {"_RUNSINK_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(words))})


_BASELINE: Final = "python -c 'import click'"
_CALLS_OF: Final = {
    _BASELINE: _Call([sys.executable, "-c", "import click"]),
    "--help": _Call([_RUNSINK, "--help"]),
    "--version": _Call([_RUNSINK, "--version"]),
    "complete a command": _completion("se"),
    "complete upload --": _completion("upload", "--"),
    "complete serve --": _completion("serve", "--"),
    "upload --help": _Call([_RUNSINK, "upload", "--help"]),
    "serve --help": _Call([_RUNSINK, "serve", "--help"]),
    "completion bash": _Call([_RUNSINK, "completion", "bash"]),
    "healthcheck, refused": _Call([_RUNSINK, "healthcheck", "--url", "http://127.0.0.1:1"]),
}


def measure_start(repetitions: int) -> Measured:
    """Measure every call relative to the baseline of the same repetition; the calls of a repetition alternate."""
    measured = Measured()
    for repetition in range(repetitions):
        say(repetition, repetitions, f"{_CALLS} calls of each")
        rounds = [{name: _measure(call) for name, call in _CALLS_OF.items()} for _ in range(_CALLS)]
        medians = {
            name: [statistics.median(column) for column in zip(*(one[name] for one in rounds), strict=True)]
            for name in _CALLS_OF
        }
        wall, processor = medians[_BASELINE]
        for name, (seconds, cpu_seconds) in medians.items():
            measured.add(
                name,
                {
                    "ms": seconds * 1000,
                    "cpu_ms": cpu_seconds * 1000,
                    "over_click": seconds / wall,
                    "cpu_over_click": cpu_seconds / processor,
                },
            )
    return measured


def _measure(call: _Call) -> tuple[float, float]:
    """Return the seconds until the process has ended, and those of the processor, both user and system."""
    begun = time.perf_counter()
    process = subprocess.Popen(
        call.arguments,
        env={**os.environ, **call.environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    return seconds, usage.ru_utime + usage.ru_stime
