"""Power that fails at any disk operation, after which any part of the unsynced data is kept.

What was acknowledged survives, each batch is there whole or not at all, and sending everything again converges.
With ``synchronous=OFF`` the same must lose runs, or the test's disk is too reliable to prove anything.
"""

import random
import shutil
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path

import apsw
import attrs
import pytest

from adapters.sqlite import SqliteStore
from adapters.sqlite import connection as connection_module
from adapters.sqlite import store as store_module
from core.errors import StoreError, StoreUnusableError
from core.model.run import Run
from tests.contract.samples import keep, read, sample_run
from tests.faults.losing_vfs import losing_disk
from tests.figures import Figures, Scale

OPERATIONS = 1_200
"""About as many as the workload has; the power may fail at any of them, or after all."""


@attrs.define
class Workload:
    """A store under batches and changes, and what its client was told.

    ``versions`` are the summaries sent for each key, in order; ``told`` is the number acknowledged.
    """

    chance: random.Random
    synchronous: str
    versions: dict[str, list[str]] = attrs.Factory(dict)
    told: Counter[str] = attrs.Factory(Counter)
    batches: list[list[str]] = attrs.Factory(list)

    def work_until_the_cut(self, path: Path) -> None:
        """Open, write, checkpoint and close, several times over."""
        with suppress(StoreError):
            for _ in range(4):
                with closing(SqliteStore(path)) as store:
                    self._set_synchronous(store)
                    for _ in range(self.chance.randrange(2, 10)):
                        self._write(store)
                        # A checkpoint beside the writer syncs the WAL, so the control needs writes without one.
                        if self.chance.random() < 0.6:
                            store.maintain(quiet=self.chance.random() < 0.5)

    def _set_synchronous(self, store: SqliteStore) -> None:
        if self.synchronous != "FULL":
            store._writer.pragma("synchronous", self.synchronous)  # noqa: SLF001 - there is no such setting

    def _write(self, store: SqliteStore) -> None:
        """Add a few batches and a change in one unit of work, acknowledged after its commit."""
        sent: Counter[str] = Counter()
        with store.unit_of_work() as work:
            for _ in range(self.chance.randrange(1, 3)):
                batch = [self._new_run() for _ in range(self.chance.randrange(1, 12))]
                self.batches.append([run.event_id for run in batch])
                work.runs.add(batch)
                sent.update(run.event_id for run in batch)
            if known := sorted(self.told):
                changed = self._changed(self.chance.choice(known))
                work.runs.replace(changed)
                sent[changed.event_id] += 1
            work.commit()
        self.told.update(sent)

    def _new_run(self) -> Run:
        key = f"event-{len(self.versions)}"
        self.versions[key] = []
        return self._changed(key)

    def _changed(self, key: str) -> Run:
        summary = f"{key}/{len(self.versions[key])}/" + "x" * self.chance.choice((10, 300, 5_000))
        self.versions[key].append(summary)
        return sample_run(key, input_summary=summary)


@attrs.frozen
class Damage:
    """The errors that a cut caused."""

    lost: int
    torn: int
    broken: bool


def damage(path: Path, workload: Workload) -> Damage:
    """Open what the cut left on a working disk, compare it with what was acknowledged, and use it."""
    try:
        with closing(SqliteStore(path)) as store:
            found = {key: read(store, lambda runs, key=key: runs.get(key)) for key in workload.versions}  # type: ignore[misc]
            keep(store, *(sample_run(key, input_summary=sent[0]) for key, sent in workload.versions.items()))
    except StoreError:
        return Damage(lost=len(workload.told), torn=0, broken=True)
    lost = sum(1 for key, number in workload.told.items() if not _is_there(found[key], workload.versions[key], number))
    torn = sum(1 for batch in workload.batches if len({found[key] is None for key in batch}) > 1)
    return Damage(lost, torn, broken=not is_whole(path))


def _is_there(run: Run | None, sent: list[str], acknowledged: int) -> bool:
    """Return whether the run is in the last acknowledged version, or in a later one."""
    return run is not None and run.input_summary in sent[acknowledged - 1 :]


