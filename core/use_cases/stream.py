"""The use case that takes a stream of any length, a chunk in a unit of work, with lenient semantics."""

from collections.abc import Iterator, Sequence

from core.model.batch import BatchResult
from core.model.stream import MAX_LISTED, Chunk, LineConflict, LineError, StreamResult
from core.ports.unit_of_work import UnitOfWork
from core.use_cases.ingest import Mode, Upload, ingest


def take_chunk(so_far: StreamResult, chunk: Chunk, work: UnitOfWork) -> StreamResult:
    """Store every good run of the chunk and return what became of the stream up to its end.

    Nothing but ``work`` is changed, so a chunk whose unit of work was undone may be taken again. Lines up to the
    ``last_line`` of what came before are passed over: no line is ever taken or counted twice.
    """
    rest = chunk.after(so_far.last_line)
    taken = ingest(Upload(Mode.PART, rest.candidates, indices=rest.lines), work)
    errors, conflicts = list(_errors(taken)), list(_conflicts(taken, rest.lines))
    room_for_errors, room_for_conflicts = MAX_LISTED - len(so_far.errors), MAX_LISTED - len(so_far.conflicts)
    return StreamResult(
        total=so_far.total + taken.total,
        created=so_far.created + taken.created,
        existing=so_far.existing + taken.existing,
        failed=so_far.failed + taken.failed,
        last_line=max(so_far.last_line, rest.last_line),
        errors=(*so_far.errors, *errors[:room_for_errors]),
        errors_omitted=so_far.errors_omitted + len(errors[room_for_errors:]),
        conflicts=(*so_far.conflicts, *conflicts[:room_for_conflicts]),
        conflicts_omitted=so_far.conflicts_omitted + len(conflicts[room_for_conflicts:]),
        refused=taken.refused,
    )


def added_by_chunk(before: StreamResult, after: StreamResult) -> BatchResult:
    """Return what a chunk added to a stream, without its runs and conflicts."""
    return BatchResult(
        runs=(),
        total=after.total - before.total,
        created=after.created - before.created,
        existing=after.existing - before.existing,
        failed=after.failed - before.failed,
        refused=after.refused,
    )


def _errors(taken: BatchResult) -> Iterator[LineError]:
    for refused in taken.refused:
        for error in refused.errors:
            yield LineError(refused.index, refused.event_id, refused.run_id, error)


def _conflicts(taken: BatchResult, lines: Sequence[int]) -> Iterator[LineConflict]:
    for conflict in taken.conflicts:
        yield LineConflict(lines[conflict.index], conflict.event_id, conflict.fields)
