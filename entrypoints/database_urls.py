"""Tell database URLs from paths, and show them without their secrets. Nothing is opened."""

import re

_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]*"
_HOST = r"(?:\[[^\]@]*\]|[^\[\]@:/?#,]*)(?::[0-9]*)?"
_URL = re.compile(
    rf"(?P<before>{_SCHEME}://[^:@/?#]*?)(?::[^@/?#]*(?=@))?(?P<after>@?{_HOST}(?:,{_HOST})*(?:/[^@?#]*)?)(?:\?[^@]*)?"
)


def is_url(database: str) -> bool:
    """Return whether this is a URL rather than a path."""
    return re.match(rf"{_SCHEME}://", database) is not None


def is_well_formed(url: str) -> bool:
    """Return whether the parts of a database URL can be told apart."""
    return _URL.fullmatch(url) is not None


def shown_database(database: str) -> str:
    """Return the setting in a form safe to show: a URL without password and parameters."""
    if not is_url(database):
        return database
    match = _URL.fullmatch(database)
    # If a special character is not encoded, the password's extent is unknown.
    return match["before"] + match["after"] if match else f"{database.partition('://')[0]}://…"
