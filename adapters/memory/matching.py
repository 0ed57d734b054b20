"""Which runs a filter matches."""

from typing import Final

from core.model.listing import SEARCHED_FIELDS, RunFilter
from core.model.run import Run

_EQUAL: Final = ("event_id", "job_type", "agent_name", "run_id", "parent_run_id", "product")
_FOLDED: Final = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}


def matches(run: Run, which: RunFilter) -> bool:
    """Return whether the run satisfies every part of the filter."""
    return (
        all(wanted is None or getattr(run, name) == wanted for name in _EQUAL for wanted in [getattr(which, name)])
        and (which.status is None or run.status in which.status)
        and (which.start_time_from is None or run.start_time >= which.start_time_from)
        and (which.start_time_to is None or run.start_time <= which.start_time_to)
        and not (which.roots and run.parent_run_id is not None)
        and (which.q is None or _contains(run, which.q))
    )


def _contains(run: Run, text: str) -> bool:
    folded = text.translate(_FOLDED)
    return any(folded in (getattr(run, name) or "").translate(_FOLDED) for name in SEARCHED_FIELDS)
