"""Several servers that amend, update and delete the same runs at once."""

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import attrs
import pytest

from adapters.postgres import PostgresStore
from adapters.postgres.maintenance import check_postgres
from adapters.postgres.run_repository import PostgresRunRepository
from core.errors import TransactionConflictError
from core.model.batch import BatchResult, Conflict
from core.model.limits import Limits
from core.model.listing import PageRequest, RunFilter
from core.model.run import Commit, CommitHash, CommitSource, Run, RunChanges, Status, Text, Timestamp
from core.use_cases.amend import ingest_amending
from core.use_cases.update import associate_commit, update_run
from tests.contract.samples import at, everything, keep, read, sample_run

LATER = {"created_at": at(5), "updated_at": at(5)}


def ended(key: str, **fields: object) -> Run:
    """Return a run that is reported after its end."""
    return sample_run(key, **{"status": Status.SUCCESS, **LATER, **fields})


def ingest(store: PostgresStore, *runs: Run) -> BatchResult:
    """Send runs as one batch, again if other servers were in the way."""
    while True:
        try:
            return ingest_once(store, *runs)
        except TransactionConflictError:
            continue


def ingest_once(store: PostgresStore, *runs: Run) -> BatchResult:
    """Send runs as one batch."""
    with store.unit_of_work() as work:
        result = ingest_amending(runs, range(len(runs)), work)
        work.commit()
    return result


@pytest.fixture
def store(postgres_url: str) -> Iterator[PostgresStore]:
    """Yield the store of one server, in which a run is running."""
    with closing(PostgresStore(postgres_url, "shown", Limits())) as opened:
        keep(opened, sample_run("a"))
        yield opened


@pytest.fixture
def overtake(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Yield a function that lets another server act between finding a run that is running and amending it."""
    amend = PostgresRunRepository.amend
    with closing(PostgresStore(postgres_url, "shown", Limits())) as other:

        def arrange(act: Callable[[PostgresStore], object]) -> None:
            def overtaken(repository: PostgresRunRepository, *asked: Any) -> None:
                monkeypatch.undo()
                act(other)
                amend(repository, *asked)

            monkeypatch.setattr(PostgresRunRepository, "amend", overtaken)

        yield arrange


def test_of_two_ended_runs_the_one_that_was_amended_first_stays(
    store: PostgresStore, overtake: Callable[..., None]
) -> None:
    """The second one finds what the first one left, and says how it differs."""
    first, second = ended("a", agent_name="first"), ended("a", agent_name="second")
    overtake(lambda other: ingest(other, first))
    assert ingest(store, second) == BatchResult((), 1, 0, 1, 0, conflicts=(Conflict(0, "a", ("agent_name",)),))
    assert read(store, everything) == (attrs.evolve(first, created_at=Timestamp(at(0))),)


def test_a_commit_that_another_server_associated_is_kept(store: PostgresStore, overtake: Callable[..., None]) -> None:
    """It is not lost, although the run had none when it was found."""
    commit = Commit(CommitHash("abcdef1"), CommitSource.CI)

    def associate(other: PostgresStore) -> None:
        with other.unit_of_work() as work:
            associate_commit("a", commit, Timestamp(at(3)), work)
            work.commit()

    overtake(associate)
    assert ingest(store, ended("a")).amended == 1
    (run,) = read(store, everything)
    assert (run.status, run.commit_hash, run.updated_at) == (Status.SUCCESS, "abcdef1", at(5))


def test_a_run_that_another_server_deleted_is_a_conflict(store: PostgresStore, overtake: Callable[..., None]) -> None:
    """The unit of work is rolled back, and the same again stores the run."""

    def remove(other: PostgresStore) -> None:
        with other.unit_of_work() as work:
            work.runs.remove(RunFilter(), PageRequest())
            work.commit()

    overtake(remove)
    with pytest.raises(TransactionConflictError):
        ingest_once(store, ended("a"))
    assert read(store, everything) == ()
    assert ingest(store, ended("a")).created == 1


def test_servers_that_amend_the_same_runs_at_once_agree(postgres_url: str) -> None:
    """Each run is as one of them reported its end, keeps what others tied to it, and names are counted right."""
    keys = [f"run-{number}" for number in range(40)]
    servers = [PostgresStore(postgres_url, "shown", Limits()) for _ in range(3)]
    try:
        keep(servers[0], *map(sample_run, keys[::2]))
        with ThreadPoolExecutor(len(servers)) as pool:
            amended = sum(pool.map(_report_all, servers, range(len(servers)), [keys] * len(servers)))
        runs = read(servers[0], everything)
    finally:
        for server in servers:
            server.close()
    assert sorted(run.event_id for run in runs) == sorted(keys)
    assert all(run.status is Status.SUCCESS and run.agent_name == run.run_id for run in runs)
    assert amended == len(keys)
    assert check_postgres(postgres_url, "shown").problems == ()


def _report_all(store: PostgresStore, server: int, keys: list[str]) -> int:
    """Report all runs, each as running, then as ended, and update some; return how many were amended."""
    order = random.Random(server)  # noqa: S311 - not for secrets
    reports = [sample_run(key, agent_name=f"running-{server}") for key in keys]
    name = f"server-{server}"
    amended = ingest(store, *order.sample(reports, len(reports))).amended
    for start in range(0, len(keys), 5):
        part = order.sample(keys, 5)
        _update(store, part[0])
        amended += ingest(
            store, *(ended(key, agent_name=name, run_id=name) for key in [*part, *keys[start : start + 5]])
        ).amended
    return amended


def _update(store: PostgresStore, key: str) -> None:
    with store.unit_of_work() as work:
        update_run(key, RunChanges(output_summary=Text("x")), Timestamp(at(4)), work)
        work.commit()
