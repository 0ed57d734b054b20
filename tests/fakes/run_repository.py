"""A run repository that tells what was asked of it."""

from collections.abc import Callable, Sequence

import attrs

from adapters.memory.run_repository import Marks, MemoryRunRepository
from core.model.run import EventId, Run, Timestamp
from core.ports.run_repository import ignore


class CountingRepository(MemoryRunRepository):
    """Counts how often it is called for anything."""

    def __init__(self) -> None:
        super().__init__({}, Marks())
        self.calls: list[str] = []
        self.added: list[int] = []
        """The number of runs of each ``add``."""

    def add(self, runs: Sequence[Run], found: Callable[[Run], object] = ignore) -> None:
        self.calls.append("add")
        self.added.append(len(runs))
        super().add(runs, found)

    def amend(self, keys: Sequence[EventId], change: Callable[[Run], Run | None]) -> None:
        self.calls.append("amend")
        super().amend(keys, change)

    def get(self, event_id: EventId) -> Run | None:
        self.calls.append("get")
        return super().get(event_id)

    def retention_horizon(self) -> Timestamp | None:
        self.calls.append("retention_horizon")
        return super().retention_horizon()

    def replace(self, run: Run) -> None:
        self.calls.append("replace")
        super().replace(run)


@attrs.define
class CountedWork:
    """A unit of work of which only the repository is used."""

    runs: CountingRepository = attrs.field(factory=CountingRepository)
