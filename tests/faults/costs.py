"""What requests cost the server's process: processor time and memory, as the kernel counts them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import attrs

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@attrs.define
class Cost:
    """What was spent, known when the measuring ends: seconds of a processor, and the most MiB above the start."""

    seconds: float = 0.0
    mebibytes: float = 0.0


@attrs.frozen
class Meter:
    """Measures a process; its memory is compared with what it was when the meter was made. See proc(5)."""

    pid: int
    kibibytes_before: int

    @classmethod
    def of(cls, pid: int) -> Self:
        """A meter of this process as it is now."""
        return cls(pid, _kibibytes(pid, "VmRSS"))

    @contextmanager
    def measure(self) -> Iterator[Cost]:
        """What the process spends during the block."""
        # Sets the highest resident size back to the present one.
        Path(f"/proc/{self.pid}/clear_refs").write_text("5", encoding="ascii")
        started, cost = _seconds(self.pid), Cost()
        yield cost
        cost.seconds = _seconds(self.pid) - started
        cost.mebibytes = (_kibibytes(self.pid, "VmHWM") - self.kibibytes_before) / 1024


def _seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND


def _kibibytes(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
