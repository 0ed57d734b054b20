"""The command line, one module a command."""

from entrypoints.cli.serve import main

__all__ = ["main"]
