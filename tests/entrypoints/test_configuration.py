"""An invalid setting ends ``runsink serve`` with 2 and one line: its source, what is wrong, and what would be valid."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from entrypoints.configuration import DEFAULT, Source, load_settings
from tests.servers import Finish, Serve

Refused = Callable[..., str]


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Refused:
    """Return why settings are rejected in ``tmp_path``, with these variables and, by keyword, options."""
    monkeypatch.chdir(tmp_path)

    def refuse(variables: Mapping[str, str] = MappingProxyType({}), **options: str | bool) -> str:
        with monkeypatch.context() as environment:
            for name in [name for name in os.environ if name.startswith("RUNSINK_")]:
                environment.delenv(name)
            for name, value in variables.items():
                environment.setenv(name, value)
            with pytest.raises(ValueError) as caught:  # noqa: PT011 - each test looks at the message
                load_settings(options)
        return str(caught.value)

    return refuse


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("port", "x", "port must be a whole number, not 'x'"),
        ("port", "8765.0", "port must be a whole number, not '8765.0'"),
        ("port", "-1", "port must be from 0 to 65535, not -1"),
        ("port", "65536", "port must be from 0 to 65535, not 65536"),
        ("workers", "100000", "workers must be from 1 to 64, not 100000"),
        ("drain_seconds", "nan", "drain-seconds must be a whole number, not 'nan'"),
        ("drain_seconds", "1" + "0" * 400, "drain-seconds must be from 1 to 86400"),
        ("partial_status", "201", "partial-status must be 500 or 207, not 201"),
        ("rate_runs", "9/eon", "rate-runs must be off or one rate such as"),
        ("db", "a\nrunsink: b", "db must not contain control characters"),
    ],
)
@pytest.mark.parametrize("way", ["option", "variable"])
def test_a_wrong_text_names_where_it_was_given(refused: Refused, way: str, name: str, value: str, told: str) -> None:
    """Options and variables are checked alike."""
    if way == "option":
        assert refused(**{name: value}).startswith(f"--{name.replace('_', '-')}: {told}")
    else:
        variable = f"RUNSINK_{name.upper()}"
        assert refused({variable: value}).startswith(f"{variable}: {told}")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("port = true", "port must be an integer, not a boolean"),
        ('port = "8765"', "port must be an integer, not a string"),
        ("port = 8765.0", "port must be an integer, not a float"),
        ("port = []", "port must be an integer, not an array"),
        ("port = 2020-02-02", "port must be an integer, not a date or a time"),
        ("port = 65536", "port must be from 0 to 65535, not 65536"),
        (f"port = 0x{'f' * 5000}", "port must be a 64-bit integer"),
        ("workers = 65", "workers must be from 1 to 64, not 65"),
        ("drain-seconds = nan", "drain-seconds must be an integer, not a float"),
        ("drain-seconds = inf", "drain-seconds must be an integer, not a float"),
        ("drain-seconds = -1", "drain-seconds must be from 1 to 86400, not -1"),
        ("drain-seconds = 9223372036854775807", "drain-seconds must be from 1 to 86400"),
        ("max-queue-bytes = 9223372036854775807", "max-queue-bytes must be from 1 to 1099511627776"),
        ("max-connections = 9223372036854775807", "max-connections must be from 1 to 1000000"),
        ('db = ["a"]', "db must be a string, not an array"),
        ("db = 1", "db must be a string, not an integer"),
        ('db = "a\\u0000b"', "db must not contain control characters"),
        ("token-file = 1", "token-file must be a string, not an integer"),
        ('allow-anonymous = "yes"', "allow-anonymous must be a boolean, not a string"),
        ("allow-anonymous = 1", "allow-anonymous must be a boolean, not an integer"),
        ('rate-runs = "9/eon"', "rate-runs must be off or one rate such as"),
        ("partial_status = 500\npartial-status = 500", "partial-status is set twice"),
        ("wrokers = 2", "unknown setting 'wrokers'; did you mean workers?"),
        ("drain_second = 2", "unknown setting 'drain_second'; did you mean drain-seconds?"),
        ("zzz = 2", "unknown setting 'zzz'\n"),
        ('"a\\nb" = 2', "unknown setting 'a\\nb'\n"),
        ("[runsink.x]", "unknown setting 'x'"),
        ("[runsink.port]", "port must be an integer, not a table"),
        ("[other]", "'other' is outside the table [runsink]"),
        ("[[runsink]]", "not a TOML file"),
    ],
)
def test_a_wrong_file_names_itself_and_the_key(refused: Refused, tmp_path: Path, text: str, told: str) -> None:
    """TOML types are strict, no key is ignored, and an overriding option hides no error."""
    (tmp_path / "runsink.toml").write_text(f"[runsink]\n{text}\n")
    assert f"{refused(port='0')}\n".startswith(f"runsink.toml: {told}")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"port = 1", "'port' is outside the table [runsink]"),
        (b"runsink = 1", "runsink must be a table, not an integer"),
        (b"[[runsink]]", "runsink must be a table, not an array"),
        (b"[runsink", "not a TOML file"),
        (b"[runsink]\ndb = '\xff'", "not a TOML file"),
        (b"a = " + b"[" * 100_000, "not a TOML file"),
        (b"[runsink]\nport = " + b"9" * 5000, "not a TOML file"),
    ],
)
@pytest.mark.parametrize("name", ["runsink.toml", "elsewhere.toml"])
def test_a_file_that_is_not_ours_is_refused(
    refused: Refused, tmp_path: Path, name: str, text: bytes, told: str
) -> None:
    """A file is checked whether found or named by ``RUNSINK_CONFIG``."""
    (tmp_path / name).write_bytes(text)
    if name == "runsink.toml":
        assert refused().startswith(f"{name}: {told}")
    else:
        assert refused({"RUNSINK_CONFIG": name}).startswith(f"{name} (from RUNSINK_CONFIG): {told}")


def test_a_file_that_cannot_be_read_is_refused(refused: Refused, tmp_path: Path) -> None:
    """A directory, a link to itself, a missing file and an empty name are reported."""
    (tmp_path / "runsink.toml").mkdir()
    assert refused() == "runsink.toml: cannot be read: Is a directory"
    (tmp_path / "loop.toml").symlink_to("loop.toml")
    assert "loop.toml (from RUNSINK_CONFIG): cannot be read: " in refused({"RUNSINK_CONFIG": "loop.toml"})
    assert refused({"RUNSINK_CONFIG": "no.toml"}) == "no.toml (from RUNSINK_CONFIG): no such file"
    assert refused({"RUNSINK_CONFIG": ""}) == "RUNSINK_CONFIG is empty; set a value or unset it"


@pytest.mark.parametrize("name", ["PORT", "DB", "HOST", "TOKEN_FILE", "ALLOW_ANONYMOUS", "RATE_RUNS"])
def test_an_empty_variable_is_refused(refused: Refused, name: str) -> None:
    """An empty variable is an error instead of a silent default."""
    assert refused({f"RUNSINK_{name}": ""}) == f"RUNSINK_{name} is empty; set a value or unset it"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("RUNSINK_PROT", "did you mean RUNSINK_PORT?"),
        ("RUNSINK_MAX_STREAM", "did you mean RUNSINK_MAX_STREAMS?"),
        ("RUNSINK_port", "did you mean RUNSINK_PORT?"),
        ("RUNSINK_TOKENFILE", "did you mean RUNSINK_TOKEN_FILE?"),
        ("RUNSINK_CONFIGS", "did you mean RUNSINK_CONFIG?"),
        ("RUNSINK_ZZZ", "unset it; RUNSINK_… is for settings"),
        ("RUNSINK_", "unset it; RUNSINK_… is for settings"),
        ("RUNSINK_HOST_PORT", "did you mean RUNSINK_"),
    ],
)
def test_an_unknown_variable_is_refused(refused: Refused, name: str, told: str) -> None:
    """A typo is not a setting left at its default."""
    assert refused({name: "1"}).startswith(f"unknown variable {name}; {told}")


def test_variables_of_others_are_left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Those of clients, and what Kubernetes sets for Services whose names begin with runsink."""
    monkeypatch.chdir(tmp_path)
    variables = {
        "RUNSINK_URL": "http://127.0.0.1:8765",
        "RUNSINK_TOKEN": "secret",
        "RUNSINK_SERVICE_HOST": "10.0.0.1",
        "RUNSINK_SERVICE_PORT": "8765",
        "RUNSINK_SERVICE_PORT_HTTP": "8765",
        "RUNSINK_PORT_8765_TCP": "tcp://10.0.0.1:8765",
        "RUNSINK_PORT_8765_TCP_PROTO": "tcp",
        "RUNSINK_PORT_8765_TCP_PORT": "8765",
        "RUNSINK_PORT_8765_TCP_ADDR": "10.0.0.1",
        "RUNSINK_DB_SERVICE_HOST": "10.0.0.1",
        "RUNSINK_DB_PORT": "tcp://10.0.0.1:5432",
        "RUNSINK_DB_PORT_5432_TCP": "tcp://10.0.0.1:5432",
        "XRUNSINK_PROT": "1",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert set(load_settings({}).sources.values()) == {DEFAULT}


def test_the_address_of_a_kubernetes_service_is_no_port(refused: Refused) -> None:
    """A Service called runsink sets RUNSINK_PORT in every Pod; the message says how to stop that."""
    told = refused({"RUNSINK_PORT": "tcp://10.0.0.1:8765"})
    assert told.startswith("RUNSINK_PORT: 'tcp://10.0.0.1:8765' is the address of a Kubernetes Service; ")
    assert "enableServiceLinks: false" in told


def test_each_value_has_a_source(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The one that overrides the others."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runsink.toml").write_text("[runsink]\nport = 1\nworkers = 2\nmax-streams = 3\n")
    monkeypatch.setenv("RUNSINK_PORT", "4")
    monkeypatch.setenv("RUNSINK_WORKERS", "5")
    loaded = load_settings({"port": "6"})
    assert (loaded.settings.port, loaded.settings.workers, loaded.settings.max_streams) == (6, 5, 3)
    assert loaded.sources["port"] == Source("option", "--port")
    assert loaded.sources["workers"] == Source("variable", "RUNSINK_WORKERS")
    assert loaded.sources["max_streams"] == Source("file", str(tmp_path / "runsink.toml"))
    assert loaded.sources["db"] == DEFAULT


@pytest.mark.parametrize("text", ["[runsink]\nport = true\n", "[runsink]\nb = 1\n'a\\nb' = 1\n", "'a\x1b' = 1\n"])
def test_a_refusal_is_one_line(finish: Finish, tmp_path: Path, text: str) -> None:
    """The command exits with 2, prints only that, and creates no database."""
    (tmp_path / "runsink.toml").write_text(text)
    ended = finish("serve", "--port", "0")
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert ended.stderr.startswith("runsink: runsink.toml: ")
    assert ended.stderr[:-1].isprintable()
    assert [path.name for path in tmp_path.iterdir()] == ["runsink.toml"]


def test_a_host_that_can_be_none_is_one_line(finish: Finish) -> None:
    """A label of more than 63 characters cannot even be resolved."""
    ended = finish("serve", "--port", "0", "--host", "a" * 1000)
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert ended.stderr.startswith("runsink: cannot listen on aaa")


@pytest.mark.parametrize("text", ["[runsink", "[runsink]\nport = true\n", "other = 1\n"])
@pytest.mark.parametrize("arguments", ["--help", "--version", "serve --help", "migrate-store --help"])
def test_help_does_not_need_the_configuration(finish: Finish, tmp_path: Path, arguments: str, text: str) -> None:
    """``--help`` works whatever is wrong with the configuration."""
    (tmp_path / "runsink.toml").write_text(text)
    ended = finish(*arguments.split(), RUNSINK_PORT="x", RUNSINK_CONFIG="" if "port" in text else "runsink.toml")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_migrating_does_not_need_the_configuration(finish: Finish, tmp_path: Path) -> None:
    """``migrate-store`` has no settings."""
    (tmp_path / "runsink.toml").write_text("[runsink")
    ended = finish("migrate-store", "no.db", "new.db")
    assert (ended.returncode, ended.stderr) == (2, "runsink: cannot use 'no.db': there is no such file\n")


def test_every_type_may_be_set_in_the_file(serve: Serve, tmp_path: Path) -> None:
    """A string, an integer, a boolean, and a path relative to the file."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "x.toml").write_text(
        '[runsink]\nhost = "127.0.0.1"\nport = 0\nallow-anonymous = false\ntoken-file = "tokens"\n'
    )
    (folder / "tokens").write_text("all write " + "s" * 20)
    (folder / "tokens").chmod(0o600)
    with serve(RUNSINK_CONFIG="folder/x.toml", RUNSINK_ALLOW_ANONYMOUS="Yes") as served:
        assert served.api.request("GET", "/api/v1/limits").status == 401
