"""The composition root: store, use cases and wire format in one place."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Self, TypeVar

import attrs

from adapters.deadline import Deadline
from adapters.group_commit import GroupCommitWriter, Settle
from adapters.refusal_queue import RefusalQueue
from adapters.system_clock import SystemClock
from adapters.wire.decode import Decoder
from adapters.wire.encode import encode_sent
from adapters.wire.otlp.mapping import SpanMapper
from adapters.wire.structure import Structurer
from core.model.batch import BatchResult, Candidate
from core.model.limits import Limits
from core.model.refusal import RefusalFilter, RefusalPage, RefusalPageRequest
from core.ports.cancellation import Cancellation
from core.ports.clock import Clock
from core.ports.observer import Intake, Observer, Unobserved
from core.ports.run_repository import RunReader
from core.ports.store import Store
from core.ports.unit_of_work import UnitOfWork
from core.use_cases.ingest import Admit, Upload, ingest_all, single_upload
from core.use_cases.refusals import list_refusals
from entrypoints.databases import open_database
from entrypoints.settings import Settings

_T = TypeVar("_T")


@attrs.frozen
class Kept:
    """What is kept beyond valid runs: the number of refused runs, and the message content of spans."""

    refusals: int = 0
    otlp_content: bool = False


@attrs.frozen
class Application:
    """Everything an entrypoint needs to run the use cases. Thread-safe."""

    store: Store
    writer: GroupCommitWriter
    clock: Clock
    limits: Limits
    structurer: Structurer
    decoder: Decoder
    span_mapper: SpanMapper
    observer: Observer
    refusals: RefusalQueue | None
    """What keeps refused runs, if they are kept."""

    @classmethod
    def over(
        cls, store: Store, clock: Clock, limits: Limits, observer: Observer | None = None, kept: Kept | None = None
    ) -> Self:
        """Return an application that owns ``store`` and closes it. The observer, if any, is told what happens."""
        observer, kept = observer or Unobserved(), kept or Kept()
        structurer = Structurer()
        decoder = Decoder(structurer, limits, keeps_sent=kept.refusals > 0)
        span_mapper = SpanMapper(structurer, keeps_content=kept.otlp_content, keeps_sent=kept.refusals > 0)
        writer = GroupCommitWriter(store, observer)
        refusals = RefusalQueue(store.refusals(kept.refusals), clock, encode_sent) if kept.refusals else None
        return cls(store, writer, clock, limits, structurer, decoder, span_mapper, observer, refusals)

    def write(self, command: Callable[[UnitOfWork], _T]) -> "Future[_T]":
        """Run a writing use case; the future completes once the outcome is durable."""
        return self.writer.submit(command)

    def ingest(self, upload: Upload) -> "Future[BatchResult]":
        """Store an upload, together with others that arrive at the same time."""
        return self.writer.submit_item(ingest_all, upload)

    def hand_over(self, upload: Upload, settle: Settle) -> None:
        """Do the same without a future: ``settle`` is told the outcome, in another thread."""
        self.writer.hand_over(ingest_all, upload, settle)

    def create(self, candidate: Candidate, admit: Admit) -> "Future[BatchResult]":
        """Do the same with a single run; raise ``RunRefusedError`` at once if it is invalid."""
        return self.ingest(single_upload(candidate, admit))

    def read(self, query: Callable[[RunReader], _T], cancellation: Cancellation | None = None) -> _T:
        """Run a reading use case in the calling thread."""
        with self.store.reader(cancellation) as runs:
            return query(runs)

    def note(self, intake: Intake, result: BatchResult) -> None:
        """Count what became of the runs of an upload, or of a chunk of one, and keep those that were refused.

        It returns at once and never fails, and it is called when the outcome is durable.
        """
        self.observer.note_runs(intake, created=result.created, existing=result.existing, failed=result.failed)
        if self.refusals is not None and result.refused:
            self.refusals.put(result.refused)

    def list_refusals(self, which: RefusalFilter, request: RefusalPageRequest) -> RefusalPage:
        """Return a page of the refused runs; an empty one if they are not kept."""
        if self.refusals is None:
            return RefusalPage((), None)
        return list_refusals(which, request, self.refusals.repository)

    def close(self, within: float | None = None) -> None:
        """Finish the submitted writes and close the store; wait about ``within`` seconds in all, if given."""
        deadline = Deadline(within)
        finished = self.writer.close(deadline.left())
        if self.refusals is not None:
            self.refusals.close(deadline.left())
        if finished:
            self.store.close()


def build_application(settings: Settings, observer: Observer | None = None) -> Application:
    """Open the store named in the settings; the observer is told what happens there.

    Raises:
        StoreUnusableError: the store cannot be opened.
    """
    limits = Limits()
    store = open_database(settings.db, limits, observer)
    return Application.over(store, SystemClock(), limits, observer, Kept(settings.keep_refusals, settings.otlp_content))
