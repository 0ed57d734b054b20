"""The border between APSW's errors and the domain's: driver errors are translated, programming errors pass."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import apsw

from core.errors import StoreBusyError, StoreDamagedError, StoreError, StoreFullError, StoreTimeoutError

_log = logging.getLogger("runsink")


@contextmanager
def translated_errors() -> Iterator[None]:
    """Raise APSW's errors as ``StoreError``, by their type and never by their text."""
    try:
        yield
    except (apsw.BusyError, apsw.LockedError) as error:
        raise StoreBusyError("the database is locked by another process") from error
    except apsw.FullError as error:
        raise StoreFullError("the disk is full") from error
    except apsw.InterruptError as error:
        raise StoreTimeoutError(
            "reading took longer than max_read_seconds of GET /api/v1/limits allows; "
            "ask for less, by start_time_from and start_time_to or without a total (cursor=)"
        ) from error
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise damaged(error) from error
    except (apsw.ConstraintError, apsw.SQLError, apsw.MisuseError):
        raise
    except apsw.Error as error:
        _log.exception("the database failed")
        raise StoreError(f"the database failed: {error}") from error


def damaged(error: Exception) -> StoreDamagedError:
    """The error to raise from one that shows damage, which is also logged."""
    _log.error("the database is damaged", exc_info=error)
    return StoreDamagedError(
        f"the database is damaged ({error}); stop every process that uses it and restore it from a backup"
    )
