"""Real servers that start in milliseconds, forked by a template process with everything imported."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import attrs
import pytest

from tests.servers import DEADLINE_SECONDS, Answer, Api, own_environment

_TEMPLATE = Path(__file__).with_name("template.py")


@attrs.frozen
class Template:
    """The template process; it runs one server at a time."""

    process: "subprocess.Popen[str]"

    def start(self, db: Path) -> "ForkedServer":
        """Start a server over this database, and return it once it listens."""
        assert self.process.stdin is not None
        print(db, file=self.process.stdin, flush=True)
        pid, first_line = int(self._line()), self._line()
        if not first_line.startswith("runsink listens on "):
            pytest.fail(first_line)
        return ForkedServer(self, pid, Api(first_line.removeprefix("runsink listens on ").partition(",")[0]))

    def wait(self) -> int:
        """Return the exit status of the server, once it has exited."""
        word, _, status = self._line().partition(" ")
        assert word == "ended"
        return int(status)

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")


@attrs.frozen
class ForkedServer:
    """A server that runs until it is stopped in some way."""

    template: Template
    pid: int
    api: Api

    def end(self, number: signal.Signals) -> int:
        """Send the signal; return the exit status."""
        os.kill(self.pid, number)
        return self.template.wait()

    def killed_in(self, method: str, path: str, document: object, sent: float, delay: float) -> Answer | None:
        """Send a share of a request, from 0 to 1, and kill the server seconds later; return the response, if any."""
        body = json.dumps(document).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        whole = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        address = urlsplit(self.api.url)
        with closing(socket.create_connection((address.hostname, address.port), DEADLINE_SECONDS)) as connection:
            connection.sendall(whole[: round(len(whole) * sent)])
            time.sleep(delay)
            assert self.end(signal.SIGKILL) == -signal.SIGKILL
            return _whole_answer(connection)


def _whole_answer(connection: socket.socket) -> Answer | None:
    """Return what arrived before the connection closed, if it is a complete response."""
    response = http.client.HTTPResponse(connection)
    try:
        response.begin()
        return Answer(response.status, response.headers, json.loads(response.read()))
    except (http.client.HTTPException, OSError):
        return None
    finally:
        response.close()


@contextmanager
def template_process() -> Iterator[Template]:
    """Run a template process for the duration of the block."""
    with subprocess.Popen(
        [sys.executable, str(_TEMPLATE)],
        env=own_environment({}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield Template(process)
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(DEADLINE_SECONDS) == 0
        finally:
            if process.poll() is None:
                # A failed test may have left a server behind; the group is the template and its server.
                os.killpg(process.pid, signal.SIGKILL)
