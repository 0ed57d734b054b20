"""Whether a write would be taken now."""

import asyncio
from concurrent.futures import Future
from typing import Final

from core.errors import StoreError
from entrypoints.application import Application
from entrypoints.http.pressure.admission import AdmissionControl, OverloadedError
from entrypoints.http.pressure.completions import Completions

PROBE_SECONDS: Final = 2.0
"""How long the store may do nothing at all while a write waits; a large commit takes some tenths of a second."""


class Readiness:
    """Tries a write that writes nothing, one for all who ask at the same time."""

    def __init__(
        self, application: Application, completions: Completions, uploads: AdmissionControl, draining: asyncio.Event
    ) -> None:
        self._application = application
        self._completions = completions
        self._uploads = uploads
        self._draining = draining
        self._probe: Future[None] | None = None

    async def obstacle(self) -> str | None:
        """Why a write would not be taken, or ``None``; known after ``PROBE_SECONDS`` at the latest."""
        if self._draining.is_set():
            return "the server is stopping"
        try:
            self._uploads.check(1)
            self._application.store.check_room()
            await asyncio.wait_for(self._completions.wait(self._pending_probe()), PROBE_SECONDS)
        except (OverloadedError, StoreError) as error:
            return str(error)
        except TimeoutError:
            return self._obstacle_of_slow_store()
        return None

    def _pending_probe(self) -> Future[None]:
        """The probe that is under way, for a store that is held up must not collect any more of them."""
        if self._probe is None or self._probe.done():
            self._probe = self._application.write(lambda work: work.check_writable())
        return self._probe

    def _obstacle_of_slow_store(self) -> str | None:
        idle = asyncio.get_running_loop().time() - self._completions.succeeded_at
        if idle < PROBE_SECONDS:
            # Much waits to be written, and it is being written.
            return None
        return f"nothing was written for {idle:.0f} s: the database is locked or out of reach, or the disk hangs"