def is_whole(path: Path) -> bool:
    """Return whether SQLite finds no error in the file, and every key is stored once."""
    with closing(apsw.Connection(str(path))) as connection:
        try:
            rows = connection.execute("SELECT count(*) = count(DISTINCT event_id) FROM runs").fetchall()
            return rows == [(1,)] and connection.pragma("integrity_check") == "ok"
        except apsw.CorruptError:
            return False


def cut_power(folder: Path, seed: int, synchronous: str) -> tuple[Workload, Damage]:
    """Run one life of a store, ended by the cut; return what is left."""
    chance = random.Random(f"{synchronous}-{seed}")  # noqa: S311 - to be repeated, not to be secret
    workload = Workload(chance, synchronous)
    live, left = folder / f"live-{seed}", folder / f"left-{seed}"
    for made in (live, left):
        made.mkdir()
    with losing_disk(chance.randrange(1, OPERATIONS)) as disk:
        workload.work_until_the_cut(live / "runs.db")
    disk.left_behind(left, chance)
    done = damage(left / "runs.db", workload)
    for made in (live, left):
        shutil.rmtree(made)
    return workload, done


@pytest.fixture
def _small_wal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoint, restart and truncate the WAL all the time, since there the order of writes matters."""
    monkeypatch.setattr(store_module, "CHECKPOINT_PAGES", 20)
    monkeypatch.setattr(store_module, "REST_PAGES", 5)
    monkeypatch.setattr(store_module, "WAL_CAP_PAGES", 80)
    monkeypatch.setattr(store_module, "WAL_RESET_PAGES", 20)
    monkeypatch.setattr(connection_module, "WAL_CAP_BYTES", 100_000)


def survey(folder: Path, seeds: int, synchronous: str) -> dict[str, int]:
    """Run many lives; return the number of cuts, and of those with something lost, torn or broken."""
    figures: Counter[str] = Counter(acknowledged=0, lost=0, torn=0, broken=0)
    for seed in range(seeds):
        workload, done = cut_power(folder, seed, synchronous)
        figures += Counter(acknowledged=len(workload.told), lost=done.lost, torn=done.torn, broken=int(done.broken))
    return {name: figures[name] for name in ("acknowledged", "lost", "torn", "broken")}


@pytest.mark.usefixtures("_small_wal")
def test_a_power_cut_takes_nothing_acknowledged(tmp_path: Path, scale: Scale, figures: Figures) -> None:
    """Whenever the power fails, every acknowledged run is stored as acknowledged, every batch whole or not at all."""
    cuts = scale(40, 2_000)
    found = survey(tmp_path, cuts, "FULL")
    figures(cuts=cuts, **found)
    assert found["acknowledged"] > 20 * cuts
    assert (found["lost"], found["torn"], found["broken"]) == (0, 0, 0)


@pytest.mark.parametrize("cut_at", [4, 7, 12])
def test_a_file_whose_making_was_cut_short_is_made_anew(tmp_path: Path, cut_at: int) -> None:
    """If the first page of a new file was never synced, but its journal was, nothing is in the way."""
    live, left = tmp_path / "live", tmp_path / "left"
    for made in (live, left):
        made.mkdir()
    with losing_disk(cut_at) as disk, suppress(StoreUnusableError):
        SqliteStore(live / "runs.db").close()
    disk.left_behind(left, random.Random(1))  # noqa: S311 - to be repeated, not to be secret
    assert (left / "runs.db-journal").stat().st_size
    (left / "runs.db").write_bytes(bytes(8_192))
    with closing(SqliteStore(left / "runs.db")) as store:
        keep(store, sample_run("first"))
    assert is_whole(left / "runs.db")


@pytest.mark.usefixtures("_small_wal")
def test_the_same_without_syncing_loses_runs(tmp_path: Path, scale: Scale, figures: Figures) -> None:
    """The control: this disk does lose unsynced data, as SQLite's other modes show."""
    cuts = scale(40, 200)
    for synchronous in ("NORMAL", "OFF"):
        (tmp_path / synchronous).mkdir()
        found = survey(tmp_path / synchronous, cuts, synchronous)
        figures(synchronous=synchronous, cuts=cuts, **found)
        assert found["lost"]
