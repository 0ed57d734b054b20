"""The state machine over HTTP, with servers that are restarted, and killed between and during requests."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import multiple, rule, run_state_machine_as_test

from adapters.sqlite import SqliteStore
from tests.faults.audit import disagreements, integrity_errors, looked_into
from tests.faults.http_driver import HttpDriver, Write, batch, update
from tests.figures import Figures, Scale
from tests.properties.driver import InProcessDriver, Sent
from tests.properties.machine import RUNS, WHOLE_LIST, StoreMachine, changes
from tests.properties.model import Model

SHARES = st.sampled_from([1.0, 1.0, 1.0, 0.99, 0.5, 0.0])
DELAYS = st.sampled_from([0.05, 0.02, 0.01, 0.005, 0.003, 0.002, 0.001, 0.0])
"""Delays around the duration of a small write, so that kills come before, during and after its commit."""


class HttpMachine(StoreMachine):
    """Over servers that are restarted, one database an example."""

    driver: HttpDriver

    def __init__(self, seen: "Counter[str]") -> None:
        self._seen = seen
        self._folder = TemporaryDirectory()
        super().__init__()

    @property
    def _db(self) -> Path:
        return Path(self._folder.name) / "runs.db"

    def _drive(self) -> HttpDriver:
        return HttpDriver(self._db)

    @rule()
    def restart(self) -> None:
        """A server that was stopped leaves everything to the next."""
        self._seen["restarts"] += 1
        self.driver.reopen()

    @rule()
    def kill(self) -> None:
        """What was acknowledged is stored after a kill."""
        self._seen["kills"] += 1
        self.driver.kill()

    @rule(
        target=StoreMachine.sent,
        runs=st.lists(RUNS, min_size=1, max_size=4),
        atomic=st.booleans(),
        share=SHARES,
        delay=DELAYS,
    )
    def kill_in_a_batch(self, runs: list[Sent], *, atomic: bool, share: float, delay: float) -> object:
        """A batch whose server was killed is stored or not; if it was acknowledged, it is."""
        after = self.model.copy()
        expired = [run for run in runs if after.is_expired(run)]
        now = self.driver.tick()
        after.ingest(enumerate([] if atomic and expired else [run for run in runs if run not in expired]), now)
        self._kill_in(batch(runs, atomic=atomic), after, share, delay)
        return multiple(*runs)

    @rule(run=StoreMachine.sent, what=changes(), share=SHARES, delay=DELAYS)
    def kill_in_an_update(self, run: Sent, what: Sent, share: float, delay: float) -> None:
        """An update whose server was killed was applied or not; if it was acknowledged, it was."""
        after = self.model.copy()
        after.change(run["event_id"], what, self.driver.tick())
        self._kill_in(update(run["event_id"], what), after, share, delay)

    def _kill_in(self, write: Write, after: Model, share: float, delay: float) -> None:
        """Kill during the request, and continue with the model that matches the store; one must."""
        answer = self.driver.kill_in(write, share, delay)
        found = self.driver.page({}, limit=WHOLE_LIST).runs
        assert answer is None or answer.status in {200, 201, 400, 404, 422, 500}
        if answer is not None:
            outcome = "acknowledged before the kill"
            self.model = after
        elif found == self.model.newest_first():
            outcome = "gone with the kill"
        else:
            outcome = "kept through the kill"
            self.model = after
        self._seen[outcome] += 1

    def teardown(self) -> None:
        """The last server's file matches the model and is sound."""
        self.driver.close()
        self._seen["examples"] += 1
        with looked_into(self._db) as connection:
            assert integrity_errors(connection, thorough=True) == []
            assert disagreements(connection) == []
        left = InProcessDriver(lambda: SqliteStore(self._db))
        runs = left.page({}, limit=WHOLE_LIST).runs
        left.close()
        assert list(map(self.driver.in_steps, runs)) == self.model.newest_first()
        self._folder.cleanup()


def _machines(seen: "Counter[str]") -> Callable[[], HttpMachine]:
    return lambda: HttpMachine(seen)


def test_http_store_is_the_models(scale: Scale, figures: Figures) -> None:
    """Whatever is sent over HTTP, with restarts and kills at any time, exactly what was acknowledged is stored."""
    seen: Counter[str] = Counter()
    run_state_machine_as_test(
        _machines(seen),
        settings=settings(
            max_examples=scale(15, 2000),
            stateful_step_count=20,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
    figures(**{name.replace(" ", "_"): number for name, number in sorted(seen.items())}, divergences=0)
