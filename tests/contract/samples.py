"""Sample runs, and shortcuts to store and read them."""

import os
import signal
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from typing import Any, Protocol, TypeVar

from core.model.listing import NameField, NamesRequest, PageRequest, RunFilter
from core.model.run import Run
from core.model.store_version import StoreVersion
from core.ports.run_repository import RunReader, RunRepository
from core.ports.store import Store

T = TypeVar("T")

HANG_GUARD_SECONDS = 30
"""The timeout for operations that must not wait at all. Only a broken store reaches it."""


class OpenStore(Protocol):
    """Opens a store; a durable one is the same every time."""

    def __call__(self) -> Store: ...


def at(second: int) -> str:
    """Return an instant in its stored form; a larger number is later."""
    return f"2026-01-31T12:{second // 60:02}:{second % 60:02}.000000Z"


def sample_run(event_id: str = "event-1", **fields: Any) -> Run:
    """Return a stored run with the given fields."""
    required = {
        "run_id": "launch-1",
        "agent_name": "translator",
        "job_type": "translate_page",
        "start_time": at(0),
        "created_at": at(0),
        "updated_at": at(0),
    }
    return Run(event_id=event_id, **{**required, **fields})  # type: ignore[arg-type]


def keep(store: Store, *runs: Run) -> None:
    """Add runs, one after the other, and commit."""
    with store.unit_of_work() as work:
        for run in runs:
            work.runs.add([run])
        work.commit()


def add(runs: RunRepository, new: Sequence[Run]) -> dict[str, Run]:
    """Add runs; return those that existed, by key."""
    before: list[Run] = []
    runs.add(new, before.append)
    found = {run.event_id: run for run in before}
    assert len(found) == len(before)
    return dict(found)


def read(store: Store, query: Callable[[RunReader], T]) -> T:
    """Return what a new reader sees."""
    with store.reader() as runs:
        return query(runs)


def everything(runs: RunReader) -> Sequence[Run]:
    """Return all runs, newest first."""
    return runs.page(RunFilter(), PageRequest(limit=1000)).runs


def agent_names(runs: RunReader) -> tuple[str, ...]:
    """Return the distinct agent names of all runs."""
    return runs.names(NameField.AGENT_NAME, NamesRequest()).names


def assert_versions_tell_apart(writers: Sequence[Store]) -> None:
    """Fail unless snapshots have the same version exactly when they hold the same, while all write at once."""
    seen: set[tuple[StoreVersion, int]] = set()
    with ThreadPoolExecutor(len(writers)) as pool:
        working = [pool.submit(_keep_many, store, number) for number, store in enumerate(writers)]
        while not all(work.done() for work in working):
            seen.add(read(writers[0], lambda runs: (runs.version(), runs.count(RunFilter()))))
    for work in working:
        work.result()
    assert len(seen) == len({found for found, _ in seen}) == len({count for _, count in seen})


def _keep_many(store: Store, number: int) -> None:
    for turn in range(30):
        keep(store, sample_run(f"event-{number}-{turn}"))


def all_keys(store: Store) -> set[str]:
    """Return the keys of all committed runs."""
    return {run.event_id for run in read(store, everything)}


def without_waiting(work: Callable[[], T]) -> T:
    """Return the result of an action in another thread, while this one waits."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 - handed on to the test
            errors.append(error)

    thread = Thread(target=run, daemon=True)
    thread.start()
    thread.join(HANG_GUARD_SECONDS)
    if errors:
        raise errors[0]
    assert results, "it waits for what the test holds"
    return results[0]


def outcome_in_fork(work: Callable[[], object]) -> str:
    """Return the name of the error that an action raises in a forked process, if any."""
    told, telling = os.pipe()
    with warnings.catch_warnings():
        # The test is about the threads that are missing after a fork.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            signal.alarm(HANG_GUARD_SECONDS)
            work()
        except BaseException as error:  # noqa: BLE001 - told to the test
            os.write(telling, type(error).__name__.encode())
        finally:
            os._exit(0)
    os.close(telling)
    with open(told, encoding="ascii") as answer:  # noqa: PTH123 - a descriptor
        outcome = answer.read()
    _, status = os.waitpid(child, 0)
    assert status == 0, "it hangs"
    return outcome
