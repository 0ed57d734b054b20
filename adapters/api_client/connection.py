"""HTTP/1.1 to one server, over the standard library: whole requests, and bodies sent and read piece by piece."""

import http.client
import io
import re
import selectors
import socket
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final, Self, cast
from urllib.parse import SplitResult, urlsplit

import attrs

from adapters.api_client.errors import InvalidResponseError, TruncatedResponseError
from adapters.api_client.lines import MAX_LINE_BYTES, LineSplitter
from core.errors import ServerUnreachableError

TIMEOUT_SECONDS: Final = 30.0
MAX_RESPONSE_BYTES: Final = 64 * 1024 * 1024
_PIECE_BYTES: Final = 64 * 1024
_RECORD_BYTES: Final = 16 * 1024
"""The most that TLS sends at once (RFC 8446, section 5.1)."""

Body = bytes | Iterable[bytes] | None

_Translated = Callable[[], AbstractContextManager[None]]
"""What raises the errors of this product for those of the standard library."""


@attrs.frozen
class ApiResponse:
    """A whole response; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@attrs.frozen
class Address:
    """Where a server is: ``prefix`` is the path under which its API lies, without a slash at the end."""

    secure: bool
    host: str
    port: int | None
    prefix: str

    @classmethod
    def parse(cls, url: str) -> "Address":
        """Return the address that a URL names; raise ``ValueError`` for what is no such URL."""
        parts = urlsplit(url)
        if fault := _fault(parts):
            raise ValueError(f"{fault}: the URL of a server is like http://127.0.0.1:8765, and tokens are given apart")
        return cls(parts.scheme == "https", parts.hostname or "", parts.port, parts.path.rstrip("/"))


def _fault(parts: SplitResult) -> str | None:
    if parts.scheme not in {"http", "https"}:
        return f"the scheme {parts.scheme!r} is neither http nor https" if parts.scheme else "the URL has no scheme"
    if not parts.hostname:
        return "the URL has no host"
    if parts.username is not None or parts.password is not None:
        return "the URL holds a user name"
    if parts.query or parts.fragment:
        return "the URL has a query or a fragment"
    return None


class ApiConnection:
    """A connection to one server that is kept open between requests and opened again when need be.

    Used by one thread at a time, in the process that made it. Redirects are not followed, since a token would go along.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        timeout: float = TIMEOUT_SECONDS,
        *,
        max_response_bytes: int = MAX_RESPONSE_BYTES,
    ) -> None:
        self.url = url
        self._address = Address.parse(url)
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._timeout = timeout
        self._max_response_bytes = max_response_bytes
        self._connection: http.client.HTTPConnection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def request(
        self, method: str, path: str, body: Body = None, headers: Mapping[str, str] | None = None
    ) -> ApiResponse:
        """Send a request and read its whole response; an iterable body goes out in chunks, without a length.

        Raises:
            ServerUnreachableError: no connection, or it broke, or nothing arrived in time.
            InvalidResponseError: the response is not HTTP, or larger than ``max_response_bytes``.
        """
        if self._connection is not None and (body is None or isinstance(body, bytes)):
            # The server may have closed the connection meanwhile, which only shows when it is used.
            try:
                return self._exchange(method, path, body, headers)
            except ServerUnreachableError as error:
                if not isinstance(error.__cause__, (ConnectionError, http.client.RemoteDisconnected)):
                    raise
        return self._exchange(method, path, body, headers)

    @contextmanager
    def stream(
        self, method: str, path: str, body: Body = None, headers: Mapping[str, str] | None = None
    ) -> Iterator["ApiStream"]:
        """Send a request whose body is sent while its response is read, both piece by piece.

        An exchange of its own connection: whatever is left unread when the block is left is dropped with it. Raises
        as ``request`` does.
        """
        self.close()
        with self._translated():
            connection = self._opened()
        try:
            with self._translated():
                exchange = _begin(connection, method, self._target(path), body, self._sent_headers(headers))
            try:
                yield ApiStream(exchange, self._translated, self._max_response_bytes)
            finally:
                exchange.end()
        finally:
            self.close()

    def _exchange(self, method: str, path: str, body: Body, headers: Mapping[str, str] | None) -> ApiResponse:
        if body is not None and not isinstance(body, bytes):
            with self.stream(method, path, body, headers) as stream:
                return ApiResponse(stream.status, stream.headers, stream.read())
        try:
            with self._translated():
                connection = self._opened()
                connection.request(method, self._target(path), body, self._sent_headers(headers))
                response = connection.getresponse()
            content = _read_all(_pieces(response), self._max_response_bytes, self._translated)
            return ApiResponse(response.status, _lowered(response), content)
        except BaseException:
            # Half an exchange leaves nothing that another could begin on.
            self.close()
            raise

    def _opened(self) -> http.client.HTTPConnection:
        if self._connection is None:
            at = self._address
            self._connection = (
                http.client.HTTPSConnection(at.host, at.port, timeout=self._timeout, context=_tls())
                if at.secure
                else http.client.HTTPConnection(at.host, at.port, timeout=self._timeout)
            )
        return self._connection

    def _target(self, path: str) -> str:
        return self._address.prefix + path

    def _sent_headers(self, headers: Mapping[str, str] | None) -> dict[str, str]:
        return {"Accept": "application/json", **(headers or {}), **self._headers}

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Raise the errors of this product for those of the standard library."""
        try:
            yield
        except http.client.RemoteDisconnected as error:
            raise ServerUnreachableError(f"{self.url} closed the connection without a response") from error
        except (http.client.IncompleteRead, http.client.BadStatusLine) as error:
            if isinstance(error, http.client.BadStatusLine) and not _begins_response(error.args[0]):
                raise InvalidResponseError(f"{self.url} did not respond in HTTP: {error}") from error
            raise TruncatedResponseError(f"the response of {self.url} broke off") from error
        except http.client.HTTPException as error:
            reason = f"{type(error).__name__} {error}".rstrip()
            raise InvalidResponseError(f"{self.url} did not respond in HTTP: {reason}") from error
        except TimeoutError as error:
            raise ServerUnreachableError(f"{self.url} did not respond within {self._timeout:g} s") from error
        except OSError as error:
            raise ServerUnreachableError(f"cannot reach {self.url}: {error.strerror or error}") from error


def _begins_response(line: str) -> bool:
    """Whether this is the beginning of a status line (RFC 9112, section 4), of which the rest did not arrive."""
    return re.fullmatch(r"H|HT|HTT|HTTP|HTTP/|HTTP/1\.?1?( [0-9]{0,2})?", line) is not None


def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


class ApiStream:
    """One exchange. Whoever reads the response sends the body on meanwhile, so that neither side waits for the other.

    The server may respond before it has the whole body, and may even refuse the rest of it.
    """

    def __init__(self, exchange: "_Exchange", translated: _Translated, max_response_bytes: int) -> None:
        self._exchange = exchange
        self._translated = translated
        self._max_response_bytes = max_response_bytes

    @property
    def status(self) -> int:
        """The status, once it has arrived."""
        with self._translated():
            return self._exchange.response().status

    @property
    def headers(self) -> Mapping[str, str]:
        """The header fields, by names in lower case."""
        with self._translated():
            return _lowered(self._exchange.response())

    def read(self) -> bytes:
        """Read the rest of the body."""
        return _read_all(self._exchange.pieces(), self._max_response_bytes, self._translated)

    def pieces(self) -> Iterator[bytes]:
        """Read the body as it arrives; raises as ``lines`` does."""
        pieces = self._exchange.pieces()
        while True:
            with self._translated():
                piece = next(pieces, None)
            if piece is None:
                return
            yield piece

    def lines(self, max_line_bytes: int = MAX_LINE_BYTES) -> Iterator[bytes]:
        """Read the body line by line, each without its end and as soon as it is there; empty lines are left out.

        Raises:
            TruncatedResponseError: the body broke off; half a line is never returned.
            ServerUnreachableError, InvalidResponseError: as ``ApiConnection.request``.
        """
        splitter = LineSplitter(max_line_bytes)
        for piece in self.pieces():
            yield from splitter.feed(piece)
        yield from splitter.end()


class _Exchange(io.RawIOBase):
    """The socket of a request under way, to read from. Whatever waits for the response sends the body meanwhile."""

    def __init__(self, connected: socket.socket, method: str, body: Iterator[bytes] | None) -> None:
        super().__init__()
        self._socket = connected
        self._method = method
        self._body = body
        self._unsent = memoryview(b"")
        self._response: http.client.HTTPResponse | None = None

    def response(self) -> http.client.HTTPResponse:
        """Return the response, once its head is there."""
        if self._response is None:
            # It asks a socket for nothing but the file.
            response = http.client.HTTPResponse(cast(socket.socket, self), method=self._method)
            try:
                response.begin()
            except BaseException:
                response.close()
                raise
            self._response = response
        return self._response

    def end(self) -> None:
        """Let go of the response, whatever is left of it."""
        if self._response is not None:
            self._response.close()

    def pieces(self) -> Iterator[bytes]:
        """Read the body of the response."""
        return _pieces(self.response())

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._send_until_readable()
        return self._socket.recv_into(buffer)

    def _send_until_readable(self) -> None:
        """Send as much as the other side takes, until there is something to read or the body has ended.

        A call that sent a whole piece might wait for a server that itself waits for its response to be read.
        """
        try:
            while self._unsent or self._fill():
                readable, writable = self._ready()
                if readable:
                    return
                if writable:
                    self._unsent = self._unsent[self._socket.send(self._unsent[:_RECORD_BYTES]) :]
        except ConnectionError:
            # The server wants no more of it. What it said before it closed may still be there to read.
            self._body, self._unsent = None, memoryview(b"")

    def _fill(self) -> bool:
        """Take the next piece of the body, if there is one."""
        while self._body is not None:
            piece = next(self._body, None)
            if piece is None:
                self._body = None
                self._unsent = memoryview(b"0\r\n\r\n")
                return True
            if piece:
                self._unsent = memoryview(b"%x\r\n%b\r\n" % (len(piece), piece))
                return True
        return False

    def _ready(self) -> tuple[bool, bool]:
        """Wait until the socket can be read or written to, as it can be at once with what TLS holds ready."""
        if isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
            return True, False
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ | selectors.EVENT_WRITE)
            ready = selector.select(self._socket.gettimeout())
        if not ready:
            raise TimeoutError
        events = ready[0][1]
        return bool(events & selectors.EVENT_READ), bool(events & selectors.EVENT_WRITE)


def _begin(
    connection: http.client.HTTPConnection, method: str, target: str, body: Body, headers: Mapping[str, str]
) -> _Exchange:
    connection.putrequest(method, target, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name, value)
    if isinstance(body, bytes):
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        return _Exchange(connection.sock, method, None)
    if body is None:
        connection.endheaders()
        return _Exchange(connection.sock, method, None)
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    return _Exchange(connection.sock, method, iter(body))


def _pieces(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """Read a body as it arrives; raise ``IncompleteRead`` if it breaks off."""
    while piece := response.read1(_PIECE_BYTES):
        yield piece
    # A body without chunks that ends early is no error to read1; it only has something left.
    if response.length:
        raise http.client.IncompleteRead(b"", response.length)
    # read1 does not see the end of a body without chunks, and the connection waits for it.
    response.close()


def _read_all(pieces: Iterator[bytes], limit: int, translated: _Translated) -> bytes:
    content = bytearray()
    while True:
        with translated():
            piece = next(pieces, None)
        if piece is None:
            return bytes(content)
        content += piece
        if len(content) > limit:
            raise InvalidResponseError(f"the response has more than {limit} bytes")


def _lowered(response: http.client.HTTPResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in response.getheaders()}
