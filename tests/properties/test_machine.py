"""The state machine through the in-process API, on each store."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import settings
from hypothesis.stateful import rule

from adapters.memory import MemoryStore
from adapters.sqlite import SqliteStore
from tests.properties.driver import InProcessDriver
from tests.properties.sharing_machine import SharingMachine


class MemoryMachine(SharingMachine):
    """On the memory store, which cannot be reopened."""

    def _drive(self) -> InProcessDriver:
        return InProcessDriver(MemoryStore)


class SqliteMachine(SharingMachine):
    """On a file, which can be closed and reopened at any moment."""

    def __init__(self) -> None:
        self.folder = TemporaryDirectory()
        super().__init__()

    def _drive(self) -> InProcessDriver:
        return InProcessDriver(lambda: SqliteStore(Path(self.folder.name) / "runs.db"))

    @rule()
    def reopen(self) -> None:
        """Closing and opening again changes nothing."""
        self.driver.reopen()

    def teardown(self) -> None:
        super().teardown()
        self.folder.cleanup()


TestMemory = MemoryMachine.TestCase
TestSqlite = SqliteMachine.TestCase
TestMemory.settings = TestSqlite.settings = settings(max_examples=25, stateful_step_count=20)
