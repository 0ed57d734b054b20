"""Refusals as rows of a table, as all stores with SQL have them."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, Protocol

import msgspec

from core.model.listing import take_what_fits
from core.model.refusal import (
    MAX_KEPT_BYTES,
    Refusal,
    RefusalFilter,
    RefusalPage,
    RefusalPageRequest,
    count_refusal_bytes,
)
from core.model.validation_error import ErrorKind, ValidationError
from core.ports.refusal_repository import RefusalRepository

_COLUMNS: Final = ("number", "start", "size", "received_at", "event_id", "run_id", "fields", "errors", "body")
_INSERT: Final = f"INSERT INTO refusals ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"
_MOVE_MARKS: Final = "UPDATE refusal_marks SET last = ?, total = ? WHERE id = 1"
_FIRST_WITHIN: Final = "SELECT number FROM refusals WHERE start >= ? ORDER BY number LIMIT 1"
_REMOVE: Final = "DELETE FROM refusals WHERE number < ?"

_encode = msgspec.json.Encoder().encode
_decode_errors = msgspec.json.Decoder(list[tuple[str | None, str, str]]).decode


class Statements(Protocol):
    """Carries out statements of one transaction, whose bindings stand as ``?``."""

    def rows(self, sql: str, bindings: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Carry out a statement that reads."""
        ...

    def many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Carry out a statement that writes, once for each row of bindings."""
        ...


class SqlRefusalRepository(RefusalRepository):
    """Refusals over transactions, which a subclass makes. ``keep`` is how many are kept.

    ``locking`` keeps a row that was read from being changed by others, and ``position`` is the function that finds a
    text in another. Refusals have consecutive numbers and remember how many bytes were added before them, so what is
    beyond the bounds is found without counting.
    """

    locking: str
    position: str

    def __init__(self, keep: int) -> None:
        self._keep = keep

    def _writing(self) -> AbstractContextManager[Statements]:
        """Return a transaction that writes; leaving it commits. No other one that writes begins meanwhile."""
        raise NotImplementedError

    def _reading(self) -> AbstractContextManager[Statements]:
        """Return a transaction that reads one snapshot."""
        raise NotImplementedError

    def add(self, refusals: Sequence[Refusal]) -> None:
        with self._writing() as statements:
            ((last, total),) = statements.rows(f"SELECT last, total FROM refusal_marks WHERE id = 1{self.locking}")
            rows = []
            for number, refusal in enumerate(refusals, last + 1):
                size = count_refusal_bytes(refusal)
                rows.append((number, total, size, *_values_of(refusal)))
                total += size
            last += len(rows)
            if rows:
                statements.many(_INSERT, rows)
                statements.many(_MOVE_MARKS, [(last, total)])
            # The scan begins with the oldest, so it passes over nothing but what is removed.
            within = statements.rows(_FIRST_WITHIN, (total - MAX_KEPT_BYTES,))
            first = within[0][0] if within else 0
            statements.many(_REMOVE, [(max(first, last - self._keep + 1),)])

    def page(self, which: RefusalFilter, request: RefusalPageRequest) -> RefusalPage:
        where, bindings = self._where(which, request)
        with self._reading() as statements:
            # One row more than asked for tells whether there is a next page.
            sql = f"SELECT number, size FROM refusals{where} ORDER BY number DESC LIMIT ?"
            sizes = statements.rows(sql, (*bindings, request.limit + 1))
            chosen, more = take_what_fits(sizes, lambda row: int(row[1]), request.limit, request.max_bytes)
            numbers = [number for number, _ in chosen]
            rows = statements.rows(_select(len(numbers)), numbers) if numbers else []
        return RefusalPage(tuple(map(_refusal_of, rows)), numbers[-1] if more else None)

    def _where(self, which: RefusalFilter, request: RefusalPageRequest) -> tuple[str, list[Any]]:
        parts: list[tuple[str, Any]] = []
        if request.cursor is not None:
            parts.append(("number < ?", request.cursor))
        if which.run_id is not None:
            parts.append(("run_id = ?", which.run_id))
        if which.field is not None:
            parts.append((f"{self.position}(fields, ?) > 0", f" {which.field} "))
        conditions = " AND ".join(condition for condition, _ in parts)
        return (f" WHERE {conditions}" if conditions else ""), [value for _, value in parts]


def _select(refusals: int) -> str:
    among = ", ".join("?" * refusals)
    columns = "received_at, event_id, run_id, errors, body"
    return f"SELECT {columns} FROM refusals WHERE number IN ({among}) ORDER BY number DESC"


def _values_of(refusal: Refusal) -> tuple[Any, ...]:
    fields = sorted({error.field for error in refusal.errors if error.field is not None})
    errors = [(error.field, error.reason, error.kind.value) for error in refusal.errors]
    return (
        refusal.received_at,
        refusal.event_id,
        refusal.run_id,
        f" {' '.join(fields)} ",
        _encode(errors),
        refusal.body.encode(),
    )


def _refusal_of(row: Sequence[Any]) -> Refusal:
    received_at, event_id, run_id, errors, body = row
    found = tuple(
        ValidationError(field, reason, ErrorKind(kind)) for field, reason, kind in _decode_errors(bytes(errors))
    )
    return Refusal(received_at, event_id, run_id, found, bytes(body).decode())
