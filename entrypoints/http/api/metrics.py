"""The metrics, as Prometheus scrapes them."""

import asyncio
from typing import Final

from aiohttp import web

from adapters.prometheus import Exposition
from core.errors import StoreError
from core.model.store_figures import StoreFigures
from core.ports.store import Store
from entrypoints.http.pressure.worker_pool import WorkerPool

MEASURE_SECONDS: Final = 2.0
"""How long a scrape waits for the store; Prometheus gives up after ten seconds by default."""


class MetricsResource:
    """The handler of the metrics. A store that hangs delays it for a moment, and its last figures are shown."""

    def __init__(self, exposition: Exposition, store: Store, scraping: WorkerPool) -> None:
        self._exposition = exposition
        self._store = store
        self._scraping = scraping
        self._measuring: asyncio.Task[bool] | None = None
        self._figures: StoreFigures | None = None

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of this resource."""
        return [web.get("/metrics", self.get_metrics)]

    async def get_metrics(self, request: web.Request) -> web.Response:
        """Return the metrics of all processes of the server."""
        up = await self._measure()
        accept = ",".join(request.headers.getall("Accept", ()))
        body, content_type = await self._scraping.run(
            lambda: self._exposition.render(accept, self._figures, store_up=up)
        )
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def _measure(self) -> bool:
        """Measure the store, or wait for whoever does so already; return whether it responded in time."""
        if self._measuring is None or self._measuring.done():
            self._measuring = asyncio.create_task(self._take_figures())
        await asyncio.wait([self._measuring], timeout=MEASURE_SECONDS)
        return self._measuring.done() and self._measuring.result()

    async def _take_figures(self) -> bool:
        try:
            self._figures = await self._scraping.run(self._store.measure, begun=True)
        except (StoreError, OSError):
            return False
        return True
