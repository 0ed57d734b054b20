"""How far the files of a database can still grow."""

import resource
import shutil
from pathlib import Path

MIB = 1024 * 1024


def free_bytes(path: Path) -> int:
    """What the disk has free, or less where the process may not write files so large (``RLIMIT_FSIZE``)."""
    free = shutil.disk_usage(path.parent).free
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    if limit == resource.RLIM_INFINITY:
        return free
    largest = max((file.stat().st_size for file in (path, Path(f"{path}-wal")) if file.exists()), default=0)
    return max(0, min(free, limit - largest))
