"""A run with its descendants, and what they add up to."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.memory import MemoryStore
from core.errors import InvalidQueryError, RunNotFoundError
from core.model.limits import Limits
from core.model.listing import PageRequest, RunFilter
from core.model.run import CommitHash, JsonText, Name, Status, Text
from core.model.summary import METRICS
from core.model.tree import MAX_CAUSES, MAX_COMMITS, Cause, RolledUpCommit, Rollup, Tree
from core.use_cases.tree import read_rollup, read_tree, roll_up_each
from tests.contract.samples import at, keep, sample_run

PROPERTY = settings(max_examples=100, derandomize=True)

Spec = dict[str, Any]


def child(name: str, parent: str | None = None, **fields: Any) -> Spec:
    """Return the fields of a run whose key and name are the same."""
    return {"event_id": name, "run_id": name, "parent_run_id": parent, **fields}


def filled(*specs: Spec) -> MemoryStore:
    """Return a store with these runs, in this order of arrival."""
    store = MemoryStore()
    keep(store, *(sample_run(**spec) for spec in specs))
    return store


def tree(store: MemoryStore, name: str = "a", key: str | None = None, limit: int = 100, **limits: int) -> Tree:
    """Return the tree of a run."""
    with store.reader() as runs:
        return read_tree(name, key, limit, Limits(**limits), runs)


def rollup(store: MemoryStore, name: str = "a", key: str | None = None, **limits: int) -> Rollup | None:
    """Return what a run adds up to."""
    with store.reader() as runs:
        return read_rollup(name, key, Limits(**limits), runs)


def rolled_up(store: MemoryStore, name: str = "a") -> Rollup:
    """Return what a run adds up to, which is not too much."""
    found = rollup(store, name)
    assert found is not None
    return found


def shape(found: Tree) -> list[tuple[str, int | None, int]]:
    """Return keys, parents and depths of the nodes."""
    return [(node.run.event_id, node.parent, node.depth) for node in found.nodes]


def metrics(**values: Any) -> JsonText:
    """Return metrics as they are stored."""
    return JsonText("{" + ",".join(f'"{name}":{value}' for name, value in sorted(values.items())) + "}")


def test_tree_has_parents_before_children_and_siblings_by_start() -> None:
    """The order is depth first; equal starts are in order of arrival."""
    store = filled(
        child("d", "b", start_time=at(1)),
        child("c", "a", start_time=at(9)),
        child("a"),
        child("b", "a", start_time=at(5)),
        child("e", "b", start_time=at(1)),
        child("other"),
    )
    found = tree(store)
    assert shape(found) == [("a", None, 0), ("b", 0, 1), ("d", 1, 2), ("e", 1, 2), ("c", 0, 1)]
    assert (found.total, found.truncated) == (5, False)
    assert shape(tree(store, "b")) == [("b", None, 0), ("d", 0, 1), ("e", 0, 1)]


def test_tree_that_is_cut_keeps_the_upper_levels() -> None:
    """The nodes nearest to the root are kept, and the total tells how many there are."""
    store = filled(child("a"), child("b", "a"), child("d", "b"), child("c", "a", start_time=at(1)), child("e", "c"))
    found = tree(store, limit=3)
    assert shape(found) == [("a", None, 0), ("b", 0, 1), ("c", 0, 1)]
    assert (found.total, found.truncated) == (5, True)


def test_tree_beyond_the_limit_has_no_total() -> None:
    """A tree larger than ``max_tree_runs`` is cut, and nobody counts it; one just as large is whole."""
    store = filled(child("a"), *(child(f"b{number}", "a", start_time=at(number)) for number in range(5)))
    whole = tree(store, limit=6, max_tree_runs=6)
    assert (len(whole.nodes), whole.total, whole.truncated) == (6, 6, False)
    cut = tree(store, limit=5, max_tree_runs=5)
    assert (shape(cut)[-1], cut.total, cut.truncated) == (("b3", 0, 1), None, True)


def test_tree_with_too_much_text_is_cut() -> None:
    """Summaries are read up to ``max_response_bytes`` of text."""
    store = filled(child("a"), *(child(f"b{number}", "a", item_name=Text("x" * 900)) for number in range(5)))
    found = tree(store, max_response_bytes=3000)
    assert (len(found.nodes), found.total, found.truncated) == (4, None, True)


@pytest.mark.parametrize("limit", [0, -1, 20_001])
def test_limit_out_of_range_is_named(limit: int) -> None:
    """The error names the limit and its range."""
    with pytest.raises(InvalidQueryError, match=f"limit must be an integer from 1 to 20000, not {limit}"):
        tree(filled(child("a")), limit=limit)


def test_runs_in_a_cycle_appear_once() -> None:
    """Whichever run of a cycle is the root, the tree ends before it would come round."""
    store = filled(child("a", "c"), child("b", "a"), child("c", "b"), child("self", "self"))
    assert shape(tree(store, "b")) == [("b", None, 0), ("c", 0, 1), ("a", 1, 2)]
    assert shape(tree(store, "self")) == [("self", None, 0)]
    assert rolled_up(store, "b").runs == 3


def test_children_of_a_repeated_name_belong_to_the_first() -> None:
    """The key selects one of several runs of a name; below it, a name's children appear once."""
    store = filled(
        child("a", start_time=at(1)),
        {**child("a"), "event_id": "older"},
        child("b", "a", start_time=at(2)),
        {**child("b", "a", start_time=at(3)), "event_id": "again"},
        child("c", "b"),
    )
    expected = [("b", 0, 1), ("c", 1, 2), ("again", 0, 1)]
    assert shape(tree(store)) == [("a", None, 0), *expected]
    assert shape(tree(store, key="older")) == [("older", None, 0), *expected]


