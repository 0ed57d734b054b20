"""Which process holds something, and whether it still runs."""

import os
from pathlib import Path

import attrs

_PROC = Path("/proc")


@attrs.frozen
class ProcessIdentity:
    """A process of this machine. ``space`` tells apart those that number their processes separately."""

    space: str
    number: int
    started: str

    @classmethod
    def own(cls) -> "ProcessIdentity":
        """Return the identity of this process."""
        return cls(_space(), os.getpid(), _started(os.getpid()))

    @classmethod
    def parse(cls, text: str) -> "ProcessIdentity | None":
        """Return the identity that a text begins with, or nothing if it is none."""
        space, _, rest = text.partition(":")
        number, _, rest = rest.partition(":")
        started = rest.partition(":")[0]
        return cls(space, int(number), started) if number.isascii() and number.isdecimal() else None

    def __str__(self) -> str:
        return f"{self.space}:{self.number}:{self.started}"

    def surely_ended(self) -> bool:
        """Return whether the process has ended for sure; where that cannot be told it has not."""
        return bool(self.space) and self.space == _space() and _started(self.number) != self.started


def _space() -> str:
    """The boot and the namespace in which process numbers mean something; empty where the system does not say."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{(_PROC / 'self/ns/pid').stat().st_ino}"
    except OSError:
        return ""


def _started(number: int) -> str:
    """When a process started, which tells it from a later one of the same number; empty if there is none."""
    try:
        # The name of the program, in parentheses, may hold anything (proc_pid_stat(5)); the start is field 22.
        fields = (_PROC / str(number) / "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in {b"Z", b"X"} else fields[19].decode()
