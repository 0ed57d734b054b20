"""What is computed from a run alone."""

from typing import Any

import attrs
import pytest
from hypothesis import given

from core.model.run import FIELDS, FIXED_FIELDS, LONG_TEXTS, Run, count_text_bytes, differing_fixed_fields
from tests.properties.strategies import kept_runs


@given(run=kept_runs())
def test_text_bytes_are_those_of_each_long_text(run: Run) -> None:
    """The size of a run is the sum of its long texts in UTF-8; an absent one has none."""
    assert count_text_bytes(run) == sum(len((getattr(run, name) or "").encode()) for name in LONG_TEXTS)


@given(run=kept_runs())
def test_a_run_does_not_differ_from_its_copy(run: Run) -> None:
    """Fields are compared as values."""
    assert differing_fixed_fields(run, attrs.evolve(run)) == ()


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("value", [None, "other"])
def test_each_fixed_field_is_compared(name: str, value: str | None) -> None:
    """Of one changed field exactly that field is named if it is immutable, and none otherwise, in either direction."""
    given_fields: dict[str, Any] = dict.fromkeys(FIELDS, "same")
    run, changed = Run(**given_fields), Run(**given_fields | {name: value})
    expected = (name,) if name in FIXED_FIELDS else ()
    assert differing_fixed_fields(run, changed) == differing_fixed_fields(changed, run) == expected


def test_all_differing_fields_are_named_in_order() -> None:
    """A run of which everything differs names every immutable field."""
    one: dict[str, Any] = dict.fromkeys(FIELDS, "one")
    other: dict[str, Any] = dict.fromkeys(FIELDS, "other")
    assert differing_fixed_fields(Run(**one), Run(**other)) == FIXED_FIELDS
