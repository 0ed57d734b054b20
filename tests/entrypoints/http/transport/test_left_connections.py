"""Connections that are closed while aiohttp still works for them: nothing of it is an error of the server."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import attrs
import pytest
from aiohttp import web

from adapters.prometheus.metrics import Metrics
from entrypoints.http.messages.request_log import RequestLog
from entrypoints.http.rejections import Reason
from entrypoints.http.transport.accepting import ConnectionShare
from entrypoints.http.transport.connection_limits import ConnectionLimits
from entrypoints.http.transport.connections import Connection, Connections, ServerHooks
from entrypoints.settings import Settings
from tests.servers import DEADLINE_SECONDS

POST = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n"


@attrs.define
class Client:
    """A client, and the server's end of its connection."""

    reader: asyncio.StreamReader
    connection: Connection


@asynccontextmanager
async def client_of(respond: Callable[[Connection], Awaitable[web.Response]]) -> AsyncIterator[Client]:
    """Serve one client, which has sent a request without its body; ``respond`` handles it."""
    served: asyncio.Queue[Connection] = asyncio.Queue()

    async def handle(request: web.Request) -> web.Response:
        assert isinstance(request.protocol, Connection)
        served.put_nowait(request.protocol)
        return await respond(request.protocol)

    application = web.Application()
    application.router.add_post("/", handle)
    runner = web.AppRunner(application)
    await runner.setup()
    assert runner.server is not None
    hooks = ServerHooks(
        asyncio.Event(), lambda: False, Metrics("1", Reason), RequestLog(lambda _: None), ConnectionShare.alone()
    )
    connections = Connections(runner.server, ConnectionLimits.of(Settings()), hooks)
    server = await asyncio.get_running_loop().create_server(connections, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(POST)
    yield Client(reader, await served.get())
    writer.close()
    server.close()
    await connections.shutdown(0.01)
    await runner.cleanup()


def test_the_rest_of_a_body_arrives_as_its_connection_is_closed(caplog: pytest.LogCaptureFixture) -> None:
    """After a response that came before the end of the body, the server stops while it discards the rest."""

    async def respond(_: Connection) -> web.Response:
        return web.Response(text="early")

    async def run() -> None:
        async with client_of(respond) as client:
            await client.reader.readuntil(b"early")
            client.connection.data_received(b"more")
            client.connection.force_close()
            await client.reader.read()

    asyncio.run(asyncio.wait_for(run(), DEADLINE_SECONDS))
    assert errors(caplog) == []


def test_a_handler_ends_as_the_wait_for_it_does(caplog: pytest.LogCaptureFixture) -> None:
    """The client has left, and the time that its request had is over."""
    may_end = asyncio.Event()

    async def respond(connection: Connection) -> web.Response:
        connection.abort()
        await may_end.wait()
        return web.Response()

    async def run() -> None:
        async with client_of(respond) as client:
            await client.reader.read()
            stopping = asyncio.create_task(client.connection.shutdown(DEADLINE_SECONDS))
            await asyncio.sleep(0)
            may_end.set()
            stopping.cancel()
            await asyncio.wait([stopping])

    asyncio.run(asyncio.wait_for(run(), DEADLINE_SECONDS))
    assert errors(caplog) == []


def test_what_nobody_expects_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """An exception that leaves aiohttp's own code while the client waits is an error of the server."""

    async def respond(connection: Connection) -> web.Response:
        connection.log_exception("Unhandled exception", exc_info=RuntimeError("unexpected"))
        return web.Response(text="early")

    async def run() -> None:
        async with client_of(respond) as client:
            await client.reader.readuntil(b"early")

    asyncio.run(asyncio.wait_for(run(), DEADLINE_SECONDS))
    assert [record.exc_info and str(record.exc_info[1]) for record in errors(caplog)] == ["unexpected"]


def errors(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """Return what was logged as an error."""
    return [record for record in caplog.records if record.levelno >= logging.ERROR]
