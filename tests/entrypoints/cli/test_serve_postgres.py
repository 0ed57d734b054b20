"""``--db postgresql://…``: the same server over another engine, and a password that nobody sees."""

import subprocess
from urllib.parse import urlsplit

import psycopg
import pytest

from entrypoints.embedded import open_store
from tests.metrics import scrape
from tests.servers import Finish, MakeRun, Serve, Start

PASSWORD = "not-shown"


@pytest.fixture
def secret_url(postgres_url: str) -> str:
    """An empty database, with a password in its URL."""
    parts = urlsplit(postgres_url)
    return postgres_url if parts.password else postgres_url.replace("@", f":{PASSWORD}@", 1)


def password_of(url: str) -> str:
    """What must not be seen."""
    password = urlsplit(url).password
    assert password
    return password


def test_serve_says_which_database_and_not_its_password(serve: Serve, make_run: MakeRun, secret_url: str) -> None:
    """The server comes up, takes runs, and its first line names user, host and database only."""
    with serve("--port", "0", RUNSINK_DB=secret_url) as served:
        parts = urlsplit(secret_url)
        shown = f"database {parts.scheme}://{parts.username}@{parts.netloc.rpartition('@')[2]}{parts.path}\n"
        assert served.first_line.endswith(shown)
        assert served.api.create(make_run()).status == 201
        assert served.api.request("GET", "/ready").status == 200


def test_acknowledged_run_survives_in_the_database(serve: Serve, make_run: MakeRun, postgres_url: str) -> None:
    """After a restart, and through the in-process door, a run reads as it was answered."""
    sent = make_run(metrics_json={"n": 2**70, "text": "\0"}, context_json={"a": {"b": [1.5, None]}}, shard="7")
    with serve("--port", "0", "--db", postgres_url) as served:
        stored = served.api.create(sent).body
    with serve("--port", "0", "--db", postgres_url) as served:
        assert served.api.stored(stored["event_id"]) == stored
        assert served.api.lenient([stored]).counts == (1, 0, 1, 0)
    with open_store(postgres_url) as runs:
        assert runs.get(stored["run_id"]).metrics_json == '{"n":1180591620717411303424,"text":"\\u0000"}'


def test_every_route_works_over_postgres(start: Start, make_run: MakeRun, postgres_url: str) -> None:
    """Uploads, lists, updates, commits and metadata answer as over a file."""
    runs = [make_run(event_id=f"e{number}") for number in range(3)]
    with start(db=postgres_url) as server:
        assert server.lenient([*runs, make_run(status="lost")]).counts == (4, 3, 0, 1)
        assert server.atomic([*runs, make_run(run_id="launch-2")]).counts == (4, 1, 3, 0)
        assert server.find(run_id="launch-1", limit=2).event_ids == ["e2", "e1"]
        assert server.patch("e1", {"status": "failed"}).body["status"] == "failure"
        assert server.commit("e1", {"commit_hash": "abcdef1", "commit_source": "ci"}).status == 200
        assert server.get("launch-1").body["event_id"] == "e2"
        assert server.get("a\0").status == server.patch("a\0", {}).status == 404
        assert server.request("GET", "/api/v1/metadata").body["agent_names"] == ["translator"]


@pytest.mark.parametrize("option", ["--help", "serve --help"])
def test_help_shows_no_password(finish: Finish, secret_url: str, option: str) -> None:
    """Not even where the variable is set."""
    ended = finish(*option.split(), RUNSINK_DB=secret_url)
    assert ended.returncode == 0
    assert password_of(secret_url) not in ended.stdout


def assert_one_secret_line(ended: "subprocess.CompletedProcess[str]", status: int, *words: str) -> None:
    """The command failed with one line that says this and not the password."""
    assert ended.returncode == status
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.startswith("runsink: cannot use postgres")
    assert all(word in ended.stderr for word in words), ended.stderr
    assert "secret" not in ended.stderr + ended.stdout


@pytest.mark.parametrize(
    ("url", "status", "words"),
    [
        ("postgresql://u:secret@127.0.0.1:1/db", 75, ["postgresql://u@127.0.0.1:1/db", "refused"]),
        ("postgres://u:secret@127.0.0.1:1/db?password=secret", 75, ["postgres://u@127.0.0.1:1/db", "refused"]),
        ("postgresql://u:sec@secret@127.0.0.1:1/db", 2, ["postgresql://…", "percent-encode"]),
        ("postgresql://u:1/secret@127.0.0.1:1/db", 2, ["postgresql://…", "percent-encode"]),
        ("postgresql://u:secret%2@127.0.0.1:1/db", 1, ["postgresql://u@127.0.0.1:1/db", "percent-encoding"]),
        ("postgresql://u:x@127.0.0.1:1/db?secret=secret", 1, ["postgresql://u@127.0.0.1:1/db", "parameters"]),
    ],
)
def test_a_database_that_cannot_be_used_is_one_line(finish: Finish, url: str, status: int, words: list[str]) -> None:
    """What is wrong is said without the password, wherever it stood."""
    assert_one_secret_line(finish("serve", "--port", "0", "--db", url), status, *words)


def test_a_database_that_does_not_exist_is_one_line(finish: Finish, postgres_server: str) -> None:
    """The engine's own reason is passed on."""
    url = f"{postgres_server.rpartition('/')[0]}/nothing_of_this_name"
    assert_one_secret_line(finish("serve", "--port", "0", "--db", url), 75, "nothing_of_this_name", "does not exist")


def test_a_table_that_is_gone_is_500(start: Start, make_run: MakeRun, postgres_url: str) -> None:
    """A database that somebody damages while the server runs is an error with a detail, and nothing is kept."""
    with start(db=postgres_url) as server, psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute("DROP TABLE tallies")
        answer = server.atomic([make_run()])
        assert (answer.status, list(answer.body)) == (500, ["detail"])
        assert admin.execute("SELECT count(*) FROM runs").fetchone() == (0,)


def test_metrics_tell_of_the_database(start: Start, make_run: MakeRun, postgres_url: str) -> None:
    """Its size and the age of its oldest transaction are there, and nothing that only a file has."""
    with start(db=postgres_url) as server, psycopg.connect(postgres_url) as other:
        other.execute("SELECT pg_sleep(0.05)")
        server.create(make_run())
        scraped = scrape(server.url)
    assert scraped.value("runsink_store_up") == 1
    assert scraped.value("runsink_database_bytes") > 0
    assert scraped.value("runsink_oldest_reader_seconds") >= 0.05
    assert scraped.value("runsink_jobs", state="queued") == 0
    assert {"runsink_wal_bytes", "runsink_disk_free_bytes"}.isdisjoint(scraped.kinds)
