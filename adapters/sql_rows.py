"""Runs as table rows, shared by all SQL stores. Columns have the names and order of the fields."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final

import attrs

from adapters.metrics_json import parse_metrics
from core.model.listing import PageRequest, RunFilter
from core.model.run import FIELDS, FIXED_FIELDS, CommitSource, JsonText, Run, Status, Timestamp
from core.model.summary import MAX_ERROR_CHARACTERS, SUMMARY_FIELDS, RunSummary
from core.model.tree import RunOutline

TIMES: Final = ("start_time_from", "start_time_to")

LAST_ARRIVAL: Final = (1 << 63) - 1

COLUMNS: Final = ", ".join(FIELDS)

CHANGING: Final = tuple(name for name in FIELDS if name not in {*FIXED_FIELDS, "created_at"})
"""The columns that replacing a run may change."""

TALLIED: Final = ("agent_name", "job_type")
"""The columns whose distinct values are tracked, with the number of runs for each."""

AMENDED: Final = tuple(name for name in FIELDS if name != "event_id")
"""The columns that amending a run may change."""

values_of = attrgetter(*FIELDS)
amended_values_of = attrgetter(*AMENDED)
changing_values_of = attrgetter(*CHANGING)

# A lookup costs a quarter of calling the enum.
_STATUSES: Mapping[str, Status] = {status.value: status for status in Status}
_COMMIT_SOURCES: Mapping[str, CommitSource] = {source.value: source for source in CommitSource}
_CONVERTERS: Sequence[tuple[int, Callable[[Any], object]]] = [
    (FIELDS.index(name), convert)
    for name, convert in (
        ("status", _STATUSES.__getitem__),
        ("metrics_json", JsonText),
        ("context_json", JsonText),
        ("commit_source", _COMMIT_SOURCES.__getitem__),
        ("extra", JsonText),
    )
]


def run_of(row: Sequence[Any]) -> Run:
    """Return the run in a row of ``COLUMNS``; raise ``KeyError`` for an enum value that was never written."""
    values = list(row)
    for position, convert in _CONVERTERS:
        value = values[position]
        if value is not None:
            values[position] = convert(value)
    return Run(*values)


SUMMARY_COLUMNS: Final = ", ".join(
    f"substr(error_summary, 1, {MAX_ERROR_CHARACTERS})" if name == "error_summary" else name
    for name in (*SUMMARY_FIELDS, "metrics_json")
)

OUTLINE_COLUMNS: Final = (
    f"event_id, run_id, parent_run_id, status, substr(error_summary, 1, {MAX_ERROR_CHARACTERS}), "
    "commit_hash, metrics_json"
)

_STATUS: Final = SUMMARY_FIELDS.index("status")
_COMMIT_SOURCE: Final = SUMMARY_FIELDS.index("commit_source")


def summary_of(row: Sequence[Any]) -> RunSummary:
    """Return the summary in a row of ``SUMMARY_COLUMNS``; raise as ``run_of`` does."""
    values = list(row)
    values[_STATUS] = _STATUSES[values[_STATUS]]
    if values[_COMMIT_SOURCE] is not None:
        values[_COMMIT_SOURCE] = _COMMIT_SOURCES[values[_COMMIT_SOURCE]]
    values[-1] = parse_metrics(values[-1])
    return RunSummary(*values)


def outline_of(row: Sequence[Any]) -> RunOutline:
    """Return the outline in a row of ``OUTLINE_COLUMNS``; raise as ``run_of`` does."""
    event_id, run_id, parent_run_id, status, error_summary, commit_hash, metrics = row
    return RunOutline(
        event_id, run_id, parent_run_id, _STATUSES[status], error_summary, commit_hash, parse_metrics(metrics)
    )


def given_parts(which: RunFilter) -> dict[str, Any]:
    """Return the parts of a filter that are given, by name."""
    return attrs.asdict(which, recurse=False, filter=lambda _, value: value is not None and value is not False)


def count_names(runs: Collection[Run]) -> Mapping[tuple[str, str], int]:
    """Return the number of runs with each name, by column and name."""
    return Counter((field, name) for field in TALLIED for name in map(attrgetter(field), runs))


def count_renamed(pairs: Sequence[tuple[Run, Run]]) -> Mapping[tuple[str, str], int]:
    """Return by how much the number of runs with each name changes, by column and name, if each run becomes the other.

    Names whose number stays the same are left out.
    """
    changes = Counter(count_names([after for _, after in pairs]))
    changes.subtract(count_names([before for before, _ in pairs]))
    return {named: change for named, change in changes.items() if change}


@attrs.frozen
class Walk:
    """The range of the list that a page is part of, and its direction.

    It begins after the start and arrival in ``after`` and ends with the last run that starts at ``until``. ``None``
    stands for the beginning or end of the list.
    """

    oldest_first: bool
    after: tuple[Timestamp, int] | None
    until: Timestamp | None

    def sql(self, template: str, *parts: str) -> str:
        """Format SQL: ``{beyond}``, ``{within}`` and ``{order}`` express the direction; ``{}`` are the parts."""
        beyond, within, order = (">", "<=", "ASC") if self.oldest_first else ("<", ">=", "DESC")
        return template.format(*parts, beyond=beyond, within=within, order=order)


def walk_of(which: RunFilter, request: PageRequest) -> Walk:
    """Return the walk from one end of the time range, or the cursor if that is further on, to the other end."""
    near, until = which.start_time_to, which.start_time_from
    if request.oldest_first:
        near, until = until, near
    # One bound, not two: a database may start at the wrong one and scan everything in between.
    begins = [] if near is None else [(near, -1 if request.oldest_first else LAST_ARRIVAL)]
    if request.cursor is not None:
        begins.append((request.cursor.start_time, request.cursor.arrival))
    further = max if request.oldest_first else min
    return Walk(request.oldest_first, further(begins, default=None), until)
