"""How much the files of a database can still grow."""

import resource
import shutil
from pathlib import Path

from adapters.sqlite.file import wal_of

MIB = 1024 * 1024


def free_bytes(path: Path) -> int:
    """Return the free bytes on the disk of this resolved path, or less if ``RLIMIT_FSIZE`` limits its files."""
    free = shutil.disk_usage(path.parent).free
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    if limit == resource.RLIM_INFINITY:
        return free
    largest = max((file.stat().st_size for file in (path, wal_of(path)) if file.exists()), default=0)
    return max(0, min(free, limit - largest))
