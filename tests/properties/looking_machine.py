"""The state machine with somebody who looks at what is stored, between any two steps."""

from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import multiple, rule

from core.model.limits import Limits
from core.model.listing import PageRequest, RunFilter
from core.model.run import Status, Text
from core.model.statistics import FacetField
from core.use_cases.statistics import read_facets, read_statistics
from core.use_cases.tree import read_rollup, read_tree, roll_up_each
from tests.properties.driver import InProcessDriver, Sent
from tests.properties.looking import (
    METRICS,
    expected_facet,
    expected_rollup,
    expected_statistics,
    expected_tree,
)
from tests.properties.machine import RUNS, StoreMachine
from tests.properties.model import Kept, seen

NAMES = st.sampled_from(["p", "q", "r", "s", "t"])
REPORTED = st.dictionaries(
    st.sampled_from(METRICS), st.integers(0, 2**53) | st.sampled_from([0.25, True, "1", None, 2**53 + 1, 1e300])
)


@st.composite
def related_runs(draw: st.DrawFn) -> Sent:
    """Generate runs whose names and parents are among a few, so that they make up trees, and cycles."""
    relations = {"run_id": draw(NAMES), "parent_run_id": draw(st.none() | NAMES), "metrics_json": draw(REPORTED)}
    return {**draw(RUNS), **relations, "status": draw(st.sampled_from(["running", "success", "failed", "timeout"]))}


class LookingMachine(StoreMachine):
    """In the process of the store."""

    driver: InProcessDriver

    @rule(target=StoreMachine.sent, runs=st.lists(related_runs(), min_size=1, max_size=5))
    def related_batch(self, runs: list[Sent]) -> Any:
        """Runs that belong together are stored like any others."""
        self._ingest(runs, atomic=False)
        return multiple(*runs)

    @rule(
        target=StoreMachine.sent,
        runs=st.lists(related_runs(), min_size=1, max_size=4),
        known=st.lists(StoreMachine.sent, min_size=1, max_size=4),
    )
    def reports(self, runs: list[Sent], known: list[Sent]) -> Any:
        """Of new and of known runs, one that has ended amends one that is running; all others change nothing."""
        runs += [{**run, "event_id": other["event_id"]} for run, other in zip(runs, known, strict=False)]
        taken = [(index, run) for index, run in enumerate(runs) if not self.model.is_expired(run)]
        now = self.driver.tick()
        expected = self.model.amend(taken, now)
        result = self.driver.amend(runs)
        existing, failed = len(taken) - expected.created, len(runs) - len(taken)
        assert (result.total, result.created, result.existing, result.failed, result.amended) == (
            *(len(runs), expected.created, existing, failed),
            expected.amended,
        )
        assert [(one.index, one.event_id, frozenset(one.fields)) for one in result.conflicts] == expected.conflicts
        return multiple(*runs)

    @rule(run=StoreMachine.sent)
    def look_at_one(self, run: Sent) -> None:
        """The tree and the rollup of a run are those of the model."""
        root = self.model.kept.get(run["event_id"])
        if root is None:
            return
        name, key, limits = root["run_id"], root["event_id"], Limits()
        tree = self.driver.look(lambda runs: read_tree(name, key, 1000, limits, runs))
        keys = [node.run.event_id for node in tree.nodes]
        found = [
            (node.run.event_id, None if node.parent is None else keys[node.parent], node.depth) for node in tree.nodes
        ]
        kept = self.model.newest_first()
        assert found == expected_tree(kept, root)
        assert (tree.total, tree.truncated) == (len(found), False)
        rollup = self.driver.look(lambda runs: read_rollup(name, key, limits, runs))
        assert rollup_terms(rollup) == expected_rollup(kept, root)

    @rule()
    def look_at_roots(self) -> None:
        """The list of roots has the model's, and rolling them up together is the same as one after the other."""
        kept = self.model.newest_first()
        roots = [run for run in kept if run["parent_run_id"] is None]
        request, limits = PageRequest(limit=1000), Limits()
        page = self.driver.look(lambda runs: runs.page(RunFilter(roots=True), request))
        assert [seen(run) for run in page.runs] == roots
        assert self.driver.look(lambda runs: runs.count(RunFilter(roots=True))) == len(roots)
        rollups = self.driver.look(lambda runs: roll_up_each(page.runs, limits, runs))
        assert [rollup_terms(rollup) for rollup in rollups] == [expected_rollup(kept, root) for root in roots]

    @rule(
        statuses=st.none() | st.frozensets(st.sampled_from(Status), min_size=1),
        roots=st.booleans(),
        text=st.none() | st.sampled_from(["A", "e", "p", "\u00e9", "0"]),
        seconds=st.sampled_from([1, 3600, 86_400, 31_622_400]),
        name=st.sampled_from(METRICS),
    )
    def look_at_many(
        self, statuses: frozenset[Status] | None, text: str | None, seconds: int, name: str, *, roots: bool
    ) -> None:
        """Statistics and facets of any selection are those of the model's runs."""
        which = RunFilter(status=statuses, roots=roots, q=None if text is None else Text(text))
        kept = [
            run
            for run in self.model.newest_first()
            if (statuses is None or run["status"] in statuses)
            and not (roots and run["parent_run_id"] is not None)
            and (text is None or contains(run, text))
        ]
        limits = Limits(max_stats_buckets=1000)
        statistics = self.driver.look(lambda runs: read_statistics(which, seconds, [name], limits, runs))
        expected = expected_statistics(kept, seconds, name)
        assert statistics.complete
        assert [(bucket.runs, percentiles(bucket.duration_ms)) for bucket in statistics.buckets] == [
            (counts, durations if durations[0] is not None else None) for counts, durations, _ in expected
        ]
        sums = [bucket.metrics.get(name) for bucket in statistics.buckets]
        assert sums == [pytest.approx(total, rel=1e-12) if total is not None else None for *_, total in expected]
        facets = self.driver.look(lambda runs: read_facets(which, list(FacetField), limits, runs))
        for field in FacetField:
            found = [(value.value, value.runs) for value in facets.values[field]]
            assert found == expected_facet(kept, field)[: limits.max_facet_values]


def contains(run: Kept, text: str) -> bool:
    """Return whether a run has a text in one of the fields that are searched; ASCII letters match in either case."""
    fields = ("run_id", "item_name", "input_summary", "output_summary", "error_summary", "error_details", "commit_hash")
    wanted = text.encode().lower()
    return any(wanted in run[field].encode().lower() for field in fields if run[field] is not None)


def rollup_terms(rollup: Any) -> dict[str, Any]:
    """Return a rollup in the model's terms."""
    causes = {((cause.error_summary or ""), cause.status.value): cause.runs for cause in rollup.causes}
    return {
        "runs": rollup.runs,
        "status": dict(rollup.status),
        "metrics": dict(rollup.metrics),
        "causes": causes,
        "commits": {commit.commit_hash for commit in rollup.commits},
    }


def percentiles(durations: Any) -> tuple[int, int] | None:
    """Return the percentiles of a bucket, if it has any."""
    return None if durations is None else (durations.p50, durations.p95)
