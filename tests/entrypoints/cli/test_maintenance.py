"""What the commands that look after a database have in common: progress, and how they end."""

import sys
from io import StringIO

import pytest

from core.errors import RunsinkError, StoreBusyError, StoreDamagedError
from entrypoints.cli.maintenance import at_work
from entrypoints.maintenance import NoFileError


class _Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def raise_in_work(error: BaseException) -> None:
    """Fail in the middle of what is shown."""
    with at_work("nothing was changed") as screen:
        screen.show("checking", "runs")(1, 2)
        raise error


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (StoreDamagedError("it is damaged"), 1, "it is damaged"),
        (NoFileError("it is no file"), 2, "it is no file"),
        (StoreBusyError("it is locked"), 75, "it is locked"),
        (KeyboardInterrupt(), 130, "interrupted; nothing was changed"),
    ],
)
def test_a_failure_ends_the_command(
    monkeypatch: pytest.MonkeyPatch, error: RunsinkError, status: int, said: str
) -> None:
    """With its status, and with one line from which the progress was removed."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", _Terminal())
    with pytest.raises(SystemExit) as ended:
        raise_in_work(error)
    assert ended.value.code == status
    assert isinstance(sys.stderr, _Terminal)
    assert "checking  1 runs" in sys.stderr.getvalue()
    assert sys.stderr.getvalue().endswith(f"\r\x1b[Krunsink: {said}\n")


def test_progress_is_removed_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that what is printed next has a line of its own."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", _Terminal())
    with at_work("nothing was changed") as screen:
        advance = screen.show("checking", "runs")
        advance(1, 2)
        advance(2, 2)
    assert isinstance(sys.stderr, _Terminal)
    assert sys.stderr.getvalue().endswith("\r\x1b[K")
