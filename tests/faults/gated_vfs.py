"""A disk on which syncs of a database wait, for a gate or a time: an SQLite VFS over the usual one."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event

import apsw
import attrs

from tests.contract.samples import HANG_GUARD_SECONDS
from tests.faults.failing_vfs import USUAL_VFS


@attrs.frozen
class Gate:
    """Closed from ``close`` to ``open``; ``reached`` is set while a sync waits in front of it."""

    reached: Event = attrs.Factory(Event)
    _open: Event = attrs.Factory(Event)

    def __attrs_post_init__(self) -> None:
        self._open.set()

    def close(self) -> None:
        """Make syncs wait, though not for ever if a test fails."""
        self.reached.clear()
        self._open.clear()

    def open(self) -> None:
        """Let them go on."""
        self._open.set()

    def pass_through(self) -> None:
        """Wait until it is open."""
        if not self._open.is_set():
            self.reached.set()
            self._open.wait(2 * HANG_GUARD_SECONDS)


class _Database(apsw.VFSFile):
    def __init__(self, name: apsw.URIFilename | str | None, flags: list[int], wait: Callable[[], None]) -> None:
        super().__init__(USUAL_VFS, name, flags)
        self._wait = wait

    def xSync(self, flags: int) -> None:  # noqa: N802 - the name is SQLite's
        self._wait()
        super().xSync(flags)


class _WaitingVFS(apsw.VFS):
    def __init__(self, wait: Callable[[], None]) -> None:
        super().__init__("waiting", USUAL_VFS, makedefault=True)
        self._wait = wait

    def xOpen(self, name: apsw.URIFilename | str | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        if flags[0] & apsw.SQLITE_OPEN_MAIN_DB:
            return _Database(name, flags, self._wait)
        return apsw.VFSFile(USUAL_VFS, name, flags)


@contextmanager
def gated_disk() -> Iterator[Gate]:
    """Put every connection opened in the block on such a disk; its gate is open."""
    gate = Gate()
    vfs = _WaitingVFS(gate.pass_through)
    try:
        yield gate
    finally:
        gate.open()
        vfs.unregister()


@contextmanager
def slow_disk(seconds: float) -> Iterator[None]:
    """Put every connection opened in the block on a disk that takes this long to sync a database."""
    vfs = _WaitingVFS(lambda: time.sleep(seconds))
    try:
        yield
    finally:
        vfs.unregister()
