"""Files of runs in every form, read from any line on."""

import gzip
import json
import sys
from collections.abc import Callable
from io import BufferedReader, BytesIO
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from adapters import run_file
from adapters.run_file import DamagedFileError, RunFile, split_elements

RUNS = [{"event_id": str(number), "x": 'a"]},{[\\', "n": [1, {"y": [], "runs": [1]}]} for number in range(2000)]
NDJSON = "".join(json.dumps(run) + "\n" for run in RUNS).encode()

FORMS: dict[str, bytes] = {
    "ndjson": NDJSON,
    "without the last newline": NDJSON[:-1],
    "crlf": NDJSON.replace(b"\n", b"\r\n"),
    "with a byte order mark": b"\xef\xbb\xbf" + NDJSON,
    "array": json.dumps(RUNS).encode(),
    "indented array": b"\n " + json.dumps(RUNS, indent=2).encode() + b"\n",
    "document": json.dumps({"runs": RUNS}).encode(),
    "indented document": json.dumps({"version": 1, 'a "': 'b"', "runs": RUNS, "total": [2]}, indent=1).encode(),
}
CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda content: content,
    "gzip": gzip.compress,
    "two gzip members": lambda content: gzip.compress(content[:1000]) + gzip.compress(content[1000:]),
    "zstd": zstandard.compress,
    "two zstd frames": lambda content: zstandard.compress(content[:1000]) + zstandard.compress(content[1000:]),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file is."""
    return tmp_path / "runs"


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("form", FORMS)
def test_every_form_has_the_same_lines(path: Path, form: str, coding: str) -> None:
    """As often as it is read, and from any line on."""
    path.write_bytes(CODINGS[coding](FORMS[form]))
    file = RunFile(path)
    numbered = list(enumerate(RUNS, 1))
    for after in (0, 1, 777, 1999, 2000, 3000):
        assert [(number, json.loads(line)) for number, line in file.lines(after)] == numbered[after:]
        blocks = b"".join(block.data for block in file.blocks(after))
        assert [json.loads(line) for line in blocks.splitlines()] == RUNS[after:]
    assert file.size == file.read_bytes == path.stat().st_size


def test_blocks_tell_how_far_they_go(path: Path) -> None:
    """In lines, and in bytes of the file as it is."""
    path.write_bytes(gzip.compress(NDJSON * 20))
    *_, last = blocks = list(RunFile(path).blocks(after=5))
    assert (last.last_line, last.bytes_read) == (40_000, path.stat().st_size)
    assert len(blocks) > 1
    assert sum(block.data.count(b"\n") for block in blocks) == 40_000 - 5
    assert all(before.bytes_read <= after.bytes_read for before, after in pairwise(blocks))


def test_numbers_are_those_of_the_file(path: Path) -> None:
    """Blank lines are passed over, and counted."""
    path.write_bytes(b"\n1\n\n \r\n2\n3")
    assert list(RunFile(path).lines()) == [(2, b"1"), (5, b"2"), (6, b"3")]
    assert list(RunFile(path).lines(after=2)) == [(5, b"2"), (6, b"3")]


@pytest.mark.parametrize("content", [b"", b"\n", b"[]", b'{"runs": []}', b"[ ]\n", gzip.compress(b"", mtime=0)])
def test_nothing(path: Path, content: bytes) -> None:
    """An empty file of any form has no lines."""
    path.write_bytes(content)
    assert list(RunFile(path).lines()) == []


def test_run_with_a_field_of_that_name_is_no_document(path: Path) -> None:
    """A document has no key of its own."""
    line = b'{"event_id": "1", "runs": [1, 2]}\n'
    path.write_bytes(line * 2)
    assert list(RunFile(path).lines()) == [(1, line.strip()), (2, line.strip())]


@pytest.mark.parametrize("form", ["ndjson", "array", "indented document"])
@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_cut_file_is_read_as_far_as_it_goes(path: Path, form: str, coding: str) -> None:
    """Then it is an error. No half line comes out of it."""
    path.write_bytes(CODINGS[coding](FORMS[form])[:-100])
    seen = []
    with pytest.raises(DamagedFileError, match="breaks off"):
        seen.extend(json.loads(line) for _, line in RunFile(path).lines())
    assert seen == RUNS[: len(seen)]
    assert len(seen) > 1000


@pytest.mark.parametrize(
    ("content", "words", "elements"),
    [
        (b"[1, 2", "breaks off in element 2", [b"1"]),
        (b"[1, ", "breaks off in element 2", [b"1"]),
        (b'[1, "', "breaks off in element 2", [b"1"]),
        (b"[1, , 2]", "element 2 of the array is missing", [b"1"]),
        (b"[1, 2,]", "element 3 of the array is missing", [b"1", b"2"]),
        (b"[1] [2]", "something follows", [b"1"]),
        (gzip.compress(NDJSON)[:5000] + b"damage" * 100, "gzip file", None),
    ],
)
def test_damage(path: Path, content: bytes, words: str, elements: list[bytes] | None) -> None:
    """Everything before it is read."""
    path.write_bytes(content)
    seen: list[bytes] = []
    with pytest.raises(DamagedFileError, match=words):
        seen.extend(line for _, line in RunFile(path).lines())
    assert elements is None or seen == elements


def test_memory_is_bounded_by_what_a_run_may_have(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An element that is larger ends the file; a line that is larger passes in parts, to be rejected."""
    monkeypatch.setattr(run_file, "MAX_LINE_BYTES", 100_000)
    monkeypatch.setattr(run_file, "_HELD_BYTES", 100_000)
    path.write_bytes(b'[1, "' + b"x" * 1_000_000 + b'"]')
    with pytest.raises(DamagedFileError, match="element 2 of the array has more than 100000 bytes"):
        list(RunFile(path).lines())
    path.write_bytes(b"1\n" + b"x" * 1_000_000 + b"\n2\n")
    assert max(len(block.data) for block in RunFile(path).blocks()) < 200_000
    assert [number for number, _ in RunFile(path).lines()] == [1, 2, 3]


def test_standard_input_can_be_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also before it has ended, and by two readers in turn."""
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=BufferedReader(BytesIO(NDJSON))))  # type: ignore[arg-type]
    file = RunFile(None)
    first = file.lines()
    assert json.loads(next(first)[1]) == RUNS[0]
    assert [json.loads(line) for _, line in file.lines(after=10)] == RUNS[10:]
    assert [json.loads(line) for _, line in first] == RUNS[1:]
    assert (file.name, file.size) == ("stdin", None)
    file.close()


TEXT = st.text(st.characters(exclude_categories=["Cs"]))


def nest(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Lists and objects of these values."""
    return st.lists(inner) | st.dictionaries(TEXT, inner)


JSON = st.recursive(st.none() | st.booleans() | st.integers() | TEXT, nest, max_leaves=10)


@given(elements=st.lists(JSON), indent=st.sampled_from([None, 1]), is_ascii=st.booleans(), data=st.data())
def test_array_is_cut_into_its_elements(elements: list[Any], indent: int | None, is_ascii: bool, data: Any) -> None:  # noqa: FBT001
    """Whatever they are, and however the text is cut into pieces."""
    text = json.dumps(elements, indent=indent, ensure_ascii=is_ascii).encode()[1:]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = [text[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert [json.loads(element) for element in split_elements(pieces, is_bare=True)] == elements
