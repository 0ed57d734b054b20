"""``runsink settings``: what is in force, where it comes from, and a file to start from."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import attrs
import pytest

from entrypoints.settings import Settings, shown_name
from tests.servers import Finish

NAMES = [shown_name(field) for field in attrs.fields(Settings)]


def shown(finish: Finish, *options: str, **variables: str) -> dict[str, Any]:
    """What ``settings --json`` prints."""
    ended = finish("settings", "--json", *options, **variables)
    assert (ended.returncode, ended.stderr) == (0, "")
    document: dict[str, Any] = json.loads(ended.stdout)
    return document


def test_every_setting_has_its_default(finish: Finish) -> None:
    """In the order of the help, and the tokens at the end."""
    document = shown(finish)
    assert list(document) == [*NAMES, "tokens"]
    assert all(row["source"] == "default" and row["name"] is None for row in document.values())
    assert document["port"]["value"] == 8765
    assert document["allow-anonymous"]["value"] is False
    assert document["tokens"]["value"] is None


def test_each_source_is_named(finish: Finish, tmp_path: Path) -> None:
    """A value that is overridden does not show, and paths are those that the server would use."""
    (tmp_path / "folder").mkdir()
    file = tmp_path / "folder" / "x.toml"
    file.write_text('[runsink]\nport = 1\nworkers = 2\nidle-seconds = 3\nspool = "jobs"\n')
    document = shown(
        finish,
        "--port",
        "9",
        "--no-allow-anonymous",
        RUNSINK_CONFIG="folder/x.toml",
        RUNSINK_PORT="5",
        RUNSINK_WORKERS="6",
    )
    assert document["port"] == {"value": 9, "source": "option", "name": "--port"}
    assert document["allow-anonymous"] == {"value": False, "source": "option", "name": "--no-allow-anonymous"}
    assert document["workers"] == {"value": 6, "source": "variable", "name": "RUNSINK_WORKERS"}
    assert document["idle-seconds"] == {"value": 3, "source": "file", "name": str(file)}
    assert document["spool"] == {"value": "folder/jobs", "source": "file", "name": str(file)}
    assert document["db"]["source"] == "default"


def test_text_is_aligned(finish: Finish) -> None:
    """A line for each setting: name, value, source."""
    ended = finish("settings", "--allow-anonymous", "--allowed-hosts", "a.example,b.example")
    lines = ended.stdout.splitlines()
    assert [line.split()[0] for line in lines] == [*NAMES, "tokens"]
    assert len({re.split(" {2,}", line)[0] for line in lines}) == len(lines)
    assert len({line.rindex("  ") for line in lines}) == 1
    assert re.search(r"^allow-anonymous +true +--allow-anonymous$", ended.stdout, flags=re.MULTILINE)
    assert re.search(r"^spool +\(not set\) +default$", ended.stdout, flags=re.MULTILINE)


@pytest.mark.parametrize("form", ["--json", "--no-allow-anonymous"])
def test_no_secret_is_shown(finish: Finish, form: str) -> None:
    """Neither the password of a database nor a token."""
    ended = finish(
        "settings",
        form,
        RUNSINK_DB="postgresql://u:hush-hush@db.example/x?sslpassword=hush-hush",
        RUNSINK_TOKENS="all write hush-hush-hush-hush",
        RUNSINK_TOKEN="hush-hush",  # noqa: S106 - none that anybody has
    )
    assert ended.returncode == 0
    assert "hush" not in ended.stdout + ended.stderr
    assert "postgresql://u@db.example/x" in ended.stdout
    assert re.search(r"tokens\W.*set\W.*RUNSINK_TOKENS", ended.stdout)


@pytest.mark.parametrize(
    "arguments",
    [["--port", "x"], ["--host", "0.0.0.0"], ["--token-file", "missing"], ["--prot", "1"]],  # noqa: S104 - nothing listens
)
def test_what_serve_would_say(finish: Finish, arguments: list[str]) -> None:
    """Settings with which the server would not start are the same error, and the same status."""
    ended, served = finish("settings", *arguments), finish("serve", *arguments)
    assert ended.returncode == served.returncode == 2
    assert ended.stderr.replace("runsink settings", "runsink serve") == served.stderr


def test_settings_that_do_not_go_together_are_shown(finish: Finish) -> None:
    """Each is valid, so one can see where it comes from."""
    ended = finish("settings", RUNSINK_HOST="0.0.0.0")  # noqa: S104 - nothing listens
    assert ended.returncode == 2
    assert re.search(r"^host +0\.0\.0\.0 +RUNSINK_HOST$", ended.stdout, flags=re.MULTILINE)


def test_example_sets_nothing(finish: Finish, tmp_path: Path) -> None:
    """It loads as it is, names every setting, and needs no valid configuration to be printed."""
    (tmp_path / "runsink.toml").write_text("[runsink")
    example = finish("settings", "--example", RUNSINK_PORT="x").stdout
    (tmp_path / "runsink.toml").write_text(example)
    assert {row["source"] for row in shown(finish).values()} == {"default"}
    assert re.findall(r"^#([a-z-]+) = ", example, flags=re.MULTILINE) == NAMES


def test_example_without_comment_signs_loads(finish: Finish, tmp_path: Path) -> None:
    """Every line that sets something is valid, and sets the default where there is one."""
    example = finish("settings", "--example").stdout
    text = re.sub(r"^#(?! |$)", "", example, flags=re.MULTILINE)
    (tmp_path / "runsink.toml").write_text(text)
    assert list(tomllib.loads(text)["runsink"]) == NAMES
    document = shown(finish, "--token-file", str(_tokens(tmp_path)))
    assert {document[name]["source"] for name in NAMES if name != "token-file"} == {"file"}
    defaults = {shown_name(field): field.default for field in attrs.fields(Settings)}
    assert {name: document[name]["value"] for name in NAMES if defaults[name] is not None} == {
        name: default for name, default in defaults.items() if default is not None
    }


def _tokens(folder: Path) -> Path:
    """A file of tokens that can be read, unlike that of the example."""
    file = folder / "tokens"
    file.write_text("all write " + "s" * 20)
    file.chmod(0o600)
    return file
