"""Counting the values in a JSON text without decoding it."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.wire.value_count import holds_more_values

TEXTS = st.text(st.sampled_from('ab"\\,[{]}:\n\u00e9'), max_size=6)
DOCUMENTS = st.recursive(
    st.none() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXTS, inner, max_size=5),
    max_leaves=30,
)


def counted(value: Any) -> int:
    """Count the values inside this one; an empty container adds one."""
    if not isinstance(value, dict | list):
        return 0
    inside = list(value.values()) if isinstance(value, dict) else value
    return max(len(inside), 1) + sum(map(counted, inside))


@settings(max_examples=300)
@given(document=DOCUMENTS, ascii_only=st.booleans(), indent=st.none() | st.just(1))
def test_the_count_is_that_of_the_document(document: Any, ascii_only: bool, indent: int | None) -> None:  # noqa: FBT001
    """The limit is exact, whatever the strings contain."""
    body = json.dumps(document, ensure_ascii=ascii_only, indent=indent).encode()
    exact = counted(document)
    assert not holds_more_values(body, exact)
    if exact:
        assert holds_more_values(body, exact - 1)


def test_many_texts_are_enough() -> None:
    """Quotes alone suffice to reject too many strings; commas inside strings do not count."""
    assert holds_more_values(json.dumps([""] * 1001).encode(), 1000)
    assert not holds_more_values(json.dumps([",[{" * 1000, '\\"' * 1000] * 100).encode(), 1000)
