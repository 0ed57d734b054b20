"""The spool: what is durable, what is bounded, and who may touch what."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from adapters import spool as spool_module
from adapters.spool import FILE_BYTES, Spool
from core.errors import SpoolFullError, StoreError, StoreFullError, StoreUnusableError
from core.model.job import JobId

MIB = 1024 * 1024


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    """A new spool."""
    return Spool(tmp_path / "spool", 10 * MIB)


def put(spool: Spool, job_id: str, body: bytes = b"body") -> None:
    """Make the file of a job."""
    with spool.create(JobId(job_id)) as writer:
        writer.write(body)
        writer.finish()


def body_of(spool: Spool, job_id: str) -> bytes:
    """Read the file of a job that nobody else uses."""
    file = spool.claim(JobId(job_id))
    assert file is not None
    with file:
        return b"".join(iter(lambda: file.read(1000), b""))


def test_what_was_written_is_read(spool: Spool) -> None:
    """Pieces of any size are one body, and its size is known."""
    body = os.urandom(3 * MIB)
    with spool.create(JobId("a")) as writer:
        for start in range(0, len(body), 100_000):
            writer.write(body[start : start + 100_000])
        assert writer.size == len(body)
        writer.finish()
    assert body_of(spool, "a") == body
    assert spool.job_ids() == ["a"]
    assert spool.used_bytes() == len(body)


def test_the_spool_is_for_its_owner_alone(spool: Spool, tmp_path: Path) -> None:
    """The directory and the files in it, whatever the umask."""
    put(spool, "a")
    assert stat.S_IMODE((tmp_path / "spool").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in (tmp_path / "spool").glob("*.body")} == {0}


def test_a_directory_of_others_is_closed_to_them(tmp_path: Path) -> None:
    """One that is there already gets the same mode."""
    (tmp_path / "spool").mkdir(mode=0o755)
    Spool(tmp_path / "spool", MIB)
    assert stat.S_IMODE((tmp_path / "spool").stat().st_mode) == 0o700


def test_the_identity_stays(tmp_path: Path) -> None:
    """Whoever opens the spool is told the same, those that come first at once included, and another has its own."""
    with ThreadPoolExecutor(8) as pool:
        told = {opened.identity for opened in pool.map(lambda _: Spool(tmp_path / "spool", MIB), range(8))}
    assert told == {Spool(tmp_path / "spool", MIB).identity}
    assert Spool(tmp_path / "other", MIB).identity not in told
    assert {path.name for path in (tmp_path / "spool").iterdir()} == {"identity"}


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """In one line that names it."""
    (tmp_path / "file").touch()
    for directory in (tmp_path / "missing" / "spool", tmp_path / "file"):
        with pytest.raises(StoreUnusableError, match=f"cannot use {directory} as the spool"):
            Spool(directory, MIB)


def test_a_body_that_was_not_finished_is_no_file(spool: Spool) -> None:
    """Closing the writer removes it, whether or not something went wrong."""
    with spool.create(JobId("a")) as writer:
        writer.write(b"x" * MIB)
        assert spool.used_bytes() > 0
    with pytest.raises(ZeroDivisionError), spool.create(JobId("b")):
        raise ZeroDivisionError
    assert (spool.job_ids(), spool.used_bytes()) == ([], 0)


def test_a_closed_writer_writes_nowhere(spool: Spool) -> None:
    """Its descriptor may be another file's by then."""
    writer = spool.create(JobId("a"))
    writer.discard()
    with pytest.raises(ValueError, match="closed"):
        writer.write(b"body")
    with pytest.raises(ValueError, match="closed"):
        writer.finish()


def test_a_finished_body_can_be_discarded(spool: Spool) -> None:
    """As when its job could not be made known."""
    with spool.create(JobId("a")) as writer:
        writer.write(b"x")
        writer.finish()
        writer.discard()
    assert spool.job_ids() == []


def test_nobody_takes_a_file_before_its_writer_is_closed(spool: Spool, tmp_path: Path) -> None:
    """Neither while it is written nor while its job is made known."""
    other = Spool(tmp_path / "spool", MIB)
    with spool.create(JobId("a")) as writer:
        assert other.remove_parts() == 0
        writer.write(b"x")
        writer.finish()
        assert other.claim(JobId("a")) is None
        assert not other.remove(JobId("a"))
    assert body_of(other, "a") == b"x"


