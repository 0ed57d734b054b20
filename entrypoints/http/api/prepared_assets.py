"""Assets, each prepared when it is first asked for and then kept."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

import attrs
from aiohttp import web

from entrypoints.http.api.context import Context
from entrypoints.http.messages.asset import Asset
from entrypoints.http.transport.connections import lease_of

CONTENT_TYPES: Final[Mapping[str, str]] = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""The type of a file of a page, by its suffix."""


@attrs.define
class PreparedAssets:
    """The assets of one resource, by name."""

    context: Context
    _assets: dict[str, Asset] = attrs.field(factory=dict, init=False)
    _loading: asyncio.Lock = attrs.field(factory=asyncio.Lock, init=False)

    async def respond(self, request: web.Request, name: str, load: Callable[[], Asset]) -> web.Response:
        """Return a response with an asset, whose bytes count as in flight; ``load`` is called in a thread, once.

        Raises:
            OverloadedError: there is no capacity to prepare or to send it.
        """
        async with self._loading:
            if name not in self._assets:
                self._assets[name] = await self.context.pools.compressing.run(load)
        response = self._assets[name].respond(request)
        if isinstance(response.body, bytes):
            # Nobody needs a token for these, so they must not take more memory than other responses.
            lease_of(request).grow(len(response.body))
        return response
