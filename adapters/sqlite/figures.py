"""Statistics and facets on SQLite."""

from collections.abc import Sequence
from typing import Any, Final, cast

import apsw

from adapters.sql_figures import FiguresSql, Source, compute_facets, compute_statistics, rank_of
from adapters.sqlite.errors import translated_errors
from adapters.sqlite.listing import RunList
from adapters.sqlite.schema import EPOCH, metric_of, time_of
from core.model.listing import PageRequest, RunFilter, examined_by
from core.model.statistics import Facets, FacetsRequest, Statistics, StatisticsRequest

_FIRST_SECOND: Final = -62_135_596_800  # 0001-01-01
_NEWEST_FIRST: Final = PageRequest()


class SqliteFigures:
    """Statistics and facets as one connection sees them."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._list = RunList(connection)

    def statistics(self, which: RunFilter, request: StatisticsRequest) -> Statistics:
        """See the port."""
        source = self._source(which, request.max_runs)
        return compute_statistics(source, request, _bucket(request.bucket_seconds), _SQL)

    def facets(self, which: RunFilter, request: FacetsRequest) -> Facets:
        """See the port."""
        return compute_facets(self._source(which, request.max_runs), request)

    def _source(self, which: RunFilter, max_runs: int) -> Source:
        examined = examined_by(which)
        last = self._list.nth(examined, _NEWEST_FIRST, max_runs)
        sql, bindings = self._list.newest(which, last, max_runs)

        def query(statement: str) -> list[tuple[Any, ...]]:
            with translated_errors(self._connection):
                return cast(list[tuple[Any, ...]], self._connection.execute(statement, bindings).fetchall())

        count = max_runs if last else self._list.count(examined)
        return Source(sql, query, count, time_of(last[0]) if last else None)


def _bucket(seconds: int) -> str:
    # SQLite truncates quotients toward 0, so count from a multiple of the width before the first year.
    first = _FIRST_SECOND // seconds
    return f"((start + {(EPOCH - first * seconds) * 1_000_000}) / {seconds * 1_000_000} + {first})"


def _percentiles(bucket: str, source: str, percentiles: Sequence[int]) -> str:
    # A sorted array takes a quarter of the time of window functions.
    array = "json_group_array(duration_ms ORDER BY duration_ms)"
    places = [f"json_extract({array}, '$[' || ({rank_of(one, 'count(*)')} - 1) || ']')" for one in percentiles]
    return f"SELECT {bucket}, {', '.join(places)} FROM {source} GROUP BY 1"


# SQLite keeps the last texts parsed, and an index has some members, so the rows need nothing more.
_SQL: Final = FiguresSql(metric_of, rows=str, percentiles=_percentiles)
