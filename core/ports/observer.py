"""The port to whoever counts what happens."""

from enum import StrEnum
from typing import Protocol


class Intake(StrEnum):
    """A way in which runs come in."""

    LENIENT = "lenient"
    ATOMIC = "atomic"
    SINGLE = "single"
    STREAM = "stream"
    JOB = "job"
    OTLP = "otlp"


class Observer(Protocol):
    """Is told what happened, to count it.

    Its methods may be called from any thread, those about commits and the write-ahead log by one thread at a time.
    They return at once and raise nothing.
    """

    def note_runs(self, intake: Intake, *, created: int, existing: int, failed: int) -> None:
        """Note what became of the runs of an upload, or of a chunk of one. What was stored is durable."""
        ...

    def note_commit(self, commands: int, waited: float, seconds: float) -> None:
        """Note a group commit: its number of commands and how long it took.

        ``waited`` are the seconds that the first command of the group spent in the queue.
        """
        ...

    def note_failed_commit(self) -> None:
        """Note that nothing of a group was stored."""
        ...

    def note_checkpoint(self, seconds: float, *, complete: bool) -> None:
        """Note an attempt to empty the write-ahead log; ``complete`` unless a reader held it up."""
        ...

    def note_wal_restart(self) -> None:
        """Note that the write-ahead log began anew, whoever emptied it: no reader holds it up any more."""
        ...


class Unobserved(Observer):
    """Counts nothing: for stores without a server."""

    def note_runs(self, intake: Intake, *, created: int, existing: int, failed: int) -> None:
        pass

    def note_commit(self, commands: int, waited: float, seconds: float) -> None:
        pass

    def note_failed_commit(self) -> None:
        pass

    def note_checkpoint(self, seconds: float, *, complete: bool) -> None:
        pass

    def note_wal_restart(self) -> None:
        pass
