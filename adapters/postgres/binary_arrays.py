"""Arrays as parameters in PostgreSQL's binary format, packed a column at a time.

psycopg adapts a list element by element, which costs more than everything else about an insert. The format is that of
PostgreSQL's ``array_send``: the number of dimensions, whether there are NULLs, and the type of the elements; the length
and the lower bound of each dimension; then the length of each element, or -1 for NULL, and its bytes.
"""

from collections.abc import Iterable, Iterator, Sequence
from struct import Struct
from typing import Final

import attrs
import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format

_HEADER: Final = Struct(">iiIii")
_LENGTH: Final = Struct(">i")
_BIGINT: Final = Struct(">iq")
_NULL: Final = _LENGTH.pack(-1)

# PostgreSQL's own types have the same numbers in every database.
_TEXT, _TEXT_ARRAY = 25, 1009
_BIGINT_TYPE, _BIGINT_ARRAY = 20, 1016


@attrs.frozen
class TextArray:
    """A parameter of the type ``text[]``; the texts are without NUL characters and lone surrogates."""

    values: Sequence[str | None]


@attrs.frozen
class BigintArray:
    """A parameter of the type ``bigint[]``."""

    values: Sequence[int | None]


def pack_texts(values: Sequence[str | None]) -> bytes:
    """Return the values as a ``text[]`` in binary; raise ``UnicodeEncodeError`` for lone surrogates."""
    return _array(_TEXT, values, _packed_texts(values))


def pack_bigints(values: Sequence[int | None]) -> bytes:
    """Return the values as a ``bigint[]`` in binary; raise ``struct.error`` for numbers beyond 64 bits."""
    return _array(_BIGINT_TYPE, values, _packed_bigints(values))


def register_arrays(connection: psycopg.Connection) -> None:
    """Let the statements of this connection take both kinds of arrays."""
    connection.adapters.register_dumper(TextArray, _TextArrayDumper)
    connection.adapters.register_dumper(BigintArray, _BigintArrayDumper)


class _TextArrayDumper(Dumper):
    format = Format.BINARY
    oid = _TEXT_ARRAY

    def dump(self, obj: TextArray) -> bytes:
        return pack_texts(obj.values)


class _BigintArrayDumper(Dumper):
    format = Format.BINARY
    oid = _BIGINT_ARRAY

    def dump(self, obj: BigintArray) -> bytes:
        return pack_bigints(obj.values)


def _array(element: int, values: Sequence[object], packed: Iterable[bytes]) -> bytes:
    """Return an array of one dimension of what was packed, a length before each element."""
    return _HEADER.pack(1, None in values, element, len(values), 1) + b"".join(packed)


def _packed_texts(values: Sequence[str | None]) -> Iterator[bytes]:
    for value in values:
        if value is None:
            yield _NULL
        else:
            encoded = value.encode()
            yield _LENGTH.pack(len(encoded))
            yield encoded


def _packed_bigints(values: Sequence[int | None]) -> Iterator[bytes]:
    return (_NULL if value is None else _BIGINT.pack(8, value) for value in values)
