"""Keeping refused runs without holding up an upload: a bounded queue, and a thread that writes."""

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from threading import Condition, Thread
from typing import Final

import attrs

from core.errors import StoreError
from core.model.batch import RefusedRun, Sent
from core.model.refusal import REFUSAL_BYTES
from core.model.run import Run, Timestamp, count_text_bytes
from core.ports.clock import Clock
from core.ports.refusal_repository import RefusalRepository
from core.use_cases.refusals import refusal_of

MAX_WAITING_BYTES: Final = 4 * 1024 * 1024
"""The maximum size of the refused runs that wait to be written; beyond it, the oldest of them are dropped."""

PAUSE_SECONDS: Final = 5.0
"""How long nothing is written after a failure; refused runs wait meanwhile, as far as there is room."""

REPORT_SECONDS: Final = 60.0
"""How often at most the log says that refused runs were dropped."""

_log = logging.getLogger("runsink")


@attrs.frozen
class _Waiting:
    """A refused run, when it was received, and about how many bytes it holds."""

    refused: RefusedRun
    received_at: Timestamp
    size: int


class RefusalQueue:
    """Puts refused runs into a repository, which it closes in the end. Thread-safe.

    What cannot be written is dropped and counted. So are the oldest ones if too many wait, since people look at the
    newest. ``encode`` is that of ``core.use_cases.refusals.refusal_of``.
    """

    def __init__(self, repository: RefusalRepository, clock: Clock, encode: Callable[[Run], bytes]) -> None:
        self.repository: Final = repository
        self._clock = clock
        self._encode = encode
        self._changed = Condition()
        self._waiting: deque[_Waiting] = deque()
        self._waiting_bytes = 0
        self._dropped = self._unreported = 0
        self._next_report = 0.0
        self._closing = False
        self._thread = Thread(target=self._work, name="runsink-refusals", daemon=True)
        self._thread.start()

    def put(self, refused: Sequence[RefusedRun]) -> None:
        """Queue refused runs, in place of the oldest if there is no room. It returns at once and raises nothing."""
        now = self._clock.now()
        with self._changed:
            if self._closing:
                self._note_dropped(len(refused))
                return
            for one in refused:
                self._queue(_Waiting(one, now, _size_of(one)))
            self._changed.notify()

    def count_dropped(self) -> int:
        """Return how many refused runs were dropped so far."""
        return self._dropped

    def close(self, within: float | None = None) -> None:
        """Write what waits, then end the thread; wait at most ``within`` seconds if given. Closing again is fine."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(within)

    def _queue(self, new: _Waiting) -> None:
        self._waiting_bytes += new.size
        while self._waiting and self._waiting_bytes > MAX_WAITING_BYTES:
            self._waiting_bytes -= self._waiting.popleft().size
            self._note_dropped(1)
        self._waiting.append(new)

    def _work(self) -> None:
        # A smaller number than before takes effect at once.
        self._write([])
        while (batch := self._take()) is not None:
            self._write(batch)
        self.repository.close()

    def _take(self) -> Sequence[_Waiting] | None:
        """Wait for refused runs and return all of them; ``None`` at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            batch, self._waiting, self._waiting_bytes = self._waiting, deque(), 0
        return batch or None

    def _write(self, batch: Sequence[_Waiting]) -> None:
        failure = self._failure_to_add(batch)
        with self._changed:
            if failure is not None:
                self._note_dropped(len(batch))
            if failure is not None or self._unreported:
                self._report(failure or "too many came at once")
            if failure is not None:
                self._changed.wait_for(lambda: self._closing, PAUSE_SECONDS)

    def _failure_to_add(self, batch: Sequence[_Waiting]) -> str | None:
        """Write refused runs; return why that failed, if it did."""
        try:
            self.repository.add([refusal_of(one.refused, one.received_at, self._encode) for one in batch])
        except StoreError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - the thread must go on, and the message may quote a run
            return f"the program failed with {type(error).__name__}"
        return None

    def _note_dropped(self, number: int) -> None:
        self._dropped += number
        self._unreported += number

    def _report(self, reason: str) -> None:
        if time.monotonic() >= self._next_report:
            _log.warning("rejected runs could not be kept: %s; %d dropped", reason, self._unreported)
            self._unreported = 0
            self._next_report = time.monotonic() + REPORT_SECONDS


def _size_of(refused: RefusedRun) -> int:
    """Return about how many bytes a refused run holds while it waits."""
    sent = refused.sent
    if isinstance(sent, Sent):
        return REFUSAL_BYTES + len(sent.beginning)
    return REFUSAL_BYTES + (count_text_bytes(sent) if sent else 0)
