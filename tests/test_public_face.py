"""The package that other programs import: its public names, and that it runs as a module."""

import subprocess
import sys

import runsink


def test_every_public_name_is_there() -> None:
    """Every name in ``__all__`` can be imported, and every store error belongs to one family."""
    assert all(hasattr(runsink, name) for name in runsink.__all__)
    errors = [getattr(runsink, name) for name in runsink.__all__ if name.endswith("Error")]
    exceptions = [error for error in errors if issubclass(error, Exception)]
    assert len(exceptions) > 10
    assert all(issubclass(error, runsink.RunsinkError) for error in exceptions)


def test_the_module_is_the_command() -> None:
    """``python -m runsink`` prints the same version as ``runsink``."""
    found = subprocess.run([sys.executable, "-m", "runsink", "--version"], capture_output=True, text=True, check=True)
    assert found.stdout.startswith("runsink, version ")
