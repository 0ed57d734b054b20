"""Shared memory in which each worker process keeps the latest snapshot of its metrics for the others.

prometheus_client's own mode for several processes maps a file for each kind of metric and process. It needs a directory
that can be written, chooses the mode when it is imported, knows no metric that is read when somebody asks, and makes
each count cost more. Asking every worker instead takes a channel to each, a time limit, and somebody who remembers
what the dead had counted. Here nobody waits for anybody, counting costs the same as in a single process, and what a
worker had counted stays where it was when it dies.
"""

import mmap
import struct
import zlib
from typing import Final

import attrs

HALF_BYTES: Final = 1024 * 1024
"""The most bytes of a snapshot: many times what all metrics with all labels come to. Unused pages cost nothing."""

_HEAD: Final = struct.Struct("=II")
_SLOT_BYTES: Final = 1 + 2 * HALF_BYTES
_MAX_ATTEMPTS: Final = 100


class Board:
    """A slot for each worker. Made before the workers are forked; it ends with the last process that has it."""

    def __init__(self, slots: int) -> None:
        self._memory = mmap.mmap(-1, slots * _SLOT_BYTES)
        self.slots = tuple(Slot(self._memory, number * _SLOT_BYTES) for number in range(slots))


@attrs.frozen
class Slot:
    """Where one process at a time writes, and any reads.

    There are two halves, and a byte says which one is valid. A writer fills the other one first, so one that is killed
    at any instant leaves what was there before.
    """

    _memory: mmap.mmap
    _start: int

    def write(self, content: bytes) -> None:
        """Replace the content; raise ``ValueError`` if it exceeds ``HALF_BYTES``."""
        if _HEAD.size + len(content) > HALF_BYTES:
            raise ValueError(f"{len(content)} bytes of metrics do not fit in {HALF_BYTES}")
        half = 1 - self._memory[self._start]
        head = _HEAD.pack(len(content), zlib.crc32(content))
        place = self._place_of(half)
        self._memory[place : place + len(head) + len(content)] = head + content
        self._memory[self._start] = half

    def read(self) -> bytes:
        """Return the content, empty at first.

        A reader that is so slow that the writer comes round to the same half again sees that in the checksum.
        """
        for _ in range(_MAX_ATTEMPTS):
            place = self._place_of(self._memory[self._start])
            length, checksum = _HEAD.unpack_from(self._memory, place)
            content = self._memory[place + _HEAD.size : place + _HEAD.size + min(length, HALF_BYTES - _HEAD.size)]
            if zlib.crc32(content) == checksum:
                return content
        raise RuntimeError("the shared memory of the metrics is damaged; restart the server")

    def _place_of(self, half: int) -> int:
        return self._start + 1 + half * HALF_BYTES
