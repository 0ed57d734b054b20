"""The end of a read, however many statements it consists of."""

import time
from typing import Final

import psycopg

from adapters.postgres.errors import translated_errors
from core.errors import StoreTimeoutError
from core.ports.cancellation import Cancellation

SLACK_SECONDS: Final = 1.0
"""How far the limit of a statement may exceed what is left, so that short statements cost one round trip each."""


class ReadDeadline:
    """Ends a read that begins now after ``seconds``, or when it is cancelled.

    The database ends each statement after the limit of the transaction, which is ``seconds`` at first.
    """

    def __init__(self, connection: psycopg.Connection, cancellation: Cancellation, seconds: float) -> None:
        self._connection = connection
        self._cancellation = cancellation
        self._end = time.monotonic() + seconds
        self._limit = seconds

    def check(self) -> None:
        """Allow the next statement what is left.

        Raises:
            StoreTimeoutError: nothing is left.
            ReadCancelledError: the read was cancelled.
        """
        self._cancellation.check()
        left = self._end - time.monotonic()
        if left <= 0:
            raise StoreTimeoutError
        if self._limit - left > SLACK_SECONDS:
            self._allow(left)

    def _allow(self, seconds: float) -> None:
        # Rounded up, since 0 would mean no limit.
        limit = f"{int(seconds * 1000) + 1}ms"
        with translated_errors():
            self._connection.execute("SELECT set_config('statement_timeout', %s, true)", (limit,))
        self._limit = seconds
