"""Starting and stopping the HTTP server."""

import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version

import attrs
from aiohttp import web

from core.errors import RunsinkError
from entrypoints.application import Application
from entrypoints.http.answers import detail_response, error_response
from entrypoints.http.bodies import UnacceptableBodyError
from entrypoints.http.routes import Routes
from entrypoints.settings import Settings

_log = logging.getLogger("runsink")

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@attrs.frozen
class RunningServer:
    """A server that listens. ``url`` has no slash at its end."""

    url: str
    _runner: web.AppRunner
    _executor: ThreadPoolExecutor

    async def close(self) -> None:
        """Take no more connections, answer what was accepted, then stop. The application stays open."""
        await self._runner.cleanup()
        self._executor.shutdown()


async def start_server(application: Application, settings: Settings) -> RunningServer:
    """Listen where the settings say; port 0 takes a free one.

    Raises:
        OSError: the address or the port cannot be had.
    """
    executor = ThreadPoolExecutor(max_workers=4, thread_name_prefix="runsink")
    routes = Routes(application, executor, settings.partial_status, version("runsink"))
    runner = web.AppRunner(_build_app(routes), access_log=None, auto_decompress=False, handle_signals=False)
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.host, settings.port).start()
    except BaseException:
        await runner.cleanup()
        executor.shutdown()
        raise
    host, port = runner.addresses[0][:2]
    shown = f"[{host}]" if ":" in host else host
    return RunningServer(f"http://{shown}:{port}", runner, executor)


def _build_app(routes: Routes) -> web.Application:
    app = web.Application(middlewares=[_answer_errors])
    app.add_routes(routes.table())
    return app


@web.middleware
async def _answer_errors(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Every error leaves as JSON with a ``detail``."""
    try:
        return await handler(request)
    except RunsinkError as error:
        return error_response(error)
    except UnacceptableBodyError as error:
        return detail_response(error.status, error.detail)
    except web.HTTPException as error:
        allowed = {name: value for name, value in error.headers.items() if name == "Allow"}
        return detail_response(error.status, f"{error.reason}: {request.method} {request.path}", allowed)
    except Exception:  # noqa: BLE001 - the client still gets an answer
        _log.exception("%s %s failed", request.method, request.path)
        return detail_response(500, "internal error; the server's log says more")
