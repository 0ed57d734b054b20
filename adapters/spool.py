"""The spool: a directory with the bodies of jobs that wait to be run, a file for each.

Several processes of one machine may share it. A lock on a file (flock) says that somebody writes or runs it: whoever
dies lets go of it, and the others find the file as it was left. The spool knows nothing of jobs but their ids.
"""

import errno
import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Final, Self
from uuid import uuid4

from adapters.directories import sync_directory
from core.errors import SpoolFullError, StoreError, StoreFullError, StoreUnusableError
from core.model.job import JobId, SpoolId

FILE_BYTES: Final = 4096
"""What each file takes at least; so the number of files is bounded as well."""

RESERVED_BYTES: Final = 1024 * 1024
"""A file that is written reserves its room by so many bytes at a time."""

_IDENTITY: Final = "identity"
_LOCK: Final = "lock"
_BODY: Final = ".body"
_PART: Final = ".part"
_JOB_ID: Final = re.compile(r"[0-9a-zA-Z_-]{1,64}")
_NO_ROOM: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Spool:
    """A directory of bodies with ``max_bytes`` in all; created, for its owner alone, if it is missing.

    Its methods may be called from any thread. All but the constructor raise ``StoreError`` when the disk fails.

    Raises:
        StoreUnusableError: the directory cannot serve; the message says why in one line.
    """

    def __init__(self, directory: Path, max_bytes: int) -> None:
        # Resolved once, whatever the working directory is later.
        self._directory = Path(os.path.realpath(directory))
        self._max_bytes = max_bytes
        try:
            self._directory.mkdir(mode=0o700, exist_ok=True)
            self._directory.chmod(0o700)
            self.identity: Final = SpoolId(_identify(self._directory))
            sync_directory(self._directory.parent)
        except OSError as error:
            raise StoreUnusableError(
                f"cannot use {directory} as the spool: {error.strerror}; name another directory"
            ) from error

    def create(self, job_id: JobId) -> "SpoolWriter":
        """Begin the file of a new job, which nobody else touches until the writer is closed.

        Raises:
            SpoolFullError: there is no room for another file.
        """
        path = self._path(job_id, _PART)
        with _translated_errors(FileNotFoundError), self._locked():
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            writer = SpoolWriter(self, job_id, descriptor)
        try:
            self._reserve(descriptor, 0)
        except BaseException:
            writer.close()
            raise
        return writer

    def claim(self, job_id: JobId) -> "SpoolFile | None":
        """Open the file of a job to run it; ``None`` while somebody else writes or runs it.

        Raises:
            FileNotFoundError: there is no such file.
        """
        with _translated_errors():
            path = self._path(job_id, _BODY)
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                if _lock(descriptor, path):
                    return SpoolFile(descriptor)
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)
            return None

    def job_ids(self) -> list[JobId]:
        """Return the ids of all jobs that have a whole file."""
        with _translated_errors():
            return sorted(JobId(entry.name.removesuffix(_BODY)) for entry in _entries(self._directory, _BODY))

    def remove(self, job_id: JobId) -> bool:
        """Remove the file of a job, if there is one; return whether it is gone, which it is not while it is in use."""
        try:
            file = self.claim(job_id)
        except FileNotFoundError:
            return True
        if file is None:
            return False
        with file:
            self.discard(job_id)
        return True

    def discard(self, job_id: JobId) -> None:
        """Remove the file of a job, if there is one, whoever uses it."""
        with _translated_errors():
            for ending in (_BODY, _PART):
                with suppress(FileNotFoundError):
                    self._path(job_id, ending).unlink()
            sync_directory(self._directory)

    def remove_parts(self) -> int:
        """Remove files that nobody writes any more and that are not whole; return how many."""
        removed = 0
        # A file that is being created is locked before anybody looks at it here.
        with _translated_errors(), self._locked():
            for entry in _entries(self._directory, _PART):
                with suppress(FileNotFoundError):
                    descriptor = os.open(entry.path, os.O_RDONLY | os.O_CLOEXEC)
                    try:
                        if _lock(descriptor, Path(entry.path)):
                            Path(entry.path).unlink()
                            removed += 1
                    finally:
                        os.close(descriptor)
        return removed

    def used_bytes(self) -> int:
        """Return how many bytes all files take, those that are being written included."""
        with _translated_errors():
            return self._used_bytes()

    def _reserve(self, descriptor: int, size: int) -> None:
        """Make a file of our own as large as this, if there is room for it. One at a time does so."""
        with _translated_errors(), self._locked():
            more = max(size, FILE_BYTES) - max(os.fstat(descriptor).st_size, FILE_BYTES)
            if self._used_bytes() + more > self._max_bytes:
                raise SpoolFullError(self._max_bytes)
            os.ftruncate(descriptor, size)

    def _used_bytes(self) -> int:
        total = 0
        for entry in _entries(self._directory, _BODY, _PART):
            with suppress(FileNotFoundError):
                total += max(entry.stat().st_size, FILE_BYTES)
        return total

    @contextmanager
    def _locked(self) -> Iterator[None]:
        descriptor = os.open(self._directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _path(self, job_id: JobId, ending: str) -> Path:
        # The id is the name of a file, so it must not lead elsewhere. Nobody has given a job such an id.
        if not _JOB_ID.fullmatch(job_id):
            raise FileNotFoundError(errno.ENOENT, "no job has such an id")
        return self._directory / f"{job_id}{ending}"


class SpoolWriter:
    """The file of a new job while its body arrives. Closing it before ``finish`` removes what there is.

    ``finish`` makes the body durable, and until ``close`` nobody else takes the file: the job can be made known
    meanwhile, and whoever looks through the spool does not find a file without a job. If that fails, ``discard``.
    """

    def __init__(self, spool: Spool, job_id: JobId, descriptor: int) -> None:
        self._spool = spool
        self._job_id = job_id
        self._descriptor: int | None = descriptor
        self._reserved = 0
        self._finished = False
        # Whoever is told to give up may close it while a piece is still being written: never into another file.
        self._lock = Lock()
        self.size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def write(self, piece: bytes) -> None:
        """Add a piece of the body.

        Raises:
            SpoolFullError: there is no room for it.
        """
        with self._lock:
            self._write(self._open_descriptor(), piece)

    def _write(self, descriptor: int, piece: bytes) -> None:
        end = self.size + len(piece)
        if end > self._reserved:
            self._reserve(descriptor, end)
        with _translated_errors():
            view = memoryview(piece)
            while view:
                written = os.pwrite(descriptor, view, self.size)
                self.size += written
                view = view[written:]

    def finish(self) -> None:
        """Make the body durable under its name; nothing may be written after it."""
        with self._lock, _translated_errors():
            descriptor = self._open_descriptor()
            os.ftruncate(descriptor, self.size)
            os.fsync(descriptor)
            part = self._spool._path(self._job_id, _PART)  # noqa: SLF001 - the writer is a part of the spool
            part.rename(part.with_suffix(_BODY))
            sync_directory(part.parent)
            self._finished = True

    def discard(self) -> None:
        """Remove the file, finished or not, and close the writer."""
        with self._lock:
            self._close(keep=False)

    def close(self) -> None:
        """Let go of the file. Closing again does nothing."""
        with self._lock:
            self._close(keep=self._finished)

    def _close(self, *, keep: bool) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        try:
            if not keep:
                self._spool.discard(self._job_id)
        finally:
            os.close(descriptor)

    def _open_descriptor(self) -> int:
        if self._descriptor is None:
            raise ValueError("the writer is closed")
        return self._descriptor

    def _reserve(self, descriptor: int, end: int) -> None:
        """Reserve some room in advance, or where there is not so much, just what is needed."""
        for size in (end + RESERVED_BYTES, end):
            with suppress(SpoolFullError):
                self._spool._reserve(descriptor, size)  # noqa: SLF001 - the writer is a part of the spool
                self._reserved = size
                return
        raise SpoolFullError(self._spool._max_bytes)  # noqa: SLF001 - the same


class SpoolFile:
    """The file of a job that is being run. Nobody else runs or removes it until it is closed."""

    def __init__(self, descriptor: int) -> None:
        self._file = os.fdopen(descriptor, "rb", buffering=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def read(self, size: int) -> bytes:
        """Read up to so many bytes; none is the end."""
        with _translated_errors():
            return self._file.read(size) or b""

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def _identify(directory: Path) -> str:
    """Return the identity of the spool; whoever comes first makes it."""
    path = directory / _IDENTITY
    if not path.exists():
        own = directory / f"{_IDENTITY}.{uuid4().hex}"
        try:
            with own.open("x", encoding="ascii") as file:
                file.write(uuid4().hex)
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):
                os.link(own, path)
        finally:
            own.unlink(missing_ok=True)
        sync_directory(directory)
    return path.read_text("ascii").strip()


def _entries(directory: Path, *endings: str) -> Iterator["os.DirEntry[str]"]:
    with os.scandir(directory) as entries:
        yield from (entry for entry in entries if entry.name.endswith(endings))


def _lock(descriptor: int, path: Path) -> bool:
    """Take the lock of a file; return false while somebody else has it.

    Raises:
        FileNotFoundError: the file was removed before the lock was taken.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    if not os.path.samestat(os.fstat(descriptor), path.stat()):
        raise FileNotFoundError(errno.ENOENT, "the file was removed")
    return True


@contextmanager
def _translated_errors(*kinds: type[OSError]) -> Iterator[None]:
    """Raise errors of the operating system as ``StoreError``; of missing files only if those are among ``kinds``."""
    try:
        yield
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not isinstance(error, kinds):
            raise
        if error.errno in _NO_ROOM:
            raise StoreFullError(f"the disk of the spool is full ({error.strerror})") from error
        raise StoreError(f"the spool failed: {error}") from error
