"""The filter of runs as SQL conditions."""

from typing import Any, Final

from core.model.listing import SEARCHED_FIELDS, RunFilter, fold_case

_EQUAL: Final = ("event_id", "job_type", "agent_name", "run_id", "parent_run_id", "product")
# lower() folds ASCII letters only.
_CONTAINS: Final = f"({' OR '.join(f'instr(lower({name}), :q)' for name in SEARCHED_FIELDS)})"


def conditions_of(which: RunFilter) -> tuple[list[str], dict[str, Any]]:
    """Return the filter without the time range as SQL conditions, and their bindings by name."""
    bindings: dict[str, Any] = {name: value for name in _EQUAL if (value := getattr(which, name)) is not None}
    terms = [f"{name} = :{name}" for name in bindings]
    if which.status is not None:
        statuses = {f"status_{number}": status.value for number, status in enumerate(sorted(which.status))}
        terms.append(f"status IN ({', '.join(f':{name}' for name in statuses)})")
        bindings |= statuses
    if which.roots:
        terms.append("parent_run_id IS NULL")
    if which.q is not None:
        terms.append(_CONTAINS)
        bindings["q"] = fold_case(which.q)
    return terms, bindings


def index_of(which: RunFilter) -> str:
    """Return which index to read the list from, to follow the name of the table."""
    # Without statistics, SQLite does not see that the smaller index is better.
    return " INDEXED BY runs_without_parent" if which.roots else ""
