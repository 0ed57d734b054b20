"""An observer that remembers what it was told."""

from core.ports.observer import Intake, Observer


class RecordingObserver(Observer):
    """Keeps everything in lists, in order."""

    def __init__(self) -> None:
        self.runs: list[tuple[Intake, int, int, int]] = []
        self.commits: list[tuple[int, float, float]] = []
        self.failed_commits = 0
        self.checkpoints: list[bool] = []
        self.wal_restarts = 0

    def note_runs(self, intake: Intake, *, created: int, existing: int, failed: int) -> None:
        self.runs.append((intake, created, existing, failed))

    def note_commit(self, commands: int, waited: float, seconds: float) -> None:
        self.commits.append((commands, waited, seconds))

    def note_failed_commit(self) -> None:
        self.failed_commits += 1

    def note_checkpoint(self, seconds: float, *, complete: bool) -> None:
        assert seconds >= 0
        self.checkpoints.append(complete)

    def note_wal_restart(self) -> None:
        self.wal_restarts += 1
