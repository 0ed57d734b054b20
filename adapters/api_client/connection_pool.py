"""Connections to one server for any number of threads."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from threading import Lock
from typing import Any

from adapters.api_client.connection import TIMEOUT_SECONDS, Address, ApiConnection, ApiResponse, ApiStream
from adapters.api_client.operations import Operation


class ConnectionPool:
    """Open connections that nobody uses at the moment; each is used by one thread at a time.

    Usable from any thread. A forked process begins with none, since the open ones are its parent's.
    """

    def __init__(self, url: str, token: str | None = None, timeout: float = TIMEOUT_SECONDS) -> None:
        Address.parse(url)
        self._make = partial(ApiConnection, url, token, timeout)
        self._begin()

    def exchange(self, operation: Operation[Any]) -> ApiResponse:
        """Send a request and read its whole response; raises as ``ApiConnection.request`` does."""
        connection = self._take()
        try:
            return connection.request(operation.method, operation.path, operation.body, operation.headers)
        finally:
            self._give(connection)

    @contextmanager
    def stream(self, operation: Operation[Any]) -> Iterator[ApiStream]:
        """Send a request and read its response piece by piece, over a connection of its own."""
        with (
            self._make() as connection,
            connection.stream(operation.method, operation.path, operation.body, operation.headers) as stream,
        ):
            yield stream

    def close(self) -> None:
        """Close those that nobody uses, and the others as soon as they are given back."""
        with self._lock:
            self._closed = True
            idle = list(self._idle)
            self._idle.clear()
        for connection in idle:
            connection.close()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._lock = Lock()
        self._closed = False
        self._idle: list[ApiConnection] = []

    def _take(self) -> ApiConnection:
        if self._process != os.getpid():
            self._begin()
        with self._lock:
            return self._idle.pop() if self._idle else self._make()

    def _give(self, connection: ApiConnection) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(connection)
                return
        connection.close()
