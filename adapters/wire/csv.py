"""Runs as CSV (RFC 4180) for spreadsheets: a header, then a row a run; JSON fields are texts."""

import csv
import io
from collections.abc import Iterable
from operator import attrgetter
from typing import Any, Final

from core.model.run import FIELDS, Run

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001 - taken for the others
"""What a spreadsheet takes for the beginning of a formula (https://owasp.org/www-community/attacks/CSV_Injection)."""

_values = attrgetter(*FIELDS)


def csv_header() -> bytes:
    """The first row: the names of the fields."""
    return _rows([FIELDS])


def csv_rows(runs: Iterable[Run]) -> bytes:
    """A row for each run. A text that a spreadsheet would evaluate has an apostrophe before it; ``None`` is empty."""
    return _rows([cell if type(cell) is int else _neutral(cell) for cell in _values(run)] for run in runs)


def _neutral(cell: str | None) -> str | None:
    return f"'{cell}" if cell is not None and cell.startswith(_FORMULA) else cell


def _rows(rows: Iterable[Iterable[Any]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
