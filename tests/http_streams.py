"""What tests of streams over HTTP share: whole requests, and requests that are sent bit by bit."""

import http.client
import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import urlsplit

import attrs

from tests.documented import Received
from tests.servers import DEADLINE_SECONDS, DESCRIPTION, Answer, Api

STREAM = "/api/v1/runs/stream"
NDJSON = "application/x-ndjson"
COUNTS = ("total", "created", "existing", "failed")
MEMBERS = {*COUNTS, "last_line", "errors", "errors_omitted", "conflicts", "conflicts_omitted"}


def stream(api: Api, body: bytes, kind: str = NDJSON, **headers: str) -> Answer:
    """Upload a whole stream."""
    return api.send("POST", STREAM, body, Content_Type=kind, **headers)


def numbers(answer: Answer) -> tuple[int, int, int, int, int]:
    """Return the counts of a stream, and the last line."""
    return (*answer.counts, answer.body["last_line"])


def stored(api: Api) -> set[str]:
    """Return the keys of all runs, of a thousand at most."""
    return set(api.find(limit=1000).event_ids)


def is_early_end(answer: Answer, status: int) -> bool:
    """Return whether a stream ended with this status, a reason and all of the counts."""
    return answer.status == status and answer.body.keys() == {*MEMBERS, "detail"} and bool(answer.body["detail"])


@attrs.frozen
class Fetched:
    """A response as it came; ``complete`` says whether it came to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    complete: bool = True

    @property
    def lines(self) -> list[Any]:
        """Return the documents of newline-delimited JSON."""
        return [json.loads(line) for line in self.body.splitlines()]


def fetch(api: Api, method: str, path: str, body: bytes | None = None, **headers: str) -> Fetched:
    """Send a request and return the response, whatever its body is."""
    connection = http.client.HTTPConnection(urlsplit(api.url).netloc, timeout=DEADLINE_SECONDS)
    with closing(connection):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, named)
        fetched = received(connection.getresponse())
    if fetched.complete and "Content-Encoding" not in fetched.headers:
        DESCRIPTION.check(method, path, Received(fetched.status, fetched.headers, fetched.body))
    return fetched


def received(response: http.client.HTTPResponse) -> Fetched:
    """Read a response to its end, or to where it breaks off."""
    try:
        return Fetched(response.status, response.headers, response.read())
    except http.client.IncompleteRead as error:
        return Fetched(response.status, response.headers, error.partial, complete=False)


@attrs.frozen
class Sending:
    """A stream that is being sent in chunks."""

    link: socket.socket
    response: http.client.HTTPResponse

    def send(self, content: bytes) -> None:
        """Send a chunk."""
        self.link.sendall(b"%x\r\n%s\r\n" % (len(content), content))

    def send_raw(self, content: bytes) -> None:
        """Send bytes as they are."""
        self.link.sendall(content)

    def end(self) -> None:
        """Send the last chunk."""
        self.link.sendall(b"0\r\n\r\n")

    def stop(self) -> None:
        """Send no more, and read on."""
        self.link.shutdown(socket.SHUT_WR)

    def answer(self) -> Answer:
        """Return the response, once it is there."""
        self.response.begin()
        arrived = Received(self.response.status, self.response.headers, self.response.read())
        DESCRIPTION.check("POST", STREAM, arrived)
        return Answer(arrived.status, self.response.headers, arrived.document)

    def begin_response(self) -> http.client.HTTPResponse:
        """Return the head of the response; lines of its body can be read as they come."""
        self.response.begin()
        return self.response


@contextmanager
def sending(api: Api, kind: str = NDJSON, length: int | None = None, **headers: str) -> Iterator[Sending]:
    """Begin a stream in chunks, or of a length."""
    address = urlsplit(api.url)
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    head = [f"POST {STREAM} HTTP/1.1", "Host: localhost", f"Content-Type: {kind}", *lines]
    framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    with closing(socket.create_connection((address.hostname, address.port), DEADLINE_SECONDS)) as link:
        link.sendall("\r\n".join([*head, framing, "", ""]).encode())
        with closing(http.client.HTTPResponse(link, method="POST")) as response:
            yield Sending(link, response)
