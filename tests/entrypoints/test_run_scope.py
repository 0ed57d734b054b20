"""Which run is whose parent, and what is reported of an error."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrypoints.run_scope import MAX_SUMMARY_CHARACTERS, MAX_TRACEBACK_CHARACTERS, RunScope, details_of, summary_of

Tree = list[Any]

trees: st.SearchStrategy[Tree] = st.recursive(st.just([]), lambda inner: st.lists(inner, max_size=3), max_leaves=12)


def expected(tree: Tree, name: str, parent: str | None = None) -> dict[str, str | None]:
    """The parent of each run of a tree."""
    parents = {name: parent}
    for number, part in enumerate(tree):
        parents |= expected(part, f"{name}.{number}", name)
    return parents


@settings(max_examples=50)
@given(trees)
def test_parents_in_tasks(tree: Tree) -> None:
    """However tasks interleave, each run has the one for its parent inside which it was started."""
    parents: dict[str, str | None] = {}

    async def walk(part: Tree, name: str) -> None:
        scope = RunScope({"run_id": name})
        parents[name] = scope.enter()["parent_run_id"]
        await asyncio.sleep(0)
        await asyncio.gather(*(walk(inner, f"{name}.{number}") for number, inner in enumerate(part)))
        scope.leave()

    asyncio.run(walk(tree, "r"))
    assert parents == expected(tree, "r")


@settings(max_examples=50)
@given(tree=trees, inline=st.booleans())
def test_parents_in_threads(tree: Tree, *, inline: bool) -> None:
    """The same holds for threads whose work is bound, whether or not the runs also nest within a thread."""
    parents: dict[str, str | None] = {}

    def walk(part: Tree, name: str) -> None:
        scope = RunScope({"run_id": name})
        parents[name] = scope.enter()["parent_run_id"]
        with ThreadPoolExecutor(4) as pool:
            waiting = []
            for number, inner in enumerate(part):
                if inline and number % 2:
                    walk(inner, f"{name}.{number}")
                else:
                    waiting.append(pool.submit(scope.bind(walk), inner, f"{name}.{number}"))
            for future in waiting:
                future.result()
        scope.leave()

    walk(tree, "r")
    assert parents == expected(tree, "r")
    after = RunScope({})
    assert after.enter()["parent_run_id"] is None
    after.leave()


def test_a_parent_that_is_given() -> None:
    """A parent of another process takes precedence, also that there is none."""
    outer = RunScope({})
    outer.enter()
    for given_parent in ("elsewhere", None):
        scope = RunScope({"parent_run_id": given_parent})
        assert scope.enter()["parent_run_id"] == given_parent
        scope.leave()
    outer.leave()


def test_texts_of_errors_are_bounded_and_storable() -> None:
    """The longest message leaves both ends of the traceback."""

    class OddError(Exception):
        pass

    error = OddError("\0\ud800" + "x" * 100_000)
    assert len(summary_of(error)) == MAX_SUMMARY_CHARACTERS
    assert "\\x00\\ud800x" in summary_of(error)
    details = details_of(error)
    assert len(details) < MAX_TRACEBACK_CHARACTERS + 100
    assert "characters are left out" in details


@pytest.mark.parametrize(
    ("error", "status"),
    [(None, "success"), (ValueError(), "failure"), (asyncio.CancelledError(), "cancelled"), (SystemExit(), "success")],
)
def test_outcomes(error: BaseException | None, status: str) -> None:
    """The end of a block is its status."""
    scope = RunScope({})
    scope.enter()
    scope.leave()
    scope.leave()
    outcome = scope.outcome(error)
    assert outcome["status"] == status
    assert outcome["duration_ms"] >= 0
