"""A file that appears under its name only when it is whole and on the disk.

Until then it has a name of its own beside the target, and whoever writes it holds a lock on it (flock), which a process
that dies lets go of. So the next one to write the same target can tell a leftover from a file that is being written.
"""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import Final

from adapters.directories import sync_directory

_TOKEN: Final = "[0-9a-f]{16}(-link)?"  # noqa: S105 - a pattern
_COMPANIONS: Final = ("-journal", "-wal", "-shm")
"""What SQLite puts beside a file while it writes it."""


@contextmanager
def new_file(target: Path) -> Iterator[Path]:
    """Create an empty file, private to its owner, for the block to fill; then sync it and give it the target's name.

    If the block fails, nothing remains; if the process is killed, ``target`` is there as a whole or not at all.

    Raises:
        FileExistsError: the target exists, and is left alone.
        OSError: the file cannot be created, synced or named.
    """
    if target.exists():
        raise FileExistsError(target)
    remove_leftovers(target)
    descriptor, path = _create(target)
    try:
        _check_links(path)
        yield path
        os.fsync(descriptor)
        _name(path, target)
    finally:
        _remove(path)
        os.close(descriptor)


def companions_of(path: Path) -> list[Path]:
    """Return the files beside this one that belong to its database: a WAL, its index, a journal."""
    beside = [path.with_name(f"{path.name}{ending}") for ending in _COMPANIONS]
    return [companion for companion in beside if companion.exists()]


def remove_leftovers(target: Path) -> None:
    """Remove what processes left that were killed while they wrote this target."""
    pattern = re.compile(rf"\.{re.escape(target.name)}\.{_TOKEN}\.part")
    for path in target.parent.iterdir():
        if pattern.fullmatch(path.name):
            with suppress(FileNotFoundError):
                _remove_if_left(path)


def _create(target: Path) -> tuple[int, Path]:
    """Create a file and lock it; return the descriptor that holds the lock, and the path."""
    while True:
        path = target.with_name(f".{target.name}.{token_hex(8)}.part")
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        # Before it is locked, another process may take it for a leftover.
        if _lock(descriptor) and path.exists():
            return descriptor, path
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _remove_if_left(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if _lock(descriptor):
            _remove(path)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    # The file last, so that its companions are never left without it.
    for left in (*companions_of(path), path):
        left.unlink(missing_ok=True)


def _check_links(path: Path) -> None:
    """Raise ``OSError`` if a file cannot have a second name here, before anything is written."""
    second = path.with_name(path.name.replace(".part", "-link.part"))
    try:
        second.hardlink_to(path)
    except OSError as error:
        raise OSError(error.errno, "its file system has no hard links; name a file on another one") from error
    second.unlink()


def _name(path: Path, target: Path) -> None:
    """Give the file its name, unless the name is taken."""
    # A rename would replace a file that appeared meanwhile; a link does not.
    target.hardlink_to(path)
    sync_directory(target.parent)
