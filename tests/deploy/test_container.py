"""The image and the compose files agree with the code and with each other."""

import json
import re
import shlex
import tomllib
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import attrs
import pytest
import yaml

from entrypoints.process.worker import STOPPING
from entrypoints.settings import Settings
from tests.deploy.examples import DEFAULT_PORT, DEPLOY, ROOT, check_command, settings_of
from tests.servers import Finish

CONTAINERFILE = (DEPLOY / "Containerfile").read_text("utf-8")
COMPOSE_FILES = ("compose.yaml", "compose.postgres.yaml")
SERVER_IMAGE = "runsink"


@attrs.frozen
class Instruction:
    """An instruction of the Containerfile, its continued lines joined."""

    name: str
    rest: str

    @property
    def words(self) -> list[str]:
        """The arguments, in JSON or separated by blanks."""
        parsed: list[str] = json.loads(self.rest) if self.rest.startswith("[") else shlex.split(self.rest)
        return parsed


def instructions() -> list[Instruction]:
    """Return the instructions of all stages, in order."""
    lines = re.sub(r"^\s*#.*\n", "", CONTAINERFILE, flags=re.MULTILINE)
    joined = re.sub(r"\\\n\s*", " ", lines)
    return [Instruction(*line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]


def only(name: str) -> Instruction:
    """Return the only instruction of this name."""
    (found,) = (instruction for instruction in instructions() if instruction.name == name)
    return found


def image_environment() -> dict[str, str]:
    """Return the variables of the image."""
    return dict(pair.split("=", 1) for pair in only("ENV").words)


def compose(name: str) -> Mapping[str, Any]:
    """Return a compose file."""
    loaded: Mapping[str, Any] = yaml.safe_load((DEPLOY / name).read_text("utf-8"))
    return loaded


def services(name: str) -> Mapping[str, Mapping[str, Any]]:
    """Return the services of a compose file."""
    found: Mapping[str, Mapping[str, Any]] = compose(name)["services"]
    return found


def servers(name: str) -> dict[str, Mapping[str, Any]]:
    """Return the services that are servers of ours."""
    return {key: service for key, service in services(name).items() if service["image"] == SERVER_IMAGE}


@pytest.fixture
def image_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    """Return the settings of a server in the image."""
    return settings_of(image_environment(), monkeypatch, tmp_path)


def test_image_runs_commands_that_exist() -> None:
    """The entry point is the installed command; the default and the health check are commands of it."""
    (script,) = entry_points(group="console_scripts", name="runsink")
    assert only("ENTRYPOINT").words == [script.name]
    check_command(only("CMD").words)
    health = only("HEALTHCHECK").rest.partition("CMD ")[2]
    name, *arguments = json.loads(health)
    assert name == script.name
    check_command(arguments)


def test_image_is_built_from_all_packages() -> None:
    """Everything that the wheel is made of is copied, and the build context lets it through."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    files = {"pyproject.toml", project["project"]["readme"], *project["project"]["license-files"]}
    copied = {
        source
        for instruction in instructions()
        if instruction.name == "COPY" and not instruction.rest.startswith("--")
        for source in instruction.words[:-1]
    }
    let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line[:1] == "!"}
    assert copied == let_through
    assert {file for file in files if Path(file).parts[0] not in packages} | {*packages} == copied


def test_image_keeps_everything_on_its_volume(image_settings: Settings) -> None:
    """The database is on the volume, and so is whatever lies beside it or has a relative path."""
    (volume,) = only("VOLUME").words
    assert Path(image_settings.db).parent == Path(volume)
    assert [part.rest for part in instructions() if part.name == "WORKDIR"][-1] == volume


def test_image_runs_as_a_fixed_user_that_is_not_root() -> None:
    """The ids in USER are those of the user that was made, and compose files and pages name the same."""
    user, group = map(int, only("USER").rest.split(":"))
    assert user >= 10_000
    assert group == user
    assert f"--gid {group} " in CONTAINERFILE
    assert f"--uid {user} " in CONTAINERFILE
    page = (ROOT / "docs" / "how-to" / "run-in-a-container.md").read_text("utf-8")
    assert set(re.findall(r"chown (\d+)", page)) == {str(user)}


def test_image_listens_on_the_port_that_it_exposes(image_settings: Settings) -> None:
    """It is the default port, which the health check asks as well."""
    assert only("EXPOSE").rest == str(image_settings.port) == DEFAULT_PORT


def test_image_stops_by_a_signal_that_drains() -> None:
    """It is the one that the server waits for."""
    assert only("STOPSIGNAL").rest in {number.name for number in STOPPING}


def test_image_does_not_start_open_to_everybody(finish: Finish, tmp_path: Path) -> None:
    """Without tokens, a server with the variables of the image ends with 2 and says what to set."""
    variables = {name: value for name, value in image_environment().items() if name.startswith("RUNSINK_")}
    done = finish("serve", **{**variables, "RUNSINK_DB": str(tmp_path / "runs.db"), "RUNSINK_PORT": "0"})
    assert done.returncode == 2
    assert "set token-file or RUNSINK_TOKENS, or allow-anonymous" in done.stderr


@pytest.mark.parametrize("name", COMPOSE_FILES)
def test_servers_have_settings_that_exist(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Variables of the image and of the file are settings; secrets that they name are those of the service."""
    assert servers(name)
    for service in servers(name).values():
        settings = settings_of({**image_environment(), **service["environment"]}, monkeypatch, tmp_path)
        assert not settings.allow_anonymous
        secrets = {f"/run/secrets/{secret}" for secret in service["secrets"]}
        named = {value for value in service["environment"].values() if value.startswith("/run/secrets/")}
        assert str(settings.token_file) in named == secrets
        assert float(service["stop_grace_period"].removesuffix("s")) > settings.drain_seconds + 1


@pytest.mark.parametrize("name", COMPOSE_FILES)
def test_every_service_is_hardened(name: str) -> None:
    """Read-only, without capabilities but those that are named, and with none to be gained."""
    for service in services(name).values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", COMPOSE_FILES)
def test_compose_files_are_complete(name: str) -> None:
    """Whatever a service refers to is defined, and whatever is defined is used."""
    document = compose(name)
    used: dict[str, set[str]] = {"secrets": set(), "networks": set(), "volumes": set()}
    for service in document["services"].values():
        used["secrets"] |= set(service.get("secrets", ()))
        used["networks"] |= set(service.get("networks", ()))
        used["volumes"] |= {volume.partition(":")[0] for volume in service["volumes"] if volume[0] != "."}
        assert set(service.get("depends_on", ())) <= document["services"].keys()
    for kind, names in used.items():
        assert names == document.get(kind, {}).keys()


@pytest.mark.parametrize("name", COMPOSE_FILES)
def test_compose_files_refer_to_files_that_exist(name: str) -> None:
    """The Containerfile, and what is mounted from here. Secrets are made by the operator and never checked in."""
    for service in services(name).values():
        if "build" in service:
            assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).samefile(
                DEPLOY / "Containerfile"
            )
        mounted = [volume.partition(":")[0] for volume in service["volumes"] if volume[0] == "."]
        assert all((DEPLOY / path).is_file() for path in mounted)
    ignored = (ROOT / ".gitignore").read_text("utf-8").splitlines() if (ROOT / ".gitignore").exists() else None
    for secret in compose(name)["secrets"].values():
        assert secret["file"].startswith("secrets/")
        assert ignored is None or "/deploy/secrets/" in ignored


def test_single_server_is_published_on_its_port() -> None:
    """On loopback only: without TLS, tokens must not cross a network."""
    (service,) = services("compose.yaml").values()
    assert service["ports"] == [f"127.0.0.1:{DEFAULT_PORT}:{DEFAULT_PORT}"]


def test_proxy_reaches_every_server_and_only_the_proxy_is_published() -> None:
    """Three servers, each with a volume of its own for the bodies of its jobs."""
    name = "compose.postgres.yaml"
    found = servers(name)
    assert len(found) == 3
    assert services(name)["proxy"]["environment"]["SERVERS"].split() == [f"{key}:{DEFAULT_PORT}" for key in found]
    assert len({volume for service in found.values() for volume in service["volumes"]}) == 3
    assert [key for key, service in services(name).items() if "ports" in service] == ["proxy"]
    database = services(name)["postgres"]["environment"]
    assert all(
        service["environment"]["RUNSINK_DB"]
        == f"postgresql://{database['POSTGRES_USER']}@postgres/{database['POSTGRES_DB']}"
        for service in found.values()
    )
