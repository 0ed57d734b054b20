"""How much memory a server has."""

from pathlib import Path


def resident_bytes(pid: int) -> int:
    """Return how much memory a process has now, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024
