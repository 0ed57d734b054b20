"""How much the files of a database can still grow."""

import resource
import shutil
from pathlib import Path

from adapters.sqlite.file import wal_of

MIB = 1024 * 1024


def file_bytes(path: Path) -> int:
    """Return the size of a file; 0 if it is missing."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def free_bytes(path: Path) -> int:
    """Return the free bytes on the disk of this resolved path, or less if ``RLIMIT_FSIZE`` limits its files."""
    free = shutil.disk_usage(path.parent).free
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    if limit == resource.RLIM_INFINITY:
        return free
    largest = max(file_bytes(path), file_bytes(wal_of(path)))
    return max(0, min(free, limit - largest))
