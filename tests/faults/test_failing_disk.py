"""A disk that fails at one operation, or from one on until it is repaired: every operation in turn.

Whatever fails, everything acknowledged is stored, an atomic batch is stored whole or not at all, and the store works
again once the disk does: in the same process, and when the file is reopened.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from threading import Event

import apsw
import attrs
import pytest

from adapters.group_commit import GroupCommitWriter
from adapters.sqlite import SqliteStore, schema
from adapters.sqlite import connection as connection_module
from adapters.sqlite import store as store_module
from core.errors import StoreError, StoreUnusableError
from core.model.batch import Candidate, RefusedRun
from core.model.validation_error import ValidationError
from core.use_cases.ingest import Mode, Upload, ingest, ingest_all
from tests.contract.samples import HANG_GUARD_SECONDS, all_keys, keep, sample_run
from tests.faults.failing_vfs import Kind, failing_disk
from tests.figures import Figures, Scale

KINDS: list[Kind] = ["read", "write", "sync", "truncate"]


@attrs.define
class Ledger:
    """What a client was told: the keys that are stored, and the batches that are whole or not stored."""

    told: set[str] = attrs.Factory(set)
    atomic: list[set[str]] = attrs.Factory(list)

    def check(self, found: set[str]) -> None:
        """Check that everything acknowledged is found, and every atomic batch whole or not at all."""
        assert self.told <= found
        for batch in self.atomic:
            assert batch <= found or not batch & found


Steps = Iterator[None]
"""A scenario: up to its first ``yield`` the disk works, up to the second it fails, then it is repaired."""

Scenario = Callable[[Path, Ledger], Steps]


def some_runs(name: str, number: int) -> list[Candidate]:
    """Return runs of a few pages each, so that a batch is many writes."""
    return [sample_run(f"{name}-{index}", input_summary="x" * 3_000) for index in range(number)]


def keys_of(batch: list[Candidate]) -> set[str]:
    """Return the keys of a batch's valid runs."""
    return {str(candidate.event_id) for candidate in batch if not isinstance(candidate, RefusedRun)}


def try_to_keep(store: SqliteStore, ledger: Ledger, name: str) -> None:
    """Add a batch, and record whether it was acknowledged."""
    batch = some_runs(name, 3)
    ledger.atomic.append(keys_of(batch))
    with suppress(StoreError):
        with store.unit_of_work() as work:
            ingest(Upload(Mode.ATOMIC, batch), work)
            work.commit()
        ledger.told |= keys_of(batch)


def through_batches(path: Path, ledger: Ledger) -> Steps:
    """A lenient batch with an invalid run and an atomic one share a commit, while a reader looks."""
    store = SqliteStore(path)
    writer = GroupCommitWriter(store)
    yield
    lenient = [*some_runs("lenient", 4), RefusedRun(4, None, None, (ValidationError("status", "is bad"),))]
    atomic = some_runs("atomic", 4)
    ledger.atomic.append(keys_of(atomic))
    gate = Event()
    writer.submit(lambda _work: gate.wait(HANG_GUARD_SECONDS))
    futures = [
        (lenient, writer.submit_item(ingest_all, Upload(Mode.LENIENT, lenient))),
        (atomic, writer.submit_item(ingest_all, Upload(Mode.ATOMIC, atomic))),
    ]
    gate.set()
    for batch, future in futures:
        with suppress(StoreError):
            future.result(HANG_GUARD_SECONDS)
            ledger.told |= keys_of(batch)
    with suppress(StoreError):
        ledger.check(all_keys(store))
    yield
    writer.submit(lambda work: work.runs.add([sample_run("after")])).result(HANG_GUARD_SECONDS)
    ledger.told.add("after")
    ledger.check(all_keys(store))
    writer.close()
    store.close()


def through_checkpoints(path: Path, ledger: Ledger) -> Steps:
    """Commits and checkpoints alternate, so that the WAL is restarted and truncated; then the store is closed."""
    store = SqliteStore(path)
    try_to_keep(store, ledger, "before")
    yield
    for name in ("one", "two"):
        for quiet in (True, False):
            with suppress(StoreError):
                store.maintain(quiet=quiet)
        try_to_keep(store, ledger, name)
    yield
    store.maintain(quiet=True)
    keep(store, sample_run("after"))
    ledger.told.add("after")
    ledger.check(all_keys(store))
    store.close()


