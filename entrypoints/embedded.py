"""The in-process API: what the HTTP API does, without HTTP.

    with open_store("runs.db") as runs:  # or a URL, postgresql://…
        result = runs.ingest_lenient([{"event_id": "…", "run_id": "…", …}])
        run = runs.get("my-run")

A server may have the same store open at the same time.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from os import PathLike, fsdecode
from types import TracebackType
from typing import Any, Self, TypeVar

import attrs

from adapters.wire.query import DEFAULT_BUCKET_SECONDS
from core.model.batch import BatchResult, Candidate
from core.model.listing import Metadata, MetadataRequest, PageRequest, RunFilter, RunPage
from core.model.run import Run
from core.model.statistics import FacetField, Facets, Statistics
from core.model.tree import Rollup, Tree
from core.ports.run_repository import RunReader
from core.ports.unit_of_work import UnitOfWork
from core.use_cases.ingest import Mode, Upload, check_batch_size, check_response_size
from core.use_cases.query import get_run, list_runs, read_metadata
from core.use_cases.statistics import read_facets, read_statistics
from core.use_cases.tree import read_rollup, read_tree
from core.use_cases.update import associate_commit, update_run
from core.validation.queries import metadata_request, page_request
from entrypoints.application import Application, build_application
from entrypoints.settings import Settings

RunLike = Run | Mapping[str, Any]
"""A run as read from a store, or a mapping with the contract's fields, as ``json.loads`` returns them."""

_T = TypeVar("_T")


def open_store(database: str | PathLike[str]) -> "RunStore":
    """Open the SQLite file, or the PostgreSQL database at this URL, creating it if missing.

    A relative path is resolved here, once. A forked process must open the store again.

    Raises:
        StoreUnusableError: the store cannot be used; the message says why.
    """
    return RunStore(build_application(Settings(db=fsdecode(database))))


