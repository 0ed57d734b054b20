"""The index of event and run IDs. Its cost stays flat as the table grows.

IDs are random, so in an ordinary index every new one changes a different page: a thousand pages for a thousand runs,
each written to the WAL and again at the checkpoint. Here, new entries go into a small table and move on in key order,
one slice at a time: from ``keys_recent`` to ``keys_middle`` to ``keys_settled``. A slice is dense where it arrives, so
few pages change. This is the rolling merge of O'Neil et al., "The Log-Structured Merge-Tree" (1996), in SQL and inside
the transaction that adds the runs, so it is as safe as they are.

An entry holds a 32-bit hash, which is shorter than the ID. Different IDs can share a hash, so a lookup also compares
the text. An entry of a ``run_id`` also holds the start of the run, so the entries of one name are in list order, and a
page of them costs the same however many there are.

Deleting a run deletes its entries. An entry outlives its run only if somebody deletes rows by hand. This is harmless:
arrival numbers are never reused, so the entry leads to no run.
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import pairwise
from typing import Any, Final

import apsw

HASH_BYTES: Final = 4
"""With ten million runs, one ID in 400 shares its hash with another, which costs reading an extra row."""

HASH_SPAN: Final = 1 << (8 * HASH_BYTES)
LOWEST_HASH: Final = -HASH_SPAN // 2  # SQLite's integers have a sign

TABLES: Final = ("keys_recent", "keys_middle", "keys_settled")
TURNS: Final = (16_384, 524_288)
"""How many arrivals it takes to empty a table once, slice by slice; on average it holds the keys of half as many."""

STRIDE: Final = 64
"""The merge advances once per this many arrivals, so that single runs do not each pay for a slice."""

AMONG_ARRIVALS: Final = "arrival IN (SELECT value FROM carray(:arrivals))"
"""A condition on runs, with arrivals bound by ``integers``."""

_FIND = " UNION ALL ".join(
    f"SELECT arrival FROM carray(?1) CROSS JOIN {table} ON hash = value AND start = 0" for table in TABLES
)
# One statement for all entries, because each statement releases the GIL and must reacquire it. An entry is one integer:
# the hash, then the position among the new runs.
_PLACE_BITS: Final = 16
_PLACE = f"(value & {(1 << _PLACE_BITS) - 1})"
# A run that starts at 0 may have the same hash for both IDs; one entry is enough then.
_ADD = (
    f"INSERT OR IGNORE INTO {TABLES[0]} "
    f"SELECT value >> {_PLACE_BITS}, 0, ?3 + {_PLACE} FROM carray(?1) UNION ALL "
    f"SELECT value >> {_PLACE_BITS}, start, arrival "
    f"FROM carray(?2) CROSS JOIN runs ON arrival = ?3 + {_PLACE}"
)
_MOVES: Final = [
    (
        turn,
        f"INSERT OR IGNORE INTO {onward} SELECT hash, start, arrival FROM {table} WHERE hash BETWEEN ? AND ?",
        f"DELETE FROM {table} WHERE hash BETWEEN ? AND ?",
    )
    for (table, onward), turn in zip(pairwise(TABLES), TURNS, strict=True)
]
_ADD_ONE: Final = f"INSERT OR IGNORE INTO {TABLES[0]} (hash, start, arrival) VALUES (?, ?, ?)"
_REMOVALS: Final = [f"DELETE FROM {table} WHERE hash = ? AND start = ? AND arrival = ?" for table in reversed(TABLES)]
ENTRIES: Final = (
    " UNION ".join(
        f"SELECT start, arrival FROM {table} "
        "WHERE hash = ?1 AND (start, arrival) {beyond} (?2, ?3) AND start {within} ?4"
        for table in TABLES
    )
    + " ORDER BY start {order}, arrival {order} LIMIT ?5"
)
"""Starts and arrivals of entries of a ``run_id``; ``{beyond}``, ``{within}`` and ``{order}`` express the direction.

