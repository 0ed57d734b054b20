"""Taking entries out of a file to which others append, in steps after each of which a process may be killed."""

import json
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from adapters.telemetry_outbox import file as outbox_file
from adapters.telemetry_outbox.entries import Entry
from adapters.telemetry_outbox.file import OutboxFile, OutboxLockedError


def line(number: int) -> bytes:
    """An entry that can be told from others."""
    payload = {"event_id": str(number)}
    return json.dumps({"endpoint": "/api/v1/runs", "method": "POST", "payload": payload}).encode() + b"\n"


def lines(*numbers: int) -> bytes:
    """Several."""
    return b"".join(map(line, numbers))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the outbox is."""
    return tmp_path / "out [box].jsonl"


@pytest.fixture
def outbox(path: Path) -> Iterator[OutboxFile]:
    """The outbox, locked."""
    outbox = OutboxFile(path)
    with outbox.locked():
        yield outbox


def settle(outbox: OutboxFile, *settled: int) -> list[int]:
    """Go through all parts and settle these entries; the numbers of all entries that were seen."""
    seen = []
    for part in outbox.parts():
        with closing(part.windows()) as windows:
            for item in (item for window in windows for item in window):
                assert isinstance(item.content, Entry)
                seen.append(int(item.content.event_id or ""))
                item.is_settled = seen[-1] in settled
    return seen


def names(path: Path) -> set[str]:
    """What the folder holds, by what comes after the name of the outbox."""
    return {found.name.removeprefix(path.name) for found in path.parent.iterdir()}


def test_everything_settled_leaves_nothing(outbox: OutboxFile, path: Path) -> None:
    """Neither the file nor a part."""
    path.write_bytes(lines(1, 2, 3))
    assert outbox.take()
    assert settle(outbox, 1, 2, 3) == [1, 2, 3]
    assert outbox.put_back()
    assert names(path) == {".lock"}
    assert not outbox.take()


def test_what_is_not_settled_goes_to_the_front(outbox: OutboxFile, path: Path) -> None:
    """In order, before what was appended meanwhile, with the mode that the file had."""
    path.write_bytes(lines(1, 2, 3, 4))
    path.chmod(0o640)
    assert outbox.take()
    path.write_bytes(lines(5, 6))
    settle(outbox, 1, 3)
    assert outbox.put_back()
    assert path.read_bytes() == lines(2, 4, 5, 6)
    assert path.stat().st_mode & 0o777 == 0o640
    assert names(path) == {"", ".lock"}


def test_last_line_without_an_end_is_not_run_into(outbox: OutboxFile, path: Path) -> None:
    """What is put back before other lines, or before a client appends, ends with its last line."""
    path.write_bytes(lines(1, 2)[:-1])
    outbox.take()
    path.write_bytes(line(3)[:-1])
    settle(outbox, 1)
    assert outbox.put_back()
    assert path.read_bytes() == lines(2, 3)


def test_windows_are_bounded_and_the_part_shrinks_meanwhile(
    outbox: OutboxFile, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is settled has left the file long before the part is done."""
    monkeypatch.setattr(outbox_file, "WINDOW_ENTRIES", 10)
    path.write_bytes(lines(*range(100)))
    outbox.take()
    (part,) = outbox.parts()
    left = []
    with closing(part.windows()) as windows:
        for window in windows:
            assert len(window) <= 10
            left.append(outbox.size())
            for item in window:
                assert isinstance(item.content, Entry)
                item.is_settled = int(item.content.event_id or "") % 10 > 0
    assert left == sorted(left, reverse=True)
    assert left[-1] < left[0] / 2
    outbox.put_back()
    assert path.read_bytes() == lines(*range(0, 100, 10))


def test_broken_off_window_keeps_what_is_not_settled(outbox: OutboxFile, path: Path) -> None:
    """Of the window in which it broke off, and all that follows."""
    path.write_bytes(lines(1, 2, 3))
    outbox.take()
    (part,) = outbox.parts()
    with closing(part.windows()) as windows:
        next(windows)[0].is_settled = True
    assert outbox.put_back()
    assert path.read_bytes() == lines(2, 3)


