"""What can be wrong with the files that are named."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from core.errors import StoreBusyError, StoreUnusableError


class WrongFileError(StoreUnusableError):
    """A file that is to be read does not exist, or one that is to be created does; nothing was done."""


def require_file(path: Path) -> None:
    """Raise ``WrongFileError`` unless there is a file under this name."""
    if not path.is_file():
        reason = "it is not a file" if path.exists() else "there is no such file"
        raise WrongFileError(f"cannot use {path}: {reason}; name the file of a database")


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Name the file in what is raised when it is read."""
    try:
        yield
    except StoreUnusableError as error:
        raise StoreUnusableError(f"cannot use {path}: {error}") from error
    except apsw.NotADBError as error:
        raise StoreUnusableError(f"cannot use {path}: the file is not an SQLite database; name another") from error
    except (apsw.BusyError, apsw.LockedError) as error:
        raise StoreBusyError(f"{path} is locked by another process; try again later") from error
    except apsw.IOError as error:
        raise StoreUnusableError(f"cannot read {path}: {error}; the disk may be failing") from error
    except (PermissionError, apsw.CantOpenError, apsw.PermissionsError, apsw.ReadOnlyError) as error:
        raise StoreUnusableError(
            f"cannot use {path}: no permission to read it, or to write the index of its WAL beside it; "
            "grant it, or copy the file and its WAL to another directory"
        ) from error
    except OSError as error:
        raise StoreUnusableError(f"cannot use {path}: {error.strerror}") from error
