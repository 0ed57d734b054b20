"""The page about spans has the tables of the code."""

from tests.docs.otlp_reference import PAGE, regenerate


def test_tables_are_those_of_the_code() -> None:
    """``python -m tests.docs.otlp_reference`` would change nothing."""
    text = PAGE.read_text(encoding="utf-8")
    assert regenerate(text) == text
