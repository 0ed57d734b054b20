"""The wheel and the sdist hold what they should, and what they hold can be installed."""

import subprocess
import sys
import tarfile
import venv
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from zipfile import ZipFile

import attrs
import pytest

ROOT = Path(__file__).parent.parent.parent
PACKAGES = ("runsink", "core", "adapters", "entrypoints")
SOURCES = (*PACKAGES, "tests", "examples", "docs", "deploy")
PICTURES = ROOT / "docs" / "images"
"""Other pictures are left behind by benchmarks and tests."""
LEFT_BEHIND = {"__pycache__", "node_modules", "secrets"}
SECONDS = 300
"""Only a guard against tests that hang."""


@attrs.frozen
class Distributions:
    """An sdist, the wheel that was built from it, and the wheel that was built from the checkout."""

    sdist: Path
    wheel: Path
    wheel_of_checkout: Path


def run(*command: str | Path, directory: Path) -> str:
    """Return what a command prints; fail with everything it printed unless it succeeds."""
    done = subprocess.run(
        command,
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def only(directory: Path, pattern: str) -> Path:
    """Return the only file that matches."""
    (found,) = directory.glob(pattern)
    return found


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    """Build everything once, without fetching a build backend."""
    of_sdist, of_checkout = tmp_path_factory.mktemp("of-sdist"), tmp_path_factory.mktemp("of-checkout")
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir"]
    run(*build, of_sdist, ROOT, directory=of_sdist)
    run(*build, of_checkout, "--wheel", ROOT, directory=of_checkout)
    return Distributions(only(of_sdist, "*.tar.gz"), only(of_sdist, "*.whl"), only(of_checkout, "*.whl"))


def files_of_the_checkout(*folders: str) -> set[str]:
    """Return the files of these folders, without what Python and tools leave behind."""
    found = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    return {
        path.relative_to(ROOT).as_posix()
        for path in found
        if not any(part in LEFT_BEHIND or part.startswith(".") for part in path.relative_to(ROOT).parts)
        and path.suffix != ".pyc"
        and (path.suffix != ".png" or path.parent == PICTURES)
    }


def files_of_the_wheel(wheel: Path) -> set[str]:
    """Return the files of a wheel, its metadata aside."""
    with ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def metadata(wheel: Path) -> Message:
    """Return the core metadata of a wheel."""
    with ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return message_from_bytes(archive.read(name))


def test_wheel_is_the_same_from_the_sdist_and_the_checkout(built: Distributions) -> None:
    """Bit by bit: nothing is missing from the sdist, and a build can be reproduced."""
    assert files_of_the_wheel(built.wheel) == files_of_the_wheel(built.wheel_of_checkout)
    assert built.wheel.read_bytes() == built.wheel_of_checkout.read_bytes()


def test_wheel_holds_the_packages_and_nothing_else(built: Distributions) -> None:
    """Every file of the packages is in it, data included, and each package says that it is typed."""
    held = files_of_the_wheel(built.wheel)
    assert held == files_of_the_checkout(*PACKAGES)
    assert {f"{package}/py.typed" for package in PACKAGES} <= held


def test_sdist_holds_all_sources(built: Distributions) -> None:
    """Packages, tests, documents, examples and what is needed to run and deploy it."""
    with tarfile.open(built.sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert files_of_the_checkout(*SOURCES) - held == set()
    assert {"LICENSE", "README.md", "CHANGELOG.md", "Makefile", "tox.ini", "pyproject.toml", ".dockerignore"} <= held


def test_metadata_is_complete(built: Distributions) -> None:
    """It has what an index and a licence scanner look for."""
    found = metadata(built.wheel)
    assert found["License-Expression"] == "MIT"
    assert found["License-File"] == "LICENSE"
    assert found["Description-Content-Type"] == "text/markdown"
    assert found["Requires-Python"] == ">=3.11"
    assert {"Typing :: Typed", "Operating System :: POSIX :: Linux"} <= set(found.get_all("Classifier", []))
    with ZipFile(built.wheel) as archive:
        assert any(name.endswith(".dist-info/licenses/LICENSE") for name in archive.namelist())


def test_checkers_find_nothing(built: Distributions) -> None:
    """Twine accepts both and can render the README; check-wheel-contents accepts the wheel."""
    run(sys.executable, "-m", "twine", "check", "--strict", built.sdist, built.wheel, directory=ROOT)
    run(sys.executable, "-m", "check_wheel_contents", built.wheel, directory=ROOT)


def test_wheel_runs_in_a_bare_environment(built: Distributions, tmp_path: Path) -> None:
    """Its own dependencies are enough for the command and for the public package."""
    venv.create(tmp_path / "venv", with_pip=True)
    programs = tmp_path / "venv" / "bin"
    run(programs / "pip", "install", "--quiet", built.wheel, directory=tmp_path)
    version = metadata(built.wheel)["Version"]
    assert run(programs / "runsink", "--version", directory=tmp_path) == f"runsink, version {version}\n"
    run(programs / "python", "-c", "import runsink", directory=tmp_path)
    run(programs / "runsink", "serve", "--help", directory=tmp_path)
