"""The limits of connections, and the file descriptors that they need."""

import resource
from typing import Final

import attrs

from entrypoints.settings import Settings

SPARE_DESCRIPTORS: Final = 256
"""File descriptors for everything but clients: database, readers, listeners and connections being rejected."""


@attrs.frozen
class ConnectionLimits:
    """The limits of every connection; part of ``GET /api/v1/limits``."""

    max_connections: int
    max_header_seconds: int
    max_body_seconds: int
    max_idle_seconds: int
    max_header_bytes: int = 64 * 1024

    @classmethod
    def of(cls, settings: Settings) -> "ConnectionLimits":
        """Return the limits in the settings."""
        return cls(
            max_connections=settings.max_connections,
            max_header_seconds=settings.header_seconds,
            max_body_seconds=settings.body_seconds,
            max_idle_seconds=settings.idle_seconds,
        )


def reserve_descriptors(connections: int) -> None:
    """Raise the soft limit of open files as needed for this many connections.

    Raises:
        ValueError: the hard limit is too low.
    """
    needed = connections + SPARE_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    except (ValueError, OSError) as error:
        raise ValueError(
            f"max-connections {connections} needs {needed} open files, but the limit is {hard}; "
            f"raise it (ulimit -n) or set max-connections to {max(1, hard - SPARE_DESCRIPTORS)}"
        ) from error
