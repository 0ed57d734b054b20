"""Ten minutes of coverage-guided fuzzing of the body parser; ``tox run -e fuzz``, part of ``make soak``.

    python tests/faults/fuzz_bodies.py -max_total_time=600

The first byte chooses the content coding, the rest is the body. It is decompressed, counted and decoded as a batch,
and results in candidates or in one of the known errors. Anything else is a bug, which atheris reports with the bytes
that caused it.
"""

import gzip
import json
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["adapters", "core", "json", "cattrs", "gzip"]):
    from adapters.content_coding import (
        ContentTooLargeError,
        CorruptContentError,
        TooManyMembersError,
        decode,
        encode,
    )
    from adapters.wire.decode import Decoder
    from adapters.wire.encode import encode as encode_answer
    from adapters.wire.structure import Structurer
    from adapters.wire.value_count import holds_more_values
    from core.errors import RunsinkError
    from core.model.batch import Limits
    from core.model.run import Run, Timestamp

NOW = Timestamp("2026-06-01T00:00:00.000000Z")
LIMITS = Limits(max_body_bytes=1024 * 1024, max_body_members=100, max_body_values=10_000)
DECODER = Decoder(Structurer(), LIMITS)
CODINGS = (None, "gzip", "zstd")
REFUSALS = (CorruptContentError, ContentTooLargeError, TooManyMembersError, RunsinkError)

RUN = {
    "event_id": "e",
    "run_id": "r",
    "agent_name": "a",
    "job_type": "j",
    "start_time": "2026-01-31T12:00:00.5+01:00",
    "status": "failed",
    "duration_ms": 1,
    "metrics_json": {"a": [1, 1.5, None, True, "\u00e9\0", {"b": {}}]},
    "commit_hash": "abcdef1",
    "unknown": [],
}
SEEDS = [
    json.dumps({"runs": [RUN, {**RUN, "event_id": "f"}]}).encode(),
    b'{"runs":[{"event_id":"e","duration_ms":NaN,"metrics_json":{"a":1e400,"b":"\\ud800"}},[],null]}',
]


def take(data: bytes) -> None:
    """Process bytes as the server processes a body."""
    if not data:
        return
    coding, body = CODINGS[data[0] % len(CODINGS)], data[1:]
    try:
        if coding is not None:
            body = decode(coding, body, LIMITS.max_body_bytes, LIMITS.max_body_members)
        if holds_more_values(body, LIMITS.max_body_values):
            return
        candidates = DECODER.batch(body, NOW)
    except REFUSALS:
        return
    for candidate in candidates:
        if isinstance(candidate, Run):
            # An accepted run reads back unchanged.
            assert DECODER.run(encode_answer(candidate), NOW) == candidate
        else:
            assert candidate.errors


def main() -> None:
    """Run until atheris' own options stop it."""
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(SEEDS):
            for choice, content in enumerate((seed, gzip.compress(seed, mtime=0), encode("zstd", seed))):
                (Path(corpus) / f"{number}-{choice}").write_bytes(bytes([choice]) + content)
        atheris.Setup([*sys.argv, corpus], take)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
