"""The use cases that read: one run, a page of runs, the names in use."""

import attrs

from core.errors import RunNotFoundError
from core.listing import Metadata, PageRequest, RunFilter, RunPage
from core.ports.repository import RunReader
from core.run import Run


def get_run(run_id: str, runs: RunReader) -> Run:
    """The newest run of this name.

    Raises:
        RunNotFoundError: no run has this ``run_id``.
    """
    run = runs.newest(run_id)
    if run is None:
        raise RunNotFoundError(run_id)
    return run


def list_runs(which: RunFilter, request: PageRequest, runs: RunReader) -> RunPage:
    """One page of the matching runs, with their number when it was asked for."""
    page = runs.page(which, request)
    return attrs.evolve(page, total=runs.count(which)) if request.counted else page


def read_metadata(runs: RunReader) -> Metadata:
    """The distinct agent names and job types."""
    return runs.metadata()
