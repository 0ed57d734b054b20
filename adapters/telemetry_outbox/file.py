"""Taking entries out of an outbox file to which clients go on appending.

A file ``outbox.jsonl`` is taken by renaming it to ``outbox.jsonl.flushing-1-1``; a client that appends meanwhile
creates a new ``outbox.jsonl``, which is taken next. A taken file is only changed once no process has it open for
writing any more, so no late line of a client is missed, and only by an atomic replacement. What is left in the end
goes back to the front of the file.

Every step is one rename, link or removal, and whatever a killed process leaves says by its name what it is:

- ``flushing-1-2`` holds what ``flushing-1-1`` and ``flushing-2-2`` held; if these are still there, they are removed.
- ``flushing-1-2`` that is the same file as the outbox itself has been put back; only the name is removed.
- ``….new`` has not replaced anything yet, and is removed.
"""

import fcntl
import json
import os
import re
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Final

import attrs

from adapters.telemetry_outbox.entries import Entry, Unreadable, parse_line

WINDOW_ENTRIES: Final = 1000
WINDOW_BYTES: Final = 4 * 1024 * 1024
_WRITER_SECONDS: Final = 2.0
_SETTLED_SECONDS: Final = 0.1
_POLL_SECONDS: Final = 0.01
_PUT_BACK_SECONDS: Final = 5.0
"""How long to compete with clients for the name of the file."""
_SHRINK_SHARE: Final = 4
"""A part is rewritten once a fourth of it is done, which bounds all rewriting to a few times its size."""


class OutboxLockedError(Exception):
    """Another process is flushing this outbox."""


@attrs.define
class Item:
    """An entry, or something unreadable, and whether it may leave the file."""

    content: Entry | Unreadable
    is_settled: bool = False


class OutboxFile:
    """An outbox file, its taken parts and its rejected entries. Used by one process at a time: see ``locked``."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.rejected_path = self.path.with_name(f"{self.path.name}.rejected")
        self._folder = self.path.parent
        self._part_name = re.compile(rf"{re.escape(self.path.name)}\.flushing-(\d+)-(\d+)")
        self._rejected: set[str] | None = None
        self._taken = 0

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes out of the parts; clients that append are not held up.

        Raises:
            OutboxLockedError: another process has the lock.
        """
        lock = self.path.with_name(f"{self.path.name}.lock")
        with _locked(lock):
            try:
                self._recover()
                yield
            finally:
                lock.unlink()

    def exists(self) -> bool:
        """Return whether there is anything to flush, if only what a killed process left in parts."""
        return self.path.exists() or bool(self._folder.is_dir() and self._found())

    def parts(self) -> list["Part"]:
        """Return the taken parts, the oldest first."""
        return [Part(self, path) for _, _, path in self._found()]

    def take(self) -> bool:
        """Take what clients appended; return whether there was anything."""
        with suppress(FileNotFoundError):
            if self.path.stat().st_size:
                self._take()
                return True
        return False

    def put_back(self) -> bool:
        """Make what is left of the parts the beginning of the file; return ``False`` if it stays in parts for now.

        It stays while a program keeps a part open for writing, while clients append without a pause, and on file
        systems without hard links.
        """
        deadline = time.monotonic() + _PUT_BACK_SECONDS
        while time.monotonic() < deadline:
            if not self._found():
                return True
            with suppress(FileNotFoundError):
                self._take()
            if not all(is_released(path, 0) for _, _, path in self._found()):
                return False
            try:
                self._link(self._merge())
            except FileExistsError:
                continue  # A client has begun a new file, which is to come after what is put back.
            except OSError:
                return False
            return True
        return False

    def size(self) -> int:
        """Return how many bytes wait, in the file and in its parts."""
        total = 0
        for path in (self.path, *(path for _, _, path in self._found())):
            with suppress(FileNotFoundError):
                total += path.stat().st_size
        return total

    def reject(self, content: Entry | Unreadable, **why: Any) -> None:
        """Append to the rejected entries, durably, unless it is among them: a killed flush may have got that far."""
        if isinstance(content, Entry):
            record: dict[str, Any] = {"entry": json.loads(content.raw), **why}
        else:
            record = {"text": content.raw.decode(errors="backslashreplace"), "error": content.reason, **why}
        if self._rejected is None:
            self._rejected = _read_rejected(self.rejected_path)
        if _rejected_key(record) not in self._rejected:
            self._append_rejected(json.dumps(record).encode() + b"\n")
            self._rejected.add(_rejected_key(record))

    def replace(self, path: Path, pieces: Iterator[bytes], like: os.stat_result) -> None:
        """Replace a part atomically and durably, or remove it if nothing is left of it."""
        new = path.with_name(f"{path.name}.new")
        with new.open("wb") as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fchmod(file.fileno(), like.st_mode & 0o7777)
            # The file goes back to its client, who must be able to append to it.
            with suppress(PermissionError):
                os.fchown(file.fileno(), like.st_uid, like.st_gid)
            os.fsync(file.fileno())
            is_empty = file.tell() == 0
        if is_empty:
            path.unlink(missing_ok=True)
            new.unlink()
        else:
            new.replace(path)
        sync_folder(self._folder)

    def _take(self) -> None:
        # A number is not used twice, so that a part can be told by its name.
        self._taken += 1
        part = self._part(self._taken, self._taken)
        self.path.rename(part)
        sync_folder(self._folder)
        is_released(part)

    def _part(self, first: int, last: int) -> Path:
        return self.path.with_name(f"{self.path.name}.flushing-{first}-{last}")

    def _found(self) -> list[tuple[int, int, Path]]:
        matches = ((self._part_name.fullmatch(path.name), path) for path in self._folder.iterdir())
        return sorted((int(match[1]), int(match[2]), path) for match, path in matches if match)

    def _recover(self) -> None:
        """Finish what a killed process had begun."""
        for path in self._folder.glob(f"{_escape_glob(self.path.name)}.flushing-*.new"):
            path.unlink()
        found = self._found()
        for first, last, path in found:
            is_merged = any(a <= first and last <= b and (a, b) != (first, last) for a, b, _ in found)
            self._taken = max(self._taken, last)
            if is_merged or _is_same_file(path, self.path):
                path.unlink()
        sync_folder(self._folder)

    def _merge(self) -> Path:
        """Make one part of all of them."""
        found = self._found()
        if len(found) == 1:
            return found[0][2]
        merged = self._part(found[0][0], found[-1][1])
        self.replace(merged, _concatenated([path for _, _, path in found]), found[0][2].stat())
        for _, _, path in found:
            path.unlink()
        sync_folder(self._folder)
        return merged

    def _link(self, part: Path) -> None:
        """Give a part the name of the file, which must be free."""
        if part.exists():  # Several empty ones merge to nothing.
            os.link(part, self.path)
            sync_folder(self._folder)
            part.unlink()
            sync_folder(self._folder)

    def _append_rejected(self, line: bytes) -> None:
        with self.rejected_path.open("a+b") as file:
            if _is_unfinished(file):
                line = b"\n" + line
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        sync_folder(self._folder)


