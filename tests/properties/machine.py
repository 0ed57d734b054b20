"""A run store against a dictionary: whatever is sent in any order, both hold the same.

The laws hold for every entrypoint; the driver selects which one is tested.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from tests.properties.driver import TOP, Driver, Sent, Told, Verdict
from tests.properties.model import CHANGEABLE, ENDS, FIXED, Kept, Model
from tests.properties.strategies import (
    COUNTS,
    STATUSES,
    commit_hashes,
    expected_utc,
    json_objects,
    sent_runs,
    sent_timestamps,
    texts,
)

KEYS = st.sampled_from(["a", "b", "c", "\u00e9", "e\u0301", "\U0001f600", " "]) | texts(min_size=1, max_size=255)
RUNS = sent_runs(KEYS)
WHOLE_LIST = 1000

BAD_VALUES: list[tuple[str, Any]] = [
    ("event_id", ""),
    ("event_id", "x" * 256),
    ("event_id", 1),
    ("run_id", None),
    ("run_id", "\ud800"),
    ("agent_name", "a\0b"),
    ("job_type", ["j"]),
    ("start_time", "2026-01-31T12:00:00"),
    ("start_time", 0),
    ("status", "done"),
    ("status", "Success"),
    ("duration_ms", True),
    ("duration_ms", "12"),
    ("items_failed", -1),
    ("items_failed", 2**63),
    ("items_skipped", 1.0),
    ("metrics_json", "{}"),
    ("context_json", {"a": float("nan")}),
    ("context_json", {"\udfff": 1}),
    ("commit_hash", "123456"),
    ("commit_source", "MANUAL"),
    ("commit_timestamp", "yesterday"),
    ("extra", []),
]

FILTERS = ("event_id", "status", "job_type", "agent_name", "run_id", "parent_run_id", "product")


@st.composite
def bad_runs(draw: st.DrawFn) -> tuple[Sent, str]:
    """Generate runs with one invalid field, and the name of that field."""
    field, value = draw(st.sampled_from(BAD_VALUES))
    return {**draw(RUNS), field: value}, field


@st.composite
def changes(draw: st.DrawFn) -> Sent:
    """Generate updates of any of the mutable fields."""
    values = {
        "status": st.sampled_from(sorted(STATUSES)),
        "end_time": st.none() | sent_timestamps(),
        **dict.fromkeys(COUNTS, st.none() | st.integers(0, 2**63 - 1)),
        **dict.fromkeys(("metrics_json", "context_json"), st.none() | json_objects()),
    }
    names = draw(st.lists(st.sampled_from(CHANGEABLE), unique=True, max_size=4))
    return {name: draw(values.get(name, st.none() | texts(max_size=12))) for name in names}


COMMITS = st.fixed_dictionaries(
    {"commit_hash": commit_hashes(), "commit_source": st.sampled_from(["manual", "llm", "ci"])},
    optional={"commit_author": st.none() | texts(max_size=12), "commit_timestamp": st.none() | sent_timestamps()},
)


def whole_commit(commit: Sent) -> Sent:
    """Return what a commit changes: the fields that it leaves out are cleared."""
    return {"commit_author": None, "commit_timestamp": None, **commit}


class StoreMachine(RuleBasedStateMachine):
    """Sends batches, updates and commits to a store and to the model, and compares all results."""

    sent = Bundle("sent")

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.driver = self._drive()

    @abstractmethod
    def _drive(self) -> Driver: ...

    def teardown(self) -> None:
        self.driver.close()

    @initialize(target=sent, runs=st.lists(RUNS, min_size=1, max_size=3))
    def first_batch(self, runs: list[Sent]) -> Any:
        """An empty store accepts the first run of each key."""
        self._ingest(runs, atomic=True)
        return multiple(*runs)

    @rule(
        target=sent, good=st.lists(RUNS, min_size=1, max_size=4), bad=st.lists(bad_runs(), max_size=3), data=st.data()
    )
    def lenient_batch(self, good: list[Sent], bad: list[tuple[Sent, str]], data: st.DataObject) -> Any:
        """Valid runs are stored and invalid ones named, wherever they are."""
        self._upload(data.draw(st.permutations([*[(run, None) for run in good], *bad])), atomic=False)
        return multiple(*good)

    @rule(bad=st.lists(bad_runs(), min_size=1, max_size=3))
    def hopeless_batch(self, bad: list[tuple[Sent, str]]) -> None:
        """A lenient batch without a valid run stores nothing and names every run."""
        self._upload(bad, atomic=False)

    @rule(target=sent, runs=st.lists(RUNS, min_size=1, max_size=4))
    def atomic_batch(self, runs: list[Sent]) -> Any:
        """An atomic batch of valid runs is stored completely."""
        self._ingest(runs, atomic=True)
        return multiple(*runs)

    @rule(good=st.lists(RUNS, max_size=3), bad=st.lists(bad_runs(), min_size=1, max_size=2), data=st.data())
    def poisoned_atomic_batch(self, good: list[Sent], bad: list[tuple[Sent, str]], data: st.DataObject) -> None:
        """An atomic batch with an invalid run stores nothing, and every invalid run is named."""
        self._upload(data.draw(st.permutations([*[(run, None) for run in good], *bad])), atomic=True)

    @rule(target=sent, run=RUNS)
    def create(self, run: Sent) -> Sent:
        """A single run is stored unless its key exists, and is returned as stored; one that has expired is rejected."""
        now = self.driver.tick()
        expected = None if self.model.is_expired(run) else self.model.ingest([(0, run)], now).runs[0]
        assert self.driver.create(run) == expected
        return run

    @rule(runs=st.lists(sent, min_size=2, max_size=4))
    def prune(self, runs: list[Sent]) -> None:
        """What starts before the horizon is deleted, and rejected from then on; the horizon never falls."""
        horizon = min(expected_utc(run["start_time"]) for run in runs)
        self.driver.prune(horizon)
        self.model.prune(horizon)

    @rule(bad=bad_runs())
    def hopeless_create(self, bad: tuple[Sent, str]) -> None:
        """A single invalid run is rejected."""
        assert self.driver.create(bad[0]) is None

    @rule(runs=st.lists(sent, min_size=1, max_size=5), atomic=st.booleans())
    def retry(self, runs: list[Sent], atomic: bool) -> None:  # noqa: FBT001 - drawn by Hypothesis
        """Resending runs, in any mixture and by either upload, creates no duplicates."""
        self._ingest(runs, atomic=atomic)

    @rule(run=sent, other=RUNS, names=st.lists(st.sampled_from(sorted(FIXED - {"event_id"})), max_size=3))
    def retry_with_other_content(self, run: Sent, other: Sent, names: list[str]) -> None:
        """A run under an existing key creates and changes nothing; differing immutable fields are a conflict."""
        changed = {**run, **{name: other[name] for name in names if name in other}}
        if {"shard", "gpu"} & (changed.get("extra") or {}).keys():
            return
        self._ingest([changed], atomic=False)

    @rule(run=sent, what=changes())
    def update(self, run: Sent, what: Sent) -> None:
        """An update changes only the fields that it names."""
        now = self.driver.tick()
        assert self.driver.update(run["event_id"], what) == self.model.change(run["event_id"], what, now)

    @rule(run=sent, commit=COMMITS)
    def associate_commit(self, run: Sent, commit: Sent) -> None:
        """A commit replaces an earlier one completely."""
        now = self.driver.tick()
        tied = self.driver.associate_commit(run["event_id"], commit)
        assert tied == self.model.change(run["event_id"], whole_commit(commit), now)

    @rule(event_id=texts(min_size=1), what=changes())
    def update_of_nothing(self, event_id: str, what: Sent) -> None:
        """An unknown key cannot be updated."""
        if event_id not in self.model.kept:
            assert self.driver.update(event_id, what) is None

    @rule(run=sent)
    def newest(self, run: Sent) -> None:
        """A name returns its newest run; it is unknown if it was only sent with existing keys."""
        named = [kept for kept in self.model.newest_first() if kept["run_id"] == run["run_id"]]
        assert self.driver.newest(run["run_id"]) == (named[0] if named else None)

    @rule(
        run=sent,
        names=st.lists(st.sampled_from(FILTERS), unique=True, max_size=2),
        ends=st.tuples(st.none() | sent, st.none() | sent),
        limit=st.integers(2, 20),
        by_cursor=st.booleans(),
    )
    def walk(
        self,
        run: Sent,
        names: list[str],
        ends: tuple[Sent | None, Sent | None],
        *,
        limit: int,
        by_cursor: bool,
    ) -> None:
        """Paging by cursor or by offset returns every matching run once, in order."""
        which = {name: run[name] for name in names if run.get(name) is not None}
        which |= {name: end["start_time"] for name, end in zip(ENDS, ends, strict=True) if end}
        walk = self._by_cursor if by_cursor else self._by_offset
        assert walk(which, limit) == self.model.matching(which)

    @invariant()
    def the_list_is_the_models(self) -> None:
        """The whole list has the model's runs in the model's order, and their number."""
        page = self.driver.page({}, limit=WHOLE_LIST)
        assert page.runs == self.model.newest_first()
        assert page.total == len(self.model.kept)

    @invariant()
    def the_names_are_the_models(self) -> None:
        """The metadata are the distinct names of the model's runs."""
        assert self.driver.names() == self.model.names()

    def _ingest(self, runs: list[Sent], *, atomic: bool) -> None:
        """Send a batch of valid runs to both."""
        self._upload([(run, None) for run in runs], atomic=atomic)

    def _upload(self, mixed: Sequence[tuple[Sent, str | None]], *, atomic: bool) -> None:
        """Send a batch to both; each run comes with the name of its invalid field, if any.

        Valid runs that have expired are as invalid as the others. An atomic batch stores nothing if any run is.
        """
        now = self.driver.tick()
        told = self.driver.ingest([run for run, _ in mixed], atomic=atomic)
        self._check(told, mixed, now, atomic=atomic)

    def _check(self, told: Told, mixed: Sequence[tuple[Sent, str | None]], now: str, *, atomic: bool) -> None:
        """Send a batch that the store has taken to the model, too."""
        fields = [field or ("start_time" if self.model.is_expired(run) else None) for run, field in mixed]
        assert told.bad == [(index, field) for index, field in enumerate(fields) if field]
        if all(fields) or (atomic and any(fields)):
            assert told.verdict is Verdict.REFUSED
            assert told.counts == (len(mixed), 0, 0, len(mixed))
            return
        assert told.verdict is (Verdict.PARTLY if any(fields) else Verdict.TAKEN)
        self._compare(told, [None if field else run for (run, _), field in zip(mixed, fields, strict=True)], now)

    def _compare(self, told: Told, runs: list[Sent | None], now: str) -> None:
        """Compare the result with the model's; invalid runs are ``None`` in ``runs``."""
        sent = [(index, run) for index, run in enumerate(runs) if run is not None]
        expected = self.model.ingest(sent, now)
        failed = len(runs) - len(sent)
        assert told.counts == (len(runs), expected.created, len(sent) - expected.created, failed)
        assert told.runs == expected.runs
        assert told.conflicts == expected.conflicts

    def _by_cursor(self, which: Sent, limit: int) -> list[Kept]:
        found: list[Kept] = []
        cursor: Any = TOP
        while cursor is not None:
            page = self.driver.page(which, limit=limit, cursor=cursor)
            assert page.total is None
            found += page.runs
            cursor = page.next_cursor
        return found

    def _by_offset(self, which: Sent, limit: int) -> list[Kept]:
        found: list[Kept] = []
        while True:
            page = self.driver.page(which, limit=limit, offset=len(found))
            found += page.runs
            assert (page.next_cursor is None) == (len(found) == page.total)
            if page.next_cursor is None:
                return found