@pytest.mark.parametrize(("name", "key"), [("b", None), ("a", "b"), ("", None), ("a\0", None), ("a", "\ud800")])
def test_unknown_run_is_not_found(name: str, key: str | None) -> None:
    """A name that no run has, or a key that no run of that name has, is not found."""
    store = filled(child("a"))
    for look in (tree, rollup):
        with pytest.raises(RunNotFoundError):
            look(store, name, key)


def test_metric_is_summed_over_the_innermost_runs() -> None:
    """A run's own figure counts only if no run below it reports that metric."""
    store = filled(
        child("a", metrics_json=metrics(cost_usd=9, total_tokens=100)),
        child("b", "a", metrics_json=metrics(cost_usd=4)),
        child("c", "b", metrics_json=metrics(cost_usd=1.5)),
        child("d", "b", metrics_json=metrics(cost_usd=2.25, other=1)),
        child("e", "a", metrics_json=metrics(cost_usd=0.25, input_tokens="true", output_tokens='"3"')),
        child("f", "a", metrics_json=metrics(cost_usd=10**400)),
    )
    assert rolled_up(store).metrics == {"cost_usd": 4, "total_tokens": 100}


def test_cause_is_where_a_problem_began() -> None:
    """A run with a problem below it is no cause; equal causes are counted, the most frequent first."""
    store = filled(
        child("a", status=Status.FAILURE, error_summary=Text("the launch failed")),
        child("b", "a", status=Status.SUCCESS),
        child("c", "b", status=Status.TIMEOUT, error_summary=Text("slow")),
        child("d", "a", status=Status.FAILURE, error_summary=Text("refused"), start_time=at(1)),
        child("e", "a", status=Status.FAILURE, error_summary=Text("refused"), start_time=at(2)),
        child("f", "a", status=Status.RUNNING, start_time=at(3)),
    )
    found = rolled_up(store)
    assert found.causes == (
        Cause(Text("refused"), Status.FAILURE, Name("d"), 2),
        Cause(Text("slow"), Status.TIMEOUT, Name("c"), 1),
    )
    assert found.status == {Status.FAILURE: 3, Status.TIMEOUT: 1, Status.RUNNING: 1, Status.SUCCESS: 1}


def test_causes_and_commits_are_bounded() -> None:
    """Only so many are listed, each commit once with the first run that names it."""
    hashes = [f"{number:07x}" for number in range(MAX_COMMITS + 5)]
    store = filled(
        child("a", commit_hash=hashes[0]),
        *(
            child(f"b{number:03}", "a", commit_hash=name, status=Status.FAILURE, error_summary=Text(name))
            for number, name in enumerate(hashes)
        ),
    )
    found = rolled_up(store)
    assert (len(found.causes), len(found.commits)) == (MAX_CAUSES, MAX_COMMITS)
    assert found.commits[:2] == (
        RolledUpCommit(CommitHash(hashes[0]), Name("a")),
        RolledUpCommit(CommitHash(hashes[1]), Name("b001")),
    )


