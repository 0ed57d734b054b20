"""A queue with the thread that delivers it."""

import logging
import os
import time
import weakref
from collections.abc import Sequence
from contextlib import suppress
from threading import Condition, Thread
from typing import Final

import attrs

from adapters.api_client.retry import RetryPolicy
from adapters.outbox.claim import Claim, ClaimHeldError
from adapters.outbox.delivery import Delivery, DeliveryError, Exchange
from adapters.outbox.queue import Bounds, NewEntry, Queue, Rejection
from core.errors import OutboxClosedError, OutboxError

_log: Final = logging.getLogger("runsink")

_IDLE_SECONDS: Final = 30.0
"""How often an idle client looks for what others have left behind."""
_CLAIM_POLL_SECONDS: Final = 0.5
_FLUSH_POLL_SECONDS: Final = 0.25
_REJECTIONS_SHOWN: Final = 100


@attrs.frozen
class FlushResult:
    """What is left in an outbox.

    ``undelivered`` entries wait, and are delivered later, by this or another client of the same file; ``obstacle`` says
    what the last attempt met with. ``rejected`` entries were refused by the server and stay in the file until somebody
    takes note of them; the first 100 are in ``rejections``. ``refused`` calls of this client were not queued at all:
    what they were given broke the rules, or there was no room.
    """

    undelivered: int
    rejected: int
    refused: int
    rejections: tuple[Rejection, ...] = ()
    obstacle: str | None = None

    @property
    def complete(self) -> bool:
        """Whether everything was delivered."""
        return not (self.undelivered or self.rejected or self.refused or self.obstacle)


class Outbox:
    """Takes entries, and has a daemon thread deliver them. Usable from any thread, and after a fork.

    In a forked process the queue is opened anew and the thread started again as soon as it is used.
    """

    def __init__(self, queue: Queue, exchange: Exchange, retry: RetryPolicy | None = None) -> None:
        self._queue = queue
        self._exchange = exchange
        self._retry = retry or RetryPolicy()
        self._refused = 0
        self._stopping = False
        self._closed: FlushResult | None = None
        self._begin()
        _begin_after_forks(self)
        if queue.totals().entries:
            self._wake()

    @classmethod
    def open(cls, path: str | os.PathLike[str], exchange: Exchange, bounds: Bounds | None = None) -> "Outbox":
        """Open or create the file; raise ``OutboxError``."""
        return cls(Queue(path, bounds), exchange)

    def put(self, entries: Sequence[NewEntry]) -> None:
        """Queue all of these or none; they are on disk when this returns. Raises ``OutboxError``."""
        if self._stopping:
            raise OutboxClosedError
        self._queue.put(entries)
        self._wake()

    def note_refusal(self, calls: int = 1) -> None:
        """Count what could not be queued."""
        self._refused += calls

    def flush(self, timeout: float | None = None) -> FlushResult:
        """Wait until everything that is queued by now is delivered or rejected, so many seconds at most."""
        deadline = None if timeout is None else time.monotonic() + timeout
        last = self._queue.last_position()
        if last:
            self._wake(hurry=True)
        while self._queue.undelivered(last):
            left = _FLUSH_POLL_SECONDS if deadline is None else deadline - time.monotonic()
            if left <= 0:
                break
            with self._changed:
                # Another process may be the one that delivers, so nobody here might say so.
                self._changed.wait(min(left, _FLUSH_POLL_SECONDS))
        return self._result(self._queue.undelivered(last))

    def close(self, timeout: float | None = 0.0) -> FlushResult:
        """Flush for so many seconds, stop delivering and let go of the file. What is left stays in it.

        Closing again returns the same again.
        """
        if self._closed is not None:
            return self._closed
        try:
            self._closed = self.flush(timeout)
        finally:
            with self._changed:
                self._stopping = True
                self._changed.notify_all()
                thread = self._thread
            if thread is not None:
                # A request under way is not waited for long; the thread lets go of the file once it has ended.
                thread.join(timeout=1.0)
            else:
                self._queue.close()
        return self._closed

    def begin_anew(self) -> None:
        """Forget the thread and the locks of the process from which this one was forked."""
        self._begin()

    def _begin(self) -> None:
        self._changed = Condition()
        self._thread: Thread | None = None
        self._pending = False
        self._hurry = False
        self._obstacle: str | None = None

    def _result(self, undelivered: int) -> FlushResult:
        return FlushResult(
            undelivered,
            self._queue.totals().rejections,
            self._refused,
            tuple(self._queue.rejections(_REJECTIONS_SHOWN)),
            self._obstacle if undelivered else None,
        )

    def _wake(self, *, hurry: bool = False) -> None:
        with self._changed:
            self._pending = True
            self._hurry |= hurry
            if self._thread is None and not self._stopping:
                self._thread = Thread(target=self._deliver, name="runsink outbox", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def _deliver(self) -> None:
        claim = Claim(self._queue)
        delivery = Delivery(self._queue, self._exchange, claim.require)
        failures = 0
        while not self._stopping:
            with self._changed:
                self._pending = self._hurry = False
            try:
                more = self._step(claim, delivery)
            except ClaimHeldError as error:
                self._obstacle = str(error)
                self._wait(_CLAIM_POLL_SECONDS)
            except Exception as error:  # noqa: BLE001 - a thread that ends would end all delivery without a word
                failures += 1
                self._failed(error, failures, claim)
            else:
                failures, self._obstacle = 0, None
                with self._changed:
                    self._changed.notify_all()
                if not more:
                    self._wait(_IDLE_SECONDS, idle=True)
        with suppress(OutboxError):
            claim.release()
        self._queue.close()

    def _step(self, claim: Claim, delivery: Delivery) -> bool:
        more = delivery.step()
        if not more:
            claim.release()
        return more

    def _failed(self, error: Exception, failures: int, claim: Claim) -> None:
        if self._stopping:
            return
        self._obstacle = str(error)
        # Every second time as many: what goes on for hours is not to fill a log.
        if failures & (failures - 1) == 0:
            level = logging.WARNING
            known = isinstance(error, (DeliveryError, OutboxError))
            _log.log(level, "the outbox is not delivered, attempt %d: %s", failures, error, exc_info=not known)
        with suppress(OutboxError):
            claim.release()
        told = error.retry_after if isinstance(error, DeliveryError) else None
        self._wait(self._retry.delay(failures, told), told=told is not None)

    def _wait(self, seconds: float, *, idle: bool = False, told: bool = False) -> None:
        """Wait; what cuts it short is a new entry while ``idle``, and a flush unless the server ``told`` to wait."""

        def called() -> bool:
            return self._stopping or (idle and self._pending) or (self._hurry and not told)

        with self._changed:
            self._changed.wait_for(called, seconds)


def _begin_after_forks(outbox: Outbox) -> None:
    """Have the outbox begin anew in every process that is forked from this one."""
    if not hasattr(os, "register_at_fork"):
        return
    reference = weakref.ref(outbox)

    def after() -> None:
        known = reference()
        if known is not None:
            known.begin_anew()

    os.register_at_fork(after_in_child=after)
