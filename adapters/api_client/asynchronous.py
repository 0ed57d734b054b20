"""HTTP to one server, over aiohttp, for programs that run an event loop."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import aiohttp
from yarl import URL

from adapters.api_client.connection import MAX_RESPONSE_BYTES, TIMEOUT_SECONDS, Address, ApiResponse
from adapters.api_client.errors import InvalidResponseError, TruncatedResponseError
from adapters.api_client.lines import LineSplitter
from adapters.api_client.operations import Operation
from core.errors import ServerUnreachableError


class AsyncConnections:
    """The connections of one event loop to one server, opened when they are needed.

    Redirects are not followed, since a token would go along.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        timeout: float = TIMEOUT_SECONDS,
        *,
        max_response_bytes: int = MAX_RESPONSE_BYTES,
    ) -> None:
        Address.parse(url)
        self.url = url
        self._base = url.rstrip("/")
        # What comes back is bounded by its size, and compressed content has none to speak of.
        self._headers = {"Accept-Encoding": "identity"}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"
        self._timeout = timeout
        self._max_response_bytes = max_response_bytes
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection; the next request opens another."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def exchange(self, operation: Operation[Any]) -> ApiResponse:
        """Send a request and read its whole response; raises as ``ApiConnection.request`` does."""
        with self._translated():
            async with self._request(operation) as response:
                return await self._whole(response)

    async def lines(self, operation: Operation[Any]) -> AsyncIterator[bytes]:
        """Send a request and read its response line by line; raises as ``ApiStream.lines`` does.

        A response other than 200 raises the error that the operation makes of it.
        """
        splitter = LineSplitter()
        with self._translated():
            async with self._request(operation) as response:
                if response.status != 200:
                    operation.interpret(await self._whole(response))
                async for piece in response.content.iter_any():
                    for line in splitter.feed(piece):
                        yield line
        for line in splitter.end():
            yield line

    def _request(self, operation: Operation[Any]) -> "aiohttp.client._RequestContextManager":
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._timeout, sock_read=self._timeout),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            )
        headers: Mapping[str, str] = {"Accept": "application/json", **operation.headers, **self._headers}
        url = URL(self._base + operation.path, encoded=True)
        return self._session.request(operation.method, url, data=operation.body, headers=headers, allow_redirects=False)

    async def _whole(self, response: aiohttp.ClientResponse) -> ApiResponse:
        content = bytearray()
        async for piece in response.content.iter_any():
            content += piece
            if len(content) > self._max_response_bytes:
                raise InvalidResponseError(f"the response has more than {self._max_response_bytes} bytes")
        headers = {name.lower(): value for name, value in response.headers.items()}
        return ApiResponse(response.status, headers, bytes(content))

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Raise the errors of this product for those of aiohttp."""
        try:
            yield
        except aiohttp.ClientPayloadError as error:
            raise TruncatedResponseError(f"the response of {self.url} broke off") from error
        except (aiohttp.ClientResponseError, aiohttp.InvalidURL) as error:
            raise InvalidResponseError(f"{self.url} did not respond in HTTP: {error}") from error
        except TimeoutError as error:
            raise ServerUnreachableError(f"{self.url} did not respond within {self._timeout:g} s") from error
        except aiohttp.ServerDisconnectedError as error:
            raise ServerUnreachableError(f"{self.url} closed the connection without a response") from error
        except (aiohttp.ClientError, OSError) as error:
            raise ServerUnreachableError(f"cannot reach {self.url}: {error}") from error