The bindings: a hash; the start and arrival after which to begin; the last start; the maximum number of entries.
SQLite merges the three tables only as far as needed, because each has its entries in this order.
"""

_EVENT_HASH = blake2b(digest_size=HASH_BYTES, person=b"event_id")
_RUN_HASH = blake2b(digest_size=HASH_BYTES, person=b"run_id")


def event_hash(event_id: str) -> int:
    """Return the hash of an ``event_id``, one of ``HASH_SPAN`` numbers from ``LOWEST_HASH`` on."""
    return _hash(_EVENT_HASH.copy(), event_id)


def run_hash(run_id: str) -> int:
    """Return the hash of a ``run_id``, one of ``HASH_SPAN`` numbers from ``LOWEST_HASH`` on."""
    return _hash(_RUN_HASH.copy(), run_id)


def _hash(digest: blake2b, text: str) -> int:
    # No stored ID has a lone surrogate, but a query may.
    digest.update(text.encode(errors="surrogatepass"))
    return int.from_bytes(digest.digest(), "big", signed=True)


def integers(values: Iterable[int]) -> Any:
    """Return hashes or arrivals in a form that binds to ``carray``."""
    # An empty array has no address to bind. Use a 0 instead: it is no arrival, and a hash like any other.
    return apsw.carray(array("q", values) or array("q", [0]))


def find_arrivals(connection: apsw.Connection, hashes: Iterable[int]) -> list[int]:
    """Return the arrivals of all runs that have one of the hashes."""
    return [arrival for (arrival,) in connection.execute(_FIND, (integers(hashes),))]


def add_keys(connection: apsw.Connection, hashes: Sequence[tuple[int, int]], first_arrival: int) -> None:
    """Add the hashes of both IDs of new runs, in order of arrival. The runs must already be in their table.

    Also move older entries on. The position of the merge follows from the arrival numbers alone: with every ``STRIDE``
    of them, it advances by ``STRIDE / turn`` of the hash span. There is no state to store or lose.
    """
    # Later tables first, so that no entry moves twice.
    for turn, copy, delete in reversed(_MOVES):
        for bounds in _slices(first_arrival, len(hashes), turn):
            connection.execute(copy, bounds)
            connection.execute(delete, bounds)
    for start in range(0, len(hashes), 1 << _PLACE_BITS):
        part = hashes[start : start + (1 << _PLACE_BITS)]
        events, names = (
            integers(sorted(hash_ << _PLACE_BITS | place for place, hash_ in enumerate(column)))
            for column in zip(*part, strict=True)
        )
        connection.execute(_ADD, (events, names, first_arrival + start))


def replace_keys(
    connection: apsw.Connection, before: Iterable[tuple[int, int, int]], after: Iterable[tuple[int, int, int]]
) -> None:
    """Replace entries of runs, each a hash, a start and an arrival, by others. Those in both stay where they are."""
    old, new = set(before), set(after)
    remove_keys(connection, old - new)
    connection.executemany(_ADD_ONE, sorted(new - old))


def remove_keys(connection: apsw.Connection, entries: Iterable[tuple[int, int, int]]) -> None:
    """Remove entries, each a hash, a start and an arrival, from whichever tables they have moved to."""
    # In key order, so that entries on the same page are removed together.
    left = sorted(set(entries))
    expected = len(left)
    # Most entries of old runs are in the last table.
    for delete in _REMOVALS:
        before = connection.total_changes()
        connection.executemany(delete, left)
        expected -= connection.total_changes() - before
        if not expected:
            return


def _slices(first: int, count: int, turn: int) -> Iterator[tuple[int, int]]:
    """Yield the hash ranges, both ends inclusive, that are due for these arrivals."""
    parts = turn // STRIDE
    start = first // STRIDE % parts
    end = start + min((first + count) // STRIDE - first // STRIDE, parts)
    for low, high in ((start, min(end, parts)), (0, end - parts)):
        if low < high:
            yield LOWEST_HASH + low * HASH_SPAN // parts, LOWEST_HASH + high * HASH_SPAN // parts - 1
