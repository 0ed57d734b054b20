"""``runsink serve`` as a real process: starting, its options, stopping, and several on one database."""

import http.client
import json
import os
import re
import signal
import socket
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.servers import POST_RUN, Answer, Api, Finish, MakeRun, Serve, Served

HANG_SECONDS = 8
"""Only ends a test that hangs; less than the 10 seconds that the server waits for a lock."""


def partial_status(server: Api, make_run: MakeRun) -> int:
    """What the server answers to a batch of which one run fails."""
    return server.lenient([make_run(), make_run(status="lost")]).status


def free_port() -> int:
    """A port that nobody listened on a moment ago."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return int(listener.getsockname()[1])


def connect(server: Api) -> socket.socket:
    """A connection without a client's manners."""
    address = urlsplit(server.url)
    return socket.create_connection((address.hostname, address.port), HANG_SECONDS)


def stop_and_wait_until_it_drains(served: Served) -> None:
    """Send SIGTERM and return once the server lets a request be the last of its connection.

    The connection is there before the signal: one that is taken just while the listener closes makes CPython 3.13.0
    complain on stderr.
    """
    with closing(http.client.HTTPConnection(urlsplit(served.api.url).netloc, timeout=HANG_SECONDS)) as probe:
        last = probe_is_last(probe)
        served.process.send_signal(signal.SIGTERM)
        while not last:
            last = probe_is_last(probe)


def probe_is_last(probe: http.client.HTTPConnection) -> bool:
    """Whether the answer to a request says that the connection ends."""
    probe.request("GET", "/health")
    response = probe.getresponse()
    response.read()
    return response.will_close


def test_serve_says_where_it_listens(serve: Serve, tmp_path: Path) -> None:
    """The first line tells the URL, which answers, the page on it, and the database, which is there."""
    with serve("--port", "0", "--db", str(tmp_path / "x.db")) as served:
        url, database = r"(http://127\.0\.0\.1:[1-9][0-9]*)", re.escape(str(tmp_path / "x.db"))
        found = re.fullmatch(rf"runsink listens on {url}, page {url}/ui/, database {database}\n", served.first_line)
        assert found is not None
        assert found[1] == found[2]
        assert served.api.request("GET", "/health").status == 200
        assert (tmp_path / "x.db").is_file()


def test_serve_opens_the_page_on_request(serve: Serve, tmp_path: Path) -> None:
    """The browser that the environment names gets its address; one that never returns keeps nobody waiting."""
    opened, browser = tmp_path / "opened", tmp_path / "browser"
    os.mkfifo(opened)
    browser.write_text(f'#!/bin/sh\necho "$$ $1" > {opened}\nexec sleep 30\n')
    browser.chmod(0o700)
    with serve("--port", "0", "--open", BROWSER=f"{browser} %s") as served:
        assert served.api.request("GET", "/health").status == 200
        process, address = opened.read_text().split()
        assert address == f"{served.api.url}/ui/"
        os.kill(int(process), signal.SIGKILL)


def test_the_page_has_an_address_that_a_browser_reaches(serve: Serve) -> None:
    """A server on all addresses names the loopback address, which it accepts as a Host."""
    tokens = "people read reader-0123456789abcdef"
    with serve("--port", "0", "--host", "0.0.0.0", RUNSINK_TOKENS=tokens) as served:  # noqa: S104 - that is the point
        page = served.first_line.partition(", page ")[2].partition(",")[0]
        assert page == f"http://127.0.0.1:{urlsplit(served.api.url).port}/ui/"
        assert Api(page.removesuffix("/ui/")).request("GET", "/ui/").status == 200


def test_database_is_in_the_working_directory_by_default(serve: Serve, tmp_path: Path) -> None:
    """Without a database option the runs go to runsink.db where the server was started."""
    with serve("--port", "0") as served:
        assert served.first_line
        assert (tmp_path / "runsink.db").is_file()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_acknowledged_run_survives(serve: Serve, make_run: MakeRun, number: signal.Signals) -> None:
    """A run that was answered for is there after a restart; asked to end, the server does so with 0 and in silence."""
    with serve("--port", "0") as served:
        stored = served.api.create(make_run(metrics_json={"n": 2**70})).body
        assert served.end(number) == (-signal.SIGKILL if number is signal.SIGKILL else 0, "")
    with serve("--port", "0") as served:
        assert served.api.stored(stored["event_id"]) == stored
        assert served.api.lenient([stored]).counts == (1, 0, 1, 0)


def test_nothing_is_left_beside_the_database(serve: Serve, make_run: MakeRun, tmp_path: Path) -> None:
    """After SIGTERM the one file holds everything: no write-ahead log stays behind."""
    with serve("--port", "0") as served:
        assert served.api.create(make_run()).status == 201
    assert [path.name for path in tmp_path.iterdir()] == ["runsink.db"]


