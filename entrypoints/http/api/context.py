"""What the handlers share: how a request reaches a use case without holding up the event loop."""

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
    """One application, and the threads that take what would hold up the event loop."""

    application: Application
    access: Access
    completions: Completions
    pools: Pools

    async def decode(self, request: web.Request, allowed: Allowance, decode: Callable[[bytes], _T]) -> _T:
        """Read a JSON body and decode it; a large one in a thread."""
        body = await read_json_body(request, allowed, lease_of(request), self.pools.decoding.run)
        return decode(body) if len(body) <= INLINE_BODY_BYTES else await self.pools.decoding.run(partial(decode, body))

    async def write(self, command: Callable[[UnitOfWork], _T]) -> _T:
        """Carry out a use case that writes, and return once its outcome is durable."""
        return await self.completions.wait(self.application.write(command))

    async def read(self, request: web.Request, query: Callable[[RunReader], object]) -> web.Response:
        """Carry out a use case that reads, in a thread, and return its encoded result if there is room for it."""

        def read(cancellation: Cancellation) -> bytes:
            body = encode(self.application.read(query, cancellation))
            lease_of(request).grow(len(body))
            return body

        return encoded_response(await run_while_awaited(request, self.pools.reading, read))
