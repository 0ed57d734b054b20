"""SQL for reading runs: the filter, sizes, children, and the terms of statistics."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from adapters.postgres.schema import FILTER_PREFIX, NAME_PREFIX
from adapters.sql_figures import FiguresSql, rank_of
from adapters.sql_rows import TALLIED, Walk
from core.model.listing import SEARCHED_FIELDS, Cursor, RunFilter, fold_case
from core.model.run import LONG_TEXTS
from core.model.summary import MAX_ERROR_CHARACTERS, MAX_METRIC, SUMMARY_TEXTS

_PREFIXES: Final[Mapping[str, int]] = {
    **dict.fromkeys(("run_id", "parent_run_id"), NAME_PREFIX),
    **dict.fromkeys((*TALLIED, "product"), FILTER_PREFIX),
}
"""How many characters of a column are indexed."""

_EQUAL: Final = ("event_id", "job_type", "agent_name", "run_id", "parent_run_id", "product")

# lower() folds ASCII letters only, because the columns are compared by code point.
_CONTAINS: Final = f"({' OR '.join(f'strpos(lower({name}), %s) > 0' for name in SEARCHED_FIELDS)})"

TEXT_BYTES: Final = " + ".join(f"coalesce(octet_length({name}), 0)" for name in LONG_TEXTS)
"""The result of ``count_text_bytes``, computed by PostgreSQL without reading texts stored out of line."""

SUMMARY_BYTES: Final = " + ".join(
    f"coalesce(octet_length(left(error_summary, {MAX_ERROR_CHARACTERS})), 0)"
    if name == "error_summary"
    else f"coalesce(octet_length({name}), 0)"
    for name in SUMMARY_TEXTS
)
"""The result of ``count_summary_bytes``."""

METRICS_BYTES: Final = "coalesce(octet_length(metrics_json), 0)"
"""What is read with a summary beside its texts."""

# No escaped NUL fits in jsonb. No metric has a name with either escape.
_PARSED: Final = r"replace(metrics_json, '\u0000', '\u0001')::jsonb"


def where_of(which: RunFilter, walk: Walk, last: Cursor | None = None) -> tuple[str, list[Any]]:
    """Return the filter and the ends of the walk as a template for ``Walk.sql``, and its bindings.

    The walk ends at ``last``, if that is given.
    """
    conditions, bindings = _conditions_of(which)
    if not all(is_storable(value) for value in bindings if isinstance(value, str)):
        return " WHERE FALSE", []
    if walk.after is not None:
        conditions.append("(start_time, arrival) {beyond} (%s, %s)")
        bindings += walk.after
    if walk.until is not None:
        conditions.append("start_time {within} %s")
        bindings.append(walk.until)
    if last is not None:
        conditions.append("(start_time, arrival) {within} (%s, %s)")
        bindings += (last.start_time, last.arrival)
    return (f" WHERE {' AND '.join(conditions)}" if conditions else ""), bindings


def children_sql(columns: str) -> str:
    """Return SQL for these columns of the children of an array of names, of each name and of all up to a limit."""
    return (
        f"SELECT {columns} FROM unnest(%s::text[]) WITH ORDINALITY AS parents (name, place) CROSS JOIN LATERAL ("
        f"SELECT * FROM runs WHERE left(parent_run_id, {NAME_PREFIX}) = left(parents.name, {NAME_PREFIX}) "
        "AND parent_run_id = parents.name ORDER BY start_time, arrival LIMIT %s"
        ") AS child ORDER BY parents.place, start_time, arrival LIMIT %s"
    )


def bucket_of(seconds: int) -> str:
    """Return SQL for the number of the bucket of this width in which a run starts."""
    return f"floor(extract(epoch FROM left(start_time, 19)::timestamp) / {seconds})::bigint"


def _member_of(name: str) -> str:
    member = f"(metrics ->> '{name}')"
    return (
        f"CASE WHEN jsonb_typeof(metrics -> '{name}') = 'number' THEN "
        f"CASE WHEN {member}::numeric BETWEEN -{MAX_METRIC} AND {MAX_METRIC} THEN {member}::float8 END END"
    )


def _parsed(kept: str) -> str:
    # PostgreSQL does not merge a subquery with OFFSET into the query around it, where it would parse for each mention.
    return f"(SELECT start_time, {_PARSED} AS metrics FROM {kept} OFFSET 0) AS parsed"


def _percentiles(bucket: str, source: str, percentiles: Sequence[int]) -> str:
    # Window functions were tried on Citus as well; a sorted array was not.
    places = [f"max(CASE WHEN place = {rank_of(one, 'runs')} THEN duration_ms END)" for one in percentiles]
    return (
        f"SELECT bucket, {', '.join(places)} FROM ("
        f"SELECT {bucket} AS bucket, duration_ms, count(*) OVER (PARTITION BY {bucket}) AS runs, "
        f"row_number() OVER (PARTITION BY {bucket} ORDER BY duration_ms) AS place "
        f"FROM {source}) AS placed GROUP BY bucket"
    )


FIGURES_SQL: Final = FiguresSql(_member_of, _parsed, _percentiles)


def is_storable(text: str) -> bool:
    """Return whether a run can have this text; PostgreSQL rejects queries for any other."""
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False


def _conditions_of(which: RunFilter) -> tuple[list[str], list[Any]]:
    """Return the filter without the time range as conditions, and their bindings."""
    given = {name: value for name in _EQUAL if (value := getattr(which, name)) is not None}
    conditions, bindings = [], []
    for name, value in given.items():
        condition = _equals(name, value)
        conditions.append(condition)
        bindings += [value] * condition.count("%s")
    if which.status is not None:
        conditions.append("status = ANY(%s)")
        bindings.append([status.value for status in which.status])
    if which.roots:
        conditions.append("parent_run_id IS NULL")
    if which.q is not None:
        conditions.append(_CONTAINS)
        bindings += [fold_case(which.q)] * len(SEARCHED_FIELDS)
    return conditions, bindings


def _equals(name: str, value: str) -> str:
    """Return the condition that a column has this value, in a form that can use an index.

    A text that fits in the index is compared only there. With a second condition, the planner would expect so few rows
    that it would sort them instead.
    """
    length = _PREFIXES.get(name)
    if length is None:
        return f"{name} = %s"
    prefix = f"left({name}, {length}) = left(%s, {length})"
    return prefix if len(value) < length else f"{prefix} AND {name} = %s"
