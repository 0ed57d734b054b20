"""Translating APSW's errors to the core's; programming errors pass through."""

import errno
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import apsw

from core.errors import StoreBusyError, StoreDamagedError, StoreError, StoreFullError, StoreTimeoutError

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

_log = logging.getLogger("runsink")


@contextmanager
def translated_errors(connection: apsw.Connection | None = None) -> Iterator[None]:
    """Raise APSW's errors as ``StoreError``, by their type and never by their text.

    The connection, if given, must still be open after the block. Its operating system error tells whether the disk is
    full, because SQLite recognises only ``ENOSPC``, and not everywhere.
    """
    try:
        yield
    except (apsw.BusyError, apsw.LockedError) as error:
        raise StoreBusyError("the database is locked by another process") from error
    except apsw.FullError as error:
        raise StoreFullError("the disk is full") from error
    except apsw.InterruptError as error:
        raise StoreTimeoutError from error
    # All text was written as UTF-8, so text that is not has been damaged since.
    except (apsw.CorruptError, apsw.NotADBError, UnicodeDecodeError) as error:
        raise damaged(error) from error
    except (apsw.ConstraintError, apsw.SQLError, apsw.MisuseError):
        raise
    except apsw.Error as error:
        if isinstance(error, apsw.IOError) and connection is not None and connection.system_errno in _NO_ROOM:
            raise StoreFullError(f"the disk is full ({os.strerror(connection.system_errno)})") from error
        # SQLite's messages name tables and columns, never values.
        _log.exception("the database failed: %s", error)
        raise StoreError(f"the database failed: {error}") from error


def damaged(error: Exception) -> StoreDamagedError:
    """Log an error that shows damage, and return the error to raise from it."""
    # Of other errors, the message quotes what was read.
    reason = str(error) if isinstance(error, apsw.Error) else "a value in it was never written by runsink"
    _log.error("the database is damaged: %s", reason, exc_info=error)
    return StoreDamagedError(
        f"the database is damaged ({reason}); stop every process that uses it and restore it from a backup"
    )
