"""Cancelling a read from another thread when nobody is waiting for its result."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from core.errors import ReadCancelledError


class Cancellation:
    """A request to cancel a read. It may be made repeatedly, from any thread, before or during the read."""

    def __init__(self) -> None:
        self.requested = False
        self._callback: Callable[[], object] | None = None

    def request(self) -> None:
        """Cancel the read."""
        # Set the flag before reading the callback. A reader that finds the flag unset after its ``calling`` block is
        # therefore never called back.
        self.requested = True
        callback = self._callback
        if callback is not None:
            callback()

    def check(self) -> None:
        """Raise ``ReadCancelledError`` if cancellation was requested."""
        if self.requested:
            raise ReadCancelledError

    @contextmanager
    def calling(self, callback: Callable[[], object]) -> Iterator[None]:
        """Call ``callback`` if cancellation is requested during the block, in the requesting thread."""
        self._callback = callback
        try:
            yield
        finally:
            self._callback = None
