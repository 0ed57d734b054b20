"""The path under which a reverse proxy publishes the server."""

import re
from typing import Final

OWN_PATHS: Final = frozenset(
    {"api", "docs", "health", "metrics", "openapi.json", "openapi.yaml", "ready", "ui", "v1"},
)
"""What the server's own paths begin with. A root path that began alike would make requests ambiguous."""

_ROOT_PATH: Final = re.compile(r"(?:/(?!\.\.?(?:/|$))[A-Za-z0-9._~-]+)+")


def check_root_path(path: str | None) -> None:
    """Raise ``ValueError`` unless this can be the setting ``root-path``; ``None`` is no prefix."""
    if path is None:
        return
    if not _ROOT_PATH.fullmatch(path):
        raise ValueError(
            "root-path must be a path such as /runsink or /tools/runsink, of A-Z a-z 0-9 . _ ~ - and without a slash "
            f"at the end, not {path!r}; leave it out if there is no prefix"
        )
    first = path.split("/")[1]
    if first in OWN_PATHS:
        raise ValueError(f"root-path must not begin with /{first}, as paths of the server do; choose another prefix")
