"""The context shared by handlers: run use cases without blocking the event loop."""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import attrs
from aiohttp import web

from adapters.wire.encode import encode
from core.ports.cancellation import Cancellation
from core.ports.run_repository import RunReader
from core.ports.unit_of_work import UnitOfWork
from entrypoints.application import Application
from entrypoints.http.guard.access import Access
from entrypoints.http.messages.request_body import INLINE_BODY_BYTES, Allowance, read_json_body
from entrypoints.http.messages.responses import encoded_response
from entrypoints.http.pressure.completions import Completions
from entrypoints.http.pressure.worker_pool import Pools
from entrypoints.http.transport.connections import lease_of, run_while_awaited

_T = TypeVar("_T")


@attrs.frozen
class Context:
    """The application, and the threads for work that would block the event loop."""

    application: Application
    access: Access
    completions: Completions
    pools: Pools
    root_path: str
    """What every path in a response begins with: the prefix that clients use, or nothing."""

    async def decode(self, request: web.Request, allowed: Allowance, decode: Callable[[bytes], _T]) -> _T:
        """Read and decode a JSON body; decode a large one in a thread."""
        body = await read_json_body(request, allowed, lease_of(request), self.pools.decoding.run)
        return decode(body) if len(body) <= INLINE_BODY_BYTES else await self.pools.decoding.run(partial(decode, body))

    async def write(self, command: Callable[[UnitOfWork], _T]) -> _T:
        """Run a writing use case and return once its outcome is durable."""
        return await self.completions.wait(self.application.write(command))

    async def read(self, request: web.Request, query: Callable[[RunReader], object]) -> web.Response:
        """Run a reading use case in a thread and return its encoded result.

        Raises:
            OverloadedError: there is no capacity for the read or its result.
        """

        def read(cancellation: Cancellation) -> bytes:
            body = encode(self.application.read(query, cancellation))
            lease_of(request).grow(len(body))
            return body

        return encoded_response(await run_while_awaited(request, self.pools.reading, read))
