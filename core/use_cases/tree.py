"""The use cases that look at a run with all its descendants: the tree, and what it adds up to."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import islice
from typing import Generic, Protocol, TypeVar

import attrs

from core.errors import InvalidQueryError, RunNotFoundError
from core.model.limits import Limits
from core.model.listing import PageRequest, RunFilter
from core.model.run import CommitHash, EventId, Name, Run, Status, Text
from core.model.summary import METRICS, RunSummary, add_up, summarize
from core.model.tree import (
    MAX_CAUSES,
    MAX_COMMITS,
    WELL,
    Cause,
    Children,
    RolledUpCommit,
    Rollup,
    Room,
    RunOutline,
    Tree,
    TreeNode,
    outline,
)
from core.model.validation_error import ValidationError
from core.ports.run_repository import RunReader
from core.validation.keys import require_key


class _Named(Protocol):
    """A run by its names."""

    @property
    def event_id(self) -> EventId: ...

    @property
    def run_id(self) -> Name: ...

    @property
    def parent_run_id(self) -> Text | None: ...


_Member = TypeVar("_Member", bound=_Named)

_Read = Callable[[Sequence[str], Room], Children[_Member]]
"""Reads the children of runs with these names."""


@attrs.frozen
class _Family(Generic[_Member]):
    """Runs by the name of their parent, and the room that they leave.

    Unless it is ``complete``, some are missing, the deepest first.
    """

    children: Mapping[str, Sequence[_Member]]
    room: Room
    complete: bool


@attrs.define
class _Levels(Generic[_Member]):
    """The runs of a tree level by level, the root first.

    Three lists, not a list of triples, because there may be many: the runs, the index of each run's parent, and the
    number of its ancestors. The parent of the root is -1.
    """

    runs: list[_Member]
    parents: list[int]
    depths: list[int]


def read_tree(run_id: str, event_id: str | None, limit: int, limits: Limits, runs: RunReader) -> Tree:
    """Return a run and its descendants: at most ``limit`` and ``max_tree_runs``, ``max_response_bytes`` of text.

    Among several runs of that name, it is the one with this ``event_id``, else the newest.

    Raises:
        RunNotFoundError: there is no such run.
        InvalidQueryError: the limit is out of range.
    """
    if not 1 <= limit <= limits.max_tree_runs:
        reason = f"must be an integer from 1 to {limits.max_tree_runs}, not {limit}"
        raise InvalidQueryError((ValidationError("limit", reason),))
    root = _find(run_id, event_id, runs)
    family = _gather([root.run_id], Room(limits.max_tree_runs, limits.max_response_bytes), runs.children)
    levels = _walk(root, family.children)
    found = len(levels.runs)
    whole = family.complete and found <= limits.max_tree_runs
    return Tree(_depth_first(levels, limit), found if whole else None, truncated=not whole or found > limit)


def read_rollup(run_id: str, event_id: str | None, limits: Limits, runs: RunReader) -> Rollup | None:
    """Return what a run, found as by ``read_tree``, and its descendants add up to.

    ``None`` stands for more than ``max_rollup_runs``, or ``max_response_bytes`` of text.

    Raises:
        RunNotFoundError: there is no such run.
    """
    root = outline(_find(run_id, event_id, runs))
    family = _gather([root.run_id], Room(limits.max_rollup_runs, limits.max_response_bytes), runs.outlines)
    return _roll_up_family(root, family, limits)


@attrs.define
class RollupBudget:
    """What may still be read for the rollups of one page, whose runs may be read part by part."""

    room: Room

    @classmethod
    def of(cls, limits: Limits) -> "RollupBudget":
        """Return the budget of a new page: ``max_stats_runs``, and ``max_response_bytes`` of text."""
        return cls(Room(limits.max_stats_runs, limits.max_response_bytes))

    def part(self, max_runs: int) -> Room:
        """Return the room for at most this many runs."""
        return attrs.evolve(self.room, runs=min(max_runs, self.room.runs))

    def spend(self, part: Room, left: Room) -> None:
        """Note what is left of a part."""
        self.room = Room(self.room.runs - (part.runs - left.runs), left.text_bytes)


def roll_up_each(
    roots: Sequence[Run | RunSummary], limits: Limits, runs: RunReader, budget: RollupBudget | None = None
) -> list[Rollup | None]:
    """Return the rollup of each run, in order; ``None`` for one that exceeds the budget, by default that of a new page.

    All together are read at once if they have at most ``max_rollup_runs``. Otherwise one after the other is.
    """
    budget = budget or RollupBudget.of(limits)
    members = [outline(summarize(root) if isinstance(root, Run) else root) for root in roots]
    names = list(dict.fromkeys(member.run_id for member in members))
    room = budget.part(limits.max_rollup_runs)
    family = _gather(names, room, runs.outlines)
    budget.spend(room, family.room)
    if family.complete:
        return list(_roll_up_together(members, family, limits))
    return [_roll_up_within(budget, member, limits, runs) for member in members]


def _roll_up_together(
    members: Iterable[RunOutline], family: _Family[RunOutline], limits: Limits
) -> Iterable[Rollup | None]:
    """Yield the rollups of runs whose descendants are known.

    Runs of the same name have the same descendants, which count each time.
    """
    left = limits.max_stats_runs
    for member in members:
        rollup = _roll_up_family(member, family, limits) if left > 0 else None
        left -= rollup.runs if rollup else limits.max_rollup_runs
        yield rollup


def _roll_up_within(budget: RollupBudget, root: RunOutline, limits: Limits, runs: RunReader) -> Rollup | None:
    room = budget.part(limits.max_rollup_runs)
    family = _gather([root.run_id], room, runs.outlines)
    budget.spend(room, family.room)
    return _roll_up_family(root, family, limits)


def _roll_up_family(root: RunOutline, family: _Family[RunOutline], limits: Limits) -> Rollup | None:
    levels = _walk(root, family.children)
    return _roll_up(levels) if family.complete and len(levels.runs) <= limits.max_rollup_runs else None


def _find(run_id: str, event_id: str | None, runs: RunReader) -> RunSummary:
    key = None if event_id is None else EventId(require_key(event_id))
    which = RunFilter(run_id=require_key(run_id), event_id=key)
    found = runs.summaries(which, PageRequest(limit=1, counted=False)).runs
    if not found:
        raise RunNotFoundError(run_id if event_id is None else f"{run_id} with event_id {event_id}")
    return found[0]


def _gather(names: Sequence[str], room: Room, read: _Read[_Member]) -> _Family[_Member]:
    """Read all descendants of runs with these distinct names, one level at a time."""
    children: dict[str, list[_Member]] = defaultdict(list)
    known = set(names)
    while names:
        level = read(names, room)
        for run in level.runs:
            children[run.parent_run_id or ""].append(run)
        room = level.room
        if level.more:
            return _Family(children, room, complete=False)
        names = list(dict.fromkeys(run.run_id for run in level.runs if run.run_id not in known))
        known.update(names)
    return _Family(children, room, complete=True)


def _walk(root: _Member, children: Mapping[str, Sequence[_Member]]) -> _Levels[_Member]:
    """Return the tree below a run. Each name's children are below the first run with that name only."""
    levels = _Levels([root], [-1], [0])
    expanded: set[str] = set()
    for index, run in enumerate(levels.runs):  # grows meanwhile
        name = run.run_id
        found = children.get(name)
        if not found or name in expanded:
            continue
        expanded.add(name)
        if root.parent_run_id is not None:
            # It may be part of a cycle, and then it is a child as well.
            found = [child for child in found if child.event_id != root.event_id]
        levels.runs += found
        levels.parents += [index] * len(found)
        levels.depths += [levels.depths[index] + 1] * len(found)
    return levels


