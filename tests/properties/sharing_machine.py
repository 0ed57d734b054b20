"""The state machine with uploads that share a commit."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import multiple, rule

from tests.properties.driver import Sent
from tests.properties.looking_machine import LookingMachine
from tests.properties.machine import RUNS, StoreMachine, bad_runs

BATCHES = st.lists(
    st.tuples(
        st.lists((StoreMachine.sent | RUNS).map(lambda run: (run, None)) | bad_runs(), min_size=1, max_size=3),
        st.booleans(),
    ),
    min_size=2,
    max_size=4,
)
"""Batches of new, known and invalid runs, and whether each is atomic."""


class SharingMachine(LookingMachine):
    """In the process of the store, where a commit can be held up until several uploads wait for the next."""

    @rule(target=StoreMachine.sent, batches=BATCHES)
    def batches_that_share_a_commit(self, batches: list[tuple[list[tuple[Sent, str | None]], bool]]) -> Any:
        """They are stored and answered as if they came one after the other."""
        now = self.driver.tick()
        told = self.driver.ingest_together([([run for run, _ in mixed], atomic) for mixed, atomic in batches])
        for outcome, (mixed, atomic) in zip(told, batches, strict=True):
            self._check(outcome, mixed, now, atomic=atomic)
        return multiple(*(run for mixed, _ in batches for run, field in mixed if field is None))
