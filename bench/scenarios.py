"""The scenarios S1 to S6, and their cases."""

from collections.abc import Iterable, Sequence
from typing import Final

import attrs

BATCH_PATHS: Final = {"lenient": "/api/v1/runs/batch", "atomic": "/api/v1/runs/batch-transactional"}
SINGLE_PATH: Final = "/api/v1/runs"
ANSWERS: Final = ("full", "minimal")

# Runs prepared per second; a faster server ends its measurement early, which changes no figure.
_BATCH_RATE = 60_000
_SINGLE_RATE = 15_000


@attrs.frozen
class Scenario:
    """The number of clients and the size of their batches; ``repeated`` sends the same batch again and again."""

    name: str
    clients: int
    batch_runs: int
    repeated: bool = False

    @property
    def single(self) -> bool:
        """Whether runs are sent one by one, not in batches."""
        return self.batch_runs == 1

    def runs_for(self, seconds: float) -> int:
        """Return the number of runs to prepare for this many seconds."""
        if self.repeated:
            return self.batch_runs
        least = self.clients * self.batch_runs * 4
        return max(least, int(seconds * (_SINGLE_RATE if self.single else _BATCH_RATE)))


SCENARIOS: Final = {
    scenario.name: scenario
    for scenario in (
        Scenario("S1", clients=1, batch_runs=100),
        Scenario("S2", clients=1, batch_runs=1000),
        Scenario("S3", clients=8, batch_runs=100),
        Scenario("S4", clients=32, batch_runs=1),
        Scenario("S5", clients=1, batch_runs=1000, repeated=True),
        Scenario("S6", clients=4, batch_runs=1000),
    )
}

FLOOR_OF: Final = {"S1": "S1", "S2": "S2", "S3": "S1", "S5": "S5", "S6": "S2"}
"""The scenario whose floor is the baseline: that of the same batch. Single runs have none."""


@attrs.frozen
class Case:
    """One scenario against one endpoint with one form of response."""

    scenario: Scenario
    endpoint: str
    answer: str

    @property
    def name(self) -> str:
        """The name in the tables."""
        if self.scenario.single:
            return f"{self.scenario.name} single"
        return f"{self.scenario.name} {self.endpoint} {self.answer}"

    @property
    def path(self) -> str:
        """The path of the requests."""
        return SINGLE_PATH if self.scenario.single else BATCH_PATHS[self.endpoint]


def make_cases(names: Sequence[str], endpoints: Iterable[str], answers: Sequence[str]) -> list[Case]:
    """Return every combination, ordered by scenario; single runs have one endpoint and one form of response."""
    cases = []
    for name in names:
        scenario = SCENARIOS[name]
        if scenario.single:
            cases.append(Case(scenario, "single", "full"))
        else:
            cases += [Case(scenario, endpoint, answer) for endpoint in endpoints for answer in answers]
    return cases
