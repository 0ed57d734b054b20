"""Hostile bodies: what each costs the server, how it responds, and that accepted values are stored exactly.

The costs are those of the server's process as counted by the kernel, so a busy machine changes little.
"""

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
import zstandard

from tests.faults.costs import cost_of
from tests.figures import Figures, Scale
from tests.servers import Answer, MakeRun, Served, serving_process

BATCH = "/api/v1/runs/batch"
MAX_BODY = 16 * 1024 * 1024
MAX_RUN = 2 * 1024 * 1024
# Far above what any of them takes on a busy machine, far below what a pass of quadratic cost would take.
MAX_SECONDS = 1.0
MAX_MEBIBYTES = 64
TRIES = 3

Upload = Callable[..., Answer]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server process for all of these."""
    options = ("--port", "0", "--partial-status", "207")
    with serving_process(options, tmp_path_factory.mktemp("hostile"), {}) as served:
        yield served


@pytest.fixture
def upload(server: Served, make_run: MakeRun, figures: Figures) -> Iterator[Upload]:
    """Send a body several times to a warm server, and compare its cost with the limits.

    The time is the minimum, since other work on the machine only adds to it; the memory is the maximum.
    """
    assert server.api.lenient([make_run() for _ in range(100)]).status == 201
    seconds, mebibytes = [0.0], [0.0]

    def send(body: bytes, encoding: str = "identity") -> Answer:
        costs = []
        for _ in range(TRIES):
            with cost_of(server.process.pid) as cost:
                answer = server.api.send("POST", BATCH, body, Content_Encoding=encoding)
            costs.append(cost)
        seconds.append(min(cost.seconds for cost in costs))
        mebibytes.append(max(cost.mebibytes for cost in costs))
        assert seconds[-1] < MAX_SECONDS
        assert mebibytes[-1] < MAX_MEBIBYTES
        return answer

    yield send
    figures(at_most_ms=round(max(seconds) * 1000), at_most_MiB_more=round(max(mebibytes)))


def batch(*fields: str) -> bytes:
    """Return the text of a batch, one run for each text of further fields."""
    required = '"event_id":"{}","run_id":"r","agent_name":"a","job_type":"j","start_time":"2026-01-31T12:00:00Z"'
    runs = ("{" + required.replace("{}", str(uuid4())) + "," + text + "}" for text in fields)
    return ('{"runs":[' + ",".join(runs) + "]}").encode("utf-8", "surrogatepass")


def gzip_bomb(fill: bytes, mebibytes: int) -> bytes:
    """Return this many mebibytes of one byte in one gzip member."""
    packer = zlib.compressobj(9, wbits=31)
    return b"".join(packer.compress(fill * 2**20) for _ in range(mebibytes)) + packer.flush()


def zstd_bomb(fill: bytes, mebibytes: int) -> bytes:
    """Return this many mebibytes of one byte in one zstd frame, without its size in the header."""
    packer = zstandard.ZstdCompressor().compressobj()
    return b"".join(packer.compress(fill * 2**20) for _ in range(mebibytes)) + packer.flush()


EMPTY_FRAME = zstandard.ZstdCompressor().compress(b"")
BOMBS: dict[str, tuple[str, Callable[[bytes], bytes], int]] = {
    "gzip": ("gzip", lambda fill: gzip_bomb(fill, 256), 413),
    "zstd": ("zstd", lambda fill: zstd_bomb(fill, 1024), 413),
    "just too large": ("gzip", lambda fill: gzip_bomb(fill, 16) + gzip.compress(b" "), 413),
    "as large as may be": ("zstd", lambda fill: zstd_bomb(fill.replace(b"[", b"x"), 16), 400),
    "nested, one layer declared": ("gzip", lambda fill: gzip.compress(gzip_bomb(fill, 64)), 400),
    "nested, both layers declared": ("gzip, zstd", lambda fill: zstd_bomb(fill, 64), 415),
    "empty gzip members": ("gzip", lambda _: gzip.compress(b"") * (MAX_BODY // 20), 413),
    "empty zstd frames": ("zstd", lambda _: EMPTY_FRAME * (MAX_BODY // len(EMPTY_FRAME)), 413),
    "skippable zstd frames": ("zstd", lambda _: b"\x50\x2a\x4d\x18\0\0\0\0" * (MAX_BODY // 8), 413),
    "large members": ("gzip", lambda fill: gzip_bomb(fill, 1) * 100, 413),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_bombs_cost_little(upload: Upload, scale: Scale, kind: str) -> None:
    """A decompression bomb, or a body without end, is rejected for little time and memory."""
    encoding, make, status = BOMBS[kind]
    fills = (b"\0", b"x", b"[", b" ")
    for fill in fills[: scale(1, 4)]:
        body = make(fill)
        for _ in range(scale(1, 9)):
            answer = upload(body, encoding)
            assert answer.status == status
            assert isinstance(answer.body["detail"], str)


def test_100_megabytes_of_digits_are_not_read(upload: Upload) -> None:
    """A body whose Content-Length is too large is rejected by it, even as a single number."""
    answer = upload(b'{"runs":[' + b"9" * 100_000_000)
    assert (answer.status, "max_body_bytes" in answer.body["detail"]) == (413, True)


@pytest.mark.parametrize("prefix", ["", "-", "0.", "1e", "1e-", "-0."])
def test_digits_without_end(upload: Upload, prefix: str) -> None:
    """A number of millions of digits, in a field or in an object, is rejected there or stored as its double."""
    digits = prefix + "9" * (MAX_RUN - 300)
    answer = upload(batch('"duration_ms":1', f'"duration_ms":{digits}'))
    assert [(error["index"], error["field"]) for error in answer.body["errors"]] == [(1, "duration_ms")]
    answer = upload(batch('"duration_ms":1', f'"metrics_json":{{"a":{digits}}}'))
    if answer.status == 207:
        assert [(error["index"], error["field"]) for error in answer.body["errors"]] == [(1, "metrics_json")]
    else:
        assert answer.body["runs"][1]["metrics_json"] == {"a": float(digits)}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"[" * 100_000, id="lists"),
        pytest.param(b'{"runs":' * 100_000, id="batches"),
        pytest.param(batch('"x":' + "[" * 100_000 + "]" * 99_999), id="in a field"),
    ],
)
def test_depth_without_end(upload: Upload, body: bytes) -> None:
    """A hundred thousand levels that are not JSON are rejected whole."""
    answer = upload(body)
    detail = "the body is not JSON; it is nested too deeply to say where"
    assert (answer.status, answer.body["detail"]) == (400, detail)


def test_depth_outside_a_run(upload: Upload) -> None:
    """A hundred thousand levels that are not a batch are rejected as that."""
    assert upload(b"[" * 100_000 + b"]" * 100_000).status == 422


@pytest.mark.parametrize(
    ("field", "name"),
    [
        pytest.param('"x":' + "[" * 100_000 + "]" * 100_000, "extra", id="lists"),
        pytest.param('"metrics_json":' + '{"a":' * 100_000 + "1" + "}" * 100_000, "metrics_json", id="objects"),
        pytest.param('"product":' + '[{"\\"]":' * 50_000 + "1" + "}]" * 50_000, "product", id="both"),
    ],
)
def test_depth_of_one_run(upload: Upload, field: str, name: str) -> None:
    """A run nested a hundred thousand levels deep is one invalid run, and is named."""
    answer = upload(batch('"duration_ms":1', field))
    assert (answer.status, answer.counts[2:], answer.bad_fields) == (207, (1, 1), {(1, name)})


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(batch('"metrics_json":{' + ",".join(f'"{n}":1' for n in range(10**6)) + "}"), id="keys"),
        pytest.param(batch(",".join(f'"{n}":1' for n in range(10**6))), id="fields"),
        pytest.param(batch('"metrics_json":{' + ",".join(['"a":1'] * 10**6) + "}"), id="equal keys"),
        pytest.param(batch('"metrics_json":{"a":[' + "[]," * 10**6 + "1]}"), id="lists"),
        pytest.param(b'{"runs":[' + b"1," * 10**6 + b"1]}", id="runs"),
        pytest.param(b'{"a":1,' * 10**6, id="open objects"),
        pytest.param(b'["",' * 10**6, id="open lists of texts"),
    ],
)
def test_a_million_values(upload: Upload, body: bytes) -> None:
    """Too many values of any kind are rejected before they are decoded."""
    answer = upload(body)
    assert (answer.status, "(max_body_values)" in answer.body["detail"]) == (413, True)


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ('"product":"{}"', "product"),
        ('"metrics_json":{{"a":"{}"}}', "metrics_json"),
        ('"metrics_json":{{"{}":1}}', "metrics_json"),
        ('"unknown":"{}"', "extra"),
        ('"{}":1', "extra"),
        ('"status":"{}"', "status"),
        ('"start_time":"{}"', "start_time"),
    ],
)
def test_texts_without_end(upload: Upload, field: str, name: str) -> None:
    """The longest text that fits in a run is rejected by its field, plain, escaped or non-Latin."""
    for unit in ("x", '\\"', ",[", "\u00e9", "\U0001f600", "\\u00e9"):
        text = unit * ((MAX_RUN - 300) // len(unit.encode()))
        answer = upload(batch('"duration_ms":1', field.format("\U0001f600" + text)))
        if answer.status != 201:
            assert [(error["index"], error["field"]) for error in answer.body["errors"]] == [(1, name)]


REFUSED = [
    *("NaN", "Infinity", "-Infinity", "1e400", "-1e400", "9" * 5000, "-" + "9" * 5000),
    *(r'"\ud800"', r'"\udfff\ud800"', r'{"\ud800":1}', "[" * 100 + "]" * 100),
]
KEPT = [
    *("0", "-0", "9223372036854775807", "9223372036854775808", "18446744073709551616", "9" * 4300),
    *("-0.0", "1e308", "5e-324", "0.1", r'"\u0000"', r'{"\u0000":"\u0000"}', r'"\ud83d\ude00"', '"\ufeff"', '"\uffff"'),
    *('{"":{"":""}}', "[[],{}]", "[" * 98 + "]" * 98),
]


@pytest.mark.parametrize("literal", REFUSED, ids=lambda literal: literal[:20])
def test_refused_values_are_named(server: Served, literal: str) -> None:
    """A value that an object cannot store fails only its run, and the error names field and place."""
    answer = server.api.send("POST", BATCH, batch('"duration_ms":1', f'"metrics_json":{{"a":[0,{literal}]}}'))
    assert (answer.status, answer.counts) == (207, (2, 1, 0, 1))
    (error,) = answer.body["errors"]
    assert (error["index"], error["field"]) == (1, "metrics_json")
    assert "(at ['a'][1]" in error["error"]


def test_kept_values_read_back_exactly(server: Served) -> None:
    """A valid value in an object is returned with its type and every digit, and the last of equal keys counts."""
    literals = [f'"metrics_json":{{"a":1,"a":{literal}}}' for literal in KEPT]
    sent = batch(*literals)
    answer = server.api.send("POST", BATCH, sent)
    assert (answer.status, answer.counts) == (201, (len(KEPT), len(KEPT), 0, 0))
    for run in json.loads(sent)["runs"]:
        assert repr(server.api.stored(run["event_id"])["metrics_json"]) == repr(run["metrics_json"])


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        (r'"product":"\u0000"', "product contains a NUL character"),
        (r'"product":"\udc00"', "product contains a lone surrogate"),
        ('"duration_ms":9223372036854775808', "duration_ms must be from 0 to 9223372036854775807"),
        ('"duration_ms":18446744073709551616', "duration_ms must be from 0 to 9223372036854775807"),
        (f'"duration_ms":{"9" * 5000}', "duration_ms must be from 0 to 9223372036854775807"),
        ('"duration_ms":NaN', "duration_ms must be an integer"),
        ('"duration_ms":1e400', "duration_ms must be an integer"),
        ('"":"\\u0000","":NaN', "extra contains NaN, Infinity or a number beyond a double's range (at [''])"),
    ],
)
def test_refused_fields_are_named(server: Served, field: str, reason: str) -> None:
    """A value that a field cannot store fails only its run, under the field's name."""
    answer = server.api.send("POST", BATCH, batch('"duration_ms":1', field))
    assert (answer.status, answer.counts) == (207, (2, 1, 0, 1))
    assert answer.body["errors"][0]["error"].startswith(reason)


def test_equal_and_empty_names_are_kept_as_said(server: Served) -> None:
    """The last of equal fields counts, an empty name is valid, and a byte order mark stays in a text."""
    body = batch('"product":1,"product":"\ufeffx","":[],"":{"":0},"metrics_json":{"a":1},"metrics_json":{"b":2}')
    (run,) = server.api.send("POST", BATCH, body).body["runs"]
    assert (run["product"], run["extra"], run["metrics_json"]) == ("\ufeffx", {"": {"": 0}}, {"b": 2})


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp037"])
def test_other_encodings_of_text_are_400(server: Served, encoding: str) -> None:
    """A body that is not UTF-8, or has a byte order mark, gets 400 (RFC 8259, section 8.1); nothing is guessed."""
    answer = server.api.send("POST", BATCH, batch('"product":"other text"').decode().encode(encoding))
    assert (answer.status, isinstance(answer.body["detail"], str)) == (400, True)
    assert server.api.find(product="other text").body["total"] == 0
