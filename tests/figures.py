"""The names of two fixtures' types: how much a test does, and where it says what it did."""

from collections.abc import Callable

Scale = Callable[[int, int], int]
"""``scale(20, 1000)`` is 20, and 1000 with ``--soak``."""

Figures = Callable[..., None]
"""``figures(cycles=20, lost=0)`` has these shown after the tests."""