def test_rollup_beyond_the_limit_is_none() -> None:
    """A tree of ``max_rollup_runs`` is rolled up, a larger one is not."""
    store = filled(child("a"), child("b", "a"), child("c", "b"))
    assert rollup(store, max_rollup_runs=3) == rolled_up(store)
    assert rollup(store, max_rollup_runs=2) is None


def test_rollups_of_a_page_end_where_the_limit_is_spent() -> None:
    """If all together are too many, each that is small enough is rolled up until the limit for a request is spent."""
    store = filled(
        child("a"), *(child(f"a{number}", "a") for number in range(9)), *map(child, "bc"), child("d"), child("d1", "d")
    )
    with store.reader() as runs:
        roots = sorted(runs.page(RunFilter(roots=True), PageRequest()).runs, key=lambda run: run.run_id)
        limits = Limits(max_rollup_runs=3, max_stats_runs=5)
        sizes = [found and found.runs for found in roll_up_each(roots, limits, runs)]
    assert sizes == [None, 1, 1, None]


def test_rollups_of_runs_with_one_name_are_bounded_together() -> None:
    """Descendants that many runs share count for each of them, so that no page takes long."""
    store = filled(*({**child("a"), "event_id": f"a{number}"} for number in range(9)), child("b", "a"), child("c", "b"))
    with store.reader() as runs:
        roots = runs.page(RunFilter(roots=True), PageRequest()).runs
        sizes = [found and found.runs for found in roll_up_each(roots, Limits(max_stats_runs=10), runs)]
        assert sizes == [3, 3, 3, 3, None, None, None, None, None]


@st.composite
def forests(draw: st.DrawFn) -> list[Spec]:
    """Generate runs among few names: trees, cycles, repeated names and missing parents."""
    names = st.sampled_from("abcdef")
    return [
        {
            "event_id": str(number),
            "run_id": draw(names),
            "parent_run_id": draw(st.none() | names),
            "start_time": at(draw(st.integers(0, 3))),
            "status": draw(st.sampled_from(Status)),
            "error_summary": draw(st.sampled_from([None, "x", "y"])),
            "metrics_json": draw(st.sampled_from([None, '{"cost_usd":1}', '{"cost_usd":2,"total_tokens":3}'])),
            "commit_hash": draw(st.sampled_from([None, "abcdef0", "abcdef1"])),
        }
        for number in range(draw(st.integers(1, 14)))
    ]


@PROPERTY
@given(specs=forests())
def test_rollup_agrees_with_the_tree(specs: list[Spec]) -> None:
    """Every figure of a rollup follows from the tree, and rolling up many runs at once changes none of them."""
    store = filled(*specs)
    with store.reader() as runs:
        everything = runs.summaries(RunFilter(), PageRequest()).runs
        together = roll_up_each(everything, Limits(), runs)
    for run, found in zip(everything, together, strict=True):
        nodes = tree(store, run.run_id, run.event_id).nodes
        assert found == rollup(store, run.run_id, run.event_id)
        assert found is not None
        below = {index: below_of(index, [node.parent for node in nodes]) for index in range(len(nodes))}
        assert found.runs == len(nodes) == len({node.run.event_id for node in nodes})
        assert found.metrics == {
            name: sum(
                node.run.metrics[name]
                for index, node in enumerate(nodes)
                if name in node.run.metrics and not any(name in nodes[deeper].run.metrics for deeper in below[index])
            )
            for name in METRICS
            if any(name in node.run.metrics for node in nodes)
        }
        origins = [
            node.run
            for index, node in enumerate(nodes)
            if is_bad(node.run.status) and not any(is_bad(nodes[deeper].run.status) for deeper in below[index])
        ]
        assert sum(cause.runs for cause in found.causes) == len(origins)
        assert {cause.run_id for cause in found.causes} <= {origin.run_id for origin in origins}
        hashes = {node.run.commit_hash for node in nodes} - {None}
        assert {commit.commit_hash for commit in found.commits} == hashes


def below_of(index: int, parents: list[int | None]) -> set[int]:
    """Return the indices of all descendants of a node."""
    children = {place for place, parent in enumerate(parents) if parent == index}
    return children.union(*(below_of(place, parents) for place in children))


def is_bad(status: Status) -> bool:
    """Return whether a status is a problem."""
    return status not in ("running", "success")
