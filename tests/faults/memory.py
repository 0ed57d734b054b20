"""Memory use of a server."""

from pathlib import Path


def resident_bytes(pid: int) -> int:
    """Return the current memory use of a process, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024
