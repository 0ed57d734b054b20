"""Readiness: whether a write would be accepted now."""

import asyncio
from concurrent.futures import Future
from typing import Final

from core.errors import StoreError
from entrypoints.application import Application
from entrypoints.http.pressure.admission import AdmissionControl, OverloadedError
from entrypoints.http.pressure.completions import Completions

PROBE_SECONDS: Final = 2.0
"""How long the store may make no progress while a write waits; a large commit takes some tenths of a second."""


class Readiness:
    """Probe the store with an empty write, shared by concurrent callers."""

    def __init__(
        self, application: Application, completions: Completions, uploads: AdmissionControl, draining: asyncio.Event
    ) -> None:
        self._application = application
        self._completions = completions
        self._uploads = uploads
        self._draining = draining
        self._probe: Future[None] | None = None

    async def failure(self) -> str | None:
        """Return why a write would be rejected, or ``None`` if ready, within ``PROBE_SECONDS``."""
        if self._draining.is_set():
            return "the server is stopping"
        try:
            self._uploads.check(1)
            self._application.store.check_room()
            await asyncio.wait_for(self._completions.wait(self._pending_probe()), PROBE_SECONDS)
        except (OverloadedError, StoreError) as error:
            return str(error)
        except TimeoutError:
            return self._stall()
        return None

    def _pending_probe(self) -> Future[None]:
        """Return the pending probe, or start one: probes must not pile up on a stalled store."""
        if self._probe is None or self._probe.done():
            self._probe = self._application.write(lambda work: work.check_writable())
        return self._probe

    def _stall(self) -> str | None:
        idle = asyncio.get_running_loop().time() - self._completions.succeeded_at
        if idle < PROBE_SECONDS:
            # The queue is long but moving.
            return None
        return f"nothing written for {idle:.0f} s: the database is locked or unreachable, or the disk hangs"
