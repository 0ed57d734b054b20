"""The index of event and run ids: which runs an id may belong to, at a cost that stays flat as the table grows.

Ids are random, so in an ordinary index every new one changes a page of its own: a thousand pages for a thousand
runs, each to be written to the WAL and again at the checkpoint. Here new entries go into a small table and move on
in key order, a slice at a time: from ``keys_recent`` to ``keys_middle`` to ``keys_settled``. A slice is dense where
it arrives, so few pages change. This is the rolling merge of O'Neil et al., "The Log-Structured Merge-Tree" (1996),
in SQL and inside the transaction that adds the runs, so that it is as safe as they are.

An entry holds 32 bits of a hash, which are fewer bytes than the id. Different ids can share a hash: whoever looks an
id up compares the text as well. An entry of a ``run_id`` also holds the start of the run, so that the entries of one
name stand in the order of the list, and a page of them costs the same however many there are.

An entry may outlive its run, if somebody deletes rows by hand. It does no harm, because an arrival number is never
given twice: it leads to no run.
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import pairwise
from typing import Any, Final

import apsw

HASH_BYTES: Final = 4
"""With ten million runs an id shares its hash with another one once in 400 times, which costs reading a row in vain."""

HASH_SPAN: Final = 1 << (8 * HASH_BYTES)
LOWEST_HASH: Final = -HASH_SPAN // 2  # SQLite's integers have a sign

TABLES: Final = ("keys_recent", "keys_middle", "keys_settled")
TURNS: Final = (16_384, 524_288)
"""How many arrivals a table takes to be emptied once, slice by slice; on average it holds half as many runs' keys."""

STRIDE: Final = 64
"""The merge moves on with every so many arrivals, so that single runs do not each pay for a slice."""

AMONG_ARRIVALS: Final = "arrival IN (SELECT value FROM carray(:arrivals))"
"""A condition on runs, for arrivals bound by ``integers``."""

_FIND = " UNION ALL ".join(
    f"SELECT arrival FROM carray(?1) CROSS JOIN {table} ON hash = value AND start = 0" for table in TABLES
)
# One statement for all entries, for each statement lets go of the GIL and has to get it back. An entry is one integer,
# the hash above the place among the new runs.
_PLACE_BITS: Final = 16
_PLACE = f"(value & {(1 << _PLACE_BITS) - 1})"
# A run that starts at 0 may have one hash for both of its ids; one entry is enough then.
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
ENTRIES: Final = (
    " UNION ".join(
        f"SELECT start, arrival FROM {table} "
        "WHERE hash = ?1 AND (start, arrival) {beyond} (?2, ?3) AND start {within} ?4"
        for table in TABLES
    )
    + " ORDER BY start {order}, arrival {order} LIMIT ?5"
)
"""Starts and arrivals of entries of a ``run_id``, where ``{beyond}``, ``{within}`` and ``{order}`` say the direction.

The bindings: a hash; the start and the arrival after which the entries stand, and the last start; how many at most.
SQLite merges the three tables as far as it has to, since each of them has the entries in their order.
"""

_EVENT_HASH = blake2b(digest_size=HASH_BYTES, person=b"event_id")
_RUN_HASH = blake2b(digest_size=HASH_BYTES, person=b"run_id")


def event_hash(event_id: str) -> int:
    """The hash of an ``event_id``, one of ``HASH_SPAN`` numbers from ``LOWEST_HASH`` on."""
    return _hash(_EVENT_HASH.copy(), event_id)


def run_hash(run_id: str) -> int:
    """The hash of a ``run_id``, one of ``HASH_SPAN`` numbers from ``LOWEST_HASH`` on."""
    return _hash(_RUN_HASH.copy(), run_id)


def _hash(digest: blake2b, text: str) -> int:
    # Nobody has an id with a lone surrogate, but anybody may ask for one.
    digest.update(text.encode(errors="surrogatepass"))
    return int.from_bytes(digest.digest(), "big", signed=True)


def integers(values: Iterable[int]) -> Any:
    """Hashes or arrivals to be bound for ``carray``."""
    # An empty array has no address to bind. A 0 stands for it: no arrival, and a hash like any other.
    return apsw.carray(array("q", values) or array("q", [0]))


def find_arrivals(connection: apsw.Connection, hashes: Iterable[int]) -> list[int]:
    """The arrivals of all runs that have one of the hashes."""
    return [arrival for (arrival,) in connection.execute(_FIND, (integers(hashes),))]


def add_keys(connection: apsw.Connection, hashes: Sequence[tuple[int, int]], first_arrival: int) -> None:
    """Add the hashes of the two ids of new runs, which are in their table already, in their order of arrival.

    Also move older entries on. Where the merge stands follows from the arrival numbers alone: with each ``STRIDE`` of
    them it moves by so many parts in ``TURNS`` of the hash span. There is no state to keep or to lose.
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


def _slices(first: int, count: int, turn: int) -> Iterator[tuple[int, int]]:
    """The hash ranges, both ends included, that are due between one arrival and another."""
    parts = turn // STRIDE
    start = first // STRIDE % parts
    end = start + min((first + count) // STRIDE - first // STRIDE, parts)
    for low, high in ((start, min(end, parts)), (0, end - parts)):
        if low < high:
            yield LOWEST_HASH + low * HASH_SPAN // parts, LOWEST_HASH + high * HASH_SPAN // parts - 1
