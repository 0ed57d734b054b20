"""Which runs a filter matches."""

from typing import Final

from core.model.listing import SEARCHED_FIELDS, RunFilter, fold_case
from core.model.run import Run

_EQUAL: Final = ("event_id", "job_type", "agent_name", "run_id", "parent_run_id", "product")


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
    folded = fold_case(text)
    return any(folded in fold_case(value) for name in SEARCHED_FIELDS if (value := getattr(run, name)) is not None)