class RunStore:
    """An open store. Every method returns once its outcome is durable. Thread-safe.

    Errors are those of ``core.errors``, with the same messages as over HTTP. After ``close`` every method raises
    ``StoreClosedError``; in a process forked since the store was opened, ``StoreForkedError``.
    """

    def __init__(self, application: Application) -> None:
        self._application = application

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Finish the calls of other threads and close the store. Closing again does nothing."""
        self._application.close()

    def ingest_lenient(self, runs: Sequence[RunLike]) -> BatchResult:
        """Store every valid run and name every invalid one.

        Raises:
            NotABatchError, BatchTooLargeError: there are no runs, or more than 1000.
            EveryRunRefusedError: no run is valid.
        """
        return self._ingest(Mode.LENIENT, runs)

    def ingest_atomic(self, runs: Sequence[RunLike]) -> BatchResult:
        """Store all runs or none.

        Raises:
            NotABatchError, BatchTooLargeError: there are no runs, or more than 1000.
            BatchRolledBackError: at least one run is invalid; its result names all invalid runs.
        """
        return self._ingest(Mode.ATOMIC, runs)

    def create(self, run: RunLike) -> Run:
        """Store one run and return it as stored.

        Raises:
            RunRefusedError: the run is invalid.
        """
        return self._application.create(self._candidate(0, run), lambda _: None).result().runs[0]

    def update(self, event_id: str, changes: Mapping[str, Any]) -> Run:
        """Change the mutable fields of a run and return it as stored.

        Raises:
            InvalidChangesError: a field is unknown, immutable or invalid.
            RunNotFoundError: no run has this ``event_id``.
        """
        checked = self._application.structurer.changes(changes)
        return self._write(partial(update_run, event_id, checked, self._application.clock.now()))

    def associate_commit(self, event_id: str, commit: Mapping[str, Any]) -> Run:
        """Associate a commit with a run, replacing an earlier one, and return the run as stored.

        Raises:
            InvalidCommitError: a field of the commit is missing or invalid.
            RunNotFoundError: no run has this ``event_id``.
        """
        checked = self._application.structurer.commit(commit)
        return self._write(partial(associate_commit, event_id, checked, self._application.clock.now()))

    def get(self, run_id: str) -> Run:
        """Return the newest run with this ``run_id``.

        Raises:
            RunNotFoundError: no run has this ``run_id``.
        """
        return self._read(partial(get_run, run_id))

    def page(self, which: RunFilter | None = None, request: PageRequest | None = None) -> RunPage:
        """Return a page of runs, newest start first.

        Raises:
            InvalidQueryError: the filter or the page request breaks a rule of the HTTP query.
        """
        limits = self._application.limits
        parts = attrs.asdict(PageRequest() if request is None else request, recurse=False)
        return self._read(partial(list_runs, self._checked(which), page_request(parts, limits), limits))

    def metadata(self, request: MetadataRequest | None = None) -> Metadata:
        """Return distinct agent names and job types, up to a thousand of each.

        Raises:
            InvalidQueryError: the request breaks a rule of the HTTP query.
        """
        parts = attrs.asdict(MetadataRequest() if request is None else request)
        return self._read(partial(read_metadata, metadata_request(parts, self._application.limits)))

    def tree(self, run_id: str, event_id: str | None = None, limit: int | None = None) -> Tree:
        """Return a run and its descendants; by default the newest run of that name, and ``max_tree_runs`` at most.

        Raises:
            RunNotFoundError: there is no such run.
            InvalidQueryError: the limit is out of range.
        """
        limits = self._application.limits
        most = limits.max_tree_runs if limit is None else limit
        return self._read(lambda runs: read_tree(run_id, event_id, most, limits, runs))

    def rollup(self, run_id: str, event_id: str | None = None) -> Rollup | None:
        """Return what a run and its descendants add up to; ``None`` beyond ``max_rollup_runs``.

        Raises:
            RunNotFoundError: there is no such run.
        """
        limits = self._application.limits
        return self._read(lambda runs: read_rollup(run_id, event_id, limits, runs))

    def statistics(
        self, which: RunFilter | None = None, bucket_seconds: int = DEFAULT_BUCKET_SECONDS, metrics: Sequence[str] = ()
    ) -> Statistics:
        """Return figures of the matching runs by the time of their start, with the sums of these metrics.

        Raises:
            InvalidQueryError: the filter or a parameter breaks a rule of the HTTP query.
        """
        limits, checked = self._application.limits, self._checked(which)
        return self._read(lambda runs: read_statistics(checked, bucket_seconds, metrics, limits, runs))

    def facets(self, which: RunFilter | None = None, fields: Sequence[str] = tuple(FacetField)) -> Facets:
        """Return the most frequent values of these fields among the matching runs.

        Raises:
            InvalidQueryError: the filter or a field breaks a rule of the HTTP query.
        """
        limits, checked = self._application.limits, self._checked(which)
        return self._read(lambda runs: read_facets(checked, fields, limits, runs))

    def _checked(self, which: RunFilter | None) -> RunFilter:
        return self._application.structurer.run_filter(RunFilter() if which is None else which)

    def _ingest(self, mode: Mode, runs: Sequence[RunLike]) -> BatchResult:
        return self._application.ingest(Upload(mode, self._candidates(runs), self._admit)).result()

    def _write(self, command: Callable[[UnitOfWork], _T]) -> _T:
        return self._application.write(command).result()

    def _read(self, query: Callable[[RunReader], _T]) -> _T:
        return self._application.read(query)

    def _admit(self, size: int) -> None:
        check_response_size(size, self._application.limits.max_response_bytes)

    def _candidates(self, runs: Sequence[RunLike]) -> list[Candidate]:
        check_batch_size(len(runs), self._application.limits.max_batch_runs)
        return [self._candidate(index, run) for index, run in enumerate(runs)]

    def _candidate(self, index: int, run: object) -> Candidate:
        return self._application.structurer.run(run, index, self._application.clock.now())
