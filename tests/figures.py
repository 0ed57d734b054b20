"""The types of two fixtures: how much a test does, and where it reports what it did."""

from collections.abc import Callable

Scale = Callable[[int, int], int]
"""``scale(20, 1000)`` is 20, and 1000 with ``--soak``."""

Figures = Callable[..., None]
"""``figures(cycles=20, lost=0)`` shows these after the tests."""