def test_writer_that_keeps_the_file_open_loses_nothing(
    outbox: OutboxFile, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as somebody may still append to a part it is neither changed nor put back; afterwards it is."""
    monkeypatch.setattr(outbox_file, "_WRITER_SECONDS", 0.05)
    with path.open("ab") as writer:
        writer.write(line(1))
        writer.flush()
        outbox.take()
        assert settle(outbox, 1) == [1]
        assert not outbox.put_back()
        writer.write(line(2))
    assert settle(outbox, 1) == [1, 2]
    assert outbox.put_back()
    assert path.read_bytes() == line(2)


def test_slow_writer_is_waited_for(outbox: OutboxFile, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that has opened the file just before it is taken appends to the part, which is then read."""
    writer = path.open("ab")

    def write_late(_seconds: float) -> None:
        writer.write(line(1))
        writer.close()

    path.write_bytes(line(0))
    monkeypatch.setattr(outbox_file.time, "sleep", write_late)
    outbox.take()
    assert settle(outbox) == [0, 1]


def test_without_leases_the_size_must_stay(outbox: OutboxFile, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on other systems than Linux."""
    monkeypatch.delattr(outbox_file.fcntl, "F_SETLEASE")
    path.write_bytes(lines(1, 2))
    outbox.take()
    settle(outbox, 1)
    assert outbox.put_back()
    assert path.read_bytes() == line(2)


def test_only_one_process_flushes(outbox: OutboxFile, path: Path) -> None:
    """The second is told, and the lock is gone in the end."""
    assert outbox.path == path
    with pytest.raises(OutboxLockedError), OutboxFile(path).locked():
        pass


def test_lock_is_removed(path: Path) -> None:
    """It is no litter."""
    with OutboxFile(path).locked():
        assert names(path) == {".lock"}
    assert names(path) == set()


def test_recovery_goes_on_where_a_process_was_killed(path: Path) -> None:
    """With parts that were merged, one that was put back, and a replacement that was not finished."""

    def beside(ending: str) -> Path:
        return path.with_name(path.name + ending)

    beside(".flushing-1-1").write_bytes(line(1))
    beside(".flushing-2-2").write_bytes(line(2))
    beside(".flushing-1-2").write_bytes(lines(1, 2))
    beside(".flushing-3-3").write_bytes(line(3))
    beside(".flushing-3-3.new").write_bytes(b"half")
    path.write_bytes(line(4))
    os.link(path, beside(".flushing-4-4"))
    outbox = OutboxFile(path)
    assert outbox.exists()
    with outbox.locked():
        assert [part.name[-3:] for part in outbox.parts()] == ["1-2", "3-3"]
        assert outbox.put_back()
    assert path.read_bytes() == lines(1, 2, 3, 4)
    assert names(path) == {""}


def test_client_that_is_quicker_comes_behind(outbox: OutboxFile, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a client creates a new file just when the old one is to be put back, that is taken as well."""
    link, appended = os.link, iter((2, 3))

    def link_late(source: Path, target: Path) -> None:
        number = next(appended, None)
        if number is not None:
            path.write_bytes(line(number))
        link(source, target)

    path.write_bytes(line(1))
    outbox.take()
    monkeypatch.setattr(outbox_file.os, "link", link_late)
    assert outbox.put_back()
    assert path.read_bytes() == lines(1, 2, 3)


def test_without_hard_links_entries_wait_in_a_part(
    outbox: OutboxFile, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next flush begins with them."""

    def refuse(_source: Path, _target: Path) -> None:
        raise PermissionError

    path.write_bytes(line(1))
    outbox.take()
    monkeypatch.setattr(outbox_file.os, "link", refuse)
    assert not outbox.put_back()
    assert settle(outbox) == [1]


def test_rejected_entry_is_written_once(path: Path) -> None:
    """Even if the process that wrote it was killed before the entry left the file, or while it wrote."""
    path.write_bytes(line(1) + b'{"cut\xff')
    for _ in range(2):
        outbox = OutboxFile(path)
        with outbox.locked():
            outbox.take()
            with closing(outbox.parts()[0].windows()) as windows:
                entry, cut = next(windows)
                outbox.reject(entry.content, error="no")
                outbox.reject(cut.content)
            outbox.put_back()
    first, second = map(json.loads, outbox.rejected_path.read_text().splitlines())
    assert first == {"entry": json.loads(line(1)), "error": "no"}
    assert second["text"] == '{"cut\\xff'
    assert "not JSON" in second["error"]


def test_rejected_file_with_half_a_line_is_continued(outbox: OutboxFile, path: Path) -> None:
    """On a line of its own."""
    outbox.rejected_path.write_bytes(b'{"entry": {"endp')
    path.write_bytes(line(1))
    outbox.take()
    with closing(outbox.parts()[0].windows()) as windows:
        outbox.reject(next(windows)[0].content, error="no")
    half, whole = outbox.rejected_path.read_bytes().splitlines()
    assert half == b'{"entry": {"endp'
    assert json.loads(whole)["error"] == "no"
