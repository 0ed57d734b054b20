"""The border between APSW's errors and the domain's: driver errors are translated, programming errors pass."""

from collections.abc import Iterator
from contextlib import contextmanager

import apsw

from core.errors import StoreBusyError, StoreError, StoreFullError


@contextmanager
def translated_errors() -> Iterator[None]:
    """Raise APSW's errors as ``StoreError``, by their type and never by their text."""
    try:
        yield
    except (apsw.BusyError, apsw.LockedError) as error:
        raise StoreBusyError("the database is locked by another process") from error
    except apsw.FullError as error:
        raise StoreFullError("the disk is full") from error
    except (apsw.ConstraintError, apsw.SQLError, apsw.MisuseError):
        raise
    except apsw.Error as error:
        raise StoreError(f"the database failed: {error}") from error