def _depth_first(levels: _Levels[RunSummary], limit: int) -> tuple[TreeNode, ...]:
    """Return the first nodes level by level in depth-first order."""
    below: dict[int, list[int]] = defaultdict(list)
    for index, parent in enumerate(levels.parents[:limit]):
        below[parent].append(index)
    nodes: list[TreeNode] = []
    places: dict[int, int] = {}
    waiting = [0]
    while waiting:
        index = waiting.pop()
        places[index] = len(nodes)
        nodes.append(TreeNode(levels.runs[index], places.get(levels.parents[index]), levels.depths[index]))
        waiting += reversed(below[index])
    return tuple(nodes)


def _roll_up(levels: _Levels[RunOutline]) -> Rollup:
    runs, parents = levels.runs, levels.parents
    reported: list[AbstractSet[str]] = [frozenset()] * len(runs)
    """The metrics that descendants of each run report."""
    troubled = [False] * len(runs)
    """Whether a descendant of each run has a problem."""
    values: dict[str, list[float]] = defaultdict(list)
    for index in range(len(runs) - 1, -1, -1):
        run, parent, below = runs[index], parents[index], reported[index]
        for name, value in run.metrics.items():
            if name not in below:
                values[name].append(value)
        if parent < 0:
            continue
        known = reported[parent]
        # Siblings mostly report the same.
        if not (run.metrics.keys() <= known and below <= known):
            reported[parent] = known | below | run.metrics.keys()
        if troubled[index] or run.status not in WELL:
            troubled[parent] = True
    origins = (run for run, within in zip(runs, troubled, strict=True) if run.status not in WELL and not within)
    return Rollup(
        runs=len(runs),
        status=Counter([run.status for run in runs]),
        metrics={name: add_up(values[name]) for name in METRICS if name in values},
        causes=_causes(origins),
        commits=_commits(runs),
    )


def _causes(origins: Iterable[RunOutline]) -> tuple[Cause, ...]:
    first: dict[tuple[Text | None, Status], RunOutline] = {}
    count: Counter[tuple[Text | None, Status]] = Counter()
    for run in origins:
        key = (run.error_summary, run.status)
        first.setdefault(key, run)
        count[key] += 1
    # Of equally frequent ones, the one met first comes first.
    return tuple(Cause(*key, first[key].run_id, number) for key, number in count.most_common(MAX_CAUSES))


def _commits(runs: Iterable[RunOutline]) -> tuple[RolledUpCommit, ...]:
    first: dict[CommitHash, Name] = {}
    for run in runs:
        if run.commit_hash is not None:
            first.setdefault(run.commit_hash, run.run_id)
    return tuple(RolledUpCommit(*found) for found in islice(first.items(), MAX_COMMITS))
