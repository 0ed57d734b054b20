"""A refusal repository that tests hold up and let fail."""

from collections.abc import Sequence
from threading import Event

from adapters.memory.refusal_repository import MemoryRefusalRepository, RefusalList
from core.model.refusal import Refusal
from tests.contract.samples import HANG_GUARD_SECONDS


class ObservedRefusals(MemoryRefusalRepository):
    """Keeps refusals in memory once it is allowed to."""

    def __init__(self) -> None:
        super().__init__(RefusalList(), 100_000)
        self.reached = Event()
        self.allowed = Event()
        self.allowed.set()
        self.fails: Exception | None = None
        self.additions: list[int] = []
        self.closed = False

    def add(self, refusals: Sequence[Refusal]) -> None:
        self.reached.set()
        assert self.allowed.wait(HANG_GUARD_SECONDS)
        self.additions.append(len(refusals))
        if self.fails:
            raise self.fails
        super().add(refusals)

    def close(self) -> None:
        self.closed = True