def test_one_at_a_time_runs_a_job(spool: Spool, tmp_path: Path) -> None:
    """Others are told so and can take it afterwards, unless it is gone."""
    other = Spool(tmp_path / "spool", MIB)
    put(spool, "a")
    file = spool.claim(JobId("a"))
    assert file is not None
    assert other.claim(JobId("a")) is None
    assert not other.remove(JobId("a"))
    file.close()
    assert body_of(other, "a") == b"body"
    assert other.remove(JobId("a"))
    assert other.remove(JobId("a"))
    with pytest.raises(FileNotFoundError):
        spool.claim(JobId("a"))


def test_a_file_that_is_removed_while_it_is_claimed_is_not_there(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opened it before and locks it after is told that there is none."""
    put(spool, "a")
    lock = spool_module._lock  # noqa: SLF001 - the instant between opening and locking

    def removed_before(descriptor: int, path: Path) -> bool:
        path.unlink(missing_ok=True)
        return lock(descriptor, path)

    monkeypatch.setattr(spool_module, "_lock", removed_before)
    with pytest.raises(FileNotFoundError):
        spool.claim(JobId("a"))


def test_parts_that_nobody_writes_are_removed(spool: Spool, tmp_path: Path) -> None:
    """As a crash leaves them."""
    put(spool, "a")
    (tmp_path / "spool" / "b.part").write_bytes(b"half")
    with spool.create(JobId("c")):
        assert spool.remove_parts() == 1
    assert spool.remove_parts() == 0
    assert spool.job_ids() == ["a"]


def test_the_bytes_of_all_files_are_bounded(spool: Spool) -> None:
    """Just so many fit, and there is room again when one is gone."""
    put(spool, "a", bytes(6 * MIB))
    put(spool, "b", bytes(4 * MIB))
    assert spool.used_bytes() == 10 * MIB
    with pytest.raises(SpoolFullError, match=f"{10 * MIB} bytes"):
        put(spool, "c", b"x")
    assert spool.job_ids() == ["a", "b"]
    spool.remove(JobId("b"))
    with pytest.raises(SpoolFullError):
        put(spool, "c", bytes(4 * MIB + 1))
    put(spool, "c", bytes(4 * MIB))


def test_files_that_are_written_at_once_share_the_bound(spool: Spool, tmp_path: Path) -> None:
    """Whichever process writes them."""
    other = Spool(tmp_path / "spool", 10 * MIB)
    with spool.create(JobId("a")) as first, other.create(JobId("b")) as second:
        written = 0
        with pytest.raises(SpoolFullError):  # noqa: PT012 - who meets the bound is left open
            while written < 20 * MIB:
                for writer in (first, second):
                    writer.write(bytes(300_000))
                    written += 300_000
        assert written <= spool.used_bytes() <= 10 * MIB
        assert written >= 9 * MIB


def test_even_empty_files_count(tmp_path: Path) -> None:
    """So there is a bound to their number."""
    spool = Spool(tmp_path / "spool", 3 * FILE_BYTES)
    for job_id in "abc":
        put(spool, job_id, b"")
    with pytest.raises(SpoolFullError):
        put(spool, "d", b"")


def test_a_spool_that_is_gone_is_an_error_of_the_store(spool: Spool, tmp_path: Path) -> None:
    """Whoever deleted it, the client is told that the server failed."""
    (tmp_path / "spool").rename(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="the spool failed"):
        spool.create(JobId("a"))


@pytest.mark.parametrize("job_id", ["../a", "", "a/b", "identity.x", "a\0", "x" * 65, "ä"])
def test_an_id_never_leads_elsewhere(spool: Spool, job_id: str) -> None:
    """No file has such a name."""
    with pytest.raises(FileNotFoundError):
        spool.claim(JobId(job_id))
    assert spool.remove(JobId(job_id))


@pytest.mark.parametrize(("number", "error"), [(28, StoreFullError), (5, StoreError)])
def test_a_failing_disk_is_an_error_of_the_store(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, number: int, error: type[StoreError]
) -> None:
    """Nothing is left of a body that could not be written."""

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    with pytest.raises(error), spool.create(JobId("a")) as writer:  # noqa: PT012 - closing is a part of it
        writer.write(b"x")
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fail)
            writer.finish()
    assert (spool.job_ids(), spool.used_bytes()) == ([], 0)
