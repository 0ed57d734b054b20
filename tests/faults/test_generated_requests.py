"""Requests of every kind, mutated from valid ones, and truncated compressed bodies, against a real server."""

import gzip
import http.client
import json
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import attrs
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.faults.costs import cost_of
from tests.figures import Figures, Scale
from tests.properties.raw import damaged, raw_runs
from tests.properties.strategies import json_values, sent_runs
from tests.servers import DEADLINE_SECONDS, Served, serving_process

BATCH = "/api/v1/runs/batch"
MAX_SECONDS = 4.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server process for all of these; only its own faults get 5xx."""
    options = ("--port", "0", "--partial-status", "207")
    with serving_process(options, tmp_path_factory.mktemp("generated"), {}) as served:
        assert served.first_line
        yield served


@attrs.frozen
class Request:
    """A request to send."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes | None
    chunked: bool


def zstd(content: bytes) -> bytes:
    """Return the content as one zstd frame with a checksum, so that all damage is detected."""
    return zstandard.ZstdCompressor(write_checksum=True).compress(content)


ENCODERS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "zstd": zstd, "identity": bytes}
KEYS = st.sampled_from(["e-1", "r", "launch-7", "a%2Fb", "%F0%9F%98%80", "%ff", "%00", "%ed%a0%80", "..", "%2e", "+"])
SEGMENTS = (
    st.sampled_from(["api", "v1", "runs", "batch", "batch-transactional", "associate-commit", "", "health"]) | KEYS
)
PATHS = st.one_of(
    st.sampled_from(["/api/v1/runs", BATCH, "/api/v1/runs/batch-transactional", "/api/v1/limits", "/health", "/ready"]),
    st.sampled_from(["/api/v1/metadata", "/", "//", "/%", "http://other/api/v1/runs", "/api/v1/runs;x=1"]),
    KEYS.map("/api/v1/runs/{}".format),
    KEYS.map("/api/v1/runs/{}/associate-commit".format),
    st.lists(SEGMENTS, max_size=6).map(lambda parts: "/" + "/".join(parts)),
)
PARAMETERS = st.tuples(
    st.sampled_from(["limit", "offset", "cursor", "status", "run_id", "start_time_from", "product", "x", ""]),
    st.sampled_from(["1", "0", "-1", "1001", "9" * 30, "%D9%A1", "x", "", "running", "2026-01-31T12:00:00Z", "bnVsbA"])
    | st.sampled_from(["%ff", "%00", "%", "%ed%a0%80", "+", "=", ";", "2026-01-31T12:00:00%2B01:00", "MCAw"]),
)
UPLOADS = [BATCH, "/api/v1/runs/batch-transactional", "/api/v1/runs"]
ROUTES = st.one_of(
    st.sampled_from(UPLOADS).map(lambda path: ("POST", path)),
    st.sampled_from(UPLOADS).map(lambda path: ("POST", path)),
    KEYS.map(lambda key: ("PATCH", f"/api/v1/runs/{key}")),
    KEYS.map(lambda key: ("POST", f"/api/v1/runs/{key}/associate-commit")),
    KEYS.map(lambda key: ("GET", f"/api/v1/runs/{key}")),
    st.just(("GET", "/api/v1/runs")),
    st.tuples(
        st.sampled_from(["GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"]), PATHS
    ),
)
VALUES = st.text(st.characters(min_codepoint=33, max_codepoint=255, exclude_characters="\x7f"), max_size=20)
FIELDS = st.one_of(
    st.tuples(
        st.just("Content-Type"),
        st.sampled_from(["application/json", "application/json; charset=utf-16", "text/plain", "a+json", "/", ""])
        | VALUES,
    ),
    st.tuples(
        st.just("Content-Encoding"), st.sampled_from(["gzip", "zstd", "x-gzip", "br", "gzip, zstd", ","]) | VALUES
    ),
    st.tuples(
        st.just("Accept-Encoding"),
        st.sampled_from(["gzip", "zstd", "*", "gzip;q=0, *;q=0.1", "zstd;q=9,gzip"]) | VALUES,
    ),
    st.tuples(st.just("Prefer"), st.sampled_from(["return=minimal", 'a="b, c\\"', "return"]) | VALUES),
    st.tuples(st.just("Expect"), st.just("100-continue")),
    st.tuples(st.just("Origin"), st.sampled_from(["null", "", "http://[::1", "https://localhost:99999"]) | VALUES),
    st.tuples(st.just("Host"), st.sampled_from(["", "localhost:", "[::1]", "[:::1]", "evil.example"]) | VALUES),
    st.tuples(st.sampled_from(["Range", "If-None-Match", "Cookie", "Authorization", "X-Other", "Upgrade"]), VALUES),
)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Generate a batch, a run, changes, a commit or nearly anything, whole or damaged."""
    runs = st.lists(raw_runs(), min_size=1, max_size=4).map(lambda raws: b'{"runs":[' + b",".join(raws) + b"]}")
    good = st.lists(sent_runs(), min_size=1, max_size=4).map(lambda batch: json.dumps({"runs": batch}).encode())
    changes = st.dictionaries(
        st.sampled_from(["status", "metrics_json", "commit_hash", "commit_source", "x"]), json_values()
    )
    kinds = st.one_of(runs, good, raw_runs(), changes.map(lambda value: json.dumps(value).encode()))
    return draw(st.one_of(kinds, damaged(kinds), st.binary(max_size=50)))


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """Generate a request that is well-formed HTTP, and otherwise valid or not."""
    method, path = draw(ROUTES)
    query = "&".join(f"{name}={value}" for name, value in draw(st.lists(PARAMETERS, max_size=3)))
    headers = {"Content-Type": "application/json", **dict(draw(st.lists(FIELDS, max_size=2)))}
    body = draw(bodies() if method in ("POST", "PATCH") else st.none() | bodies())
    encoding = draw(st.sampled_from(["identity", "gzip", "zstd"]))
    if body is not None and encoding != "identity":
        body = draw(
            damaged(st.just(ENCODERS[encoding](body))) if draw(st.booleans()) else st.just(ENCODERS[encoding](body))
        )
        headers.setdefault("Content-Encoding", encoding)
    target = f"{path}?{query}" if query else path
    return Request(method, target, headers, body, draw(st.booleans()))


def answer_to(server: Served, request: Request) -> tuple[int, Any]:
    """Send it; the status, and the body, which has to be JSON where there is one."""
    connection = http.client.HTTPConnection(urlsplit(server.api.url).netloc, timeout=DEADLINE_SECONDS)
    try:
        body = iter([request.body]) if request.body and request.chunked else request.body
        connection.request(request.method, request.path, body, dict(request.headers), encode_chunked=True)
        response = connection.getresponse()
        raw = response.read()
    finally:
        connection.close()
    undo = {None: bytes, "gzip": gzip.decompress, "zstd": zstandard.ZstdDecompressor().decompress}
    plain = undo[response.headers["Content-Encoding"]](raw)
    return response.status, json.loads(plain) if request.method != "HEAD" else None


def test_no_request_is_answered_with_a_fault(server: Served, scale: Scale, figures: Figures) -> None:
    """Whatever is sent, the response is JSON, no 5xx and quick, and every error has a ``detail`` or counts.

    Quick means less than a second of the server's CPU time.
    """
    statuses: dict[int, int] = {}
    longest = 0.0

    @settings(
        max_examples=scale(200, 10_000),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(request=requests())
    def check(request: Request) -> None:
        nonlocal longest
        assert server.process.poll() is None
        with cost_of(server.process.pid) as cost:
            status, body = answer_to(server, request)
        longest = max(longest, cost.seconds)
        statuses[status] = statuses.get(status, 0) + 1
        assert status < 500, body
        assert cost.seconds < MAX_SECONDS
        if status >= 400 and body is not None:
            assert body["detail"]

    check()
    figures(statuses=dict(sorted(statuses.items())), longest_ms=round(longest * 1000))


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_cut_body_stores_nothing(server: Served, scale: Scale, figures: Figures, encoding: str) -> None:
    """A compressed batch of 100 KB truncated anywhere gets 400, and nothing of it is stored."""
    noise = random.Random(1)  # noqa: S311 - reproducible noise, no secret
    product = f"cut {uuid4()}"
    runs = [
        {
            "event_id": str(uuid4()),
            "run_id": f"run {n}",
            "agent_name": "a",
            "job_type": "j",
            "start_time": "2026-01-31T12:00:00Z",
            "product": product,
            "output_summary": noise.randbytes(2000).hex(),
        }
        for n in range(45)
    ]
    whole = ENCODERS[encoding](json.dumps({"runs": runs}).encode())
    assert 90_000 < len(whole) < 130_000
    ends = range(64), range(len(whole) - 64, len(whole))
    sampled = noise.sample(range(64, len(whole) - 64), scale(72, len(whole) - 128))
    for at in [*ends[0], *sampled, *ends[1]]:
        answer = server.api.send("POST", BATCH, whole[:at], Content_Encoding=encoding)
        assert (answer.status, "is truncated" in answer.body["detail"]) == (400, True), at
    assert server.api.find(product=product).body["total"] == 0
    assert server.api.send("POST", BATCH, whole, Content_Encoding=encoding).status == 201
    figures(bytes=len(whole), cuts=128 + len(sampled))
