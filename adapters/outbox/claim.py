"""The right to deliver a queue, which one process or client at a time has."""

import time
from typing import Final
from uuid import uuid4

from adapters.outbox.delivery import DeliveryError
from adapters.outbox.process_identity import ProcessIdentity
from adapters.outbox.queue import Queue

CLAIM_SECONDS: Final = 120.0
"""Longer than a request takes. The claim of a process that has ended is not waited for."""


class ClaimHeldError(DeliveryError):
    """Somebody else delivers."""

    def __init__(self) -> None:
        super().__init__("another client delivers this outbox at present")


class Claim:
    """Takes the claim when it is needed, and renews it no more often than it has to."""

    def __init__(self, queue: Queue, seconds: float = CLAIM_SECONDS) -> None:
        self._queue = queue
        self._seconds = seconds
        self._holder = f"{ProcessIdentity.own()}:{uuid4()}"
        self._renew_at = 0.0

    def require(self) -> None:
        """Have the claim, for long enough to carry out a request; raise ``ClaimHeldError``."""
        now = time.monotonic()
        if now < self._renew_at:
            return
        if not self._queue.claim(self._holder, self._seconds):
            raise ClaimHeldError
        self._renew_at = now + self._seconds / 2

    def release(self) -> None:
        """Let others deliver."""
        if self._renew_at:
            self._renew_at = 0.0
            self._queue.release(self._holder)
