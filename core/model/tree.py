"""A run with all its descendants, and what they add up to."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Final, Generic, NamedTuple, TypeVar

import attrs

from core.model.run import CommitHash, EventId, Name, Status, Text, count_bytes
from core.model.summary import Metrics, RunSummary

MAX_CAUSES: Final = 20
"""The maximum number of causes in a rollup."""

MAX_COMMITS: Final = 100
"""The maximum number of commits in a rollup."""

WELL: Final = frozenset({Status.RUNNING, Status.SUCCESS})
"""A run with any other status has a problem: it did not do what it was meant to."""


@attrs.frozen
class TreeNode:
    """A run in a tree: the index of its parent among the nodes, and how many ancestors it has.

    The root has neither.
    """

    run: RunSummary
    parent: int | None
    depth: int


@attrs.frozen
class Tree:
    """A run and its descendants in depth-first order: parents before their children, siblings by start.

    A run's children are the runs whose ``parent_run_id`` is its ``run_id``. If several runs in the tree have that name,
    the children belong to the first of them, level by level. Each run appears once, even if parents form a cycle.

    ``total`` is the number of runs in the whole tree; ``None`` if it has more than ``max_tree_runs``. If it is
    ``truncated``, the nodes are the first ones level by level.
    """

    nodes: tuple[TreeNode, ...]
    total: int | None
    truncated: bool


class RunOutline(NamedTuple):
    """What a rollup needs to know of a run; ``error_summary`` and ``metrics`` are those of its summary."""

    event_id: EventId
    run_id: Name
    parent_run_id: Text | None
    status: Status
    error_summary: Text | None
    commit_hash: CommitHash | None
    metrics: Metrics


_outlined = attrgetter(*RunOutline._fields)


def outline(run: RunSummary) -> RunOutline:
    """Return what a rollup needs to know of a run."""
    return RunOutline(*_outlined(run))


def count_outline_bytes(run: RunOutline) -> int:
    """Return the number of UTF-8 bytes in the texts that have no length limit of their own, names included."""
    return count_bytes(f"{run.run_id}{run.parent_run_id or ''}{run.error_summary or ''}")


_Child = TypeVar("_Child")


@attrs.frozen
class Room:
    """How many runs may be read, and how many UTF-8 bytes of text in them."""

    runs: int
    text_bytes: int


@attrs.frozen
class Children(Generic[_Child]):
    """The children of some runs, the room that they leave, and whether there are more than there was room for."""

    runs: Sequence[_Child]
    room: Room
    more: bool


def take_children(children: Iterable[_Child], size_of: Callable[[_Child], int], room: Room) -> Children[_Child]:
    """Return as many of the children as there is room for."""
    taken: list[_Child] = []
    left = room.text_bytes
    more = False
    for child in children:
        size = size_of(child)
        if len(taken) == room.runs or size > left:
            more = True
            break
        taken.append(child)
        left -= size
    return Children(taken, Room(room.runs - len(taken), left), more)


@attrs.frozen
class Cause:
    """The runs in which the same problem began: its status and summary, the first of the runs, and their number."""

    error_summary: Text | None
    status: Status
    run_id: Name
    runs: int


@attrs.frozen
class RolledUpCommit:
    """A commit that a tree led to, and the first run that names it."""

    commit_hash: CommitHash
    run_id: Name


@attrs.frozen
class Rollup:
    """What a run and its descendants add up to.

    ``status`` has the number of runs of each status that occurs. A metric is summed over the innermost runs that report
    it: those without a descendant that does. A problem began in the runs that have one but no descendant with one;
    ``causes`` are the most frequent first, at most ``MAX_CAUSES``, and ``commits`` the first ``MAX_COMMITS``, both
    level by level.
    """

    runs: int
    status: Mapping[Status, int]
    metrics: Metrics
    causes: tuple[Cause, ...]
    commits: tuple[RolledUpCommit, ...]
