"""A disk that loses power: an SQLite VFS that knows what was synced, and what a power cut may lose.

The usual VFS below holds what the live process sees. This one also records, for each file, what is synced, and every
write and truncation since. A cut keeps any part of those in any order, sector by sector of 512 bytes. Created and
removed names are durable once their directory is synced, which SQLite does with the first sync of a journal or WAL, and
on request with a removal (https://www.sqlite.org/atomiccommit.html).

The WAL index is memory. It is not recorded here, and lost after the cut.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

import apsw
import attrs

from tests.faults.failing_vfs import USUAL_VFS

SECTOR = 512
_JOURNALS = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_SUPER_JOURNAL

Change = tuple[int, bytes | None]
"""Bytes written at an offset, or ``None``: the file was truncated there."""


@attrs.define(eq=False)
class _Kept:
    """One file: its synced content, and the changes since, the oldest first."""

    sure: bytearray = attrs.Factory(bytearray)
    unsure: list[Change] = attrs.Factory(list)
    _lock: Lock = attrs.Factory(Lock)
    """One thread may write while another syncs."""

    def change(self, offset: int, data: bytes | None) -> None:
        with self._lock:
            self.unsure.append((offset, data))

    def sync(self) -> None:
        with self._lock:
            for change in self.unsure:
                _apply(self.sure, change)
            self.unsure.clear()

    def after_cut(self, chance: random.Random) -> bytes:
        """Return what a cut may leave: any part of the changes, usually in order, sometimes not."""
        left = bytearray(self.sure)
        share = chance.choice((0.0, 0.1, 0.5, 0.9, 1.0))
        changes = [change for change in self.unsure if chance.random() < share]
        if chance.random() < 0.3:
            chance.shuffle(changes)
        for change in changes:
            _apply(left, change)
        return bytes(left)


def _apply(content: bytearray, change: Change) -> None:
    offset, data = change
    if data is None:
        del content[offset:]
        return
    content.extend(bytes(max(0, offset - len(content))))
    content[offset : offset + len(data)] = data


@attrs.define
class Disk:
    """Everything written in one directory, until the power fails before operation ``cut_at``, from 1."""

    cut_at: int
    operations: int = 0
    _named: dict[str, _Kept] = attrs.Factory(dict)
    _surely_named: dict[str, _Kept] = attrs.Factory(dict)

    @property
    def without_power(self) -> bool:
        """Whether the power has failed."""
        return self.operations >= self.cut_at

    def operate(self) -> None:
        """Count an operation that changes the disk; from the cut on each fails and changes nothing."""
        self.operations += 1
        if self.without_power:
            error = apsw.IOError("there is no power")
            error.extendedresult = apsw.SQLITE_IOERR  # type: ignore[attr-defined] # APSW's stubs do not know of it
            raise error

    def file(self, name: str) -> _Kept:
        """Return the file of this name, creating it if missing."""
        return self._named.setdefault(name, _Kept())

    def remove(self, name: str) -> None:
        """Remove a name; the file itself remains until the removal is synced."""
        self._named.pop(name, None)

    def sync_names(self) -> None:
        """Sync all names."""
        self._surely_named = dict(self._named)

    def left_behind(self, target: Path, chance: random.Random) -> None:
        """Write what the cut left into another directory."""
        for name in sorted(self._named.keys() | self._surely_named.keys()):
            kept = chance.choice((self._named, self._surely_named)).get(name)
            if kept is not None:
                (target / Path(name).name).write_bytes(kept.after_cut(chance))


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: apsw.URIFilename | str, flags: list[int]) -> None:
        super().__init__(USUAL_VFS, name, flags)
        self._disk = disk
        self._kept = disk.file(name if isinstance(name, str) else name.filename())
        self._names_unsure = bool(flags[0] & _JOURNALS)

    def excepthook(self, *_error: object) -> bool:
        """SQLite ignores some failures on purpose; do not report them."""
        return True

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - the names are SQLite's
        self._disk.operate()
        super().xWrite(data, offset)
        written = bytes(data)
        start = 0
        while start < len(written):
            end = start + SECTOR - (offset + start) % SECTOR
            self._kept.change(offset + start, written[start:end])
            start = end

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        self._disk.operate()
        super().xTruncate(newsize)
        self._kept.change(newsize, None)

    def xSync(self, _flags: int) -> None:  # noqa: N802
        # The disk below is never synced: it must not lose power.
        self._disk.operate()
        self._kept.sync()
        if self._names_unsure:
            self._disk.sync_names()
            self._names_unsure = False


class _LosingVFS(apsw.VFS):
    def __init__(self, disk: Disk) -> None:
        super().__init__("losing", USUAL_VFS, makedefault=True)
        self._disk = disk

    def excepthook(self, *_error: object) -> bool:
        """See the file's."""
        return True

    def xOpen(self, name: apsw.URIFilename | str | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        # A file without a name is SQLite's own temporary file.
        return apsw.VFSFile(USUAL_VFS, None, flags) if name is None else _File(self._disk, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: FBT001, N802
        self._disk.operate()
        super().xDelete(filename, syncdir)
        self._disk.remove(filename)
        if syncdir:
            self._disk.sync_names()


@contextmanager
def losing_disk(cut_at: int) -> Iterator[Disk]:
    """Put every connection opened in the block on such a disk."""
    disk = Disk(cut_at)
    vfs = _LosingVFS(disk)
    try:
        yield disk
    finally:
        vfs.unregister()
