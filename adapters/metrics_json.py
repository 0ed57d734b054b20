"""The metrics in the text of ``metrics_json``."""

from collections.abc import Callable
from operator import attrgetter
from typing import Any, Final

import msgspec

from core.model.summary import METRICS, Metrics, is_metric

# The other members are skipped, not decoded, which is several times faster.
_Members: Any = msgspec.defstruct("_Members", [(name, Any, None) for name in METRICS])
_values_of: Final = attrgetter(*METRICS)
_decode: Final[Callable[[str], Any]] = msgspec.json.Decoder(_Members).decode


def parse_metrics(text: str | None) -> Metrics:
    """Return those of ``METRICS`` that count as reported, given the stored text of ``metrics_json``."""
    if text is None:
        return {}
    values = zip(METRICS, _values_of(_decode(text)), strict=True)
    # Most are missing; the comparison saves calling a function for each.
    return {name: value for name, value in values if value is not None and is_metric(value)}
