"""How the process gets memory from the operating system, and how often it looks for garbage."""

import ctypes
import gc
from typing import Final

_M_TRIM_THRESHOLD: Final = -1  # mallopt(3)
_M_MMAP_THRESHOLD: Final = -3
_THRESHOLD_BYTES: Final = 4 * 1024 * 1024
_KEPT_BYTES: Final = 16 * 1024 * 1024
"""What the process may keep for the next bodies; without it, each batch would have its pages mapped anew."""

_YOUNG_OBJECTS: Final = 10_000
"""How many new objects, less those freed, start a collection of the young ones; a batch makes about as many."""


def return_large_blocks() -> None:
    """Have blocks of 4 MiB and more returned to the system as soon as they are freed, where the C library is glibc.

    By default, glibc raises that threshold to the size of blocks that were freed before. Large bodies then grow by
    copying, and what they leave stays with the process.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _THRESHOLD_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)


def spare_long_lived_objects() -> None:
    """Keep the garbage collector from going through what exists now, and have it run less often.

    Call it once the server is built. A full collection otherwise goes through every module and class as well, and all
    threads wait for it: 40 ms, about once in each second under load. Reference counts free what a request leaves, and
    ``adapters.tracebacks`` what its errors would keep.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS)
