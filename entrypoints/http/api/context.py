"""The context shared by handlers: run use cases without blocking the event loop."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import TypeVar

import attrs
from aiohttp import web

from adapters.wire.encode import encode
from core.ports.cancellation import Cancellation
from core.ports.job_repository import JobReader
from core.ports.run_repository import RunReader
from core.ports.snapshot import Snapshot
from core.ports.unit_of_work import UnitOfWork
from entrypoints.application import Application
from entrypoints.http.guard.access import Access
from entrypoints.http.messages.entity_tags import (
    content_tag,
    entity_tag,
    names_any_tag,
    names_tag,
    not_modified,
    tag_headers,
)
from entrypoints.http.messages.request_body import INLINE_BODY_BYTES, Allowance, read_json_body
from entrypoints.http.messages.responses import encoded_response
from entrypoints.http.pressure.completions import Completions
from entrypoints.http.pressure.worker_pool import Pools
from entrypoints.http.transport.connections import lease_of, run_while_awaited

_T = TypeVar("_T")
_Reader = TypeVar("_Reader", bound=Snapshot)


@attrs.frozen
class Context:
    """The application, and the threads for work that would block the event loop."""

    application: Application
    access: Access
    completions: Completions
    pools: Pools
    root_path: str
    """What every path in a response begins with: the prefix that clients use, or nothing."""
    version: str
    """The version of the server."""
    run_allowance: Allowance = attrs.field(init=False)
    """The limits of the body of a run, or of changes to one."""

    @run_allowance.default
    def _run_allowance(self) -> Allowance:
        return Allowance.of_run(self.application.limits)

    async def decode(self, request: web.Request, allowed: Allowance, decode: Callable[[bytes], _T]) -> _T:
        """Read and decode a JSON body; decode a large one in a thread."""
        body = await read_json_body(request, allowed, lease_of(request), self.pools.decoding.run)
        return decode(body) if len(body) <= INLINE_BODY_BYTES else await self.pools.decoding.run(partial(decode, body))

    async def write(self, command: Callable[[UnitOfWork], _T]) -> _T:
        """Run a writing use case and return once its outcome is durable."""
        return await self.completions.wait(self.application.write(command))

    async def read(self, request: web.Request, query: Callable[[RunReader], object]) -> web.Response:
        """Run a reading use case in a thread; return its encoded result, or 304 if the client has it already.

        Raises:
            OverloadedError: there is no capacity for the read or its result.
        """
        return await self._read_unless_known(request, self.application.store.reader, query)

    async def read_jobs(self, request: web.Request, query: Callable[[JobReader], object]) -> web.Response:
        """Do the same with a use case that reads jobs."""
        return await self._read_unless_known(request, self.application.store.job_reader, query)

    async def read_more(self, request: web.Request, query: Callable[[Cancellation], object]) -> web.Response:
        """Do the same with what depends on more than the store; its entity tag changes with the result itself."""

        def read(cancellation: Cancellation) -> tuple[str, bytes]:
            body = encode(query(cancellation))
            lease_of(request).grow(len(body))
            return content_tag(body), body

        tag, body = await run_while_awaited(request, self.pools.reading, read)
        if names_tag(request, tag) or names_any_tag(request):
            return not_modified(tag_headers(tag))
        return encoded_response(body, headers=tag_headers(tag))

    def entity_tag(self, request: web.Request, snapshot: Snapshot) -> str:
        """Return the tag of the response to a request that is read from this snapshot."""
        return entity_tag(request, snapshot.version(), self.version)

    async def _read_unless_known(
        self,
        request: web.Request,
        open_reader: Callable[[Cancellation], AbstractContextManager[_Reader]],
        query: Callable[[_Reader], object],
    ) -> web.Response:
        def read(cancellation: Cancellation) -> tuple[str, bytes | None]:
            with open_reader(cancellation) as reader:
                tag = self.entity_tag(request, reader)
                if names_tag(request, tag):
                    return tag, None
                found = query(reader)
            body = encode(found)
            lease_of(request).grow(len(body))
            return tag, body

        tag, body = await run_while_awaited(request, self.pools.reading, read)
        if body is None or names_any_tag(request):
            return not_modified(tag_headers(tag))
        return encoded_response(body, headers=tag_headers(tag))
