"""Write lines to a file descriptor in a thread, so that a reader that stops reading holds nobody up."""

import math
import os
import select
import time
from collections import deque
from collections.abc import Callable
from threading import Condition, Thread
from typing import Final

MAX_WAITING_BYTES: Final = 1024 * 1024
"""Maximum bytes of lines waiting to be written; further lines are dropped."""

LOOK_SECONDS: Final = 0.1
"""How often a thread that waits for the reader looks whether it has to end."""

JOIN_SECONDS: Final = 0.5
"""How long ``stop`` waits for a thread whose time is up; it can only be inside a single write."""


class LineWriter:
    """A bounded queue of lines and the thread that writes them. Thread-safe.

    Lines beyond ``MAX_WAITING_BYTES`` are dropped and counted. Once there is room again, ``report`` makes the line that
    says how many were dropped. Lines of up to ``PIPE_BUF`` bytes reach a pipe whole, even if other processes write to
    it (https://pubs.opengroup.org/onlinepubs/9799919799/functions/write.html).
    """

    def __init__(self, descriptor: int, report: Callable[[int], bytes]) -> None:
        self._descriptor = descriptor
        self._report = report
        # Reentrant: a finalizer that logs may run while this thread is inside ``put``.
        self._changed = Condition()
        self._lines: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._unsent = b""
        self._unreported = 0
        self._failing = False
        self._deadline = math.inf
        self._thread: Thread | None = None
        self.dropped = 0
        """The number of lines dropped so far."""

    def start(self) -> None:
        """Start the thread, or let it go on after ``stop``."""
        self._deadline = math.inf
        if self._thread is None or not self._thread.is_alive():
            self._thread = Thread(target=self._work, name="runsink-log", daemon=True)
            self._thread.start()

    def put(self, line: bytes) -> None:
        """Queue a line, which ends with a line feed, or drop it. Never wait for the reader."""
        with self._changed:
            if self._waiting_bytes + len(line) > MAX_WAITING_BYTES:
                self._note_dropped(1)
                return
            self._waiting_bytes += len(line)
            self._lines.append(line)
            self._changed.notify()

    def stop(self, within: float) -> None:
        """End the thread once it has written what waits, or after ``within`` seconds; keep the rest for ``start``."""
        with self._changed:
            self._deadline = time.monotonic() + within
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(within + JOIN_SECONDS)

    def _note_dropped(self, lines: int) -> None:
        self.dropped += lines
        self._unreported += lines

    def _work(self) -> None:
        while self._take() and self._send():
            pass

    def _take(self) -> bool:
        """Wait for lines and take as many as one write keeps together; return whether there is anything to write."""
        if self._unsent:
            return True
        with self._changed:
            while not self._lines and not self._is_report_due():
                if self._deadline < math.inf:
                    return False
                self._changed.wait()
            if self._is_report_due():
                self._queue_report()
            self._unsent = self._next_batch()
        return True

    def _is_report_due(self) -> bool:
        # While writes fail, a report would fail too, and would have to be reported in turn.
        return self._unreported > 0 and not self._failing and self._waiting_bytes <= MAX_WAITING_BYTES // 2

    def _queue_report(self) -> None:
        line = self._report(self._unreported)
        self._unreported = 0
        self._waiting_bytes += len(line)
        self._lines.append(line)

    def _next_batch(self) -> bytes:
        batch = [self._lines.popleft()]
        size = len(batch[0])
        while self._lines and size + len(self._lines[0]) <= select.PIPE_BUF:
            size += len(self._lines[0])
            batch.append(self._lines.popleft())
        self._waiting_bytes -= size
        return b"".join(batch)

    def _send(self) -> bool:
        """Write the batch; return whether the time sufficed."""
        while self._unsent:
            if not self._wait_for_reader():
                return False
            try:
                sent = os.write(self._descriptor, self._unsent)
            except BlockingIOError:
                # The descriptor does not block, and has room for less than this.
                time.sleep(LOOK_SECONDS)
            except OSError:
                self._failing = True
                with self._changed:
                    self._note_dropped(self._unsent.count(b"\n"))
                self._unsent = b""
            else:
                self._failing = False
                self._unsent = self._unsent[sent:]
        return True

    def _wait_for_reader(self) -> bool:
        """Return ``True`` once a write would not block, or ``False`` if the thread has to end."""
        poller = select.poll()
        poller.register(self._descriptor, select.POLLOUT)
        while time.monotonic() <= self._deadline:
            if poller.poll(LOOK_SECONDS * 1000):
                return True
        return False
