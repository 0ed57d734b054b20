"""The use cases that read: one run, a page of runs, the names in use."""

import attrs

from core.errors import InvalidQueryError, RunNotFoundError
from core.model.limits import Limits
from core.model.listing import (
    Metadata,
    MetadataRequest,
    NameField,
    NamesRequest,
    PageRequest,
    RunFilter,
    RunPage,
    SummaryPage,
)
from core.model.run import Run, count_text_bytes
from core.model.validation_error import ValidationError
from core.ports.run_repository import RunReader
from core.validation.keys import require_key
from core.validation.queries import OFFSET_BESIDE_SEARCH


def get_run(run_id: str, runs: RunReader) -> Run:
    """Return the newest run with this name.

    Raises:
        RunNotFoundError: no run has this ``run_id``.
    """
    run = runs.newest(require_key(run_id))
    if run is None:
        raise RunNotFoundError(run_id)
    return run


def list_runs(which: RunFilter, request: PageRequest, limits: Limits, runs: RunReader) -> RunPage:
    """Return one page of the matching runs, with their total number if requested.

    Raises:
        InvalidQueryError: the runs of the page are too large together, or a search skips runs by counting.
    """
    found: list[Run] = []
    room, total = limits.max_response_bytes, None
    rest: PageRequest | None = bounded(which, request, limits)
    while rest is not None:
        part = list_part(which, rest, runs)
        total = part.total if rest.counted else total
        found += part.runs
        room -= sum(map(count_text_bytes, part.runs))
        if room < 0:
            raise InvalidQueryError((ValidationError("limit", _too_high(limits)),))
        rest = rest_of(rest, part)
    return RunPage(tuple(found), part.next_cursor, total)


def bounded(which: RunFilter, request: PageRequest, limits: Limits) -> PageRequest:
    """Return the request; for a search, within its limits and without the total number.

    Raises:
        InvalidQueryError: a search skips runs by counting. It would count those that match only among the runs that
            one page examines.
    """
    if which.q is None:
        return request
    if request.offset:
        raise InvalidQueryError((OFFSET_BESIDE_SEARCH,))
    return attrs.evolve(
        request, counted=False, max_examined=limits.max_search_runs, max_seconds=limits.max_search_seconds
    )


def list_part(which: RunFilter, request: PageRequest, runs: RunReader) -> RunPage:
    """Return the first part of a page, possibly all of it, with the total number of matching runs if requested."""
    part = runs.page(which, request)
    return attrs.evolve(part, total=runs.count(which)) if request.counted else part


def summarize_part(which: RunFilter, request: PageRequest, runs: RunReader) -> SummaryPage:
    """Return the same part with summaries."""
    part = runs.summaries(which, request)
    return attrs.evolve(part, total=runs.count(which)) if request.counted else part


def rest_of(request: PageRequest, part: RunPage | SummaryPage) -> PageRequest | None:
    """Return the request for the rest of a page after this part; ``None`` if the page is complete."""
    left = request.limit - len(part.runs)
    if part.next_cursor in (None, part.last_examined) or not left:
        return None
    return attrs.evolve(
        request,
        limit=left,
        offset=0,
        cursor=part.next_cursor,
        counted=False,
        # The first part has found where this ends, if it does so before the list.
        max_examined=None,
        last_examined=part.last_examined,
    )


def read_metadata(request: MetadataRequest, runs: RunReader) -> Metadata:
    """Return part of the distinct agent names and job types."""
    agent_names = runs.names(NameField.AGENT_NAME, NamesRequest(limit=request.limit, offset=request.agent_names_offset))
    job_types = runs.names(NameField.JOB_TYPE, NamesRequest(limit=request.limit, offset=request.job_types_offset))
    rest = attrs.evolve(
        request,
        agent_names_offset=request.agent_names_offset + len(agent_names.names),
        job_types_offset=request.job_types_offset + len(job_types.names),
    )
    more = rest.agent_names_offset < agent_names.total or rest.job_types_offset < job_types.total
    return Metadata(agent_names, job_types, rest if more else None)


def _too_high(limits: Limits) -> str:
    return f"is too high: that many of these runs exceed {limits.max_response_bytes} bytes (max_response_bytes)"
