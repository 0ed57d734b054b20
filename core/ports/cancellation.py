"""How one thread tells a read in another that nobody waits for its result any more."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from core.errors import ReadCancelledError


class Cancellation:
    """A request to give up a read. May be made once or several times, from any thread, before or during the read."""

    def __init__(self) -> None:
        self.requested = False
        self._callback: Callable[[], object] | None = None

    def request(self) -> None:
        """Have the read given up."""
        # First the mark, then the callback, and the other way round in ``calling``: whoever finds no request once the
        # block is left is never called back.
        self.requested = True
        callback = self._callback
        if callback is not None:
            callback()

    def check(self) -> None:
        """Raise ``ReadCancelledError`` if it is requested."""
        if self.requested:
            raise ReadCancelledError

    @contextmanager
    def calling(self, callback: Callable[[], object]) -> Iterator[None]:
        """Call back, in the thread of the request, when it is made during the block."""
        self._callback = callback
        try:
            yield
        finally:
            self._callback = None
