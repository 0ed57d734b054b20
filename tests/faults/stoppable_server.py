"""Servers that are started, ended and killed within a test."""

import http.client
import json
import signal
import socket
import subprocess
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import attrs

from tests.launcher import Command
from tests.servers import DEADLINE_SECONDS, Answer, Served, own_environment


@attrs.frozen
class StoppableServer(Served):
    """A server that runs until it is ended, in one way or another."""

    @classmethod
    def start(cls, db: Path) -> "StoppableServer":
        """Start a server over this database; it listens."""
        command = ["runsink", "serve", "--port", "0", "--db", db]
        server = cls(Command(command, env=own_environment({}), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL))
        assert server.first_line
        return server

    def stop(self, number: signal.Signals) -> int:
        """Send the signal; return the exit status."""
        self.process.send_signal(number)
        status = self.process.wait(DEADLINE_SECONDS)
        self.process.communicate()
        return status

    def killed_in(self, method: str, path: str, document: object, sent: float, delay: float) -> Answer | None:
        """Send a share of a request, from 0 to 1, and kill the server some seconds later; the answer if one came."""
        body = json.dumps(document).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        whole = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        address = urlsplit(self.api.url)
        with closing(socket.create_connection((address.hostname, address.port), DEADLINE_SECONDS)) as connection:
            connection.sendall(whole[: round(len(whole) * sent)])
            time.sleep(delay)
            assert self.stop(signal.SIGKILL) == -signal.SIGKILL
            return _whole_answer(connection)


def _whole_answer(connection: socket.socket) -> Answer | None:
    """What arrived before the other side was gone, if it is an answer from beginning to end."""
    response = http.client.HTTPResponse(connection)
    try:
        response.begin()
        return Answer(response.status, response.headers, json.loads(response.read()))
    except (http.client.HTTPException, OSError):
        return None
    finally:
        response.close()
