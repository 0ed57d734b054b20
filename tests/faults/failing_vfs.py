"""A disk on which a chosen operation fails: an SQLite VFS over the usual one."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import apsw
import attrs

USUAL_VFS = apsw.vfs_names()[0]
"""Named, because ours is the default while a test runs."""

Kind = Literal["read", "write", "sync", "truncate"]

_CODES: dict[Kind, int] = {
    "read": apsw.SQLITE_IOERR_READ,
    "write": apsw.SQLITE_IOERR_WRITE,
    "sync": apsw.SQLITE_IOERR_FSYNC,
    "truncate": apsw.SQLITE_IOERR_TRUNCATE,
}


@attrs.define
class ValidationError:
    """The operation that fails: the ``at``-th of its kind, from 1; with ``lasting`` also all after it."""

    kind: Kind
    at: int
    lasting: bool
    armed: bool = False
    seen: int = 0
    struck: int = 0

    def meets(self, kind: Kind) -> bool:
        """Count an operation while armed; return whether it should fail."""
        if not self.armed or kind != self.kind:
            return False
        self.seen += 1
        bad = self.seen == self.at or (self.lasting and self.seen > self.at)
        self.struck += bad
        return bad


def _io_error(kind: Kind) -> apsw.IOError:
    error = apsw.IOError(f"the {kind} that was to fail")
    error.extendedresult = _CODES[kind]  # type: ignore[attr-defined] # APSW's stubs do not know of it
    return error


class _File(apsw.VFSFile):
    def __init__(self, name: str | apsw.URIFilename | None, flags: list[int], fault: ValidationError) -> None:
        super().__init__(USUAL_VFS, name, flags)
        self._fault = fault

    def excepthook(self, *_error: object) -> bool:
        """SQLite ignores some failures on purpose; do not report them."""
        return True

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802 - the names are SQLite's
        self._check("read")
        return super().xRead(amount, offset)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        if self._fault.meets("write"):
            # A failed write has often been carried out in part.
            super().xWrite(bytes(data)[: len(data) // 2], offset)
            raise _io_error("write")
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802
        self._check("sync")
        super().xSync(flags)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        self._check("truncate")
        super().xTruncate(newsize)

    def _check(self, kind: Kind) -> None:
        if self._fault.meets(kind):
            raise _io_error(kind)


class _FailingVFS(apsw.VFS):
    def __init__(self, fault: ValidationError) -> None:
        super().__init__("failing", USUAL_VFS, makedefault=True)
        self._fault = fault

    def excepthook(self, *_error: object) -> bool:
        """See the file's."""
        return True

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        return _File(name, flags, self._fault)


@contextmanager
def failing_disk(kind: Kind, at: int, *, lasting: bool) -> Iterator[ValidationError]:
    """Put every connection opened in the block on such a disk, which works until it is armed."""
    fault = ValidationError(kind, at, lasting)
    vfs = _FailingVFS(fault)
    try:
        yield fault
    finally:
        vfs.unregister()
