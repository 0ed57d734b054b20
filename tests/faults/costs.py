"""The cost of a request to the server's process: CPU time and memory, as counted by the kernel."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@attrs.define
class Cost:
    """The cost, known when the measurement ends: CPU seconds, and the maximum of additional MiB."""

    seconds: float = 0.0
    mebibytes: float = 0.0


@contextmanager
def cost_of(pid: int) -> Iterator[Cost]:
    """Measure the cost to the process during the block; see proc(5)."""
    # Resets the peak resident size to the current one.
    Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")
    resident, started, cost = _mebibytes(pid, "VmRSS"), _seconds(pid), Cost()
    yield cost
    cost.seconds = _seconds(pid) - started
    cost.mebibytes = _mebibytes(pid, "VmHWM") - resident


def _seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND


def _mebibytes(pid: int, name: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1024
