"""The names of attributes that the mapping remembers: a client that invents names does not fill the memory."""

import gc
import tracemalloc
from collections.abc import Iterator

import pytest

from adapters.wire.otlp import json as json_spans
from adapters.wire.otlp.mapping import SpanMapper
from adapters.wire.otlp.slices import read_slices
from adapters.wire.structure import Structurer
from core.model.batch import RefusedRun
from core.model.limits import Limits
from tests.otlp import JSON, NOW, encoded, export, span

SPAN_NAMES = 50
MOST_BYTES = 1024 * 1024
"""The names of either case take several times as much."""


def requests(names: int, length: int) -> Iterator[bytes]:
    """Yield requests whose spans have so many different names altogether, each with so many characters."""
    for first in range(0, names, SPAN_NAMES):
        attributes = {f"{number:0{length}}": number for number in range(first, first + SPAN_NAMES)}
        yield encoded(export([span(first, attributes)]), JSON)


@pytest.mark.parametrize(("names", "length"), [(20_000, 90), (500, 10_000)])
def test_names_without_end_take_bounded_memory(names: int, length: int) -> None:
    """Neither many names nor long ones, however often a client comes with new ones."""
    mapper = SpanMapper(Structurer())
    tracemalloc.start()
    try:
        for body in requests(names, length):
            for part in read_slices(json_spans.read_export(body, Limits().max_body_values), mapper, NOW):
                assert not any(isinstance(candidate, RefusedRun) for candidate in part.candidates)
            del part
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < MOST_BYTES
