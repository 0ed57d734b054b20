"""Arrays in PostgreSQL's binary format: the bytes themselves, and what the database makes of them."""

import struct
from collections.abc import Iterator

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.postgres.binary_arrays import BigintArray, TextArray, pack_bigints, pack_texts, register_arrays

SMALLEST, LARGEST = -(2**63), 2**63 - 1
# Surrogates are what UTF-8 cannot express, and NUL is what PostgreSQL cannot store.
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
BIGINTS = st.integers(SMALLEST, LARGEST) | st.sampled_from((SMALLEST, -1, 0, 1, LARGEST))


@pytest.fixture(scope="module")
def connection(postgres_server: str) -> Iterator[psycopg.Connection]:
    """Yield a connection that takes binary arrays and changes nothing."""
    with psycopg.connect(postgres_server, autocommit=True) as connected:
        register_arrays(connected)
        yield connected


def test_bytes_of_texts() -> None:
    """One dimension that begins at 1, a length before each element, -1 for NULL."""
    assert pack_texts(["é", None, ""]) == bytes.fromhex(
        "00000001 00000001 00000019 00000003 00000001 00000002 c3a9 ffffffff 00000000"
    )


def test_bytes_of_bigints() -> None:
    """Without a NULL, the header says so."""
    assert pack_bigints([-2]) == bytes.fromhex("00000001 00000000 00000014 00000001 00000001 00000008 fffffffffffffffe")


@given(values=st.lists(TEXTS | st.none()))
def test_texts_arrive_as_they_are(connection: psycopg.Connection, values: list[str | None]) -> None:
    """The empty text stays apart from NULL, and every character arrives."""
    sent = (TextArray(values),)
    assert connection.execute("SELECT value FROM unnest(%s) AS value", sent).fetchall() == [(text,) for text in values]
    assert connection.execute("SELECT pg_typeof(%s)::text", sent).fetchone() == ("text[]",)


@given(values=st.lists(BIGINTS | st.none()))
def test_bigints_arrive_as_they_are(connection: psycopg.Connection, values: list[int | None]) -> None:
    """So do both ends of 64 bits."""
    sent = (BigintArray(values),)
    found = connection.execute("SELECT value FROM unnest(%s) AS value", sent).fetchall()
    assert found == [(number,) for number in values]
    assert connection.execute("SELECT pg_typeof(%s)::text", sent).fetchone() == ("bigint[]",)


@given(texts=st.lists(TEXTS))
def test_database_sends_the_same_bytes(connection: psycopg.Connection, texts: list[str]) -> None:
    """What is packed is what PostgreSQL itself sends, but for an empty array, which it sends without dimensions."""
    row = connection.execute("SELECT array_send(%s)", (TextArray(texts),)).fetchone()
    assert row == (pack_texts(texts) if texts else bytes.fromhex("00000000 00000000 00000019"),)


@pytest.mark.parametrize("number", [SMALLEST - 1, LARGEST + 1])
def test_numbers_beyond_64_bits_are_refused(number: int) -> None:
    """Instead of another number being stored."""
    with pytest.raises(struct.error):
        pack_bigints([number])


def test_lone_surrogates_are_refused() -> None:
    """Instead of another text being stored."""
    with pytest.raises(UnicodeEncodeError):
        pack_texts(["\ud800"])


def test_nul_is_refused_by_the_database(connection: psycopg.Connection) -> None:
    """No text is cut at a NUL."""
    with pytest.raises(psycopg.DataError):
        connection.execute("SELECT %s", (TextArray(["a\0b"]),))