def through_checkpoints_beside_the_writer(path: Path, ledger: Ledger) -> Steps:
    """The same, but the WAL is copied by the checkpointer, and commits do not wait for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_module, "REST_PAGES", 1)
        patch.setattr(store_module, "WAL_CAP_PAGES", 10_000)
        store = SqliteStore(path)
        try_to_keep(store, ledger, "before")
        yield
        for name in ("one", "two", "three"):
            with suppress(StoreError):
                store.maintain(quiet=True)
            try_to_keep(store, ledger, name)
        # What is still to fail should fail before the disk is repaired.
        with suppress(StoreError):
            store._checkpointer.take(wait=True)  # noqa: SLF001 - only the store itself asks
        yield
        store.maintain(quiet=True)
        keep(store, sample_run("after"))
        ledger.told.add("after")
        ledger.check(all_keys(store))
        store.close()


def through_opening_and_closing(path: Path, ledger: Ledger) -> Steps:
    """A new file gets its tables, stores a batch and is closed, which checkpoints its WAL."""
    path.unlink()
    yield
    for name in ("first", "second"):
        with suppress(StoreError), closing(SqliteStore(path)) as store:
            try_to_keep(store, ledger, name)
    yield


def through_a_migration(path: Path, ledger: Ledger) -> Steps:
    """A file with runs is migrated to a later version."""
    with closing(SqliteStore(path)) as store:
        try_to_keep(store, ledger, "before")
    with pytest.MonkeyPatch.context() as patch:
        steps = (*schema._STEPS, _later_version)  # noqa: SLF001 - a later version is a longer list of steps
        patch.setattr(schema, "_STEPS", steps)
        patch.setattr(schema, "VERSION", len(steps))
        yield
        with suppress(StoreError), closing(SqliteStore(path)) as store:
            try_to_keep(store, ledger, "during")
        yield
        with closing(SqliteStore(path)) as store:
            ledger.check(all_keys(store))
            keep(store, sample_run("after"))
        ledger.told.add("after")
    # The rest of the test uses the current version again.
    with closing(apsw.Connection(str(path))) as connection:
        connection.pragma("user_version", schema.VERSION)


def _later_version(connection: apsw.Connection) -> None:
    connection.execute("CREATE TABLE more AS SELECT arrival, input_summary FROM runs")
    connection.execute("CREATE INDEX more_by_summary ON more (input_summary, arrival)")


def through_a_backup(path: Path, ledger: Ledger, copy: Callable[[apsw.Connection, Path], None]) -> Steps:
    """An operator copies the file while a store uses it."""
    store = SqliteStore(path)
    try_to_keep(store, ledger, "before")
    target = path.with_suffix(".backup")
    yield
    complete = False
    with suppress(apsw.Error), closing(apsw.Connection(str(path))) as connection:
        copy(connection, target)
        complete = True
    try_to_keep(store, ledger, "during")
    yield
    check_backup(target, complete=complete)
    keep(store, sample_run("after"))
    ledger.told.add("after")
    ledger.check(all_keys(store))
    store.close()


def check_backup(target: Path, *, complete: bool) -> None:
    """A copy reported as complete is intact; one that was not is intact, empty or rejected, never in between."""
    before = keys_of(some_runs("before", 3)) | {"template"}
    try:
        with closing(SqliteStore(target)) as store:
            found = all_keys(store)
    except StoreUnusableError:
        found = set()
    assert found == before if complete else found in (set(), before)


def by_backup_api(connection: apsw.Connection, target: Path) -> None:
    """A few pages at a time."""
    with closing(apsw.Connection(str(target))) as other:
        backup = other.backup("main", connection, "main")
        try:
            while not backup.done:
                backup.step(5)
            backup.finish()
        finally:
            # APSW fails if a VFS in Python fails while a failed backup is released.
            with suppress(SystemError):
                backup.close(force=True)


def by_vacuum(connection: apsw.Connection, target: Path) -> None:
    """In one statement."""
    connection.execute("VACUUM INTO ?", (str(target),))


SCENARIOS: dict[str, Scenario] = {
    "batches": through_batches,
    "checkpoints": through_checkpoints,
    "checkpoints beside the writer": through_checkpoints_beside_the_writer,
    "opening and closing": through_opening_and_closing,
    "migration": through_a_migration,
    "backup": lambda path, ledger: through_a_backup(path, ledger, by_backup_api),
    "vacuum into": lambda path, ledger: through_a_backup(path, ledger, by_vacuum),
}


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """A file with one run."""
    path = tmp_path / "template.db"
    with closing(SqliteStore(path)) as store:
        keep(store, sample_run("template"))
    return path


@pytest.fixture
def _small_wal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoint at every opportunity, and truncate the WAL whenever it restarts."""
    monkeypatch.setattr(store_module, "CHECKPOINT_PAGES", 1)
    monkeypatch.setattr(store_module, "WAL_CAP_PAGES", 2)
    monkeypatch.setattr(store_module, "WAL_RESET_PAGES", 1)
    monkeypatch.setattr(connection_module, "WAL_CAP_BYTES", 8_192)


def survive(path: Path, scenario: Scenario, kind: Kind, at: int, *, lasting: bool) -> bool:
    """Run a scenario with one fault and check everything; return whether the fault occurred."""
    ledger = Ledger()
    with failing_disk(kind, at, lasting=lasting) as fault:
        steps = scenario(path, ledger)
        next(steps)
        fault.armed = True
        next(steps)
        fault.armed = False
        for _ in steps:
            pytest.fail("a scenario has three parts")
    check_afresh(path, ledger)
    return fault.struck > 0


def check_afresh(path: Path, ledger: Ledger) -> None:
    """On a working disk the file is intact, has everything acknowledged, and accepts more."""
    if path.exists():
        with closing(apsw.Connection(str(path))) as connection:
            assert connection.pragma("integrity_check") == "ok"
    with closing(SqliteStore(path)) as store:
        ledger.check(all_keys(store))
        keep(store, sample_run("afresh"))
        assert "afresh" in all_keys(store)


@pytest.mark.usefixtures("_small_wal")
@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "until mended"])
def test_every_operation_may_fail(
    template: Path, scale: Scale, figures: Figures, scenario: str, *, lasting: bool
) -> None:
    """Reads, writes, syncs and truncations fail one by one until the scenario meets no failure; nothing is lost."""
    step = scale(3, 1)
    met: dict[str, int] = {}
    for kind in KINDS:
        met[kind] = 0
        at = 1
        while survive(copied(template, f"{kind}-{at}"), SCENARIOS[scenario], kind, at, lasting=lasting):
            met[kind] += 1
            at += step
    assert met["write"]
    assert met["sync"]
    figures(**{f"failed_{kind}s": number for kind, number in met.items()}, lost=0)


def copied(template: Path, name: str) -> Path:
    """Make a new copy for each attempt."""
    path = template.with_name(f"{name}.db")
    shutil.copyfile(template, path)
    return path
