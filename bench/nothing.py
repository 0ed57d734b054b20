"""An aiohttp server that does nothing: the cost of HTTP alone."""

import asyncio
import signal

from aiohttp import web

_MAX_BODY_BYTES = 64 * 1024 * 1024
_ANSWER = b'{"runs":[],"total":0,"created":0,"existing":0,"failed":0,"errors":[],"conflicts":[]}'


def serve_nothing() -> None:
    """Respond with 201 to every POST until SIGTERM, on a free port of 127.0.0.1 that is printed."""
    asyncio.run(_serve())


async def _serve() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    app = web.Application(client_max_size=_MAX_BODY_BYTES)
    app.router.add_post("/{path:.*}", _answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    print(f"nothing listens on http://{host}:{port}", flush=True)
    await stop.wait()
    await runner.cleanup()


async def _answer(request: web.Request) -> web.Response:
    await request.read()
    return web.Response(status=201, body=_ANSWER, content_type="application/json")