class Part:
    """A taken part of an outbox, worked through from its beginning in windows."""

    def __init__(self, outbox: OutboxFile, path: Path) -> None:
        self.name = path.name
        self._outbox = outbox
        self._path = path
        is_released(path)
        self._done = 0
        self._shrunk = 0
        self._kept: list[bytes] = []

    def windows(self) -> Generator[list[Item], None, None]:
        """Read the next entries, which are settled by whoever reads them.

        What is settled leaves the file before the part ends, and at the latest when the iterator is closed.
        """
        try:
            while self._path.exists():
                window, end = self._read()
                if end == self._done:
                    return
                try:
                    yield window
                finally:
                    self._advance(window, end)
                if (self._done - self._shrunk) * _SHRINK_SHARE >= self._path.stat().st_size:
                    self._shrink()
        finally:
            self._shrink()

    def _read(self) -> tuple[list[Item], int]:
        window: list[Item] = []
        with self._path.open("rb") as file:
            file.seek(self._done)
            while len(window) < WINDOW_ENTRIES and file.tell() - self._done < WINDOW_BYTES:
                line = file.readline()
                if not line:
                    break
                window.extend(map(Item, parse_line(line)))
            return window, file.tell()

    def _advance(self, window: list[Item], end: int) -> None:
        self._kept.extend(item.content.raw + b"\n" for item in window if not item.is_settled)
        self._done = end

    def _shrink(self) -> None:
        """Rewrite the file without what is settled, unless somebody may still append to it."""
        if self._done == self._shrunk:
            return
        if not is_released(self._path, 0):
            return
        self._outbox.replace(self._path, self._rest(), self._path.stat())
        self._done = self._shrunk = sum(map(len, self._kept))

    def _rest(self) -> Iterator[bytes]:
        yield from self._kept
        with self._path.open("rb") as file:
            file.seek(self._done)
            while piece := file.read(1024 * 1024):
                yield piece


def is_released(path: Path, seconds: float = _WRITER_SECONDS) -> bool:
    """Wait until no process has the file open for writing; return ``False`` if one keeps it open.

    On Linux a read lease, which the kernel only grants then, says so; elsewhere that the size stays the same.
    """
    deadline = time.monotonic() + seconds
    with path.open("rb") as file:
        while True:
            free = _is_free(file)
            if free or time.monotonic() >= deadline:
                return free
            time.sleep(_POLL_SECONDS)


def _is_free(file: BinaryIO) -> bool:
    try:
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return False
    except (AttributeError, OSError):  # There are no leases here, or not for this user.
        return _is_quiet(file)
    return True


def _is_quiet(file: BinaryIO) -> bool:
    before = os.fstat(file.fileno()).st_size
    time.sleep(_SETTLED_SECONDS)
    return os.fstat(file.fileno()).st_size == before


def sync_folder(folder: Path) -> None:
    """Make the names of a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _locked(lock: Path) -> Iterator[None]:
    """Hold the lock. Its file is removed by whoever holds it, so a lock on a removed file is worth nothing."""
    while True:
        with lock.open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise OutboxLockedError from None
            if _is_same_file(lock, file):
                yield
                return


def _is_same_file(path: Path, other: Path | BinaryIO) -> bool:
    try:
        theirs = other.stat() if isinstance(other, Path) else os.fstat(other.fileno())
        return os.path.samestat(path.stat(), theirs)
    except FileNotFoundError:
        return False


def _concatenated(paths: list[Path]) -> Iterator[bytes]:
    for path in paths:
        last = b"\n"
        with path.open("rb") as file:
            while piece := file.read(1024 * 1024):
                yield piece
                last = piece
        if not last.endswith(b"\n"):
            yield b"\n"


def _is_unfinished(file: BinaryIO) -> bool:
    """Whether the last line has no end."""
    if file.seek(0, os.SEEK_END) == 0:
        return False
    file.seek(-1, os.SEEK_END)
    return file.read(1) != b"\n"


def _rejected_key(record: Mapping[str, Any]) -> str:
    return json.dumps([record.get("entry"), record.get("text")], sort_keys=True)


def _read_rejected(path: Path) -> set[str]:
    keys = set()
    with suppress(FileNotFoundError), path.open("rb") as file:
        for line in file:
            with suppress(ValueError, AttributeError):
                keys.add(_rejected_key(json.loads(line)))
    return keys


def _escape_glob(name: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", name)