def test_accepted_request_is_answered_after_sigterm(serve: Serve, make_run: MakeRun, tmp_path: Path) -> None:
    """A run that waits to be written when SIGTERM comes is stored and answered before the process ends with 0."""
    body = json.dumps(make_run()).encode()
    with serve("--port", "0") as served, connect(served.api) as connection, connection.makefile("rb") as answer:
        with closing(sqlite3.connect(tmp_path / "runsink.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            connection.sendall(POST_RUN + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            # What came before this was asked has been read once this is answered.
            assert served.api.request("GET", "/health").status == 200
            stop_and_wait_until_it_drains(served)
            assert served.process.poll() is None
        assert answer.readline() == b"HTTP/1.1 201 Created\r\n"
        assert served.wait() == (0, "")
    with serve("--port", "0") as served:
        assert served.api.find().body["total"] == 1


def test_half_sent_request_is_answered_after_sigterm(serve: Serve, make_run: MakeRun) -> None:
    """A request whose body is still on its way when SIGTERM comes is read to its end, stored and answered."""
    body = json.dumps(make_run()).encode()
    head = POST_RUN + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body)
    with serve("--port", "0") as served, connect(served.api) as connection, connection.makefile("rb") as answer:
        connection.sendall(head)
        assert [answer.readline(), answer.readline()] == [b"HTTP/1.1 100 Continue\r\n", b"\r\n"]
        stop_and_wait_until_it_drains(served)
        connection.sendall(body)
        assert answer.readline() == b"HTTP/1.1 201 Created\r\n"
        assert served.wait() == (0, "")


def test_idle_connection_does_not_delay_the_end(serve: Serve, make_run: MakeRun) -> None:
    """A client that keeps its connection open without asking for anything does not keep the server from ending."""
    with serve("--port", "0") as served, connect(served.api):
        assert served.api.create(make_run()).status == 201
        assert served.end() == (0, "")


def test_options_by_environment(serve: Serve, make_run: MakeRun, tmp_path: Path) -> None:
    """Port, database and partial status may be set by variables."""
    port = free_port()
    with serve(RUNSINK_PORT=str(port), RUNSINK_DB="env.db", RUNSINK_PARTIAL_STATUS="207") as served:
        assert served.api.url == f"http://127.0.0.1:{port}"
        assert partial_status(served.api, make_run) == 207
        assert (tmp_path / "env.db").is_file()


@pytest.mark.parametrize("name", ["runsink.toml", "elsewhere.toml"])
@pytest.mark.parametrize("key", ["partial_status", "partial-status"])
def test_options_by_file(serve: Serve, make_run: MakeRun, tmp_path: Path, name: str, key: str) -> None:
    """runsink.toml in the working directory, or the file that RUNSINK_CONFIG names, may set the options."""
    (tmp_path / name).write_text(f'[runsink]\nport = 0\ndb = "file.db"\n{key} = 207\n')
    environment = {} if name == "runsink.toml" else {"RUNSINK_CONFIG": name}
    with serve(**environment) as served:
        assert partial_status(served.api, make_run) == 207
        assert (tmp_path / "file.db").is_file()


def test_nearer_options_win(serve: Serve, make_run: MakeRun, tmp_path: Path) -> None:
    """The command line wins over the variables, and those win over the file."""
    (tmp_path / "runsink.toml").write_text('[runsink]\nport = 1\ndb = "file.db"\npartial_status = 500\n')
    options = ("--port", "0", "--host", "localhost", "--partial-status", "207")
    with serve(*options, RUNSINK_PORT="1", RUNSINK_DB="env.db", RUNSINK_PARTIAL_STATUS="500") as served:
        assert partial_status(served.api, make_run) == 207
        assert (tmp_path / "env.db").is_file()
        assert not (tmp_path / "file.db").exists()


def test_two_servers_start_at_once_on_a_new_file(serve: Serve, make_run: MakeRun) -> None:
    """Two servers started at the same instant on a file that is not there yet both come up and share it."""
    for attempt in range(5):
        options = ("--port", "0", "--db", f"{attempt}.db")
        with serve(*options) as one, serve(*options) as other:
            assert one.first_line
            assert other.first_line
            run = one.api.create(make_run()).body
            assert other.api.stored(run["event_id"]) == run


def test_two_servers_share_one_file_under_load(serve: Serve, make_run: MakeRun) -> None:
    """Of overlapping uploads to two servers at once none fails, each key is created once, and both see all runs."""
    runs = [make_run(event_id=f"e{number}", run_id=f"r{number % 7}") for number in range(240)]
    batches = [(runs + runs)[start : start + 60] for start in range(0, 240, 12)]
    with serve("--port", "0") as one, serve("--port", "0") as other:
        uploads: list[Callable[[Sequence[Any]], Answer]] = [
            upload for served in (one, other) for upload in (served.api.lenient, served.api.atomic)
        ]
        with ThreadPoolExecutor(8) as clients:
            answers = list(clients.map(lambda job: job[1](job[0]), product(batches, uploads)))
        assert {answer.status for answer in answers} == {201}
        assert sum(answer.body["created"] for answer in answers) == 240
        assert all(answer.body["conflicts"] == [] and answer.counts[0] == 60 for answer in answers)
        seen = [sorted(served.api.find(limit=1000).event_ids) for served in (one, other)]
        assert seen == [sorted(run["event_id"] for run in runs)] * 2
        assert one.api.find().body["total"] == other.api.find(agent_name="translator").body["total"] == 240


def test_help_and_version_touch_no_file(finish: Finish, tmp_path: Path) -> None:
    """``--version`` and ``--help`` answer with 0 and create nothing."""
    assert "--partial-status" in finish("serve", "--help").stdout
    assert finish("--version").returncode == 0
    assert list(tmp_path.iterdir()) == []
